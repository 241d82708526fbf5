"""Makes a spool as deep as one likes, for measuring: copies of every row that is in it, under new numbers and names.

What came to be by the ordinary way (accepted, sent, answered, acknowledged) is the pattern, so the copies
are rows as the spool itself writes them, in every table and every index. New are the numbers, the ids and
the digests that must be unique; identities and handles get the number of the copy at their end. What the
gateway wrote inside of opaque facts stays that of the pattern.
"""

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

from spool.errors import SpoolError
from spool.sealing import packed

_LONGER: Final = "{0} || '.' || copy.number"
_NUMBERED: Final = "CASE {0} WHEN '' THEN '' ELSE " + _LONGER + " END"
_RENAMED: Final = (
    "CASE length({0}) WHEN 0 THEN '' WHEN 36 THEN substr({0}, 1, 28) || printf('%08X', copy.number)"
    " WHEN 64 THEN substr({0}, 1, 56) || printf('%08X', copy.number) ELSE " + _LONGER + " END"
)
"""A UUID stays one and a digest too; enough random bits are kept that two of one pattern hardly ever meet, and if so,
loudly."""
_DIGEST: Final = "CAST(substr({0}, 1, 24) || printf('%08X', copy.number) AS BLOB)"
"""Beside its pattern in the index, so that a page is written once for many copies; between the copies of one pattern
and the next there is room for every digest to come."""
_CUT: Final = "substr({0}, 1, :body_bytes)"


def _shifted(table: str) -> str:
    """Return the number of a copy of this row in `table`: copies of the first row, of the second, and so on."""
    return "(SELECT last FROM highest WHERE name = '" + table + "') + ({0} - 1) * :copies + copy.number"


_JOURNALLED: Final = (
    "CASE WHEN {0} GLOB 'receipt [0-9]*' THEN 'receipt ' || ("
    + _shifted("arrival").format("CAST(substr({0}, 9) AS INTEGER)")
    + ") ELSE "
    + _RENAMED
    + " END"
)
"""A line about an answer without an envelope names it by its number (spool.journal.name_of)."""
_CHANGES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "message": {
            "id": _shifted("message"),
            "uid": _RENAMED,
            "sha256": _DIGEST,
            "request_key": _RENAMED,
        },
        "payload": {"message": _shifted("message"), "body": _CUT, "source": _CUT},
        "entry": {"id": _shifted("entry"), "message": _shifted("message"), "cop_msg_id": _RENAMED},
        "wait": {"blocker": _shifted("entry"), "entry": _shifted("entry")},
        "declaration": {"id": _shifted("declaration"), "identity": _LONGER},
        "version": {"declaration": _shifted("declaration"), "message": _shifted("message")},
        "handle": {"text": _LONGER, "declaration": _shifted("declaration")},
        "earlier_facts": {"declaration": _shifted("declaration")},
        "arrival": {
            "id": _shifted("arrival"),
            "sha256": _DIGEST,
            "body": _CUT,
            "cop_msg_id": _RENAMED,
        },
        "arrival_feed": {"arrival": _shifted("arrival")},
        "addressed": {"arrival": _shifted("arrival")},
        "mail": {"cursor": _shifted("notice")},
        "timeline": {
            "id": _shifted("timeline"),
            "declaration": _shifted("declaration"),
            "arrival": _shifted("arrival"),
            "notice": _shifted("notice"),
        },
        "orphan": {"id": _shifted("orphan"), "arrival": _shifted("arrival")},
        "orphan_lookup": {"text": _LONGER, "orphan": _shifted("orphan")},
        "notice": {"cursor": _shifted("notice"), "arrival": _shifted("arrival")},
        "overdue": {"message": _shifted("message"), "declaration": _shifted("declaration")},
        "parcel": {
            "declaration": _shifted("declaration"),
            "message": _shifted("message"),
            "order_no": _NUMBERED,
            "waybill_no": _NUMBERED,
        },
        "allowance": {"declaration": _shifted("declaration")},
        "journal": {"id": _shifted("journal"), "uid": _JOURNALLED},
    }
)
"""Table → column → what a copy has there; other columns are copied as they are."""
_ONCE: Final = frozenset(
    {
        "acknowledged", "mark", "tally", "register", "tile", "leaves", "checkpoint", "import_job", "import_source",
        "import_part", "import_refusal",
    }
)  # fmt: skip
"""Tables that are not copied: one row an owner, mark, count or register, whatever the number of messages, imports, and the
log."""
_WHOLE: Final = 1 << 30


