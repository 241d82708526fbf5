"""What a call costs must not grow with what lies settled in the spool.

Counted, not timed: on SQLite in steps of its machine, on PostgreSQL in rows and index entries read.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from spool.archived import Archived
from spool.entry import Fate, Filing, Overdue, ParcelLink, Subject, Tally, TimelineRow, Wanted, Way
from spool.lifecycle import Event, State
from spool.postgres import PostgresSpool
from spool.sqlite import SqliteSpool
from spool.sqlite.copies import multiply
from spool.store import Spool
from tests.servers.postgres import running
from tests.spool_samples import START, Clock, collected, new_message, settled

PATTERN = 20
TIMES = 100
_STEP = 10
"""SQLite's steps are counted in tens."""
_READ = (
    "SELECT (SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables"
    " WHERE schemaname = current_schema()) + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes"
    " WHERE schemaname = current_schema())"
)

Call = Callable[[Spool], object]


@dataclass(frozen=True)
class Depths:
    """The same life in two spools: one as it is, one with a hundred times as many settled messages before it."""

    shallow: Spool
    deep: Spool
    cost: Callable[[Spool, Call], int]
    slack: int
    """What a call may cost more than half as much again."""


def subject(uid: str, version: str = "1") -> Subject:
    link = ParcelLink(order_no=f"O-{uid}", waybill_no=f"W-{uid}")
    return Subject(
        identity=f"T a={uid} b=2",
        version=version,
        facts=version.encode(),
        handles=(f"T a={uid}",),
        link=link,
    )


def live(spool: Spool, numbers: Sequence[int]) -> None:
    """Have messages sent two ways, answered, and the answers acknowledged."""
    for owner, own in (("ann", numbers[0::2]), ("bob", numbers[1::2])):
        uids = [f"M{number}" for number in own]
        spool.put(
            [
                new_message(
                    uid,
                    subject(uid),
                    owner=owner,
                    request_key=f"key {uid}",
                    more_ways=(Way(destination="capital", cop_msg_id=f"COP-{uid}"),),
                )
                for uid in uids
            ]
        )
        for destination in ("port", "capital"):
            spool.settle(settled(spool.claim("one", destination, limit=len(uids), lease_s=60)))
        spool.keep(collected(*(b"answer to " + uid.encode() for uid in uids)))
        file(spool, uids)
        notices = spool.notices(owner, after=spool.acknowledged(owner), limit=len(uids))
        spool.acknowledge(owner, notices[-1].cursor)


def file(spool: Spool, uids: Sequence[str]) -> None:
    arrivals = spool.unfiled(len(uids))
    found = spool.find([f"T a={uid}" for uid in uids])
    spool.file(
        [
            Filing(
                arrival=arrival.id,
                kind="K",
                cop_msg_id="",
                rows=(
                    TimelineRow(
                        declaration=one.declaration,
                        at="1",
                        kind="K",
                        status="2",
                        facts=b"",
                        digest=f"{arrival.id}",
                        index=0,
                    ),
                ),
            )
            for arrival, one in zip(arrivals, found, strict=True)
        ]
    )


def exported(spool: Spool, uid: str) -> list[Archived]:
    archived = spool.export(uid)
    return [] if archived is None else [archived]


def steps(spool: Spool, call: Call) -> int:
    """Count what SQLite's machine does for one call."""
    assert isinstance(spool, SqliteSpool)
    count = 0

    def tick() -> int:
        nonlocal count
        count += _STEP
        return 0

    spool.db.connection.set_progress_handler(tick, _STEP)
    try:
        call(spool)
    finally:
        spool.db.connection.set_progress_handler(None, 0)
    return count


def reads(spool: Spool, call: Call) -> int:
    """Count the rows and index entries that PostgreSQL reads for one call."""
    assert isinstance(spool, PostgresSpool)

    def total() -> int:
        spool.db.rows("SELECT pg_stat_force_next_flush()")
        ((count,),) = spool.db.rows(_READ)
        return int(count)

    before = total()
    call(spool)
    return total() - before


