"""Take messages in, on PostgreSQL: fetch what `spool.intake` judges by, and write what it accepts, a statement a table.

What keeps two nodes from contradicting each other, at READ COMMITTED: declarations that are there are locked,
in one order for all, before anything is read about them, and stay locked until the commit; of two nodes that
make the same declaration or message at once, the unique index stops the slower until the faster has committed, then
the slower judges its messages anew (`PostgresDatabase.write`). CopMsgIds of the senders' own are locked while they are looked up.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from spool.entry import NewMessage, Submission, Way
from spool.intake import RELINKED, TAKEN, IntakeRows, Known, declared_by, latest_facts
from spool.lifecycle import UNSETTLED_SQL
from spool.postgres.arrays import columns, int8s, texts
from spool.postgres.database import numbers
from spool.postgres.days import DAY
from spool.postgres.texts import short
from spool.requests import Requests
from spool.shared.backend import Result, Row, Transaction
from spool.shared.intake import SharedIntake
from spool.travelling import UNTOLD

_SAME_REQUEST: Final = (
    "SELECT m.owner, m.request_key, m.uid FROM unnest(%s::text[], %s::text[]) AS o (owner, key)"
    " JOIN message m ON m.owner = o.owner AND m.request_key = o.key AND m.request_key <> ''"
)
"""Messages with these request keys: owners, keys."""
_SAME_BYTES: Final = (
    "SELECT m.owner, m.sha256, m.uid FROM unnest(%s::text[], %s::bytea[]) AS o (owner, sha256)"
    " JOIN message m ON m.owner = o.owner AND m.sha256 = o.sha256"
)
"""Messages with these bytes: owners, digests."""
_DECLARED: Final = (
    "SELECT d.owner, d.identity, d.id FROM unnest(%s::text[], %s::text[]) AS o (owner, identity)"
    " JOIN declaration d ON d.identity = o.identity AND d.owner = o.owner"
    " ORDER BY d.owner, d.identity FOR NO KEY UPDATE OF d"
)
"""Numbers of declarations, locked: owners, identities."""
_LOCK_IDS: Final = "SELECT pg_advisory_xact_lock(hashtextextended(w.id, 0)) FROM unnest(%s::text[]) AS w (id)"
"""Lock CopMsgIds that senders made: no index can say that one belongs to one message with several entries."""
_CARRIED: Final = (
    "SELECT DISTINCT e.cop_msg_id, e.uid, e.owner, e.sender FROM unnest(%s::text[], %s::text[]) AS w (id, sender)"
    f" JOIN entry e ON e.cop_msg_id = w.id AND e.sender IN (w.sender, '{UNTOLD}')"
)
"""Messages under these CopMsgIds: ids, senders."""
_VERSIONS: Final = (
    "SELECT v.declaration, v.version, e.uid FROM unnest(%s::bigint[], %s::text[]) AS o (declaration, version)"
    " JOIN version v USING (declaration, version) JOIN entry e ON e.message = v.message"
    f" WHERE {TAKEN}"
)
"""Messages that have taken these versions: declarations, versions."""
_UNSETTLED: Final = (
    "SELECT v.declaration, e.destination, e.id FROM version v JOIN entry e ON e.message = v.message"
    f" WHERE v.declaration = ANY(%s) AND e.destination = ANY(%s) AND e.state IN ({UNSETTLED_SQL})"
    " ORDER BY e.id FOR SHARE OF e"
)
"""What new entries have to wait for, locked against settling: declarations, destinations."""

_DECLARE: Final = (
    "INSERT INTO declaration (id, identity, owner, facts)"
    " SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::bytea[])"
)
_VERSION: Final = (
    "INSERT INTO version (owner, declaration, version, message)"
    " SELECT * FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::bigint[]) ON CONFLICT DO NOTHING"
)
_HANDLE: Final = (
    "INSERT INTO handle (owner, text, declaration)"
    " SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[]) ON CONFLICT DO NOTHING"
)
_MESSAGE: Final = (
    "INSERT INTO message (day, id, uid, owner, kind, sha256, request_key, facts, accepted_at)"
    " SELECT %s, * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::bytea[], %s::text[],"
    " %s::bytea[], %s::bigint[])"
)
_PAYLOAD: Final = (
    "INSERT INTO payload (day, message, owner, body)"
    " SELECT %s, * FROM unnest(%s::bigint[], %s::text[], %s::bytea[])"
)
_TRANSLATED: Final = (
    "INSERT INTO payload (day, message, owner, body, source)"
    " SELECT %s, * FROM unnest(%s::bigint[], %s::text[], %s::bytea[], %s::bytea[])"
)
_ENTRY: Final = (
    "INSERT INTO entry (id, message, uid, owner, turn, destination, cop_msg_id, sender, part, facts, priority, state,"
    " due_at, blockers) SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[],"
    " %s::text[], %s::text[], %s::text[], %s::bytea[], %s::bigint[], %s::text[], %s::bigint[], %s::bigint[])"
)
_WAIT: Final = (
    "INSERT INTO wait (owner, blocker, entry) SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bigint[])"
)
_PARCEL: Final = (
    "INSERT INTO parcel (declaration, message, owner, order_no, waybill_no, facts)"
    " SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::bytea[])"
    f" {RELINKED}"
)
"""Rows of `spool.intake.IntakeRows`."""
_KEEP_EARLIER: Final = (
    "WITH given AS (SELECT * FROM unnest(%s::bigint[], %s::bytea[]) AS o (id, facts))"
    " INSERT INTO earlier_facts (declaration, owner, facts)"
    " SELECT d.id, d.owner, d.facts FROM given g JOIN declaration d ON d.id = g.id AND d.facts <> g.facts"
    " UNION SELECT d.id, d.owner, g.facts FROM given g JOIN declaration d ON d.id = g.id AND d.facts <> g.facts"
    " ON CONFLICT DO NOTHING"
)
"""Keep the facts of declarations that later versions change (docs/adr/0029): declarations, facts."""
_RENEW: Final = (
    "UPDATE declaration d SET facts = o.facts FROM unnest(%s::bigint[], %s::bytea[]) AS o (id, facts)"
    " WHERE d.id = o.id AND d.facts <> o.facts"
)
"""Give declarations the facts of their newest version."""


class PostgresIntake(SharedIntake):
    """Fetches everything ahead, in as few round trips as can be."""

    def _requests(self, asked: Sequence[NewMessage | Submission]) -> Requests:
        return _requests(*_ask_requests(self._store.rows, asked))

    def _known(self, transaction: Transaction, new_messages: Sequence[NewMessage]) -> Known:
        """Lock the declarations that are there, then fetch everything in as few round trips as can be."""
        run = transaction.run
        about = sorted(declared_by(new_messages))
        own = [way for new in new_messages for way in new.ways if way.cop_msg_id != new.uid]
        # the locks first: what is read before them another node may change before we hold them
        locked = about and run(_DECLARED, *columns("tt", about))
        under = own and _travelling(transaction, own)
        asked = _ask_requests(run, new_messages)
        # after the locks: who comes later has the higher numbers
        messages = numbers(transaction, "message_number", len(new_messages))
        entries = numbers(transaction, "entry_number", sum(len(new.ways) for new in new_messages))
        requests = _requests(*asked)
        carried: defaultdict[str, list[tuple[str, str, str]]] = defaultdict(list)
        for cop_msg_id, *whose in under or ():
            carried[cop_msg_id].append((whose[0], whose[1], whose[2]))
        declared: dict[tuple[str, str], int] = {(row[0], row[1]): row[2] for row in locked or ()}
        new = len(about) - len(declared)
        declarations = numbers(transaction, "declaration_number", new) if new else ()
        versions, unsettled = _about(transaction, new_messages, declared) if declared else ({}, {})
        return Known(
            requests=requests,
            declared=declared,
            carried=lambda way: carried[way.cop_msg_id],
            version=lambda declaration, version: versions.get((declaration, version)),
            unsettled=lambda declaration, destination: unsettled.get((declaration, destination), ()),
            messages=iter(messages),
            entries=iter(entries),
            declarations=iter(declarations),
        )

    def _write(self, transaction: Transaction, rows: IntakeRows) -> None:
        """Insert the rows of a batch; in the same order on every node where rows can be contested."""
        many, run = transaction.many, transaction.run
        many(_DECLARE, "ittb", sorted(rows.declaration, key=lambda row: (row[2], row[1])))
        told = latest_facts(rows.facts)
        many(_KEEP_EARLIER, "ib", [(number, facts) for number, some in told.items() for facts in some])
        many(_RENEW, "ib", [(number, some[-1]) for number, some in told.items()])
        many(_VERSION, "titi", rows.version)
        many(_HANDLE, "tti", [(owner, short(text), number) for owner, text, number in rows.handle])
        many(_PARCEL, "iitttb", [_short_numbers(row) for _, row in sorted(rows.parcel.items())])
        day = transaction.now // DAY
        ordered = sorted(rows.message, key=lambda row: (row[2], row[4]))
        run(_MESSAGE, day, *columns("itttbtbi", ordered))
        for statement, kinds, some in (
            (_PAYLOAD, "itb", rows.payload),
            (_TRANSLATED, "itbb", rows.translated),
        ):
            if some:
                run(statement, day, *columns(kinds, some))
        many(_ENTRY, "iitttttttbitii", rows.entry)
        many(_WAIT, "tii", rows.wait)


def _short_numbers(row: tuple[int, int, str, str, str, bytes]) -> tuple[int, int, str, str, str, bytes]:
    declaration, message, owner, order_no, waybill_no, facts = row
    return declaration, message, owner, short(order_no), short(waybill_no), facts


def _ask_requests(
    run: Callable[..., Iterable[Row]], asked: Sequence[NewMessage | Submission]
) -> tuple[Iterable[Row], Iterable[Row]]:
    """Ask what has these request keys, and what has these bytes."""
    keyed = [one for one in asked if one.request_key]
    named = keyed and run(_SAME_REQUEST, *columns("tt", [(one.owner, one.request_key) for one in keyed]))
    # last, so that what another node took meanwhile is known, not a clash with itself
    same = run(_SAME_BYTES, *columns("tb", [(one.owner, one.sha256) for one in asked]))
    return named or (), same


def _requests(named: Iterable[Row], same: Iterable[Row]) -> dict[tuple[str, str | bytes], str]:
    """Put together what was found: `spool.requests.Requests`."""
    return {(row[0], row[1]): row[2] for rows in (same, named) for row in rows}


def _travelling(transaction: Transaction, own: Sequence[Way]) -> Result:
    """Ask who travels under these CopMsgIds, locked: those that the gateway makes itself need neither."""
    transaction.run(_LOCK_IDS, texts(sorted({way.cop_msg_id for way in own})))
    return transaction.run(_CARRIED, *columns("tt", [(way.cop_msg_id, way.sender) for way in own]))


def _about(
    transaction: Transaction, new_messages: Sequence[NewMessage], declared: Mapping[tuple[str, str], int]
) -> tuple[dict[tuple[int, str], str], dict[tuple[int, str], list[int]]]:
    """Fetch what was handed in about declarations that are there: versions taken, entries that are unsettled."""
    asked = {
        (declared[new.owner, one.identity], one.version)
        for new in new_messages
        for one in new.subjects
        if one.version and (new.owner, one.identity) in declared
    }
    versions = asked and transaction.run(_VERSIONS, *columns("it", asked))
    destinations = {way.destination for new in new_messages for way in new.ways}
    unsettled: defaultdict[tuple[int, str], list[int]] = defaultdict(list)
    for declaration, destination, entry in transaction.all(
        _UNSETTLED, int8s(declared.values()), texts(destinations)
    ):
        unsettled[declaration, destination].append(entry)
    return {(row[0], row[1]): row[2] for row in versions or ()}, unsettled
