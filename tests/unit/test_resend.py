"""Which answers ask for another attempt, of which entry, and when it goes."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec import structs

from gateway.config.gateway_toml import Config, Destination, Node, Retry, Signing
from gateway.config.keys import KeyConfig
from gateway.config.links import Folder
from gateway.facts import WayFacts, of_way
from gateway.model import Answer, Layer
from gateway.observe.log import configure_logs, reset_logs
from gateway.sending.resend import ResendPolicy, log_ended
from spool.entry import Bounce, Ended, Latest, Travelled
from spool.lifecycle import State
from tests.shipped_rules import shipped
from tests.spool_samples import START

FOLDER = Folder(send_dir=Path("o"), receive_dir=Path("i"))
RETRY = Retry(first_s=8.0, ceiling_s=60.0, attempts=5, max_age_s=50.0)
ENTRY = Latest(entry=7, claim=3, destination="port", attempts=1, facts=b"")
SENT = Travelled(
    uid="A", owner="ann", kind="CEB311Message", accepted_at=START, declarations=(), entries=(ENTRY,)
)
DXPREP = Answer(
    layer=Layer.TRANSPORT, message_type="DxpRep", index=0, status="3002", info="free text", time="20261111",
    key={}, numbers={}, codes={}, cop_msg_id="X", receiver_ids=("R1",),
)  # fmt: skip


@pytest.fixture(scope="module")
def resend_policy() -> ResendPolicy:
    config = Config(
        node=Node(name="one", state_dir=Path("state"), dxp_id="DXPNODE000000001"),
        signing=Signing(default_key="node"),
        key=(KeyConfig(name="node", kind="pem", file=Path("node.key")),),
        destination=(
            Destination(name="port", folder=FOLDER, retry=RETRY),
            Destination(name="quiet", folder=FOLDER, retry_on_answer=False),
        ),
    )
    return ResendPolicy(
        config, shipped().codes, chance=lambda: 0.5, clock=lambda: START + timedelta(seconds=100)
    )


def judge(
    resend_policy: ResendPolicy, answer: Answer = DXPREP, travelled: Travelled = SENT, origin: str = "port"
) -> Bounce | None:
    return resend_policy.judge(answer, travelled, origin=origin, receipt=12)


def test_system_error_of_the_exchange_asks_for_the_next_attempt_by_the_destinations_back_off(
    resend_policy: ResendPolicy,
) -> None:
    got = judge(resend_policy)

    assert got is not None
    assert (got.entry, got.claim) == (7, 3)
    assert got.next_at == START + timedelta(seconds=100 + 8), "the second failure: half of twice 8 s"
    assert got.reason == "DxpRep 3002: 远程连接错误 / remote connection error, receipt 12"


@pytest.mark.parametrize("status", ["3001", "3003", "3999", "3500"])
def test_every_error_of_its_class_asks_for_it(resend_policy: ResendPolicy, status: str) -> None:
    assert judge(resend_policy, structs.replace(DXPREP, status=status)) is not None


@pytest.mark.parametrize("status", ["0001", "1001", "2001", "2002", "4711", "", "x"])
def test_what_has_to_be_mended_first_or_says_nothing_changes_nothing(
    resend_policy: ResendPolicy, status: str
) -> None:
    assert judge(resend_policy, structs.replace(DXPREP, status=status)) is None


def test_receipt_of_customs_changes_nothing_whatever_its_code(resend_policy: ResendPolicy) -> None:
    receipt = structs.replace(DXPREP, layer=Layer.BUSINESS, message_type="CEB312Message", status="-301013")
    assert judge(resend_policy, receipt) is None


def test_format_error_changes_nothing(resend_policy: ResendPolicy) -> None:
    assert (
        judge(resend_policy, structs.replace(DXPREP, layer=Layer.FORMAT, message_type="CEB900Message"))
        is None
    )


@pytest.mark.parametrize(
    ("attempts", "age_s"), [(4, 0), (3, 60)], ids=["attempts used up", "older than max_age_s"]
)
def test_bounds_of_the_destination_end_it(resend_policy: ResendPolicy, attempts: int, age_s: int) -> None:
    entry = replace(ENTRY, attempts=attempts)
    got = judge(
        resend_policy, travelled=replace(SENT, entries=(entry,), accepted_at=START - timedelta(seconds=age_s))
    )

    assert got is not None
    assert got.next_at is None
    assert got.reason.startswith(f"no attempt is left after {attempts + 1}: DxpRep 3002")


def test_clock_that_was_wrong_when_it_was_accepted_ends_nothing(resend_policy: ResendPolicy) -> None:
    got = judge(resend_policy, travelled=replace(SENT, accepted_at=START - timedelta(days=10)))

    assert got is not None
    assert got.next_at is not None


def test_answer_speaks_of_the_destination_it_came_from_alone(resend_policy: ResendPolicy) -> None:
    other = replace(ENTRY, entry=8, destination="elsewhere")
    got = judge(resend_policy, travelled=replace(SENT, entries=(other, ENTRY)))
    assert got is not None
    assert got.entry == 7
    assert judge(resend_policy, travelled=replace(SENT, entries=(other,))) is None
    assert judge(resend_policy, origin="elsewhere") is None


def test_destination_that_does_not_want_it_is_left_alone(resend_policy: ResendPolicy) -> None:
    entry = replace(ENTRY, destination="quiet")
    assert judge(resend_policy, travelled=replace(SENT, entries=(entry,)), origin="quiet") is None


def test_of_several_copies_the_one_whose_receiver_is_named_is_meant(resend_policy: ResendPolicy) -> None:
    copies = tuple(
        replace(
            ENTRY, entry=number, facts=of_way(WayFacts(receivers=(f"R{number}",), sub_msg_id=str(number)))
        )
        for number in (1, 2)
    )
    got = judge(resend_policy, structs.replace(DXPREP, receiver_ids=("R2",)), replace(SENT, entries=copies))
    assert got is not None
    assert got.entry == 2
    assert (
        judge(resend_policy, structs.replace(DXPREP, receiver_ids=()), replace(SENT, entries=copies)) is None
    )


def test_what_came_back_is_logged_with_its_next_attempt_and_what_died_as_an_error(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    back = Ended(
        uid="A", owner="ann", kind="CEB311Message", destination="port", cop_msg_id="X", attempts=2,
        state=State.READY, due_at=START, why="DxpRep 3002",
    )  # fmt: skip
    home = replace(back, destination="@home/ann/hook", state=State.DEAD)
    configure_logs("info")
    try:
        log_ended([back, replace(back, state=State.DEAD), home])
    finally:
        reset_logs()
    first, second, third = (json.loads(line) for line in capfdbinary.readouterr().out.splitlines())
    assert (first["event"], first["next_attempt_at"], first["attempt"]) == (
        "entry.bounced", START.isoformat(), 2,
    )  # fmt: skip
    assert (second["event"], second["level"], second["error"]) == ("entry.dead", "error", "DxpRep 3002")
    assert (third["event"], third["destination"]) == ("notice.dead", home.destination)
