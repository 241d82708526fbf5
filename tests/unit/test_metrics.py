from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.observe.metrics import Meter, SpoolCollector, spool_metrics
from spool.entry import Fate
from spool.errors import SpoolError
from spool.sqlite import SqliteSpool
from spool.store import Spool
from tests.spool_samples import new_message, settled

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(text: bytes) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def one(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[SqliteSpool]:
    opened = SqliteSpool(tmp_path / "state")
    yield opened
    opened.close()


def test_meter_counts_requests_messages_and_commits() -> None:
    meter = Meter()
    meter.answered("POST /v1/messages")
    meter.answered("POST /v1/messages", "invalid-message")
    meter.accepted("demo", 0.004, first=True)
    meter.accepted("demo", 0.001, first=False)
    meter.committed(3, 0.002)
    samples = read(meter.text())
    requests = {"operation": "POST /v1/messages"}
    assert one(samples, "gateway_requests_total", problem="none", **requests) == 1
    assert one(samples, "gateway_requests_total", problem="invalid-message", **requests) == 1
    assert one(samples, "gateway_messages_accepted_total", enterprise="demo") == 1
    assert one(samples, "gateway_messages_duplicate_total", enterprise="demo") == 1
    assert one(samples, "gateway_accept_seconds_count") == 2
    assert one(samples, "gateway_commit_batch_bucket", le="4.0") == 1
    assert one(samples, "gateway_commit_batch_bucket", le="2.0") == 0
    assert one(samples, "gateway_accept_process_resident_memory_bytes") > 1e6


def test_two_meters_do_not_share_anything() -> None:
    first, second = Meter(), Meter()
    first.answered("GET /v1/receipts")
    assert b"GET /v1/receipts" not in second.text()


def test_spool_is_told_by_destination_state_and_age(spool: SqliteSpool, tmp_path: Path) -> None:
    spool.put(
        [
            new_message("A", destination="port"),
            new_message("B", destination="port"),
            new_message("C", destination="capital"),
        ]
    )
    spool.settle(settled(spool.claim("one", "capital", limit=9, lease_s=60), Fate.UNDELIVERABLE))
    meter = Meter()
    with spool_metrics(meter, lambda: SqliteSpool(tmp_path / "state"), lambda: 4096):
        samples = read(meter.text())
    assert one(samples, "gateway_spool_entries", destination="port", state="ready", age="10s") == 2
    assert one(samples, "gateway_spool_entries", destination="capital", state="dead", age="10s") == 1
    assert one(samples, "gateway_spool_oldest_seconds", destination="port") < 60
    assert one(samples, "gateway_spool_oldest_seconds", destination="capital") == 0
    assert one(samples, "gateway_spool_free_bytes") == 4096
    assert one(samples, "gateway_orphans") == 0
    assert one(samples, "gateway_spool_readable") == 1


def test_spool_is_not_read_anew_for_every_scrape(spool: SqliteSpool, tmp_path: Path) -> None:
    looks: list[int] = []

    def free() -> int:
        looks.append(1)
        return 1

    collector = SpoolCollector(lambda: SqliteSpool(tmp_path / "state"), free)
    assert [len(list(collector.collect())) for _ in range(3)] == [7, 7, 7]
    assert len(looks) == 1
    collector.close()
    collector.close()


def test_spool_that_cannot_be_read_is_told_as_such() -> None:
    def refuse() -> Spool:
        raise SpoolError("no such disk")

    meter = Meter()
    with spool_metrics(meter, refuse, lambda: 0):
        samples = read(meter.text())
    assert one(samples, "gateway_spool_readable") == 0
    assert not any(name == "gateway_spool_entries" for name, _ in samples)
