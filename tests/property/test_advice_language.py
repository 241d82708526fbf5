"""The language of rules: what is compiled means what a plain evaluator says, and no text does any harm."""

import random
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.advice.compiling import Judged, Scope, evaluated
from gateway.advice.functions import FUNCTIONS, ValueKind
from gateway.advice.syntax import DEEPEST, LONGEST, OPERATORS, ExpressionError, parse
from gateway.advice.wording import CALLS, in_words
from gateway.rules.code_tables import CodeTable
from tests.property.advice_reference import World, broken, compiled

HEAD = {
    "a": ValueKind.NUMBER,
    "b": ValueKind.NUMBER,
    "s": ValueKind.TEXT,
    "t": ValueKind.TEXT,
    "buyerName": ValueKind.TEXT,
}
ITEM = {"q": ValueKind.NUMBER, "p": ValueKind.NUMBER, "r": ValueKind.TEXT}
SCOPE = Scope(head=HEAD, item=ITEM)
TABLES = {
    "known": CodeTable(
        name="known", title_zh="", title_en="", edition="", grade="U", source="", columns=("zh", "n"),
        rows=MappingProxyType({"1": ("一", "10"), "A1": ("甲", ""), "142": ("中国", "x")}),
    )
}  # fmt: skip
TEXTS = (
    "",
    "1",
    "A1",
    "142",
    "无",
    " 1",
    "１",
    "20240229",
    "20230229",
    "20240904120000",
    "1.9E+09",
    "-3",
    "0.5",
    "'",
)
NUMBERS = ("0", "1", "-2.5", "100", "0.00001", "99999999999999.99999", " 7 ")
SPECIAL = (
    "filled",
    "value",
    "in_table",
    "lookup",
    "day",
    "received",
    "position",
    "count",
    "sum",
    "every",
    "any",
    "distinct",
)


class Maker:
    """Makes expressions of the right kinds at random."""

    def __init__(self, rng: random.Random, *, in_items: bool) -> None:
        self.rng = rng
        self.in_items = in_items

    def field(self, *kinds: ValueKind) -> str:
        here = ITEM if self.in_items else HEAD
        names = [name for name, kind in here.items() if kind in kinds]
        if self.in_items and self.rng.random() < 1 / 3:
            return f"head.{self.rng.choice([name for name, kind in HEAD.items() if kind in kinds])}"
        return self.rng.choice(names)

    def truth(self, depth: int) -> str:
        pick = self.rng.randrange(3 if depth > 0 else 1, 9)
        if pick in (3, 4) and depth > 0:
            return f"({self.truth(depth - 1)} {self.rng.choice(('and', 'or'))} {self.truth(depth - 1)})"
        if pick == 5 and depth > 0:
            return f"not ({self.truth(depth - 1)})"
        if pick == 6:
            return self.about_text()
        if pick == 7 and not self.in_items and depth > 0:
            inner = Maker(self.rng, in_items=True)
            name = self.rng.choice(("every", "any"))
            distinct = f"distinct({inner.field(ValueKind.TEXT, ValueKind.NUMBER)})"
            return self.rng.choice((f"{name}({inner.truth(depth - 1)})", distinct))
        sign = self.rng.choice(("=", "!=", "<", "<=", ">", ">="))
        if self.rng.random() < 1 / 3:
            return f"{self.text()} {sign} {self.text()}"
        return f"{self.number(depth)} {sign} {self.number(depth)}"

    def about_text(self) -> str:
        one = [
            name
            for name, known in FUNCTIONS.items()
            if known.gives is ValueKind.TRUTH and known.takes == (ValueKind.TEXT,)
        ]
        return self.rng.choice(
            (
                f"{self.rng.choice(one)}({self.text()})",
                f"starts({self.text()}, {self.text()})",
                f"filled({self.field(ValueKind.TEXT, ValueKind.NUMBER)})",
                f"in_table('known', {self.text()})",
                f"{self.text()} in ('1', 'A1')",
                f"near({self.number(0)}, {self.number(0)}, 0.5)",
            )
        )

    def text(self) -> str:
        return self.rng.choice(
            (
                self.field(ValueKind.TEXT), self.field(ValueKind.TEXT), "'A1'", "''", f"value({self.field(ValueKind.TEXT)}, 'none')", "day()",
                f"lookup('known', {self.field(ValueKind.TEXT)}, 'zh')", f"part({self.field(ValueKind.TEXT)}, 1, 8)", "received()",
            )
        )  # fmt: skip

    def number(self, depth: int) -> str:
        if depth > 0 and self.rng.random() < 1 / 2:
            return f"({self.number(depth - 1)} {self.rng.choice('+-*')} {self.number(depth - 1)})"
        choices = [
            self.field(ValueKind.NUMBER), self.field(ValueKind.NUMBER), f"{self.rng.randrange(9)}.5", "2", f"length({self.text()})",
            f"days({self.text()}, {self.text()})", f"minutes(received(), {self.text()})", "count()",
            f"value({self.field(ValueKind.NUMBER)}, 3)", f"number({self.text()})",
        ]  # fmt: skip
        if self.in_items:
            choices.append("position()")
        else:
            choices.append(f"sum({Maker(self.rng, in_items=True).number(depth - 1)})")
        return self.rng.choice(choices)


