"""What an answer is compared with: declarations by text, messages by the id under which they travel."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from msgspec.structs import replace

from spool.entry import Found, Travelled
from spool.postgres.arrays import int8s, texts
from spool.postgres.database import Database, Row, to_time
from spool.postgres.texts import short
from spool.travelling import COLUMNS, MOST, UNTOLD, TravelledEntry, meant

PAGE: Final = 500
"""Rows of one text that are looked at together: one of many declarations is gone through to its end, never held as a whole."""
_POINTED = (
    "SELECT d.id, d.owner, d.identity, o.text, d.facts,"
    " EXISTS (SELECT 1 FROM earlier_facts e WHERE e.declaration = d.id)"
    " FROM unnest(%s::text[], %s::text[], %s::bigint[]) WITH ORDINALITY AS o (text, short, after, place)"
    " CROSS JOIN (VALUES (%s::text)) AS w (owner) CROSS JOIN LATERAL ("
    "SELECT n.id FROM declaration n WHERE n.identity = o.text AND n.id > o.after AND w.owner IN ('', n.owner)"
    " UNION (SELECT h.declaration FROM handle h WHERE h.text = o.short AND h.declaration > o.after"
    f" AND w.owner IN ('', h.owner) ORDER BY h.declaration LIMIT {PAGE}) ORDER BY 1 LIMIT {PAGE}) AS f"
    " JOIN declaration d ON d.id = f.id ORDER BY o.place, d.id"
)
_EARLIER = (
    "SELECT digest, facts FROM earlier_facts WHERE declaration = %s AND digest > %s"
    f" ORDER BY digest LIMIT {PAGE}"
)


class Finding:
    """The correlating part of the spool."""

    db: Database

    def find(self, wanted: Sequence[str], *, owner: str | None = None) -> Iterator[Found]:
        """Yield every declaration that one of the texts points at, once for each of its facts, the newest last."""
        left = dict.fromkeys(wanted, 0)
        while left:
            rows = self.db.rows(
                _POINTED,
                texts(left),
                texts(short(text) for text in left),
                int8s(left.values()),
                owner or "",
            )
            pages = Counter(row[3] for row in rows)
            left = {row[3]: row[0] for row in rows if pages[row[3]] == PAGE}
            for *row, changed in rows:
                found = _found(row)
                if changed:
                    yield from self._earlier(found)
                yield found

    def _earlier(self, one: Found) -> Iterator[Found]:
        """Yield it as each of its versions before the newest says."""
        rows: list[Row] = [(b"",)]
        while rows := self.db.rows(_EARLIER, one.declaration, rows[-1][0]):
            for _, facts in rows:
                yield replace(one, facts=facts)

    def carriers(self, declarations: Collection[int]) -> dict[int, set[str]]:
        """Return to which destinations messages about each of these declarations go or went."""
        found: dict[int, set[str]] = {}
        if declarations:
            rows = self.db.rows(
                "SELECT DISTINCT v.declaration, e.destination FROM unnest(%s::bigint[]) AS o (id)"
                " JOIN version v ON v.declaration = o.id JOIN entry e ON e.message = v.message",
                int8s(declarations),
            )
            for declaration, destination in rows:
                found.setdefault(declaration, set()).add(destination)
        return found

    def travelled(self, cop_msg_id: str, senders: Collection[str] = ()) -> Travelled | None:
        """Return the one message of these senders, or of any, that goes out under this CopMsgId: `travelling.meant`."""
        found = self.db.rows(
            f"SELECT {COLUMNS} FROM entry WHERE cop_msg_id = %s AND (%s OR sender = ANY (%s::text[]))"
            f" ORDER BY id LIMIT {MOST}",
            cop_msg_id,
            not senders,
            texts((*senders, UNTOLD)),
        )
        entries = meant([TravelledEntry(*row) for row in found], senders)
        if not entries:
            return None
        number = entries[0].message
        messages = self.db.rows("SELECT uid, owner, kind, accepted_at FROM message WHERE id = %s", number)
        if not messages:  # purged a moment ago
            return None
        ((uid, owner, kind, accepted_at),) = messages
        rows = self.db.rows(
            "SELECT DISTINCT d.id, d.owner, d.identity, %s, d.facts FROM version v"
            " JOIN declaration d ON d.id = v.declaration WHERE v.message = %s ORDER BY d.id",
            cop_msg_id,
            number,
        )
        return Travelled(
            uid=uid,
            owner=owner,
            kind=kind,
            accepted_at=to_time(accepted_at),
            declarations=tuple(map(_found, rows)),
            entries=tuple(one.latest for one in entries),
        )


def _found(row: Sequence[Any]) -> Found:
    number, owner, identity, text, facts = row
    return Found(declaration=number, owner=owner, identity=identity, found_by=text, facts=facts)
