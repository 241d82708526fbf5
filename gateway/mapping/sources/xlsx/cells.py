"""The texts of XLSX cells: what a spreadsheet shows of them, with the digits that a double keeps."""

import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from gateway.mapping.sources.table import Bare

_PLAIN: Final = re.compile(r"0|-?[1-9][0-9]{0,14}")
"""An integer that a double keeps."""
_SHORT: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,6})\.[0-9]{0,6}[1-9]")
"""A fraction with so few digits that 15 show all of them."""
_NUMBER: Final = re.compile(
    r"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,3})?"
)
_KEPT: Final = 10**15
"""From here on a double does not keep every decimal digit."""
_ESCAPE: Final = re.compile("_x([0-9A-Fa-f]{4})_")
_SURROGATES: Final = range(0xD800, 0xE000)
_LITERAL: Final = re.compile(
    r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]|AM/PM|A/P|上午/下午|General|通用格式|G/', re.IGNORECASE
)
"""Parts of a number format that show no part of a date: texts, colours, languages, conditions."""
_ELAPSED: Final = re.compile(r"\[(?:h+|m+|s+)\]", re.IGNORECASE)
_BUILT_IN_DATES: Final = frozenset({*range(14, 18), *range(27, 32), 36, *range(50, 55), 57, 58})
_BUILT_IN_TIMES: Final = frozenset({*range(18, 23), *range(32, 36), 45, 47, 55, 56})
"""Numbers of built-in formats (ECMA-376 part 1, 18.8.30); 22 has both, and 27 to 58 are those of Chinese."""
_BOTH: Final = 22
_LAST_SERIAL: Final = 2_958_466
"""1 January 10000 in the system of 1900."""
_NO_SUCH_DAY: Final = 60
"""29 February 1900, which spreadsheets have and the calendar has not."""
_DAY_S: Final = 86_400
NO_VALUE: Final = Bare("=")
"""A formula whose value was not stored."""
_WORDS: Final = {"1": Bare("true"), "0": Bare("false"), "true": Bare("true"), "false": Bare("false")}


class WrongCellError(Exception):
    """A cell that no spreadsheet writes."""


def number(written: str) -> Bare:
    """Return a number as a spreadsheet shows it, to 15 digits and without an exponent: 12.300000000000001 → 12.3.

    From 10^15 up it stays as written, since its last digits are lost. Raises WrongCellError if it is no number.
    """
    if _PLAIN.fullmatch(written) or _SHORT.fullmatch(written):
        return Bare(written)
    text = written.strip()
    if not _NUMBER.fullmatch(text):
        raise WrongCellError(text)
    value = float(text)
    if not abs(value) < _KEPT:
        return Bare(text)
    shown = format(Decimal(f"{value:.15g}"), "f")
    return Bare("0" if shown.strip("-0.") == "" else shown)


def word(written: str) -> Bare:
    """Return a boolean as JSON writes it. Raises WrongCellError."""
    found = _WORDS.get(written.strip())
    if found is None:
        raise WrongCellError(written)
    return found


def unescaped(text: str) -> str:
    """Decode `_x000D_` and the like (ECMA-376 part 1, 22.9.2.19); halves of surrogate pairs stay as they are."""
    return _ESCAPE.sub(_character, text) if "_x" in text else text


def _character(found: re.Match[str]) -> str:
    code = int(found[1], 16)
    return found[0] if code in _SURROGATES else chr(code)


def shows_date(format_id: int, code: str) -> tuple[bool, bool]:
    """Say whether a number format shows a day, and whether a time of day; `code`: empty for a built-in one."""
    if not code:
        return format_id in _BUILT_IN_DATES or format_id == _BOTH, format_id in _BUILT_IN_TIMES
    shown = _LITERAL.sub("", code.partition(";")[0]).lower()
    if _ELAPSED.search(shown):
        return False, False
    times = "h" in shown or "s" in shown
    return "y" in shown or "d" in shown or ("m" in shown and not times), times


def moment(written: str, *, day: bool, time: bool, since_1904: bool) -> str:
    """Return a serial number as `YYYY-MM-DD`, `YYYY-MM-DD hh:mm:ss` or `hh:mm:ss`.

    Rounded to the second; the time is written if the format shows it, or if there is one. A number that is no day
    stays a number. Raises WrongCellError if it is no number.
    """
    if not _NUMBER.fullmatch(written.strip()):
        raise WrongCellError(written)
    serial = float(written)
    if not 0 <= serial < _LAST_SERIAL:
        return number(written)
    days, seconds = divmod(round(serial * _DAY_S), _DAY_S)
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    if not day and not days:
        return clock
    date = _day(days, since_1904=since_1904)
    return f"{date} {clock}" if seconds or time else date


def _day(days: int, *, since_1904: bool) -> str:
    if since_1904:
        first = datetime(1904, 1, 1)  # noqa: DTZ001 (a day of a sheet has no zone)
    elif days == _NO_SUCH_DAY:
        return "1900-02-29"
    else:
        first = datetime(1899, 12, 31) if days < _NO_SUCH_DAY else datetime(1899, 12, 30)  # noqa: DTZ001
    return f"{first + timedelta(days=days):%Y-%m-%d}"


def iso_moment(written: str) -> str:
    """Return a date that is stored as ISO 8601 (cells of type `d`) in the same form."""
    return written.strip().replace("T", " ").removesuffix("Z").partition(".")[0]
