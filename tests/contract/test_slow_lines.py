"""A slow line is no dead one: what moves is not given up and sent again, and what stands still is."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.ports import Parcel, Transport
from tests.contract.conftest import AmqpMedium, OpenSshMedium, RabbitmqMedium, parcel
from tests.contract.frozen_child import transport_of
from tests.servers.tcp_door import NARROW_BYTES, TcpDoor

KIB = 1024
FAST = 10_000_000.0
SLOW = 150.0 * KIB
"""Bytes a second: what is sent here takes several time-outs."""
TIMEOUT_S = 2.0


@dataclass
class Line:
    """A server behind a door."""

    medium: Any
    door: TcpDoor
    config: Any
    around_bytes: int
    """What may come around two megabytes: logging in, heads, the answers to heartbeats."""

    def transport(self) -> Transport:
        return transport_of(self.config)

    def arrived(self) -> list[bytes]:
        return list(self.medium.arrived())


@pytest.fixture(params=["sftp", "rabbitmq", "amqp"])
def line(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Line]:
    medium: Any
    match request.param:
        case "rabbitmq":
            medium = RabbitmqMedium(request.getfixturevalue("brokers"), tmp_path)
            door, changed = medium.door, {"hosts": medium.config.hosts}
        case "amqp":
            medium = AmqpMedium()
            door = TcpDoor(medium.server.port)
            changed = {"url": f"amqp://127.0.0.1:{door.port}"}
        case _:
            medium = OpenSshMedium(tmp_path)
            door = TcpDoor(medium.server.port)
            changed = {"port": door.port}
    config = msgspec.structs.replace(medium.config, timeout_s=TIMEOUT_S, **changed)
    yield Line(medium, door, config, 64 * KIB if request.param == "sftp" else 8 * KIB)
    door.stop()
    medium.stop()


def batch(count: int, size: int) -> list[Parcel]:
    return [parcel(number, b"%04d" % number + bytes(size - 4)) for number in range(count)]


@pytest.mark.parametrize(
    ("count", "size"), [(64, 16 * KIB), (1, 1024 * KIB)], ids=["many", "one that is large"]
)
def test_slow_line_carries_each_message_once(line: Line, count: int, size: int) -> None:
    parcels = batch(count, size)
    line.door.narrow(SLOW)

    with closing(line.transport()) as transport:
        deliveries = list(transport.send(parcels))

    assert [delivery.error for delivery in deliveries] == [None] * count
    assert sorted(line.arrived()) == [one.body for one in parcels]
    assert line.door.uploaded < 1.2 * count * size, "nothing went twice"


def test_line_that_stands_still_is_given_up_and_what_was_held_back_does_not_arrive_later(line: Line) -> None:
    parcels = batch(8, 256 * KIB)
    line.door.narrow(FAST)
    line.door.hold_after(256 * KIB)

    with closing(line.transport()) as transport:
        failed = [delivery.entry for delivery in transport.send(parcels) if delivery.error is not None]
        assert line.door.held.is_set()
        before = line.door.uploaded
        line.door.let_go()
        rest = [one for one in parcels if one.entry in failed]
        assert [delivery.error for delivery in transport.send(rest)] == [None] * len(rest)

    assert set(line.arrived()) == {one.body for one in parcels}
    more = line.door.uploaded - before - len(rest) * 256 * KIB
    assert more < line.around_bytes + NARROW_BYTES, "of the first attempt no more than the line itself held"


def test_half_the_messages_taken_are_told_before_the_other_half_is_sent(line: Line) -> None:
    """What is confirmed is told at once, so that it can be settled."""
    parcels = batch(64, 16 * KIB)
    line.door.narrow(SLOW)

    with closing(line.transport()) as transport:
        told = transport.send(parcels)
        assert next(told).error is None
        assert line.door.uploaded < 64 * 16 * KIB
        assert [delivery.error for delivery in told] == [None] * 63
