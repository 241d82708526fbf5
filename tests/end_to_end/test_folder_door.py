"""The folder door of a running gateway: reports, refusals, what is no file, watermarks, reload, SIGTERM."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.simulator.world import read_lines
from tests.documents import order
from tests.door_node import DoorNode, FolderPlace
from tests.waiting import until

REPORT = ".accepted.json"
PROBLEM = ".problem.json"


def reload(node: DoorNode) -> None:
    """SIGHUP, and wait until that is over."""
    before = len(node.events("node.reloaded"))
    node.process.process.send_signal(signal.SIGHUP)
    until(lambda: len(node.events("node.reloaded")), lambda count: count > before)


@pytest.fixture
def place(tmp_path: Path) -> FolderPlace:
    return FolderPlace.make(tmp_path / "ann")


@pytest.fixture
def node(tmp_path: Path, place: FolderPlace) -> Iterator[DoorNode]:
    made = DoorNode(tmp_path, {"ann": place.toml()})
    made.start()
    yield made
    made.stop()


def report(place: FolderPlace, name: str) -> dict[str, object]:
    """The report about a file, in whichever folder it comes."""
    found = until(
        lambda: [
            folder / f"{name}{ending}"
            for folder, ending in ((place.root / "reports", REPORT), (place.root / "rejected", PROBLEM))
            if (folder / f"{name}{ending}").exists()
        ]
    )
    told: dict[str, object] = json.loads(found[0].read_bytes())
    return told


def test_file_is_accepted_as_by_http_moved_and_sent_untouched(node: DoorNode, place: FolderPlace) -> None:
    body = order("ORDER-1")
    place.lay("订单 1.xml", body)
    told = report(place, "订单 1.xml")
    with closing(node.platform("ann")) as ann:
        again = ann.submit(body)
    assert (again.status, again.json()) == (200, told), (
        "the 202 document, and known by its bytes at every door"
    )
    assert until(lambda: place.names("in"), lambda names: not names) == []
    assert place.read("done/订单 1.xml") == body
    assert until(node.at_customs) == {told["id"]: body}


def test_refused_file_lies_beside_every_fault_and_the_others_go_on(
    node: DoorNode, place: FolderPlace
) -> None:
    bad = order("ORDER-1").replace(b"<ceb:currency>142", b"<ceb:currency>dollars")
    place.lay("bad.xml", bad)
    place.lay("torn.xml", order("ORDER-2")[:-40])
    place.lay("empty.xml", b"")
    place.lay("bobs.xml", order("ORDER-3", cop_code="4401000002", dxp_id="DXPENT0000000002"))
    place.lay("good.xml", order("ORDER-4"))
    codes = {
        name: report(place, f"{name}.xml").get("code") for name in ("bad", "torn", "empty", "bobs", "good")
    }
    assert codes == {
        "bad": "invalid-message",
        "torn": "not-xml",
        "empty": "not-xml",
        "bobs": "not-your-identity",
        "good": None,
    }
    told = report(place, "bad.xml")
    assert told["instance"] == "bad.xml"
    assert told["faults"]
    until(lambda: place.names("in"), lambda names: not names)
    assert place.read("rejected/bad.xml") == bad
    with closing(node.platform("ann")) as ann:
        figures = ann.ask("GET", "/metrics").body.decode()
    assert 'gateway_door_messages_total{door="folder",enterprise="ann",outcome="not-xml"} 2.0' in figures
    assert 'gateway_door_in_order{door="folder",enterprise="ann"} 1.0' in figures
    refused = [(line["enterprise"], line["problem"]) for line in node.events("message.refused")]
    assert sorted(refused) == sorted(("ann", code) for code in codes.values() if code)


def test_same_version_with_other_bytes_is_refused_whichever_door_the_first_came_by(
    node: DoorNode, place: FolderPlace
) -> None:
    with closing(node.platform("ann")) as ann:
        first = ann.submit(order("ORDER-1"))
    place.lay("other.xml", order("ORDER-1") + b"\n")
    told = report(place, "other.xml")
    assert told["code"] == "conflicting-version"
    assert str(first.json()["id"]) in str(told["detail"])


def test_only_whole_regular_files_are_taken(node: DoorNode, place: FolderPlace, tmp_path: Path) -> None:
    secret = tmp_path / "secret.xml"
    secret.write_bytes(order("SECRET"))
    incoming = place.root / "in"
    for name in ("half.xml.part", "half.xml.TMP", ".hidden.xml"):
        (incoming / name).write_bytes(order("ORDER-9"))
    (incoming / "folder.xml").mkdir()
    (incoming / "link.xml").symlink_to(secret)
    (incoming / "gone.xml").symlink_to("/nowhere")
    os.mkfifo(incoming / "pipe.xml")
    place.lay("huge.xml", b" " * (4 * 1024 * 1024 + 1))
    codes = {name: report(place, f"{name}.xml")["code"] for name in ("link", "gone", "pipe", "huge")}
    assert codes == {"link": "bad-request", "gone": "bad-request", "pipe": "bad-request", "huge": "too-large"}
    left = {"half.xml.part", "half.xml.TMP", ".hidden.xml", "folder.xml"}
    assert until(lambda: set(place.names("in")), lambda names: names == left) == left
    assert secret.read_bytes() == order("SECRET")
    assert (place.root / "rejected/link.xml").is_symlink()
    assert not node.events("message.accepted")


def test_report_goes_through_no_link_that_somebody_planted(
    node: DoorNode, place: FolderPlace, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (place.root / "reports" / f"a.xml{REPORT}").symlink_to(precious)
    (place.root / "done" / "a.xml").symlink_to(precious)
    place.lay("a.xml", order("ORDER-1"))
    until(lambda: place.names("in"), lambda names: not names)
    assert precious.read_text() == "mine"
    assert json.loads(place.read(f"reports/a.xml{REPORT}"))["state"] == "accepted"
    assert len(place.names("done")) == 2, "under another name, beside what is there"


def test_long_and_strange_names_get_their_reports(node: DoorNode, place: FolderPlace) -> None:
    long = f"{'长' * 80}.xml"  # 244 bytes; with the ending too long for a file name
    place.lay(long, order("ORDER-1"))
    place.lay(os.fsdecode(b"\xff\xfe.xml"), order("ORDER-2"))
    reports = until(lambda: place.shown("reports"), lambda names: len(names) == 2)
    assert all(name.endswith(REPORT) for name in reports)
    assert until(lambda: place.names("in"), lambda names: not names) == []
    assert len(place.names("done")) == 2


def test_door_that_fails_is_logged_and_mended_and_holds_up_no_other(tmp_path: Path) -> None:
    ann, bob = FolderPlace.make(tmp_path / "ann"), FolderPlace.make(tmp_path / "bob")
    node = DoorNode(tmp_path, {"ann": ann.toml(), "bob": bob.toml(done=False)})
    (ann.root / "reports").rename(tmp_path / "away")
    node.start()
    try:
        ann.lay("a.xml", order("ORDER-1"))
        failed = node.process.wait_for_event("door.failed")
        assert (failed["enterprise"], failed["door"]) == ("ann", "folder")
        assert str(ann.root / "reports") in failed["error"]
        bob.lay("b.xml", order("ORDER-1", cop_code="4401000002", dxp_id="DXPENT0000000002"))
        report(bob, "b.xml")
        assert until(lambda: bob.names("in"), lambda names: not names) == []
        assert ann.names("in") == ["a.xml"]
        (tmp_path / "away").rename(ann.root / "reports")
        told = report(ann, "a.xml")
        assert until(lambda: ann.names("in"), lambda names: not names) == []
        (accepted,) = [line for line in node.events("message.accepted") if line["enterprise"] == "ann"]
        assert accepted["message_id"] == told["id"], "taken once, told later"
    finally:
        node.stop()


def test_at_a_watermark_files_wait_and_go_on_by_themselves(tmp_path: Path) -> None:
    place = FolderPlace.make(tmp_path / "ann")
    node = DoorNode(tmp_path, {"ann": place.toml()})
    text = node.site.config.read_text("utf-8")
    full = text.replace(
        "[watermarks]\n", "[watermarks]\nfree_bytes_warn = 0\nfree_bytes_refuse = 1000000000000000\n"
    )
    node.site.config.write_text(full, "utf-8")
    node.start()
    try:
        place.lay("a.xml", order("ORDER-1"))
        closed = node.process.wait_for_event("door.closed")
        assert "must stay free" in closed["reason"]
        assert (place.names("in"), place.names("reports"), place.names("rejected")) == (["a.xml"], [], [])
        node.site.config.write_text(text, "utf-8")
        node.process.process.send_signal(signal.SIGHUP)
        report(place, "a.xml")
    finally:
        node.stop()


def test_disabled_enterprise_has_no_door_until_a_reload_says_otherwise(tmp_path: Path) -> None:
    place = FolderPlace.make(tmp_path / "ann")
    node = DoorNode(tmp_path, {"ann": place.toml()})
    file = node.site.enterprises / "ann.toml"
    text = file.read_text("utf-8")
    file.write_text(text.replace("disabled = false", "disabled = true"), "utf-8")
    node.start()
    try:
        place.lay("a.xml", order("ORDER-1"))
        assert not any(line["role"] == "accept/folders" for line in node.events("role.started"))
        file.write_text(text, "utf-8")
        node.process.process.send_signal(signal.SIGHUP)
        report(place, "a.xml")
    finally:
        node.stop()


def test_files_that_come_during_reloads_and_a_stop_are_each_taken_once(tmp_path: Path) -> None:
    place = FolderPlace.make(tmp_path / "ann")
    node = DoorNode(tmp_path, {"ann": place.toml()})
    node.start()
    bodies = {f"{number:03}.xml": order(f"ORDER-{number}") for number in range(150)}
    for number, (name, body) in enumerate(bodies.items()):
        place.lay(name, body)
        if number % 50 == 25:
            node.process.process.send_signal(signal.SIGHUP)
            reload(node)
    until(lambda: len(place.shown("reports")), lambda count: count > 40)
    node.stop()
    settled = place.names("done")
    assert set(place.names("in")) == set(bodies) - set(settled), "in one place each"
    assert set(place.names("reports")) == {f"{name}{REPORT}" for name in settled}, "in hand was finished"
    node.start()
    until(lambda: len(place.names("done")), lambda count: count == len(bodies))
    assert place.names("rejected") == []
    arrived = until(node.at_customs, lambda found: len(found) >= len(bodies))
    node.stop()
    assert sorted(arrived.values()) == sorted(bodies.values())
    ids = {json.loads(place.read(f"reports/{name}{REPORT}"))["id"]: body for name, body in bodies.items()}
    assert arrived == ids


def test_nothing_of_a_message_is_in_the_log(node: DoorNode, place: FolderPlace, tmp_path: Path) -> None:
    place.lay("张三.xml", order("ORDER-1"))
    place.lay("李四.xml", order("ORDER-2")[:-9])
    report(place, "张三.xml")
    report(place, "李四.xml")
    text = (tmp_path / "run.log").read_text("utf-8")
    assert read_lines(tmp_path / "run.log")
    assert not [word for word in ("张三", "李四", "13000000000", "110000000000000000") if word in text]
