"""`gateway evidence`: exports one file that proves what happened to one message; anybody can verify it."""

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, Final, cast

import click

from gateway.cli.bounded import TookTooMuchError, bounded
from gateway.cli.failure import NOT_IN_ORDER, say
from gateway.cli.id_prefixes import begun
from gateway.cli.open_spool import open_spool, rules_of
from gateway.cli.options import config_option, json_option, out_option
from gateway.cli.output import deliver, emit
from gateway.cli.terminal import echo
from gateway.config.gateway_toml import Config, load_config
from gateway.errors import ConfigError
from gateway.evidence.bundle import encode
from gateway.evidence.exporter import EvidenceExporter
from gateway.evidence.kept_translation import KeptTranslation
from gateway.evidence.verification import EvidenceFinding, FindingMark, repeat_shipped, verify_bundle
from gateway.keys.node_key import node_key
from gateway.provenance.repeat import NotRepeated, RecordedTranslation, RepeatedTranslation, repeated
from gateway.rules.loading import Rules
from gateway.upkeep.retention import archive_dir
from spool.archive import Archive
from spool.archived import Archived
from spool.note import NoteError, VerifierKey, verifier_key
from spool.store import Spool

_EMBEDDED_S: Final = 60.0
_GIVEN_S: Final = 1800.0
_MEMORY_MB: Final = 1024
"""What repeating a translation may take."""
_SIGNS: Final = {
    FindingMark.PROVEN: "proven   ",
    FindingMark.BROKEN: "BROKEN   ",
    FindingMark.OPEN: "not proven",
}


@click.group()
def evidence() -> None:
    """Export and verify what proves the life of a message."""


@evidence.command()
@click.argument("uid", metavar="ID")
@out_option
@click.option("--redact", is_flag=True, help="Digests only: no bytes of the message or of answers.")
@config_option
def export(uid: str, out: Path | None, redact: bool, file: Path) -> None:
    """Write the evidence about message ID, in the spool or in the archive, into one file.

    Exit code 1: there is no such message, or the log does not cover it yet.
    """
    config = load_config(file)
    with open_spool(config) as spool:
        message = _message(spool, config, uid.upper()) or next(
            (_message(spool, config, one) for one in begun(spool, uid)), None
        )
        if message is None:
            say("error", f"there is no message {uid}", fix="`gateway spool list`, `gateway trace`")
            click.get_current_context().exit(NOT_IN_ORDER)
        rules = rules_of(config)
        exporter = EvidenceExporter(spool=spool, rules=rules, config=config, key=node_key(config))
        kept = exporter.kept(message)
        again = None if kept is None else _repeated(kept, rules)
        content = encode(exporter.bundle(message, redact=redact, kept=kept, repeated=again))
    deliver(content, out)


def _repeated(kept: KeptTranslation, rules: Rules) -> RepeatedTranslation | None:
    """Translate again what was kept, whatever its size; None: it is not there any more, or cannot be translated."""
    if not kept.size:
        return None
    with TemporaryFile() as file:
        file.writelines(kept.chunks())
        file.seek(0)
        asked = kept.recorded(cast("BinaryIO", file))
        made = None if asked is None else repeated(asked, rules)
    return made if isinstance(made, RepeatedTranslation) else None


def _message(spool: Spool, config: Config, uid: str) -> Archived | None:
    found = spool.export(uid)
    if found is not None:
        return found
    shelved = Archive(archive_dir(config)).get(uid)
    return None if shelved is None else shelved.message


@evidence.command()
@click.argument("document", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--key",
    "keys",
    required=True,
    multiple=True,
    help="Public key of the node, as `gateway journal key --all` prints it, or a file with lines of it; several for several nodes.",
)
@click.option(
    "--origin", default="", help="Name that the log must have; default: any that the key vouches for."
)
@click.option(
    "--source",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What a translated message was made from, when FILE has only its digest.",
)
@json_option
def verify(document: Path, keys: tuple[str, ...], origin: str, source: Path | None, as_json: bool) -> None:
    """Verify FILE with nothing but the public key, and say what is proven and what is not.

    Needs no network, no configuration, no gateway. A translation is repeated in a process of its own, within one minute of
    processor time and 1 GB (with --source half an hour). Exit code 1: something in it is broken.
    """
    with source.open("rb") if source else nullcontext() as opened:
        repeat = partial(_bounded, cpu_s=_GIVEN_S if opened else _EMBEDDED_S)
        findings = verify_bundle(
            document.read_bytes(), read_keys(keys), origin=origin, source=opened, repeat=repeat
        )
    holds = all(one.mark is not FindingMark.BROKEN for one in findings)
    if as_json:
        emit({"file": str(document), "holds": holds, "findings": findings})
    else:
        _tell(findings, holds=holds)
    if not holds:
        click.get_current_context().exit(NOT_IN_ORDER)


def _bounded(asked: RecordedTranslation, *, cpu_s: float) -> RepeatedTranslation | NotRepeated:
    try:
        return bounded(partial(repeat_shipped, asked), cpu_s=cpu_s, memory_mb=_MEMORY_MB)
    except TookTooMuchError as error:
        return NotRepeated(
            reason=f"it took {error}", reason_zh=f"所需时间或内存超过上限（{error}）", other=True
        )


def _tell(findings: Sequence[EvidenceFinding], *, holds: bool) -> None:
    for mark in (FindingMark.BROKEN, FindingMark.PROVEN, FindingMark.OPEN):
        for one in findings:
            if one.mark is mark:
                echo(f"{_SIGNS[mark]:10}  {one.text}")
                echo(f"{'':10}  {one.text_zh}")
    echo("the evidence holds / 证据有效" if holds else "THE EVIDENCE DOES NOT HOLD / 证据无效：见 BROKEN")


def read_keys(texts: Sequence[str]) -> list[VerifierKey]:
    """Read public keys, given as lines or as files with one key a line. Raises ConfigError."""
    return [key for text in texts for key in _keys_in(text)]


def _keys_in(text: str) -> list[VerifierKey]:
    try:
        lines = text if "+" in text else Path(text).read_text("utf-8")
        found = [verifier_key(line) for line in lines.splitlines() if line.strip()]
        if found:
            return found
        reason = "there is none"
    except (NoteError, OSError, UnicodeDecodeError) as error:
        reason = str(error)
    raise ConfigError(
        f"not a public key: {reason}", where=text, fix="take the line that `gateway journal key` prints"
    )
