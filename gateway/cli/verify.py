"""`gateway verify`: does the signature hold, of whom is it, and what might customs mind."""

from pathlib import Path

import click

from gateway.cli import drawing
from gateway.cli.failure import NOT_IN_ORDER
from gateway.cli.options import documents, files_argument, json_option
from gateway.cli.output import emit, instant
from gateway.cli.validate import read
from gateway.errors import EnvelopeError
from gateway.stages.seal import root_name, unseal
from signing.certificate import CertificateFacts
from signing.verify import Verdict
from signing.verify import verify as verify_signature


@click.command()
@files_argument
@json_option
def verify(paths: tuple[Path, ...], as_json: bool) -> None:
    """Check signature, digest and certificate of each FILE. Exit code 1: one does not hold.

    Of a DxpMsg or DxpMsgSv the document in Data is verified. Whether the certificate can be trusted is not
    asked: there is no list of issuers here.
    """
    valid = True
    for file in drawing.progress(documents(paths), "verifying", speaks=True):
        verdict = _verdict(read(file))
        valid = valid and verdict.valid
        if as_json:
            emit(_view(file, verdict))
        else:
            _tell(file, verdict)
    if not valid:
        click.get_current_context().exit(NOT_IN_ORDER)


def _verdict(body: bytes) -> Verdict:
    if root_name(body) in ("DxpMsg", "DxpMsgSv"):
        try:
            body = unseal(body).business
        except EnvelopeError as error:
            return Verdict(valid=False, reasons=(str(error),))
    return verify_signature(body)


def _view(file: Path, verdict: Verdict) -> dict[str, object]:
    return {
        "file": str(file),
        "valid": verdict.valid,
        "suite": verdict.suite.name if verdict.suite else None,
        "digest_ok": verdict.digest_ok,
        "signature_ok": verdict.signature_ok,
        "certificate": verdict.certificate,
        "warnings": verdict.warnings,
        "reasons": verdict.reasons,
    }


def _tell(file: Path, verdict: Verdict) -> None:
    suite = f" ({verdict.suite.name})" if verdict.suite else ""
    click.echo(f"{file}: {'signature holds' if verdict.valid else 'NOT verified'}{suite}")
    if verdict.certificate is not None:
        click.echo(f"  certificate {_certificate(verdict.certificate)}")
    for reason in verdict.reasons:
        click.echo(f"  because: {reason}")
    for warning in verdict.warnings:
        click.echo(f"  warning: {warning}")


def _certificate(known: CertificateFacts) -> str:
    period = f"{instant(known.not_before)} to {instant(known.not_after)}"
    return f"{known.serial}, {known.key_type} {known.key_bits}, {period}, {known.subject}"
