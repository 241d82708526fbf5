"""The complete list of functions that a mapping can apply to a text. Pure; numbers are never converted to float."""

import re
import unicodedata
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import ROUND_HALF_UP, Context, Decimal
from difflib import get_close_matches
from functools import lru_cache
from typing import Final, Protocol

from gateway.model import BEIJING

"""Times in CEB messages are Beijing time (docs/spec/codes.md, returnTime)."""
NAMED_FORMS: Final = ("iso", "unix", "unix_ms", "sheet")
FOURTEEN: Final = "YYYYMMDDhhmmss"
_SHEET: Final = (
    FOURTEEN,
    "YYYYMMDD",
    *(
        f"{day}{clock}"
        for day in ("YYYY-M-D", "YYYY/M/D", "YYYY年M月D日")
        for clock in ("", " h:mm", " h:mm:ss")
    ),
)
"""What `sheet` stands for: times as they stand in spreadsheets."""

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_DIGITS: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
"""What most numbers look like."""
_NUMBER_LENGTH: Final = 60
_EXACT: Final = Context(prec=400)
"""More digits than any number of `_NUMBER_LENGTH` characters needs when written out without its exponent."""
_FARTHEST: Final = 100
"""Largest power of ten, positive or negative, of a number."""
_PARTS: Final = {
    "YYYY": ("year", "[0-9]{4}", 4), "MM": ("month", "[0-9]{2}", 2), "DD": ("day", "[0-9]{2}", 2),
    "hh": ("hour", "[0-9]{2}", 2), "mm": ("minute", "[0-9]{2}", 2), "ss": ("second", "[0-9]{2}", 2),
    "M": ("month", "[0-9]{1,2}", 1), "D": ("day", "[0-9]{1,2}", 1),
    "h": ("hour", "[0-9]{1,2}", 1), "m": ("minute", "[0-9]{1,2}", 1), "s": ("second", "[0-9]{1,2}", 1),
}  # fmt: skip
_PART: Final = re.compile("|".join(_PARTS))
_GROUPED: Final = re.compile(r"[+-]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]*)?")
_NEAR: Final = 3
"""Most entries of a table that a fault names."""
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
        moved = _number(text).scaleb(self.scale, _EXACT)
        rounded = moved.quantize(Decimal(1).scaleb(-self.places), ROUND_HALF_UP, _EXACT)
        return f"{rounded or abs(rounded):f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """Move the point of a number, and keep its digits: 39990 by -2 is 399.90."""

    scale: int

    @property
    def shown(self) -> str:
        """Its name in the trace."""
        return f"scale {self.scale}"

    def __call__(self, text: str) -> str:
        """Move the point exactly. Raises NotApplicableError."""
        return f"{_number(text).scaleb(self.scale, _EXACT):f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainNumber:
    """Take a number as it is written; only one in exponent form is written out."""

    @property
    def shown(self) -> str:
        """Its name in the trace."""
        return "plain number"

    def __call__(self, text: str) -> str:
        """Return it: 13.890 stays 13.890, 1.5e3 is 1500, for customs takes no exponents. Raises NotApplicableError."""
        if _DIGITS.fullmatch(text):
            return text
        number = _number(text)
        return f"{number:f}" if "e" in text.lower() else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Ungrouped:
    """Take out the commas between groups of three digits."""

    @property
    def shown(self) -> str:
        """Its name in the trace."""
        return "grouped"

    def __call__(self, text: str) -> str:
        """Return the number without commas; raises NotApplicableError where they stand elsewhere."""
        text = text.strip()
        if "," not in text:
            return text
        if not _GROUPED.fullmatch(text):
            raise NotApplicableError("not_a_number")
        return text.replace(",", "")


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
        found = _first_time(text.strip(), self.forms)
        if found is None:
            raise NotApplicableError("not_a_time", forms=", ".join(self.forms))
        return _write_time(found, self.to)


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
        found = self.codes.get(text.strip())
        if found is None:
            raise NotApplicableError("unknown_code", known=", ".join(list(self.codes)[:20]))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedUp:
    """Replace a code or a name by what a table says of it."""

    table: str
    """Name of the table, or of the file and its columns."""
    entries: Mapping[str, str]
    """Code, or name as `spelt` has it → what takes its place."""
    names: tuple[str, ...]
    """To name those that are near, when one is not there."""
    exact: bool = False
    """Only as written, white space around it apart."""

    @property
    def shown(self) -> str:
        """Its name in the trace."""
        return f"lookup {self.table}"

    def __call__(self, text: str) -> str:
        """Look it up; raises NotApplicableError for what is not there or not told apart, never guesses."""
        text = text.strip()
        found = self.entries.get(text)
        if not found and not self.exact:
            found = self.entries.get(spelt(text)) or self._both(text)
        if found:
            return found
        near = get_close_matches(text, self.names, _NEAR, cutoff=0.4) or self.names[:_NEAR]
        raise NotApplicableError("not_in_table", table=self.table, near=", ".join(near))

    def _both(self, text: str) -> str | None:
        """Look up a code and a name together, `142-人民币`: both have to mean the same."""
        code, dash, name = spelt(text).partition("-")
        found = self.entries.get(code) if dash else None
        return found if found is not None and found == self.entries.get(name) else None


@lru_cache(maxsize=4096)
def spelt(text: str) -> str:
    """Return a name as names are compared: Unicode NFKC, lower case, without white space."""
    return "".join(unicodedata.normalize("NFKC", text).lower().split())


def is_time_form(form: str) -> bool:
    """Whether a pattern has each of its parts only once, and at least year, month and day."""
    named = _PART.findall(form)
    parts = [_PARTS[one][0] for one in named]
    return len(set(parts)) == len(parts) and {"year", "month", "day"} <= set(parts)


def guid(mapping: str, element: str, key: Iterable[str]) -> str:
    """Return the UUID version 5 of this key in this mapping: 36 upper-case characters, always the same."""
    parts = (mapping, element, *key)
    name = "".join(
        f"{len(part)}:{part}" for part in parts
    )  # with lengths, two different lists of parts cannot give the same name
    return str(uuid.uuid5(_NAMESPACE, name)).upper()


def _number(text: str) -> Decimal:
    """Read a number exactly. Raises NotApplicableError."""
    text = text.strip()
    if len(text) > _NUMBER_LENGTH or not _NUMBER.fullmatch(text):
        raise NotApplicableError("not_a_number")
    number = Decimal(text)
    if number and abs(number.adjusted()) > _FARTHEST:
        raise NotApplicableError("not_a_number")
    return number


@lru_cache(maxsize=4096)
def _first_time(text: str, forms: tuple[str, ...]) -> datetime | None:
    """Read a time by the first form that fits; the same times come again and again."""
    every = (one for form in forms for one in (_SHEET if form == "sheet" else (form,)))
    return next((found for form in every if (found := _read_time(text, form)) is not None), None)


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
