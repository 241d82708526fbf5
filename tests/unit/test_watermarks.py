import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.config.gateway_toml import Watermarks, load_config
from gateway.errors import ConfigError
from gateway.observe.log import configure_logs, reset_logs
from gateway.upkeep.watermarks import Crossed, FillLevel, Gauge, WatermarkWatch, crossed, free_bytes
from spool.errors import SpoolError
from spool.sqlite import SqliteSpool
from tests.spool_samples import new_message
from tests.unit.test_gateway_toml import SOUND

MARKS = Watermarks(free_bytes_warn=200, free_bytes_refuse=100, age_warn_s=60, depth_warn=5, depth_refuse=10)


@dataclass
class Seconds:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[SqliteSpool]:
    opened = SqliteSpool(tmp_path / "state")
    yield opened
    opened.close()


@pytest.fixture
def default_logs() -> Iterator[None]:
    yield
    reset_logs()


@pytest.mark.parametrize(
    ("reading", "names"),
    [
        (FillLevel(free_bytes=200, entries=4, oldest_s=60), []),
        (FillLevel(free_bytes=199), ["free_bytes_warn"]),
        (FillLevel(free_bytes=99), ["free_bytes_warn", "free_bytes_refuse"]),
        (FillLevel(free_bytes=200, entries=5), ["depth_warn"]),
        (FillLevel(free_bytes=200, entries=10), ["depth_warn", "depth_refuse"]),
        (FillLevel(free_bytes=200, oldest_s=61), ["age_warn_s"]),
    ],
)
def test_reading_is_compared_with_every_mark(reading: FillLevel, names: list[str]) -> None:
    found = crossed(reading, MARKS)
    assert [one.name for one in found] == names
    assert [one.name for one in found if one.refuses] == [name for name in names if name.endswith("refuse")]


def test_mark_of_zero_is_off() -> None:
    off = Watermarks(free_bytes_warn=0, free_bytes_refuse=0)
    assert crossed(FillLevel(free_bytes=0, entries=10**9, oldest_s=1e9), off) == ()


def test_refusal_says_what_is_short_in_both_languages(spool: SqliteSpool, tmp_path: Path) -> None:
    marks = Watermarks(free_bytes_warn=2**62, free_bytes_refuse=2**62, depth_refuse=2)
    spool.put([new_message("A"), new_message("B")])
    disk, depth = Gauge(marks, spool=spool, state_dir=tmp_path).refusals()
    assert (disk.rule, depth.rule) == ("free_bytes_refuse", "depth_refuse")
    assert str(2**62) in disk.message
    assert "磁盘" in disk.message_zh
    assert "2 messages" in depth.message
    assert "operator" in disk.fix


def test_gauge_looks_once_a_second_however_often_it_is_asked(spool: SqliteSpool, tmp_path: Path) -> None:
    clock = Seconds()
    marks = Watermarks(free_bytes_warn=0, free_bytes_refuse=0, depth_refuse=1)
    gauge = Gauge(marks, spool=spool, state_dir=tmp_path, clock=clock)
    assert gauge.refusals() == ()
    spool.put([new_message("A")])
    clock.now = 0.99
    assert gauge.refusals() == ()
    clock.now = 1.0
    assert len(gauge.refusals()) == 1


def test_look_that_takes_long_is_kept_long(spool: SqliteSpool, tmp_path: Path) -> None:
    class Slow(Seconds):
        """A tenth of a second passes with every look."""

        def __call__(self) -> float:
            self.now += 0.1
            return self.now

    clock = Slow()
    marks = Watermarks(free_bytes_warn=0, free_bytes_refuse=0, depth_refuse=1)
    gauge = Gauge(marks, spool=spool, state_dir=tmp_path, clock=clock)
    assert gauge.refusals() == ()
    spool.put([new_message("A")])
    clock.now = 9.0
    assert gauge.refusals() == ()
    clock.now = 11.0
    assert len(gauge.refusals()) == 1


def test_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpoolError) as caught:
        free_bytes(tmp_path / "gone")
    assert caught.value.where == str(tmp_path / "gone")


def test_each_crossing_is_logged_once_and_once_when_it_is_over(
    default_logs: None, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    configure_logs("info")
    watch = WatermarkWatch()
    low = Crossed(measure="free_bytes", refuses=True, mark=100, value=99)
    lower = Crossed(measure="free_bytes", refuses=True, mark=100, value=5)
    old = Crossed(measure="age_s", refuses=False, mark=60, value=61)
    for found in ((), (low,), (lower,), (lower, old), (old,), (), (low,)):
        watch.look(found)
    lines = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [(line["event"], line["mark"]) for line in lines] == [
        ("spool.watermark", "free_bytes_refuse"),
        ("spool.watermark", "age_warn_s"),
        ("spool.watermark_cleared", "free_bytes_refuse"),
        ("spool.watermark_cleared", "age_warn_s"),
        ("spool.watermark", "free_bytes_refuse"),
    ]
    assert (lines[0]["level"], lines[0]["refuses"], lines[0]["limit"]) == ("warning", True, 100)


@pytest.mark.parametrize(
    "table",
    [
        "[watermarks]\nfree_bytes_warn = 1\nfree_bytes_refuse = 2",
        "[watermarks]\ndepth_warn = 2\ndepth_refuse = 1",
    ],
)
def test_marks_in_the_wrong_order_are_refused(table: str, tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(f"{SOUND}\n{table}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "gateway.toml")
    assert "watermarks" in caught.value.where


def test_defaults_warn_at_two_gibibytes_refuse_at_half_of_one_and_keep_for_ever(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(SOUND)
    config = load_config(tmp_path / "gateway.toml")
    assert config.watermarks == Watermarks(free_bytes_warn=2 << 30, free_bytes_refuse=512 << 20)
    assert (config.retention.days, config.retention.archive_dir) == (0, None)
