"""`gateway bench`: the figures of the design, measured on this machine now."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
import msgspec

if TYPE_CHECKING:
    from gateway.benchmark import Figure


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option(
    "--messages",
    default=2000,
    show_default=True,
    type=click.IntRange(100),
    help="Single-declaration messages.",
)
@click.option("--batches", default=60, show_default=True, type=click.IntRange(10), help="Messages of 100.")
def bench(as_json: bool, messages: int, batches: int) -> None:
    """Measure floors and ratios; minutes of work for both cores, so keep the machine quiet."""

    def show(figure: "Figure") -> None:
        if as_json:
            click.echo(msgspec.json.encode(figure).decode())
        else:
            click.echo(
                f"{figure.measure:20s} {figure.value:10.3f} {figure.unit:12s} n={figure.n}  {figure.detail}"
            )

    for figure in _figures(messages, batches):
        show(figure)


def _figures(messages: int, batches: int) -> "Iterator[Figure]":
    from gateway import benchmark  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
        yield benchmark.floor_fsync(Path(folder))
    yield benchmark.floor_validate()
    floor = benchmark.floor_sign()
    yield floor
    transports: tuple[Literal["amqp", "sftp"], ...] = ("amqp", "sftp")
    for transport in transports:
        suffix = "" if transport == "amqp" else "_sftp"
        yield benchmark.overhead(
            f"overhead_single{suffix}", messages=messages, bodies=1, transport=transport, floor_us=floor.value
        )
        yield benchmark.overhead(
            f"overhead_batch100{suffix}",
            messages=batches,
            bodies=100,
            transport=transport,
            floor_us=floor.value,
        )
