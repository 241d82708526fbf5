"""Judging a document and saying everything that is wrong with it."""

import re
from functools import cache
from pathlib import Path

import pytest
from lxml import etree

from gateway.model import Fault
from gateway.rules.schemas import Schemas, View
from gateway.rules.texts import rules_of_group
from gateway.submission.validate import validate
from tests.spec import SPEC, needs_spec
from tests.unit.ceb_documents import (
    ARRIVAL,
    ARRIVAL_ROW,
    CANCEL,
    ENVELOPE,
    GUID,
    ORDER,
    SIGNATURE,
    document,
)

XSD = Path(__file__).resolve().parents[2] / "xsd" / "202205"
edition_schemas = cache(lambda edition: Schemas.load(XSD.parent / edition))
HEAD = "/CEB311Message/Order[1]/OrderHead"
ITEM = "/CEB311Message/Order[1]/OrderList[1]"


@pytest.fixture(scope="module")
def schemas() -> Schemas:
    return Schemas.load(XSD)


def faults_of(schemas: Schemas, text: str, view: View = View.DECLARED, limit: int = 200) -> tuple[Fault, ...]:
    return validate(etree.fromstring(text), schemas, view, body=text.encode(), limit=limit)


def brief(faults: tuple[Fault, ...]) -> list[tuple[str, str, int]]:
    return [(fault.rule, fault.path, fault.line) for fault in faults]


@pytest.mark.parametrize("view", View)
def test_valid_document_has_no_faults(schemas: Schemas, view: View) -> None:
    text = document("CEB311Message", ORDER)
    assert faults_of(schemas, text, view) == ()
    assert validate(etree.ElementTree(etree.fromstring(text)), schemas, view) == ()


@pytest.mark.parametrize(
    ("old", "new", "rule", "path", "line", "name_zh"),
    [
        ("<orderNo>A-1</orderNo>\n", "", "missing", f"{HEAD}/orderNo", 9, "订单编号"),
        ("<orderNo>A-1</orderNo>", "<orderNo/>", "too_short", f"{HEAD}/orderNo", 9, "订单编号"),
        ("A-1", "A" * 61, "too_long", f"{HEAD}/orderNo", 9, "订单编号"),
        ("20241111080000", "2024-11-11", "wrong_length", f"{HEAD}/appTime", 6, "报送时间"),
        ("<freight>0<", "<freight>1,5<", "not_decimal", f"{HEAD}/freight", 15, "运杂费"),
        ("<freight>0<", "<freight>0.123456<", "too_many_decimals", f"{HEAD}/freight", 15, "运杂费"),
        ("<freight>0<", f"<freight>{'9' * 20}<", "too_many_digits", f"{HEAD}/freight", 15, "运杂费"),
        ("<gnum>1<", "<gnum>1.0<", "not_integer", f"{ITEM}/gnum", 30, "商品序号"),
        ("<gnum>1<", "<gnum>2147483648<", "out_of_range", f"{ITEM}/gnum", 30, "商品序号"),
        (
            ">142</currency>\n<buyerRegNo",
            ">840</currency>\n<buyerRegNo",
            "fixed_value",
            f"{HEAD}/currency",
            19,
            "币制",
        ),
        ("<unit>", "<colour/><unit>", "unexpected", f"{ITEM}/colour", 33, ""),
        ("<unit>007", "<unit><b/>007", "unexpected", f"{ITEM}/unit/b", 33, ""),
        ("</OrderHead>", "stray</OrderHead>", "text_not_allowed", HEAD, 3, "电子订单表头实体"),
        (f' guid="{GUID}"', "", "attribute_missing", "/CEB311Message/@guid", 1, "报文的36位系统唯一序号"),
        (' version="1.0"', ' version=""', "too_short", "/CEB311Message/@version", 1, "报文版本号 默认1.0"),
        (' version="1.0"', ' version="1.0" kind="a"', "attribute_unexpected", "/CEB311Message/@kind", 1, ""),
        ("<gnum>", "<gnum xmlns=''>", "wrong_namespace", f"{ITEM}/gnum", 30, "商品序号"),
    ],
)
def test_one_mistake_gives_one_fault(  # noqa: PLR0917 (a table of cases)
    schemas: Schemas, old: str, new: str, rule: str, path: str, line: int, name_zh: str
) -> None:
    text = document("CEB311Message", ORDER)
    assert old in text
    faults = faults_of(schemas, text.replace(old, new, 1))
    assert brief(faults) == [(rule, path, line)]
    assert faults[0].name_zh == name_zh
    assert faults[0].element in faults[0].message
    assert re.search("[\u4e00-\u9fff]", faults[0].message_zh)
    assert faults[0].fix
    assert faults[0].rule in rules_of_group("schema")


