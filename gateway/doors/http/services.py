"""Services that every handler of the HTTP door uses: authentication, success and problem responses."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from gateway.config.gateway_toml import ImportsConfig
from gateway.config.in_force import ConfigState
from gateway.doors.http.authenticate import Authenticator, Unauthenticated
from gateway.doors.http.credentials import Credentials
from gateway.doors.http.long_poll import LongPoll
from gateway.doors.http.request_signature import OTHER_BODY
from gateway.evidence.exporter import EvidenceExporter
from gateway.goods.cache import RegisterCache
from gateway.imports.taking import SpoolThread
from gateway.judges.advising import Advising
from gateway.judges.pool import Pool
from gateway.mapping.language import SourceMapping
from gateway.model import Enterprise, Fault
from gateway.observe.defects import defect
from gateway.observe.log import log
from gateway.observe.metrics import Meter
from gateway.parcels.reading import ParcelReader
from gateway.problems import MEDIA_TYPE, PROBLEMS, problem_document
from gateway.receipts.learning.known_cures import KnownCures
from gateway.rules.loading import Rules
from gateway.submission.intake import Intake
from gateway.upkeep.watermarks import Gauge
from spool.archive import Archive
from spool.errors import SpoolError
from spool.store import Spool

RETRY_AFTER_S: Final = "5"
_NONE: Final[Mapping[str, str]] = MappingProxyType({})
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpServices:
    """What the handlers need; one instance for the life of the process."""

    intake: Intake
    spool: Spool
    rules: Rules
    size_bytes: int
    refuse_wait_s: float
    """`signing.refuse_wait_s`."""
    authenticator: Authenticator
    long_poll: LongPoll
    pool: Pool
    registers: RegisterCache
    advising: Advising
    gauge: Gauge
    meter: Meter
    exporter: EvidenceExporter
    archive: Archive
    cures: KnownCures
    mappings: Mapping[str, SourceMapping]
    """By name."""
    uploads: SpoolThread
    """Through which sources come into the spool."""
    reports: SpoolThread
    """In which what takes long is read from it."""
    imports: ImportsConfig
    folder: Path
    """Where temporary files may be."""
    parcels: ParcelReader
    metrics_token: str
    """Token that `/metrics` requires; empty: its caller must be on this machine."""
    config_state: ConfigState
    near: bool
    """The door is on loopback, and no proxy is configured that forwards requests from elsewhere to it."""


class HttpResponse(msgspec.Struct, frozen=True):
    """A complete answer, ready to be written."""

    status: int
    body: bytes
    media_type: str
    headers: Mapping[str, str]
    """Besides length and type. With `Connection: close` the connection ends after it."""
    delay_s: float = 0.0
    """Delay before sending; only for answers to unauthenticated callers."""


class ProblemError(Exception):
    """An RFC 9457 answer, raised as an exception."""

    def __init__(
        self, problem: str, *faults: Fault, headers: Mapping[str, str] | None = None, delay_s: float = 0.0
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.faults = faults
        self.headers = headers
        self.delay_s = delay_s


def caller_of(shown: Credentials, services: HttpServices) -> Enterprise:
    """Say who is asking. Raises Problem."""
    found = services.authenticator.authenticate(shown)
    if isinstance(found, Unauthenticated):
        raise ProblemError(found.problem, *found.faults, headers=found.headers, delay_s=found.delay_s)
    return found


def too_large() -> ProblemError:
    """Return the problem of a body over the limit; the connection ends, so that the rest need not be read."""
    return ProblemError("too-large", headers={"Connection": "close"})


def check_announced(content_length: str, at_most: int) -> None:
    """Check the announced length of a body, in bytes; an empty text announces nothing. Raises ProblemError."""
    if content_length.isdigit() and int(content_length) > at_most:
        raise too_large()


def check_promised(body: bytes, promised: str) -> bytes:
    """Return the SHA-256 of a body. Raises ProblemError when the signed request promised another one (hex)."""
    digest = hashlib.sha256(body)
    if promised and digest.hexdigest() != promised:
        raise ProblemError("unauthorised", OTHER_BODY)
    return digest.digest()


def ok_response(value: object, status: int = 200, headers: Mapping[str, str] = _NONE) -> HttpResponse:
    """Return the answer with a view."""
    return HttpResponse(status, _encode(value), "application/json", headers)


def problem_response(
    problem: str,
    path: str,
    faults: tuple[Fault, ...] = (),
    headers: Mapping[str, str] | None = None,
    *,
    delay_s: float = 0.0,
) -> HttpResponse:
    """Return the answer with the document of a problem; `path` is what was requested."""
    document = problem_document(problem, faults, instance=path)
    return HttpResponse(
        PROBLEMS[problem].status.value, _encode(document), MEDIA_TYPE, headers or _NONE, delay_s
    )


def log_failure(error: Exception, path: str, operation: str, meter: Meter) -> HttpResponse:
    """Return the answer for a request that ended in an exception; count it, and log what is not the caller's fault."""
    match error:
        case ProblemError():
            meter.answered(operation, error.problem)
            return problem_response(error.problem, path, error.faults, error.headers, delay_s=error.delay_s)
        case SpoolError():
            log("spool.unavailable", path=path, error=str(error))
            meter.answered(operation, "unavailable")
            return problem_response("unavailable", path, headers={"Retry-After": RETRY_AFTER_S})
        case _:
            defect("request.failed", error, path=path)
            meter.answered(operation, "internal-error")
            return problem_response("internal-error", path)
