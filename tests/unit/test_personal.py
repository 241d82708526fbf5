"""What a fault shows of personal values."""

import csv
import re
from pathlib import Path

import pytest
from lxml import etree

from gateway.config.gateway_toml import LimitsConfig
from gateway.mapping.faults import source_fault
from gateway.mapping.sources.item import NoTextError, Spot
from gateway.rules.loading import load_rules
from gateway.rules.personal import hidden, is_personal, masked
from gateway.rules.schemas import Schemas, View
from gateway.submission.validate import validate
from gateway.xml.decode import decode
from tests.spec import SPEC, needs_spec
from tests.unit.ceb_documents import ORDER, document

PERSONAL = re.compile(r"(订购人|支付人|收货人|收件)(姓名|证件号码|电话|地址|注册号)|收货地址$|收件地址$")


@pytest.mark.parametrize(
    ("element", "value", "shown"),
    [
        ("buyerName", "张三", "**"),
        ("buyerName", "欧阳小明", "欧**明"),
        ("buyerTelephone", "13000000001", "1*********1"),
        ("buyerIdNumber", "110101199001011234", "*" * 18),
        ("payerIdNumber", "1", "*"),
        ("consigneeAddress", "示例路1号", "示***号"),
        ("orderNo", "A-1", "A-1"),
        ("buyerName", "", ""),
    ],
)
def test_personal_value_keeps_its_length_and_little_else(element: str, value: str, shown: str) -> None:
    assert masked(element, value) == shown
    assert len(masked(element, value)) == len(value)


def test_hidden_text_shows_its_length_only() -> None:
    assert hidden("a b中") == "****"


@needs_spec
def test_table_has_every_personal_field_of_the_field_tables() -> None:
    found = set()
    for file in (SPEC / "ceb" / "fields").glob("*.csv"):
        with file.open(encoding="utf-8", newline="") as lines:
            found |= {row["element"] for row in csv.DictReader(lines) if PERSONAL.search(row["cn_name"])}
    assert {"buyerName", "payerName", "consignee", "telephone"} <= found
    assert {name for name in found if not is_personal(name)} == set()


@pytest.mark.parametrize(
    ("old", "new", "secret"),
    [
        ("<buyerName>张三", "<buyerName>" + "欧阳某某" * 20, "阳某"),
        ("<buyerIdNumber>000000000000000000", "<buyerIdNumber>" + "110101" * 12, "110101"),
        ("<buyerTelephone>13000000000", "<buyerTelephone>" + "13912345678" * 4, "3912345678"),
        ("<buyerName>张三</buyerName>", "<buyerNmae>张三</buyerNmae>", "张三"),
        ("<buyerName>张三</buyerName>", "<buyer_mobile>13912345678</buyer_mobile>", "13912345678"),
        ("<consignee>李四</consignee>\n", "", "李四"),
        ("</OrderHead>", "13912345678</OrderHead>", "13912345678"),
        ("</OrderHead>", "<buyerName>王五六七</buyerName></OrderHead>", "五六"),
        ("</OrderList>", "<consignee>王五六七</consignee></OrderList>", "王五"),
    ],
)
def test_no_text_of_a_fault_quotes_a_person(old: str, new: str, secret: str) -> None:
    assert old in ORDER
    body = document("CEB311Message", ORDER.replace(old, new, 1)).encode()
    faults = validate(decode(body, LimitsConfig()), load_rules().schemas, View.DECLARED, body=body)
    assert faults
    assert secret not in repr(faults)


def test_pattern_of_an_operators_schema_does_not_quote_the_value(tmp_path: Path) -> None:
    schema = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" elementFormDefault="qualified"
     targetNamespace="http://www.chinaport.gov.cn/ceb"><xs:element name="CEB311Message"><xs:complexType>
     <xs:sequence><xs:element name="buyerIdNumber"><xs:simpleType><xs:restriction base="xs:string">
     <xs:pattern value="[0-9]+X"/></xs:restriction></xs:simpleType></xs:element></xs:sequence>
     </xs:complexType></xs:element></xs:schema>"""
    (tmp_path / "own.xsd").write_text(schema, encoding="utf-8")
    body = b"""<CEB311Message xmlns="http://www.chinaport.gov.cn/ceb"><buyerIdNumber>110101</buyerIdNumber>
    </CEB311Message>"""
    (fault,) = validate(etree.fromstring(body), Schemas.load(tmp_path), View.DECLARED, body=body)
    assert (fault.rule, fault.value, fault.column) == ("schema", "******", 56)
    assert fault.message == "buyerIdNumber does not have the form that the schema prescribes"
    assert fault.message_zh == "buyerIdNumber不符合规定的书写格式"
    assert "110101" not in repr(fault)


def test_fault_of_a_source_masks_too() -> None:
    wrong = NoTextError("exponent_form", Spot(text="row 2", line=2, column=1), "1.10101E+17")
    told = source_fault(wrong, path="/x/buyerIdNumber", name="buyerIdNumber", name_zh="订购人证件号码")
    assert told.value == "*" * 11
    assert "1.10101" not in repr(told)
