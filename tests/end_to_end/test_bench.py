"""Every measure of `gateway bench` on the real thing, with so little that its value says nothing."""

import pytest

from bench.depth import depth
from bench.drain import drain
from bench.figure import Figure
from bench.floors import Signature
from bench.latency import accept_p99
from bench.measures import Measures
from bench.memory import memory
from bench.overhead import overhead
from tests.command_line import invoke, lines

ROLES = {"accept", "judges", "forward/customs/0", "forward/@local", "collect/customs", "keep", "supervisor"}
FLOOR = Signature(alone_us=500.0, busy_us=1000.0, least_us=500.0)


@pytest.fixture(autouse=True)
def _amqp() -> None:
    pytest.importorskip("proton")


def number(figure: Figure, name: str) -> float:
    value = figure.detail[name]
    assert isinstance(value, int | float), name
    return float(value)


def test_overhead_is_the_processors_time_of_a_declaration_in_signatures() -> None:
    figure = overhead("overhead_batch100", messages=4, bodies=5, transport="amqp", floor=FLOOR)
    assert (figure.measure, figure.unit, figure.n) == ("overhead_batch100", "signatures", 4)
    assert figure.value == pytest.approx(number(figure, "cpu_us_per_message") / 5 / 1000.0, abs=0.001)
    assert number(figure, "over_lone_signature") == pytest.approx(2 * figure.value, abs=0.002)
    by_role = figure.detail["cpu_us_by_role"]
    assert isinstance(by_role, dict)
    assert by_role.keys() == ROLES
    assert 0 < number(figure, "processors_busy") <= 1


def test_depth_compares_a_deep_spool_with_an_empty_one_in_turns() -> None:
    figure = depth(declarations=1000, messages=12, pattern=50)
    assert (figure.measure, figure.n) == ("depth_5m", 1000)
    ratios = figure.detail["ratios"]
    assert isinstance(ratios, list)
    assert len(ratios) == 5
    assert figure.value == sorted(ratios)[2]
    assert number(figure, "disk_gb") > 0


def test_drain_counts_all_that_is_sent_until_the_backlog_is_gone() -> None:
    figure = drain(messages=30)
    assert figure.measure == "drain"
    assert number(figure, "backlog") == 60
    assert figure.n >= 60
    assert figure.value == pytest.approx(
        number(figure, "sent_per_s") / number(figure, "steady_per_s"), rel=0.05
    )


def test_accept_p99_is_in_fsyncs_and_counts_every_arrival() -> None:
    figure = accept_p99(messages=40)
    assert (figure.measure, figure.unit, figure.n) == ("accept_p99_fsyncs", "fsyncs", 40)
    assert figure.value == pytest.approx(
        number(figure, "p99_ms") * 1000 / number(figure, "fsync_us"), rel=0.02
    )
    assert number(figure, "arrivals_per_s") == pytest.approx(number(figure, "most_home_per_s") / 2, rel=0.1)
    assert number(figure, "p50_ms") <= number(figure, "p99_ms") <= number(figure, "most_ms")


def test_memory_is_that_of_all_processes_while_a_backlog_waits_and_goes_out() -> None:
    figure = memory(backlog=200, sent=4, pattern=50)
    assert (figure.measure, figure.unit, figure.n) == ("memory_mb", "MB", 200)
    assert figure.detail["large_messages_waiting"] == 8
    by_role = figure.detail["mb_by_role_alone"]
    assert isinstance(by_role, dict)
    assert by_role.keys() == ROLES
    assert figure.detail["processes"] == len(ROLES)
    assert max(by_role.values()) < figure.value


def test_bench_measures_only_what_it_is_asked_for() -> None:
    result = invoke("bench", "--json", "--only", "floor_fsync_us, floor_validate_us")
    assert result.exit_code == 0
    assert [line["measure"] for line in lines(result)] == ["floor_fsync_us", "floor_validate_us"]
    assert all(line.keys() == {"measure", "value", "unit", "n", "detail"} for line in lines(result))


def test_sheet_is_read_by_ours_and_by_openpyxl() -> None:
    (figure,) = Measures(messages=1, batches=1, declarations=1, backlog=1, rows=2000).figures(
        ["sheet_rows_s"]
    )
    assert (figure.measure, figure.unit, figure.n) == ("sheet_rows_s", "rows/s", 2000)
    assert figure.value > 0
    assert {"mb", "openpyxl_rows_s", "openpyxl_mb", "csv_rows_s", "csv_mb"} <= figure.detail.keys()


def test_table_becomes_valid_messages_in_both_forms() -> None:
    (figure,) = Measures(messages=1, batches=1, declarations=1, backlog=1, rows=2000).figures(
        ["translate_rows_s"]
    )
    assert (figure.measure, figure.unit, figure.n) == ("translate_rows_s", "rows/s", 2000)
    assert figure.value > 0
    assert figure.detail.keys() == {"mb", "xlsx_rows_s", "xlsx_mb"}


def test_parcel_links_compares_accepting_with_and_without_them() -> None:
    (figure,) = Measures(messages=64, batches=1, declarations=1, backlog=1).figures(["parcel_links"])
    assert (figure.measure, figure.unit, figure.n) == ("parcel_links", "ratio", 64)
    assert figure.value > 0
    assert set(figure.detail) == {"cpu_us_with", "cpu_us_without", "bytes_per_message", "memory_mb"}


def test_bench_names_what_there_is_when_asked_for_something_else() -> None:
    result = invoke("bench", "--only", "depth")
    assert result.exit_code == 2
    assert "depth_5m" in result.stderr


def test_measures_of_the_design_are_named_exactly() -> None:
    names = Measures(messages=100, batches=10, declarations=1000, backlog=1000).names
    assert {
        "overhead_single", "overhead_batch100", "depth_5m", "drain", "accept_p99_fsyncs", "memory_mb",
        "floor_sign_us", "floor_fsync_us", "floor_validate_us",
    } <= set(names)  # fmt: skip
