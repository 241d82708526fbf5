"""A reload drops no request: on new connections, on kept ones, on idle ones, in the middle of a request.

At full size: `RELOADS=50 REQUESTS=10000 .venv/bin/python -m pytest tests/end_to_end/test_reload.py`.
"""

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.documents import order
from tests.door_node import ANN, DoorNode
from tests.raw_http import Line, configure, request
from tests.waiting import until

RELOADS = int(os.environ.get("RELOADS", "3"))
REQUESTS = int(os.environ.get("REQUESTS", "600"))
CALLERS = 4
"""Of each kind at the same time."""
IDLE = 40


@pytest.fixture
def node(tmp_path: Path) -> Iterator[DoorNode]:
    node = DoorNode(tmp_path, {})
    configure(
        node.site, "head_s = 3600.0", "idle_s = 3600.0"
    )  # however long the reloads take on this machine
    with node.running():
        yield node


def submission(node: DoorNode, number: int) -> bytes:
    body = order(f"RELOAD-{number}", cop_code=ANN.cop_codes[0], dxp_id=ANN.dxp_ids[0])
    return request("POST", "/v1/messages", f"Authorization: Bearer {node.token(ANN.id)}", body=body)


class Callers:
    """Threads that ask without a pause while they may, and never twice for one thing; every outcome is counted."""

    def __init__(self, node: DoorNode) -> None:
        self._node = node
        self._numbers = count()
        self._may = threading.Event()
        self._enough = False
        self._threads: list[threading.Thread] = []
        self.outcomes: Counter[str] = Counter()

    def start(self, call: Callable[[Callable[[Line], None]], None]) -> None:
        thread = threading.Thread(target=self._work, args=(call,))
        self._threads.append(thread)
        thread.start()

    def _work(self, call: Callable[[Callable[[Line], None]], None]) -> None:
        try:
            while self._may.wait() and not self._enough:
                call(self._ask)
        except OSError as error:
            self.outcomes[f"{type(error).__name__}: {error}"] += 1

    def _ask(self, line: Line) -> None:
        number = next(self._numbers)
        posts = number % 2 == 0
        line.send(submission(self._node, number) if posts else request("GET", "/healthz"))
        self.outcomes["post" if posts else "get"] += 1
        status = line.answer().status
        if status != (202 if posts else 200):
            self.outcomes[f"status {status}"] += 1

    def go(self) -> None:
        self._may.set()

    def rest(self, requests: int) -> None:
        """Pause when there have been so many requests, or when one went wrong."""
        until(lambda: self.outcomes.total() >= requests or not self.good, seconds=120)
        self._may.clear()
        assert self.good, self.outcomes

    @property
    def good(self) -> bool:
        return set(self.outcomes) <= {"get", "post"}

    def stop(self) -> None:
        self._enough = True
        self._may.set()
        for thread in self._threads:
            thread.join()


def on_new_connections(port: int) -> Callable[[Callable[[Line], None]], None]:
    def call(ask: Callable[[Line], None]) -> None:
        with Line(port) as line:
            ask(line)

    return call


def on_kept_connections(port: int, made: list[Line]) -> Callable[[Callable[[Line], None]], None]:
    line = Line(port)
    made.append(line)
    return lambda ask: ask(line)


def test_no_request_is_dropped_on_new_and_on_kept_connections(node: DoorNode) -> None:
    callers = Callers(node)
    made = [Line(node.port) for _ in range(IDLE)]
    idle = list(made)
    half = submission(node, 10_000_000)
    try:
        for _ in range(CALLERS):
            callers.start(on_new_connections(node.port))
            callers.start(on_kept_connections(node.port, made))
        for number in range(1, RELOADS + 1):
            with Line(node.port) as slow:
                slow.send(half[:40])
                reload(node, number, callers)
                slow.send(half[40:])
                assert slow.answer().status in {200, 202}, "a head that had begun"
            for line in idle[: 1 + number % IDLE]:
                line.send(request("GET", "/healthz"))
                assert line.answer().status == 200, "a connection that was idle through all reloads before"
    finally:
        callers.stop()
        for line in made:
            line.socket.close()
    assert set(callers.outcomes) == {"get", "post"}, callers.outcomes
    assert callers.outcomes.total() >= REQUESTS


def reload(node: DoorNode, number: int, callers: Callers) -> None:
    """SIGHUP for the `number`th time; the callers ask while one door takes over from the other.

    Before that the configuration is read, which takes the longest and does nothing to the door.
    """
    node.process.process.send_signal(signal.SIGHUP)
    node.process.wait_for(nth(number + 1, event="role.started", role="accept"), 120)
    callers.go()
    node.process.wait_for(nth(number, event="node.reloaded"), 120)
    callers.rest(REQUESTS * number // RELOADS)


def nth(number: int, **fields: str) -> Callable[[Mapping[str, Any]], bool]:
    """Want the `number`th line with these fields; looks at each line once, so that thousands may come between."""
    found = count(1)
    return lambda line: fields.items() <= line.items() and next(found) >= number


def test_body_that_is_on_its_way_is_answered_by_the_process_that_took_its_head(node: DoorNode) -> None:
    whole = submission(node, 1)
    cut = whole.index(b"\r\n\r\n") + 100
    with Line(node.port) as line:
        line.send(whole[:cut])
        with Line(node.port) as probe:
            probe.send(request("GET", "/healthz"))
            assert probe.answer().status == 200, "what came before is read"
        node.process.process.send_signal(signal.SIGHUP)
        node.process.wait_for(nth(2, event="role.started", role="accept"), 60)
        line.send(whole[cut:], request("GET", "/healthz"))
        assert line.answer().status == 202
        assert line.answer().status == 200, "and the next request by the one after it"
    node.process.wait_for_event("node.reloaded", 60)


@pytest.mark.parametrize("waiting", ["poll", "idle"])
def test_stop_does_not_wait_for_those_who_wait(node: DoorNode, waiting: str) -> None:
    with Line(node.port) as line:
        token = f"Authorization: Bearer {node.token(ANN.id)}"
        line.send(request("GET", "/healthz"))
        assert line.answer().status == 200
        if waiting == "poll":
            line.send(request("GET", "/v1/receipts?wait=60", token))
        node.process.process.send_signal(signal.SIGTERM)
        node.process.wait_for_event("node.draining", 60)
        if waiting == "poll":
            assert line.answer().status == 200
        assert line.ended()