@pytest.mark.parametrize(
    ("old", "new", "rule", "path"),
    [
        ("QUJD", "QUJ", "not_base64", "/DxpMsg/Data"),
        ("QUJD", "QUJD中!", "not_base64", "/DxpMsg/Data"),
        ("QUJD", "<!---->QUJ", "not_base64", "/DxpMsg/Data"),
        ("T08:00:00", " 08:00:00", "not_datetime", "/DxpMsg/TransInfo/CreatTime"),
        ('ver="1.0"', 'ver="2.0"', "fixed_value", "/DxpMsg/@ver"),
        ('ver="1.0"', 'ver="1.0" Id="1"', "not_id", "/DxpMsg/@Id"),
        (
            "<ReceiverId>DXPEDCCEB0000002",
            "<ReceiverId>",
            "too_short",
            "/DxpMsg/TransInfo/ReceiverIds/ReceiverId[1]",
        ),
        (
            "</Data>",
            "</Data><AddInfo><IsText/></AddInfo>",
            "attribute_missing",
            "/DxpMsg/AddInfo/IsText/@Encode",
        ),
    ],
)
def test_mistakes_in_an_envelope_are_named(
    schemas: Schemas, old: str, new: str, rule: str, path: str
) -> None:
    faults = faults_of(schemas, document("DxpMsg", ENVELOPE).replace(old, new, 1))
    assert [(fault.rule, fault.path) for fault in faults] == [(rule, path)]


def test_all_mistakes_of_a_document_are_given_at_once_in_document_order(schemas: Schemas) -> None:
    spoiled = ORDER.replace("<appType>1<", "<appType>11<").replace("<orderNo>A-1</orderNo>\n", "")
    spoiled = spoiled.replace("<taxTotal>1.2<", "<taxTotal>x<").replace("<qty>1<", "<qty/><qty>1<")
    spoiled = spoiled.replace("<country>142</country>", "<county>142</county>")
    second = ORDER.partition("<BaseTransfer>")[0].replace("<buyerName>张三</buyerName>\n", "")
    assert brief(faults_of(schemas, document("CEB311Message", second + spoiled))) == [
        ("missing", "/CEB311Message/Order[1]/OrderHead/buyerName", 21),
        ("wrong_length", "/CEB311Message/Order[2]/OrderHead/appType", 43),
        ("missing", "/CEB311Message/Order[2]/OrderHead/orderNo", 47),
        ("not_decimal", "/CEB311Message/Order[2]/OrderHead/taxTotal", 54),
        ("not_decimal", "/CEB311Message/Order[2]/OrderList[1]/qty[1]", 71),
        ("too_many", "/CEB311Message/Order[2]/OrderList[1]/qty[2]", 71),
        ("misspelt", "/CEB311Message/Order[2]/OrderList[1]/county", 75),
    ]


def test_misspelt_name_is_one_fault_about_the_field_that_is_meant(schemas: Schemas) -> None:
    text = document("CEB311Message", ORDER.replace("acturalPaid", "actualPaid"))
    (fault,) = faults_of(schemas, text)
    assert (fault.rule, fault.path, fault.element) == ("misspelt", f"{HEAD}/actualPaid", "acturalPaid")
    assert (fault.name_zh, fault.value) == ("实际支付金额", "actualPaid")
    assert fault.fix == "Rename actualPaid to acturalPaid."
    assert fault.fix_zh == "请将actualPaid更名为acturalPaid。"


