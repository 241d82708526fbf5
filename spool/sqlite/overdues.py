"""What watching for answers needs of SQLite's own SQL."""

from typing import Final

from spool.shared.overdues import ANSWERED, FIELDS, OverduesSql

_ANSWERED: Final = ANSWERED.format(but="NOT IN (SELECT value FROM json_each(?4))")
OVERDUES: Final = OverduesSql(
    silent=(
        f"SELECT DISTINCT {FIELDS.format(of='e')} FROM json_each(?1) s CROSS JOIN entry e ON e.id = s.value"
        " CROSS JOIN message m ON m.id = e.message CROSS JOIN version v ON v.message = m.id"
        " CROSS JOIN declaration d ON d.id = v.declaration"
        " WHERE m.kind IN (SELECT value FROM json_each(?2)) AND e.destination NOT IN (SELECT value FROM json_each(?3))"
        f" AND NOT {_ANSWERED} ORDER BY e.sent_at, m.id, d.id, e.destination"
    ),
    overdue=(
        f"SELECT {FIELDS.format(of='o')}, o.layer FROM overdue o CROSS JOIN message m ON m.id = o.message"
        " CROSS JOIN declaration d ON d.id = o.declaration WHERE o.message > ? AND o.message <= ?"
        " ORDER BY o.message, o.declaration, o.layer"
    ),
    insert=(
        "INSERT OR IGNORE INTO overdue (message, declaration, layer, destination, sent_at) VALUES (?, ?, ?, ?, ?)"
        " RETURNING message, declaration, layer"
    ),
    answered=(
        "DELETE FROM overdue WHERE layer = ?1 AND message > ?2 AND message <= ?3 AND EXISTS"
        " (SELECT 1 FROM message m JOIN declaration d ON d.id = overdue.declaration WHERE m.id = overdue.message"
        f" AND {_ANSWERED})"
    ),
)
