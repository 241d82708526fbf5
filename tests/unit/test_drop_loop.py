"""A door kept open over a spool that cannot, a reply that fails, a message that nobody can answer for."""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import pytest

from gateway.app.build import App
from gateway.app.drop_doors import Doors
from gateway.config.gateway_toml import Judges
from gateway.config.site import DEMO, write_site
from gateway.doors.drop.loop import DropLoop
from gateway.doors.drop.queue import QueueDropAdapter
from gateway.errors import DeliveryError
from gateway.judges.asking import Asking
from gateway.judges.judge import JudgeCase
from gateway.model import Enterprise, EnterpriseId
from gateway.observe.metric_files import RoleMetrics
from gateway.ports import Parcel
from gateway.submission.intake import ExaminedSubmission
from gateway.submission.pipeline import Refusal
from gateway.transports.memory import MemoryEndpoint, MemoryFeed, MemoryTransport
from spool.entry import NewMessage, Note, PutResult
from spool.errors import SpoolError
from spool.imports import ImportStep
from spool.sqlite import SqliteSpool
from spool.store import NO_MARKS
from tests.documents import order
from tests.judges import hosted

ME = EnterpriseId(DEMO.id)


class Spool(SqliteSpool):
    """A real one that can be told to fail, always or for one declaration."""

    failure: Exception | None = None
    poison = b""

    def put(
        self,
        new_messages: Sequence[NewMessage],
        *,
        notes: Sequence[Note] = (),
        marks: Mapping[str, int] = NO_MARKS,
        step: ImportStep | None = None,
    ) -> list[PutResult]:
        if self.failure is not None and any(self.poison in new.body for new in new_messages):
            raise self.failure
        return super().put(new_messages, notes=notes, marks=marks, step=step)


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Door:
    """A keeper over memory; `refuse` says what the reply queue does not take."""

    def __init__(self, app: App, spool: Spool, asking: Asking) -> None:
        self.questions, self.replies = MemoryEndpoint(), MemoryEndpoint(judge=self._judge)
        self.refusal: DeliveryError | None = None
        self.room = sys.maxsize
        self.time = Time()
        doors = Doors(
            config=app.config,
            judge=app.judge,
            line=asking.line,
            doors={},
            open_spool=lambda: spool,
        )
        self.submitter = doors.submitter(spool, asking)
        self.loop = DropLoop(
            caller=app.enterprises[ME],
            kind="memory",
            adapter=QueueDropAdapter(
                MemoryFeed(self.questions), MemoryTransport(self.replies), enterprise=ME
            ),
            submitter=self.submitter,
            clock=self.time,
        )

    def _judge(self, _parcel: Parcel) -> DeliveryError | None:
        if not self.room:
            return DeliveryError("queue full")
        self.room -= 1
        return self.refusal

    def step(self, *, after_s: float = 60.0) -> bool:
        self.time.now += after_s
        return self.loop.step(0.0)

    def told(self) -> dict[str, str]:
        """Correlation id → state or code."""
        documents = {one.correlation_id: json.loads(one.body) for one in self.replies.arrived}
        return {name: told.get("state") or told["code"] for name, told in documents.items()}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> App:
    return App(write_site(tmp_path_factory.mktemp("site") / "site").config)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with closing(Spool(tmp_path)) as opened:
        yield opened


@pytest.fixture(scope="module")
def asking(app: App) -> Iterator[Asking]:
    with hosted(app.judge) as line, closing(Asking(line, app.judge)) as asking:
        yield asking


@pytest.fixture
def door(app: App, spool: Spool, asking: Asking) -> Door:
    return Door(app, spool, asking)


def mine(number: int) -> bytes:
    return order(f"ORDER-{number}", cop_code=DEMO.cop_codes[0], dxp_id=DEMO.dxp_ids[0])


def test_full_disk_refuses_nobody_and_everything_is_taken_once_there_is_room(
    door: Door, spool: Spool
) -> None:
    for number in range(3):
        door.questions.offer(mine(number), f"request-{number}")
    spool.failure = SpoolError("disk full", temporary=True)
    door.step()
    assert door.told() == {}
    assert not door.step(after_s=0.5), "left alone for a while"
    spool.failure = None
    assert door.step()
    assert door.told() == {f"request-{number}": "accepted" for number in range(3)}
    assert not door.step()


def test_message_that_the_spool_cannot_take_holds_up_no_other(door: Door, spool: Spool) -> None:
    for number in range(3):
        door.questions.offer(mine(number), f"request-{number}")
    spool.failure, spool.poison = SpoolError("no such value"), b"ORDER-1"
    door.step()
    assert door.told() == {"request-0": "accepted", "request-2": "accepted"}
    door.questions.offer(mine(3), "request-3")
    door.step()
    assert set(door.told()) == {"request-0", "request-2", "request-3"}
    spool.failure = None
    door.step()
    assert set(door.told()) == {f"request-{number}" for number in range(4)}


def test_defect_is_answered_as_one_and_the_others_are_taken(
    door: Door, spool: Spool, capsys: pytest.CaptureFixture[str]
) -> None:
    spool.failure, spool.poison = RuntimeError("a defect"), b"ORDER-1"
    for number in range(3):
        door.questions.offer(mine(number), f"request-{number}")
    assert door.step()
    assert door.told() == {
        "request-0": "accepted",
        "request-1": "internal-error",
        "request-2": "accepted",
    }
    assert not door.step(), "it does not come again"
    assert capsys.readouterr().out.count("request.failed") == 1


