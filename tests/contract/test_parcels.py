"""Who is told what about the documents of a parcel, and what the scan reports: the same over every spool.

A longer run: `PARCEL_PROBES=10000 .venv/bin/python -m pytest tests/contract/test_parcels.py -k probes`.
"""

import json
import os
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from gateway.config.gateway_toml import Matching
from gateway.observe.log import configure_logs, reset_logs
from gateway.rules.loading import Rules
from gateway.upkeep.parcel_scan import ParcelScan
from spool.postgres import PostgresSpool
from spool.sqlite import SqliteSpool
from spool.store import Spool
from tests.backends import BACKENDS
from tests.contract.test_correlation import RULES_NOW
from tests.parcel_documents import (
    ADDRESS,
    CARRIER,
    IDENTITY,
    NAME,
    PLATFORM,
    TELEPHONE,
    inventory,
    order,
    payment,
    waybill,
)
from tests.parcel_node import CODES, ParcelNode, present, rules_broken
from tests.spool_samples import Clock

PROBES = int(os.environ.get("PARCEL_PROBES", "300"))


@pytest.fixture(scope="module")
def rules() -> Rules:
    return RULES_NOW


@pytest.fixture
def node(spool: Spool, clock: Clock, rules: Rules) -> ParcelNode:
    return ParcelNode(spool=spool, rules=rules, clock=clock)


DOCUMENTS: tuple[tuple[str, Callable[..., bytes]], ...] = (
    ("platform", order), ("payer", payment), ("carrier", waybill), ("broker", inventory),
)  # fmt: skip


def test_all_four_enterprises_see_that_their_documents_agree(node: ParcelNode, clock: Clock) -> None:
    for owner, write in DOCUMENTS:
        node.accept(owner, write)
        clock.move(10)
    for owner, number in (
        ("platform", {"order_no": "ORDER-1"}),
        ("payer", {"order_no": "ORDER-1"}),
        ("carrier", {"waybill_no": "WB-1"}),
        ("broker", {"order_no": "ORDER-1"}),
        ("broker", {"waybill_no": "WB-1"}),
    ):
        view = node.asked(owner, **number)
        assert len(view.documents) == 1
        assert rules_broken(view) == []
        assert all(present(view)[0].values())
        assert all(found.match for one in view.documents for found in one.compared.matches)
    (own,) = node.asked("platform", order_no="ORDER-1").documents
    assert {one.kind: one.age_s for one in own.compared.others} == {
        "payment": 30, "waybill": 20, "inventory": 10,
    }  # fmt: skip
    assert (own.kind, own.type, own.key["orderNo"]) == ("order", "CEB311Message", "ORDER-1")
    assert own.standing is not None


def test_each_side_is_told_about_its_own_field_and_who_has_to_act(node: ParcelNode) -> None:
    node.accept("platform", order)
    node.accept("payer", payment, amountPaid="100", payerName="李四")
    assert rules_broken(node.asked("platform", order_no="ORDER-1")) == [
        ("order", "parcel-amount", "acturalPaid"),
        ("order", "parcel-payer-name", "buyerName"),
    ]
    view = node.asked("payer", order_no="ORDER-1")
    assert rules_broken(view) == [
        ("payment", "parcel-amount", "amountPaid"),
        ("payment", "parcel-payer-name", "payerName"),
    ]
    assert [(said.code, said.who) for said in view.documents[0].compared.matching] == [
        ("1332", "payment_firm"),
        ("1327", "payment_firm"),
    ]


def test_what_an_inventory_needs_is_missing_with_its_age(node: ParcelNode, clock: Clock) -> None:
    node.accept("broker", inventory)
    clock.move(120)
    view = node.asked("broker", order_no="ORDER-1")
    assert rules_broken(view) == [
        ("inventory", "parcel-order-missing", "orderNo"),
        ("inventory", "parcel-payment-missing", "orderNo"),
        ("inventory", "parcel-waybill-missing", "logisticsNo"),
    ]
    assert {one.age_s for one in view.documents[0].compared.others} == {120}
    node.accept("platform", order)
    assert rules_broken(node.asked("broker", order_no="ORDER-1"))[0][1] == "parcel-payment-missing"


def test_a_corrected_version_takes_the_place_of_the_one_before(node: ParcelNode) -> None:
    node.accept("platform", order)
    node.accept("payer", payment, amountPaid="100")
    assert rules_broken(node.asked("platform", order_no="ORDER-1"))
    node.accept("payer", payment, appType="2", appTime="20261111090000")
    assert rules_broken(node.asked("platform", order_no="ORDER-1")) == []


