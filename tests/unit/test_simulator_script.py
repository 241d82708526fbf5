import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.samples.compose import catalogue, declaration_type
from gateway.simulator.plan import Plan, PlannedFate, PlannedOutcome
from gateway.simulator.script import Script, usual_info

KEYS = [{"agentCode": "9901960X01", "copNo": f"C{number}"} for number in range(400)]
INVENTORY = declaration_type("CEB621Message")


def statuses(plan: Plan) -> list[str]:
    return [step.status for step in plan.steps if step.receipt != "CEB816Message"]


def share(script: Script, outcome: PlannedOutcome) -> float:
    return sum(script.outcome("CEB621Message", key) is outcome for key in KEYS) / len(KEYS)


@pytest.mark.parametrize(
    ("message_type", "expected"),
    [
        ("CEB311Message", ["2", "3", "120"]),
        ("CEB411Message", ["2", "3", "120"]),
        ("CEB511Message", ["2", "3", "120"]),
        ("CEB513Message", ["2", "3", "120"]),
        ("CEB303Message", ["2", "3", "120"]),
        ("CEB607Message", ["2", "3", "120"]),
        ("CEB621Message", ["2", "3", "120", "800"]),
        ("CEB603Message", ["2", "3", "120", "800"]),
        ("CEB623Message", ["2", "3", "120", "399"]),
        ("CEB505Message", ["2", "3", "399"]),
        ("CEB509Message", ["2", "3", "399"]),
        ("CEB215Message", ["2", "3", "399"]),
    ],
)
def test_typical_sequence_of_an_accepted_declaration(message_type: str, expected: list[str]) -> None:
    assert statuses(Script().plan(declaration_type(message_type), KEYS[0])) == expected


def test_tax_bill_follows_the_release_and_its_status_the_closing() -> None:
    steps = Script(close=1.0).plan(INVENTORY, KEYS[0]).steps

    assert [(step.receipt, step.status) for step in steps][3:] == [
        ("CEB622Message", "800"),
        ("CEB622Message", "899"),
        ("CEB816Message", "1"),
        ("CEB818Message", "2"),
    ]


def test_summary_result_follows_the_summary_receipt() -> None:
    steps = Script().plan(declaration_type("CEB701Message"), KEYS[0]).steps

    assert [step.receipt for step in steps] == ["CEB702Message"] * 3 + ["CEB792Message"]


def test_every_declaration_type_has_a_sequence_of_receipts_that_answer_it() -> None:
    for kind in catalogue().declarations():
        steps = Script(close=1.0, inspect=1.0).plan(kind, KEYS[0]).steps
        assert steps
        for step in steps:
            assert kind in catalogue().for_answer(step.receipt)


@given(st.integers(0, 2**31), st.integers(0, 399))
@settings(max_examples=100, deadline=None)
def test_same_seed_decides_the_same_whatever_came_before(seed: int, number: int) -> None:
    script = Script(
        seed=seed, refuse=0.3, negative=0.1, duplicates=0.3, reorder=0.3, delay_s=(0.0, 2.0), inspect=0.5
    )
    for key in random.Random(seed).sample(KEYS, 3):
        script.plan(INVENTORY, key)

    again = Script(
        seed=seed, refuse=0.3, negative=0.1, duplicates=0.3, reorder=0.3, delay_s=(0.0, 2.0), inspect=0.5
    )

    assert script.plan(INVENTORY, KEYS[number]) == again.plan(INVENTORY, KEYS[number])


def test_one_switch_does_not_move_another() -> None:
    quiet, busy = Script(seed=3, refuse=0.2), Script(seed=3, refuse=0.2, duplicates=0.5, reorder=0.5)

    assert [quiet.outcome("CEB621Message", key) for key in KEYS] == [
        busy.outcome("CEB621Message", key) for key in KEYS
    ]


def test_rates_hold_and_zero_and_one_are_exact() -> None:
    assert share(Script(seed=1), PlannedOutcome.ACCEPTED) == 1
    assert share(Script(seed=1, refuse=1.0), PlannedOutcome.REFUSED) == 1
    assert share(Script(seed=1, negative=1.0), PlannedOutcome.NEGATIVE) == 1
    assert 0.06 < share(Script(seed=1, refuse=0.1), PlannedOutcome.REFUSED) < 0.14


