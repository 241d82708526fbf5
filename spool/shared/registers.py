"""Registers of owners: stored whole, read whole, and told apart by a version that is cheap to ask for."""

from collections.abc import Mapping, Sequence
from typing import Final

from spool.entry import Note
from spool.registers import NewRegister, StoredRegister
from spool.shared.backend import Store, Transaction
from spool.times import to_time

_REPLACE: Final = (
    "INSERT INTO register (owner, name, version, at, form, facts, body) VALUES (?, ?, 1, ?, ?, ?, ?)"
    " ON CONFLICT (owner, name) DO UPDATE SET version = register.version + 1, at = excluded.at,"
    " form = excluded.form, facts = excluded.facts, body = excluded.body RETURNING version"
)
_DROP: Final = (
    "UPDATE register SET version = version + 1, at = ?, form = '', facts = ?, body = ?"
    " WHERE owner = ? AND name = ? AND form <> '' RETURNING version"
)
"""The row stays, so that no version is given twice."""
_VERSIONS: Final = "SELECT owner, name, version FROM register WHERE form <> ''"
_READ: Final = "SELECT version, at, form, facts FROM register WHERE owner = ? AND name = ? AND form <> ''"
_BODY: Final = "SELECT body FROM register WHERE owner = ? AND name = ? AND form <> ''"


class SharedRegisters:
    """The part of a spool that keeps registers: `spool.store.SpoolRegisters`; both backends know the same SQL."""

    def __init__(self, db: Store) -> None:
        self._db = db

    def replace_register(self, new: NewRegister, *, notes: Sequence[Note] = ()) -> int:
        """Put a document in the place of the earlier one and write notes, in one commit; returns its version."""

        def work(transaction: Transaction) -> int:
            given = (new.owner, new.name, transaction.now, new.form, new.facts, new.body)
            ((version,),) = transaction.all(_REPLACE, *given)
            transaction.journal((note.event, note.uid, note.detail) for note in notes)
            return int(version)

        return self._db.transact(work)

    def drop_register(self, owner: str, name: str, *, notes: Sequence[Note] = ()) -> bool:
        """Take a document back and write notes, in one commit; False, and no notes: there was none."""

        def work(transaction: Transaction) -> bool:
            there = bool(transaction.all(_DROP, transaction.now, b"", b"", owner, name))
            if there:
                transaction.journal((note.event, note.uid, note.detail) for note in notes)
            return there

        return self._db.transact(work)

    def register_versions(self) -> Mapping[tuple[str, str], int]:
        """Return owner and name of every document in force → its version."""
        return {(owner, name): version for owner, name, version in self._db.rows(_VERSIONS)}

    def register(self, owner: str, name: str) -> StoredRegister | None:
        """Return the document in force without its body; None: there is none."""
        rows = self._db.rows(_READ, owner, name)
        if not rows:
            return None
        version, at, form, facts = rows[0]
        return StoredRegister(version=version, at=to_time(at), form=form, facts=bytes(facts))

    def register_body(self, owner: str, name: str) -> bytes | None:
        """Return the bytes of the document in force, as handed in; None: there is none."""
        rows = self._db.rows(_BODY, owner, name)
        return bytes(rows[0][0]) if rows else None
