"""The message catalogue agrees with itself, with our schemas, and with the specification's field tables."""

import csv
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import pytest
from lxml import etree

from gateway.model import Direction, Family, MessageType, by_value
from gateway.rules.catalogue import load_catalogue
from gateway.rules.loading import RULES
from tests.spec import SPEC, needs_spec

CATALOGUE = load_catalogue(RULES / "mappings" / "catalogue.toml")
TYPES = tuple(CATALOGUE.types.values())
XSD = RULES / "xsd" / "202205"
XS = "{http://www.w3.org/2001/XMLSchema}"

NUMERIC = {"xs:int", "N4", "N5", "N9", "N19.5"}
IN_NO_TABLE = {("CEB816Message", "orderNo"), ("CEB816Message", "logisticsNo")}
"""Real tax bills carry them against the schema (docs/spec/messages.md, Correlating 6)."""

every_type = pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)
every_receipt = pytest.mark.parametrize("kind", CATALOGUE.receipts(), ids=lambda kind: kind.name)
every_declaration = pytest.mark.parametrize("kind", CATALOGUE.declarations(), ids=lambda kind: kind.name)


@dataclass(frozen=True)
class Shape:
    """What a schema or a field table says of one type."""

    root: tuple[str, ...]
    """Children of the root element in order."""
    head: Mapping[str, bool]
    """Fields of the element that holds the key: is it required?"""
    signature_required: bool


@cache
def family_types(family: Family) -> dict[str, etree._Element]:
    folders = (XSD / "common", XSD / family)
    found = {}
    for file in sorted(file for folder in folders for file in folder.glob("*.xsd")):
        for top in etree.parse(file).getroot().iterchildren(f"{XS}complexType", f"{XS}element"):
            inner = top.find(f"{XS}complexType")
            found[top.get("name", "")] = top if inner is None else inner
    return found


def children(kind: MessageType, complex_type: str) -> dict[str, tuple[str, bool]]:
    """Give type and requiredness of each child by name, as our schema has it."""
    sequence = family_types(kind.family)[complex_type].find(f"{XS}sequence")
    assert sequence is not None
    return {
        str(element.get("name") or element.get("ref")): (
            element.get("type", "").removeprefix("ceb:"),
            element.get("minOccurs", "1") != "0",
        )
        for element in sequence.iterchildren(f"{XS}element")
    }


@cache
def head_in_schema(kind: MessageType) -> Mapping[str, tuple[str, bool]]:
    """Give the fields of the element that holds the key, as `children`."""
    holder = children(kind, children(kind, kind.name)[kind.body][0])
    return children(kind, holder[kind.head][0]) if kind.head else holder


@cache
def shape_in_schema(kind: MessageType) -> Shape:
    root = children(kind, kind.name)
    return Shape(
        root=tuple(root),
        head={name: required for name, (_, required) in head_in_schema(kind).items()},
        signature_required=root.get("ds:Signature", ("", False))[1],
    )


@cache
def shape_in_spec(kind: MessageType) -> Shape:
    with (SPEC / "ceb" / "fields" / f"{kind.name}.csv").open(encoding="utf-8-sig") as lines:
        rows = [(row["path"].split("/"), row["required"] == "Y") for row in csv.DictReader(lines)]
    holder = [kind.name, kind.body, kind.head] if kind.head else [kind.name, kind.body]
    root = {path[1]: required for path, required in rows if len(path) == 2 and not path[1].startswith("@")}
    return Shape(
        root=tuple(root),
        head={path[-1]: required for path, required in rows if path[:-1] == holder},
        signature_required=root.get("ds:Signature", False),
    )


def agrees(kind: MessageType, shape: Shape) -> None:
    """Check one row of the catalogue against what a schema or a field table says."""
    assert shape.root[0] == kind.body
    named = {*kind.key, *kind.numbers, *kind.codes, *filter(None, (kind.status, kind.time, kind.info))}
    assert {(kind.name, field) for field in named - shape.head.keys()} <= IN_NO_TABLE
    optional = {field for field in kind.key if not shape.head[field]}
    assert not optional or kind.handle, "a key with optional fields needs a handle"
    for field in filter(None, (kind.status, kind.time)):
        assert shape.head[field], f"{field} is not in every receipt"
    assert kind.signature_required == shape.signature_required
    if kind.direction is Direction.DECLARATION:
        after = (*shape.root, "")[shape.root.index("ds:Signature") + 1]
        assert kind.signature_before == after


def test_catalogue_has_the_42_types_of_the_edition() -> None:
    imported = [311, 312, 411, 412, 511, 512, 513, 514, 621, 622, 623, 624, 625, 626, 711, 712, 816, 818, 900]
    exported = [213, 214, 215, 216, 303, 304, 403, 404, 505, 506, 507, 508, 509, 510]
    exported += [603, 604, 605, 606, 607, 608, 701, 702, 792]
    assert [kind.number for kind in TYPES if kind.family is Family.IMPORT] == imported
    assert [kind.number for kind in TYPES if kind.family is Family.EXPORT] == exported
    assert len(TYPES) == 42


