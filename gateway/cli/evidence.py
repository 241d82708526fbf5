"""`gateway evidence`: exports one file that proves what happened to one message; anybody can verify it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

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
from gateway.evidence.verification import EvidenceFinding, FindingMark, verify_bundle
from gateway.keys.node_key import node_key
from gateway.upkeep.retention import archive_dir
from spool.archive import Archive
from spool.archived import Archived
from spool.note import NoteError, VerifierKey, verifier_key
from spool.store import Spool

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
        exporter = EvidenceExporter(spool=spool, rules=rules_of(config), config=config, key=node_key(config))
        content = encode(exporter.bundle(message, redact=redact))
    deliver(content, out)


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
@json_option
def verify(document: Path, keys: tuple[str, ...], origin: str, as_json: bool) -> None:
    """Verify FILE with nothing but the public key, and say what is proven and what is not.

    Needs no network, no configuration, no gateway. Exit code 1: something in it is broken.
    """
    findings = verify_bundle(document.read_bytes(), read_keys(keys), origin=origin)
    holds = all(one.mark is not FindingMark.BROKEN for one in findings)
    if as_json:
        emit({"file": str(document), "holds": holds, "findings": findings})
    else:
        _tell(findings, holds=holds)
    if not holds:
        click.get_current_context().exit(NOT_IN_ORDER)


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
