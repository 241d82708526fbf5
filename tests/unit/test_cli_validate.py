"""`gateway validate`: one line a file, the faults as the contract has them, whatever the file is."""

from pathlib import Path
from typing import Any

from rich.cells import cell_len

from gateway.model import Envelope
from gateway.xml.envelope import TransferHead, wrap, wrap_transfer
from tests import documents as make
from tests.advice_rules import BUYER, NAMED, PAID, about_the_buyer, paid, rule, write_rules
from tests.command_line import invoke, lines

MEMBERS = ["path", "line", "column", "element", "name_zh", "value", "rule", "message", "message_zh", "fix"]
SPOILED = (b"<ceb:goodsValue>100", b"<ceb:goodsValue>many")
ENVELOPE = Envelope(
    cop_msg_id="C-1",
    sender_id=make.DXP_ID,
    receiver_ids=("DXPEDCCEB0000002",),
    creat_time="2025-01-02T03:04:05",
    msg_type="CEB311Message",
)


def judged(file: Path, *options: object) -> dict[str, Any]:
    result = invoke("validate", "--json", *options, file)
    (line,) = lines(result)
    assert list(line) == ["file", "valid", "message_type", "edition", "faults"]
    assert line["file"] == str(file)
    assert all(list(fault) == MEMBERS for fault in line["faults"])
    assert line["valid"] is (not line["faults"])
    assert result.exit_code == (0 if line["valid"] else 1)
    return line


def test_valid_declaration_gives_one_line_and_exit_code_0(tmp_path: Path) -> None:
    file = tmp_path / "order.xml"
    file.write_bytes(make.order())
    assert judged(file) == {
        "file": str(file),
        "valid": True,
        "message_type": "CEB311Message",
        "edition": "202205",
        "faults": [],
    }


def test_all_faults_are_named_with_line_and_chinese_name(tmp_path: Path) -> None:
    file = tmp_path / "order.xml"
    file.write_bytes(make.order().replace(b"<ceb:currency>142", b"<ceb:currency>RMB9").replace(*SPOILED))
    faults = judged(file)["faults"]
    assert {fault["element"] for fault in faults} == {"currency", "goodsValue"}
    assert all(fault["line"] == 2 and fault["name_zh"] and fault["message_zh"] for fault in faults)


def test_unsigned_inventory_may_be_handed_in_but_not_sent(tmp_path: Path) -> None:
    file = tmp_path / "inventory.xml"
    file.write_bytes(make.inventory())
    assert judged(file)["valid"] is True
    (fault,) = judged(file, "--sendable")["faults"]
    assert fault["element"] == "Signature"


def test_declaration_that_no_answer_could_find_is_a_fault_only_as_handed_in(tmp_path: Path) -> None:
    file = tmp_path / "inventory.xml"
    invoke("init", tmp_path / "site")
    file.write_bytes(make.inventory(None))
    signed = tmp_path / "signed.xml"
    invoke("sign", file, "--key", tmp_path / "site" / "keys", "-o", signed)
    (fault,) = judged(signed)["faults"]
    assert fault["rule"] == "no_business_key"
    assert judged(signed, "--sendable")["valid"] is True


def test_receipts_are_judged_too(tmp_path: Path) -> None:
    file = tmp_path / "receipt.xml"
    key = {"ebpCode": "1", "ebcCode": "2", "orderNo": "3"}
    file.write_bytes(make.receipt("CEB312Message", key, prefix=True))
    assert judged(file, "--sendable")["message_type"] == "CEB312Message"


def test_envelope_is_judged_and_then_what_is_in_it(tmp_path: Path) -> None:
    head = TransferHead(
        msg_id="0" * 32,
        sub_msg_id="",
        send_time="2025-01-02T03:04:05",
        end_node="00000002",
        sta_node="46000002",
    )
    file = tmp_path / "envelope.xml"
    file.write_bytes(wrap_transfer(wrap(make.order(), ENVELOPE), head))
    assert judged(file, "--sendable")["message_type"] == "DxpMsgSv"
    file.write_bytes(wrap_transfer(wrap(make.order().replace(*SPOILED), ENVELOPE), head))
    (fault,) = judged(file, "--sendable")["faults"]
    assert fault["path"] == "/DxpMsgSv/DxpMsg/Data/CEB311Message/Order[1]/OrderHead/goodsValue"


def test_envelope_with_something_else_in_data_is_not_valid(tmp_path: Path) -> None:
    file = tmp_path / "envelope.xml"
    file.write_bytes(wrap(b"no XML", ENVELOPE))
    (fault,) = judged(file)["faults"]
    assert (fault["path"], fault["rule"]) == ("/DxpMsg/Data", "not_xml")


