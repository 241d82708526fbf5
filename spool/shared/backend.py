"""The calls that the shared parts make on a backend's database.

A value of a query stands as `?` in SQL that both backends know; in its own SQL a backend writes it as it likes.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Row = Sequence[Any]


class Result(Iterable[Any], Protocol):
    """What a statement in a transaction returns; nothing waits for it before it is fetched."""

    def fetchall(self) -> list[Any]:
        """Return the rows."""
        ...


class Transaction(Protocol):
    """One transaction that writes: committed as a whole or not at all."""

    now: int
    """Microseconds since 1970: the time of everything that it writes."""

    def run(self, query: str, *values: object) -> Result:
        """Send a statement."""
        ...

    def all(self, query: str, *values: object) -> list[Any]:
        """Send a statement and return its rows."""
        ...

    def many(self, query: str, kinds: str, rows: Collection[Sequence[object]]) -> None:
        """Send a statement for many rows, in the backend's own SQL.

        `kinds` names what each column holds: `i` whole numbers, `t` texts, `b` bytes.
        """
        ...

    def journal(self, lines: Iterable[tuple[str, str, str]]) -> None:
        """Append lines to the journal: event, uid, detail."""
        ...

    def wake(self, topic: str) -> None:
        """Wake the listeners of a topic once the transaction is committed."""
        ...


class Store(Protocol):
    """A database."""

    def rows(self, query: str, *values: object) -> list[Any]:
        """Return what one query sees."""
        ...

    def transact(self, work: Callable[[Any], T]) -> T:
        """Call `work` with a `Transaction` and commit; it may be called again after a rollback. Raises SpoolError."""
        ...

    def now(self) -> int:
        """Return the present in microseconds since 1970."""
        ...

    def key(self, text: str) -> str:
        """Return a handle or the id of a journal line as the indexes hold it."""
        ...

    def texts(self, values: Iterable[str]) -> object:
        """Return a list of texts as one value of a query."""
        ...

    def numbers(self, values: Iterable[int]) -> object:
        """Return a list of whole numbers as one value of a query."""
        ...
