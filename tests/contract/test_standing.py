"""How a declaration stands, who it waits for, and answers that do not come: the same over every spool."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.config.gateway_toml import BusyHours, Config, PatienceRow
from gateway.observe.log import configure_logs, reset_logs
from gateway.receipts.filing import ReceiptFiler
from gateway.receipts.overdue import OverdueScan
from gateway.rules.loading import Rules
from gateway.rules.response_times import response_times_of
from gateway.views.api import StandingView
from gateway.views.standing import standings
from spool.entry import Fate
from spool.lifecycle import Event
from spool.store import Spool
from tests.contract.test_correlation import (
    BILL,
    BILL_STATUS,
    INVT_NO,
    ONE,
    PRE_NO,
    RELEASED,
    RULES_NOW,
    SAVED,
    accept,
    collect,
    filer,
)
from tests.documents import inventory, order, receipt, tax
from tests.spool_samples import START, Clock, new_message, settled
from tests.unit.test_new_messages import config

__all__ = ["filer"]

TEXT = "CEB621Message copNo=COP-1"
USUAL_S = 7200
"""On 11 November the first answer of customs may take four times half an hour."""
TWO_DAYS_S = 172_800


def stands(spool: Spool, clock: Clock, text: str = TEXT, rules: Rules = RULES_NOW) -> StandingView:
    (one,) = standings(spool, rules, "one", text, clock.now)
    return one


def who(spool: Spool, clock: Clock) -> str:
    return stands(spool, clock).waits_for.who


def with_patience(*rows: PatienceRow, hours: tuple[BusyHours, ...] | None = None) -> Rules:
    base = config()
    settings = Config(
        node=base.node,
        signing=base.signing,
        key=base.key,
        destination=base.destination,
        patience=rows,
        busy_hours=hours,
    )
    return replace(RULES_NOW, response_times=response_times_of(RULES_NOW.response_times, settings))


@pytest.mark.parametrize(
    ("status", "info"), [("-621004", "已经申报过，请勿重复申报"), ("100", "清单重复发送")]
)
def test_refusal_of_a_repeated_delivery_leaves_a_declaration_as_customs_decided(
    spool: Spool, filer: ReceiptFiler, clock: Clock, status: str, info: str
) -> None:
    accept(spool, inventory("COP-1"))
    told = {"copNo": "COP-1", "returnStatus": status, "returnInfo": info}
    collect(spool, filer, receipt("CEB622Message", {**told, "returnTime": "20250101000000000"}))
    assert stands(spool, clock).outcome == "open"
    collect(spool, filer, RELEASED)
    collect(spool, filer, receipt("CEB622Message", {**told, "returnTime": "20991231000000000"}))
    one = stands(spool, clock)
    assert (one.outcome, one.business, one.answers) == ("accepted", status, 3)


def test_each_state_of_a_declaration_is_said_by_itself(
    spool: Spool, filer: ReceiptFiler, clock: Clock
) -> None:
    uid = accept(spool, inventory("COP-1"), send=False)
    one = stands(spool, clock)
    assert (one.sent_at, one.transport, one.format, one.business, one.outcome) == (
        None, "unanswered", "unanswered", "", "open",
    )  # fmt: skip
    spool.settle(settled(spool.claim("one", "customs", limit=1, lease_s=60)))
    assert stands(spool, clock).sent_at == clock.now

    collect(spool, filer, SAVED)
    one = stands(spool, clock)
    assert (one.transport, one.format, one.business, one.outcome) == ("ok", "ok", "2", "open")
    assert (one.answers, one.delivered, one.acknowledged) == (1, 1, 0)

    collect(spool, filer, RELEASED, BILL)
    spool.acknowledge("one", spool.notices("one", after=0, limit=1)[0].cursor)
    one = stands(spool, clock)
    assert (one.business, one.outcome, one.answers, one.acknowledged) == ("800", "accepted", 3, 1)
    assert [(told.id, told.state) for told in one.messages] == [(uid, "sent")]


def test_the_status_of_a_tax_bill_is_not_that_of_the_list(
    spool: Spool, filer: ReceiptFiler, clock: Clock
) -> None:
    accept(spool, inventory("COP-1"))
    collect(spool, filer, RELEASED)
    assert stands(spool, clock).tax is None
    collect(spool, filer, BILL)
    one = stands(spool, clock)
    assert one.tax is not None
    assert (one.business, one.tax.message_type, one.tax.status) == ("800", "CEB816Message", "1")
    collect(spool, filer, BILL_STATUS)
    one = stands(spool, clock)
    assert one.tax is not None
    assert (one.business, one.tax.status, one.tax.meaning.zh) == ("800", "2", "税单已汇总")


def test_a_void_tax_bill_decides_nothing(spool: Spool, filer: ReceiptFiler, clock: Clock) -> None:
    accept(spool, inventory("COP-1"))
    collect(spool, filer, RELEASED.replace(b"<returnStatus>800<", b"<returnStatus>300<"))
    collect(spool, filer, tax("CEB818Message", returnTime="20250102030409000", status="3"))
    one = stands(spool, clock)
    assert one.tax is not None
    assert (one.tax.status, one.business, one.outcome) == ("3", "300", "open")


NO_PAYMENT = "清单新增申报成功;对应电商平台为[4400000002]订单号为[ORDER-1]支付信息不存在"


def test_bad_news_in_the_text_of_a_good_status_says_what_the_enterprise_has_to_do(
    spool: Spool, filer: ReceiptFiler, clock: Clock
) -> None:
    accept(spool, inventory("COP-1", "COP-2"))
    told = {"copNo": "COP-1", "preNo": PRE_NO, "returnStatus": "2", "returnTime": "20250102030405000"}
    collect(spool, filer, receipt("CEB622Message", {**told, "returnInfo": NO_PAYMENT}))
    one = stands(spool, clock)
    assert (one.business, one.outcome, one.waits_for.who) == ("2", "open", "enterprise")
    assert "WeChat Pay" in one.waits_for.why
    assert "支付企业重新推送" in one.waits_for.why_zh
    assert stands(spool, clock, "CEB621Message copNo=COP-2").waits_for.who == "customs"

    collect(
        spool,
        filer,
        receipt("CEB622Message", {**told, "returnStatus": "120", "returnTime": "20250102030406000"}),
    )
    assert stands(spool, clock).waits_for.who == "customs", "it has gone on"


def test_bad_news_of_a_list_that_is_decided_is_old(spool: Spool, filer: ReceiptFiler, clock: Clock) -> None:
    accept(spool, inventory("COP-1"))
    collect(spool, filer, RELEASED)
    told = {
        "copNo": "COP-1",
        "returnStatus": "2",
        "returnInfo": NO_PAYMENT,
        "returnTime": "20991231000000000",
    }
    collect(spool, filer, receipt("CEB622Message", told))
    assert (stands(spool, clock).outcome, stands(spool, clock).waits_for.who) == ("accepted", "enterprise")
    assert "to fetch" in stands(spool, clock).waits_for.why


def test_it_is_said_who_has_to_do_something_next(spool: Spool, filer: ReceiptFiler, clock: Clock) -> None:
    uid = accept(spool, inventory("COP-1"), send=False)
    assert who(spool, clock) == "gateway"
    later = clock.now + timedelta(seconds=5)
    for fate, expected in ((Fate.POSTPONED, "key"), (Fate.DEFERRED, "destination")):
        claimed = spool.claim("one", "customs", limit=1, lease_s=60)
        spool.settle(settled(claimed, fate, error="cannot now", next_at=later))
        assert who(spool, clock) == expected
        clock.move(10)
        later = clock.now + timedelta(seconds=5)
    spool.act(Event.HELD, [uid])
    assert who(spool, clock) == "operator"
    spool.act(Event.RELEASED, [uid])
    clock.move(10)
    spool.settle(settled(spool.claim("one", "customs", limit=1, lease_s=60)))
    assert who(spool, clock) == "customs"
    exchange = with_patience(PatienceRow(layer="transport", usual_s=60))
    assert stands(spool, clock, rules=exchange).waits_for.who == "exchange"
    collect(spool, filer, RELEASED)
    assert who(spool, clock) == "enterprise"
    spool.acknowledge("one", spool.notices("one", after=0, limit=1)[0].cursor)
    assert who(spool, clock) == "nobody"


def test_a_later_message_waits_for_the_earlier_and_is_not_answered_by_its_answers(
    spool: Spool, filer: ReceiptFiler, clock: Clock
) -> None:
    accept(spool, inventory("COP-1"))
    collect(spool, filer, RELEASED)
    clock.move(100)
    first = accept(spool, inventory("COP-1", app_type="2", app_time="20250102030406"), send=False)
    second = accept(spool, inventory("COP-1", app_type="3", app_time="20250102030407"), send=False)
    one = stands(spool, clock)
    assert (one.waits_for.who, one.business, one.outcome, one.answers) == ("message", "", "open", 1)
    assert first in one.waits_for.why
    assert [told.id for told in one.messages][:2] == [second, first]


def test_silence_is_overdue_after_the_time_that_is_usual_for_type_and_hour(
    spool: Spool, filer: ReceiptFiler, clock: Clock
) -> None:
    accept(spool, inventory("COP-1"))
    clock.move(USUAL_S - 1)
    assert stands(spool, clock).overdue_since is None
    clock.move(1)
    one = stands(spool, clock)
    assert one.overdue_since == START + timedelta(seconds=USUAL_S)
    assert [(late.layer, late.usual_s) for late in one.overdue] == [("business", USUAL_S)]

    collect(spool, filer, SAVED)
    assert stands(spool, clock).overdue == ()
    clock.move(TWO_DAYS_S)
    assert [late.layer for late in stands(spool, clock).overdue] == ["decision"]
    collect(spool, filer, RELEASED)
    assert stands(spool, clock).overdue == ()


def test_gateway_toml_says_what_is_usual_here(spool: Spool, clock: Clock) -> None:
    rules = with_patience(
        PatienceRow(layer="business", usual_s=60),
        PatienceRow(layer="decision", message_type="CEB621Message", usual_s=0),
        PatienceRow(layer="transport", message_type=("CEB621Message",), usual_s=10),
        hours=(BusyHours(from_="08:00", to="09:00", factor=3),),
    )
    accept(spool, inventory("COP-1"))  # at 08:00 in Beijing
    clock.move(10**6)
    found = {late.layer: late.usual_s for late in stands(spool, clock, rules=rules).overdue}
    assert found == {"transport": 30, "business": 180}


def told(captured: pytest.CaptureFixture[bytes]) -> list[tuple[str, str, int]]:
    lines = [json.loads(line) for line in captured.readouterr().out.splitlines()]
    return [
        (line["message_id"], line["layer"], line["declarations"])
        for line in lines
        if line["event"] == "declaration.overdue"
    ]


def test_each_declaration_is_told_once_for_each_layer(
    spool: Spool, filer: ReceiptFiler, clock: Clock, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    configure_logs("info")
    try:
        silent = accept(spool, inventory("COP-1", "COP-2"))
        answered = accept(spool, order("ORDER-1"))
        collect(spool, filer, SAVED)
        key = {"ebpCode": "4400000002", "ebcCode": "4400000003", "orderNo": "ORDER-1"}
        collect(spool, filer, receipt("CEB312Message", {**key, "returnStatus": "120"}))
        overdue_scan = OverdueScan(spool, RULES_NOW)
        clock.move(USUAL_S - 1)
        overdue_scan.look(clock.now)
        assert told(capfdbinary) == []
        clock.move(1)
        for _ in range(3):
            overdue_scan.look(clock.now)
        assert told(capfdbinary) == [(silent, "business", 1)]
        clock.move(TWO_DAYS_S)
        OverdueScan(spool, RULES_NOW).look(clock.now)  # after a restart
        assert told(capfdbinary) == [(silent, "decision", 2)]
        assert dict(spool.outstanding().overdue) == {"business": 1, "decision": 2}
        assert answered not in {one.uid for one in spool.overdue(limit=9)}

        released = {"copNo": "COP-2", "preNo": "P2", "invtNo": f"{INVT_NO[:-1]}2", "returnStatus": "800"}
        collect(spool, filer, receipt("CEB622Message", released))
        overdue_scan.take_back()
        assert [(one.identity.split("=")[-1], one.layer) for one in spool.overdue(limit=9)] == [
            ("COP-1", "decision")
        ]
    finally:
        reset_logs()


def test_what_was_declared_after_its_answer_came_is_not_overdue(
    spool: Spool, filer: ReceiptFiler, clock: Clock
) -> None:
    collect(spool, filer, RELEASED)
    clock.move(10)
    accept(spool, inventory("COP-1"), ONE)
    assert filer.rematch(spool.orphans()) == 1
    clock.move(10**6)
    assert OverdueScan(spool, RULES_NOW).look(clock.now) == 0
    assert stands(spool, clock).overdue == ()


def test_an_answer_is_delivered_once_every_channel_has_brought_it_home(
    spool: Spool, clock: Clock, filer: ReceiptFiler
) -> None:
    accept(spool, inventory("COP-1"))
    collect(spool, filer, SAVED)
    lanes = ("@home/one/erp", "@home/one/outbox")

    def delivered() -> tuple[int, int]:
        (one,) = standings(spool, RULES_NOW, "one", TEXT, clock.now, lanes=lanes)
        return one.answers, one.delivered

    (notice,) = spool.notices("one", after=0, limit=9)
    assert delivered() == (1, 0)
    for lane, left in zip(lanes, ((1, 0), (1, 1)), strict=True):
        uid = f"{lane}/{notice.cursor}"
        spool.put([new_message(uid, owner="one", destination=lane)])
        assert delivered() == (1, 0)
        spool.settle(settled(spool.claim("notify", lane, limit=9, lease_s=60)))
        assert delivered() == left
    assert stands(spool, clock).delivered == 1, "without channels it is at home in the stream"