def test_what_is_no_message_is_not_valid_and_never_a_traceback(tmp_path: Path) -> None:
    file = tmp_path / "x.xml"
    for body in (
        b"",
        b"\0\1\2",
        b"<a/>",
        b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
        b"\xff\xfe<\0a\0",
        b"{}",
    ):
        file.write_bytes(body)
        assert judged(file)["message_type"] == ""
    file.write_bytes(b"<ceb:CEB311Message xmlns:ceb='urn:else'/>")
    (fault,) = judged(file)["faults"]
    assert fault["rule"] == "wrong_namespace"


def test_folders_are_searched_and_one_invalid_file_decides(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "good.xml").write_bytes(make.order())
    (tmp_path / "a" / "b" / "bad.xml").write_bytes(b"<a/>")
    (tmp_path / "a" / "ignored.txt").write_bytes(b"<a/>")
    result = invoke("validate", "--json", tmp_path)
    assert [(line["file"][-8:], line["valid"]) for line in lines(result)] == [
        ("/bad.xml", False),
        ("good.xml", True),
    ]
    assert result.exit_code == 1


def test_text_says_the_same_for_people(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.xml", tmp_path / "bad.xml"
    good.write_bytes(make.order())
    bad.write_bytes(make.order().replace(*SPOILED))
    result = invoke("validate", good, bad)
    assert f"{good}: valid (CEB311Message" in result.stdout
    assert f"{bad}: NOT valid" in result.stdout
    assert "line 2" in result.stdout
    assert "goodsValue" in result.stdout
    assert "\x1b" not in result.stdout


def test_unknown_edition_missing_file_and_empty_folder_are_usage_errors(tmp_path: Path) -> None:
    file = tmp_path / "order.txt"
    file.write_bytes(make.order())
    assert invoke("validate", file, "--edition", "1999").exit_code == 2
    assert invoke("validate", tmp_path / "none.xml").exit_code == 2
    assert invoke("validate", tmp_path).exit_code == 2
    assert invoke("validate").exit_code == 2


def advised(tmp_path: Path, body: bytes, *options: str) -> tuple[Path, tuple[object, ...]]:
    """Write a file and a folder of rules; the file, and the options that ask for advice on it."""
    file = tmp_path / "order.xml"
    file.write_bytes(body)
    rules = write_rules(tmp_path / "advice", rule(PAID), about_the_buyer())
    return file, (*options, "--advise", "--advice-dir", rules)


def test_advice_is_a_member_of_the_line_on_request_and_makes_nothing_invalid(tmp_path: Path) -> None:
    file, options = advised(tmp_path, paid(make.order("A", "B"), "200"))
    result = invoke("validate", "--json", *options, file)
    (line,) = lines(result)
    assert list(line) == ["file", "valid", "message_type", "edition", "faults", "advice"]
    assert (line["valid"], result.exit_code) == (True, 0)
    told = [
        (one["rule"], one["key"]["orderNo"], one["line"]) for one in line["advice"] if one["rule"] == PAID
    ]
    assert told == [(PAID, "A", 2), (PAID, "B", 2)]
    assert BUYER not in result.stdout


def test_advice_in_an_envelope_has_paths_that_begin_with_its_data(tmp_path: Path) -> None:
    file, options = advised(tmp_path, wrap(paid(make.order(), "200"), ENVELOPE))
    (line,) = lines(invoke("validate", "--json", *options, file))
    paths = {one["path"] for one in line["advice"] if one["rule"] in {PAID, NAMED}}
    assert paths == {
        "/DxpMsg/Data/CEB311Message/Order[1]/OrderHead/acturalPaid",
        "/DxpMsg/Data/CEB311Message/Order[1]/OrderHead/buyerName",
    }


def test_no_advice_on_what_is_not_valid_or_no_declaration(tmp_path: Path) -> None:
    file, options = advised(tmp_path, make.order().replace(*SPOILED))
    (line,) = lines(invoke("validate", "--json", *options, file))
    assert (line["valid"], line["advice"]) == (False, [])
    file.write_bytes(make.receipt("CEB312Message", {"ebpCode": "1", "ebcCode": "2", "orderNo": "A"}))
    (line,) = lines(invoke("validate", "--json", *options, file))
    assert (line["valid"], line["advice"]) == (True, [])


def test_people_read_advice_in_both_languages_within_eighty_columns(tmp_path: Path) -> None:
    file, options = advised(tmp_path, paid(make.order("N" * 60), "200"))
    first, *rest = invoke("validate", *options, file).stdout.splitlines()
    assert "valid (CEB311Message, edition 202205), advice: " in first
    assert f"  error  {PAID}  line 2" in rest
    for text in (
        "acturalPaid 200 is too much",
        "实付金额200过大",
        "fix (platform): check acturalPaid",
        "处理：核对实付金额",
    ):
        assert f"    {text}" in rest
    assert max(cell_len(line) for line in rest) <= 80
