"""Who changed what about enterprises and keys: a line of the journal for each act, with no secret in it."""

import json
import signal
from contextlib import closing
from pathlib import Path

import pytest

from gateway.app.build import App
from gateway.config.site import NewEnterprise, add_enterprise, write_site
from gateway.upkeep import operator_acts
from spool.store import Spool
from tests.command_line import invoke, lines
from tests.device_keys import write_pair
from tests.door_node import ANN, DoorNode


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_site(tmp_path / "site", port=0).config


def told(config: Path) -> list[tuple[str, str, list[str]]]:
    return [
        (one["event"], one.get("enterprise", "") or one.get("key", ""), one.get("changed", []))
        for one in lines(invoke("journal", "acts", "--json", "-c", config))
    ]


def test_every_command_that_changes_an_enterprise_leaves_a_line(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "root")
    monkeypatch.setenv("SUDO_USER", "ann")
    add = ("add", "acme", "--cop-code", "4400000002", "--dxp-id", "DXPENT0000000002")
    secrets = []
    for command in (add, ("rotate-token", "acme"), ("rotate-token", "acme", "--end-old")):
        result = invoke("enterprise", *command, "-c", config, "--json")
        secrets += [line["token"] for line in lines(result)]
    for command in (
        ("rotate-token", "acme"),
        ("end-token", "acme"),
        ("disable", "acme"),
        ("disable", "acme", "--undo"),
    ):
        assert invoke("enterprise", *command, "-c", config).exit_code == 0
    assert [(event, of, len(changed)) for event, of, changed in told(config)] == [
        ("enterprise.added", "acme", 1),
        ("enterprise.token_added", "acme", 1),
        ("enterprise.token_added", "acme", 1),
        ("enterprise.token_ended", "acme", 2),
        ("enterprise.token_added", "acme", 1),
        ("enterprise.token_ended", "acme", 1),
        ("enterprise.disabled", "acme", 0),
        ("enterprise.enabled", "acme", 0),
    ]
    shown = invoke("journal", "acts", "-c", config).stdout
    assert "root for ann" in shown
    assert not any(secret in shown for secret in secrets)


def test_the_key_of_the_node_is_made_once_and_told(config: Path) -> None:
    key = invoke("journal", "key", "-c", config).stdout.strip()
    assert invoke("journal", "key", "-c", config).stdout.strip() == key
    assert told(config) == [("journal.key_made", key, [])]


def test_what_was_done_stays_done_when_the_journal_cannot_be_told(config: Path) -> None:
    (config.parent / "state" / "spool.db").mkdir()
    result = invoke("enterprise", "disable", "demo", "-c", config)
    assert result.exit_code == 0
    assert "it is done, but the journal has no line of it" in result.stderr
    assert lines(invoke("enterprise", "list", "--json", "-c", config))[0]["disabled"] is True


def test_a_reload_says_what_the_files_say_anew(config: Path) -> None:
    before = App(config)
    add_enterprise(
        config.parent / "enterprises", NewEnterprise(id="b", name="B", cop_codes=("1",), dxp_ids=("D",))
    )
    demo = config.parent / "enterprises" / "demo.toml"
    demo.write_text(demo.read_text("utf-8").replace("disabled = false", "disabled = true"), "utf-8")
    write_pair(config.parent / "keys", "node", bits=2048)
    after = App(config)
    notes = list(operator_acts.taken_up(before.enterprises, after.enterprises, before.keys, after.keys))
    serial = after.keys.keys["node"].members[0].serial
    assert [(one.event, json.loads(one.detail)) for one in notes] == [
        ("enterprise.added", {"by": "the files, at a reload", "enterprise": "b"}),
        (
            "enterprise.changed",
            {"by": "the files, at a reload", "enterprise": "demo", "changed": ["disabled"]},
        ),
        ("key.changed", {"by": "the files, at a reload", "key": "node", "changed": [serial]}),
    ]
    back = list(operator_acts.taken_up(after.enterprises, before.enterprises, after.keys, before.keys))
    assert [one.event for one in back] == ["enterprise.removed", "enterprise.changed", "key.changed"]
    assert list(operator_acts.taken_up(after.enterprises, after.enterprises, after.keys, after.keys)) == []


def test_a_node_that_reloads_writes_the_line(tmp_path: Path) -> None:
    node = DoorNode(tmp_path, {}, owners=[ANN])
    node.start()
    write_pair(node.site.folder / "keys", "node", bits=2048)
    node.process.process.send_signal(signal.SIGHUP)
    node.event("node.reloaded")
    node.stop()
    with closing(node.app().spool()) as spool:
        assert events(spool) == ["key.changed"]


def events(spool: Spool) -> list[str]:
    return [one.event for one in spool.history(operator_acts.UID)]
