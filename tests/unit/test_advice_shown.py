"""Of much advice the most telling is shown; advice on stored bytes is that of the first answer, wherever they came from."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from lxml import etree

from gateway.advice.adviser import ADVICE_SHOWN, Adviser
from gateway.advice.declared import declared_in_tree
from gateway.config.gateway_toml import LimitsConfig
from gateway.errors import Refused, RulesError
from gateway.model import Advice, Envelope, MessageType
from gateway.rules.loading import Rules, load_rules
from gateway.submission.pipeline import advice_on, advising
from gateway.xml.envelope import wrap
from tests.advice_rules import BUYER, NAMED, PAID, about_the_buyer, paid, rule, write_rules
from tests.documents import DXP_ID, order
from tests.shipped_rules import shipped

NOW = datetime(2026, 11, 11, tzinfo=UTC)
LIMITS = LimitsConfig()


def rules_with(folder: Path, *rules: str) -> Rules:
    return load_rules(advice_dir=write_rules(folder / "advice", *rules))


def adviser_of(rules: Rules) -> Adviser:
    return Adviser(rules.rulebook, rules.tables, rules.schemas)


def kind_of(rules: Rules, name: str = "CEB311Message") -> MessageType:
    kind = rules.catalogue.by_name(name)
    assert kind is not None
    return kind


def own(advice: tuple[Advice, ...]) -> list[Advice]:
    """Leave out what shipped rules say."""
    return [one for one in advice if one.rule.startswith("own-")]


def test_much_of_one_rule_does_not_hide_another_and_errors_come_before_hints(tmp_path: Path) -> None:
    hint = about_the_buyer()
    rules = rules_with(
        tmp_path, hint, rule("own-last", holds="\"orderNo != 'N-100'\"", at='"orderNo"', severity='"hint"')
    )
    body = order(*(f"N-{number}" for number in range(1, 101)))
    root = etree.fromstring(body)
    found = adviser_of(rules).advise(kind_of(rules), declared_in_tree(root, kind_of(rules)), "20261111000000")
    assert len(found) == ADVICE_SHOWN
    assert [one.declaration for one in found if one.rule == "own-last"] == [100]
    numbers = [one.declaration for one in found]
    assert numbers == sorted(numbers)


def test_errors_are_shown_before_second_hints(tmp_path: Path) -> None:
    rules = rules_with(tmp_path, about_the_buyer(), rule(PAID))
    body = paid(order(*(f"N-{number}" for number in range(1, 101))), "200")
    kind = kind_of(rules)
    found = adviser_of(rules).advise(kind, declared_in_tree(etree.fromstring(body), kind), "20261111000000")
    told = own(found)
    assert (
        len([one for one in told if one.rule == PAID]) > len([one for one in told if one.rule == NAMED]) >= 1
    )


def test_only_the_wanted_declarations_are_judged(tmp_path: Path) -> None:
    rules = rules_with(tmp_path, about_the_buyer())
    advise = advising(adviser_of(rules), NOW, frozenset({2}))
    found = own(advice_on(order("A", "B", "C"), kind_of(rules), LIMITS, advise))
    assert [(one.declaration, one.path) for one in found] == [
        (2, "/CEB311Message/Order[2]/OrderHead/buyerName")
    ]


def test_a_document_and_the_dxpmsg_around_it_get_the_same_advice_and_nobody_is_named(tmp_path: Path) -> None:
    rules = rules_with(tmp_path, about_the_buyer(), rule(PAID))
    body = paid(order(), "200")
    head = Envelope(
        cop_msg_id="C-1",
        sender_id=DXP_ID,
        receiver_ids=("DXPEDCCEB0000002",),
        creat_time="2025-01-02T03:04:05",
    )
    advise = advising(adviser_of(rules), NOW)
    bare = advice_on(body, kind_of(rules), LIMITS, advise)
    assert own(bare) == own(advice_on(wrap(body, head), kind_of(rules), LIMITS, advise))
    assert {one.rule for one in own(bare)} == {PAID, NAMED}
    assert BUYER not in str(bare)
    assert all(one.line == 2 and one.declaration == 1 for one in bare)


def test_bytes_over_a_lowered_limit_are_not_read(tmp_path: Path) -> None:
    rules = rules_with(tmp_path, rule(PAID))
    with pytest.raises(Refused):
        advice_on(order(), kind_of(rules), LimitsConfig(size_bytes=100), advising(adviser_of(rules), NOW))


def test_a_dated_rule_goes_by_the_day_of_the_declaration(tmp_path: Path) -> None:
    dated = {"from": "2026-09-01", "until": "2026-09-30"}
    rules = rules_with(tmp_path, rule(PAID, **dated))
    advise = advising(adviser_of(rules), NOW)
    times = {
        "20260831235959": 0, "20260901000000": 1, "20260930235959": 1, "20261001000000": 0,
    }  # fmt: skip
    for time, expected in times.items():
        body = paid(order(app_time=time), "200")
        assert len(own(advice_on(body, kind_of(rules), LIMITS, advise))) == expected, time


def test_a_type_without_rules_costs_nothing(tmp_path: Path) -> None:
    adviser = adviser_of(rules_with(tmp_path, rule(PAID)))
    assert adviser.has_rules("CEB311Message")
    assert not adviser.has_rules("CEB900Message")
    assert adviser.advise(kind_of(shipped(), "CEB900Message"), [], "20261111000000") == ()


def test_a_missing_folder_of_rules_is_an_error_and_not_no_rules(tmp_path: Path) -> None:
    with pytest.raises(RulesError, match="no folder of rules"):
        load_rules(advice_dir=tmp_path / "none")


def test_a_rule_is_compiled_for_every_time_before_the_first_message_comes(tmp_path: Path) -> None:
    """So that judges, which are forked, share what is compiled; and a mistake in a rule to come shows today."""
    rules = rules_with(tmp_path, rule(PAID, holds='"acturalPayd < 200"', **{"from": "2099-01-01"}))
    with pytest.raises(RulesError, match="acturalPaid is meant") as caught:
        adviser_of(rules).check(rules.catalogue.declarations())
    assert "own.toml" in caught.value.where
