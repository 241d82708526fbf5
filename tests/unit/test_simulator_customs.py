import json
import random
from collections import Counter
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from lxml import etree

from gateway.receipts.opened import open_collected
from gateway.samples.compose import SINGLES_DAY, Style, compose
from gateway.simulator.customs import Customs
from gateway.simulator.ledger import Ledger
from gateway.simulator.outgoing import Outgoing
from gateway.simulator.script import Script
from gateway.xml.envelope import TransferHead, root_name, unwrap, wrap_transfer
from signing.xml.splice import sign
from tests.customs_side import (
    COP,
    DECLARATIONS,
    DXP,
    START,
    HandClock,
    bodies,
    envelope,
    faults,
    leaves,
    rules,
    sample,
    signed,
    signer,
)

LATER = START + 3600


def customs(script: Script | None = None, *, ledger: Ledger | None = None) -> Customs:
    return Customs(rules(), script or Script(), HandClock(), ledger=ledger)


def told(side: Customs) -> list[str]:
    return [body.status for body in bodies(side.due(LATER))]


def lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize("message_type", DECLARATIONS)
def test_signed_declaration_of_every_type_gets_its_receipts(message_type: str) -> None:
    side, composed = customs(), sample(message_type)

    side.receive(envelope(signed(composed)), "x.xml")

    sent = side.due(LATER)
    answered = rules().catalogue.types[message_type].answered_by
    assert {body.receipt for body in bodies(sent)} <= set(answered)
    assert [body.status for body in bodies(sent)][:2] == ["2", "3"]
    for body in bodies(sent):
        repeated = rules().catalogue.types[body.receipt].key
        assert {name: body.fields[name] for name in repeated} == {
            name: composed.keys[0][name] for name in repeated
        }


def test_every_answer_can_be_opened_and_all_but_observed_tax_bills_are_valid() -> None:
    side = customs(Script(close=1.0))
    side.receive(envelope(signed(sample("CEB621Message"))), "x")
    side.receive(envelope(sample("CEB311Message").body[:-9], "COP-2"), "y")
    side.receive(b"<broken", "z")

    sent = side.due(LATER)

    kinds = Counter(open_collected(one.body, rules().catalogue).message_type for one in sent)
    assert kinds == {
        "CEB622Message": 5,
        "CEB816Message": 1,
        "CEB818Message": 1,
        "CEB900Message": 1,
        "DxpRep": 1,
    }
    for one in sent:
        assert faults(one.body) == []
        if root_name(one.body) == "DxpMsg" and "CEB816" not in one.name:
            assert faults(unwrap(one.body).business) == []


def test_receipt_envelope_carries_the_root_guid_to_who_sent_the_declaration() -> None:
    side = customs()
    side.receive(envelope(sample().body, sender_id="DXPENT0000000077"), "x")

    sent = side.due(LATER)

    assert sent
    for one in sent:
        opened = unwrap(one.body)
        assert one.receiver_id == "DXPENT0000000077"
        assert opened.envelope.receiver_ids == ("DXPENT0000000077",)
        assert opened.envelope.cop_msg_id == etree.fromstring(opened.business).get("guid")
        assert one.name == f"CEB312Message_{opened.envelope.cop_msg_id}.xml"
    assert len({unwrap(one.body).envelope.cop_msg_id for one in sent}) == len(sent) == 3
    assert len({body.fields["guid"] for body in bodies(sent)}) == 1


def test_transfer_node_is_answered_in_its_own_kind_of_envelope() -> None:
    head = TransferHead(
        msg_id="4600000220241111000001" + "0000000001", sub_msg_id="", send_time="2024-11-11T00:00:01",
        end_node="00000002", sta_node="46000002",
    )  # fmt: skip
    side = customs()
    side.receive(wrap_transfer(envelope(sample().body), head), "x")

    sent = side.due(LATER)

    assert {root_name(one.body) for one in sent} == {"DxpMsgSv"}
    transfers = [unwrap(one.body).transfer for one in sent]
    assert {transfer.end_node for transfer in transfers if transfer} == {"46000002"}
    assert len({transfer.msg_id for transfer in transfers if transfer}) == 3


