"""What an answer is compared with: declarations by text, messages by the id under which they travel."""

from collections.abc import Collection, Sequence

from spool.entry import Found, Travelled
from spool.postgres.arrays import int8s, texts
from spool.postgres.database import Database, Row, to_time
from spool.postgres.texts import short
from spool.travelling import COLUMNS, MOST, UNTOLD, Entry, meant


class Finding:
    """The correlating part of the spool."""

    db: Database

    def find(self, wanted: Sequence[str]) -> list[Found]:
        """Return every declaration that one of the texts, identities or handles, points at."""
        different = list(dict.fromkeys(wanted))
        rows = self.db.rows(
            "SELECT d.id, d.owner, d.identity, o.text, d.facts FROM unnest(%s::text[], %s::text[])"
            " WITH ORDINALITY AS o (text, short, place) CROSS JOIN LATERAL ("
            "SELECT id FROM declaration WHERE identity = o.text"
            " UNION SELECT declaration FROM handle WHERE handle.text = o.short ORDER BY 1 LIMIT 500) AS f"
            " JOIN declaration d ON d.id = f.id ORDER BY o.place, d.id",
            texts(different),
            texts(short(text) for text in different),
        )
        return [_found(row) for row in rows]

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
        entries = meant([Entry(*row) for row in found], senders)
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


def _found(row: Row) -> Found:
    number, owner, identity, text, facts = row
    return Found(declaration=number, owner=owner, identity=identity, found_by=text, facts=facts)
