"""Finding, reading and compiling the schemas of an edition."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import xmlschema
from lxml import etree

from gateway.errors import RulesError
from gateway.rules.schema_model import ElementDecl, Grammar
from gateway.rules.schemas import CEB_NAMESPACE, DXP_NAMESPACE, Schemas, View
from tests.unit.ceb_documents import ARRIVAL, CANCEL, ENVELOPE, ORDER, RECEIPT, SIGNATURE, document

XSD = Path(__file__).resolve().parents[2] / "xsd" / "202205"
IMPORT = "311 312 411 412 511 512 513 514 621 622 623 624 625 626 711 712 816 818 900"
EXPORT = "213 214 215 216 303 304 403 404 505 506 507 508 509 510 603 604 605 606 607 608 701 702 792"
SIGNED = frozenset(f"CEB{number}Message" for number in (621, 623, 625, 711))


@pytest.fixture(scope="module")
def schemas() -> Schemas:
    return Schemas.load(XSD)


def walk(grammar: Grammar, decl: ElementDecl, path: str) -> Iterator[str]:
    """Give the path of every element and attribute that may stand in a document."""
    yield path
    shape = grammar.shape(decl)
    yield from (f"{path}/@{attribute.name}" for attribute in shape.attributes)
    for slot in shape.slots:
        if slot.decl is not None:
            yield from walk(grammar, slot.decl, f"{path}/{slot.decl.name}")


def test_edition_is_the_name_of_the_folder(schemas: Schemas) -> None:
    assert schemas.edition == "202205"


def test_all_42_messages_and_the_three_envelopes_are_known(schemas: Schemas) -> None:
    numbers = f"{IMPORT} {EXPORT}".split()
    assert len(numbers) == 42
    assert schemas.roots == {f"CEB{n}Message" for n in numbers} | {"DxpMsg", "DxpMsgSv", "DxpRep"}
    assert {schemas.namespace_of(f"CEB{n}Message") for n in numbers} == {CEB_NAMESPACE}
    assert schemas.namespace_of("DxpRep") == DXP_NAMESPACE


def test_edition_of_2018_has_all_of_them_but_the_export_returns() -> None:
    before = Schemas.load(XSD.parent / "2018-113")
    assert before.edition == "2018-113"
    newer = {f"CEB{number}Message" for number in (213, 214, 215, 216)}
    assert before.roots == Schemas.load(XSD).roots - newer


@pytest.mark.parametrize("view", View)
def test_every_root_has_a_compiled_schema_shared_by_its_family(schemas: Schemas, view: View) -> None:
    compiled = {root: schemas.schema_for(root, view) for root in schemas.roots}
    assert len({id(schema) for schema in compiled.values()}) == 3
    assert compiled["CEB311Message"] is compiled["CEB900Message"]
    assert compiled["CEB311Message"] is not compiled["CEB303Message"]


@pytest.mark.parametrize("edition", ["202205", "2018-113"])
def test_every_element_and_attribute_has_a_chinese_name(edition: str) -> None:
    schemas = Schemas.load(XSD.parent / edition)
    for root in sorted(schemas.roots):
        for path in walk(schemas.grammar_for(root), schemas.declaration(root), f"/{root}"):
            assert any("\u4e00" <= sign <= "\u9fff" for sign in schemas.name_zh(path)), path


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/CEB311Message/Order[1]/OrderHead/orderNo", "订单编号"),
        ("/CEB621Message/Inventory[2]/InventoryList[3]/gnum", "序号"),
        ("/CEB621Message/Signature", "签名节点"),
        ("/DxpMsgSv/DxpMsg/TransInfo/CopMsgId", "原始报文id"),
        ("/DxpMsg/AddInfo/BizKey/Key/@name", "关键字名称"),
        ("/CEB311Message/nothing/below", ""),
        ("/CEB311Message/@nothing", ""),
        ("/nothing", ""),
        ("", ""),
    ],
)
def test_name_of_a_field_is_found_by_its_path(schemas: Schemas, path: str, name: str) -> None:
    assert schemas.name_zh(path) == name


def test_views_differ_only_in_the_signature_of_four_declarations(schemas: Schemas) -> None:
    for root in schemas.roots:
        bodies = {view: schemas.schema_for(root, view) for view in View}
        empty = etree.fromstring(f'<{root} xmlns="{schemas.namespace_of(root)}"/>')
        reports = {}
        for view, schema in bodies.items():
            schema.validate(empty)
            reports[view] = str(schema.error_log)
        assert reports[View.DECLARED] == reports[View.SENDABLE]
    unsigned = etree.fromstring(document("CEB623Message", CANCEL))
    assert schemas.schema_for("CEB623Message", View.DECLARED).validate(unsigned)
    assert not schemas.schema_for("CEB623Message", View.SENDABLE).validate(unsigned)


def test_signature_is_required_in_621_623_625_and_711_only(schemas: Schemas) -> None:
    required = set()
    for root in schemas.roots:
        slots = schemas.grammar_for(root).shape(schemas.declaration(root)).slots
        required |= {root for slot in slots if slot.decl and slot.decl.name == "Signature" and slot.low}
    assert required == SIGNED


@pytest.mark.parametrize(
    ("root", "body", "valid"),
    [
        ("CEB311Message", ORDER, True),
        ("CEB311Message", ORDER.replace("<currency>142</currency>", "<currency/>"), True),
        ("CEB311Message", ORDER.replace("<currency>142</currency>", "<currency>840</currency>"), False),
        ("CEB311Message", ORDER.replace("<orderNo>A-1</orderNo>", ""), False),
        ("CEB311Message", ORDER + SIGNATURE, True),
        ("CEB311Message", ORDER + SIGNATURE.replace("ds:SignatureValue", "ds:Value"), False),
        ("CEB623Message", CANCEL, False),
        ("CEB623Message", CANCEL + SIGNATURE, True),
        ("CEB507Message", ARRIVAL, True),
        ("CEB507Message", ARRIVAL.replace("<trafMode>5<", "<trafMode> 5 <"), True),
        ("CEB622Message", RECEIPT, True),
        ("CEB622Message", RECEIPT + SIGNATURE, False),
        ("DxpMsg", ENVELOPE, True),
        ("DxpMsg", ENVELOPE.replace("QUJD", "QUJ"), False),
        ("DxpMsg", ENVELOPE.replace("T08:", " 08:"), False),
    ],
)
def test_libxml2_and_xmlschema_give_the_same_verdict(
    schemas: Schemas, root: str, body: str, valid: bool
) -> None:
    text = document(root, body)
    assert schemas.schema_for(root, View.SENDABLE).validate(etree.fromstring(text)) is valid
    assert second_opinion(root).is_valid(text) is valid


_OPINIONS: dict[str, xmlschema.XMLSchema] = {}


def second_opinion(root: str) -> xmlschema.XMLSchema:
    """Build the same file with the xmlschema package, which reads the W3C's schema from its own copy."""
    name = "dxp" if root.startswith("Dxp") else "import" if root[3:6] in IMPORT else "export"
    dsig = str(Path(xmlschema.__file__).parent / "schemas" / "DSIG" / "xmldsig-core-schema.xsd")
    if name not in _OPINIONS:
        _OPINIONS[name] = xmlschema.XMLSchema(
            str(XSD / f"{name}.xsd"), allow="local", uri_mapper=lambda uri: dsig if "xmldsig" in uri else uri
        )
    return _OPINIONS[name]