def test_exchange_that_fails_asks_for_the_same_again_and_then_takes_it(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    side = customs(Script(bounce=1.0, bounces=2), ledger=ledger)
    message = envelope(signed(sample()))

    for _ in range(2):
        side.receive(message, "x")
        (asked,) = side.due(LATER)
        (answer,) = open_collected(asked.body, rules().catalogue).answers
        assert (answer.message_type, answer.cop_msg_id) == ("DxpRep", "COP-1")
        assert rules().codes.dxp(answer.status).retry == "retry"
    side.receive(message, "x")
    assert told(side) == ["2", "3", "120"]
    side.receive(message, "x")
    assert told(side) == [], "known from now on"

    ledger.close()
    seen = [(line["verdict"], line["repeat"]) for line in lines(tmp_path / "ledger.jsonl")]
    assert seen == [("bounced", False), ("bounced", True), ("processed", True), ("processed", True)]


def test_nothing_is_sent_before_its_time() -> None:
    side = customs(Script(delay_s=(10.0, 20.0)))
    side.receive(envelope(sample().body), "x")

    assert side.pending() == 3
    first = side.next_due()
    assert first is not None
    assert START + 10 <= first <= START + 20
    assert side.due(first - 0.001) == []
    assert len(side.due(first)) == 1
    assert side.pending() == 2


def test_same_message_again_is_answered_once() -> None:
    side = customs()
    for _ in range(3):
        side.receive(envelope(sample().body), "x")

    assert told(side) == ["2", "3", "120"]


@pytest.mark.parametrize("suite", ["sm2-sm3", "sm2-sha1"])
def test_same_message_with_another_sm2_signature_is_the_same_message(suite: str) -> None:
    side, composed = customs(), sample("CEB621Message")
    for body in {signed(composed, suite) for _ in range(3)}:
        side.receive(envelope(body), "x")

    assert told(side)[:2] == ["2", "3"]
    assert len(told(side)) == 0


def test_another_message_under_a_known_cop_msg_id_is_a_platform_error() -> None:
    side = customs()
    side.receive(envelope(sample(seed=1).body), "x")
    side.due(LATER)

    side.receive(envelope(sample(seed=2).body), "x")

    (answer,) = side.due(LATER)
    assert leaves(etree.fromstring(answer.body))["ResponseCode"] == "0999"


def test_the_same_cop_msg_id_of_another_sender_is_another_message() -> None:
    side = customs()
    side.receive(envelope(signed(sample(seed=1))), "x")
    side.receive(envelope(signed(sample(seed=2)), sender_id="DXPENT0000000002"), "y")
    sent = side.due(LATER)
    assert {one.receiver_id for one in sent} == {DXP, "DXPENT0000000002"}
    assert {body.receipt for body in bodies(sent)} == {"CEB312Message"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "0001"),
        (b"not xml", "0001"),
        (b"\xff\xfe\x00", "0001"),
        (b"<!DOCTYPE a []><a/>", "0001"),
        (b"<a/>", "0002"),
        (envelope(b"x").replace(b"eA==", b"e?=="), "0002"),
        (envelope(b"x").replace(b"<SenderId>", b"<SenderId>0123456789ABCDEF"), "0002"),
    ],
)
def test_broken_envelope_is_answered_by_the_platform(body: bytes, code: str) -> None:
    side = customs()

    side.receive(body, "x")

    (answer,) = side.due(LATER)
    assert root_name(answer.body) == "DxpRep"
    assert leaves(etree.fromstring(answer.body))["ResponseCode"] == code
    assert faults(answer.body) == []


@pytest.mark.parametrize(
    ("business", "named"),
    [
        (b"\x00\x01 no xml ]]> \xff", "Unknown"),
        (b"<x/>", "Unknown"),
        (b'<?xml version="1.0" encoding="EBCDIC"?><CEB311Message/>', "CEB311Message"),
        (sample("CEB621Message").body, "CEB621Message"),
        (sample(bodies=101, items=1).body, "CEB311Message"),
        (sample(style=Style(leave_out=frozenset({"orderNo"}))).body, "CEB311Message"),
    ],
)
def test_what_fails_the_schema_is_answered_by_the_format_check(business: bytes, named: str) -> None:
    side = customs()

    side.receive(envelope(business, "COP-9"), "x")

    (answer,) = bodies(side.due(LATER))
    assert answer.receipt == "CEB900Message"
    assert (answer.fields["oriCopMsgId"], answer.fields["oriMessageType"]) == ("COP-9", named)
    assert answer.fields["returnStatus"].startswith("-")


