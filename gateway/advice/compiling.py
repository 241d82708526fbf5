"""Rules of one message type as one Python function, so that a sound declaration costs some ten microseconds.

A rule is judged only where every field that it names has a value: `filled(x)` asks whether one has, and `value(x, 0)`
puts another in its place. No text of a rule becomes Python text: names and constants are passed beside the code, which
holds numbered variables alone (docs/adr/0046).
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from itertools import count
from types import MappingProxyType
from typing import Any, Final

from gateway.advice.functions import FUNCTIONS, NAMES, Value, ValueKind, number, valid_number
from gateway.advice.syntax import (
    BinaryOperation,
    Call,
    Choice,
    Expression,
    ExpressionError,
    Field,
    Negation,
    Number,
    Text,
    calls,
    fields,
)
from gateway.goods.register import OWN_TABLES, OwnTables
from gateway.rules.code_tables import CodeTables
from gateway.rules.personal import is_personal

Fields = Mapping[str, str]
"""Field → text as written; fields without a text are absent."""
Found = Callable[[Fields, Sequence[Fields], str, str, OwnTables | None], list[tuple[int, int]]]
"""Head, items, the declaration's own day, the time of its receipt, tables of the enterprise's own (needed where a rule names
one) → each rule that does not hold and the item, 1-based; 0: none."""

_KEPT: Final = 128
"""Most sound values of a field that are remembered; those of natural persons never are."""
_CONTEXT: Final = frozenset({"day", "received", "position", "count", "sum", "every", "any", "distinct"})
"""Functions that say more of the case than its fields."""
_TABLE_CALLS: Final = frozenset({"in_table", "lookup"})
_NUMBERS: Final = frozenset({"+", "-", "*"})
_JOINS: Final = frozenset({"and", "or"})
_SIGNS: Final = {"=": "==", "!=": "!="}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The fields that rules of one message type can name, with their kinds by the schema."""

    head: Mapping[str, ValueKind]
    item: Mapping[str, ValueKind]
    """Empty: declarations of this type have no items."""


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
        self._head = _Part(scope, tables, in_items=False, tag="")
        self._items = _Part(scope, tables, in_items=True, tag="i")
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
        judge: Found = _made(lines, "judge", self._head, self._items)
        return judge


def compiled(rules: Sequence[Judged], scope: Scope, tables: CodeTables) -> Found:
    """Compile rules of one message type. Raises ExpressionError for what has no such field, function or kind."""
    compiler = RuleCompiler(scope, tables)
    for rule in rules:
        compiler.add(rule)
    return compiler.judge()


def evaluated(text: Expression, scope: Scope, tables: CodeTables, *, each_item: bool) -> Callable[..., Value]:
    """Compile one expression that a text of advice shows: head, items, day, received, place, own → its value, or None.

    `place`: 1-based, of the item; 0 for the declaration. Raises ExpressionError.
    """
    part = _Part(scope, tables, in_items=each_item, tag="")
    value = part.value(text)
    lines = [
        "def show(head, items, day, received, place, own=None):",
        " item = items[place - 1] if place else head",
        *part.lines(" ", "item" if each_item else "head"),
        f" return ({value.code}) if {value.guard()} else None",
    ]
    show: Callable[..., Value] = _made(lines, "show", part)
    return show


def _made(lines: Sequence[str], name: str, *parts: "_Part") -> Any:
    """Run the lines that define a function, with the constants of the parts, and return it."""
    names: dict[str, Any] = {**NAMES, "number": number, "valid_number": valid_number, "Decimal": Decimal}
    for part in parts:
        names |= part.all_constants()
    exec(compile("\n".join(lines), "<rules>", "exec"), names)  # noqa: S102 (numbered names alone)
    return names[name]


@dataclass(frozen=True, slots=True)
class _Value:
    """A piece of Python: what it gives, and what has to be there before."""

    code: str
    kind: ValueKind
    needs: tuple[str, ...] = ()
    """Conditions, in order, under which the code can be run."""

    def steps(self) -> list[str]:
        """Return what has to be true one after the other, the code last."""
        return list(dict.fromkeys([*self.needs, f"({self.code})"]))

    def guard(self) -> str:
        return " and ".join(dict.fromkeys(self.needs)) or "True"


