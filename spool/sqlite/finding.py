"""What an answer is compared with: declarations by text, messages by the id under which they travel."""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from spool.entry import Found, Travelled
from spool.sqlite.database import Database, to_time
from spool.sqlite.many import select
from spool.travelling import COLUMNS, MOST, UNTOLD, TravelledEntry, meant

PAGE: Final = 500
"""Rows looked at together: a text of many declarations is gone through to its end, never held as a whole."""
_NAMED = "SELECT identity, id, owner, facts FROM declaration WHERE identity IN (VALUES {})"
_HANDLES = "SELECT o.column1 FROM (VALUES {}) AS o WHERE EXISTS (SELECT 1 FROM handle WHERE text = o.column1)"
_MEANT = (
    "SELECT d.identity, d.id, d.owner, d.facts FROM handle h JOIN declaration d ON d.id = h.declaration"
    " WHERE h.text = ?1 AND h.declaration > ?2 AND d.identity <> ?1 AND (?3 IS NULL OR d.owner = ?3)"
    f" ORDER BY h.declaration LIMIT {PAGE}"
)
_CARRIERS = (
    "SELECT DISTINCT v.declaration, e.destination FROM (VALUES {}) AS o"
    " CROSS JOIN version v ON v.declaration = o.column1 CROSS JOIN entry e ON e.message = v.message"
)
_CHANGED = (
    "SELECT o.column1 FROM (VALUES {}) AS o"
    " WHERE EXISTS (SELECT 1 FROM earlier_facts WHERE declaration = o.column1)"
)
_EARLIER = f"SELECT facts FROM earlier_facts WHERE declaration = ? AND facts > ? ORDER BY facts LIMIT {PAGE}"


class Finding:
    """The correlating part of the spool."""

    db: Database

    def find(self, texts: Sequence[str], *, owner: str | None = None) -> Iterator[Found]:
        """Yield every declaration that one of the texts points at, once for each of its facts, the newest last."""
        wanted = [(text,) for text in dict.fromkeys(texts)]
        with self.db.read() as connection:
            rows = select(connection, _NAMED, wanted)
            handles = dict.fromkeys(row[0] for row in select(connection, _HANDLES, wanted))
        yield from self._with_earlier([_found(row[0], row) for row in rows if owner in {None, row[2]}])
        for text in handles:
            after = 0
            while page := self._meant(text, after, owner):
                yield from self._with_earlier(page)
                after = page[-1].declaration

    def _meant(self, text: str, after: int, owner: str | None) -> list[Found]:
        with self.db.read() as connection:
            return [_found(text, row) for row in connection.execute(_MEANT, (text, after, owner))]

    def _with_earlier(self, page: Sequence[Found]) -> Iterator[Found]:
        """Yield each as its versions before the newest say, and then as that does."""
        if not page:
            return
        with self.db.read() as connection:
            rows = select(connection, _CHANGED, [(one.declaration,) for one in page])
        changed = {row[0] for row in rows}
        for one in page:
            if one.declaration in changed:
                yield from self._earlier(one)
            yield one

    def _earlier(self, one: Found) -> Iterator[Found]:
        rows: list[tuple[bytes]] = [(b"",)]
        while rows:
            with self.db.read() as connection:
                rows = connection.execute(_EARLIER, (one.declaration, rows[-1][0])).fetchall()
            for (facts,) in rows:
                yield replace(one, facts=facts)

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
            entries = meant([TravelledEntry(*row) for row in found], senders)
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


def _found(text: str, row: tuple[str, int, str, bytes]) -> Found:
    identity, number, owner, facts = row
    return Found(declaration=number, owner=owner, identity=identity, found_by=text, facts=facts)
