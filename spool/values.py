"""Rows → values: one order of columns for every backend, named in each function."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from spool.archived import ArchivedReceipt
from spool.entry import (
    Backlog,
    Claimed,
    Depth,
    Found,
    JournalLine,
    LinkedDeclaration,
    MessageView,
    Orphan,
    ParcelLink,
    RawArrival,
    Silent,
    Tally,
    TimelineEntry,
)
from spool.lease import Lease
from spool.lifecycle import State
from spool.sealing import Leaves, Sealed, unpacked
from spool.times import to_time

Row = Sequence[Any]
_RECEIPT: Final = "id feed name kind cop_msg_id received_at body"
_ORPHAN: Final = "id arrival index feed name kind reason facts received_at pointers"
_SILENT: Final = "declaration message uid owner kind destination identity sent_at layer"


def _named(names: str, row: Row) -> dict[str, Any]:
    """Name the columns of a row; what ends with `_at` is a time, or None."""
    return {
        name: to_time(value) if name.endswith("_at") and value is not None else value
        for name, value in zip(names.split(), row, strict=True)
    }


def tally(row: Row) -> Tally:
    """Read name, subject, origin, key, n, first_at, last_at."""
    return Tally(**_named("name subject origin key n first_at last_at", row))


def claimed(row: Row, lease: Lease) -> Claimed:
    """Read entry, claim, uid, owner, kind, destination, cop_msg_id, attempts, accepted_at, facts, way, body."""
    entry, claim, uid, owner, kind, destination, cop_msg_id, attempts, accepted_at, facts, way, body = row
    return Claimed(
        entry=entry,
        claim=claim,
        uid=uid,
        owner=owner,
        kind=kind,
        destination=destination,
        cop_msg_id=cop_msg_id,
        attempts=attempts,
        accepted_at=to_time(accepted_at),
        facts=facts,
        way=way,
        body=body,
        lease=lease,
    )


def message_view(row: Row) -> MessageView:
    """Read the columns of `ReadingSql.view`, then uids of what the entry waits for, and identities."""
    (uid, owner, kind, sha256, facts, accepted_at, entry, destination, cop_msg_id, part) = row[:10]
    (state, attempts, due_at, error, sent_at, sent_sha256, way, waits_for, identities) = row[10:]
    return MessageView(
        uid=uid,
        owner=owner,
        kind=kind,
        sha256=sha256,
        facts=facts,
        accepted_at=to_time(accepted_at),
        entry=entry,
        destination=destination,
        cop_msg_id=cop_msg_id,
        part=part,
        state=State(state),
        attempts=attempts,
        due_at=to_time(due_at),
        waits_for=tuple(waits_for),
        error=error,
        sent_at=None if sent_at is None else to_time(sent_at),
        sent_sha256=sent_sha256,
        identities=tuple(identities),
        way=way,
    )


def timeline_entry(row: Row, received_at: datetime | None = None) -> TimelineEntry:
    """Read identity, at, kind, status, facts, digest, body_index, arrival, notice, and received_at unless it is given."""
    identity, at, kind, status, facts, digest, index, arrival, notice = row[:9]
    return TimelineEntry(
        identity=identity,
        at=at,
        kind=kind,
        status=status,
        facts=facts,
        digest=digest,
        index=index,
        arrival=arrival,
        received_at=received_at or to_time(row[9]),
        notice=notice,
    )


def journal_line(row: Row) -> JournalLine:
    """Read id, at, event, uid, detail."""
    number, at, event, uid, detail = row
    return JournalLine(number=number, at=to_time(at), event=event, uid=uid, detail=detail)


def raw_arrival(row: Row) -> RawArrival:
    """Read id, feed, name, body, received_at, and the other feeds, separated by line feeds."""
    number, feed, name, body, received_at, also = row
    return RawArrival(
        id=number,
        feed=feed,
        name=name,
        body=body,
        received_at=to_time(received_at),
        also=tuple(also.split("\n")) if also else (),
    )


def archived_receipt(row: Row) -> ArchivedReceipt:
    """Read id, feed, name, kind, cop_msg_id, received_at, body."""
    return ArchivedReceipt(**_named(_RECEIPT, row))


def orphan(row: Row) -> Orphan:
    """Read id, arrival, body_index, feed, name, kind, reason, facts, received_at, pointers."""
    return Orphan(**_named(_ORPHAN, row))


def found(row: Row, text: str) -> Found:
    """Read the number of a declaration, owner, identity, facts; `text` is what it was found by."""
    number, owner, identity, facts = row
    return Found(declaration=number, owner=owner, identity=identity, found_by=text, facts=facts)


def silent(row: Row) -> Silent:
    """Read declaration, message, uid, owner, kind, destination, identity, sent_at, layer."""
    return Silent(**_named(_SILENT, row))


def depth(row: Row) -> Depth:
    """Read destination, state, upper bound of the class of age, number of entries."""
    destination, state, age_s, entries = row
    return Depth(destination=destination, state=State(state), age_s=age_s, entries=entries)


def backlog(row: Row) -> Backlog:
    """Read destination, number of entries, accepted_at of the oldest or None."""
    destination, entries, oldest = row
    return Backlog(
        destination=destination, entries=entries, oldest=None if oldest is None else to_time(oldest)
    )


def sealed(row: Row) -> Sealed:
    """Read size, at, note."""
    size, at, note = row
    return Sealed(size=size, at=to_time(at), note=note)


def leaves(row: Row) -> Leaves:
    """Read first, numbers as packed, highest."""
    first, numbers, highest = row
    return Leaves(first=first, numbers=unpacked(numbers), highest=highest)


def linked(row: Row) -> LinkedDeclaration:
    """Read declaration, message, uid, owner, kind, identity, accepted_at, order_no, waybill_no, facts, reported."""
    declaration, message, uid, owner, kind, identity, accepted_at, order_no, waybill_no, facts, reported = row
    return LinkedDeclaration(
        declaration=declaration,
        message=message,
        uid=uid,
        owner=owner,
        kind=kind,
        identity=identity,
        accepted_at=to_time(accepted_at),
        link=ParcelLink(order_no=order_no, waybill_no=waybill_no, facts=bytes(facts)),
        reported=reported,
    )
