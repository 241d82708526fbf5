"""`gateway mapping`: lists, shows, checks, tries, explains and drafts mappings, and makes their templates."""

from pathlib import Path

import click

from gateway.cli.failure import NOT_IN_ORDER, report
from gateway.cli.mapping.chosen import choose, chosen_options, mistakes
from gateway.cli.mapping.draft import new
from gateway.cli.mapping.examples import test
from gateway.cli.mapping.preview import explain
from gateway.cli.options import json_option, out_option
from gateway.cli.output import deliver, emit
from gateway.cli.tables import folded
from gateway.cli.terminal import echo
from gateway.mapping.language import SourceMapping
from gateway.mapping.templates import template_xlsx

_WIDTH = 80


@click.group()
def mapping() -> None:
    """Look at mappings, try them, and write your own."""


@mapping.command(name="list")
@chosen_options
@json_option
def list_(*, edition: str, rules_dir: Path | None, mappings_dir: Path | None, as_json: bool) -> None:
    """List all mappings: name, message, what they read, the unit of amounts, and below it what each is for."""
    chosen = choose(edition, rules_dir, mappings_dir)
    for name in chosen.texts:
        one = chosen.one(name)
        if as_json:
            emit(_view(one))
            continue
        echo(f"{name:<14} {one.kind.name}  {one.source:<5}  {one.money}".rstrip())
        for line in folded(one.about, _WIDTH - 4):
            echo(f"    {line}")


@mapping.command()
@click.argument("name", metavar="NAME")
@chosen_options
@out_option
@json_option
def show(
    *,
    name: str,
    edition: str,
    rules_dir: Path | None,
    mappings_dir: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Show a mapping as it is written; with -o a copy to start one of your own from. With --json: its columns too."""
    found = choose(edition, rules_dir, mappings_dir).one(name)
    if as_json:
        emit(_view(found) | {"columns": found.columns, "text": found.text})
    else:
        deliver(found.text.encode(), out)


@mapping.command()
@click.argument("names", metavar="[NAME…]", nargs=-1)
@chosen_options
@json_option
def check(
    *, names: tuple[str, ...], edition: str, rules_dir: Path | None, mappings_dir: Path | None, as_json: bool
) -> None:
    """Check mappings by name or file, all of them without a NAME. Exit code 1: one is not in order.

    Names that the message does not have, required elements without a source, texts that customs would refuse, columns
    that are not listed, unknown words: each with file, table, key and an example of what is right.
    """
    chosen = choose(edition, rules_dir, mappings_dir)
    wrong = mistakes(chosen, names)
    for name in names or tuple(chosen.texts):
        error = wrong.get(name)
        if as_json:
            told = {} if error is None else {"what": error.what, "where": error.where, "fix": error.fix}
            emit({"mapping": name, "valid": error is None, **told})
        elif error is not None:
            report(error)
    if not as_json:
        echo(f"{len(names or chosen.texts) - len(wrong)} mappings in order, {len(wrong)} not")
    if wrong:
        click.get_current_context().exit(NOT_IN_ORDER)


@mapping.command()
@click.argument("name", metavar="TYPE|NAME")
@chosen_options
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write here, for instance orders.xlsx.",
)
def template(
    *, name: str, edition: str, rules_dir: Path | None, mappings_dir: Path | None, out: Path
) -> None:
    """Make the sheet to fill in, as XLSX: of a message type (311), or of a mapping that reads tables.

    Required heads are marked with *. The example row is marked as one, and refused when it is handed in. Columns whose
    digits must stay are text. A second sheet explains each column in Chinese and English, a third holds the codes
    that drop-downs show.
    """
    chosen = choose(edition, rules_dir, mappings_dir)
    found = chosen.table(name)
    deliver(template_xlsx(found, chosen.rules), out)
    echo(f"{out}: {found.kind.name}, to be handed in with the mapping {found.name}", err=True)


mapping.add_command(test)
mapping.add_command(explain)
mapping.add_command(new)


def _view(one: SourceMapping) -> dict[str, object]:
    return {
        "mapping": one.name,
        "message_type": one.kind.name,
        "source": str(one.source),
        "money": one.money,
        "about": one.about,
        "sha256": one.sha256,
    }
