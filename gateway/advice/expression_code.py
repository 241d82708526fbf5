"""Expressions as Python: what they give, and what has to be there before; no text of a rule becomes Python text."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from itertools import count
from types import MappingProxyType
from typing import Any, Final

from gateway.advice.functions import FUNCTIONS, NAMES, Value, ValueKind, number, part_of, valid_number
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
)
from gateway.goods.register import OWN_TABLES
from gateway.rules.code_tables import CodeTables

_NUMBERS: Final = frozenset({"+", "-", "*"})
_JOINS: Final = frozenset({"and", "or"})
_SIGNS: Final = {"=": "==", "!=": "!="}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The fields that rules of one message type can name, with their kinds by the schema."""

    head: Mapping[str, ValueKind]
    item: Mapping[str, ValueKind]
    """Empty: declarations of this type have no items."""


@dataclass(frozen=True, slots=True)
class CodeValue:
    """A piece of Python: what it gives, and what has to be there before."""

    code: str
    kind: ValueKind
    needs: tuple[str, ...] = ()
    """Conditions, in order, under which the code can be run."""

    def steps(self) -> list[str]:
        """Return what has to be true one after the other, the code last."""
        return list(dict.fromkeys([*self.needs, f"({self.code})"]))

    def guard(self) -> str:
        """Return the condition under which the code can be run."""
        return " and ".join(dict.fromkeys(self.needs)) or "True"


