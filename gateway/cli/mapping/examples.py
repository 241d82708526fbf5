"""`gateway mapping test`: tries mappings on the examples beside them.

The examples of `orders.toml` stand in the folder `orders/` beside it: a source, `first.csv`, and the message that it has to
become, `first.xml`; of several messages `first-1.xml`, `first-2.xml` …
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from lxml import etree

from gateway.cli.failure import NOT_IN_ORDER, say
from gateway.cli.mapping.chosen import Chosen, choose, chosen_options
from gateway.cli.options import json_option
from gateway.cli.output import deliver, emit
from gateway.cli.sources import form_of, opened
from gateway.cli.terminal import echo
from gateway.cli.validate import read
from gateway.errors import ConfigError, Refused
from gateway.mapping.language import SourceMapping
from gateway.mapping.sources.table import SUFFIXES, SourceLimits
from gateway.mapping.translation import Source, open_translation


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one example."""

    mapping: str
    example: str
    wrong: str
    """Empty: it is as expected."""


@click.command()
@click.argument("names", metavar="[NAME…]", nargs=-1)
@chosen_options
@click.option("--write", is_flag=True, help="Write the expected messages of examples that have none yet.")
@json_option
def test(
    *,
    names: tuple[str, ...],
    edition: str,
    rules_dir: Path | None,
    mappings_dir: Path | None,
    write: bool,
    as_json: bool,
) -> None:
    """Try mappings on the examples beside them, all of them without a NAME. Exit code 1: one becomes something else.

    The examples of orders.toml stand in the folder orders beside it: a source, first.csv, and the message that it has to
    become, byte for byte, first.xml (of several messages first-1.xml, first-2.xml …).
    """
    chosen = choose(edition, rules_dir, mappings_dir)
    outcomes = [one for name in names or tuple(chosen.texts) for one in _tried(name, chosen, write=write)]
    for one in outcomes:
        if as_json:
            emit(one)
        else:
            echo(f"{one.mapping}/{one.example}: {one.wrong or 'as expected'}")
    wrong = sum(bool(one.wrong) for one in outcomes)
    if not as_json:
        echo(f"{len(outcomes) - wrong} examples as expected, {wrong} not")
    if names and not outcomes:
        say("error", "there are no examples", fix="put them into a folder beside the mapping, of its name")
    if wrong or (names and not outcomes):
        click.get_current_context().exit(NOT_IN_ORDER)


def _tried(name: str, chosen: Chosen, *, write: bool) -> Iterator[Outcome]:
    """Try one mapping on its examples. Raises ConfigError for a name that is not known."""
    mapping, file = chosen.one(name), chosen.file_of(name)
    folder = None if file is None else file.with_suffix("")
    if folder is None or not folder.is_dir():
        return
    for source in sorted(one for one in folder.iterdir() if one.suffix.lower() in SUFFIXES):
        wrong = _wrong(source, mapping, write=write)
        yield Outcome(mapping=mapping.name, example=source.name, wrong=wrong)


def _wrong(source: Path, mapping: SourceMapping, *, write: bool) -> str:
    """Return what is wrong with what an example becomes; empty: nothing."""
    try:
        made = _messages(source, mapping)
    except Refused as refused:
        first = refused.faults[0]
        return f"{getattr(first, 'source', '')} {first.message}".strip()
    expected = [
        source.with_name(f"{source.stem}{f'-{number}' if len(made) > 1 else ''}.xml")
        for number in range(1, len(made) + 1)
    ]
    if write and not any(file.exists() for file in expected):
        for file, document in zip(expected, made, strict=True):
            deliver(document, file)
    missing = [file.name for file in expected if not file.is_file()]
    if missing:
        return f"there is no {missing[0]}; --write writes it"
    told = (_difference(read(file), document) for file, document in zip(expected, made, strict=True))
    return next(filter(None, told), "")


def _messages(source: Path, mapping: SourceMapping) -> Sequence[bytes]:
    """Translate a source without a time that is given. Raises Refused with the faults of the first that is not in order."""
    made: list[bytes] = []
    with (
        opened(source) as content,
        open_translation(
            mapping, Source(content=content, form=form_of(source)), limits=SourceLimits()
        ) as translation,
    ):
        for portion in translation.portions():
            if portion.refused:
                raise Refused("untranslatable", portion.refused[0].faults)
            made.append(translation.message(portion.bodies).document)
    return made


def _difference(expected: bytes, made: bytes) -> str:
    """Say where two documents differ first; empty: nowhere."""
    if expected == made:
        return ""
    pairs = zip(_values(expected), _values(made), strict=False)
    for (path, text), (other, own) in pairs:
        if path != other:
            return f"{path} was expected, {other} was made"
        if text != own:
            return f"{path}: {text!r} was expected, {own!r} was made"
    return "the values agree, and the bytes do not"


def _values(document: bytes) -> list[tuple[str, str]]:
    try:
        root = etree.fromstring(document)
    except etree.XMLSyntaxError as error:
        raise ConfigError(
            f"an expected message is no XML: {error}", fix="delete it, and write it anew with --write"
        ) from error
    tree = root.getroottree()
    attributes = [(f"@{name!s}", str(text)) for name, text in sorted(root.attrib.items())]
    return attributes + [(tree.getpath(one), one.text or "") for one in root.iter("*") if not len(one)]
