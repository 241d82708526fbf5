"""The registers of enterprises in the memory of one process, as fresh as a second or two, within a bound of bytes."""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec import structs

from gateway.goods.columns import BOOKS, GOODS
from gateway.goods.register import BooksRegister, GoodsRegister, OwnTables, Register
from spool.registers import StoredRegister
from spool.store import SpoolRegisters

FRESH_S: Final = 2.0
"""For so long the versions of the spool are taken to be those of the last look."""
_SWITCH_BYTES: Final = 400
"""About what one switch of books takes in memory."""
_Versions = tuple[int, int]
"""Of goods and of books; 0: none is there."""


class RegisterCache:
    """Keeps the registers that were asked for last; for one thread.

    All versions are asked for with one query at most every `FRESH_S`, whatever is asked of the cache, so that a change
    on any node is seen here without a restart. What has changed is loaded when its owner comes next.
    """

    def __init__(
        self, spool: SpoolRegisters, *, size_bytes: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`size_bytes`: of all registers in memory; the one that was asked for last stays whatever it takes."""
        self._spool = spool
        self._most = size_bytes
        self._clock = clock
        self._look_at = clock()
        self._versions: dict[str, _Versions] = {}
        self._kept: OrderedDict[str, tuple[_Versions, OwnTables, int]] = OrderedDict()
        """Owner → versions, tables and their bytes; last what was asked for last."""
        self._size = 0

    def of(self, owner: str) -> OwnTables | None:
        """Return what an enterprise has handed in; None: nothing. Raises SpoolError."""
        if self._clock() >= self._look_at:
            self._versions = _by_owner(self._spool.register_versions())
            self._look_at = self._clock() + FRESH_S
        wanted = self._versions.get(owner)
        if wanted is None:
            self._forget(owner)
            return None
        kept = self._kept.get(owner)
        if kept is not None and kept[0] == wanted:
            self._kept.move_to_end(owner)
            return kept[1]
        return self._load(owner)

    def look_again(self) -> None:
        """Ask for the versions with the next question: something was changed here."""
        self._look_at = self._clock()

    def _load(self, owner: str) -> OwnTables | None:
        self._forget(owner)
        tables = own_tables(self._spool, owner)
        versions = tables.versions
        if versions == (0, 0):
            return None
        size = _size(tables)
        # what is newer than the last look is kept under the newer versions, and is not loaded again for them
        self._versions[owner] = versions
        self._kept[owner] = versions, tables, size
        self._size += size
        while self._size > self._most and len(self._kept) > 1:
            self._forget(next(iter(self._kept)))
        return tables

    def _forget(self, owner: str) -> None:
        kept = self._kept.pop(owner, None)
        if kept is not None:
            self._size -= kept[2]


def facts_of(register: Register) -> bytes:
    """Return a register as the spool keeps it."""
    return msgspec.msgpack.encode(register)


def own_tables(spool: SpoolRegisters, owner: str) -> OwnTables:
    """Read what an enterprise has handed in. Raises SpoolError."""
    goods, books = spool.register(owner, GOODS), spool.register(owner, BOOKS)
    return OwnTables(
        goods=None if goods is None else stored_goods(goods),
        books=None if books is None else stored_books(books),
    )


def stored_goods(found: StoredRegister) -> GoodsRegister:
    """Read goods as the spool keeps them."""
    return structs.replace(msgspec.msgpack.decode(found.facts, type=GoodsRegister), version=found.version)


def stored_books(found: StoredRegister) -> BooksRegister:
    """Read switches of books as the spool keeps them."""
    return structs.replace(msgspec.msgpack.decode(found.facts, type=BooksRegister), version=found.version)


def _by_owner(versions: Mapping[tuple[str, str], int]) -> dict[str, _Versions]:
    owners = {owner for owner, _ in versions}
    return {owner: (versions.get((owner, GOODS), 0), versions.get((owner, BOOKS), 0)) for owner in owners}


def _size(tables: OwnTables) -> int:
    goods = 0 if tables.goods is None else len(tables.goods.data) + len(tables.goods.starts)
    return goods + (0 if tables.books is None else _SWITCH_BYTES * tables.books.rows)
