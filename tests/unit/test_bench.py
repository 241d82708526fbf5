"""The arithmetic of the benchmarks, and what the kernel is asked about processes."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.arrivals import schedule
from bench.floors import Signature, floor_fsync, floor_sign, percentile, signature
from bench.lines import moment, now_text
from bench.load import CarriedLoad, jobs
from bench.processes import cpu_ns, processors_ns, resident_bytes

MIB = 1024 * 1024


@pytest.mark.parametrize(("share", "expected"), [(0.01, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100)])
def test_percentile_is_the_smallest_value_that_so_many_do_not_exceed(share: float, expected: int) -> None:
    assert percentile([float(one) for one in range(100, 0, -1)], share) == expected


def test_percentile_of_one_value_is_that_value() -> None:
    assert percentile([3.0], 0.99) == 3.0


def test_arrivals_ascend_at_the_wanted_rate_the_same_each_time() -> None:
    times = schedule(20_000, 100.0)
    assert list(times) == sorted(times)
    assert times[-1] == pytest.approx(200.0, rel=0.05)
    assert times == schedule(20_000, 100.0)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert sum(gap > 0.01 for gap in gaps) / len(gaps) == pytest.approx(0.368, abs=0.02), "memoryless"


def test_messages_are_the_same_each_time_and_others_for_another_seed() -> None:
    assert jobs(3, 2) == jobs(3, 2)
    assert {one.body for one in jobs(3, 1)}.isdisjoint(one.body for one in jobs(3, 1, seed=12))
    assert [one.declarations for one in jobs(2, 5)] == [5, 5]
    assert len({one.owner for one in jobs(4, 1)}) == 4


def test_rates_are_messages_over_seconds() -> None:
    carried = CarriedLoad(messages=100, accepted_s=2.0, home_s=4.0)
    assert (carried.accepted_per_s, carried.home_per_s) == (50.0, 25.0)


def test_signature_that_others_are_divided_by_is_that_of_busy_processors() -> None:
    figure = floor_sign(Signature(alone_us=1000.0, busy_us=1300.0, least_us=990.0))
    assert (figure.measure, figure.value, figure.unit) == ("floor_sign_us", 1300.0, "us")
    assert figure.detail["alone_us"] == 1000.0
    assert figure.detail["busy_over_alone"] == 1.3


def test_signature_is_measured_alone_and_beside_others() -> None:
    found = signature(rounds=2)
    assert 0 < found.least_us <= found.alone_us
    assert found.least_us <= found.busy_us


def test_fsync_is_measured_where_asked(tmp_path: Path) -> None:
    figure = floor_fsync(tmp_path)
    assert figure.value > 0
    assert figure.n == 300
    assert list(tmp_path.iterdir()) == []


def test_times_of_log_lines_are_read_as_they_are_written() -> None:
    assert moment({"time": "1970-01-01T00:00:01.5Z"}) == 1.5
    assert now_text() > "2026-01-01T00:00:00Z"


def test_processor_time_of_a_process_is_the_kernels() -> None:
    before = cpu_ns({"me": os.getpid()})["me"]
    sum(number * number for number in range(100_000))
    assert cpu_ns({"me": os.getpid()})["me"] > before
    idle, every = processors_ns()
    assert 0 < idle < every


def test_memory_shared_by_fork_counts_once_and_what_has_ended_not_at_all() -> None:
    script = (
        "import os, sys\n"
        "kept = bytearray(os.urandom(1 << 20) * 64)\n"
        "child = os.fork()\n"
        "print(child or os.getpid(), flush=True) if child else None\n"
        "sys.stdin.read(1) if child else os.read(0, 1)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdin is not None
        child = int(parent.stdout.readline())
        alone, both = resident_bytes([parent.pid]), resident_bytes([parent.pid, child])
        parent.stdin.write(b"..")
    assert both > 64 * MIB
    assert both < 2 * 64 * MIB
    assert alone < both, "shared pages are divided among those who share them"
    assert resident_bytes([parent.pid]) == 0


def test_file_that_is_mapped_counts_once_for_two_processes(tmp_path: Path) -> None:
    file = tmp_path / "mapped"
    file.write_bytes(os.urandom(32 * MIB))
    script = (
        "import mmap, sys\n"
        f"opened = open({str(file)!r}, 'rb')\n"
        "mapped = mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ)\n"
        "sum(mapped[place] for place in range(0, len(mapped), 4096))\n"
        "print('mapped', flush=True)\n"
        "sys.stdin.read(1)\n"
    )
    command = [sys.executable, "-c", script]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as second,
    ):
        for one in (first, second):
            assert one.stdout is not None
            assert one.stdout.readline() == b"mapped\n"
        alone, both = resident_bytes([first.pid]), resident_bytes([first.pid, second.pid])
        for one in (first, second):
            assert one.stdin is not None
            one.stdin.write(b".")
            one.stdin.flush()
    assert alone > 32 * MIB
    assert both < alone + 24 * MIB