def test_format_check_returns_the_original() -> None:
    side, business = customs(), sample("CEB621Message", style=Style(encoding="GB18030")).body

    side.receive(envelope(business), "x")

    (answer,) = bodies(side.due(LATER))
    assert answer.fields["oriBizMessage"] == business.decode("gb18030")


@pytest.mark.parametrize(
    ("message_type", "code"),
    [("CEB621Message", "-621028"), ("CEB623Message", "-623029"), ("CEB311Message", "-301020")],
)
@pytest.mark.parametrize("suite", ["rsa-sha1", "sm2-sm3", "sm2-sha1"])
def test_changed_after_signing_is_refused(message_type: str, code: str, suite: str) -> None:
    side, body = customs(), signed(sample(message_type), suite)

    side.receive(envelope(body.replace(b"<ceb:appType>1<", b"<ceb:appType>2<")), "x")

    assert told(side) == [code]


@pytest.mark.parametrize("suite", ["rsa-sha1", "sm2-sm3", "sm2-sha1"])
def test_forged_signature_value_is_refused(suite: str) -> None:
    side, body = customs(), signed(sample("CEB621Message"), suite)
    start = body.index(b"<ds:SignatureValue>") + 19
    forged = body[:start] + (b"B" if body[start : start + 1] == b"A" else b"A") + body[start + 1 :]

    side.receive(envelope(forged), "x")

    assert told(side) == ["-621029"]


def test_older_version_after_a_newer_one_is_not_processed() -> None:
    side, key = customs(), {"orderNo": "SHARED"}
    newer, older = SINGLES_DAY + timedelta(seconds=5), SINGLES_DAY
    side.receive(envelope(sample(overrides=key, app_time=newer).body, "COP-1"), "x")
    side.due(LATER)

    side.receive(envelope(sample(overrides=key, app_time=older).body, "COP-2"), "x")

    assert told(side) == ["-301014"]


def test_duplicate_key_is_refused_only_if_the_script_says_so() -> None:
    for script, expected in ((Script(), ["2", "3", "120"]), (Script(refuse_duplicates=True), ["-301010"])):
        side = customs(script)
        side.receive(envelope(sample(overrides={"orderNo": "SHARED"}).body, "COP-1"), "x")
        side.due(LATER)
        side.receive(envelope(sample(overrides={"orderNo": "SHARED"}, seed=2).body, "COP-2"), "x")
        assert told(side) == expected


def test_batches_mix_declarations_that_share_a_receiver_and_no_others() -> None:
    side = customs(Script(batch=100))
    rng = random.Random(4)
    for number in range(40):
        composed = compose("CEB311Message", cop_code=f"990196000{number % 3}", dxp_id=DXP, rng=rng)
        sender = DXP if number % 4 else "DXPENT0000000002"
        side.receive(envelope(composed.body, f"COP-{number}", sender_id=sender), "x")

    sent = side.due(LATER)

    assert sorted(len(etree.fromstring(unwrap(one.body).business)) for one in sent) == [30, 90]
    largest = max(sent, key=lambda one: len(one.body))
    assert len({body.fields["ebcCode"] for body in bodies([largest])}) == 3


def test_duplicates_and_reordering_lose_nothing() -> None:
    plain = play(Script(seed=9))
    wild = play(Script(seed=9, duplicates=0.5, reorder=0.5, batch=7))

    assert set(wild) == set(plain)
    assert len(wild) > len(plain)
    assert list(dict.fromkeys(wild)) != plain


