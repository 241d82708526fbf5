"""A sheet handed in at a running gateway: made, sent, answered, and given back row by row; the node has customs behind it."""

import io
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from gateway.config.site import DEMO
from gateway.simulator.world import LocalWorld
from tests.command_line import invoke, lines
from tests.import_sources import CSV, inventories
from tests.platforms import Platform
from tests.waiting import until

PATH = "/v1/imports?mapping=inventories"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorld]:
    with LocalWorld(tmp_path_factory.mktemp("imports"), families=("import",)) as world:
        yield world
        assert world.gateway is not None
        names = {"role.restarted", "role.failed", "request.failed", "import.failed"}
        assert [line for line in world.gateway.events if line.get("event") in names] == []


@pytest.fixture
def platform(world: LocalWorld) -> Iterator[Platform]:
    with closing(Platform(world.address, next(iter(world.site.tokens.values())))) as platform:
        yield platform


def over(platform: Platform, body: bytes, query: str = "") -> dict[str, Any]:
    """Hand a source in and wait until its import is over."""
    reply = platform.ask("POST", f"{PATH}{query}", body, CSV)
    assert reply.status == 202, reply.body
    uid = reply.json()["id"]

    def look() -> dict[str, Any]:
        found: dict[str, Any] = platform.ask("GET", f"/v1/imports/{uid}?limit=1000").json()
        return found

    return until(look, lambda found: found["summary"]["state"] not in {"waiting", "working"})


def table(body: bytes) -> list[tuple[Any, ...]]:
    sheet = load_workbook(io.BytesIO(body)).worksheets[0]
    return [tuple(row) for row in sheet.iter_rows(values_only=True)]


def rows_of(one: dict[str, Any]) -> list[int]:
    return [span["first"] for span in one["rows"]]


def test_every_row_of_a_sheet_is_accounted_for_and_given_back(platform: Platform) -> None:
    source = inventories(230, wrong={17}, unwritable={101, 102})
    found = over(platform, source)
    summary = found["summary"]

    assert (summary["state"], summary["declarations"], summary["refused"], summary["rows"]) == (
        "done", 227, 3, 230,
    )  # fmt: skip
    made = [row for one in found["accepted"] for body in one["declarations"] for row in rows_of(body)]
    refused = {rows_of(one["declaration"])[0]: one for one in found["refused"]}
    assert sorted([*made, *refused]) == list(range(2, 232))
    assert set(refused) == {18, 102, 103}
    for one in refused.values():
        (fault,) = one["faults"]
        assert fault["message"]
        assert fault["message_zh"]
        assert fault["source"]
    for one in found["accepted"]:
        status = platform.ask("GET", f"/v1/messages/{one['message_id']}").json()
        assert status["cop_msg_id"] == one["cop_msg_id"]
        assert platform.ask("GET", f"/v1/messages/{one['message_id']}/content").body.count(
            b"<ceb:Inventory>"
        ) == len(one["declarations"])

    head, *rows = table(platform.ask("GET", f"/v1/imports/{summary['id']}/refused.xlsx").body)
    lines_of_source = source.decode().split("\n")
    cop_no = head.index("cop_no")
    assert list(head[: head.index("total") + 1]) == lines_of_source[0].split(",")
    assert [row[cop_no] for row in rows] == ["C-0000017", "C-0000101", "C-0000102"]
    assert all(row[head.index("网关：未接收原因")] for row in rows)
    assert rows[0][head.index("buyer_id_number")] == "990101198001010002", "long numbers keep their digits"


def test_mended_rows_are_handed_in_as_the_gateway_gave_them_back(platform: Platform) -> None:
    found = over(platform, inventories(3, first=1000, unwritable={1001}))
    uid = found["summary"]["id"]
    head, *rows = table(platform.ask("GET", f"/v1/imports/{uid}/refused.xlsx").body)
    mended = "\n".join(
        ",".join(f'"{cell or ""}"'.replace("by air", "direct").replace("\n", " ") for cell in row)
        for row in [head, *rows]
    )
    again = over(platform, mended.encode())
    assert (again["summary"]["declarations"], again["summary"]["refused"]) == (1, 0)
    assert set(again["summary"]["unconsumed"]) >= {"网关：未接收原因"}


