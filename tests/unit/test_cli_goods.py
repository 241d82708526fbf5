"""`gateway goods`: checked offline, handed in and shown for an enterprise."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from gateway.config.site import write_site
from tests.command_line import Node, invoke, lines, node_at

ROWS = "货号,商品编码,原产国\nSKU-1,3924900000,110\nSKU-2,3924900000,142\n"


@pytest.fixture
def node(tmp_path: Path) -> Node:
    write_site(tmp_path / "site")
    node = node_at(tmp_path / "site")
    node.app.spool().close()
    return node


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "goods.csv"
    file.write_text(ROWS, "utf-8-sig")
    return file


def test_file_in_order_is_handed_in_shown_and_taken_back(node: Node, file: Path) -> None:
    (checked,) = lines(invoke("goods", "check", file, "--json"))
    (put,) = lines(node.run("goods", "put", file, "--enterprise", "demo", "--json"))
    (shown,) = lines(node.run("goods", "show", "--enterprise", "demo", "--item", "SKU-2", "--json"))
    assert (checked["rows"], put["rows"], shown["rows"]) == (2, 2, 2)
    assert checked["sha256"] == put["sha256"] == shown["sha256"]
    assert (put["version"], shown["version"]) == (1, 1)
    assert shown["entries"] == [{"itemNo": "SKU-2", "gcode": "3924900000", "country": "142"}]
    assert "SKU-1" in node.run("goods", "show", "-e", "demo", "--item", "SKU-1").stdout
    assert node.run("goods", "show", "-e", "demo", "--content").stdout_bytes == file.read_bytes()

    assert node.run("goods", "drop", "-e", "demo").exit_code == 0
    assert node.run("goods", "drop", "-e", "demo").exit_code == 1
    assert node.run("goods", "show", "-e", "demo").exit_code == 1


def test_who_handed_in_what_is_in_the_journal(node: Node, file: Path) -> None:
    node.run("goods", "put", file, "--enterprise", "demo")
    with closing(node.app.spool()) as spool:
        (line,) = [one for one in spool.lines(after=0, up_to=1000) if one.event == "goods.replaced"]
    told = json.loads(line.detail)
    assert (told["enterprise"], told["register"], told["rows"]) == ("demo", "goods", 2)
    assert told["by"]
    assert len(told["sha256"]) == 64


def test_file_with_faults_changes_nothing_and_every_fault_is_told(
    node: Node, file: Path, tmp_path: Path
) -> None:
    node.run("goods", "put", file, "--enterprise", "demo")
    bad = tmp_path / "bad.json"
    bad.write_text('[{"itemNo": "A", "gcode": "1"}, {"gcode": "2"}]', "utf-8")
    for command in (("check", bad), ("put", bad, "-e", "demo", "-c", node.app.file)):
        result = invoke("goods", *command)
        assert result.exit_code == 1
        assert result.stderr.count("error: ") == 3
        assert "line 1, column" in result.stderr
        assert "第1行第" in result.stderr
    (told,) = lines(invoke("goods", "check", bad, "--json"))
    assert [one["rule"] for one in told["faults"]] == ["form", "missing", "form"]
    (shown,) = lines(node.run("goods", "show", "-e", "demo", "--json"))
    assert shown["version"] == 1


def test_switches_of_books_are_a_register_of_their_own(node: Node, tmp_path: Path) -> None:
    books = tmp_path / "books.csv"
    books.write_text("field,old,new,from\nemsNo,T1,T2,2026-06-01\n", "utf-8")
    assert node.run("goods", "put", books, "-e", "demo", "--books").exit_code == 0
    (shown,) = lines(node.run("goods", "show", "-e", "demo", "--books", "--json"))
    assert shown["entries"] == [{"field": "emsNo", "old": "T1", "new": "T2", "from": "20260601"}]
    assert node.run("goods", "show", "-e", "demo").exit_code == 1


def test_unknown_enterprise_is_refused(node: Node, file: Path) -> None:
    result = node.run("goods", "put", file, "--enterprise", "nobody")
    assert (result.exit_code, "one of: demo" in result.stderr) == (2, True)


def test_without_a_spool_nothing_is_handed_in(tmp_path: Path, file: Path) -> None:
    site = write_site(tmp_path / "fresh")
    result = invoke("goods", "put", file, "-e", "demo", "-c", site.config)
    assert result.exit_code == 2
    assert "start `gateway run` once" in result.stderr
