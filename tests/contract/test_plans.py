"""No statement to PostgreSQL walks through a table, also when the tables were last analysed while they were empty.

Every statement of the calls of `test_depth` is explained as it runs (`auto_explain`), on a schema that is analysed empty and
then filled; autovacuum, which would put that right at a time of its own, is off.
"""

import importlib
import json
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace

import spool.postgres
import spool.shared
from spool.entry import Bounce, Fate, Filing, OrphanBody
from spool.lifecycle import Event
from spool.postgres import PostgresSpool
from spool.store import Spool
from tests.contract.test_depth import CALLS, WAITING, live, subject
from tests.servers.postgres import PostgresServer, require
from tests.spool_samples import START, Clock, collected, new_message, settled

ROWS = 2000
LARGE = ROWS // 2
MANY = ROWS // 20
"""Things in one list: few among all."""
_STATEMENT = re.compile(r"\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH)\s")
_EXPLAIN = """
    LOAD 'auto_explain';
    SET auto_explain.log_min_duration = 0;
    SET auto_explain.log_level = notice;
    SET auto_explain.log_format = json;
    SET client_min_messages = notice;
"""
_INDEXES = """
    SELECT c.relname, pg_get_indexdef(i.indexrelid, 1, true), i.indpred IS NOT NULL
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relnamespace = current_schema()::regnamespace
"""
_TABLES = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
_WHOLE = {"SELECT EXISTS (SELECT 1 FROM wait)"}
"""Statements that read the first row of a table, whichever that is."""
Plan = Mapping[str, Any]


@dataclass(frozen=True)
class Explained:
    """Statement → each plan that it had; and what its scans are judged by."""

    plans: Mapping[str, list[Plan]]
    first_column: Mapping[str, str]
    partial: frozenset[str]
    large: frozenset[str]

    def walks(self, plan: Plan) -> Iterator[str]:
        """Yield each scan of a large table that no condition on the first column of its index limits.

        A partial index is made to be read whole.
        """
        table, index = plan.get("Relation Name", ""), plan.get("Index Name", "")
        if table in self.large and plan["Node Type"] != "Bitmap Heap Scan" and "Scan" in plan["Node Type"]:
            column = self.first_column.get(index, "")
            limited = column and re.search(rf"\b{column}\b", plan.get("Index Cond", ""))
            if not limited and index not in self.partial:
                yield f"{plan['Node Type']} of {table} by {index or 'nothing'}"
        for below in plan.get("Plans", ()):
            yield from self.walks(below)


def _filled(spool: Spool) -> None:
    """Fill every table that grows: settled messages, later versions that wait, and answers that nobody was found for."""
    live(spool, range(ROWS))
    spool.put([new_message(f"M{n} v2", subject(f"M{n}", "2"), owner="bob") for n in range(1, ROWS, 2)])
    spool.put([new_message(f"M{n} v3", subject(f"M{n}", "3"), owner="bob") for n in range(1, ROWS, 2)])
    spool.keep(collected(b"lost"))
    (arrival,) = spool.unfiled(1)
    lost = tuple(OrphanBody(index=n, reason="lost", lookups=(f"lost {n}",)) for n in range(ROWS))
    spool.file([Filing(arrival=arrival.id, kind="K", cop_msg_id="", orphans=lost)])


def _overtaken(spool: Spool) -> None:
    """Have an entry tried again while a later one of its declaration is sent, which then comes back."""
    for number in (1, 2):
        spool.put([new_message(f"X{number}", subject("X", f"{number}"), destination="lane")])
        (claimed,) = spool.claim("one", "lane", limit=1, lease_s=60)
        if number == 1:
            spool.settle(settled([claimed], Fate.UNDELIVERABLE))
    spool.act(Event.RETRIED, ["X1"])
    spool.settle(settled([claimed], Fate.DEFERRED, next_at=START))


def _bounced(spool: Spool) -> None:
    """Have an answer send an entry back."""
    spool.put([new_message("Y", subject("Y"), destination="lane")])
    (claimed,) = spool.claim("one", "lane", limit=1, lease_s=60)
    spool.settle(settled([claimed]))
    spool.keep(collected(b"again"))
    (arrival,) = spool.unfiled(1)
    bounce = Bounce(entry=claimed.entry, claim=claimed.claim, next_at=START, reason="again")
    spool.file([Filing(arrival=arrival.id, kind="K", cop_msg_id="", bounces=(bounce,))])


def _addressed(spool: Spool) -> None:
    """File an answer for an owner as a whole, from which a declaration gets a handle, and of which a part is lost."""
    spool.keep(collected(b"for ann"))
    (arrival,) = spool.unfiled(1)
    lost = OrphanBody(index=1, reason="lost", lookups=("lost again",))
    spool.file(
        [
            Filing(
                arrival=arrival.id,
                kind="K",
                cop_msg_id="",
                addressees=("ann",),
                learned={1: ("T b=2",)},
                orphans=(lost,),
            )
        ]
    )


