"""A source becomes a document, its faults are told of the source, and every field knows where it came from."""

import json
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from gateway.cli.document_check import check_document
from gateway.config.gateway_toml import LimitsConfig
from gateway.errors import Refused
from gateway.mapping.compile import load_mapping
from gateway.mapping.faults import SourceFault
from gateway.mapping.sources.table import Form
from gateway.mapping.translate import translate
from gateway.mapping.translated import Translated
from gateway.mapping.translation import Source, open_translation
from gateway.rules.schemas import View
from gateway.submission.plain import read_plain
from tests.unit.mapping_examples import block, example, mappings, shipped

LIMITS = LimitsConfig()


def payments(count: int = 1) -> dict[str, Any]:
    source: dict[str, Any] = json.loads(example("payments"))
    (one,) = source["payments"]
    source["payments"] = [json.loads(json.dumps(one)) | {"transaction": f"PAY-{n}"} for n in range(count)]
    return source


def made(source: object, mapping: str = "payments") -> Translated:
    body = source if isinstance(source, bytes) else json.dumps(source).encode()
    return translate(body, mappings()[mapping], LIMITS)


def split(body: bytes) -> list[Translated]:
    source = Source(content=body, form=Form.JSON)
    translation = open_translation(mappings()["payments"], source)
    return [translation.message(portion.bodies) for portion in translation.portions()]


def faults(of: Translated) -> list[SourceFault]:
    return list(of.located(check_document(of.document, shipped(), View.DECLARED).faults))


@pytest.mark.parametrize("name", ["payments", "orders", "inventories"])
def test_example_of_the_page_is_in_order(name: str) -> None:
    done = made(example(name), name)
    assert done.faults == ()
    assert check_document(done.document, shipped(), View.DECLARED).faults == ()
    assert read_plain(done.document, shipped().plain, LIMITS) is not None, "the way of the many"


def test_payment_of_the_page_becomes_what_the_page_shows() -> None:
    shown = block("xml", "<ceb:Payment>").replace("\n", "")
    assert shown in made(example("payments")).document.decode()


def test_rows_become_declarations_with_their_lines() -> None:
    root = etree.fromstring(made(example("inventories"), "inventories").document)
    space = {"ceb": "http://www.chinaport.gov.cn/ceb"}
    bodies = root.findall("ceb:Inventory", space)
    assert [one.findtext("ceb:InventoryHead/ceb:copNo", "", space) for one in bodies] == ["C-0001", "C-0002"]
    assert [[line.text for line in one.findall("ceb:InventoryList/ceb:gnum", space)] for one in bodies] == [
        ["1", "2"],
        ["1"],
    ]


def test_same_source_gives_the_same_bytes_and_another_another_guid() -> None:
    one, other = payments(), payments()
    other["payments"][0]["declared_at"] += 1
    first, again, second = made(one), made(one), made(other)
    assert first.document == again.document
    guids = [
        [step.value for step in done.steps() if step.target.endswith("guid")] for done in (first, second)
    ]
    assert len(set(guids[0] + guids[1])) == 4


def test_trace_says_of_every_field_where_it_came_from() -> None:
    steps = {step.target: step for step in made(payments()).steps()}
    head = "/CEB411Message/Payment[1]/PaymentHead"
    told = {
        name: (step.source, step.function, step.value)
        for name in ("amountPaid", "payerName", "appType", "note", "currency")
        if (step := steps[f"{head}/{name}"])
    }
    assert told == {
        "amountPaid": ("/payments/0/amount_fen", "scale -2", "399.90"),
        "payerName": ("/payments/0/payer/name", "copy", "赵样例"),
        "appType": ("/payments/0/action", "default", "1"),
        "note": ("/payments/0/note", "nothing", None),
        "currency": ("", "constant", "142"),
    }


def test_faults_of_source_and_schema_are_told_together_in_places_of_the_source() -> None:
    source = payments(4)
    del source["payments"][3]["payer"]["name"]
    source["payments"][2]["platform"]["code"] = "x" * 19
    source["payments"][1]["paid_at"] = "yesterday"
    source["payments"][0]["amount_fen"] = [1]
    source["payments"][0]["order_no"] = "a\x01b"
    told = {(one.source, one.path.rpartition("/")[2], one.rule) for one in faults(made(source))}
    assert told == {
        ("/payments/3/payer/name", "payerName", "missing"),
        ("/payments/2/platform/code", "ebpCode", "too_long"),
        ("/payments/1/paid_at", "payTime", "not_a_time"),
        ("/payments/0/amount_fen", "amountPaid", "not_a_value"),
        ("/payments/0/order_no", "orderNo", "not_in_xml"),
    }


