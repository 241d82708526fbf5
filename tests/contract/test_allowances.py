"""What persons have used of their yearly limits: equal to what a simulated year comes to, whatever happens meanwhile.

A longer run, ten minutes of one core: `ALLOWANCE_LISTS=1000000 ALLOWANCE_PERSONS=50000 .venv/bin/python -m pytest tests/contract/test_allowances.py -k killed`.
"""

import os
import random
import signal
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec import structs

from gateway.parcels.facts import Personal
from gateway.parcels.person_allowance import PersonAllowance
from gateway.upkeep.allowance_scan import AllowanceScan
from spool.entry import Allowance, AnswerStep, Filing, TimelineRow
from spool.sqlite import SqliteSpool
from spool.store import Spool
from tests.allowance_year import SimulatedYear, answer, declare, identity_number, simulate
from tests.contract.test_correlation import RULES_NOW
from tests.parcel_documents import IDENTITY, inventory
from tests.parcel_node import LINKER, ParcelNode, rules_broken
from tests.spool_samples import Clock, collected, new_message, settled

LISTS = int(os.environ.get("ALLOWANCE_LISTS", "2000"))
PERSONS = int(os.environ.get("ALLOWANCE_PERSONS", "100"))


def scan_of(spool: Spool) -> AllowanceScan:
    return AllowanceScan(spool, PersonAllowance(spool, RULES_NOW.codes))


def scanned(spool: Spool, clock: Clock) -> None:
    """Let a scan of a new process get to the end of what is there."""
    scan = scan_of(spool)
    scan.look(clock.now)
    clock.move(61)
    while scan.look(clock.now):
        pass


def sums(spool: Spool, year: SimulatedYear) -> dict[tuple[str, str], int]:
    return {key: spool.allowance(*key) for key in year.used}


