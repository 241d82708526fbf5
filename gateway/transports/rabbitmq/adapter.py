"""What the table of transports knows of this kind of link."""

from gateway.config.links import Rabbitmq
from gateway.transports.rabbitmq.probe import reach
from gateway.transports.rabbitmq.transport import RabbitmqFeed, RabbitmqTransport


class RabbitmqAdapter:
    """`gateway.transports.adapters.LinkAdapter`."""

    def __init__(self, link: Rabbitmq) -> None:
        self._link = link

    def transport(self) -> RabbitmqTransport:
        """See `OutAdapter.transport`."""
        return RabbitmqTransport(self._link)

    def feed(self) -> RabbitmqFeed:
        """See `OutAdapter.transport`, for what comes in."""
        return RabbitmqFeed(self._link)

    def probe(self) -> str:
        """See `OutAdapter.probe`."""
        return reach(self._link)
