"""The spool under SIGKILL, under several writers, and on a full disk."""

import random
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from spool.entry import MessageView
from spool.lifecycle import State
from spool.sqlite import SqliteSpool
from tests.crash.spool_child import body_of
from tests.servers.small_disk import mounted
from tests.spool_samples import new_message

ROOT = Path(__file__).resolve().parents[2]
KILLS = 12
PROCESSES = 4
ROUNDS = 60


def start(folder: Path, deed: str, name: str, figure: int = 0) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.crash.spool_child", str(folder), deed, name, str(figure)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def finish(child: "subprocess.Popen[str]") -> list[list[str]]:
    """Return the words of the lines that the child still says; a line cut by its death says nothing."""
    assert child.stdout is not None
    lines = list(child.stdout)  # communicate() would pass over what readline() has read ahead
    child.stdout.close()
    child.wait(timeout=120)
    return [line.split() for line in lines if line.endswith("\n")]


def lines_until_killed(folder: Path, name: str, after_lines: int) -> list[list[str]]:
    with start(folder, "work", name) as child:
        assert child.stdout is not None
        heard = [child.stdout.readline().split() for _ in range(after_lines)]
        assert child.poll() is None, "it died by itself"
        child.kill()
        return heard + finish(child)


def said(lines: Iterable[list[str]], word: str) -> set[str]:
    return {line[1] for line in lines if line[0] == word}


def views(spool: SqliteSpool) -> dict[str, MessageView]:
    return {view.uid: view for view in spool.entries(limit=1_000_000)}


def assert_whole(spool: SqliteSpool) -> None:
    """Nothing half-written: the file is sound, every message has its bytes, every wait its count."""
    run = spool.db.connection.execute
    assert run("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert run("PRAGMA foreign_key_check").fetchall() == []
    wrong = "SELECT e.id FROM entry e WHERE e.blockers <> (SELECT count(*) FROM wait w WHERE w.entry = e.id)"
    assert run(wrong).fetchall() == []
    for uid, view in views(spool).items():
        assert spool.body(uid) == body_of(uid)
        assert view.identities
        assert view.cop_msg_id == f"COP-{uid}"
        assert next(spool.history(uid)).event == "message.accepted"


def test_everything_confirmed_survives_a_kill_at_any_moment(tmp_path: Path) -> None:
    chance = random.Random(20261111)
    taken: set[str] = set()
    delivered: set[str] = set()
    for life in range(KILLS):
        lines = lines_until_killed(tmp_path, f"life{life}", chance.randint(1, 120))
        taken |= said(lines, "taken")
        delivered |= said(lines, "delivered")

        spool = SqliteSpool(tmp_path)
        found = views(spool)
        assert taken <= found.keys()
        assert all(found[uid].state is State.SENT for uid in delivered)
        sizes = Counter(uid.rsplit("-", 1)[0] for uid in found)
        assert set(sizes.values()) == {4}, "a batch is there whole or not at all"
        assert_whole(spool)
        stuck = sum(view.state is State.SENDING for view in found.values())
        assert len(spool.recover(claimant=f"life{life}")) == stuck
        spool.close()


def test_several_processes_lose_nothing_and_never_share_a_claim(tmp_path: Path) -> None:
    SqliteSpool(tmp_path).close()
    children = [start(tmp_path, "work", f"p{number}", ROUNDS) for number in range(PROCESSES)]
    by_process = [finish(child) for child in children]

    assert [child.returncode for child in children] == [0] * PROCESSES
    lines = [line for lines in by_process for line in lines]
    claims = Counter((line[1], line[2]) for line in lines if line[0] == "claimed")
    deliveries = Counter(line[1] for line in lines if line[0] == "delivered")
    assert set(claims.values()) == {1}
    assert set(deliveries.values()) == {1}
    spool = SqliteSpool(tmp_path)
    found = views(spool)
    assert found.keys() == said(lines, "taken")
    assert len(found) == PROCESSES * ROUNDS * 4
    assert {uid for uid, view in found.items() if view.state is State.SENT} == deliveries.keys()
    assert_order(spool)
    assert_whole(spool)
    spool.close()


def assert_order(spool: SqliteSpool) -> None:
    """Say that of the messages of one declaration the earlier one was sent first."""
    sent = defaultdict(list)
    for uid, at in spool.db.connection.execute("SELECT uid, id FROM journal WHERE event = 'entry.sent'"):
        place = int(uid[-1])
        sent[f"{uid[:-1]}{place // 2}"].append((at, place))
    for places in sent.values():
        in_time = [place for _, place in sorted(places)]
        assert in_time == sorted(in_time)
        assert in_time[0] % 2 == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount four megabytes."""
    with mounted(tmp_path / "disk", mib=4) as disk:
        yield disk


def test_full_disk_refuses_for_now_and_loses_nothing(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_000_000))
    with start(small_disk / "state", "fill", "full") as child:
        lines = finish(child)
    assert lines[-1] == ["full", "True"]
    taken = said(lines, "taken")
    assert taken

    ballast.unlink()

    spool = SqliteSpool(small_disk / "state")
    assert views(spool).keys() == taken
    assert_whole(spool)
    spool.put([new_message("more", "d=more", body=body_of("more"))])
    claimed = spool.claim("one", "port", limit=1_000_000, lease_s=60)
    assert len(claimed) == len(taken) // 2 + 1
    spool.close()


def test_process_goes_on_by_itself_once_there_is_room(tmp_path: Path) -> None:
    with start(tmp_path, "fill", "full", 1_500_000) as child:
        lines = finish(child)

    assert ["full", "True"] in lines
    assert {f"full-after-0-{place}" for place in range(4)} <= said(lines, "taken")
    spool = SqliteSpool(tmp_path)
    assert views(spool).keys() == said(lines, "taken")
    assert_whole(spool)
    spool.close()
