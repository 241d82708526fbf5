"""Goods that an enterprise hands in once are what its lists are compared with and made from, at every door of a running node."""

import json
import random
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import openpyxl
import pytest

from gateway.judges.judge import AT_ONCE_BYTES
from gateway.mapping.sources.table import MEDIA, Form
from gateway.problems import PROBLEMS
from gateway.samples.compose import compose
from tests.command_line import invoke, lines
from tests.door_node import ANN, BOB, DoorNode, FolderPlace
from tests.platforms import Reply
from tests.unit.mapping_examples import example
from tests.waiting import until

CSV: Final = {"Content-Type": "text/csv"}
ITEM, GCODE, WRONG = "SKU3304990029", "3304990029", "3304990099"
ROWS: Final = f"货号,商品编码,法定计量单位\n{ITEM},{GCODE},035\nSKU0409000000,0409000000,\n".encode()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> FolderPlace:
    return FolderPlace.make(tmp_path_factory.mktemp("ann"))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, place: FolderPlace) -> Iterator[DoorNode]:
    node = DoorNode(tmp_path_factory.mktemp("node"), {"ann": place.toml()})
    mappings = node.site.folder / "mappings"
    mappings.mkdir()
    shipped = Path(__file__).parents[2] / "mappings" / "translations" / "inventories.toml"
    looked_up = re.sub(
        r"(?m)^gcode = .*$", 'gcode = { from = "sku", goods = "gcode" }', shipped.read_text("utf-8")
    )
    (mappings / "registered.toml").write_text(looked_up, "utf-8")
    text = node.site.config.read_text("utf-8")
    node.site.config.write_text(text.replace("# mappings_dir", "mappings_dir"), "utf-8")
    with node.running():
        yield node
        failures = node.events("role.restarted", "role.failed", "request.failed", "judge.killed")
    assert failures == []


