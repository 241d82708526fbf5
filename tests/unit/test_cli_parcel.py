"""`gateway trace` of a number tells all documents of the parcel; `gateway check` looks at the secret of the marks."""

from pathlib import Path
from shutil import copytree

import pytest

from gateway.app.build import App
from gateway.errors import ConfigError
from tests.command_line import Node, lines, node_at
from tests.parcel_documents import NAME, inventory, order, payment
from tests.unit.test_cli_spool import node, template

__all__ = ["node", "template"]


def test_trace_of_an_order_number_tells_every_document_and_what_does_not_agree(node: Node) -> None:
    node.accept(order(), payment(amountPaid="100", payerName="李四"), inventory())

    for key in ("ORDER-1", "WB-1", "COP-1"):
        found = lines(node.run("trace", key, "--json"))[-1]["parcel"]
        assert {one["kind"] for one in found} == {"order", "payment", "inventory"}
        rules = {one["kind"]: {said["rule"] for said in one["matching"]} for one in found}
        assert rules == {
            "order": {"parcel-amount", "parcel-payer-name"},
            "payment": {"parcel-amount", "parcel-payer-name"},
            "inventory": {"parcel-waybill-missing"},
        }
    text = node.run("trace", "ORDER-1").stdout
    assert "error [1332]: acturalPaid of this order does not agree with the payment" in text
    assert "hint: the waybill for logisticsNo WB-1 has not passed here" in text
    assert NAME not in text
    assert "李四" not in text


def test_trace_finds_a_payment_by_the_number_of_its_order_alone(node: Node) -> None:
    node.accept(payment(orderNo="ORDER-77", payTransactionId="PAY-77"))
    told = lines(node.run("trace", "ORDER-77", "--json"))
    assert [one["message_type"] for one in told] == ["CEB411Message"], (
        "one document alone is no parcel to tell of"
    )


def test_the_secret_is_made_once_for_its_owner_alone(node: Node) -> None:
    file = node.app.config.node.state_dir / "keys" / "parcel-marks.key"
    made = file.read_bytes()
    assert (len(made), file.stat().st_mode & 0o777) == (32, 0o600)
    node_at(node.app.file.parent)
    assert file.read_bytes() == made
    assert "secret of the parcel marks" in node.run("check").stdout

    file.write_bytes(b"short")
    with pytest.raises(ConfigError, match="less than 32 bytes"):
        App(node.app.file)


def test_nothing_is_kept_where_comparing_is_switched_off(template: Path, tmp_path: Path) -> None:
    folder = Path(copytree(template, tmp_path / "site"))
    config = folder / "gateway.toml"
    text = config.read_text("utf-8")
    assert "\n# enabled = true\n" in text
    config.write_text(text.replace("\n# enabled = true\n", "\nenabled = false\n"), "utf-8")
    node = node_at(folder)
    node.accept(order())
    assert "parcel" not in lines(node.run("trace", "ORDER-1", "--json"))[-1]
    assert not (node.app.config.node.state_dir / "keys" / "parcel-marks.key").exists()
