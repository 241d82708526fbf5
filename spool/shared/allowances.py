"""How much each declaration counts for a subject in a period, and a walk along the answers that decide it."""

from collections.abc import Collection, Sequence
from typing import Final

from spool.entry import Allowance, AnswerStep
from spool.shared.backend import Store, Transaction

_NEWEST: Final = "SELECT coalesce(max(id), 0) FROM timeline"
_STRETCH: Final = (
    "SELECT id, declaration, kind, arrival FROM timeline WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"
)
"""Answers behind one number and up to another."""
_THERE: Final = "SELECT 1 FROM timeline WHERE id = ? AND arrival = ?"
"""Whether an answer is the one that had this number before."""
_WALK: Final = "walk "
"""Stands before the name of a walk, apart from other marks; its place: number of an answer, and its arrival."""
_REACHED: Final = "SELECT reached, place FROM mark WHERE name = ?"
_BEGIN: Final = (
    "INSERT INTO mark (name, reached, place) VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING RETURNING reached"
)
_MOVE: Final = (
    "UPDATE mark SET reached = ?, place = ? WHERE name = ? AND reached = ? AND place = ? RETURNING reached"
)
_SET: Final = (
    "INSERT INTO allowance (declaration, owner, subject, period, amount) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (declaration) DO UPDATE SET owner = excluded.owner, subject = excluded.subject,"
    " period = excluded.period, amount = excluded.amount"
)
_SUM: Final = "SELECT coalesce(sum(amount), 0) FROM allowance WHERE subject = ? AND period = ?"
_FORGET: Final = "DELETE FROM allowance WHERE period < ? RETURNING declaration"


class SharedAllowances:
    """The part of a spool that keeps allowances: `spool.store.SpoolAllowances`."""

    def __init__(self, db: Store, *, among: str) -> None:
        """`among`: the backend's condition that a column is one of a list, which is one value."""
        self._db = db
        self._besides = f" AND NOT declaration {among}"

    def newest_answer(self) -> int:
        """Return the number of the newest answer; 0: there is none."""
        return int(self._db.rows(_NEWEST)[0][0])

    def answered(self, walk: str, *, up_to: int, kinds: Collection[str], limit: int) -> AnswerStep:
        """Look at answers on from where this walk stands; from the first when that answer is gone."""
        left = self._db.rows(_REACHED, _WALK + walk)
        before = (int(left[0][0]), int(left[0][1])) if left else None
        start = before if before is not None and self._db.rows(_THERE, *before) else (0, 0)
        rows = self._db.rows(_STRETCH, start[0], up_to, limit)
        return AnswerStep(
            declarations=tuple(
                dict.fromkeys(declaration for _, declaration, kind, _ in rows if kind in kinds)
            ),
            before=before,
            at=(rows[-1][0], rows[-1][3]) if rows else start,
            more=len(rows) == limit,
        )

    def set_allowances(self, walk: str, step: AnswerStep, allowances: Sequence[Allowance]) -> bool:
        """Move the walk, and replace the allowances of these declarations, in one order for all."""

        def work(transaction: Transaction) -> bool:
            name = _WALK + walk
            moved = (
                transaction.all(_BEGIN, name, *step.at)
                if step.before is None
                else transaction.all(_MOVE, *step.at, name, *step.before)
            )
            for one in sorted(allowances, key=lambda one: one.declaration) if moved else ():
                transaction.run(_SET, one.declaration, one.owner, one.subject, one.period, one.amount)
            return bool(moved)

        return self._db.transact(work)

    def allowance(self, subject: str, period: str, *, owner: str = "", besides: Collection[int] = ()) -> int:
        """Return the sum of the amounts of a subject in a period."""
        mine, whose = (" AND owner = ?", (owner,)) if owner else ("", ())
        query = f"{_SUM}{mine}{self._besides}"
        return int(self._db.rows(query, subject, period, *whose, self._db.numbers(besides))[0][0])

    def forget_allowances(self, before: str) -> int:
        """Delete what is older."""
        return self._db.transact(lambda transaction: len(transaction.all(_FORGET, before)))