def test_message_that_ends_its_judge_is_answered_and_does_not_come_again(app: App, spool: Spool) -> None:
    def endless(_case: JudgeCase) -> NoReturn:
        while True:
            pass

    with hosted(endless, Judges(cpu_s=0.3)) as line, closing(Asking(line, app.judge)) as asking:
        door = Door(app, spool, asking)
        door.questions.offer(b"<x/>", "request-0")
        door.questions.offer(mine(1), "request-1")
        while door.step():
            pass
        assert door.told() == {"request-0": "too-expensive", "request-1": "accepted"}
        assert len(door.replies.arrived) == len(door.told()), "it does not come again"


@pytest.fixture
def slow(app: App, spool: Spool, monkeypatch: pytest.MonkeyPatch, asking: Asking) -> Door:
    """A door that judges two messages in its turn."""
    door = Door(app, spool, asking)
    monkeypatch.setattr(door.submitter, "_clock", door.time)

    def judge(body: bytes, caller: Enterprise) -> ExaminedSubmission | Refusal:
        door.time.now += 0.6
        return asking.examine(body, caller)

    monkeypatch.setattr(door.submitter, "_judge", judge)
    return door


def test_batch_that_takes_long_to_judge_goes_on_when_its_turn_comes_again(slow: Door) -> None:
    for number in range(5):
        slow.questions.offer(mine(number), f"request-{number}")
    taken = []
    while slow.step():
        taken.append(len(slow.told()))
    assert taken == [2, 4, 5]


def test_what_is_in_hand_is_not_forgotten_while_an_answer_cannot_be_told(slow: Door) -> None:
    for number in range(5):
        slow.questions.offer(mine(number), f"request-{number}")
    slow.refusal = DeliveryError("queue full")
    slow.step()
    slow.step()
    slow.refusal = None
    while slow.step():
        pass
    assert slow.told() == {f"request-{number}": "accepted" for number in range(5)}
    assert not slow.questions.waiting


def test_reply_queue_with_room_for_one_slows_nobody_down(
    door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(9):
        door.questions.offer(mine(number), f"request-{number}")
    door.room = 1
    while len(door.told()) < 9:
        door.step(after_s=0.5)
        door.room = 1
    failed = re.findall(r"door.failed .*attempt=(\d+)", capsys.readouterr().out)
    assert len(failed) == 8
    assert set(failed) == {"1"}, "what gets on is no failure that lasts"


def test_connection_is_kept_up_while_nothing_can_be_told(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Door] = []
    monkeypatch.setattr(MemoryFeed, "idle", lambda _feed: kept.append(door))
    door.questions.offer(mine(1), "request-1")
    door.refusal = DeliveryError("queue full")
    for _ in range(3):
        door.step()
    assert len(kept) == 3


def test_answer_that_cannot_be_told_now_is_told_later_and_the_message_is_not_judged_again(
    door: Door, spool: Spool
) -> None:
    door.questions.offer(mine(1), "request-1")
    door.refusal = DeliveryError("queue full")
    door.step()
    door.refusal = None
    spool.failure = SpoolError("must not be asked", temporary=True)
    door.step()
    assert door.told() == {"request-1": "accepted"}


def test_answer_that_can_never_be_told_is_given_up_aloud(
    door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    door.questions.offer(mine(1), "request-1")
    door.refusal = DeliveryError("too large for the broker", temporary=False)
    door.step()
    assert "door.answer_lost" in capsys.readouterr().out
    door.refusal = None
    assert not door.step(), "it does not come again"
    assert door.told() == {}


def test_door_that_fails_is_left_alone_for_longer_each_time(
    door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    door.questions.up = False
    for _ in range(4 * 120):
        door.step(after_s=0.25)
    failed = capsys.readouterr().out.count("door.failed")
    assert failed == 9, "at 0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5 seconds, then every 30"
    door.questions.up = True
    door.questions.offer(mine(1), "request-1")
    assert door.step(after_s=30.0)
    assert door.told() == {"request-1": "accepted"}


def samples() -> dict[tuple[str, ...], float]:
    """The metrics of doors in this process; counters go on from test to test."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in RoleMetrics().collect()
        for sample in family.samples
        if family.name.startswith("gateway_door") and not sample.name.endswith("_created")
    }


def counted(before: dict[tuple[str, ...], float]) -> dict[tuple[str, ...], float]:
    """What has been counted since."""
    rises = {what: value - before.get(what, 0) for what, value in samples().items() if what[-1] != "memory"}
    return {what: rise for what, rise in rises.items() if rise}


def test_metrics_tell_what_came_and_whether_the_door_works(door: Door) -> None:
    before = samples()
    for number, body in enumerate((mine(1), mine(1), b"<x/>")):
        door.questions.offer(body, f"request-{number}")
    door.step()
    assert counted(before) == {
        ("gateway_door_messages_total", ME, "memory", "accepted"): 1,
        ("gateway_door_messages_total", ME, "memory", "duplicate"): 1,
        ("gateway_door_messages_total", ME, "memory", "unknown-message"): 1,
    }
    assert samples()["gateway_door_in_order", ME, "memory"] == 1
    door.questions.up = False
    door.step()
    assert samples()["gateway_door_in_order", ME, "memory"] == 0
    door.questions.up = True
    door.step()
    assert samples()["gateway_door_in_order", ME, "memory"] == 1
