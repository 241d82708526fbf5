"""Work on files of others is ended by the kernel when it takes too much."""

import pytest

from gateway.cli.bounded import TookTooMuchError, bounded


def endless() -> int:
    number = 0
    while True:
        number += 1


def swelling() -> int:
    whole = []
    while True:
        whole.append(bytes(8 * 1024 * 1024))


def test_result_comes_back_whole() -> None:
    assert bounded(lambda: b"x" * 1_000_000, cpu_s=30, memory_mb=64) == b"x" * 1_000_000


def test_what_takes_too_long_is_ended() -> None:
    with pytest.raises(TookTooMuchError, match=r"more than 0\.2 s"):
        bounded(endless, cpu_s=0.2, memory_mb=64)


def test_what_takes_too_much_memory_is_ended() -> None:
    with pytest.raises(TookTooMuchError, match="more than 64 MB of memory"):
        bounded(swelling, cpu_s=30, memory_mb=64)


def test_defect_is_no_result() -> None:
    with pytest.raises(TookTooMuchError, match="the process ended with 1"):
        bounded(lambda: 1 // 0, cpu_s=30, memory_mb=64)
