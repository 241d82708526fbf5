"""What reading messages needs of PostgreSQL's own SQL."""

from typing import Final

from spool.shared.reading import LINE, ReadingSql

OPEN: Final = "e.state IN ('ready', 'sending', 'held', 'dead')"
"""Word for word the condition of the index `entry_open`."""
_OF_DECLARATION: Final = "SELECT m.uid FROM version v JOIN message m ON m.id = v.message WHERE v.declaration IN ({}) ORDER BY m.id + 0 LIMIT %s"
"""Sorted, not walked in that order until enough are found: they are few."""
READING: Final = ReadingSql(
    view=(
        "SELECT m.uid, m.owner, m.kind, m.sha256, m.facts, m.accepted_at, e.id, e.destination, e.cop_msg_id, e.part,"
        " e.state, e.attempts, e.due_at, e.error, e.sent_at, e.sent_sha256, e.facts,"
        " ARRAY(SELECT b.uid FROM wait w JOIN entry b ON b.id = w.blocker WHERE w.entry = e.id ORDER BY b.id),"
        " ARRAY(SELECT d.identity FROM version v JOIN declaration d ON d.id = v.declaration"
        " WHERE v.message = m.id ORDER BY d.id)"
        " FROM message m JOIN entry e ON e.message = m.id"
    ),
    among="= ANY(%s)",
    open=OPEN,
    error="position(? IN e.error) > 0",
    body="SELECT p.body, p.source FROM message m JOIN payload p ON p.day = m.day AND p.message = m.id WHERE m.uid = %s",
    beginning="SELECT uid FROM message WHERE uid >= %s AND uid < %s AND starts_with(uid, %s) ORDER BY uid LIMIT %s",
    searches=(
        ("SELECT uid FROM message WHERE uid = upper(%s) LIMIT %s", False),
        ("SELECT uid FROM entry WHERE cop_msg_id = %s ORDER BY id LIMIT %s", False),
        (
            _OF_DECLARATION.format(
                "SELECT t.declaration FROM arrival a JOIN timeline t ON t.arrival = a.id"
                " WHERE a.cop_msg_id = %s AND a.cop_msg_id <> ''"  # the condition of the index, for a generic plan
            ),
            True,
        ),
        (_OF_DECLARATION.format("SELECT id FROM declaration WHERE identity = %s"), False),
        (_OF_DECLARATION.format("SELECT declaration FROM handle WHERE text = %s"), True),
        (  # not indexed: reads every declaration, the price of a bare value
            "WITH o AS (SELECT '=' || %s AS wanted) "
            + _OF_DECLARATION.format(
                "SELECT d.id FROM declaration d, o WHERE position(o.wanted || ' ' IN d.identity || ' ') > 0"
                " UNION SELECT h.declaration FROM handle h, o WHERE right(h.text, length(o.wanted)) = o.wanted"
            ),
            False,
        ),
    ),
    history=(
        "SELECT l.* FROM (SELECT %s AS uid) AS o CROSS JOIN LATERAL ("
        f"{LINE} j WHERE j.uid = o.uid AND j.uid <> '' UNION ALL {LINE}_rest r WHERE r.uid = o.uid AND r.uid <> ''"
        ") AS l ORDER BY l.id"
    ),
)
