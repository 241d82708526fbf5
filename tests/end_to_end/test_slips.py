"""An operator's slip stops nobody: the rest is served, and log, `/readyz` and `/metrics` say what is not in force."""

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.documents import order, receipt
from tests.door_node import ANN, BOB, DoorNode
from tests.platforms import Reply
from tests.waiting import until

MESSAGES, RECEIPTS = "/v1/messages", "/v1/receipts?after=0"
LEFT_OUT = 'gateway_config_left_out{kind="enterprise",part="bob"} 1.0'


def once(node: DoorNode, owner: str, method: str, path: str, body: bytes | None = None) -> Reply:
    with closing(node.platform(owner)) as platform:
        return platform.once(method, path, body)


def warnings(node: DoorNode) -> list[str]:
    told = once(node, ANN.id, "GET", "/readyz")
    assert (told.status, told.json()["status"]) == (200, "ready")
    found: list[str] = told.json()["warnings"]
    return found


def figures(node: DoorNode) -> list[str]:
    return once(node, ANN.id, "GET", "/metrics").body.decode().splitlines()


def receipts(node: DoorNode, owner: str) -> list[Any]:
    found: list[Any] = once(node, owner, "GET", RECEIPTS).json()["receipts"]
    return found


def test_node_starts_and_reloads_without_an_enterprise_with_a_slip_and_what_is_its_waits(
    tmp_path: Path,
) -> None:
    node = DoorNode(tmp_path, {})
    file = node.site.enterprises / f"{BOB.id}.toml"
    right = file.read_text("utf-8")
    bobs = order("B-1", cop_code=BOB.cop_codes[0], dxp_id=BOB.dxp_ids[0])
    anns = order("A-1", cop_code=ANN.cop_codes[0], dxp_id=ANN.dxp_ids[0])
    with node.running():
        assert warnings(node) == []
        assert once(node, BOB.id, "POST", MESSAGES, bobs).status == 202
    file.write_text(right.replace("cop_codes = [", "cop_codes = ", 1), "utf-8")
    with node.running():
        told = node.event("config.left_out")
        assert (told["kind"], told["part"], told["level"]) == ("enterprise", BOB.id, "error")
        assert str(file) in told["error"]
        (warning,) = warnings(node)
        assert "left out" in warning
        assert BOB.id not in warning, "anybody may ask"
        assert LEFT_OUT in figures(node)
        assert once(node, ANN.id, "POST", MESSAGES, anns).status == 202
        assert once(node, BOB.id, "GET", RECEIPTS).status == 401

        key = {"ebpCode": "4400000002", "ebcCode": "4400000003", "orderNo": "B-1", "returnStatus": "2"}
        (node.site.folder / "customs/in" / "1.xml").write_bytes(receipt("CEB312Message", key))
        matched = node.event("receipt.matched")
        assert matched["enterprise"] == BOB.id

        file.write_text(right, "utf-8")
        node.event("node.reloaded")
        until(lambda: warnings(node) == [])
        assert not any(line.startswith("gateway_config_left_out{") for line in figures(node))
        assert len(receipts(node, BOB.id)) == 1
        assert receipts(node, ANN.id) == []


def test_node_goes_on_when_its_log_cannot_be_written(tmp_path: Path) -> None:
    node = DoorNode(tmp_path, {})
    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "run", "-c", str(node.site.config)], stdout=full, stderr=full
        )
    try:
        until(lambda: is_alive(node))
        before = children(process.pid)
        for role in before:
            os.kill(role, signal.SIGKILL)
        until(lambda: len(children(process.pid) - before) == len(before))
        until(lambda: is_alive(node))
        again = children(process.pid)
        process.send_signal(signal.SIGHUP)
        until(lambda: len(children(process.pid) - again) == len(before))
        until(lambda: is_alive(node))
        body = order("A-1", cop_code=ANN.cop_codes[0], dxp_id=ANN.dxp_ids[0])
        assert once(node, ANN.id, "POST", MESSAGES, body).status == 202
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait(60)


def is_alive(node: DoorNode) -> bool:
    try:
        return once(node, ANN.id, "GET", "/healthz").status == 200
    except OSError:
        return False


def children(pid: int) -> set[int]:
    """Of the supervisor itself: a judge is the child of a role."""
    return {int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def test_reload_that_fails_stands_in_readyz_and_metrics_until_one_succeeds(tmp_path: Path) -> None:
    node = DoorNode(tmp_path, {})
    right = node.site.config.read_text("utf-8")
    with node.running():
        assert "gateway_reload_failed 0.0" in figures(node)
        node.site.config.write_text(right + "\n[nodde]\n", "utf-8")
        os.kill(node.process.process.pid, signal.SIGHUP)
        node.event("node.reload_failed")
        (warning,) = until(lambda: warnings(node))
        assert "the one before is in force" in warning
        until(lambda: "gateway_reload_failed 1.0" in figures(node))

        node.site.config.write_text(right, "utf-8")
        os.kill(node.process.process.pid, signal.SIGHUP)
        node.event("node.reloaded")
        until(lambda: warnings(node) == [])
        until(lambda: "gateway_reload_failed 0.0" in figures(node))
