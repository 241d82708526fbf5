"""Registers as rules and mappings look things up in them, and as a process keeps them."""

import pickle
import random
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from gateway.goods.cache import FRESH_S, RegisterCache
from gateway.goods.form import CSV, read_books, read_goods
from gateway.goods.handing_in import hand_in, take_back
from gateway.goods.register import GoodsOfDay, GoodsRegister, OwnTables, entries
from spool.registers import StoredRegister
from spool.sqlite import SqliteSpool

PERIODS = (
    b"itemNo,gcode,from,until\nA,1111111111,,2026-06-30\nA,2222222222,2026-07-01,\nB,3333333333,2026-08-01,\n"
)
SWITCHES = b"field,old,new,from\nemsNo,A,B,2026-06-01\nemsNo,B,C,2026-09-01\nemsNo,X,C,2026-10-01\nitemRecordNo,A,Z,2026-01-01\n"


def goods(rows: bytes = PERIODS) -> GoodsRegister:
    return read_goods(rows, CSV)


@pytest.mark.parametrize(
    ("item", "day", "gcode"),
    [
        ("A", "20260630", "1111111111"),
        ("A", "20260701", "2222222222"),
        ("A", "20990101", "2222222222"),
        ("B", "20260731", None),
        ("B", "20260801", "3333333333"),
        ("", "20260801", None),
        ("AA", "20260801", None),
        ("Ａ", "20260801", None),
    ],
)
def test_item_is_looked_up_as_it_is_on_the_day(item: str, day: str, gcode: str | None) -> None:
    tables = OwnTables(goods=goods())
    assert tables.look("goods", item, "gcode", day) == gcode
    assert tables.has("goods", item, day) is (gcode is not None)
    assert GoodsOfDay(goods(), day).text(item, "gcode") == (gcode or "")


def test_empty_cell_says_nothing_and_a_table_that_is_not_there_neither() -> None:
    tables = OwnTables(goods=goods())
    assert tables.look("goods", "A", "unit1", "20260601") is None
    for empty, table in ((tables, "books"), (OwnTables(), "goods")):
        assert empty.look(table, "A", "now" if table == "books" else "gcode", "20260601") is None
        assert empty.has(table, "A", "20260601") is None


def test_every_item_of_many_is_found_and_no_other() -> None:
    rng = random.Random(7)
    items = sorted({f"{rng.choice('ab中')}{rng.randrange(5000)}" for _ in range(2000)})
    rng.shuffle(items)
    kept, others = items[::2], items[1::2]
    body = "itemNo,gname\n" + "".join(f"{item},name of {item}\n" for item in kept)
    tables = OwnTables(goods=read_goods(body.encode(), CSV))
    assert all(tables.look("goods", item, "gname", "20260101") == f"name of {item}" for item in kept)
    assert not any(tables.has("goods", item, "20260101") for item in others)


@pytest.mark.parametrize(
    ("number", "day", "now", "since"),
    [
        ("A", "20260531", None, None),
        ("A", "20260601", "B", "20260601"),
        ("A", "20260901", "C", "20260601"),
        ("B", "20260531", "A", "20260601"),
        ("B", "20260601", None, None),
        ("B", "20260901", "C", "20260901"),
        ("C", "20260531", "A", "20260901"),
        ("C", "20260601", "B", "20260901"),
        ("C", "20260901", None, None),
        ("X", "20261001", "C", "20261001"),
        ("Q", "20260601", None, None),
    ],
)
def test_switch_of_books_is_followed_on_its_day_and_along_the_chain(
    number: str, day: str, now: str | None, since: str | None
) -> None:
    tables = OwnTables(books=read_books(SWITCHES, CSV))
    assert tables.look("books", number, "now", day) == now
    assert tables.look("books", number, "since", day) == since
    assert tables.look("records", "A", "now", day) == "Z", "record numbers are apart from books"


def test_tables_go_to_another_process() -> None:
    tables = OwnTables(goods=goods(), books=read_books(SWITCHES, CSV))
    there = pickle.loads(pickle.dumps(tables))  # noqa: S301
    assert there.look("goods", "A", "gcode", "20260601") == "1111111111"
    assert there.look("books", "A", "now", "20260601") == "B"