def fields_of(rng: random.Random, kinds: dict[str, ValueKind]) -> dict[str, str]:
    texts = {
        name: rng.choice(NUMBERS if kind is ValueKind.NUMBER else TEXTS)
        for name, kind in kinds.items()
        if rng.random() < 4 / 5
    }
    return {name: text for name, text in texts.items() if text}


@pytest.mark.parametrize("in_items", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_compiled_rules_mean_what_the_plain_evaluator_says(seed: int, in_items: bool) -> None:
    rng = random.Random(f"{seed} {in_items}")
    judged, seen = 0, 0
    for _ in range(20):
        make = Maker(rng, in_items=in_items)
        texts = [(make.truth(2) if rng.random() < 1 / 2 else "", make.truth(3)) for _ in range(6)]
        rules = [(parse(when) if when else None, parse(holds)) for when, holds in texts]
        judge = compiled(
            [
                Judged(number=n, each_item=in_items, when=when, holds=holds)
                for n, (when, holds) in enumerate(rules)
            ],
            SCOPE,
            TABLES,
        )
        for _ in range(10):
            head, items = fields_of(rng, HEAD), [fields_of(rng, ITEM) for _ in range(rng.randrange(4))]
            world = World(
                scope=SCOPE, tables=TABLES, head=head, items=items, day="20240904", received="20240904120000"
            )
            places = range(1, len(items) + 1) if in_items else [0]
            wanted = {
                (n, at)
                for n, (when, holds) in enumerate(rules)
                for at in places
                if broken(when, holds, world.at(at))
            }
            found = judge(head, items, world.day, world.received, None)
            assert set(found) == wanted, texts
            assert len(found) == len(wanted)
            judged, seen = judged + len(places) * len(rules), seen + len(found)
    assert 0.05 < seen / judged < 0.9


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60) | st.text("ab'()+-*=<>!,. 019headinortand_", max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        expression = parse(text)
        compiled([Judged(number=0, each_item=False, when=None, holds=expression)], SCOPE, TABLES)(
            {}, [], "", "", None
        )
    except ExpressionError:
        return
    assert in_words(expression)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true') = 1",
        "head.__class__ = 1",
        "a.__class__ = 1",
        "eval('1') = 1",
        "exec(s)",
        "found = 1",
        "k0 = 1",
        "number = 1",
        "lambda = 1",
        "a / 0 = 1",
        "a ** 9 = 1",
        "a = 1; a",
        "a = 1\nimport os",
        "[a] = 1",
        "a if b else 1",
        "filled(1)",
        "value(1, 2) = 1",
        "in_table(s, s)",
        "in_table('unknown', s)",
        "lookup('known', s, t) = s",
        "sum(sum(q)) = 1",
        "every(every(q = 1))",
        "position() = 1",
        "s + 1",
        "a",
        "not a",
        "near(a, b)",
        "this = 1",
        "item.q = 1",
        "q = 1",
    ],
)
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        compiled([Judged(number=0, each_item=False, when=None, holds=parse(text))], SCOPE, TABLES)


