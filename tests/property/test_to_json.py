"""What a CEB message says, it says as JSON, and the JSON makes a message that says the same."""

import json
from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from gateway.cli.document_check import check_document
from gateway.config.gateway_toml import LimitsConfig
from gateway.mapping.language import SourceMapping
from gateway.mapping.loading import load_mappings
from gateway.mapping.to_json import JsonValue, message_as_json
from gateway.mapping.translate import translate
from gateway.rules.loading import Rules, load_rules
from gateway.rules.schemas import View
from gateway.samples.compose import Style, compose
from gateway.samples.template import NOT_YET
from tests.documents import COP_CODE, DXP_ID, RETURNS, receipt, tax

EDITIONS = ("202205", "2018-113")
LIMITS = LimitsConfig()


@cache
def rules_of(edition: str) -> Rules:
    return load_rules(None, edition)


@cache
def mappings_of(edition: str) -> dict[str, SourceMapping]:
    return dict(load_mappings(rules_of(edition)))


def local_path(element: etree._Element) -> str:
    """The names of an element and those around it, and its place among its neighbours."""
    around = [element, *element.iterancestors()]
    return "/".join(
        f"{one.tag}[{sum(1 for _ in one.itersiblings(one.tag, preceding=True))}]" for one in reversed(around)
    )


def values_of(body: bytes) -> list[tuple[str, str]]:
    """Every text and attribute of a document, with its path."""
    root = etree.fromstring(body)
    found = [(str(name), str(text)) for name, text in sorted(root.attrib.items())]
    return found + [(local_path(one), str(one.text or "")) for one in root.iter("*") if not len(one)]


TYPES = [
    (edition, kind.name)
    for edition in EDITIONS
    for kind in rules_of(edition).catalogue.declarations()
    if kind.name in rules_of(edition).schemas.roots
]
OPTIONAL = sorted(NOT_YET - {"licenseNo", "preNo", "invtNo", "startTime", "endTime"})
NOTES = st.text(
    st.characters(
        exclude_categories=("Cs", "Cc"), include_characters="\t\n", exclude_characters="\ufffe\uffff"
    ),
    max_size=80,
) | st.sampled_from(["", " ", "1.23E+17", "12E3", "true", "null", " \n\t", "<&>]]>\"'"])
STYLES = st.builds(
    Style,
    prefix=st.sampled_from(["ceb", "", "x"]),
    indent=st.sampled_from([None, "  "]),
    encoding=st.sampled_from(["UTF-8", "GB18030"]),
    extend=st.booleans(),
    subscribe=st.integers(0, 5),
)


@st.composite
def messages(draw: st.DrawFn, edition: str, name: str) -> bytes:
    """A valid message of a type, with some of the elements that may be left out."""
    kind = rules_of(edition).catalogue.types[name]
    texts = dict.fromkeys(draw(st.sets(st.sampled_from(OPTIONAL))), "样例")
    emptied = draw(st.sets(st.sampled_from(["copName", "status"])))
    return compose(
        name,
        cop_code=COP_CODE,
        dxp_id=DXP_ID,
        bodies=1 if kind.number == 711 else draw(st.integers(1, 3)),
        items=draw(st.integers(1, 3)),
        rng=Random(draw(st.integers(0, 10**6))),
        overrides=texts | dict.fromkeys(emptied, "") | {"note": draw(NOTES)},
        style=draw(STYLES),
    ).body


def test_all_types_of_both_editions_are_there() -> None:
    assert [edition for edition, _ in TYPES] == ["202205"] * 19 + ["2018-113"] * 17
    for edition, name in TYPES:
        assert mappings_of(edition)[f"json-{name[3:6]}"].kind.name == name


@pytest.mark.parametrize(("edition", "name"), TYPES)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_there_and_back_the_values_are_the_same(edition: str, name: str, data: st.DataObject) -> None:
    body = data.draw(messages(edition, name))
    assert check_document(body, rules_of(edition), View.DECLARED).faults == ()

    written = json.dumps(message_as_json(etree.fromstring(body), rules_of(edition).schemas)).encode()
    back = translate(written, mappings_of(edition)[f"json-{name[3:6]}"], LIMITS)

    assert back.faults == ()
    assert values_of(back.document) == values_of(body)


def texts_of(value: JsonValue) -> list[str]:
    """Every text of a JSON value, in order."""
    if isinstance(value, str):
        return [value]
    inside = value.values() if isinstance(value, dict) else value
    return [text for one in inside for text in texts_of(one)]


@pytest.mark.parametrize("name", [*RETURNS, "CEB816Message", "CEB818Message"])
def test_receipts_say_the_same_as_json(name: str) -> None:
    """Also where there are more bodies than the schema has: nothing is left out."""
    schemas = rules_of("202205").schemas
    if name in RETURNS:
        body = RETURNS[name]
        decl = schemas.declaration(name)
        grammar = schemas.grammar_for(name)
        leaves = [
            slot.decl.name
            for slot in grammar.shape(grammar.child(decl, body) or decl).slots
            if slot.decl is not None and slot.low and grammar.shape(slot.decl).text is not None
        ]
        whole = receipt(name, *({one: f"{one}-{number} <&> " for one in leaves} for number in (1, 2)))
    else:
        whole = tax(name)
    root = etree.fromstring(whole)
    written = message_as_json(root, schemas)
    assert list(written) == [name]
    own = [str(text) for text in root.attrib.values()]
    assert texts_of(written) == own + [str(one.text or "") for one in root.iter("*") if not len(one)]