@every_type
def test_every_type_has_titles_in_both_languages_and_a_source(kind: MessageType) -> None:
    assert kind.title_en.isascii()
    assert kind.title_zh
    assert not kind.title_zh.isascii()
    assert kind.source.startswith("docs/spec/messages.md, Catalogue")


@every_type
def test_every_type_agrees_with_our_schema(kind: MessageType) -> None:
    agrees(kind, shape_in_schema(kind))


@needs_spec
@every_type
def test_every_type_agrees_with_the_field_table(kind: MessageType) -> None:
    agrees(kind, shape_in_spec(kind))


@every_declaration
def test_every_declaration_is_answered_by_receipts_that_name_it(kind: MessageType) -> None:
    receipts = [CATALOGUE.by_name(name) for name in kind.answered_by]
    assert receipts
    assert all(receipt is not None and kind in CATALOGUE.for_answer(receipt.name) for receipt in receipts)


@every_receipt
def test_every_receipt_can_be_matched_by_key_or_number_or_envelope(kind: MessageType) -> None:
    for declaration in CATALOGUE.for_answer(kind.name):
        if kind.name == "CEB900Message":
            continue  # by oriCopMsgId
        learned = {
            n for name in declaration.answered_by for n in CATALOGUE.types[name].numbers if name != kind.name
        }
        assert kind.key == declaration.key or learned & set(kind.numbers)


@every_receipt
def test_codes_of_a_receipt_can_be_compared_with_the_declaration(kind: MessageType) -> None:
    for declaration in CATALOGUE.for_answer(kind.name):
        assert set(kind.codes) <= {*declaration.key, *declaration.codes}


@every_declaration
def test_codes_of_a_declaration_come_back_in_a_receipt(kind: MessageType) -> None:
    carried = {code for name in kind.answered_by for code in CATALOGUE.types[name].codes}
    assert set(kind.codes) <= carried


@every_type
def test_no_personal_field_is_used_to_tell_owners_apart(kind: MessageType) -> None:
    for field in (*kind.key, *kind.codes, *kind.numbers):
        assert not field.startswith(("buyer", "consignee", "payer", "telephone"))
        assert not field.endswith(("Name", "Telephone", "Address"))


@every_declaration
def test_declarations_go_to_the_receiver_of_their_family(kind: MessageType) -> None:
    expected = {Family.IMPORT: "DXPEDCCEB0000002", Family.EXPORT: "DXPEDCCEB0000003"}
    assert kind.receiver == expected[kind.family]


def test_types_whose_receipts_may_omit_the_owner_have_the_internal_number_as_handle() -> None:
    with_handle = {kind.number for kind in TYPES if kind.handle}
    assert with_handle == {621, 622, 623, 624, 625, 626, 711, 712}
    assert {kind.handle for kind in TYPES} == {"", "copNo"}


def test_format_failure_may_answer_any_declaration() -> None:
    assert CATALOGUE.for_answer("CEB900Message") == CATALOGUE.declarations()


def test_unknown_names_have_no_type_and_answer_nothing() -> None:
    assert CATALOGUE.by_name("CEB716Message") is None
    assert CATALOGUE.for_answer("Unknown") == ()


def test_a_declaration_answers_nothing() -> None:
    assert CATALOGUE.for_answer("CEB621Message") == ()


def test_fields_are_compared_as_whole_numbers_exactly_where_the_schema_says_so() -> None:
    for kind in TYPES:
        numeric = {name for name, (type_, _) in head_in_schema(kind).items() if type_ in NUMERIC}
        compared = numeric.intersection((*kind.key, *kind.numbers, *kind.codes))
        assert kind.integers == compared, kind.name


def test_every_field_that_answers_are_found_by_has_its_rule_of_comparison() -> None:
    compare = tomllib.loads((RULES / "mappings" / "catalogue.toml").read_text("utf-8"))["compare"]
    there = {name for kind in TYPES for name in (*kind.key, *kind.numbers, *kind.codes)}
    assert sorted((*compare["exact"], *compare["integer"])) == sorted(there)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", "1"),
        ("01", "1"),
        ("+7", "7"),
        ("000", "0"),
        ("-01", "-1"),
        ("-0", "0"),
        ("A01", "A01"),
        ("", ""),
        ("١", "١"),
    ],
)
def test_spellings_of_one_whole_number_have_one_text_and_others_stay(text: str, value: str) -> None:
    assert by_value(text) == value


def test_the_codes_of_a_key_say_whose_it_is() -> None:
    assert CATALOGUE.types["CEB311Message"].key_codes == ("ebpCode", "ebcCode")
    assert all(kind.key_codes for kind in CATALOGUE.declarations())
