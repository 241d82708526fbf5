import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.correlating import filer_of
from gateway.config.gateway_toml import Watermarks
from gateway.config.local_receivers import NOBODY
from gateway.keys.public_keyring import PublicKeyring
from gateway.observe.log import configure_logs, reset_logs
from gateway.processes.stop import Stop
from gateway.receipts.filing import ReceiptFiler
from gateway.receipts.transfer import Transfer
from gateway.rules.loading import load_rules
from gateway.upkeep.checkpoints import Sealer
from gateway.upkeep.keep import Keep
from gateway.upkeep.retention import Retention
from gateway.upkeep.token_expiry import TokenExpiry
from gateway.upkeep.watermarks import Gauge
from spool.archive import Archive
from spool.note import NodeKey
from spool.sqlite import SqliteSpool
from tests.contract.test_correlation import RULES_NOW, SAVED, accept, collect
from tests.documents import inventory
from tests.spool_samples import Clock, new_message, settled
from tests.unit.test_new_messages import config


@pytest.fixture
def clock() -> Iterator[Clock]:
    yield Clock()
    reset_logs()


@pytest.fixture
def spool(tmp_path: Path, clock: Clock) -> Iterator[SqliteSpool]:
    opened = SqliteSpool(tmp_path / "state", clock)
    yield opened
    opened.close()


CONFIG = config()
LOW = Watermarks(free_bytes_warn=2**62, free_bytes_refuse=0)


def keep(
    spool: SqliteSpool, folder: Path, marks: Watermarks = LOW, *, endings: Sequence[TokenExpiry] = ()
) -> Keep:
    return Keep(
        spool=spool,
        filer=ReceiptFiler(
            spool=spool,
            rules=load_rules(None, "202205"),
            config=CONFIG,
            transfer=Transfer(local_receivers=NOBODY, config=CONFIG),
        ),
        keyring=PublicKeyring(keys={}),
        gauge=Gauge(marks, spool=spool, state_dir=folder),
        retention=None,
        waits_s={"port": 600.0},
        lease_s=60.0,
        endings=endings,
    )


def events(captured: pytest.CaptureFixture[bytes]) -> list[tuple[str, int | None]]:
    lines = [json.loads(line) for line in captured.readouterr().out.splitlines()]
    return [(line["event"], line.get("messages") or line.get("entries")) for line in lines]


def test_round_frees_expired_leases_and_tells_a_crossed_mark_once(
    spool: SqliteSpool, clock: Clock, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    configure_logs("info")
    spool.put([new_message("A")])
    spool.claim("silent", "port", limit=1, lease_s=60)
    clock.move(61)
    role = keep(spool, tmp_path)
    role.round()
    role.round()
    assert events(capfdbinary) == [("spool.watermark", None), ("lease.expired", 1)]


def test_round_brings_near_what_a_clock_that_was_ahead_put_off(
    spool: SqliteSpool, clock: Clock, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    configure_logs("info")
    spool.put([new_message(f"M{number}") for number in range(1500)])
    clock.move(-3600)
    marks = Watermarks(free_bytes_warn=0, free_bytes_refuse=0)
    role = keep(spool, tmp_path, marks)
    role.round()
    role.round()
    assert events(capfdbinary) == [("clock.set_back", 1500)]
    assert len(spool.claim("one", "port", limit=2000, lease_s=60)) == 1500


def test_purge_moves_all_that_is_over_and_says_how_much(
    spool: SqliteSpool, clock: Clock, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    configure_logs("info")
    spool.put([new_message(f"M{number}") for number in range(7)])
    spool.settle(settled(spool.claim("one", "port", limit=5, lease_s=60)))
    clock.now += timedelta(days=100)
    archive = Archive(tmp_path / "archive", clock)
    moving = Retention(spool=spool, archive=archive, days=30, batch=2, clock=clock)
    assert keep(spool, tmp_path).purge(Stop(), moving) is False
    assert events(capfdbinary) == [("spool.purged", 5)]
    assert len(spool.entries()) == 2


def test_archive_that_cannot_be_written_is_logged_and_purges_nothing(
    spool: SqliteSpool, clock: Clock, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    configure_logs("info")
    spool.put([new_message("A")])
    spool.settle(settled(spool.claim("one", "port", limit=5, lease_s=60)))
    clock.now += timedelta(days=100)
    (tmp_path / "archive").write_text("in the way")
    archive = Archive(tmp_path / "archive", clock)
    moving = Retention(spool=spool, archive=archive, days=30, batch=2, clock=clock)
    assert keep(spool, tmp_path).purge(Stop(), moving) is False
    assert events(capfdbinary) == [("spool.purge_failed", None)]
    assert len(spool.entries()) == 1


def test_what_was_written_since_the_last_checkpoint_is_sealed_at_the_end(spool: SqliteSpool) -> None:
    key = NodeKey(name="gateway/one", private=Ed25519PrivateKey.generate())
    sealer = Sealer(spool, key, every_s=3600, events=1000, clock=lambda: 0.0)
    spool.put([new_message("A")])
    assert sealer.look() == 1
    spool.put([new_message("B")])
    assert sealer.look() == 0, "its time has not come"

    sealer.finish()

    assert spool.unsealed() == 0


def test_round_brings_an_answer_to_a_declaration_that_was_accepted_after_it(
    spool: SqliteSpool, tmp_path: Path
) -> None:
    role = keep(spool, tmp_path)
    collect(spool, filer_of(spool, RULES_NOW), SAVED)
    role.round()
    assert len(spool.orphans()) == 1

    accept(spool, inventory("COP-1"))
    role.round()

    assert spool.orphans() == []
    assert [one.kind for one in spool.timeline("one", "CEB621Message copNo=COP-1")] == ["CEB622Message"]


def test_tokens_and_keys_that_end_soon_are_told(
    spool: SqliteSpool, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    configure_logs("info")
    now = datetime.now(UTC)
    ends = [("far", 300), ("near", 20), ("over", -1)]
    role = keep(
        spool,
        tmp_path,
        endings=[
            TokenExpiry(enterprise="demo", kind="token", proof=name, until=now + timedelta(days=days))
            for name, days in ends
        ],
    )
    role.look_at_logins()
    told = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [(one["event"], one["proof"], one["within_days"]) for one in told] == [
        ("login.expiring", "near", 30),
        ("login.expiring", "over", 0),
    ]
