"""Conditions of rules in words, for people who read a rule (`gateway rules explain`)."""

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from gateway.advice.syntax import BinaryOperation, Call, Choice, Expression, Field, Negation, Number, Text

_SIGNS: Final = {
    "=": "is", "!=": "is not", "<": "is below", "<=": "is at most", ">": "is above", ">=": "is at least",
    "+": "plus", "-": "less", "*": "times", "and": "and", "or": "or",
}  # fmt: skip
CALLS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "near": "{0} differs from {1} by {2} at most",
        "length": "the length of {0}",
        "is_digits": "{0} consists of digits",
        "starts": "{0} begins with {1}",
        "contains": "{0} contains {1}",
        "part": "the {2} characters of {0} from character {1} on",
        "is_date": "{0} is a day of the calendar",
        "is_time": "{0} is a time of the calendar",
        "days": "the days from {0} to {1}",
        "minutes": "the minutes from {0} to {1}",
        "number": "the number in {0}",
        "is_trimmed": "{0} has no blanks around it",
        "is_exponent": "{0} is a number in exponent form",
        "is_plain_code": "{0} is written as codes are (half-width, no blanks around, no filler, no exponent)",
        "is_half_width": "{0} is in half-width characters",
        "is_filler": "{0} stands for having none",
        "is_identity_number": "{0} is an identity number with the right check character",
        "is_customs_code": "{0} has the form of a customs registration code",
        "is_credit_code": "{0} is a unified social credit code with the right check character",
        "filled": "{0} is given",
        "value": "{0}, or {1} where it is missing",
        "in_table": "{1} is in the table {0}",
        "lookup": "{2} of {1} in the table {0}",
        "day": "the day of the declaration",
        "received": "the time of receipt",
        "position": "the place of the item",
        "count": "the number of items",
        "sum": "the sum of {0} over the items",
        "every": "for every item, {0}",
        "any": "for some item, {0}",
        "distinct": "no two items have the same {0}",
    }
)  # fmt: skip
"""Function → its words, with a place for each argument."""


def in_words(expression: Expression) -> str:  # noqa: PLR0911 (one for each kind of expression)
    """Return an expression as English words; brackets stand where parts could be read otherwise."""
    match expression:
        case Number(value):
            return _number(value)
        case Text(value):
            return f"'{value}'"
        case Field(name, head):
            return f"{name} of the declaration" if head else name
        case Call("part", (text, Number(first), Number(count))):
            return f"characters {first} to {first + count - 1} of {in_words(text)}"
        case Call(name, arguments):
            return CALLS[name].format(*map(in_words, arguments)) if name in CALLS else name
        case Negation(operand):
            return f"not: {_inside(operand)}"
        case Choice(operand, texts):
            return f"{in_words(operand)} is one of {', '.join(texts)}"
        case BinaryOperation(sign, left, right):
            return f"{_inside(left, sign)} {_SIGNS[sign]} {_inside(right, sign)}"


def _inside(expression: Expression, sign: str = "") -> str:
    words = in_words(expression)
    joined = (
        isinstance(expression, BinaryOperation)
        and expression.sign != sign
        and expression.sign in {"and", "or"}
    )
    counted = isinstance(expression, BinaryOperation) and sign == "*" and expression.sign in {"+", "-"}
    return f"({words})" if joined or counted else words


def _number(value: Decimal) -> str:
    return f"{value:,f}"