def test_refused_declaration_ends_with_100_and_a_reason() -> None:
    plan = Script(refuse=1.0).plan(INVENTORY, KEYS[0])

    assert statuses(plan) == ["2", "3", "100"]
    assert plan.steps[-1].info
    assert not any(step.accepted for step in plan.steps)


@pytest.mark.parametrize("app_type", ["2", "3"])
def test_corrected_and_deleted_declarations_are_accepted(app_type: str) -> None:
    assert (
        Script(refuse=1.0, negative=1.0).outcome("CEB621Message", KEYS[0], app_type)
        is PlannedOutcome.ACCEPTED
    )


def test_return_times_rise_whatever_order_things_are_sent_in() -> None:
    script = Script(seed=2, reorder=0.5, delay_s=(0.0, 0.0))
    plans = [script.plan(INVENTORY, key) for key in KEYS]

    assert all(
        first.at_s < second.at_s
        for plan in plans
        for first, second in zip(plan.steps, plan.steps[1:], strict=False)
    )
    assert any([step.due_s[0] for step in plan.steps] != [step.at_s for step in plan.steps] for plan in plans)


def test_reordering_sends_the_same_receipts_at_the_same_instants() -> None:
    reordered = 0
    for key in KEYS[:50]:
        steps = Script(seed=2, reorder=0.7).plan(INVENTORY, key).steps
        instants, sent = [step.at_s for step in steps], [step.due_s[0] for step in steps]
        assert sorted(sent) == instants
        reordered += sent != instants
    assert reordered > 10


def test_duplicates_are_sent_twice() -> None:
    steps = Script(duplicates=1.0, delay_s=(1.0, 2.0)).plan(INVENTORY, KEYS[0]).steps

    assert len(steps) > 1
    assert all(len(step.due_s) == 2 and step.due_s[1] >= step.due_s[0] + 1 for step in steps)


@pytest.mark.parametrize(
    ("script", "fate"),
    [
        (Script(), PlannedFate.ANSWERED),
        (Script(silence=1.0), PlannedFate.SILENT),
        (Script(dxprep=1.0), PlannedFate.PLATFORM),
        (Script(ceb900=1.0), PlannedFate.FORMAT),
    ],
)
def test_fate_of_a_message(script: Script, fate: PlannedFate) -> None:
    assert script.fate("CEB621Message", KEYS[:3]) is fate


def test_fate_does_not_depend_on_the_order_of_bodies() -> None:
    script = Script(seed=5, silence=0.5)
    messages = [KEYS[at : at + 3] for at in range(0, 60, 3)]

    fates = [script.fate("CEB621Message", keys) for keys in messages]
    assert set(fates) == {PlannedFate.ANSWERED, PlannedFate.SILENT}
    assert [script.fate("CEB621Message", keys[::-1]) for keys in messages] == fates


def test_usual_texts_are_those_of_the_field() -> None:
    fields = {"guid": "G", "ebcCode": "E", "orderNo": "O"}

    assert usual_info("CEB311Message", "2", fields) == "订单新增申报成功[G]"
    assert usual_info("CEB621Message", "2", fields) == "清单新增申报成功[电商企业编码：E订单编号：O]"
    assert usual_info("CEB621Message", "800", fields) == "[Code:2600;Desc:放行]"


def test_marker_decides_and_shares_do_not() -> None:
    everything_goes_wrong = Script(silence=1, refuse=1)
    key = {"agentCode": "1", "copNo": "C1-T500"}
    assert everything_goes_wrong.fate("CEB621Message", [key]) is PlannedFate.ANSWERED
    assert [step.status for step in everything_goes_wrong.plan(INVENTORY, key).steps] == [
        "2",
        "3",
        "120",
        "500",
    ]


def test_marker_is_none_when_magic_is_off_or_it_does_not_end_the_number() -> None:
    for script, number in ((Script(silence=1, magic=False), "C1-TOK"), (Script(silence=1), "C1-TOK-2")):
        assert script.fate("CEB621Message", [{"agentCode": "1", "copNo": number}]) is PlannedFate.SILENT