@dataclass(slots=True)
class _Part:
    """The rules judged for the declaration, or those judged for each item: their variables and their code."""

    scope: Scope
    tables: CodeTables
    in_items: bool
    tag: str
    """Ends the names of its variables, so that those of several parts differ."""
    constants: dict[str, Any] = field(default_factory=dict)
    _texts: dict[Field, str] = field(default_factory=dict)
    _numbers: dict[Field, str] = field(default_factory=dict)
    _totals: dict[Call, tuple[str, str]] = field(default_factory=dict)
    """What is done over all items → the function that does it, and the variable with its result."""
    _checks: dict[str, list[str]] = field(default_factory=dict)
    """First condition under which rules are judged → their checks: what several share is found out once."""
    _alone: dict[Field, "_Part"] = field(default_factory=dict)
    """Field → the rules that are about its value alone: what passed them once passes them again."""
    _missing: Iterator[int] = field(default_factory=count)

    def add(self, rule: Judged) -> None:
        """Add the check of one rule."""
        alone = _only_field(rule)
        if alone is None:
            self.add_here(rule)
            return
        self._kind(alone)
        if alone not in self._alone:
            tag = f"{self.tag}f{len(self._alone)}"
            self._alone[alone] = _Part(self.scope, self.tables, in_items=self.in_items, tag=tag)
        self._alone[alone].add_here(rule)

    def add_here(self, rule: Judged) -> None:
        """Add the check of one rule to those of this part itself."""
        whens = [self.truth(one) for one in _conjuncts(rule.when)]
        condition = " and ".join(whens[0].steps()) if whens else ""
        holds = self.truth(rule.holds)
        more = [step for one in whens[1:] for step in one.steps()]
        steps = dict.fromkeys([*more, *holds.needs, f"not ({holds.code})"])
        place = "place" if self.in_items else "0"
        check = f"if {' and '.join(steps)}: found.append(({rule.number}, {place}))"
        self._checks.setdefault(condition, []).append(check)

    def lines(self, indent: str, own: str) -> Iterator[str]:
        """Yield the code: variables first. `own`: the variable that holds the fields named without `head.`."""
        yield from self._variables(indent, own)
        yield from self._judging(indent)
        for one, part in self._alone.items():
            yield from part.lines_alone(indent, one, own)

    def all_constants(self) -> dict[str, Any]:
        """Return the constants that the code names."""
        found = dict(self.constants)
        for part in self._alone.values():
            found |= part.constants
        return found

    def _variables(self, indent: str, own: str) -> Iterator[str]:
        for one, name in self._texts.items():
            source = "head" if one.head else own
            yield f"{indent}{name} = {source}.get({self._constant(one.name)})"
        for one, name in self._numbers.items():
            read = "valid_number" if self._kind(one) is ValueKind.NUMBER else "number"
            yield f"{indent}{name} = {read}({self._texts[one]}) if {self._texts[one]} else None"
        for function, name in self._totals.values():
            yield f"{indent}{name} = {function}(head, items, day, received, own)"

    def _judging(self, indent: str) -> Iterator[str]:
        for condition, checks in self._checks.items():
            if condition:
                yield f"{indent}if {condition}:"
            yield from (f"{indent}{' ' if condition else ''}{check}" for check in checks)

    def lines_alone(self, indent: str, one: Field, own: str) -> Iterator[str]:
        """Yield the code of rules about one value: what was found sound is remembered."""
        source = "head" if one.head else own
        if is_personal(one.name):
            yield from self._variables(indent, own)
            yield from self._judging(indent)
            return
        text, sound, before = f"v{self.tag}", f"g{self.tag}", f"n{self.tag}"
        self.constants[sound] = set()
        yield f"{indent}{text} = {source}.get({self._constant(one.name)})"
        yield f"{indent}if {text} not in {sound}:"
        yield f"{indent} {before} = len(found)"
        yield from self._variables(indent + " ", own)
        yield from self._judging(indent + " ")
        yield f"{indent} if len(found) == {before} and len({sound}) < {_KEPT}: {sound}.add({text})"

    def truth(self, expression: Expression) -> _Value:
        """Compile a condition. Raises ExpressionError when it is none."""
        found = self.value(expression)
        if found.kind is not ValueKind.TRUTH:
            raise ExpressionError(f"a condition was expected, not a {found.kind}")
        return found

    def value(self, expression: Expression) -> _Value:  # noqa: PLR0911 (one for each kind of expression)
        """Compile any expression; a field gives what the schema says of it."""
        match expression:
            case Number(value):
                return _Value(self._constant(_shortest(value)), ValueKind.NUMBER)
            case Text(value):
                return _Value(self._constant(value), ValueKind.TEXT)
            case Field():
                return self._field(expression, self._kind(expression))
            case Negation(operand):
                found = self.truth(operand)
                return _Value(f"not ({found.code})", ValueKind.TRUTH, found.needs)
            case Choice(operand, texts):
                found = self._as(operand, ValueKind.TEXT)
                return _Value(
                    f"{found.code} in {self._constant(frozenset(texts))}", ValueKind.TRUTH, found.needs
                )
            case BinaryOperation(sign, left, right):
                return self._operation(sign, left, right)
            case Call():
                literal = self._literal(expression)
                return self._call(expression) if literal is None else self.value(literal)

    def _as(self, expression: Expression, kind: ValueKind) -> _Value:
        """Compile an expression where a number, or a text, is wanted; a field can be both."""
        found = self._field(expression, kind) if isinstance(expression, Field) else self.value(expression)
        if found.kind is not kind:
            raise ExpressionError(f"a {kind} was expected, not a {found.kind}")
        return found

    def _kind(self, named: Field) -> ValueKind:
        of_head = named.head or not self.in_items
        there = self.scope.head if of_head else self.scope.item
        if named.head and not self.in_items:
            raise ExpressionError(
                f"head.{named.name}: the rule is judged for the declaration, write {named.name}"
            )
        if named.name not in there:
            raise ExpressionError(_unknown(named.name, there, () if of_head else self.scope.head))
        return there[named.name]

    def _field(self, named: Field, kind: ValueKind) -> _Value:
        self._kind(named)
        text = self._texts.setdefault(named, f"t{len(self._texts)}{self.tag}")
        if kind is ValueKind.TEXT:
            return _Value(text, kind, (text,))
        if kind is ValueKind.NUMBER:
            name = self._numbers.setdefault(named, f"d{len(self._numbers)}{self.tag}")
            return _Value(name, kind, (f"{name} is not None",))
        raise ExpressionError(f"{named.name} is no condition; compare it, or write filled({named.name})")

    def _operation(self, sign: str, left: Expression, right: Expression) -> _Value:
        if sign in _JOINS:
            one, other = self.truth(left), self.truth(right)
            return _Value(f"({one.code}) {sign} ({other.code})", ValueKind.TRUTH, (*one.needs, *other.needs))
        if sign in _NUMBERS:
            kind, gives = ValueKind.NUMBER, ValueKind.NUMBER
        else:
            kinds = {self.value(left).kind, self.value(right).kind}
            kind, gives = ValueKind.NUMBER if ValueKind.NUMBER in kinds else ValueKind.TEXT, ValueKind.TRUTH
        one, other = self._as(left, kind), self._as(right, kind)
        code = f"({one.code} {_SIGNS.get(sign, sign)} {other.code})"
        return _Value(code, gives, (*one.needs, *other.needs))

    def _call(self, call: Call) -> _Value:
        special = _SPECIAL.get(call.name)
        if special is not None:
            return special(self, call)
        known = FUNCTIONS.get(call.name)
        if known is None:
            raise ExpressionError(_unknown(call.name, [*FUNCTIONS, *_SPECIAL], what="function"))
        _expect(call, len(known.takes))
        arguments = [self._as(one, kind) for one, kind in zip(call.arguments, known.takes, strict=True)]
        code = known.inline or f"f_{call.name}({', '.join(['{}'] * len(arguments))})"
        code = code.format(*(one.code for one in arguments))
        needs = tuple(need for one in arguments for need in one.needs)
        return (
            self._missable(code, known.gives, needs) if known.may_miss else _Value(code, known.gives, needs)
        )

    def _literal(self, call: Call) -> Number | Text | None:
        """Return what a call of constants gives, where it does, so that it is not made again for each declaration."""
        arguments = [self._literal(one) if isinstance(one, Call) else one for one in call.arguments]
        values = [one.value for one in arguments if isinstance(one, Number | Text)]
        if not values or len(values) < len(arguments):
            return None
        found = self._of_constants(call.name, values)
        if isinstance(found, str):
            return Text(found)
        return (
            Number(Decimal(found))
            if isinstance(found, Decimal | int) and not isinstance(found, bool)
            else None
        )

    def _of_constants(self, name: str, values: Sequence[str | Decimal]) -> Value:
        if name == "lookup" and len(values) == len(("table", "code", "column")):
            table, code, column = map(str, values)
            return self.tables[table].column(column).get(code) if table in self.tables else None
        known = FUNCTIONS.get(name)
        kinds = tuple(ValueKind.TEXT if isinstance(value, str) else ValueKind.NUMBER for value in values)
        return known.call(*values) if known is not None and kinds == known.takes else None

    def _missable(self, code: str, kind: ValueKind, needs: tuple[str, ...]) -> _Value:
        name = f"m{next(self._missing)}{self.tag}"
        return _Value(name, kind, (*needs, f"({name} := {code}) is not None"))

    def call_filled(self, call: Call) -> _Value:
        _expect(call, 1)
        (named,) = call.arguments
        if not isinstance(named, Field):
            raise ExpressionError("filled() takes a field")
        return _Value(f"({self._field(named, ValueKind.TEXT).code} is not None)", ValueKind.TRUTH)

    def call_value(self, call: Call) -> _Value:
        _expect(call, 2)
        named, other = call.arguments
        if not isinstance(named, Field) or not isinstance(other, Number | Text):
            raise ExpressionError("value() takes a field, and what stands in its place")
        kind = ValueKind.NUMBER if isinstance(other, Number) else ValueKind.TEXT
        found = self._field(named, kind).code
        value = _shortest(other.value) if isinstance(other, Number) else other.value
        return _Value(f"({self._constant(value)} if {found} is None else {found})", kind)

    def call_in_table(self, call: Call) -> _Value:
        _expect(call, 2)
        table, code = call.arguments
        if not isinstance(table, Text) or table.value not in {*self.tables, *OWN_TABLES}:
            raise self._no_table(table)
        found = self._as(code, ValueKind.TEXT)
        if table.value in OWN_TABLES:
            look = f"own.has({self._constant(table.value)}, {found.code}, day)"
            return self._missable(look, ValueKind.TRUTH, found.needs)
        return _Value(
            f"{found.code} in {self._constant(self.tables[table.value].rows)}", ValueKind.TRUTH, found.needs
        )

    def call_lookup(self, call: Call) -> _Value:
        _expect(call, 3)
        table, code, column = call.arguments
        if not isinstance(table, Text) or not isinstance(column, Text):
            raise self._no_table(table)
        found = self._as(code, ValueKind.TEXT)
        if table.value in OWN_TABLES:
            if column.value not in OWN_TABLES[table.value]:
                raise ExpressionError(_unknown(column.value, OWN_TABLES[table.value], what="column"))
            asked = f"{self._constant(table.value)}, {found.code}, {self._constant(column.value)}"
            return self._missable(f"own.look({asked}, day)", ValueKind.TEXT, found.needs)
        if table.value not in self.tables:
            raise self._no_table(table)
        look = self._constant(self.tables[table.value].column(column.value).get)
        return self._missable(f"{look}({found.code})", ValueKind.TEXT, found.needs)

    def _no_table(self, table: Expression) -> ExpressionError:
        return ExpressionError(
            _unknown(getattr(table, "value", "?"), [*self.tables, *OWN_TABLES], what="table")
        )

    def call_day(self, call: Call) -> _Value:
        _expect(call, 0)
        return _Value("day", ValueKind.TEXT)

    def call_received(self, call: Call) -> _Value:
        _expect(call, 0)
        return _Value("received", ValueKind.TEXT)

    def call_position(self, call: Call) -> _Value:
        _expect(call, 0)
        if not self.in_items:
            raise ExpressionError("position() is for rules that are judged for each item")
        return _Value("place", ValueKind.NUMBER)

    def call_count(self, call: Call) -> _Value:
        _expect(call, 0)
        return _Value("len(items)", ValueKind.NUMBER)

    def call_sum(self, call: Call) -> _Value:
        total = self._over_items(call, ValueKind.NUMBER, _SUM)
        return _Value(total, ValueKind.NUMBER, (f"{total} is not None",))

    def call_every(self, call: Call) -> _Value:
        return _Value(self._over_items(call, ValueKind.TRUTH, _EVERY), ValueKind.TRUTH)

    def call_any(self, call: Call) -> _Value:
        return _Value(self._over_items(call, ValueKind.TRUTH, _ANY), ValueKind.TRUTH)

    def call_distinct(self, call: Call) -> _Value:
        return _Value(self._over_items(call, None, _DISTINCT), ValueKind.TRUTH)

    def _over_items(self, call: Call, kind: ValueKind | None, form: str) -> str:
        """Compile what is done over all items to a function of its own; return the variable that holds its result.

        `kind`: that the argument has to be of; None: any.
        """
        _expect(call, 1)
        if self.in_items or not self.scope.item:
            raise ExpressionError(f"{call.name}() is for rules about a declaration that has items")
        if call in self._totals:
            return self._totals[call][1]
        part = _Part(self.scope, self.tables, in_items=True, tag="")
        (each,) = call.arguments
        found = part.value(each) if kind is None else part._as(each, kind)
        body = "\n".join(part.lines("  ", "item"))
        source = form.format(body=body, guard=found.guard(), code=found.code)
        helper, name = f"o{len(self._totals)}", f"s{len(self._totals)}"
        self.constants[helper] = _made([source], "over", part)
        self._totals[call] = (helper, name)
        return name

    def _constant(self, value: Any) -> str:
        for name, known in self.constants.items():
            if known is value:
                return name
        name = f"k{len(self.constants)}{self.tag}"
        self.constants[name] = value
        return name


