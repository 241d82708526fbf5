"""Lines before devices: who signs what, and what becomes of work that a key cannot do."""

from concurrent.futures import Future
from pathlib import Path
from threading import Event

import pytest

from signing.errors import KeyUnavailable, SigningError, WrongPin
from signing.keys.files import Signer
from signing.keys.pool import Member, SigningKey, member_of
from signing.keys.queue import Change, SigningQueue
from tests.device_keys import Played, played_member
from tests.signing_documents import write_key
from tests.waiting import PATIENCE_S


class HeardQueue:
    """A queue with what it told."""

    def __init__(self, *members: Member, hold_s: float = 30.0, depth: int = 8) -> None:
        self.changes: list[Change] = []
        self.opened = Event()
        self.line: SigningQueue[str] = SigningQueue(
            SigningKey(name="key", members=members),
            hold_s=hold_s,
            depth=depth,
            changed=self.changes.append,
            opened=self.opened.set,
        )

    def put(self, text: str = "x") -> Future[str]:
        def work(signer: Signer) -> str:
            signer.sign(text.encode())
            return f"{text} by {signer.key_name}"

        return self.line.put(work)

    def told(self) -> list[tuple[str, str]]:
        return [(change.key, change.what) for change in self.changes]


def test_a_key_that_is_well_signs_what_is_put_in_line(tmp_path: Path) -> None:
    member, device = played_member(tmp_path, "card")
    device_signing = HeardQueue(member)
    assert device_signing.line.room() == 8
    done = [device_signing.put(str(number)) for number in range(5)]
    assert [one.result(PATIENCE_S) for one in done] == [
        f"{number} by {device.key_name}" for number in range(5)
    ]
    assert device_signing.told() == []
    device_signing.line.close()


def test_room_shrinks_with_what_is_in_line_and_no_more_than_a_bounded_key_can_do_soon(tmp_path: Path) -> None:
    member, device = played_member(tmp_path, "card", rate=250)
    device.blocked.clear()
    device_signing = HeardQueue(member, depth=32)
    assert device_signing.line.room() == 8, "two seconds' worth"
    device_signing.put()
    assert device.entered.wait(PATIENCE_S)
    device_signing.put()
    assert device_signing.line.room() == 6
    device.blocked.set()
    device_signing.line.close()


def test_failure_of_one_member_goes_to_another_and_the_key_is_quarantined(tmp_path: Path) -> None:
    bad, broken = played_member(tmp_path, "bad")
    good, well = played_member(tmp_path, "good")
    broken.error = KeyUnavailable("the reader failed")
    well.blocked.clear()
    device_signing = HeardQueue(bad, good)
    first = device_signing.put("1")
    second = device_signing.put("2")
    assert broken.entered.wait(PATIENCE_S)
    well.blocked.set()
    assert {first.result(PATIENCE_S), second.result(PATIENCE_S)} == {
        f"{one} by {well.key_name}" for one in "12"
    }
    assert device_signing.told() == [("bad", "quarantined")]
    assert device_signing.line.room() > 0, "the other is in order"
    device_signing.line.close()


def test_key_that_never_answers_is_dark_and_its_job_goes_to_another(tmp_path: Path) -> None:
    dark, silent = played_member(tmp_path, "dark", timeout_s=-1.0)
    good, well = played_member(tmp_path, "good")
    silent.blocked.clear()
    well.blocked.clear()
    device_signing = HeardQueue(dark, good)
    jobs = [device_signing.put("1"), device_signing.put("2")]
    assert silent.entered.wait(PATIENCE_S)
    assert well.entered.wait(PATIENCE_S)
    device_signing.line.tend()
    well.blocked.set()
    assert {job.result(PATIENCE_S) for job in jobs} == {f"{one} by {well.key_name}" for one in "12"}
    assert ("dark", "quarantined") in device_signing.told()
    silent.blocked.set()  # a late answer changes nothing
    device_signing.line.close()