MORE: dict[str, Callable[[Spool], object]] = {
    "act on what is settled": lambda s: s.act(Event.DISCARDED, ["M9 v3"]),
    "an entry that is overtaken": _overtaken,
    "an entry that is sent back": _bounced,
    "file for an owner": _addressed,
    "next due without some": lambda s: s.next_due("port", full=["key"]),
    "seal": lambda s: s.seal(lambda _origin, size, _root: f"log\n{size}\n\n\u2014 log AAAA\n", limit=64),
    "places": lambda s: s.places([1, 2, 3]),
    "lines": lambda s: s.lines(after=1, up_to=9),
    "old": lambda s: s.old(START + timedelta(days=1), limit=9),
    "said again": lambda s: s.keep(collected(b"answer to M1", feed="other")),
    "mark": lambda s: s.put([new_message("N9", subject("N9"))], marks={"stream": 1}),
    "a translated message": lambda s: s.put([replace(new_message("N8", subject("N8")), source=b"N8")]),
    "orphans of many texts": lambda s: s.orphans(texts=[f"lost {n}" for n in range(64)]),
    "many declarations": lambda s: s.links_of(range(1, MANY)),
    "timelines of many": lambda s: s.timelines(range(1, MANY)),
    "beside many": lambda s: s.beside(range(1, MANY)),
    "find many": lambda s: list(s.find([f"T a=M{n} b=2" for n in range(MANY)])),
    "carriers of many": lambda s: s.carriers(range(1, MANY)),
    "put many": lambda s: s.put(
        [new_message(f"M{n} v4", subject(f"M{n}", "4"), owner="bob") for n in range(1, MANY, 2)]
    ),
    "discard many": lambda s: s.act(Event.DISCARDED, [f"M{n} v4" for n in range(1, MANY, 2)]),
    "settle many": lambda s: s.settle(settled(s.claim("one", "port", limit=MANY, lease_s=60))),
}


@pytest.fixture(scope="module")
def explained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Explained]:
    require()
    server = PostgresServer(autovacuum="off")
    try:
        name = server.schema_for(tmp_path_factory.mktemp("plans"))
        with closing(PostgresSpool(name, clock=Clock())) as spool:
            with psycopg.connect(name, autocommit=True) as connection:
                spool.mark("none")
                connection.execute("ANALYZE")
            plans: dict[str, list[Plan]] = {}
            _explain(spool, plans)
            _filled(spool)
            plans.clear()
            for call in [*CALLS.values(), *WAITING.values(), *MORE.values()]:
                call(spool)
        with psycopg.connect(name) as connection:
            indexes = connection.execute(_INDEXES).fetchall()
            tables = [table for (table,) in connection.execute(_TABLES)]
            large = frozenset(table for table in tables if _large(connection, table))
        yield Explained(
            plans=plans,
            first_column={name: column for name, column, _ in indexes},
            partial=frozenset(name for name, _, partial in indexes if partial),
            large=large,
        )
    finally:
        server.remove()


def _explain(spool: PostgresSpool, plans: dict[str, list[Plan]]) -> None:
    """Have the server say the plan of each statement of this connection."""
    connection = spool.db._connected()

    def heard(said: psycopg.errors.Diagnostic) -> None:
        text = said.message_primary or ""
        if "plan:" in text:
            told = json.loads(text[text.index("{") :])
            plans.setdefault(told["Query Text"], []).append(told["Plan"])

    connection.execute(_EXPLAIN.encode())
    connection.add_notice_handler(heard)


def _large(connection: psycopg.Connection, table: str) -> bool:
    query = f"SELECT 1 FROM {table} OFFSET {LARGE - 1} LIMIT 1"
    return connection.execute(query.encode()).fetchone() is not None


def test_no_statement_walks_through_a_table(explained: Explained) -> None:
    assert {
        "declaration",
        "message",
        "version",
        "entry",
        "timeline",
        "parcel",
        "orphan_lookup",
    } <= explained.large
    walking = {
        statement: sorted(walks)
        for statement, plans in explained.plans.items()
        if (walks := {walk for plan in plans for walk in explained.walks(plan)}) and statement not in _WHOLE
    }
    assert walking == {}


def test_every_statement_of_the_spool_is_explained(explained: Explained) -> None:
    missed = {
        name
        for name, statement in _statements()
        if not any(statement in explained_one for explained_one in explained.plans)  # or it is part of one
    }
    assert missed == set()


def _statements() -> Iterator[tuple[str, str]]:
    """Yield the statements that the modules of the backend name, and the shared ones that join, as the server sees them."""
    for package in (spool.postgres, spool.shared):
        for info in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{package.__name__}.{info.name}")
            for name, value in vars(module).items():
                whole = isinstance(value, str) and _STATEMENT.match(value) and "{" not in value
                if whole and (package is spool.postgres or " JOIN " in value):
                    yield f"{info.name}.{name}", _numbered(value)


def _numbered(statement: str) -> str:
    places = count(1)
    return re.sub(r"%s|\?", lambda _: f"${next(places)}", statement)
