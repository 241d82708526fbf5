"""The language of rules: one expression of text → a tree of values (docs/rules.md).

An expression compares, adds and multiplies fields, numbers and texts, and calls the functions of
`gateway.advice.functions`. It has no loops, no patterns and no division, so that judging it takes time in proportion to
the declaration, whoever wrote it, and cannot fail.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Final

LONGEST: Final = 2000
"""Most characters of an expression."""
DEEPEST: Final = 40
"""Most brackets, calls and signs inside one another."""
OPERATORS: Final = 100
"""Most operators of an expression; a chain of them is as deep as it is long."""
KEPT: Final = 1024
"""Most expressions that are kept; the shipped rules have some 220."""

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<number>\d+(?:\.\d+)?)|'(?P<text>[^']*)'|(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?)
        |(?P<sign><=|>=|!=|[=<>+\-*(),]))""",
    re.VERBOSE | re.ASCII,
)
_COMPARISONS: Final = frozenset({"=", "!=", "<", "<=", ">", ">=", "in"})
_WORDS: Final = frozenset({"and", "or", "not", "in"})


class ExpressionError(ValueError):
    """An expression that cannot be read; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written in the rule."""

    value: Decimal


@dataclass(frozen=True, slots=True)
class Text:
    """A text as written in the rule."""

    value: str


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the item, or of the declaration: `qty`, `head.currency`."""

    name: str
    head: bool = False
    """Written with `head.` before it: of the declaration, in a rule that is judged for each item."""


@dataclass(frozen=True, slots=True)
class Call:
    """A function with its arguments: `sum(qty * price)`."""

    name: str
    arguments: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class BinaryOperation:
    """Two operands and a sign: `+`, `-`, `*`, a comparison, `and` or `or`."""

    sign: str
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class Negation:
    """`not …`."""

    operand: "Expression"


@dataclass(frozen=True, slots=True)
class Choice:
    """`… in ('a', 'b')`."""

    operand: "Expression"
    texts: tuple[str, ...]


Expression = Number | Text | Field | Call | BinaryOperation | Negation | Choice
_Read = Callable[[], Expression]


@lru_cache(maxsize=KEPT)
def parse(text: str) -> Expression:
    """Read one expression. Raises ExpressionError that names the place (a 1-based column) and what was expected.

    One rule stands at many fields of many message types: what was read is kept.
    """
    if len(text) > LONGEST:
        raise ExpressionError(f"the expression has {len(text)} characters, at most {LONGEST} are allowed")
    return _Reader(text).whole()


def fields(expression: Expression) -> Iterator[Field]:
    """Yield every field that an expression names, also inside calls; one that stands twice twice."""
    match expression:
        case Field():
            yield expression
        case Call(arguments=arguments):
            for one in arguments:
                yield from fields(one)
        case BinaryOperation(left=left, right=right):
            yield from fields(left)
            yield from fields(right)
        case Negation(operand=operand) | Choice(operand=operand):
            yield from fields(operand)
        case Number() | Text():
            return


def calls(expression: Expression) -> Iterator[Call]:
    """Yield every call of an expression, also inside others."""
    match expression:
        case Call(arguments=arguments):
            yield expression
            for one in arguments:
                yield from calls(one)
        case BinaryOperation(left=left, right=right):
            yield from calls(left)
            yield from calls(right)
        case Negation(operand=operand) | Choice(operand=operand):
            yield from calls(operand)
        case Number() | Text() | Field():
            return


def bound(expression: Expression, name: str) -> Expression:
    """Put a field in the place of `this`."""
    match expression:
        case Field(name="this"):
            return Field(name, head=expression.head)
        case Call(function, arguments):
            return Call(function, tuple([bound(one, name) for one in arguments]))
        case BinaryOperation(sign, left, right):
            return BinaryOperation(sign, bound(left, name), bound(right, name))
        case Negation(operand):
            return Negation(bound(operand, name))
        case Choice(operand, texts):
            return Choice(bound(operand, name), texts)
        case Number() | Text() | Field():
            return expression


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    """`number`, `text`, `name`, `sign`, or `end`."""
    text: str
    column: int


class _Reader:
    """Reads by recursive descent: `or` binds least, then `and`, `not`, comparisons, `+ -`, `*`."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._depth = 0
        self._operators = 0

    def whole(self) -> Expression:
        found = self._either()
        if self._next.kind != "end":
            raise self._expected("an operator or the end")
        return found

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._next
        self._at += token.kind != "end"
        return token

    def _operator(self) -> str:
        self._operators += 1
        if self._operators > OPERATORS:
            raise ExpressionError(f"column {self._next.column}: more than {OPERATORS} operators")
        return self._take().text

    def _is(self, *texts: str) -> bool:
        return self._next.kind in {"sign", "name"} and self._next.text in texts

    def _either(self) -> Expression:
        found = self._both()
        while self._is("or"):
            found = BinaryOperation(self._operator(), found, self._both())
        return found

    def _both(self) -> Expression:
        found = self._denied()
        while self._is("and"):
            found = BinaryOperation(self._operator(), found, self._denied())
        return found

    def _denied(self) -> Expression:
        if not self._is("not"):
            return self._compared()
        self._take()
        return Negation(self._inside(self._denied))

    def _compared(self) -> Expression:
        left = self._sum()
        if not self._is(*_COMPARISONS):
            return left
        sign = self._operator()
        return Choice(left, self._texts()) if sign == "in" else BinaryOperation(sign, left, self._sum())

    def _sum(self) -> Expression:
        found = self._product()
        while self._is("+", "-"):
            found = BinaryOperation(self._operator(), found, self._product())
        return found

    def _product(self) -> Expression:
        found = self._atom()
        while self._is("*"):
            found = BinaryOperation(self._operator(), found, self._atom())
        return found

    def _atom(self) -> Expression:
        token = self._take()
        if token.kind == "number":
            return Number(Decimal(token.text))
        if token.kind == "text":
            return Text(token.text)
        if token.text == "-" and token.kind == "sign":
            return BinaryOperation("-", Number(Decimal(0)), self._inside(self._atom))
        if token.text == "(" and token.kind == "sign":
            found = self._inside(self._either)
            self._close()
            return found
        if token.kind != "name" or token.text in _WORDS:
            self._at = self._tokens.index(token)
            raise self._expected("a field, a number, a 'text' or a bracket")
        if self._is("("):
            return Call(token.text, self._arguments())
        prefix, _, name = token.text.rpartition(".")
        if prefix not in {"", "head"}:
            raise ExpressionError(f"column {token.column}: only head. may stand before a field")
        return Field(name, head=bool(prefix))

    def _arguments(self) -> tuple[Expression, ...]:
        self._take()
        found: list[Expression] = []
        while not self._is(")"):
            found.append(self._inside(self._either))
            if not self._is(")"):
                self._comma()
        self._take()
        return tuple(found)

    def _texts(self) -> tuple[str, ...]:
        if not self._is("("):
            raise self._expected("a list such as ('1', '2')")
        self._take()
        found: list[str] = []
        while not self._is(")"):
            token = self._take()
            if token.kind != "text":
                self._at = self._tokens.index(token)
                raise self._expected("a 'text'")
            found.append(token.text)
            if not self._is(")"):
                self._comma()
        self._take()
        return tuple(found)

    def _comma(self) -> None:
        if not self._is(","):
            raise self._expected("a comma or )")
        self._take()

    def _close(self) -> None:
        if not self._is(")"):
            raise self._expected(")")
        self._take()

    def _inside(self, read: _Read) -> Expression:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ExpressionError(f"more than {DEEPEST} levels inside one another")
        found = read()
        self._depth -= 1
        return found

    def _expected(self, what: str) -> ExpressionError:
        token = self._next
        found = "the end" if token.kind == "end" else repr(token.text)
        return ExpressionError(f"column {token.column}: {what} was expected, not {found}")


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    end = len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None:
            raise ExpressionError(f"column {at + 1}: {text[at : at + 10].strip()!r} is not understood")
        kind = found.lastgroup or ""
        yield _Token(kind, found[kind], found.start(kind) + 1)
        at = found.end()
    yield _Token("end", "", end + 1)
