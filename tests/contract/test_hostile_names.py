"""Names and words that strangers choose: whatever they hold, they stop no feed, no spool and no log."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config.local_receivers import NOBODY
from gateway.errors import DeliveryError
from gateway.observe.log import configure_logs, log, reset_logs
from gateway.printable import LONGEST
from gateway.receipts.collect import Collect
from gateway.receipts.filing import ReceiptFiler
from gateway.receipts.transfer import Transfer
from gateway.transports.folder import FolderFeed
from gateway.transports.memory import MemoryEndpoint, MemoryFeed
from spool.entry import Fate
from spool.store import Spool
from tests.contract.conftest import AmqpMedium, FolderMedium, Medium, OpenSshMedium, RabbitmqMedium
from tests.shipped_rules import shipped
from tests.spool_samples import new_message, settled
from tests.unit.test_new_messages import config

GBK = b"\xb6\xa9\xb5\xa5.xml"
FILES = [
    GBK,
    b"\xff\xfe\xed\xa0\x80.xml",
    "\u202eexe.lmx".encode(),
    b"two\nlines\r\x1b[31m\x07.xml",
    b"\x01\x7f\xc2\x85\xe2\x80\xa8.xml",
    b"'); DROP TABLE arrival; --.xml",
    b"%s%n{}.xml",
    "单".encode() * 75 + b".xml",
]
IDS = ["two\nlines\0\x1b[31m", "\u202egnirts", "\u2028\ufeff", "x" * 255, "单" * 85]
LONG = "x\0" * 32_768


@pytest.fixture(autouse=True)
def logs(capfdbinary: pytest.CaptureFixture[bytes]) -> Iterator[pytest.CaptureFixture[bytes]]:
    configure_logs("debug")
    yield capfdbinary
    reset_logs()


def collect(spool: Spool, medium: Medium, count: int) -> None:
    transfer = Transfer(local_receivers=NOBODY, config=config())
    filer = ReceiptFiler(spool=spool, rules=shipped(), config=config(), transfer=transfer)
    role = Collect(spool=spool, feed=medium.feed(), destination="port", filer=filer)
    taken = 0
    while taken < count:
        taken += role.step()
    role.close()


def assert_all_filed(spool: Spool, count: int, logs: pytest.CaptureFixture[bytes]) -> list[str]:
    """Say that so many answers are kept under names fit for anything, and logged; returns the names."""
    kept = [raw for number in range(1, 100) if (raw := spool.arrival(number)) is not None]
    assert sorted(raw.body for raw in kept) == sorted(b"<a>%d</a>" % number for number in range(count))
    assert len(spool.orphans()) == count
    assert not spool.unfiled(10)
    said = [json.loads(line) for line in logs.readouterr().out.splitlines()]
    assert sum(line["event"] == "receipt.orphaned" for line in said) == count
    assert all(raw.name.isprintable() and len(raw.name) < 300 for raw in kept)
    return [raw.name for raw in kept]


@pytest.mark.parametrize("kind", ["folder", "openssh"])
def test_answers_in_files_of_any_name_are_filed(
    kind: str, spool: Spool, tmp_path: Path, logs: pytest.CaptureFixture[bytes]
) -> None:
    medium: Medium = FolderMedium(tmp_path) if kind == "folder" else OpenSshMedium(tmp_path)
    for number, name in enumerate(FILES):
        medium.offer(b"<a>%d</a>" % number, os.fsdecode(name))
    try:
        collect(spool, medium, len(FILES))
        names = assert_all_filed(spool, len(FILES), logs)
    finally:
        medium.stop()
    assert r"\xb6\xa9\xb5\xa5.xml" in names
    assert r"\u202eexe.lmx" in names
    assert len(set(names)) == len(FILES)


@pytest.fixture
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Medium]:
    made: Medium = (
        RabbitmqMedium(request.getfixturevalue("brokers"), tmp_path)
        if request.param == "rabbitmq"
        else AmqpMedium()
    )
    yield made
    made.stop()


@pytest.mark.parametrize("queue", ["rabbitmq", "amqp"], indirect=True)
def test_answers_in_messages_of_any_id_are_filed(
    queue: Medium, spool: Spool, logs: pytest.CaptureFixture[bytes]
) -> None:
    ids = [*IDS, *([LONG] if isinstance(queue, AmqpMedium) else [])]
    for number, name in enumerate(ids):
        queue.offer(b"<a>%d</a>" % number, name)
    collect(spool, queue, len(ids))
    assert len(set(assert_all_filed(spool, len(ids), logs))) == len(ids)


def test_answers_of_a_feed_that_names_them_in_any_way_are_filed(
    spool: Spool, logs: pytest.CaptureFixture[bytes]
) -> None:
    class Endpoint(MemoryEndpoint):
        def feed(self) -> MemoryFeed:
            return MemoryFeed(self)

    endpoint = Endpoint()
    names = [*IDS, LONG, f"{LONG}x", "\ud800", "\udcff\udfff", ""]
    for number, name in enumerate(names):
        endpoint.offer(b"<a>%d</a>" % number, name)
    collect(spool, endpoint, len(names))  # type: ignore[arg-type]  # its feed is all that is asked for
    assert len(set(assert_all_filed(spool, len(names), logs))) == len(names)


@pytest.mark.parametrize(
    "words", [*IDS, LONG, "\ud800", os.fsdecode(GBK), "\0"], ids=lambda words: ascii(words)[:20]
)
def test_what_a_peer_says_can_be_stored_logged_and_shown(
    words: str, spool: Spool, logs: pytest.CaptureFixture[bytes]
) -> None:
    error = DeliveryError(f"it was refused: {words}", where=f"folder {words}", fix="look")
    assert str(error).isprintable()
    assert len(str(error)) < 3 * LONGEST
    spool.put([new_message("one", "d=1")])
    spool.settle(
        settled(spool.claim("me", "port", limit=1, lease_s=60), Fate.UNDELIVERABLE, error=str(error))
    )
    log("entry.dead", error=str(error))
    (view,) = spool.entries()
    assert view.error == str(error)
    assert json.loads(logs.readouterr().out)["error"]


def test_log_takes_names_that_nobody_has_escaped(logs: pytest.CaptureFixture[bytes]) -> None:
    for words in (*IDS, "\ud800", os.fsdecode(GBK)):
        log("feed.failed", destination=words, error=words, attempt=3)
    lines = logs.readouterr().out.splitlines()
    assert len(lines) == len(IDS) + 2
    assert all(json.loads(line)["event"] == "feed.failed" for line in lines)
    assert json.loads(lines[-1])["error"] == r"\xb6\xa9\xb5\xa5.xml"


def test_files_that_are_not_taken_are_told_of_whatever_their_names(
    tmp_path: Path, logs: pytest.CaptureFixture[bytes]
) -> None:
    medium = FolderMedium(tmp_path)
    for name in FILES[:4]:
        Path(os.fsdecode(os.fsencode(medium.config.receive_dir) + b"/" + name)).touch()
    now = [0.0]
    feed = FolderFeed(medium.config, clock=lambda: now[0])
    assert not feed.receive(limit=1, timeout_s=0)
    now[0] = 3600.0
    with pytest.raises(DeliveryError) as told:
        feed.receive(limit=1, timeout_s=0)
    log("feed.failed", error=str(told.value))
    assert r"\xb6\xa9\xb5\xa5.xml" in json.loads(logs.readouterr().out)["error"]
    assert str(told.value).isprintable()
