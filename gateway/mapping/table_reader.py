"""Declarations out of a table: its sheets found, its rows told apart and brought together, other sheets joined."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import groupby, islice
from typing import Final
from weakref import finalize

from gateway.errors import Refused
from gateway.mapping.bound import BoundBranch, bound_conditions
from gateway.mapping.faults import CellSpot, source_fault
from gateway.mapping.heads import SheetLayout, compared, find_layout, missing_heads, refused_heads
from gateway.mapping.language import (
    ArrayMembers,
    Branch,
    Copied,
    Given,
    Place,
    Places,
    RowGroups,
    SheetColumn,
    SourceMapping,
    leaves,
)
from gateway.mapping.reading import RowSpan, SourceDeclaration
from gateway.mapping.rows import MARK_HEAD, RowKinds, RowsItem, grouped, key_of
from gateway.mapping.sources.digest import ValuesDigest
from gateway.mapping.sources.item import NoTextError
from gateway.mapping.sources.spill import Key, Spill, scattered
from gateway.mapping.sources.table import Form, Row, Sheet, SourceNote, Workbook
from gateway.mapping.write import Wrong
from gateway.rules.texts import fault_of, phrase

BODY_ROWS: Final = 20_000
"""Most rows of one declaration; it is written in memory."""


class TableBinding:
    """Binds a mapping to the columns of the sheets."""

    def __init__(self, layouts: Mapping[str, SheetLayout]) -> None:
        """`layouts`: by the name that the mapping has for a sheet."""
        self._layouts = layouts
        self.joined: dict[RowGroups, Spill] = {}

    def at(self, places: Iterable[Place]) -> tuple[int, SheetColumn] | None:
        """Return the first of these columns that is there; None: none is."""
        for column in _columns(places):
            at = self._layouts[column.sheet].at(column)
            if at is not None:
                return at, column
        return None

    def fetch(self, places: Places) -> Callable[[RowsItem], str | None]:
        """See Binding."""
        found = self.at(places)
        if found is None:
            return lambda _item: None
        at, column = found
        if column.ups:
            return lambda item: item.above(column.ups).text(at, column)

        def text(item: RowsItem) -> str:
            rows = item.rows
            if len(rows) == 1:
                try:
                    return rows[0].cells[at]
                except IndexError:
                    return ""
            return item.text(at, column)

        return text

    def spot(self, item: RowsItem, places: Places = ()) -> CellSpot:
        """See Binding."""
        if not places:
            return item.spot()
        found = self.at(places)
        column = found[1] if found else next(_columns(places))
        return item.above(column.ups).spot(column)

    def items(self, each: ArrayMembers | RowGroups) -> Callable[[RowsItem], Sequence[RowsItem]]:
        """See Binding."""
        assert isinstance(each, RowGroups)  # noqa: S101 (the compiler gives tables nothing else)
        by = self.indexes(each.by)
        if not each.sheet:
            return lambda item: list(grouped(item, by))
        layout, spill = self._layouts[each.sheet], self.joined[each]
        outer = [self.fetch(places) for places in each.outer]

        def joined(item: RowsItem) -> list[RowsItem]:
            key = tuple([(fetch(item) or "").strip() for fetch in outer])
            rows = RowsItem(layout, tuple(islice(spill.rows(key), BODY_ROWS)), item)
            return [RowsItem(layout, one.rows, item) for one in grouped(rows, by)]

        return joined

    def indexes(self, keys: Iterable[Places]) -> tuple[int, ...]:
        """Return the columns of a key. They are there: opening has looked."""
        return tuple([found[0] for places in keys if (found := self.at(places)) is not None])


class TableReader:
    """One table, opened for one mapping."""

    def __init__(self, workbook: Workbook, mapping: SourceMapping, app_time: str) -> None:
        """Find sheets and heads, and take up the sheets that are joined. Raises Refused.

        `app_time`: what the request gives; empty: nothing, which is refused where no column could say it either.
        """
        self._workbook = workbook
        self._mapping = mapping
        self._visible = [one for one in workbook.sheets if not one.hidden]
        self._used = _used_columns(mapping)
        self._layouts = {name: self._layout(name, used) for name, used in self._used.items()}
        self._main = self._layouts[""]
        self.binding = TableBinding(self._layouts)
        each = mapping.body.each
        self._by = each.by if isinstance(each, RowGroups) else None
        self._check_keys()
        if not app_time:
            self._check_given()
        self._keys = self.binding.indexes(self._by or ())
        self._kinds = self._row_kinds()
        self._wanted = bound_conditions(mapping.when, self.binding)
        self._passed: Counter[str] = Counter()
        self._passed_to = 0
        """Number of the last row that `_passed` counts, so that reading again counts nothing twice."""
        self._joins = [one for one in _groups(mapping.body) if one.sheet]
        self._spills: list[Spill] = []
        self._closing = finalize(self, _close, self._spills)
        for one in self._joins:
            self.binding.joined[one] = self._spilled(one)

    @property
    def notes(self) -> Sequence[SourceNote]:
        """See SourceReader."""
        said = [note for sheet in self._workbook.sheets for note in sheet.notes]
        for rule, count in self._passed.items():
            words = phrase(rule, count=count)
            said.append(
                SourceNote(
                    rule=rule, message=words.en, message_zh=words.zh, sheet=self._main.shown, count=count
                )
            )
        return said

    @property
    def unconsumed(self) -> Sequence[str]:
        """See SourceReader."""
        found: list[str] = []
        for name, layout in self._layouts.items():
            prefix = f"{layout.sheet.name}!" if len(self._layouts) > 1 else ""
            unread = [head for head in layout.unread(self._used[name]) if head != MARK_HEAD]
            found += [f"{prefix}{head}" for head in unread]
        return found

    @property
    def values_sha256(self) -> str:
        """See SourceReader."""
        return self._survey[0]

    @property
    def rows(self) -> int:
        """See SourceReader."""
        return self._survey[1]

    def found(self, body: BoundBranch[RowsItem], start: int = 0) -> Iterator[SourceDeclaration[RowsItem]]:
        """See SourceReader."""
        count = 0
        for rows in self._groups():
            item = RowsItem(self._main, rows, RowsItem(self._main, rows))
            if body.holds is None or body.holds(item):
                count += 1
                if count > start:
                    yield SourceDeclaration(item, tuple(self._wrong(rows)))
        for layout, row in islice(self._unmatched(), max(0, start - count), None):
            error = NoTextError("unmatched_row", layout.spot(row))
            wrong = Wrong(part=self._mapping.body, path="", error=error)
            yield SourceDeclaration(RowsItem(layout, (row,)), (wrong,), lost=True)

    def around(self, items: Sequence[RowsItem]) -> RowsItem:
        """See SourceReader."""
        return RowsItem(self._main, [row for item in items for row in item.rows])

    def spans(self, item: RowsItem) -> tuple[RowSpan, ...]:
        """See SourceReader."""
        found = list(_spans(item.layout.shown, item.rows))
        if item.layout is self._main:
            for one in self._joins:
                for inner in self.binding.items(one)(item):
                    found += _spans(inner.layout.shown, inner.rows)
        return tuple(found)

    def close(self) -> None:
        """See SourceReader."""
        self._closing()

    def _layout(self, name: str, used: Sequence[SheetColumn]) -> SheetLayout:
        """Find the sheet that the mapping calls so, and its heads. Raises Refused."""
        asked = name or self._mapping.sheet
        sheets = [one for one in self._visible if not asked or compared(one.name) == compared(asked)]
        if not sheets:
            names = ", ".join(one.name for one in self._visible)
            raise Refused(
                "untranslatable", [fault_of("source.missing_sheet", {"name": asked, "known": names})]
            )
        for sheet in sheets:
            found = find_layout(sheet, self._mapping, used, self._shown(sheet))
            if found is not None:
                return found
        raise missing_heads(sheets[0], self._mapping, used, self._shown(sheets[0]))

    def _shown(self, sheet: Sheet) -> str:
        return sheet.name if len(self._visible) > 1 else ""

    def _check_keys(self) -> None:
        """Raise Refused when rows are grouped or joined by a column that is not there."""
        for each in _groups(self._mapping.body):
            for places in (*each.by, *each.key, *each.outer):
                if self.binding.at(places) is None:
                    column = next(_columns(places))
                    raise refused_heads(self._layouts[column.sheet], [column.name])

    def _check_given(self) -> None:
        """Raise Refused when a time is wanted that neither the request nor any column says: once, not for every row."""
        for leaf in leaves(self._mapping.root):
            sources = [one.source for one in leaf.origin.chain()]
            if any(isinstance(one, Given) for one in sources) and not any(map(self._is_there, sources)):
                wrong = NoTextError("not_given", self._main.spot(self._main.head))
                path = f"/{self._mapping.root.name}"
                raise Refused(
                    "untranslatable", [source_fault(wrong, path=path, name=leaf.name, name_zh=leaf.name_zh)]
                )

    def _is_there(self, source: object) -> bool:
        """Say whether a column of the table, or the mapping itself, may yield a text."""
        if isinstance(source, Copied):
            places = [piece for piece in source.pieces if not isinstance(piece, str)]
            return any(self.binding.at(one) is not None for one in places)
        return not isinstance(source, Given)

    def _row_kinds(self) -> RowKinds:
        required = (SheetColumn(name=one.name) for one in self._mapping.columns if one.required)
        marks = (at for at, head in enumerate(self._main.head.cells) if compared(head) == MARK_HEAD)
        there = (self._main.at(one) for one in required)
        return RowKinds(self._keys, tuple(at for at in there if at is not None), tuple(marks))

    def _spilled(self, each: RowGroups) -> Spill:
        layout, columns = self._layouts[each.sheet], self.binding.indexes(each.key)
        spill = self._spill()
        spill.fill(layout.rows(), partial(key_of, columns=columns))
        return spill

    def _spill(self) -> Spill:
        spill = Spill()
        self._spills.append(spill)
        return spill

    def _data(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield the rows that are data of this mapping."""
        for row in rows:
            if self._kinds.is_total(row):
                self._pass("total_rows", row)
            elif self._wanted is not None and not self._wanted(RowsItem(self._main, (row,))):
                self._pass("unwanted_rows", row)
            else:
                yield row

    def _pass(self, rule: str, row: Row) -> None:
        if row.number > self._passed_to:
            self._passed[rule] += 1
            self._passed_to = row.number

    def _key(self, row: Row) -> Key:
        return key_of(row, self._keys)

    def _groups(self) -> Iterator[Sequence[Row]]:
        """Yield the rows of each declaration."""
        kept = self._kept
        data = self._data(self._main.rows()) if kept is None else kept.rows(())
        if self._by is None:
            yield list(islice(data, BODY_ROWS + 1))
        elif not self._keys:
            for row in data:
                yield (row,)
        else:
            for _, rows in groupby(data, self._key) if kept is None else kept.groups():
                yield list(islice(rows, BODY_ROWS + 1))

    @property
    def _kept(self) -> Spill | None:
        """Return the rows by key, where they have been kept; without keys, only if all has been read anyhow."""
        if self._keys or "_survey" in self.__dict__:
            return self._survey[2]
        return None

    def _wrong(self, rows: Sequence[Row]) -> Iterator[Wrong]:
        """Yield what is wrong with a declaration's rows as rows."""
        width = len(self._main.head.cells)
        exact = self._workbook.form is Form.CSV
        for row in rows:
            if exact and len(row.cells) != width:
                spot = self._main.spot(row)
                facts = {"count": str(len(row.cells)), "limit": str(width)}
                yield self._wrong_row(NoTextError("ragged_row", spot, **facts))
            if self._kinds.is_example(row):
                yield self._wrong_row(NoTextError("example_row", self._main.spot(row)))
        if len(rows) > BODY_ROWS:
            spot = self._main.spot(rows[BODY_ROWS])
            yield self._wrong_row(NoTextError("too_many_rows", spot, limit=str(BODY_ROWS)))

    def _wrong_row(self, error: NoTextError) -> Wrong:
        return Wrong(part=self._mapping.body, path="", error=error)

    def _unmatched(self) -> Iterator[tuple[SheetLayout, Row]]:
        """Yield a row for each key of a joined sheet that no row of the first sheet has."""
        for one in self._joins:
            if any(column.sheet for column in _columns(place for places in one.outer for place in places)):
                continue
            with Spill() as known:
                columns = self.binding.indexes(one.outer)
                for row in self._data(self._main.rows()):
                    known.add_key(key_of(row, columns))
                for _, row in self.binding.joined[one].keys_besides(known):
                    yield self._layouts[one.sheet], row

    @cached_property
    def _survey(self) -> tuple[str, int, Spill | None]:
        """Read all once: digest of the values, number of rows of data, and the rows themselves, if they are to be kept.

        They are kept where reading them again costs more (XLSX), or where a key comes again after another one.
        """
        digest, rows, kept = ValuesDigest(), 0, None
        for sheet in self._visible:
            digest.sheet(self._shown(sheet))
            every = _told(sheet.rows(), digest)
            if sheet is self._main.sheet:
                counted = _Counted(row for row in every if row.number > self._main.head.number)
                kept = self._kept_of(counted)
                rows = counted.count
            else:
                deque(every, maxlen=0)
        return digest.hexdigest(), rows, kept

    def _kept_of(self, rows: "_Counted") -> Spill | None:
        """Read all these rows, and keep them if that is worth it."""
        if self._workbook.form is Form.XLSX:
            spill = self._spill()
            spill.fill(self._data(rows), self._key)
            return spill
        again = bool(self._keys) and scattered(self._data(rows), self._key)
        deque(rows, maxlen=0)
        if not again:
            return None
        spill = self._spill()
        spill.fill(self._data(self._main.rows()), self._key)
        return spill