def play(script: Script) -> list[tuple[str, str]]:
    """Bodies of 30 inventories as (copNo, status), in the order in which they went out."""
    side, rng = customs(script), random.Random(6)
    for number in range(30):
        composed = compose("CEB603Message", cop_code=COP, dxp_id=DXP, rng=rng)
        side.receive(envelope(signed(composed), f"COP-{number}"), "x")
    return [(body.fields["copNo"], body.status) for body in bodies(side.due(LATER))]


def test_same_script_and_arrivals_give_the_same_bytes() -> None:
    def sent() -> list[Outgoing]:
        side = customs(Script(seed=11, duplicates=0.3, reorder=0.3, batch=5, close=0.5))
        for number in range(10):
            side.receive(envelope(sample("CEB603Message", seed=number).body, f"COP-{number}"), "x")
        return side.due(LATER)

    assert sent() == sent()


def test_silence_platform_error_and_format_error_by_script() -> None:
    expected = {"silence": [], "dxprep": ["DxpRep"], "ceb900": ["DxpMsg"]}
    for switch, roots in expected.items():
        side = customs(Script(**{switch: 1.0}))  # type: ignore[arg-type]  # a switch by name
        side.receive(envelope(sample().body), "x")
        assert [root_name(one.body) for one in side.due(LATER)] == roots


def test_unmatched_receipt_is_about_a_key_nobody_declared() -> None:
    side, composed = customs(Script(unmatched=1.0)), sample("CEB507Message")
    side.receive(envelope(composed.body), "x")

    sent = bodies(side.due(LATER))

    strangers = [body for body in sent if body.fields["copNo"] != composed.keys[0]["copNo"]]
    assert len(strangers) == 1
    assert len(sent) == 4


def test_garbage_is_no_xml() -> None:
    side = customs(Script(garbage=1.0))
    side.receive(envelope(sample().body), "x")

    with pytest.raises(etree.XMLSyntaxError):
        etree.fromstring(side.due(START)[0].body)


def test_ledger_tells_what_arrived(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "arrivals")
    side, composed = customs(ledger=ledger), sample("CEB621Message", bodies=2)
    business = sign(composed.body, signer()).body
    side.receive(envelope(business), "x")
    side.receive(envelope(business), "x")
    side.receive(envelope(composed.body, "COP-2"), "x")
    side.receive(b"?", "x")

    first, again, unsigned, broken = lines(tmp_path / "arrivals")

    assert first == {
        "cop_msg_id": "COP-1",
        "sender_id": DXP,
        "message_type": "CEB621Message",
        "cop_code": COP,
        "envelope_sha256": sha256(envelope(business)).hexdigest(),
        "business_sha256": sha256(business).hexdigest(),
        "original_sha256": sha256(composed.body).hexdigest(),
        "keys": [dict(key) for key in composed.keys],
        "verdict": "processed",
        "repeat": False,
    }
    assert again == {**first, "repeat": True}
    assert (unsigned["verdict"], unsigned["business_sha256"]) == ("bad_format", unsigned["original_sha256"])
    assert broken["verdict"] == "bad_envelope"
    ledger.close()


def test_ledger_tells_who_should_have_got_what(tmp_path: Path) -> None:
    ledger = Ledger(receipts=tmp_path / "said")
    side, composed = customs(Script(batch=3), ledger=ledger), sample()
    side.receive(envelope(composed.body), "x")
    (one,) = side.due(LATER)

    said = lines(tmp_path / "said")

    assert [(line["receipt"], line["status"], line["owner"]) for line in said] == [
        ("CEB312Message", status, COP) for status in ("2", "3", "120")
    ]
    assert {json.dumps(line["key"]) for line in said} == {json.dumps(dict(composed.keys[0]))}
    assert {line["cop_msg_id"] for line in said} == {unwrap(one.body).envelope.cop_msg_id}
    ledger.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_arrival_that_cannot_be_recorded_has_not_happened(tmp_path: Path) -> None:
    (tmp_path / "ledger").symlink_to("/dev/full")
    ledger = Ledger(tmp_path / "ledger")
    side = customs(ledger=ledger)

    with pytest.raises(OSError, match="No space left"):
        side.receive(envelope(sample().body), "x")

    assert side.pending() == 0
    ledger.close()
