import json
import sys
from collections.abc import Iterator
from pathlib import Path
from select import PIPE_BUF

import pytest

from gateway.observe.log import EVENTS, Level, configure_logs, gathered, log, redact, reset_logs


@pytest.fixture(autouse=True)
def default_logs() -> Iterator[None]:
    yield
    reset_logs()


def test_each_event_is_one_json_object_on_a_line_of_stdout(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    configure_logs("info")
    log("entry.sent", message_id="M-1", destination="customs", sha256="0" * 64)
    log("entry.deferred", message_id="M-2", attempt=3, error="two\nlines, 两行 \x1b[31m", roles=["a", "b"])
    out, err = capfdbinary.readouterr()
    first, second = map(json.loads, out.splitlines())
    assert err == b""
    assert (first["event"], first["level"], first["message_id"]) == ("entry.sent", "info", "M-1")
    assert first["time"].endswith("Z")
    assert (second["error"], second["attempt"]) == ("two\nlines, 两行 \x1b[31m", 3)
    assert b"\x1b" not in out


def test_value_that_json_does_not_know_is_written_as_text(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    configure_logs("info")
    log("feed.failed", destination="customs", error=OSError("refused"))
    assert json.loads(capfdbinary.readouterr().out)["error"] == "refused"


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_level_of_an_event_is_that_of_the_table_and_lower_ones_are_left_out(
    level: Level, shown: list[str], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    configure_logs(level)
    for event in ("entry.sent", "entry.deferred", "entry.dead"):
        log(event)
    lines = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [line["level"] for line in lines] == shown
    assert all(line["level"] == EVENTS[line["event"]].level for line in lines)


def test_event_that_is_not_in_the_table_is_a_defect() -> None:
    with pytest.raises(KeyError, match=r"entry\.vanished"):
        log("entry.vanished")


@pytest.mark.parametrize(
    "name",
    [
        "buyerName", "buyerIdNumber", "buyerTelephone", "buyerRegNo", "consignee", "consigneeAddress",
        "consigneeTelephone", "payerName", "payerIdNumber", "ebcName", "token", "new_token", "password",
        "client_secret", "body", "raw_body",
    ],
)  # fmt: skip
def test_personal_and_secret_fields_are_taken_out_by_name(name: str) -> None:
    assert redact(None, "", {name: "张三"})[name] == "[redacted]"


@pytest.mark.parametrize("name", ["address", "file_name", "key_name", "message_id", "enterprise", "sha256"])
def test_fields_that_operators_need_stay(name: str) -> None:
    assert redact(None, "", {name: "13000000000"})[name] == "13000000000"


@pytest.mark.parametrize(
    "number", ["13000000000", "110101190001010000", "11010119000101000X", "110101000101000"]
)
@pytest.mark.parametrize("field", ["error", "reason", "fix", "where"])
def test_numbers_of_people_are_taken_out_of_free_text(number: str, field: str) -> None:
    line = redact(None, "", {field: f"value '{number}', refused"})
    assert line[field] == "value '[redacted]', refused"


@pytest.mark.parametrize("text", ["port 5672", "after 1234567 ms", "20250102030405", "0" * 64])
def test_other_numbers_stay_in_free_text(text: str) -> None:
    assert redact(None, "", {"error": text})["error"] == text


def test_redaction_also_holds_on_the_way_to_stdout(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    configure_logs("info")
    log("feed.failed", error="call 13000000000", consignee="李四", certificate="kept")
    out = capfdbinary.readouterr().out
    assert "李四" not in out.decode()
    assert b"13000000000" not in out
    assert json.loads(out)["certificate"] == "kept"


def test_lines_of_a_block_come_at_its_end_whole_and_in_order(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    configure_logs("info")
    with gathered():
        for number in range(100):
            log("entry.sent", attempt=number, destination="x" * 100)
        with gathered():
            log("entry.sent", attempt=100)
        assert capfdbinary.readouterr().out == b""
    lines = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [line["attempt"] for line in lines] == list(range(101))


def test_no_write_of_a_block_is_so_long_that_another_process_could_get_into_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writes: list[bytes] = []
    monkeypatch.setattr("gateway.observe.log._write", writes.append)
    configure_logs("info")
    with gathered():
        for length in (100, 1000, 3000, PIPE_BUF + 1, 100, 100):
            log("entry.sent", destination="x" * length)
    assert len(b"".join(writes).splitlines()) == 6
    assert [len(one) <= PIPE_BUF for one in writes] == [True, True, False, True]
    assert all(one.endswith(b"\n") for one in writes)


def test_who_logs_goes_on_when_nothing_can_be_written_and_what_is_missing_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure_logs("info")
    with Path("/dev/full").open("w") as full, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", full)
        log("node.draining")
        with gathered():
            log("node.draining")
            log("node.draining")
    log("node.stopped")
    log("node.stopped")
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line]
    assert [(one["event"], one.get("lines")) for one in told] == [
        ("node.stopped", None),
        ("log.lost", 3),
        ("node.stopped", None),
    ]
