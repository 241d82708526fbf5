"""`gateway codes`: what the codes of customs mean, how often they came, and what cured them."""

from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
from rich.cells import cell_len, set_cell_size

from gateway.app.open_spool import build_spool
from gateway.cli import tables
from gateway.cli.as_owner import as_owner_of
from gateway.cli.code_meanings import advice_lines
from gateway.cli.evidence import read_keys
from gateway.cli.failure import NOT_IN_ORDER, say
from gateway.cli.open_spool import open_spool, rules_of
from gateway.cli.options import config_option, json_option, out_option
from gateway.cli.output import deliver, emit, facts, instant
from gateway.cli.terminal import echo
from gateway.config.gateway_toml import load_config
from gateway.errors import ConfigError
from gateway.keys.node_key import node_key
from gateway.model import Code
from gateway.receipts.learning.code_counts import LearnedCode, learned_in
from gateway.receipts.learning.code_file import LARGEST_BYTES, CodeFile, tallies_of, written
from gateway.receipts.learning.code_file import read as read_file
from gateway.receipts.learning.learned_codes import explained, in_tables, tabled
from gateway.upkeep.operator_acts import Act, note, who, write
from spool.store import Spool
from spool.times import to_number

HERE: Final = ""
_ORIGINS_AT_MOST: Final = 100
_WIDTHS: Final = (22, 7, 6, 10, 27)
"""Widest cell of each column of the list: together with the gaps 80 characters."""


@click.group()
def codes() -> None:
    """Look at the codes of customs: what they mean, how often they came, what cured them."""


@codes.command("list")
@click.option("--all", "whole", is_flag=True, help="Also codes of our tables that never came.")
@config_option
@json_option
def list_(whole: bool, file: Path, as_json: bool) -> None:
    """List the codes that came to this node, the most frequent first.

    `cured`: declarations refused with the code of which a later version was accepted; behind it the field that had
    changed most often. Free texts are shown as shapes, without anything that may be about somebody, and only if three
    declarations had them.
    """
    config = load_config(file)
    known = rules_of(config).codes
    with open_spool(config) as spool:
        learned = learned_in(spool).get(HERE, [])
    seen = {one.code for one in learned}
    never = [code for code in tabled(known) if code not in seen] if whole else []
    if as_json:
        for one in learned:
            emit(_view(one.code, explained(one.code, known), {HERE: one}))
        for code in never:
            emit(_view(code, explained(code, known), {}))
        return
    rows = [*(_row(one) for one in learned), *((code, "0", "0", "", "") for code in never)]
    tables.table(
        ("code", "seen", "cured", "last seen", "changed most often"),
        (tuple(_cut(cell, width) for cell, width in zip(row, _WIDTHS, strict=True)) for row in rows),
        right=("seen", "cured"),
    )


@codes.command()
@click.argument("code")
@config_option
@json_option
def show(code: str, file: Path, as_json: bool) -> None:
    """Show what CODE means, how often it came, and which fields had changed when it was gone.

    CODE is a number in brackets, a status, a negative number, `DxpRep 0002`, or so much of the beginning of a text that
    `gateway codes list` shows as is like no other's. Exit code 1: no table explains it and it never came.
    """
    config = load_config(file)
    known = rules_of(config).codes
    with open_spool(config) as spool:
        learned = learned_in(spool)
    named = _meant(code, {one.code for found in learned.values() for one in found})
    counts = {origin: one for origin, found in learned.items() for one in found if one.code == named}
    if not counts and not in_tables(named, known):
        say("error", f"no table explains {code}, and it never came", fix="`gateway codes list --all`")
        click.get_current_context().exit(NOT_IN_ORDER)
    meaning = explained(named, known)
    if as_json:
        emit(_view(named, meaning, counts))
    else:
        _tell(named, meaning, counts)


@codes.command()
@out_option
@config_option
def export(out: Path | None, file: Path) -> None:
    """Write what this node has learned into one file for other nodes, signed with its journal key.

    It holds codes, shapes of texts, names of fields and counts: no value, no key, no enterprise.
    """
    config = load_config(file)
    with open_spool(config) as spool:
        learned = learned_in(spool).get(HERE, [])
    deliver(written(learned, node_key(config), datetime.now(UTC)).encode(), out)


