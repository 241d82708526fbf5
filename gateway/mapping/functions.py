"""The complete list of functions that a mapping can apply to a text. Pure; numbers are never converted to float."""

import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from typing import Final, Protocol

from gateway.model import BEIJING

"""Times in CEB messages are Beijing time (docs/spec/codes.md, returnTime)."""
NAMED_FORMS: Final = ("iso", "unix", "unix_ms")
FOURTEEN: Final = "YYYYMMDDhhmmss"

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_NUMBER_LENGTH: Final = 60
_EXACT: Final = Context(prec=400)
"""More digits than any number of `_NUMBER_LENGTH` characters needs when written out without its exponent."""
_FARTHEST: Final = 100
"""Largest power of ten, positive or negative, of a number."""
_PARTS: Final = {
    "YYYY": ("year", "[0-9]{4}", 4), "MM": ("month", "[0-9]{2}", 2), "DD": ("day", "[0-9]{2}", 2),
    "hh": ("hour", "[0-9]{2}", 2), "mm": ("minute", "[0-9]{2}", 2), "ss": ("second", "[0-9]{2}", 2),
}  # fmt: skip
_PART: Final = re.compile("|".join(_PARTS))
_ISO: Final = re.compile(
    r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})[T ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):"
    r"(?P<second>[0-9]{2})(?:\.[0-9]{1,9})?(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})?"
)
_SECONDS: Final = re.compile(r"[0-9]{1,15}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:customs-exchange-gateway:mapping")


class NotApplicableError(Exception):
    """The function cannot handle the text; `rule` is a key of `gateway.mapping.faults`."""

    def __init__(self, rule: str, **facts: str) -> None:
        super().__init__(rule)
        self.rule = rule
        self.facts = facts


class Function(Protocol):
    """One step from text to text."""

    @property
    def shown(self) -> str:
        """Its name in the trace."""

    def __call__(self, text: str) -> str:
        """Return the new text. Raises NotApplicableError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounded:
    """Scale a number, then round it half up (away from zero) to a fixed number of decimal places."""

    places: int
    scale: int = 0
    """The number is multiplied by ten to this power: -2 converts fen to yuan."""

    @property
    def shown(self) -> str:
        """Its name in the trace."""
        return f"decimal {self.places}" + (f" scale {self.scale}" if self.scale else "")

    def __call__(self, text: str) -> str:
        """Scale and round with exact decimals. Raises NotApplicableError."""
        if len(text) > _NUMBER_LENGTH or not _NUMBER.fullmatch(text):
            raise NotApplicableError("not_a_number")
        number = Decimal(text)
        if number and abs(number.adjusted()) > _FARTHEST:
            raise NotApplicableError("not_a_number")
        moved = number.scaleb(self.scale, _EXACT)
        rounded = moved.quantize(Decimal(1).scaleb(-self.places), ROUND_HALF_UP, _EXACT)
        return f"{rounded or abs(rounded):f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """Read a time in one of several forms and write it in another; a time with an offset becomes Beijing time."""

    forms: tuple[str, ...]
    """`iso`, `unix` (seconds), `unix_ms`, or a pattern of YYYY MM DD hh mm ss and other characters."""
    to: str = FOURTEEN

    @property
    def shown(self) -> str:
        """Its name in the trace."""
        return f"time {' or '.join(self.forms)} to {self.to}"

    def __call__(self, text: str) -> str:
        """Read the text by the first form that matches. Raises NotApplicableError."""
        for form in self.forms:
            found = _read_time(text, form)
            if found is not None:
                return _write_time(found, self.to)
        raise NotApplicableError("not_a_time", forms=", ".join(self.forms))


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """Replace a code of the platform by one of customs."""

    codes: Mapping[str, str]

    @property
    def shown(self) -> str:
        """Its name in the trace."""
        return "map"

    def __call__(self, text: str) -> str:
        """Look up the code; raises NotApplicableError for one that is not in the table, never guesses."""
        found = self.codes.get(text)
        if found is None:
            raise NotApplicableError("unknown_code", known=", ".join(list(self.codes)[:20]))
        return found


def is_time_form(form: str) -> bool:
    """Whether a pattern has each of its parts only once, and at least year, month and day."""
    named = _PART.findall(form)
    return len(set(named)) == len(named) and {"YYYY", "MM", "DD"} <= set(named)


def guid(mapping: str, element: str, key: Iterable[str]) -> str:
    """Return the UUID version 5 of this key in this mapping: 36 upper-case characters, always the same."""
    parts = (mapping, element, *key)
    name = "".join(
        f"{len(part)}:{part}" for part in parts
    )  # with lengths, two different lists of parts cannot give the same name
    return str(uuid.uuid5(_NAMESPACE, name)).upper()


def _read_time(text: str, form: str) -> datetime | None:
    if form in ("unix", "unix_ms"):
        if not _SECONDS.fullmatch(text):
            return None
        seconds = int(text) // (1000 if form == "unix_ms" else 1)
        try:
            return (_EPOCH + timedelta(seconds=seconds)).astimezone(BEIJING)
        except OverflowError:
            return None
    found = (_ISO if form == "iso" else _pattern(form)).fullmatch(text)
    return None if found is None else _moment(found.groupdict())


def _moment(parts: Mapping[str, str | None]) -> datetime | None:
    """Make a time from its parts; None if there is no such time (30 February)."""
    number = {
        name: int(parts.get(name) or 0) for name in ("year", "month", "day", "hour", "minute", "second")
    }
    try:
        moment = datetime(**number, tzinfo=_zone(parts.get("zone")))
        return moment.astimezone(BEIJING)
    except (ValueError, OverflowError):
        return None


def _zone(text: str | None) -> tzinfo:
    """Return the time zone of an ISO time, Beijing if it has no offset. Raises ValueError beyond 24 hours."""
    if not text:
        return BEIJING
    if text == "Z":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[4:6]))
    return timezone(-offset if text[0] == "-" else offset)


def _write_time(moment: datetime, form: str) -> str:
    return _PART.sub(lambda part: f"{getattr(moment, _PARTS[part[0]][0]):0{_PARTS[part[0]][2]}d}", form)


@lru_cache(maxsize=64)
def _pattern(form: str) -> re.Pattern[str]:
    pieces: list[str] = []
    at = 0
    for part in _PART.finditer(form):
        name, digits, _ = _PARTS[part[0]]
        pieces += (re.escape(form[at : part.start()]), f"(?P<{name}>{digits})")
        at = part.end()
    return re.compile("".join(pieces) + re.escape(form[at:]))