def test_element_out_of_order_is_one_fault_that_says_where_it_belongs(schemas: Schemas) -> None:
    moved = ORDER.replace("<appTime>20241111080000</appTime>\n", "")
    moved = moved.replace("</OrderHead>", "<appTime>20241111080000</appTime></OrderHead>")
    (fault,) = faults_of(schemas, document("CEB311Message", moved))
    assert (fault.rule, fault.path) == ("out_of_order", f"{HEAD}/appTime")
    assert fault.fix == "Move the element appTime after appType."


def test_body_beyond_the_limit_is_one_fault_at_the_first_surplus_body(schemas: Schemas) -> None:
    order, _, rest = ORDER.partition("<BaseTransfer>")
    (fault,) = faults_of(schemas, document("CEB311Message", order * 102 + "<BaseTransfer>" + rest))
    assert (fault.rule, fault.path) == ("too_many", "/CEB311Message/Order[101]")
    assert "102" in fault.message


def test_extend_message_holds_at_most_one_element_of_any_kind(schemas: Schemas) -> None:
    extend = "<ExtendMessage><name>n</name><version>1</version><Message><x/>{}</Message></ExtendMessage>"
    assert faults_of(schemas, document("CEB311Message", ORDER + extend.format(""))) == ()
    (fault,) = faults_of(schemas, document("CEB311Message", ORDER + extend.format("<y/>")))
    assert (fault.rule, fault.path) == ("too_many", "/CEB311Message/ExtendMessage/Message/*[2]")


def test_families_put_the_signature_in_different_places(schemas: Schemas) -> None:
    extend = "<ExtendMessage><name>n</name><version>1</version><Message/></ExtendMessage>"
    assert faults_of(schemas, document("CEB311Message", ORDER + extend + SIGNATURE)) == ()
    assert faults_of(schemas, document("CEB507Message", ARRIVAL + SIGNATURE + extend)) == ()
    assert [f.rule for f in faults_of(schemas, document("CEB507Message", ARRIVAL + extend + SIGNATURE))] == [
        "out_of_order"
    ]


def test_signature_is_missing_in_the_sendable_view_only(schemas: Schemas) -> None:
    text = document("CEB623Message", CANCEL)
    assert faults_of(schemas, text, View.DECLARED) == ()
    (fault,) = faults_of(schemas, text, View.SENDABLE)
    assert (fault.rule, fault.path, fault.name_zh) == ("missing", "/CEB623Message/Signature", "签名节点")
    assert faults_of(schemas, document("CEB623Message", CANCEL + SIGNATURE), View.SENDABLE) == ()


def test_signature_that_is_malformed_inside_is_told_by_what_libxml2_found(schemas: Schemas) -> None:
    broken = SIGNATURE.replace("<ds:DigestValue>AAAA</ds:DigestValue>", "")
    (fault,) = faults_of(schemas, document("CEB311Message", ORDER + broken))
    assert (fault.rule, fault.path) == ("schema", "/CEB311Message/Signature/SignedInfo/Reference")
    assert fault.message == "an element is missing in Reference"
    assert fault.message_zh == "Reference缺少子元素"


def test_unknown_root_is_a_fault_with_the_nearest_name(schemas: Schemas) -> None:
    (fault,) = faults_of(schemas, "<CEB214/>")
    assert (fault.rule, fault.path) == ("unknown_root", "/CEB214")
    (fault,) = faults_of(schemas, document("CEB31Message", ORDER))
    assert "did you mean CEB3" in fault.fix


def test_known_root_in_the_wrong_namespace_is_a_fault(schemas: Schemas) -> None:
    (fault,) = faults_of(schemas, document("CEB311Message", ORDER).replace("gov.cn/ceb", "gov.cn/dxp"))
    assert (fault.rule, fault.path) == ("wrong_namespace", "/CEB311Message")
    assert "http://www.chinaport.gov.cn/ceb" in fault.fix


def test_value_is_cut_to_a_hundred_characters(schemas: Schemas) -> None:
    (fault,) = faults_of(schemas, document("CEB311Message", ORDER.replace("A-1", "中" * 5000)))
    assert fault.value == "中" * 100
    assert len(fault.message) < 200


def test_number_of_faults_is_bounded(schemas: Schemas) -> None:
    order, _, rest = ORDER.replace("<freight>0<", "<freight>x<").partition("<BaseTransfer>")
    text = document("CEB311Message", order * 50 + "<BaseTransfer>" + rest)
    assert len(faults_of(schemas, text)) == 50
    assert len(faults_of(schemas, text, limit=7)) == 7