@pytest.mark.parametrize("value", ["'); import os; ('", '"""', "{0}", "\\", "\n", "f'{a}'"])
def test_texts_of_a_rule_stay_texts(value: str) -> None:
    expression = parse(f"s = '{value}'") if "'" not in value else None
    if expression is None:
        with pytest.raises(ExpressionError):
            parse(f"s = '{value}'")
        return
    judge = compiled([Judged(number=0, each_item=False, when=None, holds=expression)], SCOPE, TABLES)
    assert judge({"s": value}, [], "", "", None) == []
    assert judge({"s": "other"}, [], "", "", None) == [(0, 0)]


WORST: tuple[Callable[[], str], ...] = (
    lambda: "(" * (LONGEST // 2) + "a = 1" + ")" * (LONGEST // 2 - 5),
    lambda: "not " * 400 + "a = 1",
    lambda: "-" * 1000 + "1 = 1",
    lambda: "+".join(["1"] * 1000) + "=1",
    lambda: " or ".join(["a=1"] * 250),
    lambda: "length(" * 200 + "s" + ")" * 200 + " = 1",
    lambda: "a" * (LONGEST + 1),
    lambda: "s in (" + ",".join(["'x'"] * 490) + ",",
)


@pytest.mark.parametrize("make", WORST)
def test_hostile_sizes_are_refused(make: Callable[[], str]) -> None:
    with pytest.raises(ExpressionError):
        parse(make())


@pytest.mark.parametrize(
    "text",
    [
        " or ".join(["a=1"] * (OPERATORS // 2)),
        " and ".join(["near(a,b,1)"] * (OPERATORS + 1)),
        "+".join(["a"] * OPERATORS) + " = 1",
        "*".join(["t"] * OPERATORS) + " = 1",
        "(" * (DEEPEST - 1) + "+".join(["a"] * OPERATORS) + " = 1" + ")" * (DEEPEST - 1),
        "not (" * (DEEPEST // 2) + " or ".join(["a=1"] * (OPERATORS // 2)) + ")" * (DEEPEST // 2),
        "s in (" + ",".join(["'x'"] * 480) + ")",
    ],
)
def test_the_largest_expressions_are_compiled_and_judged(text: str) -> None:
    judge = compiled([Judged(number=0, each_item=False, when=None, holds=parse(text))], SCOPE, TABLES)
    judge({"a": "9" * 19, "b": "1", "t": "9" * 1000, "s": "y"}, [], "", "", None)


def test_a_number_beyond_all_texts_cuts_nothing() -> None:
    product = "*".join(["number(t)"] * (OPERATORS // 2))
    show = evaluated(parse(f"part(s, {product}, {product})"), SCOPE, TABLES, each_item=False)
    assert show({"t": "9" * 1000, "s": "text"}, [], "", "", 0) == ""


def test_every_function_has_words_and_a_place_in_the_documents() -> None:
    assert {*FUNCTIONS, *SPECIAL} == CALLS.keys()
    page = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
    assert [name for name in CALLS if f"`{name}(" not in page] == []


def test_a_sound_value_of_a_person_is_not_remembered() -> None:
    rules = [
        Judged(
            number=0,
            each_item=False,
            when=None,
            holds=parse("is_half_width(buyerName) and is_half_width(buyerName)"),
        )
    ]
    judge = compiled(
        [*rules, Judged(number=1, each_item=False, when=None, holds=parse("is_half_width(s)"))], SCOPE, TABLES
    )
    assert judge({"buyerName": "Nobody", "s": "seen"}, [], "", "", None) == []
    kept = [value for value in judge.__globals__.values() if isinstance(value, set)]
    assert kept == [{"seen"}]
