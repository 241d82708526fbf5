"""Which adapter serves which kind of link: the one table of transports. A library is loaded when a link needs it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar, assert_never

from gateway.config.links import Amqp, Folder, Link, Rabbitmq, Sftp, Webhook
from gateway.ports import Feed, Transport

L = TypeVar("L")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutAdapter:
    """Serves a link on which we send."""

    transport: Callable[[], Transport]
    """Builds what carries parcels there; connects on first use. Raises ConfigError."""
    probe: Callable[[], str]
    """Logs in, sends and takes nothing; returns one line for `gateway check`. Raises ConfigError, DeliveryError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkAdapter(OutAdapter):
    """Serves a link on which we send and receive."""

    feed: Callable[[], Feed]
    """Builds what brings in what comes from there; connects on first use."""


def adapter_of(link: Link) -> LinkAdapter:
    """Return the adapter of a link; an extra that is not installed raises ConfigError when it is used."""
    match link:
        case Sftp():
            from gateway.transports.sftp.probe import reach as reach_sftp  # noqa: PLC0415 (only who uses it loads it)
            from gateway.transports.sftp.transport import SftpFeed, SftpTransport  # noqa: PLC0415

            return _adapter(link, SftpTransport, SftpFeed, reach_sftp)
        case Rabbitmq():
            from gateway.transports.rabbitmq.probe import reach as reach_rabbitmq  # noqa: PLC0415
            from gateway.transports.rabbitmq.transport import RabbitmqFeed, RabbitmqTransport  # noqa: PLC0415

            return _adapter(link, RabbitmqTransport, RabbitmqFeed, reach_rabbitmq)
        case Amqp():
            from gateway.transports.amqp10.probe import reach as reach_amqp  # noqa: PLC0415 (an extra)
            from gateway.transports.amqp10.transport import AmqpFeed, AmqpTransport  # noqa: PLC0415

            return _adapter(link, AmqpTransport, AmqpFeed, reach_amqp)
        case Folder():
            from gateway.transports.folder import FolderFeed, FolderTransport, reach  # noqa: PLC0415

            return _adapter(link, FolderTransport, FolderFeed, reach)
        case _:
            assert_never(link)


def out_adapter_of(link: Link | Webhook) -> OutAdapter:
    """Return the adapter of a channel's link, which may be a webhook."""
    if isinstance(link, Webhook):
        from gateway.transports.webhook.transport import WebhookTransport, reach  # noqa: PLC0415 (only who uses it loads it)

        return OutAdapter(transport=partial(WebhookTransport, link), probe=partial(reach, link))
    return adapter_of(link)


def _adapter(
    link: L, transport: Callable[[L], Transport], feed: Callable[[L], Feed], probe: Callable[[L], str]
) -> LinkAdapter:
    return LinkAdapter(
        transport=partial(transport, link), feed=partial(feed, link), probe=partial(probe, link)
    )
