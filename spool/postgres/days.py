"""A partition for each day, made before it is needed."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

from psycopg import Connection, sql

from spool.postgres.schema import BY_DAY

DAY: Final = 86_400_000_000
"""Microseconds."""
_FIRST: Final = date(1970, 1, 1)
LOCK: Final = 0x73706F6F6C
"""Advisory lock of whoever changes the layout: `spool` in hexadecimal."""


_EMPTY: Final = {
    "payload": "NOT EXISTS (SELECT 1 FROM message WHERE day = %s)",
    "arrival_body": "NOT EXISTS (SELECT 1 FROM arrival WHERE day = %s)",
    "journal": "%s < least((SELECT min(day) FROM message), (SELECT min(day) FROM arrival))",
}
"""Table → when the partition of a day holds nothing of what is still in the spool. The life of a message may be
written on later days than its own, so a day of the journal goes when everything left is younger."""


_PARTITIONS: Final = (
    b"SELECT p.relname, c.relname, (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \\((\\d+)\\)'))[1]::int"
    b" FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent JOIN pg_class c ON c.oid = i.inhrelid"
    b" WHERE p.relnamespace = current_schema()::regnamespace AND p.relkind = 'p'"
)


class Days:
    """What one process knows of the partitions that are there."""

    def __init__(self) -> None:
        self._there: set[int] = set()

    def ensure(self, connection: Connection, day: int) -> None:
        """Let there be partitions for this day and the next; asks the database once for each.

        Attaching takes a lock that no reading or writing of rows waits for.
        """
        missing = [one for one in (day, day + 1) if one not in self._there]
        if not missing:
            return
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            for one in missing:
                for statement in _partitions(connection, one):
                    connection.execute(statement)
        self._there.update(missing)


def _partitions(connection: Connection, day: int) -> Iterator[sql.Composed]:
    for table in BY_DAY:
        name = f"{table}_{_FIRST + timedelta(days=day):%Y%m%d}"
        (there,) = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (name,)).fetchone() or (False,)
        if there:
            continue
        names = {"table": sql.Identifier(table), "part": sql.Identifier(name)}
        yield sql.SQL("CREATE TABLE {part} (LIKE {table} INCLUDING ALL)").format(**names)
        yield sql.SQL(
            "ALTER TABLE {table} ATTACH PARTITION {part} FOR VALUES FROM ({day}) TO ({after})"
        ).format(**names, day=sql.Literal(day), after=sql.Literal(day + 1))


def days_of(connection: Connection, table: str) -> list[int]:
    """Return the days that a table has partitions for, ascending."""
    return sorted(day for name, _, day in connection.execute(_PARTITIONS).fetchall() if name == table)


def drop_empty(connection: Connection, before: int) -> None:
    """Drop partitions of days before this one that hold nothing of what is left.

    Raises LockNotAvailable rather than let others wait behind it for longer than a moment.
    """
    rows = connection.execute(_PARTITIONS).fetchall()
    for table, part, day in rows:
        if day >= before:
            continue
        (empty,) = connection.execute(f"SELECT {_EMPTY[table]}".encode(), (day,)).fetchone() or (False,)
        if empty:
            with connection.transaction():
                connection.execute(b"SET LOCAL lock_timeout = '200ms'")
                if table == "journal":  # what is about no message of ours stays, the log has its hash
                    connection.execute(
                        sql.SQL("INSERT INTO journal_rest SELECT id, at, event, uid, detail FROM {}").format(
                            sql.Identifier(part)
                        )
                    )
                connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(part)))