def workbook(csv: bytes) -> bytes:
    """The same rows as a workbook, its cells as text."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for line in csv.decode().splitlines():
        sheet.append(line.split(","))
    file = BytesIO()
    book.save(file)
    return file.getvalue()


def registered(gcode: str) -> bytes:
    """The same rows, with another code of the first item."""
    return ROWS.replace(f",{GCODE},".encode(), f",{gcode},".encode())


def ask(
    node: DoorNode, owner: Any, asked: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> Reply:
    """Ask with a method and a path, `GET /v1/goods`."""
    method, path = asked.split(" ", 1)
    with closing(node.platform(owner.id)) as platform:
        return platform.ask(method, path, body, headers)


def inventory(owner: Any, seed: int, **changes: str) -> bytes:
    """A sound list of two items, the first of them `ITEM`."""
    names = {"cop_code": owner.cop_codes[0], "dxp_id": owner.dxp_ids[0]}
    body = compose("CEB621Message", rng=random.Random(1), **names).body.decode()
    assert f"<ceb:itemNo>{ITEM}<" in body
    for name, text in {"copNo": f"COP-{owner.id}-{seed}", **changes}.items():
        body = re.sub(f"<ceb:{name}>[^<]*<", f"<ceb:{name}>{text}<", body, count=1)
    return body.encode()


def told(reply: Reply) -> list[dict[str, Any]]:
    assert reply.status in {200, 202}, reply.body
    return [one for one in reply.json()["advice"] if one["rule"].startswith("goods-")]


def give(node: DoorNode, owner: Any, body: bytes = ROWS, path: str = "/v1/goods") -> dict[str, Any]:
    reply = ask(node, owner, f"PUT {path}", body, CSV)
    assert reply.status == 200, reply.body
    answer: dict[str, Any] = reply.json()
    return answer


def test_list_is_compared_with_what_its_own_enterprise_has_handed_in(node: DoorNode) -> None:
    before = ask(node, ANN, "POST /v1/messages?dry_run=true", inventory(ANN, 1, gcode=WRONG))
    assert told(before) == []

    put = give(node, ANN)
    (one,) = told(ask(node, ANN, "POST /v1/messages", inventory(ANN, 1, gcode=WRONG)))

    assert put["rows"] == 2
    assert (one["rule"], one["element"], one["value"]) == ("goods-gcode", "gcode", WRONG)
    assert one["path"].endswith("/InventoryList[1]/gcode")
    assert GCODE in one["message"]
    assert GCODE in one["message_zh"]
    assert told(ask(node, ANN, "POST /v1/messages", inventory(ANN, 2))) == []
    assert told(ask(node, BOB, "POST /v1/messages", inventory(BOB, 1, gcode=WRONG))) == []


def test_what_a_judge_process_judges_is_compared_too(node: DoorNode) -> None:
    give(node, ANN)
    padded = inventory(ANN, 3, gcode=WRONG) + b" " * AT_ONCE_BYTES
    first = ask(node, ANN, "POST /v1/messages", padded)
    assert [one["rule"] for one in told(first)] == ["goods-gcode"]
    uid = first.json()["id"]
    assert told(ask(node, ANN, f"GET /v1/messages/{uid}")) == told(first)
    (traced,) = lines(invoke("trace", uid, "-c", node.site.config, "--json"))
    assert "goods-gcode" in {one["rule"] for one in traced["advice"]}

    give(node, ANN, registered(WRONG))
    assert told(ask(node, ANN, f"GET /v1/messages/{uid}")) == [], "by what is registered now"
    give(node, ANN)


def test_register_is_shown_to_its_owner_alone_and_taken_back(node: DoorNode) -> None:
    put = give(node, ANN)
    shown = ask(node, ANN, f"GET /v1/goods?item_no={ITEM}").json()
    assert (shown["version"], shown["sha256"], shown["rows"]) == (put["version"], put["sha256"], 2)
    assert shown["entries"] == [{"itemNo": ITEM, "gcode": GCODE, "unit1": "035"}]
    assert ask(node, ANN, "GET /v1/goods/content").body == ROWS
    for path in ("/v1/goods", "/v1/goods/content"):
        assert ask(node, BOB, f"GET {path}").status == 404
    assert ask(node, BOB, "DELETE /v1/goods").status == 404

    assert ask(node, ANN, "DELETE /v1/goods").status == 200
    assert ask(node, ANN, "GET /v1/goods").status == 404
    assert told(ask(node, ANN, "POST /v1/messages?dry_run=true", inventory(ANN, 9, gcode=WRONG))) == []
    assert give(node, ANN)["version"] == put["version"] + 2


def test_faulty_register_is_refused_whole_and_the_earlier_one_stays(node: DoorNode) -> None:
    put = give(node, ANN)
    reply = ask(node, ANN, "PUT /v1/goods", b"itemNo,gcode\nA,1\nB,3304990029\n,2\n", CSV)
    said = reply.json()
    assert (reply.status, said["code"]) == (422, "invalid-register")
    assert said["title_zh"] == PROBLEMS["invalid-register"].title_zh
    assert [(one["line"], one["rule"]) for one in said["faults"]] == [
        (2, "form"),
        (4, "missing"),
        (4, "form"),
    ]
    assert all(one["message"] and one["message_zh"] and one["fix"] for one in said["faults"])
    assert ask(node, ANN, "GET /v1/goods").json()["version"] == put["version"]
    for body, kind, status in ((b"<a/>", "application/xml", 415), (b"[", "application/json", 422)):
        assert ask(node, ANN, "PUT /v1/goods", body, {"Content-Type": kind}).status == status


def test_register_is_handed_in_as_a_workbook(node: DoorNode) -> None:
    kind = {"Content-Type": MEDIA[Form.XLSX]}
    assert ask(node, ANN, "PUT /v1/goods", workbook(ROWS), kind).json()["rows"] == 2
    assert told(ask(node, ANN, "POST /v1/messages?dry_run=true", inventory(ANN, 31, gcode=WRONG))) != []
    refused = ask(node, ANN, "PUT /v1/goods", ROWS, kind)
    assert (refused.status, refused.json()["code"]) == (422, "not-xlsx")


def test_change_of_hands_is_in_journal_and_log_by_its_digest(node: DoorNode) -> None:
    put = give(node, ANN)
    with closing(sqlite3.connect(node.site.state / "spool.db")) as spool:
        details = [
            json.loads(detail)
            for (detail,) in spool.execute(
                "SELECT detail FROM journal WHERE event = 'goods.replaced' ORDER BY id"
            )
        ]
    expected = {"enterprise": ANN.id, "register": "goods", "rows": 2, "sha256": put["sha256"]}
    assert details[-1] == expected
    node.event("goods.replaced", version=put["version"], **expected)
    assert ITEM.encode() not in node.log.read_bytes()


def test_switch_of_books_is_followed_by_the_day_of_the_list(node: DoorNode) -> None:
    give(node, BOB, b"field,old,new,from\nemsNo,T0000W000001,T0000W000002,2026-06-01\n", "/v1/goods/books")

    def rules(seed: int, day: str, book: str) -> list[str]:
        body = inventory(BOB, seed, appTime=f"{day}120000").replace(
            b"<ceb:ieFlag>", f"<ceb:emsNo>{book}</ceb:emsNo><ceb:ieFlag>".encode(), 1
        )
        return [one["rule"] for one in told(ask(node, BOB, "POST /v1/messages?dry_run=true", body))]

    old, new = "T0000W000001", "T0000W000002"
    assert rules(20, "20260531", old) == rules(21, "20260601", new) == []
    assert rules(22, "20260601", old) == ["goods-book-replaced"]
    assert rules(23, "20260531", new) == ["goods-book-early"]
    shown = ask(node, BOB, "GET /v1/goods/books").json()["entries"]
    assert shown == [{"field": "emsNo", "old": old, "new": new, "from": "20260601"}]


def test_sheet_is_filled_in_from_the_register_and_misses_are_named_by_row(node: DoorNode) -> None:
    give(node, ANN, b"itemNo,gcode\nSKU-1,1111111111\n")
    sheet = example("inventories")
    refused = ask(node, ANN, "POST /v1/messages?mapping=registered", sheet, CSV)
    assert (refused.status, refused.json()["code"]) == (422, "untranslatable")
    for one in refused.json()["faults"]:
        assert (one["rule"], one["value"], one["element"]) == ("not_in_goods", "SKU-2", "gcode")
        assert re.fullmatch(r"row \d+, column sku", one["source"])
        assert "SKU-2" in one["message_zh"]

    give(node, ANN, b"itemNo,gcode\nSKU-1,1111111111\nSKU-2,1111111111\n")
    taken = ask(node, ANN, "POST /v1/messages?mapping=registered", sheet, CSV)
    assert taken.status == 202, taken.body
    content = ask(node, ANN, f"GET /v1/messages/{taken.json()['id']}/content").body
    assert content.count(b"<ceb:gcode>1111111111</ceb:gcode>") == content.count(b"<ceb:gcode>") > 0
    give(node, ANN)


def test_other_processes_and_the_command_line_see_a_change_without_a_restart(
    node: DoorNode, place: FolderPlace, tmp_path: Path
) -> None:
    """A folder door is a process of its own."""
    file = tmp_path / "goods.csv"
    file.write_bytes(registered("3304990088"))
    (put,) = lines(invoke("goods", "put", file, "-e", ANN.id, "-c", node.site.config, "--json"))
    assert put["rows"] == 2

    def seen() -> bool:
        return "goods-gcode" in {
            one["rule"] for one in told(ask(node, ANN, "POST /v1/messages?dry_run=true", inventory(ANN, 30)))
        }

    until(seen)
    place.lay("late.xml", inventory(ANN, 31))
    line = node.process.wait_for(
        lambda line: line.get("event") == "advice.given" and "goods-gcode" in line["rules"]
    )
    assert line["enterprise"] == ANN.id
    give(node, ANN)
