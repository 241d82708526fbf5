"""`gateway validate`: checks documents offline, as on submission or exactly by the schema of customs."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.cli import tables
from gateway.cli.advice import new_adviser, summary, tell_advice
from gateway.cli.document_check import CheckedDocument, advice_on_document, check_document
from gateway.cli.failure import NOT_IN_ORDER
from gateway.cli.options import documents, files_argument, json_option
from gateway.cli.output import emit
from gateway.cli.terminal import echo
from gateway.errors import ConfigError
from gateway.model import Fault
from gateway.rules.fitting_editions import fits_edition
from gateway.rules.loading import RULES, Rules, load_rules
from gateway.rules.schemas import View
from gateway.submission.pipeline import advising
from gateway.views.api import AdviceView


@click.command()
@files_argument
@click.option("--edition", default="202205", show_default=True, help="Edition of the customs schemas.")
@click.option(
    "--sendable", is_flag=True, help="Judge exactly as customs' schema does: 621, 623, 625 and 711 signed."
)
@click.option(
    "--rules-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with xsd/ and mappings/ to use in place of the built-in ones.",
)
@click.option(
    "--advise", is_flag=True, help="Say as well what customs is likely to object to in what is valid."
)
@click.option(
    "--advice-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="With --advise: folder of your own rules and tables, as rules.advice_dir of the configuration.",
)
@json_option
def validate(
    *,
    paths: tuple[Path, ...],
    edition: str,
    sendable: bool,
    rules_dir: Path | None,
    advise: bool,
    advice_dir: Path | None,
    as_json: bool,
) -> None:
    """Check declarations, receipts and envelopes; folders are searched for *.xml. Exit code 1: one is invalid.

    An envelope (DxpMsg, DxpMsgSv, DxpRep) is checked, and then the document in its Data: the path of a fault
    in there begins with the path of Data, its line counts inside that document.
    A fault that another edition beside this one would not find says so.
    Signatures are not verified: `gateway verify` does that. Advice makes nothing invalid.
    """
    if advice_dir is not None and not advise:
        raise click.UsageError("--advice-dir goes with --advise")
    known = _known_edition(edition, rules_dir)
    rules = load_rules(rules_dir, edition, advice_dir=advice_dir)
    others = [name for name in known if name != edition]
    give_advice = advising(new_adviser(rules), datetime.now(UTC))
    view = View.SENDABLE if sendable else View.DECLARED
    valid = True
    for file in tables.progress(documents(paths), "validating", speaks=True):
        body = read(file)
        judged = _compared(check_document(body, rules, view), body, view, rules, others)
        valid = valid and not judged.faults
        advice = () if judged.faults or not advise else advice_on_document(body, rules, give_advice)
        if as_json:
            emit(
                {
                    "file": str(file),
                    "valid": not judged.faults,
                    "message_type": judged.message_type,
                    "edition": edition,
                    "faults": judged.faults,
                    **({"advice": advice} if advise else {}),
                }
            )
        else:
            _tell(file, judged, edition, advice)
    if not valid:
        click.get_current_context().exit(NOT_IN_ORDER)


def read(file: Path) -> bytes:
    """Read a file that was named on the command line; raises ConfigError."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"cannot read the file: {error.strerror}", where=str(file), fix="check path and permissions"
        ) from error


def _compared(
    judged: CheckedDocument, body: bytes, view: View, rules: Rules, editions: Sequence[str]
) -> CheckedDocument:
    """Say of each fault in which of these editions it would be none. Raises RulesError for a broken edition."""
    if not judged.faults:
        return judged
    found = {name: check_document(body, rules.for_edition(name), view).faults for name in editions}
    return replace(judged, faults=fits_edition(judged.faults, found))


def _known_edition(edition: str, rules_dir: Path | None) -> list[str]:
    """Return the names of the editions there are. Raises UsageError when this is none of them."""
    folder = (rules_dir or RULES) / "xsd"
    known = sorted(path.name for path in folder.glob("*") if next(path.rglob("*.xsd"), None))
    if edition not in known:
        raise click.UsageError(f"there is no edition {edition} in {folder}; there is: {', '.join(known)}")
    return known


def _tell(file: Path, judged: CheckedDocument, edition: str, advice: Sequence[AdviceView]) -> None:
    kind = f" ({judged.message_type}, edition {edition})" if judged.message_type else ""
    if not judged.faults:
        echo(f"{file}: valid{kind}{f', advice: {summary(advice)}' if advice else ''}")
        tell_advice(advice)
        return
    echo(f"{file}: NOT valid{kind}, {len(judged.faults)} found")
    for fault in judged.faults:
        echo(f"  {_place(fault)}")
        echo(f"    {fault.message}")
        echo(f"    {fault.message_zh}")
        echo(f"    fix: {fault.fix}")
        echo(f"    改正：{fault.fix_zh}")
        if fault.code:
            echo(f"    customs would answer / 海关将返回: {fault.code}")


def _place(fault: Fault) -> str:
    line = f"line {fault.line}" if fault.line else ""
    column = f"column {fault.column}" if fault.column else ""
    where = ", ".join(part for part in (line, column) if part)
    return "  ".join(part for part in (where, fault.path, fault.name_zh, f"[{fault.rule}]") if part)