def _close(spills: Sequence[Spill]) -> None:
    for spill in spills:
        spill.close()


class _Counted:
    """Rows, and how many there were."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.count += 1
            yield row


def _told(rows: Iterator[Row], digest: ValuesDigest) -> Iterator[Row]:
    for row in rows:
        digest.row(row.cells)
        yield row


def _columns(places: Iterable[Place]) -> Iterator[SheetColumn]:
    """Yield the columns among some places; of a table, all are."""
    return (one for one in places if isinstance(one, SheetColumn))


def _used_columns(mapping: SourceMapping) -> dict[str, list[SheetColumn]]:
    """Return the columns that are used of each sheet, by the name that the mapping has for it; the first one is ""."""
    used: dict[str, list[SheetColumn]] = {"": []}
    for column in dict.fromkeys(_columns(mapping.places())):
        used.setdefault(column.sheet, []).append(column)
    return used


def _groups(branch: Branch) -> Iterator[RowGroups]:
    """Yield how a declaration and everything in it repeats."""
    if isinstance(branch.each, RowGroups):
        yield branch.each
    for part in branch.parts:
        if isinstance(part, Branch):
            yield from _groups(part)


def _spans(sheet: str, rows: Sequence[Row]) -> Iterator[RowSpan]:
    first = last = 0
    for row in rows:
        if first and row.number == last + 1:
            last = row.number
            continue
        if first:
            yield RowSpan(sheet, first, last)
        first = last = row.number
    if first:
        yield RowSpan(sheet, first, last)
