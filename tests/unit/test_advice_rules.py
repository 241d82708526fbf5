"""The shipped rules: each finds the mistake that it is for and nothing else, and none objects to a sound declaration."""

import os
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from copy import deepcopy
from datetime import datetime, timedelta
from functools import cache
from types import MappingProxyType

import pytest

from gateway.advice.adviser import Adviser
from gateway.advice.declared import DeclaredFields
from gateway.advice.layout import Layout, layout_of
from gateway.advice.placed_rule import PlacedRule, placed
from gateway.model import Advice, MessageType
from gateway.rules.code_tables import CodeTable, CodeTables
from gateway.rules.rulebook import Rule
from tests.advice_documents import MOMENT, second, shipped, sound

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


@cache
def tables() -> CodeTables:
    """Return the shipped tables and those that an operator may add."""
    goods = {"1901101000": "122", "0409000000": "142", "3304990029": "142", "9617001900": "007"}
    goods |= {"8509809000": "001", "1806900000": "140"}
    units = {code: ("035", unit) for code, unit in goods.items()}
    lines: dict[str, tuple[str, ...]] = {code[:8]: () for code in goods}
    own = {"hs_units": (("unit1", "unit2"), units), "positive_list": ((), lines)}
    made = {
        name: CodeTable(
            name=name,
            title_zh="",
            title_en="",
            edition="",
            grade="U",
            source="",
            columns=columns,
            rows=MappingProxyType(rows),
        )
        for name, (columns, rows) in own.items()
    }
    return {**shipped().tables, **made}


@cache
def adviser() -> Adviser:
    return Adviser(shipped().rulebook, tables(), shipped().schemas)


@cache
def layout(kind: MessageType) -> Layout:
    return layout_of(kind, shipped().schemas)


def moment_of(rule: Rule) -> datetime:
    """Return a time at which a rule is in force: the usual one, or one near its edge."""
    usual = second(MOMENT)
    if rule.in_force(usual):
        return MOMENT
    edge = rule.until or rule.since
    return datetime.strptime(edge, "%Y%m%d%H%M%S")  # noqa: DTZ007 (Beijing time)


def spoiled(rule: PlacedRule, kind: MessageType) -> tuple[DeclaredFields, datetime]:
    """Take a sound declaration and plant the example of a rule in it."""
    breaks, scope = rule.rule.breaks, layout(kind).scope
    moment = moment_of(rule.rule)
    one = deepcopy(base(kind, moment, int(breaks.get("items", "2"))))
    own = one.items[0] if rule.each_item else one.head
    for key, text in sorted(breaks.items(), key=lambda pair: pair[0] == "this"):
        prefix, _, name = key.rpartition(".")
        name = rule.at if name == "this" else name
        holders = {"head": [one.head], "item": one.items}.get(prefix, [own])
        known = scope.item if prefix == "item" or (not prefix and rule.each_item) else scope.head
        for holder in holders if name in known else ():
            holder.pop(name, "")
            holder |= {name: text} if text else {}
    return one, moment


@cache
def base(kind: MessageType, moment: datetime, items: int) -> DeclaredFields:
    return sound(kind, random.Random(f"{kind.name} {items}"), moment=moment, items=items, full=True)


def advised(kind: MessageType, one: DeclaredFields, moment: datetime) -> tuple[Advice, ...]:
    return adviser().advise(kind, [one], second(moment + timedelta(minutes=1)))


def everywhere(rule: Rule) -> Iterator[tuple[PlacedRule, MessageType]]:
    """Yield the rule at each field of each type that it is judged for."""
    for name in rule.types:
        kind = shipped().catalogue.types[name]
        for one in placed(rule, layout(kind), tables()):
            yield one, kind


RULES = tuple(shipped().rulebook.rules.values())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_planted_mistake_is_found_by_its_rule_alone(rule: Rule) -> None:
    places = list(everywhere(rule))
    assert places, "the rule is judged nowhere"
    for one, kind in places:
        document, moment = spoiled(one, kind)
        found = advised(kind, document, moment)
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
