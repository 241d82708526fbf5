"""Time-outs that count from the last progress."""

import socket
from contextlib import suppress
from typing import NoReturn

import pytest

from gateway.transports.progress import PatientSocket, Progress, cut_off, queued
from spool.lease import Lease
from tests.unit.test_lane import Now


def test_time_counts_from_the_last_progress() -> None:
    now = Now()
    progress = Progress(10, clock=now)
    now.now += 9
    assert progress.left_s == 1
    progress.made()
    assert progress.left_s == 10


def test_bytes_that_are_taken_are_progress_and_the_same_number_of_them_is_not() -> None:
    now = Now()
    progress = Progress(10, clock=now)
    progress.taken(0)
    now.now += 5
    progress.taken(0)
    assert progress.left_s == 5
    progress.taken(1)
    assert progress.left_s == 10
    now.now += 5
    progress.taken(0)
    progress.taken(1)
    assert progress.left_s == 5


def test_progress_now_and_then_does_not_go_on_for_ever() -> None:
    now = Now()
    progress = Progress(10, clock=now)
    for _ in range(1000):
        now.now += 1
        progress.made()
    assert progress.left_s < 0


def test_with_the_lease_it_is_over_in_any_case() -> None:
    progress = Progress(10, Lease.of(-1))
    progress.made()
    assert progress.left_s < 0


def write_on(ours: socket.socket) -> NoReturn:
    while True:
        with suppress(TimeoutError):
            ours.send(bytes(65536))


def test_socket_that_the_other_side_reads_nothing_of_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = PatientSocket(socket.create_connection(listener.getsockname()), 0.2)
        theirs, _ = listener.accept()
        with theirs, ours:
            ours.settimeout(0.05)
            with pytest.raises(ConnectionAbortedError, match="takes nothing any more"):
                write_on(ours)
            assert queued(ours) > 0
            cut_off(ours)
            with pytest.raises(OSError, match="closed"):
                queued(ours)
            cut_off(ours)
