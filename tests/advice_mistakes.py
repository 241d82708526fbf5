"""Plants in a sound declaration the example that a rule names (`breaks`), wherever the rule is judged."""

import random
from collections.abc import Iterator
from copy import deepcopy
from datetime import datetime, timedelta
from functools import cache
from types import MappingProxyType

from gateway.advice.adviser import Adviser
from gateway.advice.declared import DeclaredFields
from gateway.advice.layout import Layout, layout_of
from gateway.advice.placed_rule import PlacedRule, placed
from gateway.model import Advice, MessageType
from gateway.rules.code_tables import CodeTable, CodeTables
from gateway.rules.rulebook import Rule
from tests.advice_documents import MOMENT, second, sound
from tests.shipped_rules import shipped


@cache
def tables() -> CodeTables:
    """Return the shipped tables and those that an operator may add."""
    goods = {"1901101000": "122", "0409000000": "142", "3304990029": "142", "9617001900": "007"}
    goods |= {"8509809000": "001", "1806900000": "140"}
    lines: dict[str, tuple[str, ...]] = {code[:8]: () for code in goods}
    units: dict[str, tuple[str, ...]] = {code: ("035", unit) for code, unit in goods.items()}
    made = (_table("hs_units", ("unit1", "unit2"), units), _table("positive_list", (), lines))
    return {**shipped().tables, **{one.name: one for one in made}}


def _table(name: str, columns: tuple[str, ...], rows: dict[str, tuple[str, ...]]) -> CodeTable:
    return CodeTable(
        name=name,
        title_zh="",
        title_en="",
        edition="",
        grade="U",
        source="",
        columns=columns,
        rows=MappingProxyType(rows),
    )


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
            if text:
                holder[name] = text
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


def found_by(rule: PlacedRule, kind: MessageType) -> tuple[Advice, ...]:
    """Return all advice on the example of a rule at one of its fields."""
    one, moment = spoiled(rule, kind)
    return advised(kind, one, moment)


def first_advice(rule: Rule) -> tuple[str, Advice]:
    """Return a rule's own advice on its example in the first message type: the name of that, and the advice."""
    for one, kind in everywhere(rule):
        for advice in found_by(one, kind):
            if advice.rule == rule.name:
                return kind.name, advice
    raise ValueError(rule.name)
