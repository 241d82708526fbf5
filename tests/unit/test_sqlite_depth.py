"""What a spool is asked all day costs the same however much is in it: counted in steps of SQLite's machine."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from spool.entry import Offer, Subject
from spool.sqlite import SqliteSpool
from tests.spooling import offer

SMALL, LARGE = 50, 2000


def steps(spool: SqliteSpool, act: Callable[[], object]) -> int:
    """Count the steps that SQLite's machine takes, in tens."""
    taken = 0

    def count() -> int:
        nonlocal taken
        taken += 1
        return 0

    spool.db.connection.set_progress_handler(count, 10)
    try:
        act()
    finally:
        spool.db.connection.set_progress_handler(None, 0)
    return taken


def cost(folder: Path, messages: int, act: Callable[[SqliteSpool], object]) -> int:
    """Fill a spool with so many messages, then count what the act takes."""
    with closing(SqliteSpool(folder)) as spool:
        spool.put([message(f"U{number}") for number in range(messages)])
        return steps(spool, lambda: act(spool))


def message(uid: str) -> Offer:
    about = Subject(identity=f"CEB311Message orderNo={uid}", version="1", handles=(f"CEB311Message h={uid}",))
    return offer(uid, about, request_key=f"request {uid}")


ACTS: dict[str, Callable[[SqliteSpool], object]] = {
    "accepting": lambda spool: spool.put([message("NEW")]),
    "the same again": lambda spool: spool.put([message("U7")]),
    "claiming": lambda spool: spool.claim("me", "port", limit=8, lease_s=60),
    "finding": lambda spool: spool.find(["CEB311Message h=U7"]),
    "one message": lambda spool: spool.ways("U7"),
    "next due": lambda spool: spool.next_due("port"),
}


@pytest.mark.parametrize("act", ACTS)
def test_cost_does_not_grow_with_the_spool(tmp_path: Path, act: str) -> None:
    little, much = cost(tmp_path / "small", SMALL, ACTS[act]), cost(tmp_path / "large", LARGE, ACTS[act])
    assert much < 2 * little + 20, f"{little} and {much} tens of steps for {LARGE // SMALL} times as many"
