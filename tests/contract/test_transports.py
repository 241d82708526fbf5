"""What every Transport promises (gateway/ports.py), on real media."""

import time
from math import inf

import pytest
from msgspec import structs

from gateway.errors import LeaseEndedError
from gateway.ports import Transport
from spool.lease import Lease
from tests.contract.conftest import REFUSED, Medium, parcel

ODD_BODIES = [
    b"\xef\xbb\xbf<?xml version='1.0'?>\r\n<a>\r\n</a>\r\n",
    b"\0" * 10 + bytes(range(256)),
    b"x",
    bytes(range(256)) * 4096,  # several blocks and frames
]


@pytest.fixture
def transport(medium: Medium) -> Transport:
    return medium.transport()


@pytest.mark.parametrize("body", ODD_BODIES, ids=["bom_crlf", "binary", "one_byte", "one_mib"])
def test_bytes_arrive_as_they_are(medium: Medium, transport: Transport, body: bytes) -> None:
    assert [delivery.error for delivery in transport.send([parcel(1, body)])] == [None]
    transport.close()
    assert medium.arrived() == [body]


def test_every_parcel_gets_one_delivery(medium: Medium, transport: Transport) -> None:
    bodies = {entry: b"<a>%d</a>" % entry for entry in range(150)}

    deliveries = list(transport.send([parcel(entry, body) for entry, body in bodies.items()]))

    assert sorted(delivery.entry for delivery in deliveries) == sorted(bodies)
    assert not [delivery for delivery in deliveries if delivery.error]
    assert sorted(medium.arrived()) == sorted(bodies.values())
    transport.close()


def test_nothing_to_send_is_no_error(transport: Transport) -> None:
    assert list(transport.send([])) == []
    transport.close()


def test_connection_is_used_again(medium: Medium, transport: Transport) -> None:
    for entry in range(5):
        assert [delivery.error for delivery in transport.send([parcel(entry, b"%d" % entry)])] == [None]
    assert sorted(medium.arrived()) == [b"%d" % entry for entry in range(5)]
    transport.close()


def test_same_parcel_may_come_twice(medium: Medium, transport: Transport) -> None:
    for parcels in ([parcel(1)], [parcel(1)], [parcel(1), parcel(1)]):
        assert {delivery.error for delivery in transport.send(parcels)} == {None}
    assert set(medium.arrived()) == {b"<x/>"}
    transport.close()


def test_refused_parcel_does_not_hold_up_the_others(medium: Medium, transport: Transport) -> None:
    if not hasattr(medium, "refuses"):
        pytest.skip("nobody reads what is put into a folder")
    deliveries = transport.send([parcel(1), parcel(2, REFUSED), parcel(3)])
    errors = {delivery.entry: delivery.error for delivery in deliveries}
    assert errors[1] is None
    assert errors[3] is None
    assert errors[2] is not None
    assert REFUSED not in medium.arrived()
    transport.close()


@pytest.mark.parametrize("which", ["over", "more than half over", "over by the time of day"])
def test_parcel_that_is_not_ours_any_more_is_not_sent_and_does_not_hold_up_the_others(
    medium: Medium, transport: Transport, which: str
) -> None:
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    lease = {
        "over": Lease(now - 60, now - 1, inf),
        "more than half over": Lease(now - 3600, now + 1800, inf),
        "over by the time of day": Lease(now, now + 3600, time.time() - 1),
    }[which]
    ours = Lease.of(3600)
    parcels = [parcel(number, b"<a>%d</a>" % number) for number in range(4)]

    deliveries = list(
        transport.send(
            [structs.replace(one, lease=lease if one.entry in (0, 2) else ours) for one in parcels]
        )
    )
    alone = list(transport.send([structs.replace(parcels[0], lease=lease)]))

    errors = {delivery.entry: delivery.error for delivery in deliveries}
    assert errors.keys() == {0, 1, 2, 3}
    assert errors[1] is errors[3] is None
    for error in (errors[0], errors[2], *(delivery.error for delivery in alone)):
        assert isinstance(error, LeaseEndedError)
    assert sorted(medium.arrived()) == [b"<a>1</a>", b"<a>3</a>"]
    transport.close()


def test_other_side_gone_is_a_temporary_error_for_all(medium: Medium, transport: Transport) -> None:
    medium.stop()
    deliveries = list(transport.send([parcel(1), parcel(2)]))
    medium.start()

    assert sorted(delivery.entry for delivery in deliveries) == [1, 2]
    for delivery in deliveries:
        assert delivery.error is not None
        assert delivery.error.temporary
        assert delivery.error.where
        assert delivery.error.fix
    transport.close()


def test_other_side_back_is_found_again_without_help(medium: Medium, transport: Transport) -> None:
    assert [delivery.error for delivery in transport.send([parcel(1)])] == [None]
    medium.stop()
    assert [delivery.error is None for delivery in transport.send([parcel(2)])] == [False]
    medium.start()
    assert [delivery.error for delivery in transport.send([parcel(2)])] == [None]
    transport.close()


def test_other_side_restarted_while_idle_is_not_noticed(medium: Medium, transport: Transport) -> None:
    assert [delivery.error for delivery in transport.send([parcel(1)])] == [None]
    medium.stop()
    medium.start()
    assert [delivery.error for delivery in transport.send([parcel(2)])] == [None]
    transport.close()


def test_deliveries_left_unread_do_no_harm(medium: Medium, transport: Transport) -> None:
    next(iter(transport.send([parcel(entry, b"%d" % entry) for entry in range(20)])))
    assert [delivery.error for delivery in transport.send([parcel(99, b"99")])] == [None]
    assert b"99" in medium.arrived()
    transport.close()