@dataclass(slots=True)
class ExpressionCode:
    """Expressions about the declaration, or about each item: their code, and the variables that it names."""

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
    _missing: Iterator[int] = field(default_factory=count)

    def variables(self, indent: str, own: str) -> Iterator[str]:
        """Yield the lines that set the variables. `own`: the one that holds the fields named without `head.`."""
        yield from reading(indent, own, [self])
        yield from self.computing(indent)

    def computing(self, indent: str) -> Iterator[str]:
        """Yield the lines that set what is computed of the texts."""
        for one, name in self._numbers.items():
            read = "valid_number" if self.kind_of(one) is ValueKind.NUMBER else "number"
            yield f"{indent}{name} = {read}({self._texts[one]}) if {self._texts[one]} else None"
        for function, name in self._totals.values():
            yield f"{indent}{name} = {function}(head, items, day, received, own)"

    def text(self, named: Field) -> str:
        """Return the variable with the text of a field."""
        return self._texts.setdefault(named, f"t{len(self._texts)}{self.tag}")

    def texts(self) -> Mapping[Field, str]:
        """Return each field that is named, and the variable with its text."""
        return self._texts

    def truth(self, expression: Expression) -> CodeValue:
        """Compile a condition. Raises ExpressionError when it is none."""
        found = self.value(expression)
        if found.kind is not ValueKind.TRUTH:
            raise ExpressionError(f"a condition was expected, not a {found.kind}")
        return found

    def value(self, expression: Expression) -> CodeValue:  # noqa: PLR0911 (one for each kind of expression)
        """Compile any expression; a field gives what the schema says of it."""
        match expression:
            case Number(value):
                return CodeValue(self.constant(_shortest(value)), ValueKind.NUMBER)
            case Text(value):
                return CodeValue(self.constant(value), ValueKind.TEXT)
            case Field():
                return self._field(expression, self.kind_of(expression))
            case Negation(operand):
                found = self.truth(operand)
                return CodeValue(f"not ({found.code})", ValueKind.TRUTH, found.needs)
            case Choice(operand, texts):
                found = self._as(operand, ValueKind.TEXT)
                return CodeValue(
                    f"{found.code} in {self.constant(frozenset(texts))}", ValueKind.TRUTH, found.needs
                )
            case BinaryOperation(sign, left, right):
                return self._operation(sign, left, right)
            case Call():
                literal = self._literal(expression)
                return self._call(expression) if literal is None else self.value(literal)

    def _as(self, expression: Expression, kind: ValueKind) -> CodeValue:
        """Compile an expression where a number, or a text, is wanted; a field can be both."""
        found = self._field(expression, kind) if isinstance(expression, Field) else self.value(expression)
        if found.kind is not kind:
            raise ExpressionError(f"a {kind} was expected, not a {found.kind}")
        return found

    def kind_of(self, named: Field) -> ValueKind:
        """Return what a field is by its schema. Raises ExpressionError when there is no such field."""
        of_head = named.head or not self.in_items
        there = self.scope.head if of_head else self.scope.item
        if named.head and not self.in_items:
            raise ExpressionError(
                f"head.{named.name}: the rule is judged for the declaration, write {named.name}"
            )
        if named.name not in there:
            raise ExpressionError(_unknown(named.name, there, () if of_head else self.scope.head))
        return there[named.name]

    def _field(self, named: Field, kind: ValueKind) -> CodeValue:
        self.kind_of(named)
        text = self.text(named)
        if kind is ValueKind.TEXT:
            return CodeValue(text, kind, (text,))
        if kind is ValueKind.NUMBER:
            name = self._numbers.setdefault(named, f"d{len(self._numbers)}{self.tag}")
            return CodeValue(name, kind, (f"{name} is not None",))
        raise ExpressionError(f"{named.name} is no condition; compare it, or write filled({named.name})")

    def _operation(self, sign: str, left: Expression, right: Expression) -> CodeValue:
        if sign in _JOINS:
            one, other = self.truth(left), self.truth(right)
            return CodeValue(
                f"({one.code}) {sign} ({other.code})", ValueKind.TRUTH, (*one.needs, *other.needs)
            )
        if sign in _NUMBERS:
            kind, gives = ValueKind.NUMBER, ValueKind.NUMBER
        else:
            kinds = {self.value(left).kind, self.value(right).kind}
            kind, gives = ValueKind.NUMBER if ValueKind.NUMBER in kinds else ValueKind.TEXT, ValueKind.TRUTH
        one, other = self._as(left, kind), self._as(right, kind)
        code = f"({one.code} {_SIGNS.get(sign, sign)} {other.code})"
        return CodeValue(code, gives, (*one.needs, *other.needs))

    def _call(self, call: Call) -> CodeValue:
        special = _SPECIAL.get(call.name)
        if special is not None:
            return special(self, call)
        known = FUNCTIONS.get(call.name)
        if known is None:
            raise ExpressionError(_unknown(call.name, [*FUNCTIONS, *_SPECIAL], what="function"))
        _expect(call, len(known.takes))
        arguments = [self._as(one, kind) for one, kind in zip(call.arguments, known.takes, strict=True)]
        match call:
            case Call("part", (_, Number(first), Number(count))):
                code = f"{arguments[0].code}[{self.constant(part_of(first, count))}]"
            case _:
                code = known.inline or f"f_{call.name}({', '.join(['{}'] * len(arguments))})"
                code = code.format(*(one.code for one in arguments))
        needs = tuple(need for one in arguments for need in one.needs)
        return (
            self._missable(code, known.gives, needs)
            if known.may_miss
            else CodeValue(code, known.gives, needs)
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

    def _missable(self, code: str, kind: ValueKind, needs: tuple[str, ...]) -> CodeValue:
        name = f"m{next(self._missing)}{self.tag}"
        return CodeValue(name, kind, (*needs, f"({name} := {code}) is not None"))

    def call_filled(self, call: Call) -> CodeValue:
        """Compile whether a field has a value. Raises ExpressionError."""
        _expect(call, 1)
        (named,) = call.arguments
        if not isinstance(named, Field):
            raise ExpressionError("filled() takes a field")
        return CodeValue(f"({self._field(named, ValueKind.TEXT).code} is not None)", ValueKind.TRUTH)

    def call_value(self, call: Call) -> CodeValue:
        """Compile a field, or what stands in its place. Raises ExpressionError."""
        _expect(call, 2)
        named, other = call.arguments
        if not isinstance(named, Field) or not isinstance(other, Number | Text):
            raise ExpressionError("value() takes a field, and what stands in its place")
        kind = ValueKind.NUMBER if isinstance(other, Number) else ValueKind.TEXT
        found = self._field(named, kind).code
        value = _shortest(other.value) if isinstance(other, Number) else other.value
        return CodeValue(f"({self.constant(value)} if {found} is None else {found})", kind)

    def call_in_table(self, call: Call) -> CodeValue:
        """Compile whether a code is in a table. Raises ExpressionError."""
        _expect(call, 2)
        table, code = call.arguments
        if not isinstance(table, Text) or not (table.value in self.tables or table.value in OWN_TABLES):
            raise self._no_table(table)
        found = self._as(code, ValueKind.TEXT)
        if table.value in OWN_TABLES:
            look = f"own.has({self.constant(table.value)}, {found.code}, day)"
            return self._missable(look, ValueKind.TRUTH, found.needs)
        return CodeValue(
            f"{found.code} in {self.constant(self.tables[table.value].rows)}", ValueKind.TRUTH, found.needs
        )

    def call_lookup(self, call: Call) -> CodeValue:
        """Compile the cell of a table. Raises ExpressionError."""
        _expect(call, 3)
        table, code, column = call.arguments
        if not isinstance(table, Text) or not isinstance(column, Text):
            raise self._no_table(table)
        found = self._as(code, ValueKind.TEXT)
        if table.value in OWN_TABLES:
            if column.value not in OWN_TABLES[table.value]:
                raise ExpressionError(_unknown(column.value, OWN_TABLES[table.value], what="column"))
            asked = f"{self.constant(table.value)}, {found.code}, {self.constant(column.value)}"
            return self._missable(f"own.look({asked}, day)", ValueKind.TEXT, found.needs)
        if table.value not in self.tables:
            raise self._no_table(table)
        look = self.constant(self.tables[table.value].column(column.value).get)
        return self._missable(f"{look}({found.code})", ValueKind.TEXT, found.needs)

    def _no_table(self, table: Expression) -> ExpressionError:
        return ExpressionError(
            _unknown(getattr(table, "value", "?"), [*self.tables, *OWN_TABLES], what="table")
        )

    def call_day(self, call: Call) -> CodeValue:
        """Compile the declaration's day. Raises ExpressionError."""
        _expect(call, 0)
        return CodeValue("day", ValueKind.TEXT)

    def call_received(self, call: Call) -> CodeValue:
        """Compile the time of receipt. Raises ExpressionError."""
        _expect(call, 0)
        return CodeValue("received", ValueKind.TEXT)

    def call_position(self, call: Call) -> CodeValue:
        """Compile the place of the item. Raises ExpressionError."""
        _expect(call, 0)
        if not self.in_items:
            raise ExpressionError("position() is for rules that are judged for each item")
        return CodeValue("place", ValueKind.NUMBER)

    def call_count(self, call: Call) -> CodeValue:
        """Compile the number of items. Raises ExpressionError."""
        _expect(call, 0)
        return CodeValue("len(items)", ValueKind.NUMBER)

    def call_sum(self, call: Call) -> CodeValue:
        """Compile a sum over the items. Raises ExpressionError."""
        total = self._over_items(call, ValueKind.NUMBER, _SUM)
        return CodeValue(total, ValueKind.NUMBER, (f"{total} is not None",))

    def call_every(self, call: Call) -> CodeValue:
        """Compile a condition on every item. Raises ExpressionError."""
        return CodeValue(self._over_items(call, ValueKind.TRUTH, _EVERY), ValueKind.TRUTH)

    def call_any(self, call: Call) -> CodeValue:
        """Compile a condition on some item. Raises ExpressionError."""
        return CodeValue(self._over_items(call, ValueKind.TRUTH, _ANY), ValueKind.TRUTH)

    def call_distinct(self, call: Call) -> CodeValue:
        """Compile that no two items have the same. Raises ExpressionError."""
        return CodeValue(self._over_items(call, None, _DISTINCT), ValueKind.TRUTH)

    def _over_items(self, call: Call, kind: ValueKind | None, form: str) -> str:
        """Compile what is done over all items to a function of its own; return the variable that holds its result.

        `kind`: that the argument has to be of; None: any.
        """
        _expect(call, 1)
        if self.in_items or not self.scope.item:
            raise ExpressionError(f"{call.name}() is for rules about a declaration that has items")
        if call in self._totals:
            return self._totals[call][1]
        part = ExpressionCode(self.scope, self.tables, in_items=True, tag="")
        (each,) = call.arguments
        found = part.value(each) if kind is None else part._as(each, kind)
        body = "\n".join(part.variables("  ", "item"))
        source = form.format(body=body, guard=found.guard(), code=found.code)
        helper, name = f"o{len(self._totals)}", f"s{len(self._totals)}"
        self.constants[helper] = made([source], "over", part.constants)
        self._totals[call] = (helper, name)
        return name

    def constant(self, value: Any) -> str:
        """Return the variable that holds a constant."""
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


_SPECIAL: Final[Mapping[str, Callable[[ExpressionCode, Call], CodeValue]]] = MappingProxyType(
    {
        "filled": ExpressionCode.call_filled,
        "value": ExpressionCode.call_value,
        "in_table": ExpressionCode.call_in_table,
        "lookup": ExpressionCode.call_lookup,
        "day": ExpressionCode.call_day,
        "received": ExpressionCode.call_received,
        "position": ExpressionCode.call_position,
        "count": ExpressionCode.call_count,
        "sum": ExpressionCode.call_sum,
        "every": ExpressionCode.call_every,
        "any": ExpressionCode.call_any,
        "distinct": ExpressionCode.call_distinct,
    }
)
"""Functions of fields, tables, items and the case itself; those of values alone are `FUNCTIONS`."""


def reading(indent: str, own: str, parts: Sequence[ExpressionCode]) -> Iterator[str]:
    """Yield the lines that read all fields that the parts name, those of one holder together, which is faster.

    The first part gets the constants. `own`: as in `variables`.
    """
    for source in dict.fromkeys(["head", own]):
        texts = [
            (name, one.name)
            for part in parts
            for one, name in part.texts().items()
            if ("head" if one.head else own) == source
        ]
        if texts:
            names = parts[0].constant(tuple([name for _, name in texts]))
            yield f"{indent}{', '.join([name for name, _ in texts])}, = map({source}.get, {names})"


def made(lines: Sequence[str], name: str, *constants: Mapping[str, Any]) -> Any:
    """Run the lines that define a function, with the constants that they name, and return it."""
    names: dict[str, Any] = {**NAMES, "number": number, "valid_number": valid_number, "Decimal": Decimal}
    for one in constants:
        names |= one
    exec(compile("\n".join(lines), "<rules>", "exec"), names)  # noqa: S102 (numbered names alone)
    return names[name]


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