_SUM: Final = """
def over(head, items, day, received, own):
 total = Decimal(0)
 for place, item in enumerate(items, 1):
{body}
  if not ({guard}): return None
  total += {code}
 return total
"""
_EVERY: Final = """
def over(head, items, day, received, own):
 for place, item in enumerate(items, 1):
{body}
  if {guard} and not ({code}): return False
 return True
"""
_ANY: Final = """
def over(head, items, day, received, own):
 for place, item in enumerate(items, 1):
{body}
  if {guard} and ({code}): return True
 return False
"""
_DISTINCT: Final = """
def over(head, items, day, received, own):
 seen = set()
 for place, item in enumerate(items, 1):
{body}
  if {guard}:
   one = {code}
   if one in seen: return False
   seen.add(one)
 return True
"""


_SPECIAL: Final[Mapping[str, Callable[[_Part, Call], _Value]]] = MappingProxyType(
    {
        "filled": _Part.call_filled,
        "value": _Part.call_value,
        "in_table": _Part.call_in_table,
        "lookup": _Part.call_lookup,
        "day": _Part.call_day,
        "received": _Part.call_received,
        "position": _Part.call_position,
        "count": _Part.call_count,
        "sum": _Part.call_sum,
        "every": _Part.call_every,
        "any": _Part.call_any,
        "distinct": _Part.call_distinct,
    }
)
"""Functions of fields, tables, items and the case itself; those of values alone are `FUNCTIONS`."""