@codes.command("import")
@click.argument(
    "document", metavar="FILE", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
)
@click.option(
    "--key",
    "keys",
    required=True,
    multiple=True,
    help="Public key of the node that wrote it, as `gateway journal key` prints it, or a file with lines of it.",
)
@config_option
@json_option
def import_(document: Path, keys: tuple[str, ...], file: Path, as_json: bool) -> None:
    """Take over what another node has learned, from the FILE that it exported.

    The counts of each node stay apart. A file replaces what came before from the same node; the same file, or an older
    one, changes nothing. Exit code 2: the file is not signed by one of the keys, or is not of this form.
    """
    config = load_config(file)
    with document.open("rb") as opened:
        found = read_file(opened.read(LARGEST_BYTES + 1), read_keys(keys), datetime.now(UTC))
    own = node_key(config).public
    if found.origin == f"{own.name}+{own.id.hex()}":
        raise ConfigError(
            "this node wrote that file itself", where=str(document), fix="import it on another node"
        )
    with (
        as_owner_of(config.node.state_dir),
        closing(build_spool(config)) as spool,
    ):  # also of a node that never ran
        taken = _take(spool, found)
    if as_json:
        emit({"origin": found.origin, "at": found.at, "codes": len(found.codes), "taken": taken})
    else:
        done = f"{len(found.codes)} codes of" if taken else "nothing new from"
        echo(f"{done} {found.origin}, written {instant(found.at)}")


def _take(spool: Spool, found: CodeFile) -> bool:
    origins = set(learned_in(spool)) - {HERE, found.origin}
    if len(origins) >= _ORIGINS_AT_MOST:
        raise ConfigError(
            f"counts of {_ORIGINS_AT_MOST} other nodes are here, and no more are taken", where=found.origin
        )
    mark, reached = f"codes of {found.origin}", to_number(found.at)
    taken = spool.replace_tallies(found.origin, tallies_of(found), scan=mark, reached=reached)
    if taken:
        write(spool, note("codes.imported", Act(by=who(), key=found.origin)))
    return taken


def _meant(code: str, seen: Iterable[str]) -> str:
    """Return the code that is meant: itself, or the only one seen that begins so."""
    begun = [one for one in seen if one.startswith(code)]
    return (
        code if code in begun or len(begun) != 1 or not begun[0].startswith(("100: ", "900: ")) else begun[0]
    )


def _row(one: LearnedCode) -> tuple[str, ...]:
    first = one.fields[0].name if one.fields else ""
    return one.code, str(one.seen), str(one.cured), f"{one.last_at:%Y-%m-%d}", first


def _cut(cell: str, width: int) -> str:
    return cell if cell_len(cell) <= width else f"{set_cell_size(cell, width - 1).rstrip()}…"


def _view(code: str, meaning: Code, counts: dict[str, LearnedCode]) -> dict[str, object]:
    return {
        "code": code,
        "meaning": {
            "kind": meaning.kind,
            "zh": meaning.zh,
            "en": meaning.en,
            "advice_zh": meaning.advice_zh,
            "advice_en": meaning.advice_en,
            "retry": meaning.retry,
            "who": meaning.who,
            "regional": meaning.regional,
        },
        "learned": [{"origin": origin or "here", "counts": one} for origin, one in counts.items()],
    }


def _tell(code: str, meaning: Code, counts: dict[str, LearnedCode]) -> None:
    echo(f"{code}  {meaning.zh} / {meaning.en}  [{meaning.kind}]")
    for line in advice_lines(meaning):
        echo(f"  {line}")
    if not counts:
        echo("  never seen here")
    for origin, one in counts.items():
        echo(f"  {'seen here' if origin == HERE else f'seen by {origin}'}")
        facts(
            {
                "answers": str(one.seen),
                "declarations refused": str(one.declarations or ""),
                "of them cured": str(one.cured or ""),
                "first": instant(one.first_at),
                "last": instant(one.last_at),
            },
            indent="    ",
        )
        for field in one.fields:
            echo(f"      {field.n:>7}  {100 * field.n // max(one.cured, 1):>3} %  {field.name}")
