"""Rules of one message type as one Python function, so that a sound declaration costs some ten microseconds.

A rule is judged only where every field that it names has a value: `filled(x)` asks whether one has, and `value(x, 0)`
puts another in its place. No text of a rule becomes Python text: names and constants are passed beside the code, which
holds numbered variables alone (docs/adr/0046).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.advice.expression_code import ExpressionCode, Scope, made, reading
from gateway.advice.functions import Value
from gateway.advice.syntax import BinaryOperation, Expression, Field, Negation, Text, calls, fields
from gateway.goods.register import OWN_TABLES, OwnTables
from gateway.rules.code_tables import CodeTables
from gateway.rules.personal import is_personal

__all__ = ["Found", "Judged", "RuleCompiler", "Scope", "evaluated"]

Fields = Mapping[str, str]
"""Field → text as written; fields without a text are absent."""
Found = Callable[[Fields, Sequence[Fields], str, str, OwnTables | None], list[tuple[int, int]]]
"""Head, items, the declaration's own day, the time of its receipt, tables of the enterprise's own (needed where a rule names
one) → each rule that does not hold and the item, 1-based; 0: none."""

_KEPT: Final = 128
"""Most sound values of a field that are remembered; those of natural persons never are."""
_CONTEXT: Final = frozenset({"day", "received", "position", "count", "sum", "every", "any", "distinct"})
"""Functions that say more of the case than its fields; so do those that look into a table of the enterprise's own."""
_TABLE_CALLS: Final = frozenset({"in_table", "lookup"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A rule as far as compiling needs it."""

    number: int
    each_item: bool
    when: Expression | None
    holds: Expression


class RuleCompiler:
    """Collects rules of one message type and makes one function of them."""

    def __init__(self, scope: Scope, tables: CodeTables) -> None:
        """Begin without a rule."""
        self._head = RulesCode(scope, tables, in_items=False, tag="")
        self._items = RulesCode(scope, tables, in_items=True, tag="i")
        self._each_item = False

    def check(self, condition: Expression, *, each_item: bool) -> None:
        """Raise ExpressionError for a condition that has no such field, function or kind."""
        (self._items if each_item else self._head).truth(condition)

    def add(self, rule: Judged) -> None:
        """Add a rule. Raises ExpressionError for what has no such field, function or kind."""
        (self._items if rule.each_item else self._head).add(rule)
        self._each_item = self._each_item or rule.each_item

    def judge(self) -> Found:
        """Return the function that judges a declaration by all rules that were added."""
        lines = [
            "def judge(head, items, day, received, own=None):",
            " found = []",
            *self._head.lines(" ", "head"),
        ]
        if self._each_item:
            lines += [" for place, item in enumerate(items, 1):", *self._items.lines("  ", "item")]
        lines.append(" return found")
        judge: Found = made(lines, "judge", self._head.all_constants(), self._items.all_constants())
        return judge


def evaluated(text: Expression, scope: Scope, tables: CodeTables, *, each_item: bool) -> Callable[..., Value]:
    """Compile one expression that a text of advice shows: head, items, day, received, place, own → its value, or None.

    `place`: 1-based, of the item; 0 for the declaration. Raises ExpressionError.
    """
    part = ExpressionCode(scope, tables, in_items=each_item, tag="")
    value = part.value(text)
    lines = [
        "def show(head, items, day, received, place, own=None):",
        " item = items[place - 1] if place else head",
        *part.variables(" ", "item" if each_item else "head"),
        f" return ({value.code}) if {value.guard()} else None",
    ]
    show: Callable[..., Value] = made(lines, "show", part.constants)
    return show


@dataclass(slots=True)
class RulesCode(ExpressionCode):
    """The rules judged for the declaration, or those judged for each item."""

    _always: list[str] = field(default_factory=list)
    """The checks of rules that are always judged."""
    _checks: dict[tuple[str, str], tuple[list[str], list[str]]] = field(default_factory=dict)
    """First condition under which rules are judged, and what has to be there for it → checks if it is so, and if it is not."""
    _alone: dict[Field, "RulesCode"] = field(default_factory=dict)
    """Field → the rules that are about its value alone: what passed them once passes them again."""

    def add(self, rule: Judged) -> None:
        """Add the check of one rule."""
        alone = _only_field(rule)
        if alone is None:
            self.add_here(rule)
            return
        self.kind_of(alone)
        if alone not in self._alone:
            tag = f"{self.tag}f{len(self._alone)}"
            self._alone[alone] = RulesCode(self.scope, self.tables, in_items=self.in_items, tag=tag)
        self._alone[alone].add_here(rule)

    def add_here(self, rule: Judged) -> None:
        """Add the check of one rule to those of this part itself."""
        whens = _conjuncts(rule.when)
        holds = self.truth(rule.holds)
        more = [step for one in whens[1:] for step in self.truth(one).steps()]
        steps = dict.fromkeys([*more, *holds.needs, f"not ({holds.code})"])
        place = "place" if self.in_items else "0"
        check = f"if {' and '.join(steps)}: found.append(({rule.number}, {place}))"
        self._branch(whens[0] if whens else None).append(check)

    def _branch(self, condition: Expression | None) -> list[str]:
        """Return the checks that are made under a condition: what is asked for both ways is found out once."""
        if condition is None:
            return self._always
        negated = isinstance(condition, Negation)
        asked = self.truth(condition.operand if isinstance(condition, Negation) else condition)
        return self._checks.setdefault((asked.guard(), asked.code), ([], []))[negated]

    def lines(self, indent: str, own: str) -> Iterator[str]:
        """Yield the code: variables first. `own`: the variable that holds the fields named without `head.`."""
        yield from reading(indent, own, [self, *self._alone.values()])
        yield from self.computing(indent)
        yield from self._judging(indent)
        for one, part in self._alone.items():
            yield from part.lines_alone(indent, one)

    def all_constants(self) -> dict[str, Any]:
        """Return the constants that the code names."""
        found = dict(self.constants)
        for part in self._alone.values():
            found |= part.constants
        return found

    def _judging(self, indent: str) -> Iterator[str]:
        yield from (f"{indent}{check}" for check in self._always)
        for (guard, condition), (so, not_so) in self._checks.items():
            yield f"{indent}if {guard} and ({condition if so else f'not ({condition})'}):"
            yield from (f"{indent} {check}" for check in so or not_so)
            if so and not_so:
                yield f"{indent}elif {guard}:"
                yield from (f"{indent} {check}" for check in not_so)

    def lines_alone(self, indent: str, one: Field) -> Iterator[str]:
        """Yield the code of rules about one value, which is read: what was found sound is remembered."""
        if is_personal(one.name):
            yield from self.computing(indent)
            yield from self._judging(indent)
            return
        text, sound, before = self.text(one), f"g{self.tag}", f"n{self.tag}"
        self.constants[sound] = set()
        yield f"{indent}if {text} not in {sound}:"
        yield f"{indent} {before} = len(found)"
        yield from self.computing(indent + " ")
        yield from self._judging(indent + " ")
        yield f"{indent} if len(found) == {before} and len({sound}) < {_KEPT}: {sound}.add({text})"


def _conjuncts(when: Expression | None) -> list[Expression]:
    """Return the conditions that `and` joins."""
    match when:
        case None:
            return []
        case BinaryOperation("and", left, right):
            return [*_conjuncts(left), *_conjuncts(right)]
        case _:
            return [when]


def looks_into_own(expression: Expression) -> bool:
    """Say whether an expression looks into a table of the enterprise's own."""
    tables = [one.arguments[0] for one in calls(expression) if one.name in _TABLE_CALLS and one.arguments]
    return any(isinstance(table, Text) and table.value in OWN_TABLES for table in tables)


def _only_field(rule: Judged) -> Field | None:
    """Return the field whose value alone a rule is about; None where it looks at more."""
    conditions = [rule.holds] if rule.when is None else [rule.when, rule.holds]
    named = {one for condition in conditions for one in fields(condition)}
    if len(named) != 1 or any(map(looks_into_own, conditions)):
        return None
    context = any(one.name in _CONTEXT for condition in conditions for one in calls(condition))
    return None if context else next(iter(named))
