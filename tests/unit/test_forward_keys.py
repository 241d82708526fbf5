"""A forward role with slow, dark and good keys in one destination: nobody waits for another's key."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from select import select

import msgspec
import pytest

from gateway.keys.keyring import Keyring
from gateway.model import Message
from gateway.processes.heartbeat import Heartbeat
from gateway.processes.stop import Stop
from gateway.rules.loading import Rules
from gateway.sending.forward import Forward
from gateway.submission.new_messages import new_message_id, new_message_of
from gateway.submission.pipeline import examine
from gateway.transports.memory import MemoryEndpoint, MemoryTransport
from signing.errors import KeyUnavailable
from signing.keys.pool import SigningKey, member_of
from signing.keys.suite import Suite
from signing.xml.splice import sign
from spool.lifecycle import State
from spool.sqlite import SqliteSpool
from tests.device_keys import Played, played_member
from tests.documents import order
from tests.shipped_rules import shipped
from tests.signing_documents import write_key
from tests.unit.test_new_messages import ME, NOW, config, destination
from tests.waiting import PATIENCE_S


class World:
    """One destination, one process, and a key in memory (`plain`) beside the devices that a test makes."""

    def __init__(self, folder: Path, rules: Rules) -> None:
        self.folder = folder
        self.rules = rules
        self.spool = SqliteSpool(folder / "state")
        self.endpoint = MemoryEndpoint()
        self.config = config(msgspec.structs.replace(destination("customs", "import"), batch=8))
        self.keys = {"plain": SigningKey(name="plain", members=(member_of("plain", write_key(folder)),))}
        self.forward: Forward | None = None

    def device(self, name: str, **how: float) -> Played:
        member, device = played_member(self.folder, name, **how)  # type: ignore[arg-type]
        self.keys[name] = SigningKey(name=name, members=(member,))
        return device

    def submit(self, key: str, count: int, *, first: int = 0) -> list[str]:
        uids = []
        for number in range(first, first + count):
            body = order(f"{key}-{number}")
            message = examine(body, ME, self.rules, self.config.accept.limits, suite=self._suite(key))
            assert isinstance(message, Message)
            uid = new_message_id(NOW)
            new = new_message_of(
                message,
                replace(ME, key=key),
                uid=uid,
                config=self.config,
                resource="" if key == "plain" else key,
            )
            self.spool.put([new])
            uids.append(str(uid))
        return uids

    def _suite(self, key: str) -> Suite:
        return self.keys[key].members[0].signer.suite

    def start(self) -> Forward:
        self.forward = Forward(
            spool=self.spool,
            transport=MemoryTransport(self.endpoint),
            destination=self.config.destination[0],
            keyring=Keyring(keys=self.keys),
            config=self.config,
            claimant="one",
        )
        return self.forward

    def step_until(self, done: Callable[[], bool]) -> int:
        """Let the role work, woken by its own bell, until something holds; returns the number of steps."""
        assert self.forward is not None
        steps = 0
        while not done():
            steps += 1
            if not self.forward.step():
                assert select([*self.forward.descriptors()], [], [], PATIENCE_S)[0], "nothing rang"
        return steps

    def sent(self, uids: list[str]) -> int:
        return sum(self.state(uid) is State.SENT for uid in uids)

    def state(self, uid: str) -> State:
        view = self.spool.message(uid)
        assert view is not None
        return view.state

    def close(self) -> None:
        self.spool.close()


@pytest.fixture(scope="module")
def rules() -> Rules:
    return shipped()


@pytest.fixture
def world(tmp_path: Path, rules: Rules) -> Iterator[World]:
    made = World(tmp_path, rules)
    yield made
    made.close()


def test_dark_key_holds_up_nothing_that_another_key_or_none_signs(world: World) -> None:
    dark, good = world.device("dark", timeout_s=3600.0), world.device("good")
    dark.blocked.clear()
    waiting = world.submit("dark", 40)
    plain, signed = world.submit("plain", 20), world.submit("good", 20)
    world.start()
    world.step_until(lambda: world.sent(plain) == 20 and world.sent(signed) == 20)
    assert world.sent(waiting) == 0
    in_hand = sum(world.state(uid) is State.SENDING for uid in waiting)
    assert 0 < in_hand <= 8, "no more is claimed than the line holds"
    assert good.signed == 20
    dark.blocked.set()
    world.step_until(lambda: world.sent(waiting) == 40)
    assert [view.attempts for uid in waiting if (view := world.spool.message(uid))] == [0] * 40


def test_key_that_fails_costs_its_entries_no_attempt_and_others_nothing(world: World) -> None:
    broken = world.device("broken")
    broken.error = KeyUnavailable("the reader failed", retry_after_s=60.0)
    waiting, plain = world.submit("broken", 10), world.submit("plain", 10)
    world.start()
    world.step_until(
        lambda: world.sent(plain) == 10 and not any(world.state(uid) is State.SENDING for uid in waiting)
    )
    assert world.sent(waiting) == 0
    views = [view for uid in waiting if (view := world.spool.message(uid))]
    assert {view.attempts for view in views} == {0}
    assert any("the reader failed" in view.error for view in views)
    events = [one.event for uid in waiting for one in world.spool.history(uid)]
    assert "entry.postponed" in events
    assert "entry.deferred" not in events
    assert events.count("entry.postponed") <= 8, "what was not in hand was left alone"


def test_what_a_device_signs_goes_out_in_the_order_it_came(world: World) -> None:
    world.device("card")
    uids = world.submit("card", 30)
    world.start()
    world.step_until(lambda: world.sent(uids) == 30)
    assert [parcel.cop_msg_id for parcel in world.endpoint.arrived] == uids


def test_process_that_stops_puts_back_what_its_devices_have_in_hand(world: World) -> None:
    dark = world.device("dark", timeout_s=3600.0)
    dark.blocked.clear()
    waiting = world.submit("dark", 5)
    role = world.start()
    role.step()
    assert dark.entered.wait(PATIENCE_S)
    assert any(world.state(uid) is State.SENDING for uid in waiting)
    stop = Stop()
    stop.set()
    role.run(stop)
    assert {world.state(uid) for uid in waiting} == {State.READY}
    dark.blocked.set()


def test_message_that_came_signed_needs_no_key(world: World) -> None:
    dark = world.device("dark")
    dark.blocked.clear()
    body = sign(order("signed"), world.keys["plain"].members[0].signer).body
    message = examine(body, ME, world.rules, world.config.accept.limits)
    assert isinstance(message, Message)
    uid = new_message_id(NOW)
    world.spool.put([new_message_of(message, replace(ME, key="dark"), uid=uid, config=world.config)])
    world.start()
    world.step_until(lambda: world.sent([str(uid)]) == 1)
    assert dark.signed == 0
    dark.blocked.set()


class Counted(Heartbeat):
    """How often it was heard."""

    times = 0

    def beat(self) -> None:
        self.times += 1


def test_role_that_signs_a_batch_is_heard_at_every_entry(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    uids = world.submit("plain", 8)
    world.start()
    heart = Counted()
    monkeypatch.setattr("gateway.processes.heartbeat._Own.heart", heart)
    world.step_until(lambda: world.sent(uids) == 8)
    assert heart.times >= 8 + 8, "once before it is signed, once when it is delivered"