def lived(spool: Spool, year: SimulatedYear) -> Iterator[None]:
    """Declare everything, and have it answered in four parts, in any order and some of it twice; yields after each."""
    chance = random.Random(7)
    chance.shuffle(year.messages)
    declare(spool, year.messages)
    events = [*year.events, *chance.choices(year.events, k=len(year.events) // 10)]
    chance.shuffle(events)
    part = -(-len(events) // 4)
    for start in range(0, len(events), part):
        answer(spool, events[start : start + part])
        yield


def test_the_sums_of_a_year_are_exact_to_the_fen(spool: Spool, clock: Clock) -> None:
    """Answers come in any order and twice, while scans of processes that end at any time walk along."""
    year = simulate(LISTS, PERSONS)
    for _ in lived(spool, year):
        scan = scan_of(spool)
        scan.look(clock.now)
        clock.move(61)
        scan.look(clock.now)  # and is not heard of again
    scanned(spool, clock)

    assert sum(year.used.values()) > 0
    assert sums(spool, year) == dict(year.used)
    spool.set_allowances("again", AnswerStep(declarations=(), before=None, at=(0, 0), more=False), [])
    scanned(spool, clock)
    assert sums(spool, year) == dict(year.used)


class _Dying:
    """A spool of a process that is killed before or after its nth commit of allowances."""

    def __init__(self, spool: Spool, commits: int, *, before: bool) -> None:
        self._spool, self._commits, self._before = spool, commits, before

    def __getattr__(self, name: str) -> object:
        return getattr(self._spool, name)

    def set_allowances(self, walk: str, step: AnswerStep, allowances: Sequence[Allowance]) -> bool:
        self._commits -= 1
        if not self._commits and self._before:
            os.kill(os.getpid(), signal.SIGKILL)
        done = self._spool.set_allowances(walk, step, allowances)
        if not self._commits:
            os.kill(os.getpid(), signal.SIGKILL)
        return done


@contextmanager
def child() -> Iterator[int]:
    """Fork; the child must kill itself."""
    pid = os.fork()
    try:
        yield pid
    finally:
        if pid == 0:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def test_scans_that_are_killed_around_a_commit_lose_and_double_nothing(tmp_path: Path, clock: Clock) -> None:
    """In each part of a year, one scan is killed before and one after a commit, and what they left is gone on with."""
    year = simulate(LISTS, PERSONS)
    with closing(SqliteSpool(tmp_path / "state", clock)) as spool:
        for commits, _ in enumerate(lived(spool, year), start=1):
            for before in (True, False):
                _kill_a_scan(tmp_path / "state", clock, min(commits, 2), before=before)
            scanned(spool, clock)
        assert sums(spool, year) == dict(year.used)


def _kill_a_scan(state: Path, clock: Clock, commits: int, *, before: bool) -> None:
    """Let a scan of a process of its own be killed around its nth commit."""
    with child() as pid:
        if pid == 0:
            with closing(SqliteSpool(state, clock)) as own:
                scan = scan_of(_Dying(own, commits, before=before))  # type: ignore[arg-type]
                scan.look(clock.now)
                while scan.look(clock.now + timedelta(seconds=61)):
                    continue


def test_of_two_scans_of_one_stretch_one_counts(spool: Spool) -> None:
    step = AnswerStep(declarations=(), before=None, at=(5, 1), more=False)
    one = Allowance(declaration=1, owner="ann", subject="s", period="2026", amount=7)
    assert spool.set_allowances("w", step, [one])
    assert not spool.set_allowances("w", step, [structs.replace(one, amount=9)])
    assert spool.allowance("s", "2026") == 7


def test_sums_are_of_one_owner_or_all_and_old_years_are_forgotten(spool: Spool) -> None:
    step = AnswerStep(declarations=(), before=None, at=(0, 0), more=False)
    rows = [
        Allowance(declaration=1, owner="ann", subject="s", period="2026", amount=1),
        Allowance(declaration=2, owner="bob", subject="s", period="2026", amount=10),
        Allowance(declaration=3, owner="bob", subject="s", period="2024", amount=100),
        Allowance(declaration=4, owner="bob", subject="t", period="2026", amount=1000),
    ]
    spool.set_allowances("w", step, rows)
    assert (spool.allowance("s", "2026"), spool.allowance("s", "2026", owner="ann")) == (11, 1)
    assert spool.allowance("s", "2026", besides=[2, 3]) == 1
    assert (spool.forget_allowances("2025"), spool.allowance("s", "2024")) == (1, 0)


def test_a_walk_whose_answer_was_purged_begins_again(spool: Spool, clock: Clock) -> None:
    def told(uid: str) -> None:
        spool.put([new_message(uid, f"d={uid}")])
        spool.settle(settled(spool.claim("one", "port", limit=9, lease_s=60)))
        (found,) = spool.find([f"d={uid}"])
        spool.keep(collected(uid.encode()))
        (arrival,) = spool.unfiled(9)
        row = TimelineRow(
            declaration=found.declaration, at="1", kind="K", status="1", facts=b"", digest=uid, index=0
        )
        spool.file([Filing(arrival=arrival.id, kind="K", cop_msg_id="", rows=(row,))])

    told("A")
    step = spool.answered("w", up_to=spool.newest_answer(), kinds=["K"], limit=9)
    assert spool.set_allowances("w", step, [])
    assert spool.answered("w", up_to=10**9, kinds=["K"], limit=9).declarations == ()

    spool.acknowledge("ann", 10**6)
    clock.move(10)
    message = spool.export("A")
    assert message is not None
    assert spool.purge([message], before=clock.now) == ["A"]
    told("B")
    again = spool.answered("w", up_to=spool.newest_answer(), kinds=["K"], limit=9)
    assert len(again.declarations) == 1
    assert spool.set_allowances("w", again, [])


@pytest.mark.parametrize("used_fen", [2_500_000, 2_590_000, 2_599_999])
def test_an_enterprise_is_told_that_a_list_would_exceed_and_never_by_how_much(
    spool: Spool, clock: Clock, used_fen: int
) -> None:
    """What others have sold is told apart in thousands of yuan alone, however often it is asked."""
    node = ParcelNode(spool=spool, rules=RULES_NOW, clock=clock)
    used = Allowance(
        declaration=10**6,
        owner="other",
        subject=LINKER.mark(Personal.IDENTITY, IDENTITY).hex(),
        period="2026",
        amount=used_fen,
    )
    spool.set_allowances("w", AnswerStep(declarations=(), before=None, at=(0, 0), more=False), [used])
    node.accept("broker", inventory)
    view = node.asked("broker", order_no="ORDER-1")
    assert "parcel-yearly-limit" not in {rule for _, rule, _ in rules_broken(view)}

    node.accept("broker", inventory, copNo="COP-2", items=[{"gnum": "1", "itemNo": "S", "qty": "1", "price": "1000.01"}])  # type: ignore[arg-type]  # fmt: skip
    found = [
        said
        for one in node.asked("broker", order_no="ORDER-1").documents
        for said in one.compared.matching
        if said.rule == "parcel-yearly-limit"
    ]
    (said,) = found
    assert (said.code, said.who, said.element, said.key["copNo"]) == (
        "1313", "nobody", "buyerIdNumber", "COP-2",
    )  # fmt: skip
    assert identity_number(1) not in repr(said)