def test_result_says_row_by_row_what_customs_said(platform: Platform) -> None:
    found = over(platform, inventories(4, first=2000, unwritable={2002}))
    uid = found["summary"]["id"]

    def result() -> list[tuple[Any, ...]]:
        return table(platform.ask("GET", f"/v1/imports/{uid}/result.xlsx").body)

    def answered(rows: list[tuple[Any, ...]]) -> bool:
        return [row[rows[0].index("网关：回执状态")] for row in rows[1:]] == ["800", "800", None, "800"]

    head, *rows = until(result, answered)
    at = head.index("网关：处理结果")
    assert [row[head.index("cop_no")] for row in rows] == [f"C-{number:07}" for number in range(2000, 2004)]
    assert rows[2][at] == "未接收"
    assert rows[2][at + 3]
    (message,) = found["accepted"]
    for row in (rows[0], rows[1], rows[3]):
        assert row[at + 1] == message["message_id"]
        assert row[at + 3] == "放行" or "放行" in row[at + 3]
        assert len(row[at + 5]) == 17


def test_cell_that_looks_like_a_formula_is_given_back_as_text(platform: Platform) -> None:
    source = inventories(1, first=3000, unwritable={3000}).decode().replace("演示牌蜂蜜", "=1+1")
    found = over(platform, source.encode())
    body = platform.ask("GET", f"/v1/imports/{found['summary']['id']}/refused.xlsx").body
    cells = [cell for row in load_workbook(io.BytesIO(body)).worksheets[0].iter_rows() for cell in row]
    assert {cell.data_type for cell in cells if cell.value} == {"s"}
    assert "=1+1" in [cell.value for cell in cells]


def test_command_line_hands_in_watches_and_writes_the_refused_rows(world: LocalWorld, tmp_path: Path) -> None:
    source = tmp_path / "list.csv"
    source.write_bytes(inventories(120, first=4000, wrong={4005}))
    token = next(iter(world.site.tokens.values()))
    given = ("--to", world.address, "--token", token, "--mapping", "inventories")

    result = invoke("submit", source, *given, "--refused", tmp_path)
    assert result.exit_code == 1
    assert "done, 119 declarations in 2 messages" in result.stdout
    assert "1 declarations refused" in result.stdout
    head, row = table((tmp_path / "list.refused.xlsx").read_bytes())
    assert row[head.index("cop_no")] == "C-0004005"

    again = invoke("submit", source, *given, "--json")
    one, refused = lines(again)
    assert (one["import"]["state"], one["import"]["refused"]) == ("done", 1)
    assert refused["refused"]["declaration"]["rows"] == [{"sheet": "", "first": 7, "last": 7}]

    listed = [
        json.loads(line)
        for line in invoke("spool", "imports", "--json", "-c", world.site.config).stdout.splitlines()
    ]
    assert listed[0]["enterprise"] == DEMO.id
    assert listed[0]["import"]["id"] == one["import"]["id"]
    assert one["import"]["id"] in invoke("spool", "imports", "-c", world.site.config).stdout


def test_command_line_refuses_what_makes_no_sense(world: LocalWorld, tmp_path: Path) -> None:
    source = tmp_path / "list.docx"
    source.write_bytes(b"x")
    given = (
        "--to",
        world.address,
        "--token",
        next(iter(world.site.tokens.values())),
        "--mapping",
        "inventories",
    )
    assert invoke("submit", source, *given).exit_code == 2
    assert invoke("submit", source, *given, "--wait").exit_code == 2
    unknown = tmp_path / "list.csv"
    unknown.write_bytes(inventories(1))
    result = invoke("submit", unknown, *given[:-1], "nowhere")
    assert result.exit_code == 1
    assert "没有该映射" in result.stdout


def test_no_line_of_the_log_or_the_journal_holds_what_a_row_says(
    world: LocalWorld, platform: Platform
) -> None:
    found = over(platform, inventories(2, first=5000, unwritable={5001}))
    uid = found["summary"]["id"]
    gateway = world.gateway
    assert gateway is not None
    gateway.wait_for(lambda line: line.get("event") == "import.ended" and line.get("import_id") == uid)
    lines = [line for line in gateway.events if line.get("import_id") == uid]
    assert {"import.taken", "import.ended"} <= {line["event"] for line in lines}
    said = json.dumps(lines, ensure_ascii=False)
    told = json.dumps(found, ensure_ascii=False)
    for personal in ("990101198001010002", "钱样例", "13000000002", "示例省样例路2号"):
        assert personal not in said
        assert personal not in told
