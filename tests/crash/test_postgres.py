"""The spool on PostgreSQL when nodes die, the server dies, and many write at once."""

import random
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from spool.entry import Accepted, MessageView
from spool.errors import SpoolError
from spool.lifecycle import State
from spool.postgres import PostgresSpool
from spool.store import Topic
from tests.crash.spool_child import body_of
from tests.servers.postgres import PostgresServer, running, shared
from tests.spool_samples import new_message, settled
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
KILLS = 8
PROCESSES = 3
ROUNDS = 40
OUTAGES = ("stop", "kill", "kill", "stop")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with running() as made:
        yield made


@pytest.fixture
def dsn() -> str:
    return shared().new_schema()


def start(dsn: str, name: str, rounds: int = 0) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.crash.postgres_child", dsn, name, str(rounds)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def finish(child: "subprocess.Popen[str]") -> list[list[str]]:
    """Return the words of the lines that the child still says; a line cut by its death says nothing."""
    assert child.stdout is not None
    lines = list(child.stdout)
    child.stdout.close()
    child.wait(timeout=120)
    return [line.split() for line in lines if line.endswith("\n")]


def said(lines: Iterable[list[str]], word: str) -> set[str]:
    return {line[1] for line in lines if line[0] == word}


def views(spool: PostgresSpool) -> dict[str, MessageView]:
    return {view.uid: view for view in spool.entries(limit=1_000_000)}


def assert_whole(spool: PostgresSpool) -> None:
    """Nothing half-written: every message has its bytes and its first line, every wait its count."""
    wrong = "SELECT id FROM entry e WHERE blockers <> (SELECT count(*) FROM wait w WHERE w.entry = e.id)"
    assert spool.db.rows(wrong) == []
    stale = (
        "SELECT 1 FROM wait w JOIN entry b ON b.id = w.blocker WHERE b.state IN ('sent', 'dead', 'discarded')"
    )
    assert spool.db.rows(stale) == []
    bodies = {uid: bytes(body) for uid, body in spool.db.rows(
        "SELECT m.uid, p.body FROM message m JOIN payload p ON p.day = m.day AND p.message = m.id"
    )}  # fmt: skip
    found = views(spool)
    assert bodies == {uid: body_of(uid) for uid in found}
    assert all(view.identities and view.cop_msg_id == f"COP-{uid}" for uid, view in found.items())
    accepted = spool.db.rows("SELECT uid FROM journal WHERE event = 'message.accepted'")
    assert sorted(uid for (uid,) in accepted) == sorted(found)


def assert_order(spool: PostgresSpool) -> None:
    """Say that of the messages of one declaration the earlier one was sent first."""
    sent = defaultdict(list)
    for uid, at in spool.db.rows("SELECT uid, id FROM journal WHERE event = 'entry.sent'"):
        place = int(uid[-1])
        sent[f"{uid[:-1]}{place // 2}"].append((at, place))
    for places in sent.values():
        in_time = [place for _, place in sorted(places)]
        assert in_time == sorted(in_time)
        assert in_time[0] % 2 == 0


def test_everything_confirmed_survives_the_kill_of_a_node_at_any_moment(dsn: str) -> None:
    chance = random.Random(20261111)
    taken: set[str] = set()
    delivered: set[str] = set()
    spool = PostgresSpool(dsn)
    for life in range(KILLS):
        name = f"life{life}"
        with start(dsn, name) as child:
            assert child.stdout is not None
            lines = [child.stdout.readline().split() for _ in range(chance.randint(1, 120))]
            assert child.poll() is None, "it died by itself"
            child.kill()
            lines += finish(child)
        taken |= said(lines, "taken")
        delivered |= said(lines, "delivered")

        found = views(spool)
        assert taken <= found.keys()
        assert all(found[uid].state is State.SENT for uid in delivered)
        sizes = Counter(uid.rsplit("-", 1)[0] for uid in found)
        assert set(sizes.values()) == {4}, "a batch is there whole or not at all"
        spool.recover(claimant=name)
    assert_whole(spool)
    assert_order(spool)
    spool.close()