def looks_into_own(expression: Expression) -> bool:
    """Say whether an expression looks into a table of the enterprise's own."""
    tables = [one.arguments[0] for one in calls(expression) if one.name in _TABLE_CALLS and one.arguments]
    return any(isinstance(table, Text) and table.value in OWN_TABLES for table in tables)


def _conjuncts(when: Expression | None) -> list[Expression]:
    """Return the conditions that `and` joins."""
    match when:
        case None:
            return []
        case BinaryOperation("and", left, right):
            return [*_conjuncts(left), *_conjuncts(right)]
        case _:
            return [when]


def _only_field(rule: Judged) -> Field | None:
    """Return the field whose value alone a rule is about; None where it looks at more.

    What is sound by a table of an enterprise's own is sound for that enterprise and day only.
    """
    conditions = [rule.holds] if rule.when is None else [rule.when, rule.holds]
    named = {one for condition in conditions for one in fields(condition)}
    called = [one for condition in conditions for one in calls(condition)]
    context = any(one.name in _CONTEXT or looks_into_own(one) for one in called)
    return next(iter(named)) if len(named) == 1 and not context else None


def _shortest(value: Decimal) -> Decimal | int:
    """Return a whole number as int, which is compared faster."""
    return int(value) if value == value.to_integral_value() else value


def _expect(call: Call, wanted: int) -> None:
    if len(call.arguments) != wanted:
        raise ExpressionError(f"{call.name}() takes {wanted} arguments, not {len(call.arguments)}")


def _unknown(name: str, known: Iterable[str], head: Container[str] = (), *, what: str = "field") -> str:
    if name in head:
        return f"{name} is a field of the declaration: write head.{name}"
    near = get_close_matches(name, list(known), n=1)
    return f"there is no {what} {name}" + (f"; {near[0]} is meant?" if near else "")
