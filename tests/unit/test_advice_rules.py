"""The shipped rules: each finds the mistake that it is for and nothing else, and none objects to a sound declaration."""

import os
import random
from collections import Counter
from collections.abc import Mapping

import pytest

from gateway.advice.compiling import looks_into_own
from gateway.advice.syntax import parse
from gateway.model import MessageType
from gateway.rules.rulebook import Rule
from tests.advice_documents import MOMENT, sound
from tests.advice_mistakes import advised, everywhere, found_by
from tests.shipped_rules import shipped

PARCELS = int(os.environ.get("GATEWAY_TEST_PARCELS", "60"))
"""Sound declarations of each type; 10,000 takes some minutes."""
COMPANIONS: Mapping[str, frozenset[str]] = {
    # an amount takes part in sums, and in the limits
    "amount-negative": frozenset({"order-paid-sum", "order-goods-sum", "order-item-total", "list-item-total"}),
    "amount-zero": frozenset({"order-paid-sum", "order-goods-sum"}),
    "amount-large-import": frozenset(
        {"order-paid-sum", "order-goods-sum", "order-item-total", "list-item-total", "order-limit-year", "list-limit-year"}
    ),
    "amount-large-export": frozenset({"order-goods-sum", "list-item-total"}),
    "quantity-positive": frozenset({"order-item-total", "list-item-total"}),
    "weight-positive": frozenset({"weight-net-gross"}),
    # the guarantor is one of the firms of the list, so a wrong code of either makes them differ
    **dict.fromkeys(
        (
            "firm-code-import", "firm-code-credit-import", "credit-code-check", "firm-region", "sample-firm", "filler",
            "filler-platform", "half-width", "blank-around", "logistics-firm-kind",
        ),
        frozenset({"assure-party"}),
    ),
    # two items with one number are not in order either
    "gnum-twice": frozenset({"gnum-order"}),
    "gnum-order": frozenset({"gnum-twice"}),
    # long ago a return went to the district of the export
    "time-old": frozenset({"return-district"}),
    # the year of a number of the other family
    "invt-no-year": frozenset({"invt-no-export"}),
    # what an operator's tables lack, both say
    **dict.fromkeys(("hs-chapter", "hs-code-known", "positive-list"), frozenset({"hs-code-known", "positive-list"})),
    "unit-known": frozenset({"hs-unit-first", "hs-unit-second"}),
}  # fmt: skip
"""Rule → others that its example breaks with good reason."""


RULES = tuple(rule for rule in shipped().rulebook.rules.values() if not looks_into_own(parse(rule.holds)))
"""Without those that look into what an enterprise has registered: `tests/unit/test_goods_rules.py`."""


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_planted_mistake_is_found_by_its_rule_alone(rule: Rule) -> None:
    places = list(everywhere(rule))
    assert places, "the rule is judged nowhere"
    for one, kind in places:
        found = found_by(one, kind)
        names = {advice.rule for advice in found}
        assert any((advice.rule, advice.element) == (rule.name, one.at) for advice in found), (
            kind.name,
            one.at,
            names,
        )
        assert names - (COMPANIONS.get(rule.name, frozenset()) - {rule.name}) == {rule.name}, (
            kind.name,
            one.at,
        )


@pytest.mark.parametrize("kind", shipped().catalogue.declarations(), ids=lambda kind: kind.name)
def test_sound_declarations_raise_no_alarm(kind: MessageType) -> None:
    rng = random.Random(kind.name)
    alarms: Counter[str] = Counter()
    for _ in range(PARCELS):
        alarms.update(advice.rule for advice in advised(kind, sound(kind, rng), MOMENT))
    assert alarms == {}


def test_every_rule_has_an_example() -> None:
    assert [rule.name for rule in RULES if not rule.breaks] == []


def test_every_companion_is_one_of_a_rule() -> None:
    names = {rule.name for rule in RULES}
    assert names >= {name for rule, others in COMPANIONS.items() for name in (rule, *others)}
