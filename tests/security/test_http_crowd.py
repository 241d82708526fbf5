"""Thousands of connections that say nothing, too little or too much: who says who he is, is served.

At full size, in about two minutes: `CROWD=5000 .venv/bin/python -m pytest tests/security/test_http_crowd.py`.
"""

import contextlib
import os
import resource
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.documents import order
from tests.door_node import ANN, DoorNode
from tests.raw_http import Line, configure, request, resident_mb
from tests.servers.certificates import Authority

CROWD = int(os.environ.get("CROWD", "1200"))
ADDRESSES = 40
HONEST = 20
MEMORY_MB = 400
GREEDY = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 60_000
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 200
KINDS = {
    "silent": b"",
    "slow": b"GET /healthz HTTP/1.1\r\nHost: x\r\n",
    "greedy": GREEDY,
    "pipelining": request("GET", "/docs") * 100,
    "knocking": request("POST", "/v1/messages", "Authorization: Bearer wrong", body=b"<a/>"),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Place:
    node: DoorNode
    context: ssl.SSLContext | None


@pytest.fixture(params=["plain", "tls"])
def secured(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "tls")


@pytest.fixture(params=[1024, 65_536])
def place(request: pytest.FixtureRequest, folder: Path, secured: bool) -> Iterator[Place]:
    """A door whose processes may have so many descriptors, or as many as this user may have."""
    node = DoorNode(folder, {})
    context = None
    if secured:
        authority = Authority("Test CA")
        authority.write(folder / "ca.crt")
        authority.issue("door", folder / "door.crt", folder / "door.key", server=True)
        pair = (f'certificate = "{folder / "door.crt"}"', f'key = "{folder / "door.key"}"')
        configure(node.site, rest=("[accept.tls]", *pair))
        context = ssl.create_default_context(cafile=folder / "ca.crt")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    descriptors = min(request.param, hard)
    with node.running(inside=["prlimit", f"--nofile={descriptors}:{descriptors}"]):
        yield Place(node=node, context=context)


@pytest.fixture(autouse=True)
def room() -> Iterator[None]:
    """Let this process open what the crowd needs."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def crowd(place: Place, stack: ExitStack) -> None:
    """Strangers of every kind in turn, from many addresses; none of them ever reads, some are turned away."""
    kinds = list(KINDS.values())
    for number in range(CROWD):
        one = stack.enter_context(socket.socket())
        one.settimeout(20)
        one.bind((f"127.0.1.{1 + number % ADDRESSES}", 0))
        with contextlib.suppress(OSError):
            one.connect(("127.0.0.1", place.node.port))
            if place.context is not None and number % 10 == 0:
                one = stack.enter_context(place.context.wrap_socket(one, server_hostname="localhost"))
                one.settimeout(0.2)
                one.sendall(GREEDY)
                continue
            one.setblocking(False)
            sent = kinds[number % len(kinds)] if place.context is None else [b"", HELLO, GREEDY][number % 3]
            if sent:
                one.send(sent)


def submit(place: Place, line: Line, number: int) -> int:
    body = order(f"CROWD-{number}", cop_code=ANN.cop_codes[0], dxp_id=ANN.dxp_ids[0])
    line.send(request("POST", "/v1/messages", f"Authorization: Bearer {place.node.token(ANN.id)}", body=body))
    return line.answer().status


def test_honest_callers_are_served_beside_any_crowd_and_memory_is_bounded(place: Place) -> None:
    pid = place.node.pid("accept")
    with ExitStack() as stack:
        kept = stack.enter_context(Line(place.node.port, context=place.context))
        assert submit(place, kept, 0) == 202
        crowd(place, stack)
        for number in range(1, HONEST + 1):
            with Line(place.node.port, context=place.context) as line:
                assert submit(place, line, number) == 202, "somebody who has just come"
            assert submit(place, kept, 1000 + number) == 202, "somebody who was there before"
        used = resident_mb(pid)
        assert used < MEMORY_MB, f"{used:.0f} MB"
    assert place.node.pid("accept") == pid
    assert not place.node.events("descriptors.exhausted"), "there are fewer places than descriptors"


def test_crowd_of_one_address_does_not_even_keep_out_those_at_the_same(folder: Path) -> None:
    node = DoorNode(folder, {})
    configure(node.site, "max_connections_per_address = 8")
    with ExitStack() as stack:
        stack.enter_context(node.running())
        place = Place(node=node, context=None)
        known = [stack.enter_context(Line(node.port)) for _ in range(4)]
        assert {submit(place, line, number) for number, line in enumerate(known)} == {202}
        strangers = [stack.enter_context(Line(node.port)) for _ in range(20)]
        late = stack.enter_context(Line(node.port))
        assert submit(place, late, 100) == 202
        assert all(one.ended() for one in strangers[:17]), "those who were there longest have gone"
        assert {submit(place, line, 200 + number) for number, line in enumerate(known)} == {202}
        elsewhere = stack.enter_context(Line(node.port, source="127.0.0.2"))
        assert submit(place, elsewhere, 300) == 202


def test_address_whose_places_are_all_in_use_is_said_once(folder: Path) -> None:
    node = DoorNode(folder, {})
    configure(node.site, "max_connections_per_address = 3")
    with ExitStack() as stack:
        stack.enter_context(node.running())
        place = Place(node=node, context=None)
        for number in range(3):
            assert submit(place, stack.enter_context(Line(node.port)), number) == 202
        for _ in range(5):
            assert stack.enter_context(Line(node.port)).ended()
        said = node.event("connection.refused")
        assert (said["limit"], said["address"]) == ("address", "127.0.0.1")
        assert len(node.events("connection.refused")) == 1


def test_proxy_has_as_many_connections_as_it_wants(folder: Path) -> None:
    node = DoorNode(folder, {})
    configure(node.site, "max_connections_per_address = 3", 'trusted_proxies = ["127.0.0.1"]')
    with ExitStack() as stack:
        stack.enter_context(node.running())
        lines = [stack.enter_context(Line(node.port)) for _ in range(20)]
        statuses = {submit(Place(node=node, context=None), line, number) for number, line in enumerate(lines)}
        assert statuses == {202}


def test_process_without_descriptors_says_so_once_and_goes_on(folder: Path) -> None:
    node = DoorNode(folder, {})
    place = Place(node=node, context=None)
    with node.running(), ExitStack() as stack:
        pid = node.pid("accept")
        kept = [stack.enter_context(Line(node.port)) for _ in range(4)]
        assert {submit(place, line, number) for number, line in enumerate(kept)} == {202}
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        open_now = max(int(one.name) for one in Path(f"/proc/{pid}/fd").iterdir()) + 1
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_now, before[1]))
        waiting = [stack.enter_context(Line(node.port)) for _ in range(3)]
        node.event("descriptors.exhausted")
        assert {submit(place, line, 100 + number) for number, line in enumerate(kept)} == {202}
        for line in waiting:
            line.send(request("GET", "/healthz"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        assert {line.answer().status for line in waiting} == {200}, "who waited is served"
        assert len(node.events("descriptors.exhausted")) == 1