def test_several_nodes_lose_nothing_and_never_share_a_claim(dsn: str) -> None:
    children = [start(dsn, f"p{number}", ROUNDS) for number in range(PROCESSES)]
    by_process = [finish(child) for child in children]

    assert [child.returncode for child in children] == [0] * PROCESSES
    lines = [line for lines in by_process for line in lines]
    assert said(lines, "refused") == set()
    claims = Counter((line[1], line[2]) for line in lines if line[0] == "claimed")
    deliveries = Counter(line[1] for line in lines if line[0] == "delivered")
    assert set(claims.values()) == {1}
    assert set(deliveries.values()) == {1}
    spool = PostgresSpool(dsn)
    found = views(spool)
    assert found.keys() == said(lines, "taken")
    assert len(found) == PROCESSES * ROUNDS * 4
    assert {uid for uid, view in found.items() if view.state is State.SENT} == deliveries.keys()
    assert_order(spool)
    assert_whole(spool)
    spool.close()


def test_nothing_confirmed_is_lost_when_the_server_is_restarted_and_killed(server: PostgresServer) -> None:
    dsn = server.new_schema()
    PostgresSpool(dsn).close()
    lines: list[list[str]] = []
    with start(dsn, "one") as one, start(dsn, "two") as two:
        readers = [
            threading.Thread(target=lambda child=child: lines.extend(finish(child))) for child in (one, two)
        ]
        for reader in readers:
            reader.start()
        chance = random.Random(7)
        for outage in OUTAGES:
            seen = len(server_says(server, dsn))
            wait_for(server, dsn, seen + chance.randint(4, 40))
            getattr(server, outage)()
            server.start()
        wait_for(server, dsn, len(server_says(server, dsn)) + 20)
        assert one.poll() is None
        assert two.poll() is None, "an outage ends nobody"
        one.kill()
        two.kill()
        for reader in readers:
            reader.join()

    spool = PostgresSpool(dsn)
    found = views(spool)
    assert said(lines, "taken") <= found.keys()
    assert all(found[uid].state is State.SENT for uid in said(lines, "delivered"))
    claims = Counter((line[1], line[2]) for line in lines if line[0] == "claimed")
    assert set(claims.values()) == {1}
    assert_whole(spool)
    for name in ("one", "two"):
        spool.recover(claimant=name)
    while claimed := spool.claim("last", "port", limit=500, lease_s=60):
        assert spool.settle(settled(claimed)) == len(claimed)
    assert {view.state for view in views(spool).values()} == {State.SENT}, "nothing is stuck"
    assert_order(spool)
    spool.close()


def server_says(server: PostgresServer, dsn: str) -> list[str]:
    spool = PostgresSpool(dsn)
    rows = spool.db.rows("SELECT uid FROM message")
    spool.close()
    return [uid for (uid,) in rows]


def wait_for(server: PostgresServer, dsn: str, messages: int) -> None:
    """Return when so many messages are there, woken by those who put them."""
    spool = PostgresSpool(dsn)
    with spool.listen(Topic.ENTRIES) as waiter:
        while spool.db.rows("SELECT count(*) FROM message")[0][0] < messages:
            waiter.wait(5)
    spool.close()


def test_outage_is_temporary_and_the_next_call_connects_again(server: PostgresServer) -> None:
    spool = PostgresSpool(server.new_schema())
    spool.put([new_message("A")])
    with spool.listen(Topic.ENTRIES) as waiter:
        server.stop()
        for call in (lambda: spool.put([new_message("B")]), lambda: spool.message("A"), spool.recover):
            with pytest.raises(SpoolError) as raised:
                call()
            assert raised.value.temporary
        server.start()

        assert spool.put([new_message("B")]) == [Accepted(uid="B")]
        assert waiter.wait(PATIENCE_S), "ears are back by themselves"
        while waiter.wait(0.2):
            pass
        spool.put([new_message("C")])
        assert waiter.wait(PATIENCE_S)
    spool.close()


def test_restart_while_nobody_asks_goes_unnoticed(server: PostgresServer) -> None:
    spool = PostgresSpool(server.new_schema())
    spool.put([new_message("A")])
    server.restart()
    assert spool.put([new_message("B")]) == [Accepted(uid="B")]
    server.restart()
    assert spool.message("A") is not None
    spool.close()
