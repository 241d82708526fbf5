"""docs/delivery.md shows a receiver: it runs as it stands, takes what is genuine, and nothing else."""

import base64
import json
import re
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from gateway.config.links import Webhook
from gateway.ports import Parcel
from gateway.simulator.world import WatchedProcess, free_port
from gateway.transports.webhook.transport import WebhookTransport
from tests.generated import REPOSITORY
from tests.waiting import until

PAGE = REPOSITORY / "docs" / "delivery.md"


@pytest.fixture
def example(tmp_path: Path) -> Path:
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    file = tmp_path / "receiver.py"
    file.write_text(code, "utf-8")
    return file


def letter(number: int) -> Parcel:
    form = {"id": f"acme/erp/{number}", "receipt_base64": base64.b64encode(b"<CEB622Message/>").decode()}
    return Parcel(
        entry=number,
        cop_msg_id=form["id"],
        message_type="CEB622Message",
        body=json.dumps(form).encode(),
        file_name="",
    )


def secret(file: Path, letter: str) -> Path:
    file.write_text(f"whsec_{base64.b64encode(letter.encode() * 32).decode()}\n", "ascii")
    return file


def send(port: int, secret_file: Path, *deliveries: Parcel, age_s: float = 0.0) -> list[str]:
    """Return what each delivery met; empty: it was taken."""
    config = Webhook(
        url=f"http://127.0.0.1:{port}/", secret_file=secret_file, allow_private=True, timeout_s=10
    )
    with closing(WebhookTransport(config, now=lambda: time.time() - age_s)) as transport:
        return [delivery.error.what if delivery.error else "" for delivery in transport.send(deliveries)]


def test_the_receiver_of_the_page_keeps_what_is_genuine_once_and_refuses_the_rest(
    tmp_path: Path, example: Path
) -> None:
    port, database = free_port(), tmp_path / "kept.db"
    ours, theirs = secret(tmp_path / "ours", "a"), secret(tmp_path / "theirs", "b")
    receiver = WatchedProcess(
        [sys.executable, str(example), str(port), str(ours), str(database)], tmp_path / "log"
    )
    try:
        until(lambda: send(port, ours, letter(1)) == [""])
        assert send(port, ours, letter(1), letter(2)) == ["", ""]
        assert send(port, theirs, letter(3)) == ["the receiver answers 401"]
        assert send(port, ours, letter(3), age_s=3600) == ["the receiver answers 401"]
    finally:
        receiver.kill()
    with closing(sqlite3.connect(database)) as kept:
        rows = kept.execute("SELECT id, receipt FROM delivery ORDER BY id").fetchall()
    assert rows == [("acme/erp/1", b"<CEB622Message/>"), ("acme/erp/2", b"<CEB622Message/>")]