STRANGERS: tuple[tuple[str, Callable[..., bytes], dict[str, str]], ...] = (
    ("payment with a code of its own", payment, {"payCode": "4400000066", "payTransactionId": "P-9", "payerName": "李四", "payerIdNumber": "110101198502021234"}),
    ("inventory of another buyer", inventory, {"agentCode": "4400000066", "copNo": "S-1", "buyerName": "李四", "buyerIdNumber": "110101198502021234", "buyerTelephone": "13000000001", "consigneeAddress": "别处1号"}),
    ("order of another shop", order, {"ebpCode": "4400000066", "ebcCode": "4400000066", "buyerName": "李四", "buyerIdNumber": "110101198502021234"}),
)  # fmt: skip


@pytest.mark.parametrize(("write", "said"), [one[1:] for one in STRANGERS], ids=[one[0] for one in STRANGERS])
def test_a_stranger_who_guesses_numbers_learns_nothing(
    write: Callable[..., bytes], said: dict[str, str], clock: Clock, rules: Rules, tmp_path: Path
) -> None:
    answers = []
    for name, there in (("empty", ()), ("full", DOCUMENTS)):
        with closing(BACKENDS["sqlite"](tmp_path / name, clock)) as spool:
            node = ParcelNode(spool=spool, rules=rules, clock=clock)
            for owner, document in there:
                node.accept(owner, document)
            node.accept("stranger", write, **said)
            view = node.asked("stranger", order_no="ORDER-1")
            answers.append([(one.kind, msgspec.to_builtins(one.compared)) for one in view.documents])
            assert all(rules_broken(node.asked(owner, order_no="ORDER-1")) == [] for owner, _ in there)
    assert len(answers[0]) == 1
    assert answers[0] == answers[1]


def test_comparing_too_often_under_one_number_leaves_documents_of_others_out(
    node: ParcelNode, clock: Clock
) -> None:
    node.accept("platform", order)
    for number in range(5):
        node.accept("payer", payment, appType="2", appTime=f"202611110900{number:02}", amountPaid=str(number))
    (own,) = node.asked("payer", order_no="ORDER-1").documents
    assert not own.compared.limited
    assert own.compared.matches

    node.accept("payer", payment, appType="2", appTime="20261111090009", amountPaid="9")
    (own,) = node.asked("payer", order_no="ORDER-1").documents
    assert own.compared.limited
    assert (own.compared.matches, own.compared.matching, own.compared.others) == ((), (), ())
    assert rules_broken(node.asked("platform", order_no="ORDER-1")) == [
        ("order", "parcel-amount", "acturalPaid")
    ]

    clock.move(24 * 3600 + 1)
    (own,) = node.asked("payer", order_no="ORDER-1").documents
    assert not own.compared.limited


NOBODYS_PLATFORM, NOBODYS_CARRIER = "4409000001", "4409000003"
"""Whom anybody may name."""
SOMEBODY: dict[str, str] = {"buyerName": "李四", "buyerIdNumber": "110101198502021234", "buyerTelephone": "13000000001", "consigneeAddress": "别处1号"}  # fmt: skip


def _list(node: ParcelNode, owner: str, order_no: str, waybill_no: str, **said: str) -> None:
    """Hand in an inventory that connects an order and a waybill of anybody."""
    usual = {
        "copNo": f"{owner[:2]}{order_no[-6:]}{waybill_no[-8:]}", "agentCode": CODES[owner], "ebpCode": NOBODYS_PLATFORM,
        "logisticsCode": NOBODYS_CARRIER,
    }  # fmt: skip
    node.accept(owner, inventory, **{**usual, "orderNo": order_no, "logisticsNo": waybill_no, **said})


def _order(node: ParcelNode, owner: str, order_no: str, **said: str) -> None:
    usual = {"orderNo": order_no, "ebpCode": NOBODYS_PLATFORM, "ebcCode": CODES[owner]}
    node.accept(owner, order, **{**usual, **said})


def _waybill(node: ParcelNode, owner: str, waybill_no: str, **said: str) -> None:
    node.accept(owner, waybill, **{"logisticsNo": waybill_no, "logisticsCode": NOBODYS_CARRIER, **said})


def _by_a_deleted_inventory(node: ParcelNode) -> None:
    _order(node, "stranger", "ORDER-1")
    _list(node, "stranger", "ORDER-1", "WB-1", appType="3")
    _waybill(node, "stranger", "WB-1")


def _by_other_orders_and_waybills(node: ParcelNode) -> None:
    _order(node, "stranger", "ORDER-1")
    for order_no, waybill_no in (("ORDER-1", "WB-2"), ("ORDER-2", "WB-2"), ("ORDER-2", "WB-1")):
        _list(node, "stranger", order_no, waybill_no)
    for waybill_no in ("WB-2", "WB-1"):
        _waybill(node, "stranger", waybill_no)