def _sqlite(folder: Path) -> Iterator[Depths]:
    for name in ("shallow", "deep"):
        with closing(SqliteSpool(folder / name, Clock())) as spool:
            live(spool, range(PATTERN))
    multiply(folder / "deep", TIMES)
    with (
        closing(SqliteSpool(folder / "shallow", Clock())) as shallow,
        closing(SqliteSpool(folder / "deep", Clock())) as deep,
    ):
        yield Depths(shallow=shallow, deep=deep, cost=steps, slack=100)


def _postgres(folder: Path) -> Iterator[Depths]:
    """On a server of its own: VACUUM takes every schema of a database."""
    with running() as server:
        names = [server.schema_for(folder / name) for name in ("shallow", "deep")]
        with (
            closing(PostgresSpool(names[0], clock=Clock())) as shallow,
            closing(PostgresSpool(names[1], clock=Clock())) as deep,
        ):
            live(shallow, range(PATTERN))
            live(deep, range(PATTERN * TIMES))
            for name in names:
                with psycopg.connect(name, autocommit=True) as connection:
                    connection.execute("VACUUM ANALYZE")  # as the server does by itself, at a time of its own
            yield Depths(shallow=shallow, deep=deep, cost=reads, slack=200)


@pytest.fixture(scope="module", params=[_sqlite, _postgres], ids=["sqlite", "postgres"])
def depths(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Depths]:
    yield from request.param(tmp_path_factory.mktemp("depths"))


SILENCE = Overdue(layer="business", kinds=("CEB311Message",))
TALLY = Tally(name="seen", subject="x", n=1, first_at=START, last_at=START)
CALLS: dict[str, Call] = {
    "put something new": lambda s: s.put(
        [new_message("N1", subject("N1"), owner="ann", request_key="key N1")]
    ),
    "put without a name for the request": lambda s: s.put([new_message("N2", subject("N2"), owner="ann")]),
    "put under a CopMsgId of its own": lambda s: s.put([new_message("N3", subject("N3"), cop_msg_id="own")]),
    "put the same again": lambda s: s.put([new_message("M3", subject("M3"), owner="bob")]),
    "put a later version": lambda s: s.put([new_message("M4v2", subject("M4", "2"), owner="ann")]),
    "put a version with other bytes": lambda s: s.put([new_message("other", subject("M5"), owner="bob")]),
    "claim": lambda s: s.claim("one", "port", limit=2, lease_s=60),
    "recover one's own": lambda s: s.recover(claimant="one"),
    "recover what is over": lambda s: s.recover(),
    "claim and settle": lambda s: s.settle(settled(s.claim("one", "port", limit=2, lease_s=60))),
    "next due": lambda s: s.next_due("port"),
    "draw near": lambda s: s.repair_clock("port", wait_s=600, lease_s=60),
    "act": lambda s: s.act(Event.HELD, ["M4v2"]),
    "keep": lambda s: s.keep(collected(b"new answer")),
    "keep the same again": lambda s: s.keep(collected(b"answer to M1")),
    "file": lambda s: file(s, ["M2"]),
    "unfiled": lambda s: s.unfiled(64),
    "find": lambda s: list(s.find(["T a=M1 b=2", "T a=M1", "T a=nobody"])),
    "travelled": lambda s: s.travelled("COP-M1"),
    "travelled of a sender": lambda s: s.travelled("COP-M1", ["S"]),
    "carriers": lambda s: s.carriers([1, 2, 3]),
    "unread": lambda s: s.unread("ann", at_most=9),
    "orphans": lambda s: s.orphans(),
    "orphans of a text": lambda s: s.orphans(texts=["T a=M1"]),
    "orphans after": lambda s: s.orphans_after(0, limit=9),
    "messages about a declaration": lambda s: s.about("bob", "T a=M1", limit=9),
    "silent": lambda s: s.silent("walk", SILENCE, until=START, start=START - timedelta(1), limit=9),
    "overdue": lambda s: s.overdue(limit=9),
    "end what is overdue": lambda s: s.end_overdue([SILENCE], after=0, limit=9),
    "counts": lambda s: s.tallies("seen"),
    "counts of a subject": lambda s: s.tallies("seen", subject="x"),
    "add to counts": lambda s: s.add_tallies(
        "scan", [TALLY], after=s.mark("scan"), reached=(s.mark("scan") or 0) + 1
    ),
    "notices": lambda s: s.notices("ann", after=s.acknowledged("ann"), limit=99),
    "acknowledge": lambda s: s.acknowledge("ann", s.acknowledged("ann") + 1),
    "filed for": lambda s: s.filed_for("ann", 1),
    "arrival": lambda s: s.arrival(1),
    "message": lambda s: s.message("M1", owner="bob"),
    "ways": lambda s: s.ways("M1"),
    "body": lambda s: s.body("M1"),
    "timelines": lambda s: s.timelines([1, 2, 3]),
    "answered besides": lambda s: s.answered_besides(
        "ann", after=s.acknowledged("ann") - 3, up_to=s.acknowledged("ann"), passing=["K 2"]
    ),
    "beside": lambda s: s.beside([1, 2, 3]),
    "linked": lambda s: s.linked(order_no="O-M1", waybill_no="W-M2"),
    "versions since": lambda s: s.versions_since("bob", START, waybill_no="W-M1", at_most=9),
    "unreported": lambda s: s.unreported("parcels", until=START, limit=9),
    "answered": lambda s: s.answered("allowance", up_to=9, kinds=["K"], limit=9),
    "links": lambda s: s.links_of([1, 2, 3]),
    "timeline": lambda s: s.timeline("bob", "T a=M1"),
    "history": lambda s: list(s.history("M1")),
    "backlog": lambda s: s.backlog(at_most=100),
    "outstanding": lambda s: s.outstanding(),
    "depths": lambda s: s.depths(),
    "dead entries": lambda s: s.entries(Wanted(states=(State.DEAD,))),
    "search a message": lambda s: s.search("m1"),
    "search an identity": lambda s: s.search("T a=M1 b=2"),
    "search a handle": lambda s: s.search("T a=M1"),
    "export": lambda s: s.export("M1"),
    "purge": lambda s: s.purge(exported(s, "M7"), before=START + timedelta(days=1)),
}