def multiply(state_dir: Path, times: int, *, body_bytes: int = _WHOLE) -> None:
    """Make `times` spools out of the one in this folder: the rows that are there and `times - 1` copies of each.

    An owner who has acknowledged a notice has acknowledged its copies too, and all of the pattern. Bodies of
    messages and answers are cut to `body_bytes` in the copies: they stand beside what is searched, and only cost
    disk. Nobody else may have the spool open, and a crash in the middle leaves it unusable: this is for measuring,
    never for a spool that matters. Raises SpoolError, for instance when the layout has tables that this file does
    not know.
    """
    file = state_dir / "spool.db"
    if times < 1:
        raise SpoolError("a spool cannot be made smaller by copying", where=str(file))
    try:
        with (
            closing(
                sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, isolation_level=None)
            ) as connection,
            _careless(connection),
        ):
            _pattern(connection, file)
            _copy(connection, times - 1, body_bytes)
    except sqlite3.Error as error:
        raise SpoolError(f"the spool cannot be copied: {error}", where=str(file)) from error
    with file.open("rb") as written:
        os.fsync(written.fileno())


@contextmanager
def _careless(connection: sqlite3.Connection) -> Iterator[None]:
    """Write without a log and without waiting for the disk, in much memory."""
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -3000000", "temp_store = MEMORY"):
        connection.execute(f"PRAGMA {pragma}")
    yield
    connection.execute("PRAGMA journal_mode = WAL")


def _pattern(connection: sqlite3.Connection, file: Path) -> None:
    """Set aside what is there as `pattern_<table>`, and the highest number of each table."""
    run = connection.execute
    tables = {
        name
        for (name,) in run("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    }
    if tables != _CHANGES.keys() | _ONCE:
        raise SpoolError(
            f"these tables are strange to the copier: {', '.join(sorted(tables ^ (_CHANGES.keys() | _ONCE)))}",
            where=str(file),
            fix="say in spool/sqlite/copies.py what a copy of their rows has in it",
        )
    run("CREATE TEMP TABLE highest (name TEXT PRIMARY KEY, last INTEGER NOT NULL)")
    for table, changes in _CHANGES.items():
        run(f"CREATE TEMP TABLE pattern_{table} AS SELECT * FROM main.{table}")
        number = next(iter(changes))  # of a table with numbers of its own the first
        run(f"INSERT INTO highest SELECT ?, coalesce(max({number}), 0) FROM main.{table}", (table,))


def _copy(connection: sqlite3.Connection, copies: int, body_bytes: int) -> None:
    run = connection.execute
    values = {"copies": copies, "body_bytes": body_bytes}
    for table in _CHANGES:
        run(_statement(connection, table), values)
    run(
        "UPDATE acknowledged SET cursor = (SELECT last FROM highest WHERE name = 'notice') + cursor * ?",
        (copies,),
    )
    run(  # copies of lines are behind the log, not before it: hashing millions of them is not what is measured
        "INSERT INTO leaves SELECT max(id), (SELECT coalesce(max(size), 0) FROM checkpoint), ? FROM journal"
        " HAVING ? AND max(id) > coalesce((SELECT max(highest) FROM leaves), 0)",
        (packed(()), copies),
    )


def _statement(connection: sqlite3.Connection, table: str) -> str:
    """Return the statement that writes all copies of each row, row by row: ascending in the table and each index."""
    columns = [row[1] for row in connection.execute(f"PRAGMA main.table_info({table})")]
    changes = _CHANGES[table]
    values = [changes.get(column, "{0}").format(f"pattern.{column}") for column in columns]
    return (
        "WITH RECURSIVE copy (number) AS"
        " (SELECT 1 WHERE :copies > 0 UNION ALL SELECT number + 1 FROM copy WHERE number < :copies)"
        f" INSERT INTO main.{table} ({', '.join(columns)}) SELECT {', '.join(values)}"
        f" FROM pattern_{table} pattern CROSS JOIN copy"
    )