@pytest.mark.parametrize("prepare", [_by_a_deleted_inventory, _by_other_orders_and_waybills])
def test_an_inventory_that_one_is_not_told_about_connects_nothing(
    prepare: Callable[[ParcelNode], None], node: ParcelNode, clock: Clock
) -> None:
    """Else whoever has guessed both numbers would learn that they are of one parcel."""
    prepare(node)
    before = node.asked("stranger", order_no="ORDER-1")
    _list(node, "broker", "ORDER-1", "WB-1", **SOMEBODY)
    assert node.asked("stranger", order_no="ORDER-1") == before


def test_who_floods_a_number_with_inventories_disconnects_nothing_of_others(node: ParcelNode) -> None:
    _order(node, "platform", "ORDER-1")
    _list(node, "broker", "ORDER-1", "WB-1")
    _waybill(node, "carrier", "WB-1")
    before = present(node.asked("platform", order_no="ORDER-1"))
    assert before == [{"payment": False, "waybill": True, "inventory": True}]
    for number in range(15):
        for owner in ("stranger", "payer"):
            _list(node, owner, "ORDER-1", f"OTHER-{number}", **SOMEBODY)
    assert present(node.asked("platform", order_no="ORDER-1")) == before


def _pays(node: ParcelNode, place: int, value: str) -> dict[str, str]:
    node.accept("payer", payment, payTransactionId=f"PAY-{place}", payerName=value)
    return {"order_no": "ORDER-1"}


def _orders_by_own_lists(node: ParcelNode, place: int, value: str) -> dict[str, str]:
    _order(node, "payer", f"NEW-{place}", consignee=value)
    _list(node, "payer", f"NEW-{place}", "WB-1", logisticsCode=CARRIER)
    return {"order_no": f"NEW-{place}"}


def _orders_by_lists_of_an_accomplice(node: ParcelNode, place: int, value: str) -> dict[str, str]:
    _order(node, "payer", f"NEW-{place}", consignee=value)
    _list(node, "stranger", f"NEW-{place}", "WB-1", logisticsCode=CARRIER)
    return {"order_no": f"NEW-{place}"}


def _carries_by_own_lists(node: ParcelNode, place: int, value: str) -> dict[str, str]:
    _waybill(node, "payer", f"NEW-{place}", orderNo=f"NEW-{place}", consignee=value)
    _list(node, "payer", "ORDER-1", f"NEW-{place}", ebpCode=PLATFORM)
    return {"waybill_no": f"NEW-{place}"}


@pytest.mark.parametrize(
    ("attempt", "rule"),
    [
        (_pays, "parcel-payer-name"),
        (_orders_by_own_lists, "parcel-consignee"),
        (_orders_by_lists_of_an_accomplice, "parcel-consignee"),
        (_carries_by_own_lists, "parcel-consignee"),
    ],
)
def test_five_values_of_another_are_tried_in_a_day_whatever_new_numbers_are_on_the_own_side(
    attempt: Callable[[ParcelNode, int, str], dict[str, str]], rule: str, node: ParcelNode, clock: Clock
) -> None:
    node.accept("platform", order)
    node.accept("carrier", waybill)
    told = set()
    for place in range(12):
        number = attempt(node, place, f"试{place}")
        (own, *_) = [one for one in node.asked("payer", **number).documents if one.kind != "inventory"]
        told |= {place for found in own.compared.matches if found.rule == rule}
    assert told == set(range(5))

    clock.move(24 * 3600 + 1)
    number = attempt(node, 12, NAME)
    (own, *_) = [one for one in node.asked("payer", **number).documents if one.kind != "inventory"]
    assert [found.match for found in own.compared.matches if found.rule == rule] == [True]


def test_documents_of_one_enterprise_are_compared_however_often(node: ParcelNode) -> None:
    both = {"payCode": "4400000002"}
    node.accept("platform", order, **both)
    for number in range(9):
        node.accept("platform", payment, appTime=f"202611110900{number:02}", amountPaid=str(number), **both)
    assert ("order", "parcel-amount", "acturalPaid") in rules_broken(
        node.asked("platform", order_no="ORDER-1")
    )


def test_tolerances_are_configured(spool: Spool, clock: Clock, rules: Rules) -> None:
    node = ParcelNode(spool=spool, rules=rules, clock=clock, settings=Matching(amount_tolerance=1))
    node.accept("platform", order)
    node.accept("payer", payment, amountPaid="110.1")
    assert rules_broken(node.asked("platform", order_no="ORDER-1")) == []