def arrival(rows: str) -> str:
    return document("CEB507Message", ARRIVAL.replace("</Arrival>", rows + "</Arrival>"))


def test_very_long_list_is_judged_and_explained_within_the_limit(schemas: Schemas) -> None:
    rows = "".join(ARRIVAL_ROW.format(number) for number in range(1, 5_001))
    assert faults_of(schemas, arrival(rows)) == ()
    assert len(faults_of(schemas, arrival(rows.replace("<gnum>", "<gnum>x")))) == 200
    last = faults_of(schemas, arrival(rows + ARRIVAL_ROW.format("x")))
    assert [fault.path for fault in last] == ["/CEB507Message/Arrival[1]/ArrivalList[5001]/gnum"]


def test_line_is_known_beyond_what_the_parser_keeps(schemas: Schemas) -> None:
    text = document("CEB311Message", ORDER.replace("A-1", ""))
    places = [(fault.line, fault.column) for fault in faults_of(schemas, text)]
    assert places == [(9, 1)]
    below = [(fault.line, fault.column) for fault in faults_of(schemas, "\n" * 70_000 + text)]
    assert below == [(70_009, 1)]


def test_without_the_bytes_there_is_no_place(schemas: Schemas) -> None:
    (fault,) = validate(etree.fromstring(document("CEB311Message", "")), schemas, View.DECLARED, limit=1)
    assert (fault.line, fault.column) == (0, 0)


def test_rule_of_an_operators_schema_that_we_have_no_words_for_is_still_told(tmp_path: Path) -> None:
    schema = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" elementFormDefault="qualified"
     targetNamespace="http://www.chinaport.gov.cn/ceb"><xs:element name="CEB311Message"><xs:complexType>
     <xs:choice><xs:element name="a"><xs:simpleType><xs:restriction base="xs:string"><xs:pattern value="[A-Z]"/>
     </xs:restriction></xs:simpleType></xs:element><xs:element name="b"/></xs:choice>
     </xs:complexType></xs:element></xs:schema>"""
    (tmp_path / "own.xsd").write_text(schema, encoding="utf-8")
    own = Schemas.load(tmp_path)
    root = '<CEB311Message xmlns="http://www.chinaport.gov.cn/ceb">{}</CEB311Message>'
    assert faults_of(own, root.format("<b/>")) == ()
    assert brief(faults_of(own, root.format("<a>a</a>"))) == [("schema", "/CEB311Message/a", 1)]
    assert brief(faults_of(own, root.format("<a>A</a><b/>"))) == [("schema", "/CEB311Message/b", 1)]


def samples() -> list[tuple[str, str, bool]]:
    """Read the table of samples: edition, file, and whether the schema of that edition accepts it."""
    if not SPEC.is_dir():
        return []
    found = []
    for line in (SPEC / "samples" / "README.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 3 and cells[1].endswith(".xml"):
            for edition, called in (("202205", "202205"), ("2018-113", "2018")):
                said = rf"\b{called}(?: XSD|'): *'?(\w+)|valid against[^:]*: (True)"
                verdict = re.search(said, cells[3])
                valid = verdict is not None and (verdict[1] or verdict[2]) in {"VALID", "True"}
                found.append((edition, cells[1], valid))
    return found


def without_stray_text(root: etree._Element) -> etree._Element:
    """Take out text between elements: replacing names in the samples left the old place of some behind."""
    for node in root.iter("*"):
        if len(node):
            node.text = None
            for child in node:
                child.tail = None
    return root


@needs_spec
@pytest.mark.parametrize(("edition", "name", "valid"), samples())
def test_published_sample_gets_its_published_verdict(edition: str, name: str, valid: bool) -> None:
    root, schemas = etree.parse(SPEC / "samples" / name).getroot(), edition_schemas(edition)
    as_it_lies = validate(root, schemas, View.SENDABLE)
    if valid:
        assert {fault.rule for fault in as_it_lies} <= {"text_not_allowed"}
    assert (validate(without_stray_text(root), schemas, View.SENDABLE) == ()) is valid
