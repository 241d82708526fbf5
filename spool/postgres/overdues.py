"""What watching for answers needs of PostgreSQL's own SQL."""

from typing import Final

from spool.shared.overdues import ANSWERED, FIELDS, OverduesSql

_ANSWERED: Final = ANSWERED.format(but="<> ALL(%s::text[])")
OVERDUES: Final = OverduesSql(
    silent=(
        f"SELECT DISTINCT {FIELDS.format(of='e')} FROM unnest(%s::bigint[]) AS s (id) JOIN entry e ON e.id = s.id"
        " JOIN message m ON m.id = e.message JOIN version v ON v.message = m.id JOIN declaration d ON d.id = v.declaration"
        f" WHERE m.kind = ANY(%s::text[]) AND e.destination <> ALL(%s::text[]) AND NOT {_ANSWERED}"
        " ORDER BY e.sent_at, m.id, d.id, e.destination"
    ),
    overdue=(
        f"SELECT {FIELDS.format(of='o')}, o.layer FROM overdue o JOIN message m ON m.id = o.message"
        " JOIN declaration d ON d.id = o.declaration WHERE o.message > %s AND o.message <= %s"
        " ORDER BY o.message, o.declaration, o.layer"
    ),
    insert=(
        "INSERT INTO overdue (message, declaration, layer, destination, sent_at) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING RETURNING message"
    ),
    answered=(
        "DELETE FROM overdue o USING message m, declaration d WHERE m.id = o.message AND d.id = o.declaration"
        f" AND o.layer = %s AND o.message > %s AND o.message <= %s AND {_ANSWERED}"
    ),
)
