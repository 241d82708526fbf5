"""Which adapter serves which kind of link: the one table of transports. A library is loaded when a link needs it."""

from typing import Protocol, assert_never

from gateway.config.links import Amqp, Folder, Link, Rabbitmq, Sftp, Webhook
from gateway.ports import Feed, Transport


class OutAdapter(Protocol):
    """A link on which we send."""

    def transport(self) -> Transport:
        """Build what carries parcels there; connects on first use. Raises ConfigError."""
        ...

    def probe(self) -> str:
        """Log in, send and take nothing; returns one line for `gateway check`. Raises ConfigError, DeliveryError."""
        ...


class LinkAdapter(OutAdapter, Protocol):
    """A link on which we send and receive."""

    def feed(self) -> Feed:
        """Build what brings in what comes from there; connects on first use."""
        ...


def adapter_of(link: Link) -> LinkAdapter:
    """Return the adapter of a link; an extra that is not installed raises ConfigError when it is used."""
    match link:
        case Sftp():
            from gateway.transports.sftp.adapter import SftpAdapter  # noqa: PLC0415 (only who uses it loads it)

            return SftpAdapter(link)
        case Rabbitmq():
            from gateway.transports.rabbitmq.adapter import RabbitmqAdapter  # noqa: PLC0415

            return RabbitmqAdapter(link)
        case Amqp():
            from gateway.transports.amqp10.adapter import AmqpAdapter  # noqa: PLC0415 (an extra)

            return AmqpAdapter(link)
        case Folder():
            from gateway.transports.folder import FolderAdapter  # noqa: PLC0415

            return FolderAdapter(link)
        case _:
            assert_never(link)


def out_adapter_of(link: Link | Webhook) -> OutAdapter:
    """The same for channels, which may be webhooks."""
    if isinstance(link, Webhook):
        from gateway.transports.webhook.adapter import WebhookAdapter  # noqa: PLC0415 (only who uses it loads it)

        return WebhookAdapter(link)
    return adapter_of(link)
