"""What the table of transports knows of this kind of link."""

from gateway.config.links import Webhook
from gateway.transports.webhook.transport import WebhookTransport


class WebhookAdapter:
    """`gateway.transports.adapters.OutAdapter`."""

    def __init__(self, link: Webhook) -> None:
        self._link = link

    def transport(self) -> WebhookTransport:
        """See `OutAdapter.transport`."""
        return WebhookTransport(self._link)

    def probe(self) -> str:
        """See `OutAdapter.probe`."""
        transport = self.transport()
        try:
            transport.connect()
        finally:
            transport.close()
        return f"webhook {self._link.url.partition('?')[0]}, connected"
