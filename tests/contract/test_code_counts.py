"""What is learned of codes is counted exactly once, whoever dies in between: the same over every spool."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config.gateway_toml import LimitsConfig
from gateway.receipts.filing import ReceiptFiler
from gateway.receipts.learning.code_scan import CodeScan
from gateway.receipts.learning.learned_codes import CURED, DECLARATIONS, FIELD, SEEN
from spool.entry import Notice
from spool.store import Spool
from tests.contract.test_correlation import RULES_NOW, accept, collect, filer
from tests.documents import inventory, receipt
from tests.servers.postgres import shared
from tests.spool_samples import Clock

__all__ = ["filer"]

ROOT = Path(__file__).resolve().parents[2]
COP_NOS = [f"COP-{number}" for number in range(24)]
EXACT = {
    SEEN: {("1300", ""): 24, ("2600", ""): 24, ("100: 收货地址*不存在", ""): 24},
    DECLARATIONS: {("1300", ""): 24, ("100: 收货地址*不存在", ""): 24},
    CURED: {("1300", ""): 24, ("100: 收货地址*不存在", ""): 24},
    FIELD: {
        ("1300", "InventoryHead/buyerName"): 24,
        ("100: 收货地址*不存在", "InventoryHead/buyerName"): 24,
    },
}


def told(status: str, info: str, at: str) -> list[bytes]:
    """An answer to each declaration, a receipt each."""
    return [
        receipt(
            "CEB622Message",
            {"copNo": one, "returnStatus": status, "returnInfo": info, "returnTime": f"{at}{number:03}"},
        )
        for number, one in enumerate(COP_NOS)
    ]


@pytest.fixture
def answered(spool: Spool, filer: ReceiptFiler, clock: Clock) -> Spool:
    """Declarations that were refused twice, corrected and released: 72 notices."""
    accept(spool, inventory(*COP_NOS))
    clock.move(1)
    collect(spool, filer, *told("100", "[Code:1300;Desc:x]", "20250102030405"))
    collect(spool, filer, *told("100", "收货地址(示例市)不存在", "20250102030406"))
    clock.move(1)
    body = inventory(*COP_NOS, app_time="20250102040000", app_type="2").replace(
        "<ceb:buyerName>张三".encode(), "<ceb:buyerName>李四".encode()
    )
    accept(spool, body)
    clock.move(1)
    collect(spool, filer, *told("800", "[Code:2600;Desc:放行]", "20250102050405"))
    return spool


def found(spool: Spool) -> dict[str, dict[tuple[str, str], int]]:
    return {name: {(one.subject, one.key): one.n for one in spool.tallies(name)} for name in EXACT}


def scan(spool: Spool) -> CodeScan:
    return CodeScan(spool, RULES_NOW, LimitsConfig(), ["one"], stretch=3)


def finish(spool: Spool) -> None:
    last = scan(spool)
    while last.look():
        continue


def test_killed_anywhere_and_started_again_counts_each_answer_once(
    answered: Spool, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    postgres = request.node.callspec.params["spool"] == "postgres"
    address = shared().schema_for(state) if postgres else str(state)
    rng = random.Random(43)
    for _ in range(4):
        command = [sys.executable, "-m", "tests.crash.code_child", address]
        child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        said = [child.stdout.readline().strip() for _ in range(rng.randrange(1, 9))]
        child.send_signal(signal.SIGKILL)
        child.stdout.close()
        child.wait(timeout=60)
        assert said[0] == "before", "it was killed at work"
    assert 0 < sum(found(answered)[SEEN].values()) < 72
    finish(answered)
    assert found(answered) == EXACT


def test_two_that_read_the_same_answers_count_them_once(
    answered: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    faster, slower = scan(answered), scan(answered)
    read = answered.notices

    def overtaken(owner: str, *, after: int, limit: int) -> list[Notice]:
        monkeypatch.undo()
        notices = read(owner, after=after, limit=limit)
        faster.look()
        return notices

    monkeypatch.setattr(answered, "notices", overtaken)
    slower.look()
    finish(answered)
    assert found(answered) == EXACT
