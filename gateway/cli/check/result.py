"""The result of one probe of `gateway check`."""

from dataclasses import dataclass
from enum import StrEnum

from gateway.errors import GatewayError
from spool.errors import SpoolError


class Grade(StrEnum):
    """The outcome of a probe."""

    OK = "ok"
    NOTE = "note"
    """In order, and worth knowing."""
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The result of one probe."""

    name: str
    """What was checked: `key node`, `destination customs`."""
    grade: Grade
    detail: str
    fix: str = ""


def failed(name: str, error: GatewayError | SpoolError) -> Check:
    """Turn an error into a failed check."""
    detail = f"{error.what} ({error.where})" if error.where else error.what
    return Check(name=name, grade=Grade.FAIL, detail=detail, fix=error.fix)
