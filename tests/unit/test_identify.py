import pytest

from gateway.config.gateway_toml import LimitsConfig
from gateway.errors import Refused
from gateway.model import Fault, Header
from gateway.rules.catalogue import Catalogue
from gateway.submission.identify import identify, uncorrelatable
from gateway.xml.decode import decode
from tests.documents import (
    CEB,
    COP_CODE,
    DXP_ID,
    document,
    element,
    export_order,
    guid,
    inventory,
    order,
    receipt,
    waybill_status,
)
from tests.shipped_rules import shipped


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return shipped().catalogue


def header_of(body: bytes, catalogue: Catalogue) -> Header:
    return identify(decode(body, LimitsConfig()), catalogue, "202205")


def refused(body: bytes, catalogue: Catalogue) -> Fault:
    with pytest.raises(Refused) as caught:
        header_of(body, catalogue)
    assert caught.value.problem == "unknown-message"
    (fault,) = caught.value.faults
    return fault


def test_says_type_edition_guid_and_sender(catalogue: Catalogue) -> None:
    header = header_of(order("ORDER-1"), catalogue)
    assert header.message_type.name == "CEB311Message"
    assert (header.edition, header.guid, header.cop_code, header.dxp_id) == (
        "202205",
        guid(900),
        COP_CODE,
        DXP_ID,
    )
    assert not header.signed


def test_gives_every_declaration_with_its_key_in_catalogue_order(catalogue: Catalogue) -> None:
    first, second = header_of(order("ORDER-1", "ORDER-2"), catalogue).declarations
    assert list(first.key.items()) == [
        ("ebpCode", "4400000002"),
        ("ebcCode", "4400000003"),
        ("orderNo", "ORDER-1"),
    ]
    assert (first.guid, first.app_type, first.app_time) == (guid(1), "1", "20250102030405")
    assert second.key["orderNo"] == "ORDER-2"


def test_numbers_and_codes_of_an_inventory_are_gathered(catalogue: Catalogue) -> None:
    (one,) = header_of(inventory("COP-1", pre_no="B1", invt_no="I1"), catalogue).declarations
    assert one.numbers == {"preNo": "B1", "invtNo": "I1"}
    assert one.codes["customsCode"] == "5100"
    assert one.codes["orderNo"] == "ORDER-1"


def test_keys_are_found_where_the_body_has_no_head(catalogue: Catalogue) -> None:
    (one,) = header_of(waybill_status("WB-9"), catalogue).declarations
    assert one.key == {"logisticsCode": "4400000005", "logisticsNo": "WB-9", "logisticsStatus": "S"}


def test_import_and_export_orders_are_different_types(catalogue: Catalogue) -> None:
    assert header_of(export_order(), catalogue).message_type.family == "export"
    assert header_of(order(), catalogue).message_type.family == "import"


def test_signature_is_noticed(catalogue: Catalogue) -> None:
    tail = '<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"/>'
    assert header_of(export_order(tail=tail), catalogue).signed


def test_missing_parts_stay_empty(catalogue: Catalogue) -> None:
    header = header_of(
        document("CEB311Message", "<ceb:Order/><ceb:Order><ceb:OrderHead/></ceb:Order>"), catalogue
    )
    assert (header.cop_code, header.dxp_id) == ("", "")
    assert [dict(one.key) for one in header.declarations] == [{}, {}]


def test_a_comment_inside_a_value_hides_nothing(catalogue: Catalogue) -> None:
    body = (
        order("ORDER-1")
        .replace(COP_CODE.encode(), COP_CODE.encode() + b"<!-- -->9")
        .replace(b"R-1<", b"R-<?x?>1<")
    )
    header = header_of(body, catalogue)
    assert header.cop_code == COP_CODE + "9"
    assert header.declarations[0].key["orderNo"] == "ORDER-1"


def test_more_than_a_hundred_bodies_are_all_gathered(catalogue: Catalogue) -> None:
    assert len(header_of(order(*map(str, range(101))), catalogue).declarations) == 101


def test_unknown_root_is_refused_and_named(catalogue: Catalogue) -> None:
    fault = refused(b"<html/>", catalogue)
    assert (fault.rule, fault.value) == ("unknown_root", "html")


def test_a_forgotten_ending_is_suggested(catalogue: Catalogue) -> None:
    fault = refused(f'<CEB621 xmlns="{CEB}"/>'.encode(), catalogue)
    assert "CEB621Message" in fault.fix


@pytest.mark.parametrize("namespace", ["", ' xmlns="urn:other"'])
def test_right_root_in_the_wrong_namespace_is_refused(namespace: str, catalogue: Catalogue) -> None:
    fault = refused(f"<CEB311Message{namespace}/>".encode(), catalogue)
    assert fault.rule == "wrong_namespace"
    assert CEB in fault.message


def test_a_receipt_is_not_a_declaration(catalogue: Catalogue) -> None:
    fault = refused(receipt("CEB622Message", {"copNo": "COP-1"}), catalogue)
    assert fault.rule == "not_a_declaration"
    assert "清单回执" in fault.message_zh


def test_a_declaration_without_business_key_could_never_be_answered(catalogue: Catalogue) -> None:
    (fault,) = uncorrelatable(header_of(inventory("COP-1", None), catalogue))
    assert fault.rule == "no_business_key"
    assert fault.path == "/CEB621Message/Inventory[2]/InventoryHead/copNo"
    assert fault.name_zh == "企业内部编号"


@pytest.mark.parametrize(
    "body",
    [
        order(),
        inventory("COP-1"),
        inventory("COP-1", agent_code=None),
        inventory(None, pre_no="B1"),
        inventory(None, invt_no="I1"),
        waybill_status(),
    ],
)
def test_key_handle_or_number_make_a_declaration_answerable(body: bytes, catalogue: Catalogue) -> None:
    assert uncorrelatable(header_of(body, catalogue)) == ()


def test_an_empty_key_field_is_a_missing_one(catalogue: Catalogue) -> None:
    (fault,) = uncorrelatable(header_of(export_order("  "), catalogue))
    assert fault.element == "orderNo"


def test_elements_of_other_namespaces_are_not_read(catalogue: Catalogue) -> None:
    content = element("Order", '<OrderHead xmlns="urn:other"><orderNo>X</orderNo></OrderHead>')
    assert header_of(document("CEB311Message", content), catalogue).declarations[0].key == {}
