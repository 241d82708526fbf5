"""What `gateway check` says of one thing."""

from dataclasses import dataclass
from enum import StrEnum

from gateway.errors import GatewayError
from spool.errors import SpoolError


class Grade(StrEnum):
    """How something is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One answer."""

    name: str
    """What was looked at: `key node`, `destination customs`."""
    grade: Grade
    detail: str
    fix: str = ""


def failed(name: str, error: GatewayError | SpoolError) -> Check:
    """Turn an error into an answer."""
    detail = f"{error.what} ({error.where})" if error.where else error.what
    return Check(name=name, grade=Grade.FAIL, detail=detail, fix=error.fix)
