"""Writes a CEB message as JSON, for `gateway translate --to-json`."""

import json
from pathlib import Path

import click

from gateway.cli.document_check import check_document
from gateway.cli.failure import NOT_IN_ORDER, say
from gateway.cli.output import deliver, emit
from gateway.cli.terminal import echo
from gateway.cli.validate import read
from gateway.config.gateway_toml import LimitsConfig
from gateway.mapping.to_json import message_as_json
from gateway.rules.loading import Rules
from gateway.rules.schemas import CEB_NAMESPACE, View
from gateway.xml.decode import decode


def write_as_json(document: Path, rules: Rules, out: Path | None, *, as_json: bool) -> None:
    """Write the message in a file as JSON, or say what is wrong with it and exit."""
    body = read(document)
    judged = check_document(body, rules, View.DECLARED)
    known = judged.message_type and rules.schemas.namespace_of(judged.message_type) == CEB_NAMESPACE
    if judged.faults:
        if as_json:
            emit({"file": str(document), "valid": False, "faults": judged.faults})
        else:
            say("error", f"{document}: {len(judged.faults)} found", fix=f"gateway validate {document}")
    elif not known:
        say(
            "error",
            f"{document} is no CEB message",
            fix="gateway envelope unwrap takes one out of its envelope",
        )
    else:
        written = message_as_json(decode(body, LimitsConfig()), rules.schemas)
        deliver(f"{json.dumps(written, ensure_ascii=False, indent=None if as_json else 2)}\n".encode(), out)
        if out is not None:
            echo(f"{out}: {judged.message_type}", err=True)
        return
    click.get_current_context().exit(NOT_IN_ORDER)
