"""A mapping is checked whole when it is loaded: the error names file, table, key and shows what is right."""

from pathlib import Path

import pytest

from gateway.errors import RulesError
from gateway.mapping.compile import load_mapping
from gateway.mapping.language import SourceKind
from gateway.mapping.loading import load_mappings
from gateway.rules.loading import RULES
from tests.unit.mapping_examples import block, mappings, shipped

PAYMENTS = (RULES / "mappings" / "translations" / "payments.toml").read_text("utf-8")
INVENTORIES = (RULES / "mappings" / "translations" / "inventories.toml").read_text("utf-8")


def refused(folder: Path, text: str) -> RulesError:
    file = folder / "mine.toml"
    file.write_text(text, "utf-8")
    with pytest.raises(RulesError) as wrong:
        load_mapping(file, shipped())
    assert str(file) in wrong.value.where
    return wrong.value


def test_shipped_mappings_are_in_order() -> None:
    kinds = {name: (one.kind.name, one.source) for name, one in mappings().items()}
    generic = {
        f"json-{kind.number}": (kind.name, SourceKind.JSON) for kind in shipped().catalogue.declarations()
    }
    sheets = {
        f"sheet-{kind.number}": (kind.name, SourceKind.TABLE) for kind in shipped().catalogue.declarations()
    }
    assert len(generic) == len(sheets) == 19
    assert kinds == generic | sheets | {
        "orders": ("CEB311Message", SourceKind.JSON),
        "payments": ("CEB411Message", SourceKind.JSON),
        "inventories": ("CEB621Message", SourceKind.TABLE),
    }


def test_mapping_of_the_page_is_in_order(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(block("toml", "[document.Payment.PaymentHead]"), "utf-8")
    assert load_mapping(file, shipped()).kind.name == "CEB411Message"


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ('message = "CEB411Message"', 'message = "CEB412Message"', ("no declaration", "key message", "CEB311Message")),
        ('message = "CEB411Message"', 'message = "CEB999Message"', ("no declaration", "key message", "CEB311Message")),
        ('source = "json"', 'source = "xml"', ("Invalid enum value 'xml'", "key source", 'source = "json"')),
        ("about =", "abuot =", ("unknown field `abuot`", "", "about =")),
        ("payName =", "payNmae =", ("has no payNmae in CEB411Message", "[document.Payment.PaymentHead], key payNmae", "payName")),
        ('payTime = { from = "paid_at", time = "unix" }', "", ("required element payTime (支付时间)", "key payTime", 'payTime = "payTime"')),
        ('currency = { constant = "142" }', "", ("required element currency", "key currency", 'constant = "142"')),
        ('currency = { constant = "142" }', 'currency = { constant = "840" }', ("nothing but '142'", "PaymentHead.currency", '"142"')),
        ('"@guid" = { guid = [] }', "", ("required attribute guid", '"@guid"', "guid = []")),
        ('constant = "1" }', 'constant = "1234" }', ("exactly 1", "payerIdType", "")),
        ('default = "1"', 'default = "12"', ("exactly 1", "appType", "")),
        ('new = "1"', 'new = "10"', ("exactly 1", "appType", "")),
        ('"amount_fen"', '{ from = "amount_fen", decimals = 2 }', ("unknown field `decimals`", "amountPaid", "decimal = 2")),
        ('"amount_fen"', '{ from = "amount_fen", decimal = 6 }', ("5 places at most", "key decimal", "decimal = 5")),
        ('"amount_fen"', '{ from = "amount_fen", decimal = 99 }', ("<= 18", "key decimal", "decimal = 2")),
        ('time = "unix"', 'time = "%Y"', ("no form of a time", "key time", "YYYY-MM-DD")),
        ('"amount_fen"', '{ from = "amount_fen", constant = "1" }', ("has from and constant", "amountPaid", "from =")),
        ('"amount_fen"', "{ scale = 2 }", ("has no source", "amountPaid", "from =")),
        ('from = "action", default', "position = true, default", ("goes with from, given, join", "appType", "")),
        ('orderNo = "order_no"', 'orderNo = "a//b"', ("is no path", "orderNo", "buyer/name")),
        ('orderNo = "order_no"', 'orderNo = "../../x"', ("goes up 2 items, there are 1", "orderNo", "/sender")),
        ('orderNo = "order_no"', "orderNo = 5", ("needs a text or a table", "orderNo", "orderNo =")),
        ('orderNo = "order_no"', "orderNo = { join = [] }", ("length >= 1", "key join", "join =")),
        ('Payment = "/payments"', 'Payment = ["x"]', ("the path of an array", "Payment", '"/orders"')),
        ('Payment = "/payments"', '"Payment/PaymentHead" = "/payments"', ("that may repeat", "Payment/PaymentHead", "Payment")),
        ("[document.BaseTransfer]", "[document.ExtendMessage]", ("has no copCode", "ExtendMessage", "one of: name")),
    ],
)  # fmt: skip
def test_wrong_mapping_is_refused_with_file_key_and_example(
    tmp_path: Path, before: str, after: str, told: tuple[str, str, str]
) -> None:
    what, where, example = told
    assert before in PAYMENTS
    wrong = refused(tmp_path, PAYMENTS.replace(before, after, 1))
    assert what in wrong.what
    assert where in wrong.where
    assert example in wrong.fix


def test_columns_of_csv_are_a_list(tmp_path: Path) -> None:
    text = INVENTORIES.replace('Inventory = ["agent_code", "cop_no"]', 'Inventory = "cop_no"')
    assert "a list of columns" in refused(tmp_path, text).what


def test_own_mapping_stands_beside_the_shipped_and_counts_before_one_of_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "ours.toml").write_text(PAYMENTS, "utf-8")
    (tmp_path / "payments.toml").write_text(PAYMENTS.replace("about = ", 'about = "ours" # '), "utf-8")
    found = load_mappings(shipped(), own_dir=tmp_path)
    assert set(found) == {*mappings(), "ours"}
    assert found["payments"].about == "ours"


def test_name_that_no_address_can_carry_and_a_folder_that_is_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "My Orders.toml").write_text(PAYMENTS, "utf-8")
    with pytest.raises(RulesError, match="no name of a mapping"):
        load_mappings(shipped(), own_dir=tmp_path)
    with pytest.raises(RulesError, match="no folder of mappings"):
        load_mappings(shipped(), own_dir=tmp_path / "none")
