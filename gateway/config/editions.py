"""`[[edition]]`: which edition of the message formats is in force on which day; the moment is handed in.

Days are Beijing time, which is customs' own. Where no period is in force, the default edition is.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta

from gateway.config.sections import Section
from gateway.errors import ConfigError
from gateway.model import BEIJING

EditionName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")]
"""Name of an edition, and of its folder below `xsd/`."""
_DAY: Final = timedelta(days=1)
_FIRST, _LAST = date(2000, 1, 1), date(2199, 12, 31)
"""The days that a period may name."""


class EditionTable(Section, kw_only=True, rename={"from_": "from"}):
    """`[[edition]]`: a period in which an edition is in force, the place of its schemas, or both."""

    name: EditionName
    from_: date | None = None
    """Its first day, Beijing time; None with `until`: it has always been in force."""
    until: date | None = None
    """Its last day, Beijing time; None with `from`: it has no end."""
    notice_days: Annotated[int, Meta(ge=0, le=366)] = 30
    """So many days before it comes into force, messages are judged by it too, and their senders told; 0: never."""
    folder: Path | None = None
    """Its schemas, in place of `xsd/NAME` of the rules."""

    @property
    def is_period(self) -> bool:
        """Whether it says when the edition is in force."""
        return self.from_ is not None or self.until is not None

    @property
    def first(self) -> date:
        """The first day of the period."""
        return self.from_ or _FIRST

    @property
    def last(self) -> date:
        """The last day of the period."""
        return self.until or _LAST


@dataclass(frozen=True, slots=True, kw_only=True)
class EditionInForce:
    """The edition that judges at one moment, and the one that is about to follow it."""

    edition: str
    coming: str = ""
    """The edition that follows, once its notice has begun; else empty."""
    coming_from: date | None = None
    """First day of `coming`, Beijing time."""


class EditionCalendar:
    """The default edition and the periods, as one line of time."""

    def __init__(self, default: str, tables: Sequence[EditionTable] = ()) -> None:
        """Take a default and periods that `check_editions` has passed."""
        self._default = default
        self._periods = [table for table in tables if table.is_period]
        steps = sorted(self._steps(), key=lambda step: step[0])
        self._moments = [moment for moment, _ in steps]
        self._in_force = [EditionInForce(edition=self._on(_FIRST)), *(value for _, value in steps)]

    def at(self, moment: datetime) -> EditionInForce:
        """Return what is in force at that moment, which has a time zone."""
        return self._in_force[bisect_right(self._moments, moment)]

    def _steps(self) -> Iterator[tuple[datetime, EditionInForce]]:
        """Yield the beginning of each edition and of each notice with what is in force from then on."""
        edges = {table.first for table in self._periods} | {table.last + _DAY for table in self._periods}
        began = _FIRST
        for day in sorted(edges):
            before, after = self._on(day - _DAY), self._on(day)
            if before == after or day <= _FIRST:
                continue
            notice = max(began, day - self._notice(day))
            if notice < day:
                yield _start(notice), EditionInForce(edition=before, coming=after, coming_from=day)
            yield _start(day), EditionInForce(edition=after)
            began = day

    def _on(self, day: date) -> str:
        table = self._table(day)
        return self._default if table is None else table.name

    def _notice(self, day: date) -> timedelta:
        """Return how long before `day` its change is announced: as the period that begins says, or the one that ends."""
        table = self._table(day) or self._table(day - _DAY)
        return timedelta(days=0 if table is None else table.notice_days)

    def _table(self, day: date) -> EditionTable | None:
        return next((table for table in self._periods if table.first <= day <= table.last), None)


def _start(day: date) -> datetime:
    return datetime.combine(day, time.min, BEIJING).astimezone(UTC)


def check_editions(tables: Sequence[EditionTable], file: Path) -> None:
    """Check names, days and folders; no two periods may overlap. Raises ConfigError."""
    names = [table.name for table in tables]
    for number, table in enumerate(tables, start=1):
        where = f"{file}, [[edition]] number {number} ({table.name})"
        if names.count(table.name) > 1:
            raise ConfigError(
                f"there are two editions {table.name}", where=where, fix="make one [[edition]] of the two"
            )
        _check_table(table, where)
    periods = sorted((table for table in tables if table.is_period), key=lambda table: table.first)
    for one, other in pairwise(periods):
        if other.first <= one.last:
            raise ConfigError(
                f"editions {one.name} and {other.name} are in force on the same days",
                where=f"{file}, [[edition]]",
                fix=f"let {one.name} end on the day before the other begins, for example until ="
                f" {other.first - _DAY}; notice_days of {other.name} announces it beforehand",
            )


def _check_table(table: EditionTable, where: str) -> None:
    if not table.is_period and table.folder is None:
        raise ConfigError(
            "it says neither when the edition is in force nor where its schemas are",
            where=where,
            fix='add for example from = 2027-01-01, or folder = "official/2027"',
        )
    if not _FIRST <= table.first <= table.last <= _LAST:
        raise ConfigError(
            f"the days {table.first} to {table.last} are no period",
            where=where,
            fix=f"from is the first day, until the last, both within {_FIRST} and {_LAST}",
        )
