"""`gateway spool purge`, and `gateway trace` of what has left the spool."""

import sqlite3
from contextlib import closing
from pathlib import Path
from shutil import copytree

import pytest

from gateway.config.site import write_site
from spool.entry import Fate
from tests import documents as make
from tests.command_line import Node, lines, node_at

DAY_US = 86_400 * 1_000_000


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_site(tmp_path_factory.mktemp("site") / "s", port=0).folder


@pytest.fixture
def node(template: Path, tmp_path: Path) -> Node:
    return node_at(Path(copytree(template, tmp_path / "site")))


def grow_old(node: Node, days: int) -> None:
    """Put everything in the spool so many days back."""
    with closing(sqlite3.connect(node.app.config.node.state_dir / "spool.db")) as connection, connection:
        for column in ("message.accepted_at", "entry.due_at", "entry.sent_at", "arrival.received_at"):
            table, _, name = column.partition(".")
            connection.execute(f"UPDATE {table} SET {name} = {name} - ?", (days * DAY_US,))


def test_old_messages_leave_the_spool_and_are_still_traced(node: Node, tmp_path: Path) -> None:
    uid, other = node.accept(make.order("ORDER-1"), make.order("ORDER-2"))
    node.settle(Fate.DELIVERED, limit=1)
    (before,) = lines(node.run("trace", uid, "--json"))
    grow_old(node, 40)
    (line,) = lines(node.run("spool", "purge", "--days", "30", "--dry-run", "--json"))
    assert line == {"id": uid, "done": False}
    (line,) = lines(node.run("spool", "purge", "--days", "30", "--json"))
    assert line == {"id": uid, "done": True}
    assert lines(node.run("spool", "purge", "--days", "30", "--json")) == []
    assert [one["id"] for one in lines(node.run("spool", "list", "--json"))] == [other]
    for key in (uid, "ORDER-1", before["cop_msg_id"], before["declarations"][0]["identity"]):
        (after,) = lines(node.run("trace", key, "--json"))
        assert after["archived_in"].endswith(".tar.gz")
        assert (before["archived_in"], after["id"], after["sha256"]) == ("", uid, before["sha256"])
        assert [one["event"] for one in after["history"]] == ["message.accepted", "entry.sent"]
    assert "archived in" in node.run("trace", uid).stdout
    (shown,) = lines(node.run("spool", "show", uid, "--json"))
    assert shown == after
    archive = node.app.config.node.state_dir / "archive"
    assert {file.suffix for file in archive.glob("2*")} == {".gz", ".index"}


def test_message_with_a_later_one_about_the_same_declaration_is_traced_with_it(node: Node) -> None:
    (uid,) = node.accept(make.order("ORDER-1"))
    node.settle(Fate.DELIVERED)
    grow_old(node, 40)
    node.run("spool", "purge", "--days", "30")
    (later,) = node.accept(make.order("ORDER-1"))
    found = {line["id"]: bool(line["archived_in"]) for line in lines(node.run("trace", "ORDER-1", "--json"))}
    assert found == {later: False, uid: True}


def test_purge_without_days_says_how_to_set_them(node: Node) -> None:
    result = node.run("spool", "purge")
    assert result.exit_code == 2
    assert "retention.days" in result.stderr


def test_retention_of_the_configuration_counts_and_has_a_folder_of_its_own(
    template: Path, tmp_path: Path
) -> None:
    folder = Path(copytree(template, tmp_path / "site"))
    config = folder / "gateway.toml"
    text = config.read_text(encoding="utf-8")
    config.write_text(
        text.replace("# days = 0", "days = 7").replace(
            '# archive_dir = "state/archive"', 'archive_dir = "old"'
        ),
        encoding="utf-8",
    )
    node = node_at(folder)
    (uid,) = node.accept(make.order("A"))
    node.settle(Fate.DELIVERED)
    grow_old(node, 8)
    (line,) = lines(node.run("spool", "purge", "--json"))
    assert line["id"] == uid
    assert list((folder / "old").glob("*.tar.gz"))
