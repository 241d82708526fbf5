"""What an answer is compared with: declarations by text, messages by the id under which they travel."""

from collections.abc import Collection, Sequence

from spool.entry import Found, Travelled
from spool.sqlite.database import Database, to_time
from spool.sqlite.many import select
from spool.travelling import COLUMNS, MOST, UNTOLD, Entry, meant

_NAMED = "SELECT identity, id, owner, facts FROM declaration WHERE identity IN (VALUES {})"
_HANDLES = "SELECT o.column1 FROM (VALUES {}) AS o WHERE EXISTS (SELECT 1 FROM handle WHERE text = o.column1)"
_MEANT = (
    "SELECT h.text, d.id, d.owner, d.identity, d.facts FROM handle h JOIN declaration d ON d.id = h.declaration"
    " WHERE h.text = ? LIMIT 500"
)
_CARRIERS = (
    "SELECT DISTINCT v.declaration, e.destination FROM (VALUES {}) AS o"
    " CROSS JOIN version v ON v.declaration = o.column1 CROSS JOIN entry e ON e.message = v.message"
)


class Finding:
    """The correlating part of the spool."""

    db: Database

    def find(self, texts: Sequence[str]) -> list[Found]:
        """Return every declaration that one of the texts, identities or handles, points at."""
        wanted = [(text,) for text in dict.fromkeys(texts)]
        with self.db.read() as connection:
            named = select(connection, _NAMED, wanted)
            handles = dict.fromkeys(row[0] for row in select(connection, _HANDLES, wanted))
            meant = [row for text in handles for row in connection.execute(_MEANT, (text,))]
        found = [
            Found(declaration=number, owner=owner, identity=identity, found_by=identity, facts=facts)
            for identity, number, owner, facts in named
        ]
        known = {(one.found_by, one.declaration) for one in found} if meant else set()
        found += [
            Found(declaration=number, owner=owner, identity=identity, found_by=text, facts=facts)
            for text, number, owner, identity, facts in meant
            if (text, number) not in known
        ]
        return found

    def carriers(self, declarations: Collection[int]) -> dict[int, set[str]]:
        """Return to which destinations messages about each of these declarations go or went."""
        found: dict[int, set[str]] = {}
        with self.db.read() as connection:
            for declaration, destination in select(connection, _CARRIERS, [(one,) for one in declarations]):
                found.setdefault(declaration, set()).add(destination)
        return found

    def travelled(self, cop_msg_id: str, senders: Collection[str] = ()) -> Travelled | None:
        """Return the one message of these senders, or of any, that goes out under this CopMsgId: `travelling.meant`."""
        wanted = (*senders, UNTOLD) if senders else ()
        of_them = f" AND sender IN ({', '.join('?' * len(wanted))})" if wanted else ""
        with self.db.read() as connection:
            found = connection.execute(
                f"SELECT {COLUMNS} FROM entry WHERE cop_msg_id = ?{of_them} ORDER BY id LIMIT {MOST}",
                (cop_msg_id, *wanted),
            )
            entries = meant([Entry(*row) for row in found], senders)
            if not entries:
                return None
            number = entries[0].message
            uid, owner, kind, accepted_at = connection.execute(
                "SELECT uid, owner, kind, accepted_at FROM message WHERE id = ?", (number,)
            ).fetchone()
            rows = connection.execute(
                "SELECT DISTINCT d.id, d.owner, d.identity, d.facts FROM version v"
                " JOIN declaration d ON d.id = v.declaration WHERE v.message = ?",
                (number,),
            ).fetchall()
        return Travelled(
            uid=uid,
            owner=owner,
            kind=kind,
            accepted_at=to_time(accepted_at),
            declarations=tuple(
                Found(declaration=row[0], owner=row[1], identity=row[2], found_by=cop_msg_id, facts=row[3])
                for row in rows
            ),
            entries=tuple(one.latest for one in entries),
        )
