"""`gateway verify`: whether a signature holds, whose it is, what failed and where."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.cli import tables
from gateway.cli.failure import NOT_IN_ORDER
from gateway.cli.options import documents, files_argument, json_option
from gateway.cli.output import emit, instant
from gateway.cli.terminal import echo
from gateway.cli.validate import read
from gateway.errors import ConfigError, EnvelopeError
from gateway.xml.envelope import root_name, unwrap
from signing.errors import SigningError
from signing.keys.certificate import CertificateFacts
from signing.keys.issuers import Issuers
from signing.xml.difference import Difference, first_difference
from signing.xml.verify import SignatureVerdict
from signing.xml.verify import verify as verify_signature


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """The result for one file."""

    file: Path
    verdict: SignatureVerdict
    difference: Difference | None = None


@click.command()
@files_argument
@json_option
@click.option(
    "--original",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The document before it was signed: show where FILE differs from it.",
)
@click.option(
    "--issuers",
    "issuers_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM file of the issuers that the certificate must have; without it, any.",
)
@click.option(
    "--at",
    type=click.DateTime(("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ")),
    help="Judge the certificate's period at this time, UTC; default: now.",
)
def verify(
    *,
    paths: tuple[Path, ...],
    as_json: bool,
    original: Path | None,
    issuers_file: Path | None,
    at: datetime | None,
) -> None:
    """Check signature, digest and certificate of each FILE. Exit code 1: one does not hold.

    Of a DxpMsg or DxpMsgSv the document in Data is verified. The certificate must be in its period. What
    --original shows is content of the document.
    """
    issuers = None if issuers_file is None else _issuers(issuers_file)
    when = None if at is None else at.replace(tzinfo=UTC)
    before = None if original is None else _business(read(original))
    valid = True
    for file in tables.progress(documents(paths), "verifying", speaks=True):
        case = _judge(file, before, issuers, when)
        valid = valid and case.verdict.valid and case.difference is None
        if as_json:
            emit(_view(case, with_difference=before is not None))
        else:
            _tell(case, compared=before is not None)
    if not valid:
        click.get_current_context().exit(NOT_IN_ORDER)


def _issuers(file: Path) -> Issuers:
    try:
        return Issuers.load(file)
    except SigningError as error:
        raise ConfigError(error.what, where=error.where, fix=error.fix) from error


def _judge(file: Path, before: bytes | None, issuers: Issuers | None, at: datetime | None) -> _Case:
    try:
        body = _business(read(file))
        difference = None if before is None else first_difference(body, before)
    except (EnvelopeError, SigningError) as error:
        return _Case(file=file, verdict=SignatureVerdict(valid=False, reasons=(str(error),)))
    return _Case(file=file, verdict=verify_signature(body, at=at, issuers=issuers), difference=difference)


def _business(body: bytes) -> bytes:
    return unwrap(body).business if root_name(body) in ("DxpMsg", "DxpMsgSv") else body


def _view(case: _Case, *, with_difference: bool) -> dict[str, object]:
    verdict = case.verdict
    view = {
        "file": str(case.file),
        "valid": verdict.valid,
        "suite": verdict.suite.name if verdict.suite else None,
        "digest_ok": verdict.digest_ok,
        "signature_ok": verdict.signature_ok,
        "certificate_ok": verdict.certificate_ok,
        "certificate": verdict.certificate,
        "warnings": verdict.warnings,
        "reasons": verdict.reasons,
    }
    return {**view, "difference": case.difference} if with_difference else view


def _tell(case: _Case, *, compared: bool) -> None:
    verdict = case.verdict
    suite = f" ({verdict.suite.name})" if verdict.suite else ""
    echo(f"{case.file}: {'signature holds' if verdict.valid else 'NOT verified'}{suite}")
    if verdict.suite is not None and not verdict.valid:
        parts = (
            ("digest", verdict.digest_ok),
            ("signature", verdict.signature_ok),
            ("certificate", verdict.certificate_ok),
        )
        echo("  " + ", ".join(f"{name} {'ok' if ok else 'FAILED'}" for name, ok in parts))
    if verdict.certificate is not None:
        echo(f"  certificate {_certificate(verdict.certificate)}")
    for reason in verdict.reasons:
        echo(f"  because: {reason}")
    for warning in verdict.warnings:
        echo(f"  warning: {warning}")
    if compared:
        _tell_difference(case.difference)


def _tell_difference(difference: Difference | None) -> None:
    if difference is None:
        echo("  the digested text is that of the original")
        return
    echo(
        f"  differs from the original at byte {difference.offset} of the canonical text, line {difference.line}"
    )
    echo(f"    original: {difference.original!r}")
    echo(f"    here:     {difference.signed!r}")


def _certificate(known: CertificateFacts) -> str:
    period = f"{instant(known.not_before)} to {instant(known.not_after)}"
    return f"{known.serial}, {known.key_type} {known.key_bits}, {period}, {known.subject}"