def test_fault_has_the_line_and_column_of_the_source() -> None:
    body = json.dumps(payments(), indent=1).replace("39990", '"many"').encode()
    (fault,) = faults(made(body))
    before = body.decode().partition('"many"')[0]
    assert (fault.line, fault.column) == (before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1)
    assert (fault.value, fault.name_zh) == ("many", "支付金额")
    assert "支付金额" in fault.message_zh


def test_rows_that_disagree_and_cells_are_named_by_row_and_column() -> None:
    body = example("inventories").replace("演示牌蜂蜜".encode(), b"", 1).replace(b"0409000000", b"0409", 1)
    body = body.replace("赵样例".encode(), "孙样例".encode(), 1)
    told = {(one.source, one.rule) for one in faults(made(body, "inventories"))}
    assert told == {("row 3, column buyer_name", "rows_disagree"), ("row 3, column hs_code", "wrong_length")}


def test_empty_list_is_told_of_the_list() -> None:
    source = payments()
    source["payments"] = []
    (fault,) = faults(made(source))
    assert (fault.source, fault.rule, fault.path) == ("/payments", "missing", "/CEB411Message/Payment[1]")


def test_no_array_where_the_element_repeats_is_told() -> None:
    source = payments()
    source["payments"] = source["payments"][0]
    assert {(one.source, one.rule) for one in faults(made(source))} == {
        ("/payments", "not_an_array"),
        ("/payments", "missing"),
    }


def test_more_declarations_than_a_message_may_have_are_refused_or_split() -> None:
    source = payments(230)
    refused = made(source)
    assert [(one.rule, one.source, one.path) for one in refused.faults] == [
        ("too_many", "/payments/100", "/CEB411Message/Payment[101]")
    ]

    parts = split(json.dumps(source).encode())

    roots = [etree.fromstring(part.document) for part in parts]
    assert [len(root) - 1 for root in roots] == [100, 100, 30]
    assert len({root.get("guid") for root in roots}) == 3
    numbers = [text for root in roots for text in root.xpath("//*[local-name()='payTransactionId']/text()")]  # type: ignore[union-attr]
    assert numbers == [f"PAY-{n}" for n in range(230)]
    assert all(not check_document(part.document, shipped(), View.DECLARED).faults for part in parts)


def test_splitting_what_fits_gives_the_very_message_of_the_door() -> None:
    body = json.dumps(payments(100)).encode()
    (part,) = split(body)
    assert part.document == made(body).document


def test_more_lines_than_a_declaration_may_have_are_refused() -> None:
    source = json.loads(example("orders"))
    source["orders"][0]["lines"] *= 100
    (fault,) = made(source, "orders").faults
    assert (fault.rule, fault.source) == ("too_many", "/orders/0/lines/99")


def test_what_xml_would_take_for_itself_is_escaped() -> None:
    source = payments()
    source["payments"][0]["payer"]["name"] = '<a> & ]]> "b"\r\nc'
    done = made(source)
    root = etree.fromstring(done.document)
    name = root.findtext(".//{http://www.chinaport.gov.cn/ceb}payerName")
    assert name == '<a> & ]]> "b"\r\nc'


def test_optional_element_whose_parts_all_are_missing_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "subscribing.toml"
    text = block("toml", "[document.Payment.PaymentHead]").replace(
        "[each]", '[each]\nBaseSubscribe = "/subscribers"'
    )
    file.write_text(
        text + '\n[document.BaseSubscribe]\nstatus = "status"\ndxpMode = "mode"\ndxpAddress = "id"\n', "utf-8"
    )
    mapping = load_mapping(file, shipped())
    body = json.dumps({"subscribers": [{}, {"status": "ALL", "mode": "DXP", "id": "DXPENT1"}]}).encode()
    document = translate(body, mapping, LIMITS).document.decode()
    assert document.count("<ceb:BaseSubscribe>") == 1


def test_source_beyond_a_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(Refused) as refused:
        translate(b"[" * 100, mappings()["payments"], LimitsConfig(size_bytes=99))
    assert refused.value.problem == "too-large"
    with pytest.raises(Refused) as refused:
        translate(b"{}", mappings()["payments"], LIMITS, charset="gb18030")
    assert refused.value.problem == "wrong-encoding"
