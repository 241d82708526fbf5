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

from gateway.observe.defects import RateLimit, capture_libraries, defect
from gateway.observe.log import configure_logs, reset_logs


@pytest.fixture(autouse=True)
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("gateway.observe.defects._LIMIT", RateLimit())
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


def test_a_line_stands_for_all_of_its_kind_within_a_minute() -> None:
    clock = Clock()
    limit = RateLimit(clock=clock)
    assert [limit.times("garbage") for _ in range(1000)] == [1] + [0] * 999
    assert limit.times("other") == 1
    clock.now = 60.0
    assert [limit.times("garbage"), limit.times("garbage"), limit.times("other")] == [1000, 0, 1]


def test_however_many_kinds_there_are_lines_and_memory_are_bounded() -> None:
    clock = Clock()
    limit = RateLimit(lines=5, most=10, clock=clock)
    assert sum(limit.times(str(number)) for number in range(100)) == 5
    assert len(limit._kinds) == 10
    clock.now = 60.0
    assert limit.times("again") == 1


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