def test_unknown_root_is_an_error_that_names_the_edition(schemas: Schemas) -> None:
    with pytest.raises(RulesError, match=r"CEB999Message.*202205"):
        schemas.schema_for("CEB999Message", View.DECLARED)


OFFICIAL = """<schema xmlns="http://www.w3.org/2001/XMLSchema" xmlns:t="http://www.chinaport.gov.cn/ceb"
 xmlns:dsig="http://www.w3.org/2000/09/xmldsig#" targetNamespace="http://www.chinaport.gov.cn/ceb"
 elementFormDefault="qualified">
 <import namespace="http://www.w3.org/2000/09/xmldsig#" schemaLocation="somewhere/else.xsd"/>
 <include schemaLocation="sub/types.xsd"/>
 <element name="CEB621Message"><complexType><sequence>
  <element name="copNo" type="t:Code"/><choice><element name="a"/><element name="b"/></choice>
  <element ref="dsig:Signature"/></sequence></complexType></element>
 <element name="Helper" type="t:Code"/>
</schema>"""
CHAMELEON = """<schema xmlns="http://www.w3.org/2001/XMLSchema">
 <simpleType name="Code"><restriction base="string"><pattern value="[A-Z]+"/></restriction></simpleType>
</schema>"""


def put(folder: Path, **files: str) -> Path:
    (folder / "sub").mkdir()
    for name, text in files.items():
        (folder / f"{name.replace('__', '/')}.xsd").write_text(text, encoding="utf-8")
    return folder


def test_files_of_an_operator_are_found_by_what_they_declare(tmp_path: Path) -> None:
    schemas = Schemas.load(put(tmp_path, 进口=OFFICIAL, sub__types=CHAMELEON))
    assert schemas.roots == {"CEB621Message"}
    assert schemas.name_zh("/CEB621Message/copNo") == ""
    bare = '<CEB621Message xmlns="http://www.chinaport.gov.cn/ceb"><copNo>A</copNo><b/></CEB621Message>'
    assert schemas.schema_for("CEB621Message", View.DECLARED).validate(etree.fromstring(bare))
    assert not schemas.schema_for("CEB621Message", View.SENDABLE).validate(etree.fromstring(bare))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "no schema"),
        ({"a": "<schema"}, "not a schema"),
        ({"a": OFFICIAL}, "sub/types.xsd is missing"),
        ({"a": OFFICIAL.replace("sub/types.xsd", "/etc/passwd")}, "is missing"),
        ({"a": OFFICIAL, "b": OFFICIAL, "sub__types": CHAMELEON}, "two schemas declare CEB621Message"),
    ],
)
def test_folder_that_cannot_be_used_is_refused_at_load(
    tmp_path: Path, files: dict[str, str], said: str
) -> None:
    with pytest.raises(RulesError, match=said):
        Schemas.load(put(tmp_path, **files))


def test_schema_that_does_not_compile_is_refused_when_first_asked_for(tmp_path: Path) -> None:
    schemas = Schemas.load(put(tmp_path, a=OFFICIAL.replace("t:Code", "t:Gone"), sub__types=CHAMELEON))
    with pytest.raises(RulesError, match="does not compile"):
        schemas.schema_for("CEB621Message", View.DECLARED)
