"""`gateway bench`: measures the figures of the design on this machine."""

from typing import TYPE_CHECKING

import click
import msgspec

from gateway.cli.terminal import echo
from gateway.errors import ConfigError

if TYPE_CHECKING:
    from bench.figure import Figure


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option(
    "--only", default="", metavar="MEASURE[,…]", help="Only these measures, for instance depth_5m,drain."
)
@click.option(
    "--messages",
    default=2000,
    show_default=True,
    type=click.IntRange(100),
    help="Single-declaration messages.",
)
@click.option("--batches", default=60, show_default=True, type=click.IntRange(10), help="Messages of 100.")
@click.option(
    "--declarations",
    default=5_000_000,
    show_default=True,
    type=click.IntRange(1000),
    help="In the spool of depth_5m; five million take 18 GB of disk in the folder for temporary files.",
)
@click.option(
    "--backlog",
    default=100_000,
    show_default=True,
    type=click.IntRange(1000),
    help="Messages that wait in memory_mb; as many take 2 GB of disk.",
)
@click.option(
    "--rows",
    default=100_000,
    show_default=True,
    type=click.IntRange(1000),
    help="Rows of the table in sheet_rows_s and translate_rows_s.",
)
@click.option(
    "--receipts", default=100_000, show_default=True, type=click.IntRange(1000), help="Answers in correlate."
)
def bench(
    *,
    as_json: bool,
    only: str,
    messages: int,
    batches: int,
    declarations: int,
    backlog: int,
    receipts: int,
    rows: int,
) -> None:
    """Measure floors and ratios; a quarter of an hour's work for both cores, so keep the machine quiet."""
    try:
        from bench.measures import Measures  # noqa: PLC0415 (only who measures loads it)
    except ModuleNotFoundError as error:
        if error.name not in {"bench", "bench.measures"}:  # something that the measures need
            raise
        raise ConfigError(
            "the measures are part of the source, not of the installed package",
            fix="run `gateway bench` in a checkout of the source, where `make demo` has been run once",
        ) from error

    measures = Measures(
        messages=messages,
        batches=batches,
        declarations=declarations,
        backlog=backlog,
        receipts=receipts,
        rows=rows,
    )
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    for name in wanted:
        if name not in measures.names:
            raise click.BadParameter(
                f"there is no measure {name}; there are {', '.join(measures.names)}", param_hint="'--only'"
            )
    for figure in measures.figures(wanted):
        _show(figure, as_json=as_json)


def _show(figure: "Figure", *, as_json: bool) -> None:
    if as_json:
        echo(msgspec.json.encode(figure).decode())
    else:
        echo(f"{figure.measure:20s} {figure.value:10.3f} {figure.unit:12s} n={figure.n}  {figure.detail}")
