"""One dead webhook does not hide customs: entries of one error are one thing, and an id is known by how it begins."""

import shlex
from pathlib import Path
from shutil import copytree

import pytest
from msgspec import structs

from gateway.app.open_spool import build_spool
from gateway.config.site import DEMO, write_site
from gateway.facts import of_response
from spool.entry import Fate, Settlement
from spool.lifecycle import State
from tests import documents as make
from tests.command_line import Node, lines, node_at
from tests.spool_samples import new_message

HOOK = "@home/demo/erp"
MANY = 60


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_site(tmp_path_factory.mktemp("site") / "s", enterprises=(DEMO,), port=0).folder


@pytest.fixture
def node(template: Path, tmp_path: Path) -> Node:
    return node_at(Path(copytree(template, tmp_path / "site")))


@pytest.fixture
def dead_webhook(node: Node) -> tuple[Node, str]:
    """Deliveries to a webhook that died, and one dead letter to customs, accepted last."""
    spool = build_spool(node.app.config)
    known = of_response(sender="", receiver="")
    spool.put(
        [
            structs.replace(new_message(f"{HOOK}/{number}", owner="demo", destination=HOOK), facts=known)
            for number in range(MANY)
        ]
    )
    claimed = spool.claim("test", HOOK, limit=MANY, lease_s=60)
    spool.settle(
        [
            Settlement(entry=one.entry, claim=one.claim, fate=Fate.UNDELIVERABLE, error="the webhook answered 500")
            for one in claimed
        ]
    )  # fmt: skip
    spool.close()
    (uid,) = node.accept(make.order("A"))
    node.settle(Fate.UNDELIVERABLE, error="customs' server refused: quota of 'in' exceeded")
    return node, uid


def test_list_shows_a_group_for_each_destination_and_error_customs_first(
    dead_webhook: tuple[Node, str],
) -> None:
    node, uid = dead_webhook
    shown = node.run("spool", "list")
    text = shown.stdout
    assert uid in text
    assert text.count("the webhook answered 500") <= 2, "once, and in the command that shows them all"
    assert str(MANY) in text
    assert text.index("customs") < text.index(HOOK)
    assert len(text.splitlines()) < 20
    assert max(map(len, (line for line in text.splitlines() if "gateway" not in line))) <= 80


def test_each_group_names_the_command_that_shows_all_of_it(dead_webhook: tuple[Node, str]) -> None:
    node, uid = dead_webhook
    commands = [
        shlex.split(line.partition("gateway ")[2])
        for line in node.run("spool", "list").stdout.splitlines()
        if "gateway spool list" in line
    ]
    assert len(commands) == 2
    found = [
        node.run(*(part for part in command if part != "-c" and part != str(node.app.file)))
        for command in commands
    ]
    assert uid in found[0].stdout
    assert HOOK not in found[0].stdout
    assert f"{HOOK}/{MANY - 1}" in found[1].stdout
    assert uid not in found[1].stdout


def test_programs_get_every_entry_and_a_named_destination_is_listed_whole(
    dead_webhook: tuple[Node, str],
) -> None:
    node, uid = dead_webhook
    assert len(lines(node.run("spool", "list", "--json"))) == MANY + 1
    (line,) = lines(node.run("spool", "list", "--json", "--error", "quota"))
    assert line["id"] == uid
    assert node.run("spool", "list", "--destination", HOOK).stdout.count(f"{HOOK}/") >= MANY


def test_status_says_what_is_wrong_with_each_destination(dead_webhook: tuple[Node, str]) -> None:
    node, _ = dead_webhook
    text = node.run("spool", "status").stdout
    assert "quota of 'in' exceeded" in text
    assert text.count("the webhook answered 500") == 1
    told = {one["destination"]: one for one in lines(node.run("spool", "status", "--json"))}
    (wrong,) = told[HOOK]["errors"]
    assert (wrong["error"], wrong["entries"], wrong["errors"]) == ("the webhook answered 500", MANY, 1)
    assert wrong["oldest"]


def test_operator_acts_on_the_entries_of_one_error(dead_webhook: tuple[Node, str]) -> None:
    node, uid = dead_webhook
    assert node.run("spool", "retry", "--all", "--error", "quota of").exit_code == 0
    assert [one["id"] for one in lines(node.run("spool", "list", "--json", "--state", "ready"))] == [uid]
    assert (
        node.run("spool", "discard", "--all", "--error", "500", "--reason", "shop is closed").exit_code == 0
    )
    assert lines(node.run("spool", "list", "--json", "--state", "dead")) == []


def test_id_may_be_shortened_to_what_is_like_no_other(node: Node) -> None:
    first, second = node.accept(make.order("A"), make.order("B"))
    short = next(first[:size] for size in range(4, 37) if not second.startswith(first[:size]))
    for way in (("spool", "show"), ("trace",)):
        (line,) = lines(node.run(*way, short, "--json"))
        assert line["id"] == first
        assert lines(node.run(*way, short.lower(), "--json"))[0]["id"] == first
    assert first in node.run("spool", "hold", short, second).stdout
    assert {one["state"] for one in lines(node.run("spool", "list", "--json"))} == {State.HELD}
    assert node.run("spool", "release", short.lower()).exit_code == 0
    assert node.run("spool", "retry", short).exit_code == 0
    assert node.run("spool", "discard", short, "--reason", "x").exit_code == 0


def test_what_several_ids_begin_with_changes_nothing_and_names_the_first(node: Node) -> None:
    uids = sorted(node.accept(*(make.order(f"N{number}") for number in range(6))))
    for way in (("spool", "show"), ("trace",), ("spool", "hold"), ("evidence", "export")):
        result = node.run(*way, uids[0][:4])
        assert (result.exit_code, result.stdout) == (1, "")
        assert "several messages begin with" in result.stderr
        assert [uid in result.stderr for uid in uids] == [True] * 3 + [False] * 3
    assert {one["state"] for one in lines(node.run("spool", "list", "--json"))} == {State.READY}


@pytest.mark.parametrize("text", ["01", "%", "01A_", "@hom"])
def test_too_little_or_something_else_is_no_beginning(node: Node, text: str) -> None:
    node.accept(make.order("A"))
    for way in (("spool", "show"), ("trace",), ("spool", "hold")):
        result = node.run(*way, text)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "several" not in result.stderr


def test_order_number_that_looks_like_the_beginning_of_an_id_is_the_order_number(node: Node) -> None:
    (first,) = node.accept(make.order("A"))
    (second,) = node.accept(make.order(first[:8]))
    (line,) = lines(node.run("trace", first[:8], "--json"))
    assert line["id"] == second
