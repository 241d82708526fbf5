"""What others can make us log: bounded, JSON, and never raw on stderr."""

import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from select import PIPE_BUF
from typing import Any

import pytest

from gateway.defects import LimitedLog, capture_libraries, defect
from gateway.observe import configure_logs, reset_logs


@pytest.fixture(autouse=True)
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("gateway.defects._LIMITED", LimitedLog())
    configure_logs("info")
    yield
    reset_logs()


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    capture_libraries()
    yield
    logging.captureWarnings(capture=False)


def told(capfdbinary: pytest.CaptureFixture[bytes]) -> list[dict[str, Any]]:
    out, err = capfdbinary.readouterr()
    assert err == b""
    return [json.loads(line) for line in out.splitlines()]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_line_stands_for_all_of_its_kind_within_a_minute(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    clock = Clock()
    limited = LimitedLog(clock=clock)
    for _ in range(1000):
        limited.log("library.warned", "garbage", error="garbage")
    limited.log("library.warned", "other", error="other")
    clock.now = 60.0
    limited.log("library.warned", "garbage", error="garbage")
    assert [(line["error"], line["times"]) for line in told(capfdbinary)] == [
        ("garbage", 1),
        ("other", 1),
        ("garbage", 1000),
    ]


def test_however_many_kinds_there_are_lines_and_memory_are_bounded(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    clock = Clock()
    limited = LimitedLog(lines=5, most=10, clock=clock)
    for number in range(100):
        limited.log("library.warned", str(number), error="x")
    assert len(told(capfdbinary)) == 5
    assert len(limited._kinds) == 10
    clock.now = 60.0
    limited.log("library.warned", "again", error="x")
    assert len(told(capfdbinary)) == 1


def test_a_defect_is_one_line_with_the_end_of_its_trace(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    def deep(depth: int) -> None:
        if depth == 0:
            raise ValueError("13900000001 \x1b[2J" + "x" * 10_000)
        deep(depth - 1)

    for _ in range(3):
        try:
            deep(200)
        except ValueError as error:
            defect("request.failed", error, path="/v1/messages")
    (line,) = told(capfdbinary)
    assert line["event"] == "request.failed"
    assert line["error"].startswith("ValueError: [redacted]")
    assert line["trace"].endswith("x\n")
    assert len(json.dumps(line)) < PIPE_BUF


def test_libraries_and_threads_speak_in_events(
    captured: None, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    def broken() -> None:
        raise RuntimeError("gone")

    for port in range(50):
        logging.getLogger("uvicorn.error").warning("Invalid request from port %d", port)
    logging.getLogger("asyncio").info("is not said")
    warnings.simplefilter("always")
    warnings.warn("old", DeprecationWarning, stacklevel=1)
    thread = threading.Thread(target=broken, name="look-up")
    thread.start()
    thread.join()
    first, warned, failed = told(capfdbinary)
    assert (first["event"], first["library"], first["error"]) == (
        "library.warned",
        "uvicorn.error",
        "Invalid request from port 0",
    )
    assert (warned["event"], warned["library"]) == ("library.warned", "py.warnings")
    assert (failed["event"], failed["thread"], failed["error"]) == (
        "thread.failed",
        "look-up",
        "RuntimeError: gone",
    )
