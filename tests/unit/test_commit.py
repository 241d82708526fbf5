"""Group commit: everything that waits goes to disk together, and every caller hears what became of its own."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from gateway.submission.commit import BatchCommit, GroupCommit
from spool.entry import Accepted, Duplicate, NewMessage, Note, PutResult
from spool.errors import SpoolError
from spool.imports import ImportStep
from spool.locking import FileLock
from spool.sqlite import SqliteSpool
from spool.store import NO_MARKS
from tests.spool_samples import new_message
from tests.waiting import until


class Watched(SqliteSpool):
    """A real spool that remembers how many items each commit had, and can be told to fail."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.commits: list[int] = []
        self.failure: Exception | None = None

    def put(
        self,
        new_messages: Sequence[NewMessage],
        *,
        notes: Sequence[Note] = (),
        marks: Mapping[str, int] = NO_MARKS,
        step: ImportStep | None = None,
    ) -> list[PutResult]:
        if self.failure is not None:
            raise self.failure
        self.commits.append(len(new_messages) + len(notes))
        return super().put(new_messages, notes=notes, marks=marks, step=step)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Watched]:
    with closing(Watched(tmp_path)) as opened:
        yield opened


async def put(commit: GroupCommit, item: NewMessage | Note) -> PutResult | None:
    """Enter the item and wait for what becomes of it."""
    future: asyncio.Future[PutResult | None] = asyncio.get_running_loop().create_future()

    def told(outcome: PutResult | Exception | None) -> None:
        if future.done():
            return  # its caller has gone away
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    commit.enter(item, told)
    return await future


def test_what_comes_together_is_one_commit_and_each_caller_gets_its_own_reply(spool: Watched) -> None:
    async def submit() -> list[PutResult | None]:
        commit = GroupCommit(spool, batch=100)
        items: list[NewMessage | Note] = [
            new_message("A", body=b"1"),
            Note(event="message.refused", detail="{}"),
            new_message("B", body=b"1"),
        ]
        return await asyncio.gather(*(put(commit, item) for item in items))

    assert asyncio.run(submit()) == [Accepted(uid="A"), None, Duplicate(uid="A")]
    assert spool.commits == [3]


def test_commit_is_never_larger_than_a_batch(spool: Watched) -> None:
    told: list[int] = []

    async def submit() -> list[PutResult | None]:
        commit = GroupCommit(spool, batch=4, committed=lambda items, _seconds: told.append(items))
        return await asyncio.gather(*(put(commit, new_message(f"U{number}")) for number in range(10)))

    assert asyncio.run(submit()) == [Accepted(uid=f"U{number}") for number in range(10)]
    assert spool.commits == told == [4, 4, 2]


@pytest.mark.parametrize("failure", [SpoolError("the disk is full", temporary=True), ZeroDivisionError()])
def test_failure_reaches_every_caller_and_the_next_commit_goes_on(spool: Watched, failure: Exception) -> None:
    async def submit() -> tuple[list[PutResult | BaseException | None], PutResult | None]:
        commit = GroupCommit(spool, batch=100)
        spool.failure = failure
        failed = await asyncio.gather(
            *(put(commit, new_message(uid)) for uid in "AB"), return_exceptions=True
        )
        spool.failure = None
        return failed, await put(commit, new_message("A"))

    failed, after = asyncio.run(submit())
    assert failed == [failure, failure]
    assert after == Accepted(uid="A")


def test_caller_that_went_away_does_not_hold_up_the_others(spool: Watched) -> None:
    async def submit() -> PutResult | None:
        commit = GroupCommit(spool, batch=100)
        gone = asyncio.create_task(put(commit, new_message("A")))
        stays = asyncio.create_task(put(commit, new_message("B")))
        await asyncio.sleep(0)  # both wait for the commit
        gone.cancel()
        return await stays

    assert asyncio.run(submit()) == Accepted(uid="B")
    assert spool.message("A") is not None  # it was on its way to the disk


def test_plain_loop_gets_one_commit_for_all_it_entered_and_each_its_own_reply(spool: Watched) -> None:
    commit, told = BatchCommit(spool), list[PutResult | Exception | None]()
    for item in (
        new_message("A", body=b"1"),
        Note(event="message.refused", detail="{}"),
        new_message("B", body=b"1"),
    ):
        commit.enter(item, told.append)
    assert (spool.commits, told) == ([], []), "not before it says that this is all"
    commit.commit()
    commit.commit()
    assert spool.commits == [3], "and none for nothing"
    first, note, again = told
    assert isinstance(first, Accepted)
    assert note is None
    assert isinstance(again, Duplicate)
    assert again.uid == "A"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Have the spool as another process has it."""
    with closing(FileLock(folder / "spool.lock", "the lock")) as lock, lock.held():
        yield


def test_loop_goes_on_while_another_process_has_the_spool(spool: Watched, tmp_path: Path) -> None:
    async def submit() -> list[PutResult | None]:
        commit = GroupCommit(spool, batch=2)
        with held(tmp_path):
            waiting = [asyncio.create_task(put(commit, new_message(uid))) for uid in "ABCDE"]
            for _ in range(100):
                await asyncio.sleep(0)
            assert not any(task.done() for task in waiting)
        return await asyncio.gather(*waiting)

    assert asyncio.run(submit()) == [Accepted(uid=uid) for uid in "ABCDE"]
    assert spool.commits == [2, 2, 1]


def test_what_waits_for_longer_than_anybody_may_have_the_spool_is_told_so(
    spool: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spool.locking.HELD_S", 0.02)
    monkeypatch.setattr("gateway.submission.commit.HELD_S", 0.02)

    async def submit() -> PutResult | None:
        commit = GroupCommit(spool, batch=100)
        with held(tmp_path):
            for uid in ("A", "B"):
                with pytest.raises(SpoolError, match="holds the spool's lock") as caught:
                    await put(commit, new_message(uid))
                assert caught.value.temporary
        until(lambda: spool.held_up() is None)
        return await put(commit, new_message("A"))

    assert asyncio.run(submit()) == Accepted(uid="A")
    assert spool.commits == [1]


def test_turn_that_comes_when_nobody_waits_any_more_is_passed_on(
    spool: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spool.locking.HELD_S", 0.0)
    came = threading.Event()
    reserve = spool.reserve

    def watched(told: Callable[[], None]) -> bool:
        def both() -> None:
            told()
            came.set()

        return reserve(both)

    async def submit() -> None:
        monkeypatch.setattr(spool, "reserve", watched)
        commit = GroupCommit(spool, batch=100)
        with held(tmp_path), pytest.raises(SpoolError):
            await put(commit, new_message("A"))
        await asyncio.to_thread(came.wait)
        await asyncio.sleep(0)

    asyncio.run(submit())
    with held(tmp_path):
        assert spool.message("A") is None


def test_what_writes_in_between_takes_the_turn_and_the_commit_comes_after_it(
    spool: Watched, tmp_path: Path
) -> None:
    async def submit() -> PutResult | None:
        commit = GroupCommit(spool, batch=100)
        with held(tmp_path):
            waiting = asyncio.create_task(put(commit, new_message("A")))
            await asyncio.sleep(0.0)
            await asyncio.sleep(0.0)
        spool.acknowledge("ann", 0)
        return await waiting

    assert asyncio.run(submit()) == Accepted(uid="A")
