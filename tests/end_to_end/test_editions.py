"""A change-over under load: the edition changes while messages flow, with no restart; none is lost or judged by the wrong one.

At full size: `EDITION_MESSAGES=5000 .venv/bin/python -m pytest tests/end_to_end/test_editions.py`.
"""

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from pathlib import Path

import pytest

from gateway.config.site import NewEnterprise
from gateway.model import BEIJING
from tests.crash.clock import ShiftedClock
from tests.crash.points import Points
from tests.door_node import ANN, BOB, DoorNode
from tests.edition_documents import BEFORE, NOW, inventory_for
from tests.waiting import RECOVERY_S, until

MESSAGES = int(os.environ.get("EDITION_MESSAGES", "300"))
KINDS = ("", BEFORE, NOW)
"""Editions by which alone the documents are valid; empty: by both."""


@dataclass(kw_only=True)
class ChangingNode:
    """A node that lives by a clock of its own, on which the edition changes for Ann; Bob stays with the former one."""

    node: DoorNode
    clock: ShiftedClock
    day: date
    """The first day of the new edition."""

    def pass_midnight(self) -> None:
        """Set the clock to one second into that day."""
        now = datetime.now(UTC) + timedelta(seconds=self.clock.shift_s)
        self.clock.move((datetime.combine(self.day, time(0, 0, 1), BEIJING) - now).total_seconds())


@pytest.fixture
def changing(tmp_path: Path) -> Iterator[ChangingNode]:
    node = DoorNode(tmp_path, {})
    day = datetime.now(BEIJING).date() + timedelta(days=2)
    node.site.config.write_text(
        node.site.config.read_text("utf-8")
        + f'\n[[edition]]\nname = "{BEFORE}"\nuntil = {day - timedelta(days=1)}\nnotice_days = 30\n',
        "utf-8",
    )
    own = node.site.enterprises / f"{BOB.id}.toml"
    own.write_text(f'edition = "{BEFORE}"\n{own.read_text("utf-8")}', "utf-8")
    faults = tmp_path / "faults"
    Points(faults)
    clock = ShiftedClock(faults / "clock")
    node.start(program=("-m", "tests.crash.node", str(faults)))
    try:
        yield ChangingNode(node=node, clock=clock, day=day)
    finally:
        node.process.stop()


def document(owner: NewEnterprise, kind: str, number: int) -> bytes:
    return inventory_for(kind, number=number, cop_code=owner.cop_codes[0], dxp_id=owner.dxp_ids[0])


@dataclass(kw_only=True)
class Load:
    """Platforms that submit without a pause and check each answer by the edition that was in force."""

    changing: ChangingNode
    changed: threading.Event = field(default_factory=threading.Event)
    """Set when the clock has been moved."""
    moving: threading.Event = field(default_factory=threading.Event)
    """Set right before the clock is moved."""
    numbers: Iterator[int] = field(default_factory=count)
    accepted: dict[str, bytes] = field(default_factory=dict)
    seen: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """(owner, edition in force, outcome) → how many."""
    wrong: list[str] = field(default_factory=list)

    def submit(self, owner: NewEnterprise) -> None:
        platform = self.changing.node.platform(owner.id)
        while (number := next(self.numbers)) < MESSAGES and not self.wrong:
            kind = KINDS[number // 2 % len(KINDS)]
            body = document(owner, kind, number)
            changed = self.changed.is_set()
            reply = platform.submit(body)
            said = reply.json()
            if reply.status == 202:
                self.accepted[said["id"]] = body
            if changed or not self.moving.is_set():  # else it was sent while the clock was moved
                self._check(owner, kind, changed, reply.status, said)
        platform.close()

    def _check(
        self, owner: NewEnterprise, kind: str, changed: bool, status: int, said: dict[str, object]
    ) -> None:
        edition = NOW if changed and owner is ANN else BEFORE
        valid = kind in ("", edition)
        right = status == (202 if valid else 422)
        if valid:
            told = "edition_notice" in said
            right = right and said["edition"] == edition
            right = right and told == (kind == BEFORE and owner is ANN and not changed)
        self.seen[owner.id, edition, "accepted" if valid else "refused"] += 1
        if not right:
            self.wrong.append(f"{owner.id}, {kind or 'both'}, changed {changed}: {status} {said}")


def test_edition_changes_while_messages_flow(changing: ChangingNode) -> None:
    node, load = changing.node, Load(changing=changing)
    processes = {role: node.pid(role) for role in ("accept", "judges", "forward/customs/0")}
    threads = [threading.Thread(target=load.submit, args=(owner,)) for owner in (ANN, BOB, ANN, BOB)]
    for thread in threads:
        thread.start()
    until(lambda: len(load.accepted) > MESSAGES // 4 or load.wrong, seconds=RECOVERY_S)
    load.moving.set()
    changing.pass_midnight()
    load.changed.set()
    for thread in threads:
        thread.join()
    assert not load.wrong, load.wrong[:3]
    for group in (
        *((ANN.id, edition, outcome) for edition in (BEFORE, NOW) for outcome in ("accepted", "refused")),
        *((BOB.id, BEFORE, outcome) for outcome in ("accepted", "refused")),
    ):
        assert load.seen[group] > MESSAGES // 100, (group, load.seen)
    sent = node.site.folder / "customs/out"
    until(lambda: len(list(sent.glob("[!.]*.xml"))) >= len(load.accepted), seconds=RECOVERY_S)
    assert node.at_customs() == load.accepted
    assert {role: node.pid(role) for role in processes} == processes
    assert not node.events("role.restarted", "node.reloaded", "judge.killed", "request.failed")


def test_answer_before_the_change_is_the_answer_ever_after(changing: ChangingNode) -> None:
    with closing(changing.node.platform(ANN.id)) as platform:
        body = document(ANN, BEFORE, 1)
        tried = platform.ask("POST", "/v1/messages?dry_run=true", body)
        first = platform.submit(body)
        assert (tried.status, first.status) == (200, 202)
        notice = first.json()["edition_notice"]
        assert tried.json()["edition_notice"] == notice
        assert (notice["edition"], notice["refused_from"]) == (NOW, str(changing.day))
        assert [fault["element"] for fault in notice["faults"]] == ["logisticsNo"]
        assert notice["faults"][0]["message_zh"] in notice["message_zh"]
        again = platform.submit(body)
        assert (again.status, again.json()) == (200, first.json())
        changing.pass_midnight()
        assert platform.submit(body).json() == first.json(), "it was taken, whatever is in force now"
        late = platform.submit(document(ANN, BEFORE, 2))
        assert (late.status, late.json()["code"]) == (422, "invalid-message")
        assert platform.submit(document(ANN, NOW, 3)).json()["edition"] == NOW


def test_change_is_taken_back_by_a_reload(changing: ChangingNode) -> None:
    node = changing.node
    changing.pass_midnight()
    with closing(node.platform(ANN.id)) as platform:
        assert platform.submit(document(ANN, BEFORE, 1)).status == 422
        file = node.site.config
        last = changing.day - timedelta(days=1)
        later = changing.day + timedelta(days=60)
        file.write_text(file.read_text("utf-8").replace(f"until = {last}", f"until = {later}"), "utf-8")
        node.process.process.send_signal(signal.SIGHUP)
        node.event("node.reloaded")
        again = platform.submit(document(ANN, BEFORE, 1))
        assert (again.status, again.json()["edition"]) == (202, BEFORE)
        assert "edition_notice" not in again.json(), "the change is too far off now"
