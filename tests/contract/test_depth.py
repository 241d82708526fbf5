"""What a call costs must not grow with what lies settled in the spool: counted in steps of SQLite's machine, not in time."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from spool.entry import Filing, Subject, TimelineRow, Way
from spool.lifecycle import Event, State
from spool.sqlite import SqliteSpool
from spool.sqlite.copies import multiply
from tests.spooling import Clock, collected, offer, settled

OWNERS = ("ann", "bob")
PATTERN = 20
TIMES = 100
_STEP = 10
"""The machine's steps are counted in tens."""


@dataclass(frozen=True)
class Depths:
    """The same life in two spools: one as it is, one with a hundred times as many settled messages before it."""

    shallow: SqliteSpool
    deep: SqliteSpool


@pytest.fixture(scope="module")
def state_dirs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Both with messages that are sent, answered and acknowledged, under request keys and several ways."""
    folders = tmp_path_factory.mktemp("shallow"), tmp_path_factory.mktemp("deep")
    for folder in folders:
        with closing(SqliteSpool(folder, Clock())) as spool:
            for number in range(PATTERN):
                _live(spool, f"M{number}", OWNERS[number % 2])
    multiply(folders[1], TIMES)
    return folders


@pytest.fixture
def depths(state_dirs: tuple[Path, Path]) -> Iterator[Depths]:
    with (
        closing(SqliteSpool(state_dirs[0], Clock())) as shallow,
        closing(SqliteSpool(state_dirs[1], Clock())) as deep,
    ):
        yield Depths(shallow=shallow, deep=deep)


def subject(uid: str, version: str = "1") -> Subject:
    return Subject(identity=f"T a={uid} b=2", version=version, handles=(f"T a={uid}",))


def _live(spool: SqliteSpool, uid: str, owner: str) -> None:
    more = (Way(destination="capital", cop_msg_id=f"COP-{uid}"),)
    spool.put([offer(uid, subject(uid), owner=owner, request_key=f"key {uid}", more_ways=more)])
    for destination in ("port", "capital"):
        spool.settle(settled(spool.claim("one", destination, limit=9, lease_s=60)))
    spool.keep(collected(b"answer to " + uid.encode()))
    _file(spool, uid)
    spool.acknowledge(owner, spool.notices(owner, after=spool.acknowledged(owner), limit=9)[-1].cursor)


def _file(spool: SqliteSpool, uid: str) -> None:
    (arrival,) = spool.unfiled(9)
    (found,) = spool.find([f"T a={uid}"])
    row = TimelineRow(
        declaration=found.declaration,
        at="1",
        kind="K",
        status="2",
        facts=b"",
        digest=f"{arrival.id}",
        index=0,
    )
    spool.file([Filing(arrival=arrival.id, kind="K", cop_msg_id="", rows=(row,))])


def steps(spool: SqliteSpool, act: Callable[[SqliteSpool], object]) -> int:
    """Count what the machine does for one call."""
    count = 0

    def tick() -> int:
        nonlocal count
        count += _STEP
        return 0

    spool.db.connection.set_progress_handler(tick, _STEP)
    try:
        act(spool)
    finally:
        spool.db.connection.set_progress_handler(None, 0)
    return count


CALLS: dict[str, Callable[[SqliteSpool], object]] = {
    "put something new": lambda s: s.put([offer("N1", subject("N1"), owner="ann", request_key="key N1")]),
    "put without a name for the request": lambda s: s.put([offer("N2", subject("N2"), owner="ann")]),
    "put under a CopMsgId of its own": lambda s: s.put([offer("N3", subject("N3"), cop_msg_id="own")]),
    "put the same again": lambda s: s.put([offer("M3", subject("M3"), owner="bob")]),
    "put a later version": lambda s: s.put([offer("M4v2", subject("M4", "2"), owner="ann")]),
    "put a version with other bytes": lambda s: s.put([offer("other", subject("M5"), owner="bob")]),
    "claim": lambda s: s.claim("one", "port", limit=2, lease_s=60),
    "recover one's own": lambda s: s.recover(claimant="one"),
    "recover what is over": lambda s: s.recover(),
    "claim and settle": lambda s: s.settle(settled(s.claim("one", "port", limit=2, lease_s=60))),
    "next due": lambda s: s.next_due("port"),
    "act": lambda s: s.act(Event.HELD, ["M4v2"]),
    "keep": lambda s: s.keep(collected(b"new answer")),
    "keep the same again": lambda s: s.keep(collected(b"answer to M1")),
    "file": lambda s: _file(s, "M2"),
    "unfiled": lambda s: s.unfiled(64),
    "find": lambda s: s.find(["T a=M1 b=2", "T a=M1", "T a=nobody"]),
    "travelled": lambda s: s.travelled("COP-M1"),
    "orphans": lambda s: s.orphans(),
    "orphans of a text": lambda s: s.orphans(texts=["T a=M1"]),
    "notices": lambda s: s.notices("ann", after=s.acknowledged("ann"), limit=99),
    "acknowledge": lambda s: s.acknowledge("ann", s.acknowledged("ann") + 1),
    "filed for": lambda s: s.filed_for("ann", 1),
    "arrival": lambda s: s.arrival(1),
    "message": lambda s: s.message("M1", owner="bob"),
    "ways": lambda s: s.ways("M1"),
    "body": lambda s: s.body("M1"),
    "timeline": lambda s: s.timeline("bob", "T a=M1"),
    "history": lambda s: list(s.history("M1")),
    "backlog": lambda s: s.backlog(at_most=100),
    "outstanding": lambda s: s.outstanding(),
    "depths": lambda s: s.depths(),
    "dead entries": lambda s: s.entries(states=(State.DEAD,)),
    "export": lambda s: s.export("M1"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_call_costs_the_same_in_a_deep_spool(depths: Depths, call: Callable[[SqliteSpool], object]) -> None:
    shallow, deep = steps(depths.shallow, call), steps(depths.deep, call)
    assert deep <= 1.5 * shallow + 100, f"{shallow} steps became {deep} at {TIMES} times the depth"
