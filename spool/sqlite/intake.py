"""Take messages in, on SQLite: fetch what `spool.intake` judges by, and write what it accepts, in one commit."""

import re
from collections.abc import Sequence
from functools import partial
from itertools import count
from typing import Final

from spool.entry import NewMessage, Submission
from spool.intake import RELINKED, TAKEN, IntakeRows, Known, declared_by
from spool.lifecycle import UNSETTLED_SQL
from spool.shared.backend import Transaction
from spool.shared.intake import SharedIntake
from spool.sqlite.database import SqliteDatabase
from spool.sqlite.many import select
from spool.travelling import MOST, UNTOLD

_SAME_BYTES: Final = "SELECT m.owner, m.sha256, m.uid FROM (VALUES {}) AS o CROSS JOIN message m ON m.owner = o.column1 AND m.sha256 = o.column2"
"""Messages with these bytes: owner, digest."""
_SAME_REQUEST: Final = (
    "SELECT m.owner, m.request_key, m.uid FROM (VALUES {}) AS o CROSS JOIN message m"
    " ON m.owner = o.column1 AND m.request_key = o.column2 AND m.request_key <> '' AND m.request_key <> lower(hex(m.sha256))"
)
"""Messages with these request keys: owner, key. Without the conditions of the index `message_request`, SQLite reads all
messages of the owner."""
_SAME_DIGEST: Final = f"{_SAME_BYTES} AND m.request_key = lower(hex(m.sha256))"
"""Messages whose request key is the digest of their bytes: that index leaves them out, one write less for each."""
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_DECLARED: Final = "SELECT d.owner, d.identity, d.id FROM (VALUES {}) AS o CROSS JOIN declaration d ON d.identity = o.column2 AND d.owner = o.column1"
"""Numbers of declarations: owner, identity."""
_CARRIED: Final = (
    "SELECT m.uid, m.owner, e.sender FROM entry e JOIN message m ON m.id = e.message"
    f" WHERE e.cop_msg_id = ? AND e.sender IN (?, '{UNTOLD}') LIMIT {MOST}"
)
"""Messages under a CopMsgId, of one sender or of none named."""
_VERSION: Final = (
    "SELECT m.uid FROM version v JOIN message m ON m.id = v.message JOIN entry e ON e.message = m.id"
    f" WHERE v.declaration = ? AND v.version = ? AND {TAKEN} LIMIT 1"
)
"""A message that has taken a version of a declaration."""
_UNSETTLED: Final = (
    "SELECT e.id FROM version v JOIN entry e ON e.message = v.message"
    f" WHERE v.declaration = ? AND e.destination = ? AND e.state IN ({UNSETTLED_SQL})"
)
"""Entries about a declaration to a destination that a new one has to wait for."""
_NUMBERS: Final = "SELECT name, seq FROM sqlite_sequence"
"""The last number given in each table."""

_MESSAGE: Final = "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_PAYLOAD: Final = "INSERT INTO payload (message, body) VALUES (?1, ?3)"
_TRANSLATED: Final = "INSERT INTO payload (message, body, source) VALUES (?1, ?3, ?4)"
_ENTRY: Final = (
    "INSERT INTO entry (id, message, owner, turn, destination, cop_msg_id, sender, part, facts, priority, state, due_at,"
    " blockers) VALUES (?1, ?2, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
)
_WAIT: Final = "INSERT INTO wait (blocker, entry) VALUES (?2, ?3)"
_DECLARATION: Final = "INSERT INTO declaration VALUES (?, ?, ?, ?)"
_VERSIONS: Final = "INSERT OR IGNORE INTO version VALUES (?2, ?3, ?4)"
_HANDLE: Final = "INSERT OR IGNORE INTO handle VALUES (?2, ?3)"
_PARCEL: Final = (
    "INSERT INTO parcel (declaration, message, owner, order_no, waybill_no, facts) VALUES (?, ?, ?, ?, ?, ?)"
    f" {RELINKED}"
)
"""Rows of `spool.intake.IntakeRows`."""
_KEEP_EARLIER: Final = (
    "INSERT OR IGNORE INTO earlier_facts SELECT id, facts FROM declaration WHERE id = ?2 AND facts <> ?1"
)
"""Keep the facts of a declaration that a later version changes (docs/adr/0029)."""
_RENEW: Final = "UPDATE declaration SET facts = ?1 WHERE id = ?2 AND facts <> ?1"
"""Give a declaration the facts of its newest version."""


class SqliteIntake(SharedIntake):
    """Fetches what all messages need with a statement each, the rest when it is asked for."""

    def __init__(self, db: SqliteDatabase) -> None:
        super().__init__(db)
        self._db = db

    def _known(self, transaction: Transaction, new_messages: Sequence[NewMessage]) -> Known:
        rows = transaction.all
        # nobody else writes during this transaction, so the numbers are ours to give
        last: dict[str, int] = dict(rows(_NUMBERS))

        def version(declaration: int, version: str) -> str | None:
            found = rows(_VERSION, declaration, version)
            return found[0][0] if found else None

        return Known(
            requests=self._requests(new_messages),
            declared={
                (owner, identity): number
                for owner, identity, number in select(rows, _DECLARED, declared_by(new_messages))
            },
            carried=lambda way: rows(_CARRIED, way.cop_msg_id, way.sender),
            version=version,
            unsettled=lambda declaration, to: [row[0] for row in rows(_UNSETTLED, declaration, to)],
            messages=count(last.get("message", 0) + 1),
            entries=count(last.get("entry", 0) + 1),
            declarations=count(last.get("declaration", 0) + 1),
        )

    def _requests(self, asked: Sequence[NewMessage | Submission]) -> dict[tuple[str, str | bytes], str]:
        ask, requests = partial(select, self._db.rows), dict[tuple[str, str | bytes], str]()
        for owner, sha256, uid in ask(_SAME_BYTES, [(one.owner, one.sha256) for one in asked]):
            requests[owner, sha256] = uid
        keyed = [one for one in asked if one.request_key]
        for owner, request_key, uid in ask(_SAME_REQUEST, [(one.owner, one.request_key) for one in keyed]):
            requests[owner, request_key] = uid
        digests = [
            (one.owner, bytes.fromhex(one.request_key))
            for one in keyed
            if _DIGEST.fullmatch(one.request_key) and one.request_key != one.sha256.hex()
        ]
        for owner, sha256, uid in ask(_SAME_DIGEST, digests):
            requests[owner, sha256.hex()] = uid
        return requests

    def _write(self, transaction: Transaction, rows: IntakeRows) -> None:
        many = transaction.many
        many(_MESSAGE, "itttbtbi", rows.message)
        many(_PAYLOAD, "itb", rows.payload)
        many(_TRANSLATED, "itbb", rows.translated)
        many(_ENTRY, "iitttttttbitii", rows.entry)
        many(_WAIT, "tii", rows.wait)
        many(_DECLARATION, "ittb", rows.declaration)
        for newer in rows.facts:  # one after the other: there may be several of one declaration
            transaction.run(_KEEP_EARLIER, *newer)
            transaction.run(_RENEW, *newer)
        many(_VERSIONS, "titi", rows.version)
        many(_HANDLE, "tti", rows.handle)
        many(_PARCEL, "iitttb", rows.parcel.values())
