"""A rule at one field of a message type, and the advice that it gives there."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache, partial
from typing import Final, TypeVar

from gateway.advice.compiling import Judged, RuleCompiler, evaluated, looks_into_own
from gateway.advice.declared import DeclaredFields
from gateway.advice.functions import Value
from gateway.advice.layout import Layout
from gateway.advice.senders import sender_of
from gateway.advice.syntax import KEPT, Expression, ExpressionError, bound, fields, parse
from gateway.errors import RulesError
from gateway.goods.register import OwnTables
from gateway.model import Advice
from gateway.rules.code_tables import CodeTables
from gateway.rules.personal import is_personal, masked
from gateway.rules.rulebook import Rule

_VALUE_SHOWN: Final = 100
_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_][\w.]*)\}", re.ASCII)
_OWN: Final = frozenset({"field", "field_zh"})
"""Placeholders that stand for the name of the field, not for a value."""
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One declaration that is judged."""

    declared: DeclaredFields
    number: int
    """1-based, in its message."""
    moment: str
    """Second by which it is judged."""
    received: str
    own: OwnTables | None
    """What its enterprise has handed in to be compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Show:
    """An expression in a text, compiled."""

    call: Callable[..., Value]
    personal: bool
    """It names a field with data of a natural person."""


def placed(rule: Rule, layout: Layout, tables: CodeTables, *, first: int = 0) -> Iterator["PlacedRule"]:
    """Yield the rule for each of its fields that the type has, numbered from `first` on.

    Raises RulesError when the rule names the type and that has none of its fields.
    """
    number = first
    for name in rule.at:
        for each_item in _holders(rule, name, layout):
            yield PlacedRule(rule, name, layout, tables, each_item=each_item, number=number)
            number += 1
    if number == first and layout.kind.name in rule.named:
        raise rule.place.error(f"{layout.kind.name} has no field {' or '.join(rule.at)} there", key="at")


def _holders(rule: Rule, name: str, layout: Layout) -> Iterator[bool]:
    """Yield whether the rule is judged for items, once for each way in which it is."""
    in_head, in_items = name in layout.scope.head, name in layout.scope.item
    match rule.each:
        case "declaration":
            yield from [False] if in_head or in_items else []
        case "item":
            yield from [True] if in_items else []
        case "field":
            yield from ([False] if in_head else []) + ([True] if in_items else [])


class PlacedRule:
    """A rule at one field of one message type; its texts are compiled when they are first needed."""

    def __init__(
        self, rule: Rule, at: str, layout: Layout, tables: CodeTables, *, each_item: bool, number: int
    ) -> None:
        """`number`: by which its compiled function names it."""
        self.rule = rule
        self.at = at
        self.each_item = each_item
        self._number = number
        self._layout = layout
        self._tables = tables
        self._shows: Mapping[str, _Show] | None = None
        self._parts = [_PLACEHOLDER.split(text) for text in (rule.en, rule.zh, rule.fix_en, rule.fix_zh)]
        """Its texts: what stands there, and in every second place the name of a placeholder."""

    def add_to(self, compiler: RuleCompiler) -> None:
        """Add its conditions. Raises RulesError that names file, rule and key."""
        rule = self.rule
        when = self._tried("when", partial(self._read, rule.when)) if rule.when else None
        holds = self._tried("holds", partial(self._read, rule.holds))
        judged = Judged(number=self._number, each_item=self.each_item, when=when, holds=holds)
        try:
            compiler.add(judged)
        except ExpressionError as error:
            if when is not None:
                self._tried("when", partial(compiler.check, when, each_item=self.each_item))
            raise self._mistake("holds", error) from error

    @property
    def looks_into_own(self) -> bool:
        """Whether it looks into a table of the enterprise's own. Raises RulesError."""
        keys = {"when": self.rule.when, "holds": self.rule.holds}
        return any(self._tried(key, partial(_looks_into_own, text)) for key, text in keys.items() if text)

    def compile_texts(self) -> Mapping[str, _Show]:
        """Compile what its texts name: fields, and the expressions of `shows`. Raises RulesError."""
        rule = self.rule
        if self._shows is None:
            named = {
                name: key
                for key in ("zh", "en", "fix_zh", "fix_en")
                for name in _PLACEHOLDER.findall(getattr(rule, key))
                if name not in _OWN
            }
            keys = named | {name: f"shows.{name}" for name in rule.shows}
            self._shows = {
                name: self._tried(key, partial(self._show, rule.shows.get(name, name)))
                for name, key in keys.items()
            }
        return self._shows

    def advice(self, place: int, case: Case) -> Advice:
        """Say what the rule has to say; `place`: 1-based, of the item, 0: of the declaration."""
        rule, one = self.rule, case.declared
        path, name_zh = self._layout.place(self.at, case.number, place)
        shown = {"field": self.at, "field_zh": name_zh or self.at}
        for name, show in self.compile_texts().items():
            value = show.call(one.head, one.items, case.moment[:8], case.received, place, case.own)
            shown[name] = _as_text(value, personal=show.personal)

        en, zh, fix_en, fix_zh = [
            "".join([shown[part] if at % 2 else part for at, part in enumerate(parts)])
            for parts in self._parts
        ]
        holder = one.items[place - 1] if place else one.head
        return Advice(
            rule=rule.name,
            severity=rule.severity,
            path=path,
            declaration=case.number,
            element=self.at,
            name_zh=name_zh,
            value=masked(self.at, holder.get(self.at, ""))[:_VALUE_SHOWN],
            code=rule.code,
            who=rule.who or sender_of(self._layout.kind.name),
            message=en,
            message_zh=zh,
            fix=fix_en,
            fix_zh=fix_zh,
            grade=rule.grade,
            source=rule.source,
        )

    def _read(self, text: str) -> Expression:
        return bound(parse(text), self.at)

    def _show(self, text: str) -> _Show:
        expression = self._read(text)
        call = evaluated(expression, self._layout.scope, self._tables, each_item=self.each_item)
        return _Show(call=call, personal=any(is_personal(one.name) for one in fields(expression)))

    def _tried(self, key: str, make: Callable[[], _Made]) -> _Made:
        """Make something of the rule. Raises RulesError that names its file, its table and the key."""
        try:
            return make()
        except ExpressionError as error:
            raise self._mistake(key, error) from error

    def _mistake(self, key: str, error: ExpressionError) -> RulesError:
        return self.rule.place.error(f"{self._layout.kind.name}: {error}", key=key)


@lru_cache(maxsize=KEPT)
def _looks_into_own(text: str) -> bool:
    return looks_into_own(parse(text))


def _as_text(value: Value, *, personal: bool) -> str:
    if value is None:
        return "?"
    text = f"{value:f}" if isinstance(value, Decimal) else str(value)
    return ("*" * len(text) if personal else text)[:_VALUE_SHOWN]
