"""What bringing answers home needs of PostgreSQL's own SQL."""

from typing import Final

from spool.shared.inbox import BESIDES, InboxSql

INBOX: Final = InboxSql(
    answers=(
        "SELECT d.identity, t.at, t.kind, t.status, t.facts, t.digest, t.body_index, t.arrival, t.notice"
        " FROM timeline t JOIN declaration d ON d.id = t.declaration"
        " WHERE t.owner = %s AND t.notice > %s AND t.notice <= %s ORDER BY t.notice, t.body_index, t.id"
    ),
    besides=(
        "SELECT DISTINCT d.identity FROM timeline t JOIN declaration d ON d.id = t.declaration"
        " WHERE t.owner = %s AND t.notice > %s AND t.notice <= %s"
        f" AND {BESIDES.format(but='<> ALL(%s::text[])')}"
    ),
    newest="SELECT owner, newest FROM reader WHERE owner = ANY(%s) AND newest > 0",
    unread=(
        "SELECT count(*), coalesce(sum(size), 0)::bigint FROM (SELECT size FROM mail WHERE owner = %s AND cursor >"
        " coalesce((SELECT acknowledged FROM reader WHERE owner = %s), 0) ORDER BY cursor LIMIT %s) AS m"
    ),
    acknowledge=(
        "UPDATE reader r SET acknowledged = greatest(r.acknowledged, least(o.cursor, r.newest))"
        " FROM (SELECT %s AS owner, %s AS cursor) AS o WHERE r.owner = o.owner RETURNING r.acknowledged"
    ),
    acknowledged="SELECT acknowledged FROM reader WHERE owner = %s",
)
