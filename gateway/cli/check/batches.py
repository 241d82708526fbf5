"""`gateway check`: batches that may take longer than the lease on their claim (docs/adr/0036)."""

from collections.abc import Iterator
from typing import Final

from gateway.app.build import way_of
from gateway.cli.check.result import Check, Grade
from gateway.config.channels import Channel
from gateway.config.gateway_toml import Amqp, Config, Destination, Rabbitmq, Sftp
from gateway.delivery.lane import BATCH

_PASSES: Final = {"sftp": 2}
"""Upload rounds of one batch over a channel: the receipt files first, then the JSON files that name them."""


def probe_batches(config: Config) -> Iterator[Check]:
    """Report the destinations whose batch does not fit into `lease_s`; nothing when all fit."""
    for one in config.destination:
        yield from _fits(f"batch of {one.name}", _way(one), one.batch, config.lease_s, "batch, ")


def probe_batch(channel: Channel, lease_s: float) -> Iterator[Check]:
    """Report the same for a channel; webhook channels are checked when their configuration is read."""
    deliver = channel.deliver
    name = f"batch of channel {channel.enterprise}/{deliver.name}"
    yield from _fits(name, _way(way_of(deliver)), BATCH, lease_s, passes=_PASSES.get(deliver.kind, 1))


def _way(destination: Destination) -> Amqp | Rabbitmq | Sftp | None:
    return destination.sftp or destination.rabbitmq or destination.amqp


def _fits(
    name: str,
    way: Amqp | Rabbitmq | Sftp | None,
    batch: int,
    lease_s: float,
    mends: str = "",
    *,
    passes: int = 1,
) -> Iterator[Check]:
    if way is None:  # a folder has no time-out
        return
    waits = 1 + passes * -(-batch // _together(way))
    longest_s = waits * way.timeout_s
    if longest_s > lease_s:
        yield Check(
            name=name,
            grade=Grade.WARN,
            detail=f"{batch} may take {longest_s:g} s: to connect and {waits - 1} in turn, {way.timeout_s:g} s each;"
            f" a claim holds {lease_s:g} s, what is not begun in half of it is put back",
            fix=f"lower {mends}timeout_s, or let lease_s be {longest_s:g} or more",
        )


def _together(way: Amqp | Rabbitmq | Sftp) -> int:
    """Return how many messages share one time-out at most."""
    match way:
        case Sftp():
            from gateway.transports.sftp.transport import GROUP  # noqa: PLC0415 (only who uses it loads it)

            return GROUP * way.connections
        case Rabbitmq() | Amqp():  # with AMQP 1.0 the broker sets the credit, which is about as much
            from gateway.transports.rabbitmq.links import WINDOW  # noqa: PLC0415

            return WINDOW
