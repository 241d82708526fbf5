"""What is kept of a document so that it can be compared: marks instead of persons."""

from gateway.model import Message
from gateway.parcels.facts import MARK_BYTES, Linker, Personal, parcel_facts
from gateway.rules.loading import Rules
from gateway.submission.pipeline import examine
from tests.documents import inventory, order, waybill_status
from tests.unit.test_pipeline import LIMITS, ME, rules

__all__ = ["rules"]

LINKER = Linker(b"s" * 32)
PERSONAL = ("张三", "110000000000000000", "13000000000", "示例市示例路1号")


def linked(body: bytes, rules: Rules, linker: Linker = LINKER) -> Message:
    message = examine(body, ME, rules, LIMITS, link=linker)
    assert isinstance(message, Message), message
    return message


def test_every_declaration_of_a_message_is_linked_by_its_own_numbers(rules: Rules) -> None:
    links = linked(order("ORDER-1", "ORDER-2"), rules).links
    assert [(one.order_no, one.waybill_no) for one in links] == [("ORDER-1", ""), ("ORDER-2", "")]
    facts = [parcel_facts(one.facts) for one in links]
    assert [one.number for one in facts] == [1, 2]
    assert facts[0].fields == {
        "appType": "1", "currency": "142", "ebpCode": "4400000002", "ebcCode": "4400000003", "acturalPaid": "109.1",
    }  # fmt: skip
    (item,) = facts[0].items
    assert (item.gnum, item.item_no, item.qty, item.price, item.total) == ("1", "SKU-1", "1", "100", "100")

    (link,) = linked(inventory(), rules).links
    assert (link.order_no, link.waybill_no) == ("ORDER-1", "WB-1")


def test_other_types_are_not_linked(rules: Rules) -> None:
    assert linked(waybill_status(), rules).links == ()


def test_a_document_in_another_form_is_linked_alike(rules: Rules) -> None:
    plain = linked(order(), rules).links
    commented = linked(order().replace(b"<ceb:OrderHead>", b"<!-- c --><ceb:OrderHead>"), rules).links
    assert plain == commented


def test_nothing_personal_is_kept_in_the_clear(rules: Rules) -> None:
    for body in (order(), inventory()):
        for link in linked(body, rules).links:
            assert not [text for text in PERSONAL if text.encode() in link.facts]
            assert parcel_facts(link.facts).people


def test_marks_are_equal_for_equal_values_of_one_kind_under_one_secret_alone(rules: Rules) -> None:
    mark = LINKER.mark(Personal.NAME, "张三")
    assert len(mark) == MARK_BYTES
    assert LINKER.mark(Personal.NAME, " 张三 ") == mark
    assert LINKER.mark(Personal.ADDRESS, "张三") != mark
    assert Linker(b"t" * 32).mark(Personal.NAME, "张三") != mark
    assert LINKER.mark(Personal.IDENTITY, "11010119900101123x") == LINKER.mark(
        Personal.IDENTITY, "11010119900101123X"
    )
