"""What the table of transports knows of this kind of link."""

import time
from typing import Final

from gateway.config.links import Amqp
from gateway.transports.amqp10.session import AmqpSession
from gateway.transports.amqp10.transport import AmqpFeed, AmqpTransport

_PROBE_S: Final = 5.0
"""How long a broker may take to answer a probe, whatever its own time-out."""


class AmqpAdapter:
    """`gateway.transports.adapters.LinkAdapter`."""

    def __init__(self, link: Amqp) -> None:
        self._link = link

    def transport(self) -> AmqpTransport:
        """See `OutAdapter.transport`."""
        return AmqpTransport(self._link)

    def feed(self) -> AmqpFeed:
        """See `OutAdapter.transport`, for what comes in."""
        return AmqpFeed(self._link)

    def probe(self) -> str:
        """See `OutAdapter.probe`."""
        AmqpSession(self._link, time.monotonic() + min(self._link.timeout_s, _PROBE_S)).close()
        return f"amqp {self._link.url}, logged in"