def test_probes_show_no_value_of_another_enterprise(clock: Clock, rules: Rules, tmp_path: Path) -> None:
    """Everybody else's answers are the same whatever the victim's documents say."""
    chance = random.Random(1)
    with closing(BACKENDS["sqlite"](tmp_path / "one", clock)) as spool:
        node = ParcelNode(spool=spool, rules=rules, clock=clock)
        secrets = []
        for number in range(40):
            amount, name = f"{1000 + 7 * number}.37", f"被害人{number}"
            secrets += [amount, name]
            node.accept(
                "platform", order, orderNo=f"O-{number}", acturalPaid=amount, buyerName=name, consignee=name
            )
        said = []
        for probe in range(PROBES):
            clock.move(1)
            probers: list[tuple[str, Callable[..., bytes], dict[str, str]]] = [
                ("payer", payment, {"payTransactionId": f"T-{probe}"}),
                ("broker", inventory, {"copNo": f"C-{probe}"}),
                ("stranger", payment, {"payTransactionId": f"T-{probe}", "payCode": "4400000066"}),
            ]
            owner, write, extra = chance.choice(probers)
            order_no = f"O-{chance.randrange(40)}"
            node.accept(owner, write, orderNo=order_no, **extra)
            view = node.asked(owner, order_no=order_no)
            said.append(msgspec.json.encode([one.compared for one in view.documents]).decode())
            assert all(set(one.key.values()).isdisjoint(secrets) for one in view.documents)
    told = "\n".join(said)
    assert not [secret for secret in (*secrets, NAME, IDENTITY, TELEPHONE, ADDRESS) if secret in told]
    assert told.count('"limited":true') > PROBES // 5


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], list[tuple[str, list[str]]]]]:
    configure_logs("info")

    def lines() -> list[tuple[str, list[str]]]:
        found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return [(one["message_type"], one["rules"]) for one in found if one["event"] == "parcel.mismatched"]

    yield lines
    reset_logs()


def test_the_scan_reports_each_mismatch_of_each_version_once(
    node: ParcelNode, spool: Spool, clock: Clock, logged: Callable[[], list[tuple[str, list[str]]]]
) -> None:
    scan = ParcelScan(spool, node.reader())
    node.accept("platform", order)
    clock.move(61)
    assert scan.look(clock.now) == 0
    node.accept("payer", payment, amountPaid="100")
    assert scan.look(clock.now) == 0  # too young
    clock.move(61)
    assert scan.look(clock.now) == 2
    assert sorted(logged()) == [("CEB311Message", ["parcel-amount"]), ("CEB411Message", ["parcel-amount"])]
    assert scan.look(clock.now) == 0

    node.accept("broker", inventory, buyerName="王大明")
    clock.move(61)
    assert ParcelScan(spool, node.reader()).look(clock.now) == 2
    assert sorted(logged()) == [
        ("CEB311Message", ["parcel-buyer-name"]), ("CEB621Message", ["parcel-buyer-name"]),
    ]  # fmt: skip

    node.accept("payer", payment, amountPaid="101", appTime="20261111090000")
    clock.move(61)
    assert ParcelScan(spool, node.reader()).look(clock.now) == 1
    assert logged() == [("CEB411Message", ["parcel-amount"])]


def test_two_scans_at_once_report_once(node: ParcelNode, spool: Spool, clock: Clock) -> None:
    node.accept("platform", order)
    node.accept("payer", payment, amountPaid="100")
    clock.move(61)
    step = spool.unreported("parcels", until=clock.now, limit=9)
    first, second = (ParcelScan(spool, node.reader()) for _ in range(2))
    found = list(first._mismatches(step.linked))
    assert first._report(step.at, found) == 2
    assert second._report(step.at, found) == 0


def _dumped(spool: Spool) -> dict[str, str]:
    """Everything that a spool holds but the bodies of messages, by table."""
    if isinstance(spool, SqliteSpool):
        tables = spool.db.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
    else:
        assert isinstance(spool, PostgresSpool)
        tables = spool.db.rows("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
    rows = spool.db.rows
    names = [name for (name,) in tables if not name.startswith("payload")]
    return {
        name: repr([[_text(cell) for cell in row] for row in rows(f"SELECT * FROM {name}")]) for name in names
    }


def _text(cell: object) -> object:
    return bytes(cell).decode("utf-8", "replace") if isinstance(cell, bytes | memoryview) else cell


def test_nothing_personal_is_in_any_table_but_the_bodies(
    node: ParcelNode, spool: Spool, clock: Clock
) -> None:
    for owner, write in DOCUMENTS:
        node.accept(owner, write)
    node.accept("payer", payment, payerName="李四", appTime="20261111090000")
    clock.move(61)
    ParcelScan(spool, node.reader()).look(clock.now)
    dumped = _dumped(spool)
    assert "ORDER-1" in dumped["parcel"]
    for value in (NAME, "李四", IDENTITY, TELEPHONE, ADDRESS):
        assert [name for name, text in dumped.items() if value in text] == []
