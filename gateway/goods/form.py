"""Read the goods, or the switches of books, that an enterprise hands in: CSV, XLSX or JSON, all of it or every fault in it. Pure."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from itertools import islice, pairwise
from pathlib import PurePath
from types import MappingProxyType
from typing import Final, TypeVar

from gateway.errors import FAULTS_COUNTED, Refused
from gateway.goods.columns import (
    BOOKS,
    COLUMNS,
    DIGITS_OF_DAY,
    GOODS,
    ROWS_AT_MOST,
    Column,
    RegisterName,
    heads,
)
from gateway.goods.faults import RowFault, row_fault, whole_fault
from gateway.goods.register import (
    PERIODS_AT_MOST,
    BooksRegister,
    BookSwitch,
    Cells,
    GoodsRegister,
    Register,
    packed,
)
from gateway.goods.sheet_row import SheetRow
from gateway.mapping.sources.csv_table import ragged
from gateway.mapping.sources.item import NoTextError, Reference, SourceItem, decoded, shortened
from gateway.mapping.sources.json_source import JsonItem, read_json
from gateway.mapping.sources.opening import open_table
from gateway.mapping.sources.refusing import refused
from gateway.mapping.sources.table import MEDIA, SUFFIXES, Form, Row, Sheet, SourceLimits
from gateway.model import Fault
from gateway.rules.fault_texts import shown_of

SIZE_BYTES: Final = 16 * 1024 * 1024
"""Largest document."""
JSON: Final = MEDIA[Form.JSON]
CSV: Final = MEDIA[Form.CSV]
XLSX: Final = MEDIA[Form.XLSX]
FORMS: Final = (CSV, XLSX, JSON)
_NO_FACTS: Final[Mapping[str, str]] = MappingProxyType({})
_ALL: Final = Reference(written=".")
"""The document itself."""
_FORMS_KNOWN: Final = 100
"""Sets of keys of JSON objects that are remembered."""
_COMMA: Final = ","
_ROWS_OF_TITLES: Final = 10
_INFLATED_BYTES: Final = 16 * SIZE_BYTES
_SPARE_COLUMNS: Final = 8
"""Values of a JSON object beyond those that are known: they are refused by name, not by the bound."""
_R = TypeVar("_R", GoodsRegister, BooksRegister)


def form_of_file(name: str) -> str:
    """Return the media type of a file by its suffix; what has another one is taken for CSV."""
    form = SUFFIXES.get(PurePath(name).suffix.lower(), Form.CSV)
    return MEDIA[form] if MEDIA[form] in FORMS else CSV


def read_register(name: RegisterName, body: bytes, form: str, charset: str = "") -> Register:
    """Read a document of one of `FORMS`. Raises Refused with every fault, each with its place and what to do.

    `too-large`, `wrong-encoding`, `not-csv`, `not-xlsx`, `not-json`: it cannot be read at all; `invalid-register`: rows
    are wrong. CSV is UTF-8, or what its byte order mark or `charset` says; of XLSX the first sheet that is not hidden and
    has any text is read; JSON is an array of objects.
    """
    return read_goods(body, form, charset) if name == GOODS else read_books(body, form, charset)


def read_goods(body: bytes, form: str, charset: str = "") -> GoodsRegister:
    """Read goods. Raises Refused as `read_register`."""
    reading, rows = _read(GOODS, body, form, charset)
    return _in_order(reading, _goods(rows, reading, hashlib.sha256(body).hexdigest()))


def read_books(body: bytes, form: str, charset: str = "") -> BooksRegister:
    """Read switches of books. Raises Refused as `read_register`."""
    reading, rows = _read(BOOKS, body, form, charset)
    return _in_order(reading, _books(rows, reading, hashlib.sha256(body).hexdigest()))


def _read(name: RegisterName, body: bytes, form: str, charset: str) -> "tuple[_Reading, list[_Row]]":
    if len(body) > SIZE_BYTES:
        raise Refused("too-large", [whole_fault("size", size=str(len(body)), most=str(SIZE_BYTES))])
    reading = _Reading(name)
    sheet = Form.XLSX if form == XLSX else Form.CSV
    items = (
        _json_items(body, charset, reading) if form == JSON else _sheet_items(body, sheet, charset, reading)
    )
    rows = [row for item, places in items if (row := reading.row(item, places)) is not None]
    if not rows and not reading.faults:
        reading.faults.append(whole_fault("empty"))
    return reading, rows


def _in_order(reading: "_Reading", made: _R) -> _R:
    if reading.faults:
        raise Refused("invalid-register", shown_of(reading.faults))
    return made


@dataclass(slots=True)
class _Row:
    """A row that can be read."""

    cells: Cells
    item: SourceItem
    places: Sequence[Reference | None]


@dataclass(slots=True)
class _Reading:
    """The table that is read, and what is wrong with it so far."""

    name: RegisterName
    faults: list[Fault] = field(default_factory=list)
    _known: dict[tuple[str, ...], list[Reference | None]] = field(default_factory=dict)
    """Heads or keys that have been seen together, and are in order → the places of the columns."""

    @property
    def columns(self) -> tuple[Column, ...]:
        return COLUMNS[self.name]

    @property
    def limits(self) -> SourceLimits:
        cells = (ROWS_AT_MOST[self.name] + 1) * (len(self.columns) + _SPARE_COLUMNS)
        return SourceLimits(size_bytes=SIZE_BYTES, inflated_bytes=_INFLATED_BYTES, depth=4, elements=cells)

    def places(self, names: Sequence[str], item: SourceItem, *, in_sheet: bool) -> list[Reference | None]:
        """Return for each column where it stands in an item; `names`: heads, or keys."""
        if (seen := self._known.get(tuple(names))) is not None:
            return seen
        known, before = heads(self.columns), len(self.faults)
        found: list[Reference | None] = [None] * len(self.columns)
        for name in names:
            here = Reference(written=name) if in_sheet else Reference(written=name, steps=(name,))
            at = known.get(name.strip().lower())
            if at is None:
                near = get_close_matches(name.strip()[:50].lower(), known, n=1)
                hint = self.columns[known[near[0]]] if near else None
                self._add(RowFault("unknown_column", here, None, shortened(name)), item, near=hint)
            elif found[at] is not None:
                self._add(RowFault("doubled_column", here, self.columns[at], shortened(name)), item)
            else:
                found[at] = here
        if len(self.faults) == before and len(self._known) < _FORMS_KNOWN:
            self._known[tuple(names)] = found
        return found

    def row(self, item: SourceItem, places: Sequence[Reference | None]) -> _Row | None:
        """Read one row; None: something is wrong with it, which is noted."""
        before = len(self.faults)
        cells = tuple(
            [
                "" if here is None and not column.required else self._cell(item, here, column)
                for column, here in zip(self.columns, places, strict=True)
            ]
        )
        return _Row(cells, item, places) if len(self.faults) == before else None

    def _cell(self, item: SourceItem, here: Reference | None, column: Column) -> str:
        try:
            text = (item.text(here) or "") if here is not None else ""
        except NoTextError as wrong:
            self._add(RowFault(wrong.rule, here, column, wrong.value), item)
            return ""
        fault = _wrong(text, column)
        if fault:
            self._add(RowFault(fault, here, column, text), item)
            return ""
        return _day(text) if column.is_day else text

    def wrong(self, row: _Row, column: str, rule: str, **facts: str) -> None:
        """Note what is wrong with a row that can be read."""
        at = next(at for at, one in enumerate(self.columns) if one.name == column)
        self._add(RowFault(rule, row.places[at], self.columns[at], row.cells[at]), row.item, facts=facts)

    def _add(
        self,
        wrong: RowFault,
        item: SourceItem,
        *,
        near: Column | None = None,
        facts: Mapping[str, str] = _NO_FACTS,
    ) -> None:
        if len(self.faults) < FAULTS_COUNTED:
            self.faults.append(row_fault(wrong, item.spot(wrong.here), near=near, **facts))


_Items = Iterator[tuple[SourceItem, Sequence[Reference | None]]]


def _sheet_items(body: bytes, form: Form, charset: str, reading: _Reading) -> _Items:
    workbook = open_table(body, form, charset=charset, delimiter=_COMMA, limits=reading.limits)
    visible = [_from_heads(sheet, reading) for sheet in workbook.sheets if not sheet.hidden]
    rows, head = next(((rows, head) for rows in visible if (head := next(rows, None))), (iter(()), None))
    if head is None:
        raise refused(f"not-{form}", "empty")
    names = [cell.strip() for cell in head.cells]
    columns = {name: at for at, name in enumerate(names) if name}
    places = reading.places(list(filter(None, names)), SheetRow(head, columns), in_sheet=True)
    wrong_heads, count = bool(reading.faults), 0
    for count, row in enumerate(rows, 1):
        if form is Form.CSV and len(row.cells) != len(names):
            raise ragged(row, len(names))
        if count <= ROWS_AT_MOST[reading.name] and not wrong_heads:
            yield SheetRow(row, columns), places
    _bounded(count, reading)


def _from_heads(sheet: Sheet, reading: _Reading) -> Iterator[Row]:
    """Yield the rows from that of the heads on.

    The heads are in the first of ten rows that has one of a required column, so that titles may stand above them; if none
    has, in the first, whose heads are then told to be unknown.
    """
    known = heads(reading.columns)
    required = {at for at, column in enumerate(reading.columns) if column.required}
    above = 0
    for at, row in enumerate(islice(sheet.rows(), _ROWS_OF_TITLES)):
        if any(known.get(cell.strip().lower()) in required for cell in row.cells):
            above = at
            break
    return islice(sheet.rows(), above, None)


def _json_items(body: bytes, charset: str, reading: _Reading) -> _Items:
    if charset.lower() not in {"", "utf-8"}:
        raise Refused("wrong-encoding", [whole_fault("json_charset", charset=shortened(charset, 40))])
    document = read_json(decoded(body, ""), reading.limits)
    try:
        items = document.each((_ALL,))
    except NoTextError as wrong:
        raise Refused("invalid-register", [whole_fault("no_array")]) from wrong
    _bounded(len(items), reading)
    for item in items:
        keys = item.keys() if isinstance(item, JsonItem) else None
        if keys is None:
            reading.faults.append(row_fault(RowFault("no_object", None, None, ""), item.spot()))
            continue
        yield item, reading.places(keys, item, in_sheet=False)


def _bounded(count: int, reading: _Reading) -> None:
    most = ROWS_AT_MOST[reading.name]
    if count > most:
        raise Refused("invalid-register", [whole_fault("too_many_rows", count=str(count), most=str(most))])


def _wrong(text: str, column: Column) -> str:
    """Return the rule that a cell breaks; empty: none."""
    if not text:
        return "missing" if column.required else ""
    if len(text) > column.most:
        return "too_long"
    if not text.isprintable():
        return "control"
    if column.form is not None and not column.form.fullmatch(text):
        return "form"
    return "no_day" if column.is_day and not _day(text) else ""


def _day(text: str) -> str:
    """Return a day of the calendar as YYYYMMDD; empty: it is none."""
    found = DIGITS_OF_DAY.fullmatch(text)
    if found is None:
        return ""
    try:
        return date(*map(int, found.groups())).strftime("%Y%m%d")
    except ValueError:
        return ""


def _goods(rows: Sequence[_Row], reading: _Reading, sha256: str) -> GoodsRegister:
    at = {one.name: place for place, one in enumerate(COLUMNS[GOODS])}
    first, last = at["from"], at["until"]
    by_item: defaultdict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        if row.cells[last] and row.cells[last] < row.cells[first]:
            reading.wrong(row, "until", "ends_early")
        by_item[row.cells[at["itemNo"]]].append(row)
    for periods in by_item.values():
        periods.sort(key=lambda row: row.cells[first])
        for earlier, later in pairwise(periods):
            if not earlier.cells[last] or later.cells[first] <= earlier.cells[last]:
                reading.wrong(later, "itemNo", "overlap", other=earlier.item.spot().text)
        if len(periods) > PERIODS_AT_MOST:
            reading.wrong(periods[-1], "itemNo", "many_periods", most=str(PERIODS_AT_MOST))
    return packed([row.cells for row in rows], sha256)


def _books(rows: Sequence[_Row], reading: _Reading, sha256: str) -> BooksRegister:
    after: dict[tuple[str, str], tuple[_Row, BookSwitch]] = {}
    for row in rows:
        kind, old, new, since = row.cells
        known = after.setdefault((kind, old), (row, BookSwitch(field=kind, old=old, new=new, since=since)))
        if known[0] is not row:
            reading.wrong(row, "old", "switched_twice", other=known[0].item.spot().text)
        if old == new:
            reading.wrong(row, "new", "same_number")
    for row, switch in after.values():
        follower = after.get((switch.field, switch.new))
        if follower is not None and follower[1].since <= switch.since and switch.old != switch.new:
            reading.wrong(follower[0], "from", "back_in_time", other=row.item.spot().text)
    return BooksRegister(sha256=sha256, switches=tuple(one for _, one in after.values()))
