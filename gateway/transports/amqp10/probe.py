"""Looks whether a broker lets us in, without sending or taking anything: for `gateway check`."""

import time
from typing import Final

from gateway.config.links import Amqp
from gateway.transports.amqp10.session import AmqpSession

_PROBE_S: Final = 5.0
"""How long a broker may take to answer a probe, whatever its own time-out."""


def reach(config: Amqp) -> str:
    """Log in; returns what to report. Raises ConfigError and DeliveryError."""
    AmqpSession(config, time.monotonic() + min(config.timeout_s, _PROBE_S)).close()
    return f"amqp {config.url}, logged in"
