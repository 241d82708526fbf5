"""Documents of one parcel: found by the numbers that they share, and what a scan has reported of them."""

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from spool import values
from spool.entry import LinkedDeclaration, LinkStep, ReportedLink
from spool.shared.backend import Store, Transaction
from spool.times import to_number

_OF_OWNER: Final = 20
"""Most declarations of one owner under a number, the newest."""
_FIELDS: Final = (
    "SELECT p.declaration, p.message, m.uid, p.owner, m.kind, d.identity, m.accepted_at, p.order_no, p.waybill_no,"
    " p.facts, p.reported"
)
"""Rows of `values.linked`."""
_JOINED: Final = " JOIN message m ON m.id = p.message JOIN declaration d ON d.id = p.declaration"
_NEWEST: Final = (
    "NOT EXISTS (SELECT 1 FROM parcel n WHERE n.declaration = p.declaration AND n.message > p.message)"
)
"""No later version of the declaration has other numbers."""
_LINKED: Final = (
    "WITH RECURSIVE o (owner) AS (SELECT min(owner) FROM parcel WHERE {number} = ? AND {number} <> '' UNION ALL"
    " SELECT (SELECT min(n.owner) FROM parcel n WHERE n.{number} = ? AND n.{number} <> '' AND n.owner > o.owner)"
    " FROM o WHERE o.owner IS NOT NULL)"
    f" {_FIELDS} FROM o JOIN parcel p ON p.{{number}} = ? AND p.{{number}} <> '' AND p.owner = o.owner"
    " AND p.message >= coalesce((SELECT q.message FROM parcel q WHERE q.{number} = ? AND q.{number} <> ''"
    f" AND q.owner = o.owner ORDER BY q.message DESC LIMIT 1 OFFSET {_OF_OWNER - 1}), 0){_JOINED}"
    f" WHERE {_NEWEST} ORDER BY p.message DESC, p.declaration"
)
"""Declarations under a number: from one owner to the next by the index, then those of the newest messages of each."""
_LINKS: Final = f"{_FIELDS} FROM parcel p{_JOINED} WHERE p.declaration {{among}} AND {_NEWEST} ORDER BY p.message DESC, p.declaration"
_BESIDE: Final = (
    f"{_FIELDS} FROM (SELECT DISTINCT p.owner, p.waybill_no FROM parcel p WHERE p.declaration {{among}}"
    f" AND p.waybill_no <> '' AND {_NEWEST}) AS o"
    " JOIN parcel p ON p.waybill_no = o.waybill_no AND p.waybill_no <> '' AND p.owner = o.owner"
    " AND p.message >= coalesce((SELECT q.message FROM parcel q WHERE q.waybill_no = o.waybill_no AND q.waybill_no <> ''"
    f" AND q.owner = o.owner ORDER BY q.message DESC LIMIT 1 OFFSET {_OF_OWNER - 1}), 0){_JOINED}"
    f" WHERE {_NEWEST} ORDER BY p.message DESC, p.declaration"
)
"""Declarations under the waybill numbers of these, of the same owners: those of the newest messages of each."""
_VERSIONS: Final = (
    "SELECT count(*) FROM (SELECT DISTINCT v.declaration, v.message FROM parcel p JOIN version v ON v.declaration = p.declaration"
    " JOIN message m ON m.id = v.message WHERE p.{number} = ? AND p.{number} <> '' AND p.owner = ?"
    " AND m.accepted_at >= ? LIMIT ?) AS c"
)
"""Versions of the declarations of an owner that have, or had, a number, since a time; limit."""
_STRETCH: Final = "SELECT id, accepted_at FROM message WHERE id > ? ORDER BY id LIMIT ?"
"""Messages behind a number."""
_STRETCH_LINKS: Final = (
    f"{_FIELDS} FROM version v JOIN parcel p ON p.declaration = v.declaration AND p.message = v.message{_JOINED}"
    f" WHERE v.message > ? AND v.message <= ? AND {_NEWEST} ORDER BY p.message, p.declaration"
)
_SCAN: Final = "scan "
"""Stands before the name of a scan, apart from the marks of `Intake.put`."""
_REACHED: Final = "SELECT place FROM mark WHERE name = ?"
_REACH: Final = (
    "INSERT INTO mark (name, reached, place) VALUES (?, 0, ?) ON CONFLICT (name) DO UPDATE"
    " SET place = CASE WHEN excluded.place > mark.place THEN excluded.place ELSE mark.place END"
)
"""Move a scan forward, never back."""
_REPORT: Final = (
    "UPDATE parcel SET reported = ? WHERE declaration = ? AND order_no = ? AND waybill_no = ? AND message = ?"
    " AND reported = ? RETURNING declaration"
)


