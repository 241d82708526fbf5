"""`gateway translate`: translates tables and JSON to CEB messages by a mapping, and traces each field's origin."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path

import click

from gateway.cli.document_check import check_document
from gateway.cli.failure import NOT_IN_ORDER, say
from gateway.cli.options import document_argument, json_option
from gateway.cli.output import deliver, emit
from gateway.cli.sources import changed_at
from gateway.cli.terminal import echo
from gateway.cli.to_json import write_as_json
from gateway.cli.validate import read
from gateway.config.gateway_toml import LimitsConfig
from gateway.errors import ConfigError, Refused
from gateway.goods.form import form_of_file, read_goods
from gateway.goods.register import GoodsOfDay
from gateway.mapping.compile import load_mapping
from gateway.mapping.language import SourceMapping
from gateway.mapping.loading import load_mappings
from gateway.mapping.registered import RegisteredGoods
from gateway.mapping.sources.table import SUFFIXES, SourceLimits, SourceNote
from gateway.mapping.translate import source_limits, usual_form
from gateway.mapping.translated import Translated
from gateway.mapping.translation import FORMS, Source, Translation, open_translation
from gateway.mapping.write import TraceStep
from gateway.model import BEIJING, Fault
from gateway.rules.loading import Rules, load_rules
from gateway.rules.schemas import View

_SHOWN = 60


@click.command("translate")
@document_argument
@click.option("--mapping", "-m", "wanted", help="Name of a mapping, or a file that ends in .toml.")
@click.option(
    "--to-json",
    is_flag=True,
    help="The other way: write the CEB message in FILE, declaration or receipt, as JSON with the names of its elements.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write here instead of stdout; with --split OUT-1.xml, OUT-2.xml … beside it.",
)
@click.option("--split", is_flag=True, help="Make several messages where customs does not take all in one.")
@click.option(
    "--trace", is_flag=True, help="Say on stdout where each field came from; the document goes to -o only."
)
@click.option("--charset", default="", help="Of CSV: utf-8 (default), utf-16, gb18030, gbk or gb2312.")
@click.option("--delimiter", default="", help="Of CSV, where the head row does not tell it.")
@click.option(
    "--app-time",
    default="",
    help="YYYYMMDDhhmmss, Beijing time, for mappings that ask for it; without it the time at which FILE was changed.",
)
@click.option(
    "--goods",
    "goods_file",
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
    help="Goods that the mapping looks things up in, as handed in with PUT /v1/goods (.json, .xlsx, else CSV in UTF-8).",
)
@click.option("--edition", default="202205", show_default=True, help="Edition of the customs schemas.")
@click.option(
    "--rules-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with xsd/ and mappings/ to use in place of the built-in ones.",
)
@click.option(
    "--mappings-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of own mappings, as accept.mappings_dir.",
)
@json_option
def translate_(
    *,
    document: Path,
    wanted: str | None,
    to_json: bool,
    out: Path | None,
    split: bool,
    trace: bool,
    charset: str,
    delimiter: str,
    app_time: str,
    goods_file: Path | None,
    edition: str,
    rules_dir: Path | None,
    mappings_dir: Path | None,
    as_json: bool,
) -> None:
    """Translate FILE and check the outcome. Exit code 1: the source or what became of it is not in order.

    The document is the one that POST /v1/messages?mapping=M would keep: the same source gives the same bytes. It is
    written only when it is in order. Faults name the place in FILE beside the XPath.
    With --json: a line for each field (--trace), then one for each message.

    With --to-json the mapping json-311 (of the message's number) makes the same values of what is written, docs/sheets.md.
    """
    if to_json == (wanted is not None):
        raise click.UsageError("either --mapping, or --to-json")
    if split and out is None:
        raise click.UsageError("--split needs -o: several messages do not fit into one output")
    rules = load_rules(rules_dir, edition)
    if wanted is None:
        write_as_json(document, rules, out, as_json=as_json)
        return
    mapping = _mapping(wanted, rules, rules_dir, mappings_dir)
    given = _Given(charset=charset, delimiter=delimiter, app_time=app_time)
    try:
        translation = _open(document, mapping, _goods(goods_file), given, split=split)
        whole = _judged(translation, document, rules, split=split, as_json=as_json)
        if trace:
            _trace(translation, split=split, as_json=as_json)
    except Refused as refused:
        _refuse(document, mapping, refused.faults, as_json=as_json)
        return
    if not whole:
        click.get_current_context().exit(NOT_IN_ORDER)
    for made, file in zip(_messages(translation, split=split), _files(out, split=split), strict=False):
        if file is not None or not (trace or as_json):
            deliver(made.document, file)
        _tell(document, mapping, made, (), file=file, as_json=as_json)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """What is said of the source beside its name."""

    charset: str
    delimiter: str
    app_time: str


def _judged(translation: Translation, document: Path, rules: Rules, *, split: bool, as_json: bool) -> bool:
    """Check every message, and tell what is wrong; say whether all is in order. Raises Refused."""
    whole = True
    for made in _messages(translation, split=split):
        if faults := _faults(made, rules):
            whole = False
            _tell(document, translation.mapping, made, faults, file=None, as_json=as_json)
    for note in translation.notes:
        _tell_note(note, as_json=as_json)
    return whole


def _trace(translation: Translation, *, split: bool, as_json: bool) -> None:
    """Show where each field comes from, and what of the source no rule reads."""
    for made in _messages(translation, split=split):
        _tell_steps(made.steps(), as_json=as_json)
    for place in translation.unconsumed:
        if as_json:
            emit({"unconsumed": place})
        else:
            echo(f"–  <- {place}  (read by no rule)")


def _mapping(wanted: str, rules: Rules, rules_dir: Path | None, own_dir: Path | None) -> SourceMapping:
    if wanted.endswith(".toml"):
        return load_mapping(Path(wanted), rules)
    known = load_mappings(rules, rules_dir, own_dir)
    if wanted not in known:
        raise ConfigError(
            f"there is no mapping {wanted}",
            where="--mapping",
            fix="gateway mapping list names them; or the path of a .toml file; --mappings-dir adds your own",
        )
    return known[wanted]


def _goods(file: Path | None) -> RegisteredGoods | None:
    """Read the goods as they are today. Raises Refused."""
    if file is None:
        return None
    return GoodsOfDay(
        read_goods(read(file), form_of_file(file.name)), datetime.now(BEIJING).strftime("%Y%m%d")
    )


def _open(
    document: Path, mapping: SourceMapping, goods: RegisteredGoods | None, given: "_Given", *, split: bool
) -> Translation:
    """Open the source; what has to become one message has the gateway's limits on submissions. Raises Refused."""
    form = SUFFIXES.get(document.suffix.lower())
    source = Source(
        content=click.get_current_context().with_resource(document.open("rb")) if split else read(document),
        form=form if form in FORMS[mapping.source] else usual_form(mapping),
        charset=given.charset,
        delimiter=given.delimiter,
        app_time=given.app_time or changed_at(document),
    )
    limits = SourceLimits() if split else source_limits(LimitsConfig())
    return open_translation(mapping, source, goods, limits=limits)


def _faults(made: Translated, rules: Rules) -> tuple[Fault, ...]:
    judged = check_document(made.document, rules, View.DECLARED)
    return made.located(judged.faults) if made.faults or judged.faults else ()


def _messages(translation: Translation, *, split: bool) -> Iterator[Translated]:
    """Yield the messages; with `split`, as many as it takes, refused declarations in one with the others."""
    if not split:
        yield translation.whole()
        return
    for portion in translation.portions():
        bodies = sorted((*portion.bodies, *portion.refused), key=lambda one: one.ordinal)
        yield translation.message(bodies)


def _files(out: Path | None, *, split: bool) -> Iterator[Path | None]:
    if out is None or not split:
        yield out
        return
    for number in count(1):
        yield out.with_name(f"{out.stem}-{number}{out.suffix or '.xml'}")


def _refuse(document: Path, mapping: SourceMapping, faults: Sequence[Fault], *, as_json: bool) -> None:
    """Report why the source cannot be read, and exit."""
    if as_json:
        emit({"file": str(document), "mapping": mapping.name, "valid": False, "faults": faults})
    else:
        tell_faults(document, faults)
    click.get_current_context().exit(NOT_IN_ORDER)


def _tell(
    document: Path,
    mapping: SourceMapping,
    made: Translated,
    faults: Sequence[Fault],
    *,
    file: Path | None,
    as_json: bool,
) -> None:
    if as_json:
        emit(
            {
                "file": str(document),
                "mapping": mapping.name,
                "valid": not faults,
                "message_type": mapping.kind.name,
                "declarations": made.declarations,
                "sha256": hashlib.sha256(made.document).hexdigest(),
                "out": str(file or ""),
                "faults": faults,
            }
        )
    elif faults:
        tell_faults(document, faults)
    elif file is not None:
        echo(f"{file}: {mapping.kind.name}, {made.declarations} declarations", err=True)


def tell_faults(document: Path, faults: Sequence[Fault]) -> None:
    """Say on stderr what is wrong with a source, each fault with its place there and in the message."""
    say("error", f"{document}: {len(faults)} found")
    for fault in faults:
        source = getattr(fault, "source", "")
        line = f"line {fault.line}, column {fault.column}" if fault.line else ""
        echo(
            f"  {'  '.join(part for part in (source, line, fault.path, f'[{fault.rule}]') if part)}", err=True
        )
        echo(f"    {fault.message}", err=True)
        echo(f"    {fault.message_zh}", err=True)
        echo(f"    fix: {fault.fix}", err=True)
        echo(f"    改正：{fault.fix_zh}", err=True)


def _tell_note(note: SourceNote, *, as_json: bool) -> None:
    if as_json:
        emit({"note": note.rule, "sheet": note.sheet, "count": note.count, "message": note.message})
        return
    place = f"{note.sheet}: " if note.sheet else ""
    echo(f"{place}{note.message}", err=True)
    echo(f"{place}{note.message_zh}", err=True)


def _tell_steps(steps: Iterable[TraceStep], *, as_json: bool) -> None:
    """Show where each field came from; values are cut to 60 characters and shown on stdout only."""
    for step in steps:
        value = None if step.value is None else step.value[:_SHOWN]
        if as_json:
            emit({"target": step.target, "source": step.source, "function": step.function, "value": value})
        else:
            shown = "–" if value is None else repr(value)
            echo(f"{step.target}  {shown}  <- {step.source or 'the mapping'}  ({step.function})")
