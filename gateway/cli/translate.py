"""`gateway translate`: translates JSON or CSV to CEB messages by a mapping, and traces each field's origin."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import click

from gateway.cli.document_check import check_document
from gateway.cli.failure import NOT_IN_ORDER, say
from gateway.cli.options import document_argument, json_option
from gateway.cli.output import deliver, emit
from gateway.cli.terminal import echo
from gateway.cli.to_json import write_as_json
from gateway.cli.validate import read
from gateway.config.gateway_toml import LimitsConfig
from gateway.errors import ConfigError, Refused
from gateway.goods.form import CSV, JSON, read_goods
from gateway.goods.register import GoodsOfDay
from gateway.mapping.compile import load_mapping
from gateway.mapping.language import SourceMapping
from gateway.mapping.loading import load_mappings
from gateway.mapping.registered import RegisteredGoods
from gateway.mapping.translate import Translated, translate, translate_split
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
@click.option("--charset", default="", help="Of CSV: utf-8 (default), gb18030, gbk or gb2312.")
@click.option(
    "--goods",
    "goods_file",
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
    help="Goods that the mapping looks things up in, as handed in with PUT /v1/goods (.json, else CSV in UTF-8).",
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
    made = _translate(document, mapping, charset, _goods(goods_file), split=split)
    if isinstance(made, Refused):
        _refuse(document, mapping, made.faults, as_json=as_json)
        return
    judged = [(one, _faults(one, rules)) for one in made]
    if trace:
        for one, _ in judged:
            _tell_steps(one.steps(), as_json=as_json)
    whole = not any(faults for _, faults in judged)
    files = _files(out, len(made), split=split)
    for (one, faults), file in zip(judged, files, strict=True):
        if whole and (file is not None or not (trace or as_json)):
            deliver(one.document, file)
        _tell(document, mapping, one, faults, file=file if whole else None, as_json=as_json)
    if not whole:
        click.get_current_context().exit(NOT_IN_ORDER)


def _mapping(wanted: str, rules: Rules, rules_dir: Path | None, own_dir: Path | None) -> SourceMapping:
    if wanted.endswith(".toml"):
        return load_mapping(Path(wanted), rules.schemas, rules.catalogue)
    known = load_mappings(rules, rules_dir, own_dir)
    if wanted not in known:
        raise ConfigError(
            f"there is no mapping {wanted}",
            where="--mapping",
            fix=f"one of {', '.join(known) or 'none'}, or the path of a .toml file; --mappings-dir adds your own",
        )
    return known[wanted]


def _goods(file: Path | None) -> RegisteredGoods | None:
    """Read the goods as they are today. Raises Refused."""
    if file is None:
        return None
    form = JSON if file.suffix.lower() == ".json" else CSV
    return GoodsOfDay(read_goods(read(file), form), datetime.now(BEIJING).strftime("%Y%m%d"))


def _translate(
    document: Path, mapping: SourceMapping, charset: str, goods: RegisteredGoods | None, *, split: bool
) -> Sequence[Translated] | Refused:
    """Translate with the gateway's limits on submissions, or with the file's own size as limit if `split`."""
    body, limits = read(document), LimitsConfig()
    try:
        if split:
            roomy = LimitsConfig(size_bytes=len(body) + 1, depth=limits.depth, elements=len(body) + 1)
            return translate_split(body, mapping, roomy, charset=charset, goods=goods)
        return (translate(body, mapping, limits, charset=charset, goods=goods),)
    except Refused as refused:
        return refused


def _faults(made: Translated, rules: Rules) -> tuple[Fault, ...]:
    judged = check_document(made.document, rules, View.DECLARED)
    return made.located(judged.faults) if made.faults or judged.faults else ()


def _files(out: Path | None, count: int, *, split: bool) -> Iterable[Path | None]:
    if out is None or not split:
        return [out] * count
    return [out.with_name(f"{out.stem}-{number}{out.suffix or '.xml'}") for number in range(1, count + 1)]


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
    count = len(made.writing.portion.items)
    if as_json:
        emit(
            {
                "file": str(document),
                "mapping": mapping.name,
                "valid": not faults,
                "message_type": mapping.kind.name,
                "declarations": count,
                "sha256": hashlib.sha256(made.document).hexdigest(),
                "out": str(file or ""),
                "faults": faults,
            }
        )
    elif faults:
        tell_faults(document, faults)
    elif file is not None:
        echo(f"{file}: {mapping.kind.name}, {count} declarations", err=True)


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


def _tell_steps(steps: Iterable[TraceStep], *, as_json: bool) -> None:
    """Show where each field came from; values are cut to 60 characters and shown on stdout only."""
    for step in steps:
        value = None if step.value is None else step.value[:_SHOWN]
        if as_json:
            emit({"target": step.target, "source": step.source, "function": step.function, "value": value})
        else:
            shown = "–" if value is None else repr(value)
            echo(f"{step.target}  {shown}  <- {step.source or 'the mapping'}  ({step.function})")