def grown(depths: Depths, calls: Mapping[str, Call]) -> dict[str, tuple[int, int]]:
    """What costs more in the deep spool, and both costs; the calls go in order: some need what others left."""
    costs = {
        name: (depths.cost(depths.shallow, call), depths.cost(depths.deep, call))
        for name, call in calls.items()
    }
    return {
        name: (shallow, deep)
        for name, (shallow, deep) in costs.items()
        if deep > 1.5 * shallow + depths.slack
    }


def test_no_call_costs_more_in_a_deep_spool(depths: Depths) -> None:
    assert grown(depths, CALLS) == {}, f"at {TIMES} times the depth"


WAITING: dict[str, Call] = {
    "put something new": CALLS["put something new"],
    "put a later version": CALLS["put a later version"],
    "claim and settle": lambda s: s.settle(settled(s.claim("one", "port", limit=4, lease_s=60))),
    "claim and defer": lambda s: s.settle(
        settled(s.claim("one", "port", limit=4, lease_s=60), Fate.DEFERRED, next_at=START + timedelta(days=1))
    ),
    "claim and recover": lambda s: (s.claim("one", "port", limit=4, lease_s=60), s.recover(claimant="one")),
    "recover what is over": CALLS["recover what is over"],
    "next due": CALLS["next due"],
    "draw near": CALLS["draw near"],
    "backlog": lambda s: s.backlog(at_most=10),
    "ways": CALLS["ways"],
}


@pytest.fixture(scope="module")
def backlogs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Depths]:
    """Two spools with messages that wait to go out, a few and a hundred times as many."""
    folder = tmp_path_factory.mktemp("backlogs")
    for name in ("shallow", "deep"):
        with closing(SqliteSpool(folder / name, Clock())) as spool:
            uids = [f"M{number}" for number in range(2 * PATTERN)]
            spool.put([new_message(uid, subject(uid), owner="ann" if uid < "M3" else "bob") for uid in uids])
    multiply(folder / "deep", TIMES)
    with (
        closing(SqliteSpool(folder / "shallow", Clock())) as shallow,
        closing(SqliteSpool(folder / "deep", Clock())) as deep,
    ):
        yield Depths(shallow=shallow, deep=deep, cost=steps, slack=100)


def test_no_call_costs_more_however_much_waits(backlogs: Depths) -> None:
    assert grown(backlogs, WAITING) == {}, f"at {TIMES} times the backlog"
