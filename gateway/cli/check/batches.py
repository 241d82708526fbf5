"""`gateway check`: batches that may take longer than the lease on their claim (docs/adr/0036)."""

from collections.abc import Iterator
from typing import Final

from gateway.cli.check.result import Check, Grade
from gateway.config.channels import Channel
from gateway.config.gateway_toml import Config
from gateway.config.links import Amqp, Folder, Link, Rabbitmq, Sftp, Webhook
from gateway.delivery.lane import BATCH

_PASSES: Final = {"sftp": 2}
"""Upload rounds of one batch over a channel: the receipt files first, then the JSON files that name them."""


def probe_batches(config: Config) -> Iterator[Check]:
    """Report the destinations whose batch does not fit into `lease_s`; nothing when all fit."""
    for one in config.destination:
        yield from _fits(f"batch of {one.name}", one.link, one.batch, config.lease_s, "batch, ")


def probe_batch(channel: Channel, lease_s: float) -> Iterator[Check]:
    """Report the same for a channel; webhook channels are checked when their configuration is read."""
    deliver = channel.deliver
    name = f"batch of channel {channel.enterprise}/{deliver.name}"
    yield from _fits(name, deliver.link, BATCH, lease_s, passes=_PASSES.get(deliver.kind, 1))


def _fits(
    name: str,
    link: Link | Webhook,
    batch: int,
    lease_s: float,
    mends: str = "",
    *,
    passes: int = 1,
) -> Iterator[Check]:
    if isinstance(
        link, (Folder, Webhook)
    ):  # a folder has no time-out, those of webhooks are checked when they are read
        return
    waits = 1 + passes * -(-batch // _together(link))
    longest_s = waits * link.timeout_s
    if longest_s > lease_s:
        yield Check(
            name=name,
            grade=Grade.WARN,
            detail=f"{batch} may take {longest_s:g} s: to connect and {waits - 1} in turn, {link.timeout_s:g} s each;"
            f" a claim holds {lease_s:g} s, what is not begun in half of it is put back",
            fix=f"lower {mends}timeout_s, or let lease_s be {longest_s:g} or more",
        )


def _together(link: Amqp | Rabbitmq | Sftp) -> int:
    """Return how many messages wait for one time-out together, at most."""
    match link:
        case Sftp():
            from gateway.transports.sftp.transport import GROUP  # noqa: PLC0415 (only who uses it loads it)

            return GROUP * link.connections
        case Rabbitmq() | Amqp():  # the credit of AMQP 1.0 is the broker's to give, and about as much
            from gateway.transports.rabbitmq.links import WINDOW  # noqa: PLC0415

            return WINDOW
