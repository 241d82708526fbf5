"""What OpenSSH's own server makes of our uploads, and what is left when it is killed in the middle of one."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from gateway.errors import DeliveryError
from gateway.ports import Delivery, Parcel
from gateway.transports.names import Leftovers, temporary_name
from gateway.transports.sftp.transport import SftpTransport
from tests.contract.conftest import OpenSshMedium, parcel
from tests.servers.tcp_door import TcpDoor

PROGRAM = "/usr/lib/openssh/sftp-server"
MIB = 1024 * 1024
Make = Callable[..., OpenSshMedium]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[OpenSshMedium] = []

    def new(*sshd_settings: str, **settings: object) -> OpenSshMedium:
        made.append(OpenSshMedium(tmp_path, *sshd_settings, **settings))
        return made[-1]

    yield new
    for medium in made:
        medium.stop()


@pytest.fixture
def door(make: Make) -> Iterator[TcpDoor]:
    """A door that `through` leads to a server."""
    made = TcpDoor(0)
    yield made
    made.stop()


def through(door: TcpDoor, medium: OpenSshMedium, **settings: object) -> SftpTransport:
    door.target = medium.server.port
    config = msgspec.structs.replace(medium.config, port=door.port, timeout_s=60.0, **settings)
    return SftpTransport(config)


def files(medium: OpenSshMedium) -> dict[str, int]:
    return {file.name: file.stat().st_size for file in (medium.root / "in").iterdir()}


def is_left_of(one: Parcel, name: str) -> bool:
    left = Leftovers()
    left.add([name])
    return left.take(one.file_name) == [name]


def errors(deliveries: list[Delivery]) -> dict[int, DeliveryError | None]:
    assert len(deliveries) == len({delivery.entry for delivery in deliveries})
    return {delivery.entry: delivery.error for delivery in deliveries}


@pytest.mark.parametrize("connections", [1, 4])
def test_server_killed_in_mid_upload_leaves_half_a_file_and_then_gets_the_whole_once(
    make: Make, door: TcpDoor, connections: int
) -> None:
    medium = make()
    transport = through(door, medium, connections=connections)
    large = parcel(1, bytes(range(256)) * (64 * 1024))
    door.hold_after(4 * MIB)

    with ThreadPoolExecutor(1) as threads:
        sending = threads.submit(lambda: list(transport.send([large])))
        assert door.held.wait(60)
        assert medium.server.sessions()
        medium.stop()
        door.cut_held()
        (delivery,) = sending.result(60)

    assert delivery.error is not None
    assert delivery.error.temporary
    ((name, size),) = files(medium).items()
    assert is_left_of(large, name)
    assert 0 < size < len(large.body)
    assert medium.arrived() == []

    assert [bool(delivery.error) for delivery in transport.send([large])] == [True]
    medium.start()
    assert [delivery.error for delivery in transport.send([large])] == [None]
    transport.close()
    assert medium.arrived() == [large.body]
    assert files(medium) == {large.file_name: len(large.body)}


def test_leftover_of_an_earlier_upload_is_removed(make: Make) -> None:
    medium = make()
    for left in (f".{parcel(1).file_name}.part", temporary_name(parcel(1).file_name, "0123abcd")):
        (medium.root / "in" / left).write_bytes(b"x" * MIB)
    transport = medium.transport()
    assert [delivery.error for delivery in transport.send([parcel(1)])] == [None]
    transport.close()
    assert files(medium) == {parcel(1).file_name: len(parcel(1).body)}


def test_file_is_synced_before_it_gets_its_name(make: Make, tmp_path: Path) -> None:
    medium = make(f"Subsystem sftp {PROGRAM} -e -l VERBOSE 2>>{tmp_path}/said")
    transport = medium.transport()
    assert [delivery.error for delivery in transport.send([parcel(1)])] == [None]
    transport.close()
    said = (tmp_path / "said").read_text().splitlines()
    steps = [
        line.split()[0] for line in said if line.startswith(("open ", "fsync ", "close ", "posix-rename "))
    ]
    assert steps == ["open", "fsync", "close", "posix-rename"]


def test_server_without_extensions_is_served_too(make: Make) -> None:
    medium = make(f"Subsystem sftp {PROGRAM} -P fsync,posix-rename")
    transport = medium.transport()
    for body in (b"first", b"second"):
        assert [delivery.error for delivery in transport.send([parcel(1, body)])] == [None]
    transport.close()
    assert medium.arrived() == [b"second"]


def test_file_that_does_not_have_its_size_on_the_server_is_not_renamed(make: Make, door: TcpDoor) -> None:
    medium = make(f"Subsystem sftp {PROGRAM} -P fsync")
    transport = through(door, medium)
    large = parcel(1, b"x" * MIB)
    door.hold_after(MIB // 2)
    with ThreadPoolExecutor(1) as threads:
        sending = threads.submit(lambda: list(transport.send([large, parcel(2)])))
        assert door.held.wait(60)
        ours = next(name for name in files(medium) if is_left_of(large, name))
        (medium.root / "in" / ours).unlink()
        (medium.root / "in" / ours).symlink_to("/dev/null")
        door.let_go()
        outcome = errors(sending.result(60))
    transport.close()
    assert outcome[2] is None
    assert outcome[1] is not None
    assert f"0 bytes in place of {MIB}" in outcome[1].what
    assert medium.arrived() == [parcel(2).body]


def test_batch_is_spread_over_all_connections(make: Make, door: TcpDoor) -> None:
    medium = make()
    transport = through(door, medium, connections=4)
    for _ in range(2):
        assert set(errors(list(transport.send([parcel(entry) for entry in range(40)]))).values()) == {None}
    assert door.passed == 4
    transport.close()
    assert len(medium.arrived()) == 40


def test_connection_that_dies_fails_just_what_it_carries(make: Make, door: TcpDoor) -> None:
    medium = make()
    transport = through(door, medium, connections=4)
    parcels = [parcel(entry, b"x" * (3 * MIB if entry == 5 else 5)) for entry in range(40)]
    door.hold_after(MIB)

    deliveries: list[Delivery] = []
    for delivery in transport.send(parcels):
        deliveries.append(delivery)
        if len(deliveries) == 39:  # all that the other three connections carry
            assert door.held.wait(60)
            door.cut_held()

    failed = [entry for entry, error in errors(deliveries).items() if error is not None]
    assert failed == [5], "what is large goes alone"
    assert set(errors(list(transport.send([parcels[entry] for entry in failed]))).values()) == {None}
    transport.close()
    assert sorted(files(medium).values()) == sorted(len(one.body) for one in parcels)


def test_caller_who_stops_listening_leaves_no_connection_at_work(make: Make) -> None:
    medium = make(connections=4)
    transport = medium.transport()
    next(iter(transport.send([parcel(entry, b"%d" % entry) for entry in range(200)])))
    before = medium.arrived()
    assert set(errors(list(transport.send([parcel(500)]))).values()) == {None}
    transport.close()
    assert len(medium.arrived()) == len(before) + 1


@pytest.mark.parametrize("connections", [1, 4])
def test_name_that_comes_again_in_a_batch_is_sent_after_the_first(make: Make, connections: int) -> None:
    medium = make(connections=connections)
    transport = medium.transport()
    twice: list[Parcel] = [parcel(1, b"old"), parcel(2), parcel(3), parcel(1, b"new"), parcel(4)]
    assert [delivery.error for delivery in transport.send(twice)] == [None] * 5
    transport.close()
    assert (medium.root / "in" / parcel(1).file_name).read_bytes() == b"new"
