"""What bringing answers home needs of SQLite's own SQL."""

from typing import Final

from spool.shared.inbox import BESIDES, InboxSql

INBOX: Final = InboxSql(
    answers=(  # the order of the joins is that of the page
        "SELECT d.identity, t.at, t.kind, t.status, t.facts, t.digest, t.body_index, n.arrival, n.cursor"
        " FROM notice n CROSS JOIN timeline t ON t.notice = n.cursor CROSS JOIN declaration d ON d.id = t.declaration"
        " WHERE n.owner = ? AND n.cursor > ? AND n.cursor <= ? ORDER BY n.cursor, t.body_index, t.id"
    ),
    besides=(
        "SELECT DISTINCT d.identity FROM notice n CROSS JOIN timeline t ON t.notice = n.cursor"
        " CROSS JOIN declaration d ON d.id = t.declaration WHERE n.owner = ? AND n.cursor > ? AND n.cursor <= ?"
        f" AND {BESIDES.format(but='NOT IN (SELECT value FROM json_each(?))')}"
    ),
    newest=(
        "SELECT * FROM (SELECT o.value, (SELECT max(cursor) FROM notice WHERE owner = o.value) AS newest"
        " FROM json_each(?) o) WHERE newest IS NOT NULL"
    ),
    unread=(
        "SELECT count(*), coalesce(sum(size), 0) FROM (SELECT size FROM mail WHERE owner = ? AND cursor >"
        " coalesce((SELECT cursor FROM acknowledged WHERE owner = ?), 0) ORDER BY cursor LIMIT ?)"
    ),
    acknowledge=(
        "INSERT INTO acknowledged (owner, cursor)"
        " VALUES (?1, max(0, min(?2, coalesce((SELECT max(cursor) FROM notice WHERE owner = ?1), 0))))"
        " ON CONFLICT (owner) DO UPDATE SET cursor = max(cursor, excluded.cursor) RETURNING cursor"
    ),
    acknowledged="SELECT cursor FROM acknowledged WHERE owner = ?",
)
