"""What an expression of the rules means, evaluated step by step: slow, plain, and written apart from the compiler."""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from gateway.advice.compiling import Found, Judged, RuleCompiler, Scope
from gateway.advice.functions import FUNCTIONS, Value, ValueKind
from gateway.advice.syntax import BinaryOperation, Call, Choice, Expression, Field, Negation, Number, Text
from gateway.rules.code_tables import CodeTables

SIGNS: Mapping[str, Callable[[Any, Any], Value]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "=": operator.eq, "!=": operator.ne,
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


class Missing(Exception):  # noqa: N818 (no error: the rule is not judged)
    """A value that the expression needs is not there."""


@dataclass(frozen=True, kw_only=True)
class World:
    """One declaration and what an expression can see of it."""

    scope: Scope
    tables: CodeTables
    head: Mapping[str, str]
    items: Sequence[Mapping[str, str]]
    day: str
    received: str
    place: int = 0
    """1-based, of the item the expression is about; 0: the declaration."""

    def at(self, place: int) -> "World":
        return World(
            scope=self.scope, tables=self.tables, head=self.head, items=self.items, day=self.day, received=self.received,
            place=place,
        )  # fmt: skip


def compiled(rules: Iterable[Judged], scope: Scope, tables: CodeTables) -> Found:
    """Compile rules alone, without what the adviser puts around them. Raises ExpressionError."""
    compiler = RuleCompiler(scope, tables)
    for rule in rules:
        compiler.add(rule)
    return compiler.judge()


def broken(when: Expression | None, holds: Expression, world: World) -> bool:
    """Say whether a rule is judged, and does not hold."""
    try:
        return (when is None or bool(evaluate(when, world, None))) and not evaluate(holds, world, None)
    except Missing:
        return False


def evaluate(expression: Expression, world: World, wanted: ValueKind | None) -> Value:
    """Evaluate all of an expression, also what would not change the result. Raises Missing."""
    match expression:
        case Number(value) | Text(value):
            return value
        case Field():
            return read(expression, world, wanted or declared(expression, world))
        case Negation(operand):
            return not evaluate(operand, world, None)
        case Choice(operand, texts):
            return evaluate(operand, world, ValueKind.TEXT) in texts
        case BinaryOperation(sign, left, right):
            return operate(sign, left, right, world)
        case Call(name, arguments):
            return call(name, arguments, world)


def operate(sign: str, left: Expression, right: Expression, world: World) -> Value:
    if sign in {"and", "or"}:
        one, other = evaluate(left, world, None), evaluate(right, world, None)
        return (one and other) if sign == "and" else (one or other)
    counted = sign in {"+", "-", "*"} or ValueKind.NUMBER in {kind(left, world), kind(right, world)}
    wanted = ValueKind.NUMBER if counted else ValueKind.TEXT
    a, b = evaluate(left, world, wanted), evaluate(right, world, wanted)
    return SIGNS[sign](a, b)


def call(name: str, arguments: tuple[Expression, ...], world: World) -> Value:
    if name in FUNCTIONS:
        known = FUNCTIONS[name]
        values = [evaluate(one, world, kind) for one, kind in zip(arguments, known.takes, strict=True)]
        return there(known.call(*values))
    plain: dict[str, Value] = {
        "day": world.day,
        "received": world.received,
        "position": Decimal(world.place),
        "count": Decimal(len(world.items)),
    }
    if name in plain:
        return plain[name]
    if name in {"in_table", "lookup"}:
        return looked_up(arguments, world)
    if name in {"filled", "value"}:
        return given(arguments, world)
    return over_items(name, arguments[0], world)


def looked_up(arguments: tuple[Expression, ...], world: World) -> Value:
    """Evaluate `in_table` and, of three arguments, `lookup`."""
    table, code, *column = arguments
    assert isinstance(table, Text)
    key = str(evaluate(code, world, ValueKind.TEXT))
    if not column:
        return key in world.tables[table.value].rows
    assert isinstance(column[0], Text)
    return there(world.tables[table.value].column(column[0].value).get(key))


def given(arguments: tuple[Expression, ...], world: World) -> Value:
    """Evaluate `filled` and, of two arguments, `value`."""
    field, *other = arguments
    assert isinstance(field, Field)
    found: Value = text_of(field, world)
    if not other:
        return found is not None
    assert isinstance(other[0], Number | Text)
    if isinstance(other[0], Number) and found is not None:
        found = FUNCTIONS["number"].call(found)
    return other[0].value if found is None else found


def over_items(name: str, each: Expression, world: World) -> Value:
    found: list[Any] = []
    for place in range(1, len(world.items) + 1):
        try:
            found.append(evaluate(each, world.at(place), ValueKind.NUMBER if name == "sum" else None))
        except Missing:
            if name == "sum":
                raise
    match name:
        case "sum":
            return sum(found, Decimal(0))
        case "every":
            return all(found)
        case "any":
            return any(found)
        case _:
            return len(set(found)) == len(found)


def kind(expression: Expression, world: World) -> ValueKind:
    match expression:
        case Number():
            return ValueKind.NUMBER
        case Field():
            return declared(expression, world)
        case BinaryOperation(sign, _, _) if sign in {"+", "-", "*"}:
            return ValueKind.NUMBER
        case Call(name, _) if name in FUNCTIONS:
            return FUNCTIONS[name].gives
        case Call("value", (_, Number())) | Call("position" | "count" | "sum", _):
            return ValueKind.NUMBER
        case _:
            return ValueKind.TEXT


def declared(field: Field, world: World) -> ValueKind:
    return (world.scope.item if world.place and not field.head else world.scope.head)[field.name]


def text_of(field: Field, world: World) -> str | None:
    holder = world.items[world.place - 1] if world.place and not field.head else world.head
    return holder.get(field.name)


def read(field: Field, world: World, wanted: ValueKind) -> Value:
    text = there(text_of(field, world))
    return there(FUNCTIONS["number"].call(text)) if wanted is ValueKind.NUMBER else text


def there(value: Value) -> Value:
    if value is None:
        raise Missing
    return value
