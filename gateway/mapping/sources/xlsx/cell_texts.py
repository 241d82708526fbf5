"""Which text a cell shows, by its type and its style."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from gateway.mapping.sources.table import Bare
from gateway.mapping.sources.xlsx.cells import WrongCellError, iso_moment, moment, number, unescaped, word
from gateway.mapping.sources.xlsx.strings import SharedStrings

NUMBER: Final = "n"
INLINE: Final = "inlineStr"
_SHARED: Final = "s"
_OTHERS: Final[Mapping[str, Callable[[str], str]]] = {
    "str": unescaped, INLINE: unescaped, "b": word, "e": Bare, "d": iso_moment,
}  # fmt: skip
"""Types of cells (ECMA-376 part 1, 18.18.11) that need neither styles nor shared strings."""
_KNOWN: Final = 4096
_KNOWN_CHARS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class DateFormats:
    """Which styles show dates."""

    shown: Mapping[str, tuple[bool, bool]]
    """Number of a style, as cells write it → whether it shows a day, a time."""
    since_1904: bool


@dataclass(frozen=True, slots=True)
class CellReader:
    """Reads the values of one type and style; those that came last are remembered, for sheets repeat themselves."""

    read: Callable[[str], str]
    known: dict[str, str] = field(default_factory=dict)

    def __call__(self, value: str) -> str:
        """Return the text. Raises WrongCellError, Refused."""
        text = self.known.get(value)
        if text is None:
            text = self.read(value)
            if len(self.known) >= _KNOWN:
                self.known.clear()
            if len(text) <= _KNOWN_CHARS and len(value) <= _KNOWN_CHARS:
                self.known[value] = text
        return text


class CellTexts:
    """The readers of a workbook."""

    def __init__(self, strings: SharedStrings, dates: DateFormats) -> None:
        self._dates = dates
        self._number = CellReader(number)
        self._dated: dict[tuple[bool, bool], CellReader] = {}
        self._others = {kind: CellReader(read) for kind, read in _OTHERS.items()}
        self._others[_SHARED] = CellReader(partial(_shared, strings))

    def reader(self, kind: str, style: str) -> CellReader | None:
        """Return the reader of a type of cell and a style; None: there is no such type."""
        if kind != NUMBER:
            return self._others.get(kind)
        shown = self._dates.shown.get(style)
        if shown is None:
            return self._number
        if shown not in self._dated:
            day, time = shown
            self._dated[shown] = CellReader(
                partial(moment, day=day, time=time, since_1904=self._dates.since_1904)
            )
        return self._dated[shown]


def _shared(strings: SharedStrings, value: str) -> str:
    try:
        return strings[int(value)]
    except ValueError as wrong:
        raise WrongCellError(value) from wrong
