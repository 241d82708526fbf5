"""A text of the document is what somebody wrote, never what a spreadsheet or a floating point number made of it."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from typing import Any

import pytest
from hypothesis import example as tried
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.gateway_toml import LimitsConfig
from gateway.mapping.faults import SourceFault
from gateway.mapping.language import Branch, Copied, SheetColumn
from gateway.mapping.sources.item import Reference
from gateway.mapping.translate import translate
from gateway.mapping.translated import Translated
from tests.unit.mapping_examples import example, mappings

LIMITS = LimitsConfig()
LONG = st.integers(10**15, 10**21 - 1)
"""Order numbers, identity numbers: more digits than floating point keeps."""
MADE_BY: dict[str, Callable[[int], str]] = {
    "spreadsheet": lambda number: f"{Decimal(number):.2E}",
    "spreadsheet, wide": lambda number: f"{Decimal(number):.5E}",
    "Java": lambda number: f"{float(number):.15E}".replace("E+", "E"),
    "Python, JavaScript": lambda number: f"{float(number):.16e}",
    "German spreadsheet": lambda number: f"{Decimal(number):.2E}".replace(".", ","),
}
LOST: dict[str, Callable[[int], str]] = {
    "exponent": lambda number: f"{Decimal(number):.5E}",
    "exponent of a short number": lambda number: f"{number % 9 + 1}e3",
    "digits": lambda number: str(number + 2**53),
    "of a negative number": lambda number: str(-number - 2**53),
    "a column with gaps": lambda number: f"{number % 10**12}.0",
    "rest of a sum": lambda number: f"0.{number + 10**16}",
    "word": lambda number: ("true", "false")[number % 2],
}
RULES = {"exponent_form", "digits_lost", "word_for_text"}


@dataclass(frozen=True, kw_only=True)
class Text:
    """An element that is copied as a text."""

    mapping: str
    element: str
    at: Reference | SheetColumn
    in_lines: bool
    """It stands in the lines of goods of a declaration."""


def texts(name: str) -> list[Text]:
    found: list[Text] = []

    def walk(branch: Branch, *, deep: int) -> None:
        deep += branch.each is not None
        for part in branch.parts:
            if isinstance(part, Branch):
                walk(part, deep=deep)
            elif isinstance(part.origin.source, Copied) and not part.origin.reads_numbers:
                found.extend(
                    Text(mapping=name, element=part.name, at=one, in_lines=deep > 1)
                    for piece in part.origin.source.pieces
                    for one in piece
                    if not isinstance(one, str)
                )

    walk(mappings()[name].root, deep=0)
    return found


JSON_TEXTS = texts("orders") + texts("payments")
CSV_TEXTS = texts("inventories")


def with_value(text: Text, literal: str) -> Translated:
    """The example of the page with this, as it stands, at a place of the whole or of each declaration."""
    whole: Any = json.loads(example(text.mapping))
    (items,) = (one for one in whole.values() if isinstance(one, list))
    items = [line for one in items for line in one["lines"]] if text.in_lines else items
    assert isinstance(text.at, Reference)
    for item in items if text.at.ups == 0 else [whole]:
        *steps, last = text.at.steps
        reduce(lambda holder, step: holder.setdefault(step, {}), steps, item)[last] = "HERE"
    return translate(json.dumps(whole).replace('"HERE"', literal).encode(), mappings()[text.mapping], LIMITS)


def with_cell(column: str, text: str) -> Translated:
    rows = list(csv.DictReader(io.StringIO(example("inventories").decode())))
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(row | {column: text} for row in rows)
    return translate(out.getvalue().encode(), mappings()["inventories"], LIMITS)


def told(done: Translated, element: str) -> list[SourceFault]:
    return [one for one in done.faults if one.element == element]


def is_clear(fault: SourceFault, place: str) -> None:
    assert fault.rule in RULES, fault
    assert place in fault.source
    assert fault.line
    assert fault.column
    assert fault.value
    assert "text" in fault.fix
    assert "文本" in fault.message_zh


@pytest.mark.parametrize("how", LOST)
@settings(max_examples=30, deadline=None)
@given(number=LONG, text=st.sampled_from(JSON_TEXTS))
@tried(number=123456789012345678, text=next(one for one in JSON_TEXTS if one.element == "orderNo"))
def test_what_became_of_a_number_is_refused_where_json_wants_a_text(
    how: str, number: int, text: Text
) -> None:
    literal = LOST[how](number)
    done = with_value(text, literal)
    found = told(done, text.element)
    assert found, literal
    for fault in found:
        is_clear(fault, text.at.written.rpartition("/")[2])
    assert f">{literal}</" not in done.document.decode(), "nothing of it is written"


@pytest.mark.parametrize("how", MADE_BY)
@settings(max_examples=30, deadline=None)
@given(number=LONG, cell=st.sampled_from(CSV_TEXTS), text=st.sampled_from(JSON_TEXTS))
def test_exponent_form_is_refused_where_a_cell_or_a_string_is_a_text(
    how: str, number: int, cell: Text, text: Text
) -> None:
    shown = MADE_BY[how](number)
    done = with_cell(cell.at.written, shown)
    assert told(done, cell.element), shown
    is_clear(told(done, cell.element)[0], f"column {cell.at.written}")
    quoted = with_value(text, json.dumps(shown))
    assert [one.rule for one in told(quoted, text.element)][:1] == ["exponent_form"]


@settings(max_examples=150, deadline=None)
@given(
    text=st.sampled_from(JSON_TEXTS),
    literal=st.integers(-(2**53) + 1, 2**53 - 1).map(str)
    | st.integers(0, 10**21).map(lambda number: f'"{number}"')
    | st.decimals("0.1", 10**6, places=2).filter(lambda number: number % 1).map(str)
    | st.from_regex(r'"[A-Z]?[0-9]{1,4}[eE][0-9]{1,6}"', fullmatch=True)
    | st.sampled_from(['"true"', '"1.0"', '"SKU-1E+5"']),
)
def test_what_is_whole_is_written_as_it_stands(text: Text, literal: str) -> None:
    done = with_value(text, literal)
    assert told(done, text.element) == []
    assert literal.strip('"') in done.document.decode()


@settings(max_examples=100, deadline=None)
@given(number=st.integers(1, 10**9), power=st.integers(0, 3))
def test_number_in_exponent_form_is_a_number_where_one_is_wanted(number: int, power: int) -> None:
    amount = Text(
        mapping="payments", element="amountPaid", at=Reference.of_path("amount_fen"), in_lines=False
    )
    done = with_value(amount, f"{number}e{power}")
    assert done.faults == ()
    yuan = Decimal(f"{number}e{power}").scaleb(-2)
    assert f"<ceb:amountPaid>{yuan:f}</ceb:amountPaid>" in done.document.decode()
    moment = Text(mapping="payments", element="guid", at=Reference.of_path("declared_at"), in_lines=False)
    assert told(with_value(moment, f"{number}.0"), "guid") == [], (
        "what a GUID is made of is no text of the document"
    )
    assert with_cell("quantity", f"{Decimal(number):.5E}").faults == ()