def test_work_comes_back_when_nobody_can_do_it_and_there_is_no_room(tmp_path: Path) -> None:
    member, device = played_member(tmp_path, "card")
    device.error = KeyUnavailable("the reader failed", retry_after_s=30.0)
    device_signing = HeardQueue(member)
    with pytest.raises(KeyUnavailable, match="the reader failed"):
        device_signing.put().result(PATIENCE_S)
    assert device_signing.line.room() == 0
    device_signing.line.close()


def test_key_is_probed_after_its_quarantine_and_takes_work_again(tmp_path: Path) -> None:
    member, device = played_member(tmp_path, "card")
    device.error = KeyUnavailable("the reader failed", retry_after_s=0.0)
    device_signing = HeardQueue(member)
    with pytest.raises(KeyUnavailable):
        device_signing.put().result(PATIENCE_S)
    device.error = None
    assert device_signing.line.room() == 0
    assert device_signing.opened.wait(PATIENCE_S)
    assert device.probed > 0
    assert device_signing.line.room() == 8
    assert device_signing.put().result(PATIENCE_S)
    assert device_signing.told() == [("card", "quarantined"), ("card", "restored")]
    device_signing.line.close()


def test_wrong_pin_is_told_and_never_tried_again_by_any_thread(tmp_path: Path) -> None:
    member, device = played_member(tmp_path, "card")
    device.error = WrongPin("wrong PIN")
    device_signing = HeardQueue(member)
    with pytest.raises(WrongPin):
        device_signing.put().result(PATIENCE_S)
    device.error = None
    assert device_signing.line.room() == 0
    with pytest.raises(KeyUnavailable):
        device_signing.put().result(PATIENCE_S)
    assert device.signed == 0
    assert ("card", "locked") in device_signing.told()
    device_signing.line.close()


def test_what_the_work_itself_cannot_do_is_no_failure_of_the_key(tmp_path: Path) -> None:
    member, _ = played_member(tmp_path, "card")
    device_signing = HeardQueue(member)

    def work(_signer: Signer) -> str:
        raise SigningError("the document has a Signature already")

    with pytest.raises(SigningError, match="already"):
        device_signing.line.put(work).result(PATIENCE_S)
    assert device_signing.line.room() == 8
    assert device_signing.told() == []
    device_signing.line.close()


def test_work_that_waits_too_long_is_given_back(tmp_path: Path) -> None:
    member, device = played_member(tmp_path, "card")
    device.blocked.clear()
    device_signing = HeardQueue(member, hold_s=0.0)
    device_signing.put("in hand")
    assert device.entered.wait(PATIENCE_S)
    waiting = device_signing.put("waiting")
    device_signing.line.tend()
    with pytest.raises(KeyUnavailable, match="more to sign than it can"):
        waiting.result(0)
    device.blocked.set()
    device_signing.line.close()


def test_closing_gives_everything_back(tmp_path: Path) -> None:
    member, device = played_member(tmp_path, "card")
    device.blocked.clear()
    device_signing = HeardQueue(member)
    jobs = [device_signing.put(), device_signing.put()]
    assert device.entered.wait(PATIENCE_S)
    device_signing.line.close()
    for job in jobs:
        with pytest.raises(KeyUnavailable, match="closed"):
            job.result(0)
    device.blocked.set()


def test_file_key_may_stand_in_for_a_device(tmp_path: Path) -> None:
    member, device = played_member(tmp_path, "card")
    device.error = KeyUnavailable("the reader failed", retry_after_s=30.0)
    spare = member_of("spare", write_key(tmp_path))
    device_signing = HeardQueue(member, spare)
    assert {device_signing.put(str(n)).result(PATIENCE_S).split()[-1] for n in range(3)} == {
        spare.signer.key_name
    }
    device_signing.line.close()


def test_played_device_is_what_the_tests_think(tmp_path: Path) -> None:
    member, device = played_member(tmp_path, "card")
    assert isinstance(device, Played)
    assert member.signer.sign(b"x")
    assert device.signed == 1