def test_entries_show_the_rows_of_an_item_or_every_switch() -> None:
    assert entries(goods(), None) == ()
    assert entries(goods(), "A") == (
        {"itemNo": "A", "gcode": "1111111111", "until": "20260630"},
        {"itemNo": "A", "gcode": "2222222222", "from": "20260701"},
    )
    assert entries(read_books(SWITCHES, CSV), None)[0] == {
        "field": "emsNo", "old": "A", "new": "B", "from": "20260601",
    }  # fmt: skip


class Counted:
    """A spool that counts what it is asked."""

    def __init__(self, spool: SqliteSpool) -> None:
        self._spool = spool
        self.looks = self.loads = 0

    def register_versions(self) -> Mapping[tuple[str, str], int]:
        self.looks += 1
        return self._spool.register_versions()

    def register(self, owner: str, name: str) -> StoredRegister | None:
        self.loads += 1
        return self._spool.register(owner, name)

    replace_register = property(lambda self: self._spool.replace_register)
    drop_register = property(lambda self: self._spool.drop_register)
    register_body = property(lambda self: self._spool.register_body)


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[Counted]:
    with closing(SqliteSpool(tmp_path)) as spool:
        yield Counted(spool)


def give(counted: Counted, owner: str, rows: bytes = PERIODS) -> None:
    hand_in(counted, owner, "goods", goods(rows), body=rows, form=CSV)


def test_without_registers_nothing_is_loaded_and_versions_are_asked_for_now_and_then(
    counted: Counted,
) -> None:
    clock = Time()
    cache = RegisterCache(counted, size_bytes=1000, clock=clock)
    assert [cache.of("ann") for _ in range(1000)] == [None] * 1000
    clock.now += FRESH_S
    assert cache.of("bob") is None
    assert (counted.looks, counted.loads) == (2, 0)


def test_change_made_elsewhere_is_seen_within_seconds_and_loaded_once(counted: Counted) -> None:
    clock = Time()
    cache = RegisterCache(counted, size_bytes=10_000, clock=clock)
    give(counted, "ann")
    first = cache.of("ann")
    assert first is not None
    assert first.goods is not None
    assert first.goods.version == 1
    assert cache.of("ann") is first

    give(counted, "ann", b"itemNo\nNEW\n")
    assert cache.of("ann") is first, "for as long as versions are fresh"
    clock.now += FRESH_S
    second = cache.of("ann")
    assert second is not None
    assert second.has("goods", "NEW", "20260101")

    take_back(counted, "ann", "goods")
    cache.look_again()
    assert cache.of("ann") is None
    assert counted.loads == 4, "goods and books, twice"


def test_what_was_loaded_newer_than_the_last_look_is_not_loaded_again(counted: Counted) -> None:
    clock = Time()
    cache = RegisterCache(counted, size_bytes=10_000, clock=clock)
    give(counted, "ann")
    cache.of("bob")
    give(counted, "ann")
    first = cache.of("ann")
    clock.now += FRESH_S
    assert cache.of("ann") is first
    assert counted.loads == 2


def test_registers_beyond_the_bound_leave_the_memory_oldest_use_first(counted: Counted) -> None:
    for owner in ("ann", "bob", "eve"):
        give(counted, owner)
    size = len(goods().data) + len(goods().starts)
    cache = RegisterCache(counted, size_bytes=2 * size, clock=Time())
    kept = {owner: cache.of(owner) for owner in ("ann", "bob")}
    assert cache.of("ann") is kept["ann"]
    assert cache.of("eve") is not None
    loads = counted.loads
    assert cache.of("ann") is kept["ann"]
    assert counted.loads == loads
    assert cache.of("bob") is not kept["bob"]
    assert counted.loads == loads + 2


def test_register_larger_than_the_bound_is_still_used(counted: Counted) -> None:
    give(counted, "ann")
    cache = RegisterCache(counted, size_bytes=1, clock=Time())
    assert cache.of("ann") is cache.of("ann") is not None
