"""`gateway translate`: the document, the trace of every field, and what is wrong, in places of the source."""

import hashlib
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from gateway.config.gateway_toml import LimitsConfig
from gateway.mapping.translate import translate
from gateway.rules.loading import RULES
from tests.command_line import invoke, lines
from tests.documents import dxp_rep, order, receipt
from tests.unit.mapping_examples import block, example, mappings


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "payments.json"
    file.write_bytes(example("payments"))
    return file


def changed(file: Path, **changes: Any) -> Path:
    document = json.loads(file.read_bytes())
    document["payments"][0].update(changes)
    file.write_text(json.dumps(document), "utf-8")
    return file


def test_document_is_the_one_the_gateway_would_keep(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.xml"
    printed = invoke("translate", source, "--mapping", "payments")
    written = invoke("translate", source, "-m", "payments", "-o", out)
    expected = translate(example("payments"), mappings()["payments"], LimitsConfig()).document
    assert (printed.exit_code, written.exit_code, written.stdout) == (0, 0, "")
    assert printed.stdout_bytes == out.read_bytes() == expected
    assert invoke("validate", out).exit_code == 0


def test_trace_goes_to_stdout_and_the_document_to_its_file(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.xml"
    result = invoke("translate", source, "-m", "payments", "--trace", "-o", out)
    assert (
        "/CEB411Message/Payment[1]/PaymentHead/amountPaid  '399.90'  <- /payments/0/amount_fen  (scale -2)"
        in result.stdout
    )
    assert "<ceb:" not in result.stdout
    assert out.is_file()


def test_json_lines_for_programs(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.xml"
    *steps, last = lines(invoke("translate", source, "-m", "payments", "--trace", "--json", "-o", out))
    assert {
        "target": "/CEB411Message/Payment[1]/PaymentHead/note",
        "source": "/payments/0/note",
        "function": "nothing",
        "value": None,
    } in steps
    assert last == {
        "file": str(source), "mapping": "payments", "valid": True, "message_type": "CEB411Message", "declarations": 1,
        "sha256": hashlib.sha256(out.read_bytes()).hexdigest(), "out": str(out), "faults": [],
    }  # fmt: skip


def test_long_value_is_shortened_in_the_trace(source: Path) -> None:
    result = invoke("translate", changed(source, note="n" * 500), "-m", "payments", "--trace", "--json")
    (note,) = [step["value"] for step in lines(result) if step.get("target", "").endswith("/note")]
    assert note == "n" * 60


def test_what_is_wrong_is_told_of_the_source_and_nothing_is_written(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.xml"
    changed(source, amount_fen="much", order_no="")
    told = invoke("translate", source, "-m", "payments", "-o", out)
    (line,) = lines(invoke("translate", source, "-m", "payments", "--json"))
    assert told.exit_code == 1
    assert not out.exists()
    assert [(fault["source"], fault["rule"]) for fault in line["faults"]] == [
        ("/payments/0/amount_fen", "not_a_number"),
        ("/payments/0/order_no", "missing"),
    ]
    assert "/payments/0/amount_fen  line 1, column" in told.stderr
    assert "支付金额" in told.stderr


def test_source_that_cannot_be_read_is_told_with_its_place(source: Path) -> None:
    source.write_text('{"a": 1,\n "a": 2}', "utf-8")
    (line,) = lines(invoke("translate", source, "-m", "payments", "--json"))
    assert (line["valid"], line["faults"][0]["line"], line["faults"][0]["column"]) == (False, 2, 2)
    assert "line 2, column 2" in invoke("translate", source, "-m", "payments").stderr


def test_many_declarations_become_several_files(source: Path, tmp_path: Path) -> None:
    document = json.loads(source.read_bytes())
    document["payments"] *= 150
    source.write_text(json.dumps(document), "utf-8")
    whole = invoke("translate", source, "-m", "payments")
    assert (whole.exit_code, "too_many" in whole.stderr) == (1, True)

    result = invoke("translate", source, "-m", "payments", "--split", "-o", tmp_path / "many.xml", "--json")

    assert [line["declarations"] for line in lines(result)] == [100, 50]
    assert sorted(file.name for file in tmp_path.glob("many*")) == ["many-1.xml", "many-2.xml"]
    assert invoke("validate", tmp_path / "many-1.xml", tmp_path / "many-2.xml").exit_code == 0
    assert invoke("translate", source, "-m", "payments", "--split").exit_code == 2


def test_commands_of_the_page_do_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("payments.json").write_bytes(example("payments"))
    Path("many.csv").write_bytes(example("inventories"))
    Path("my-payments.toml").write_text(
        (RULES / "mappings" / "translations" / "payments.toml").read_text("utf-8"), "utf-8"
    )
    commands = [shlex.split(line, comments=True) for line in block("sh", "gateway translate").splitlines()]
    assert len(commands) == 4
    for command in commands:
        assert invoke(*command[1:]).exit_code == 0, command
    assert sorted(file.name for file in Path().glob("*.xml")) == ["many-1.xml", "payments.xml"]


def test_mapping_is_a_name_an_own_one_or_a_file(source: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "mine.toml").write_text(block("toml", "[document.Payment.PaymentHead]"), "utf-8")
    unknown = invoke("translate", source, "-m", "mine")
    assert (unknown.exit_code, "gateway mapping list" in unknown.stderr) == (2, True)
    for options in (("-m", "mine", "--mappings-dir", own), ("-m", own / "mine.toml")):
        result = invoke("translate", source, *options)
        assert result.exit_code == 1, "the source has other fields"
        assert "payTransactionId" not in result.stderr
        assert "/payments/0/amount " in result.stderr


def test_message_goes_to_json_and_back_to_the_same_message(tmp_path: Path) -> None:
    message, written = tmp_path / "order.xml", tmp_path / "order.json"
    message.write_bytes(order("O-1", "O-2"))
    told = invoke("translate", message, "--to-json", "-o", written)
    assert (told.exit_code, told.stdout) == (0, "")
    (orders,) = [one["Order"] for one in json.loads(written.read_bytes()).values()]
    assert [one["OrderHead"]["orderNo"] for one in orders] == ["O-1", "O-2"]

    back = invoke("translate", written, "--mapping", "json-311", "-o", tmp_path / "back.xml")

    assert back.exit_code == 0
    again = invoke("translate", tmp_path / "back.xml", "--to-json")
    assert again.stdout_bytes == written.read_bytes()


def test_receipt_is_written_in_the_same_form(tmp_path: Path) -> None:
    file = tmp_path / "answer.xml"
    file.write_bytes(receipt("CEB312Message", {"ebpCode": "1", "ebcCode": "2", "orderNo": "O-1"}))
    (line,) = lines(invoke("translate", file, "--to-json", "--json"))
    assert line["CEB312Message"]["OrderReturn"][0]["orderNo"] == "O-1"


def test_what_is_no_valid_message_is_not_written_as_json(tmp_path: Path) -> None:
    file = tmp_path / "order.xml"
    file.write_bytes(order("O-1").replace(b"<ceb:orderType>I</ceb:orderType>", b""))
    wrong = invoke("translate", file, "--to-json")
    assert (wrong.exit_code, wrong.stdout, "gateway validate" in wrong.stderr) == (1, "", True)
    (line,) = lines(invoke("translate", file, "--to-json", "--json"))
    assert (line["valid"], line["faults"][0]["element"]) == (False, "orderType")
    file.write_bytes(dxp_rep(("C-1", "DXPENT0000000001", "0")))
    assert "no CEB message" in invoke("translate", file, "--to-json").stderr
    assert invoke("translate", file).exit_code == 2