class SharedParcels:
    """The part of a spool that finds the documents of one parcel: `spool.store.SpoolParcels`."""

    def __init__(self, db: Store, *, among: str) -> None:
        """`among`: the backend's condition that a column is one of a list, which is one value."""
        self._db = db
        self._links = _LINKS.format(among=among)
        self._beside = _BESIDE.format(among=among)

    def linked(self, *, order_no: str = "", waybill_no: str = "") -> list[LinkedDeclaration]:
        """Return declarations that have one of these numbers, newest first."""
        found: dict[int, LinkedDeclaration] = {}
        for column, number in (("order_no", order_no), ("waybill_no", waybill_no)):
            if number:
                rows = self._db.rows(_LINKED.format(number=column), *[self._db.key(number)] * 4)
                found |= {
                    one.declaration: one
                    for one in _newest_of_each(map(values.linked, rows), lambda one: one.owner)
                }
        return sorted(found.values(), key=lambda one: (-one.message, one.declaration))

    def beside(self, declarations: Collection[int]) -> list[LinkedDeclaration]:
        """Return what the same owners declared under the same waybill numbers, newest first."""
        rows = self._db.rows(self._beside, self._db.numbers(declarations))
        return list(_newest_of_each(map(values.linked, rows), lambda one: (one.owner, one.link.waybill_no)))

    def links_of(self, declarations: Collection[int]) -> list[LinkedDeclaration]:
        """Return those of these declarations that are linked, newest first."""
        return [values.linked(row) for row in self._db.rows(self._links, self._db.numbers(declarations))]

    def versions_since(
        self, owner: str, since: datetime, *, order_no: str = "", waybill_no: str = "", at_most: int
    ) -> int:
        """Return the larger count of versions under one of these numbers."""
        counts = [
            self._db.rows(
                _VERSIONS.format(number=column), self._db.key(number), owner, to_number(since), at_most
            )[0][0]
            for column, number in (("order_no", order_no), ("waybill_no", waybill_no))
            if number
        ]
        return max(counts, default=0)

    def unreported(self, walk: str, *, until: datetime, limit: int) -> LinkStep:
        """Look at new messages, up to the first that was accepted after `until`."""
        left = self._db.rows(_REACHED, _SCAN + walk)
        start = left[0][0] if left else 0
        rows = self._db.rows(_STRETCH, start, limit)
        young = [number for number, accepted_at in rows if accepted_at > to_number(until)]
        old = [number for number, _ in rows if not young or number < young[0]]
        if not old:
            return LinkStep(linked=(), at=start, more=False)
        linked = self._db.rows(_STRETCH_LINKS, start, old[-1])
        return LinkStep(linked=tuple(map(values.linked, linked)), at=old[-1], more=len(old) == limit)

    def set_reported(self, walk: str, at: int, reported: Sequence[ReportedLink]) -> list[ReportedLink]:
        """Move the walk forward, and note what is reported now."""

        def work(transaction: Transaction) -> list[ReportedLink]:
            transaction.run(_REACH, _SCAN + walk, at)
            return [one for one in reported if _reported(transaction, one)]

        return self._db.transact(work)


def _newest_of_each(
    linked: Iterable[LinkedDeclaration], whose: Callable[[LinkedDeclaration], Hashable]
) -> Iterator[LinkedDeclaration]:
    """Yield the first `_OF_OWNER` of each owner: a message may have many."""
    seen = Counter[Hashable]()
    for one in linked:
        seen[whose(one)] += 1
        if seen[whose(one)] <= _OF_OWNER:
            yield one


def _reported(transaction: Transaction, one: ReportedLink) -> bool:
    was, link = one.linked, one.linked.link
    return bool(
        transaction.all(
            _REPORT, one.reported, was.declaration, link.order_no, link.waybill_no, was.message, was.reported
        )
    )
