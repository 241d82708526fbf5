"""Bytes that were taken before get their first answer, also when they would be refused today."""

import json
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.model import Envelope
from gateway.xml.envelope import wrap
from signing.xml.splice import sign
from tests.documents import order
from tests.door_node import ANN, BOB, DoorNode, FolderPlace
from tests.platforms import Platform, Reply
from tests.signing_documents import write_key
from tests.waiting import until


@pytest.fixture
def place(tmp_path: Path) -> FolderPlace:
    return FolderPlace.make(tmp_path / "door")


@pytest.fixture
def node(tmp_path: Path, place: FolderPlace) -> Iterator[DoorNode]:
    with DoorNode(tmp_path, {"ann": place.toml()}).running() as made:
        yield made


def sound_keys_are_longer_now(node: DoorNode) -> None:
    """Reload with a rule by which no signature of the tests holds any more, as when a certificate has ended."""
    config = node.site.config.read_text("utf-8")
    assert config.count("\n[verifying]\n") == 1
    node.site.config.write_text(
        config.replace("\n[verifying]\n", "\n[verifying]\nrsa_bits = 8192\n"), "utf-8"
    )
    reload(node)


def code_is_no_longer_registered(node: DoorNode) -> None:
    file = node.site.enterprises / "ann.toml"
    file.write_text(file.read_text("utf-8").replace(ANN.cop_codes[0], "4499999999"), "utf-8")
    reload(node)


def reload(node: DoorNode) -> None:
    before = len(node.events("node.reloaded"))
    node.process.process.send_signal(signal.SIGHUP)
    until(lambda: len(node.events("node.reloaded")), lambda count: count > before)


def verdict(place: FolderPlace, name: str) -> dict[str, Any]:
    """What the folder door says of a file."""
    found = until(
        lambda: [
            file
            for folder, ending in (("reports", ".accepted.json"), ("rejected", ".problem.json"))
            if (file := place.root / folder / f"{name}{ending}").exists()
        ]
    )
    return dict(json.loads(found[0].read_bytes()))


def told(reply: Reply) -> tuple[int, str]:
    """The status, and the id or the code of the problem."""
    document = reply.json()
    return reply.status, document.get("code") or document["id"]


def enveloped(business: bytes) -> bytes:
    envelope = Envelope(
        cop_msg_id="6F9619FF-8B86-D011-B42D-00CF4FC964FF",
        sender_id=ANN.dxp_ids[0],
        receiver_ids=("DXPEDCCEB0000002",),
        creat_time="2026-11-11T00:00:00",
        msg_type="CEB311Message",
    )
    return wrap(business, envelope)


def test_a_signed_duplicate_is_recognised_before_it_is_verified(
    node: DoorNode, place: FolderPlace, tmp_path: Path
) -> None:
    signer = write_key(tmp_path)
    bare, inside, never = (sign(order(number), signer).body for number in ("O-1", "O-2", "O-3"))
    with closing(node.platform("ann")) as ann, closing(node.platform("bob")) as bob:
        first = [ann.submit(body) for body in (bare, enveloped(inside))]
        assert [reply.status for reply in first] == [202, 202]
        sound_keys_are_longer_now(node)

        for body, before in zip((bare, enveloped(inside)), first, strict=True):
            again = ann.submit(body)
            assert (again.status, again.body) == (200, before.body)
        assert told(ann.submit(never)) == (422, "invalid-signature"), "what was not taken is judged as ever"
        assert told(bob.submit(bare)) == (403, "not-your-identity"), "another learns nothing"
        assert told(ann.ask("POST", "/v1/messages?dry_run=true", bare)) == (422, "invalid-signature")
    uids = [reply.json()["id"] for reply in first]
    assert [line["message_id"] for line in node.events("message.duplicate")] == uids
    for number, body in enumerate((bare, never), start=1):
        place.lay(f"{number}.xml", body)
    assert verdict(place, "1.xml")["id"] == uids[0]
    assert verdict(place, "2.xml")["code"] == "invalid-signature"


def test_what_was_taken_stays_taken_when_its_sender_is_no_longer_registered_for_it(node: DoorNode) -> None:
    known, never = order("O-1"), order("O-2")

    def handed_in(body: bytes, key: str = "", by: Platform | None = None) -> tuple[int, str]:
        headers = {"Idempotency-Key": key} if key else {}
        return told((by or ann).ask("POST", "/v1/messages", body, headers))

    with closing(node.platform("ann")) as ann:
        status, uid = handed_in(known, "k-1")
        other_status, other_uid = handed_in(order("O-3"), "k-3")
        assert (status, other_status) == (202, 202)
        code_is_no_longer_registered(node)

        assert handed_in(known) == handed_in(known, "k-1") == handed_in(known, "k-2") == (200, uid)
        assert handed_in(known, "k-3") == (409, "idempotency-key-taken")
        assert handed_in(never) == handed_in(never, "k-1") == (403, "not-your-identity")
    assert other_uid != uid


def test_two_owners_of_the_same_bytes_have_a_message_each(node: DoorNode) -> None:
    """What one has taken is nothing to the other, before and after its own is taken."""
    body = order("O-1", cop_code=BOB.cop_codes[0], dxp_id=BOB.dxp_ids[0])
    with closing(node.platform("ann")) as ann, closing(node.platform("bob")) as bob:
        assert told(ann.submit(body))[0] == 403
        status, uid = told(bob.submit(body))
        assert status == 202
        assert told(ann.submit(body)) == (403, "not-your-identity")
        assert told(bob.submit(body)) == (200, uid)
