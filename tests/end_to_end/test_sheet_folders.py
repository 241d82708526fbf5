"""A folder of sheets at a running gateway: the file is made into messages, the report and the refused rows lie beside it."""

import io
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from tests.door_node import DoorNode, FolderPlace
from tests.import_sources import inventories
from tests.waiting import until

REPORT, PROBLEM, REFUSED = ".accepted.json", ".problem.json", ".refused.xlsx"


@pytest.fixture
def place(tmp_path: Path) -> FolderPlace:
    return FolderPlace.make(tmp_path / "ann")


@pytest.fixture
def node(tmp_path: Path, place: FolderPlace) -> Iterator[DoorNode]:
    made = DoorNode(tmp_path, {"ann": f'{place.toml()}mapping = "inventories"\n'})
    made.start()
    yield made
    made.stop()
    assert made.events("role.failed", "role.restarted", "door.failed") == []


def report(place: FolderPlace, folder: str, name: str) -> dict[str, Any]:
    until(lambda: name in place.names(folder))
    told: dict[str, Any] = json.loads(place.read(f"{folder}/{name}"))
    return told


def test_sheet_is_made_and_its_refused_rows_lie_beside_its_report(node: DoorNode, place: FolderPlace) -> None:
    body = inventories(120, wrong={7}, unwritable={9})
    place.lay("清单.csv", body)

    told = report(place, "reports", f"清单.csv{REPORT}")
    assert (told["summary"]["state"], told["summary"]["declarations"], told["summary"]["refused"]) == (
        "done", 118, 2,
    )  # fmt: skip
    assert [one["declaration"]["rows"][0]["first"] for one in told["refused"]] == [8, 10]
    assert len(told["summary"]["app_time"]) == 14
    until(lambda: place.names("done"), lambda names: names == ["清单.csv"])
    assert place.read("done/清单.csv") == body
    sheet = load_workbook(io.BytesIO(place.read(f"reports/清单.csv{REFUSED}"))).worksheets[0]
    head, *rows = sheet.iter_rows(values_only=True)
    assert [row[head.index("cop_no")] for row in rows] == ["C-0000007", "C-0000009"]
    assert until(node.at_customs, lambda found: len(found) == 2).keys() == {
        one["cop_msg_id"] for one in told["accepted"]
    }


def test_file_that_cannot_be_read_is_put_aside_with_the_reason(node: DoorNode, place: FolderPlace) -> None:
    place.lay("broken.csv", inventories(3) + b'"an open quote,\n')
    place.lay("letter.docx", b"PK\x03\x04")
    place.lay("good.csv", inventories(2, first=500))

    broken = report(place, "rejected", f"broken.csv{PROBLEM}")
    assert (broken["summary"]["state"], broken["summary"]["problem"]) == ("failed", "not-csv")
    assert report(place, "rejected", f"letter.docx{PROBLEM}")["faults"][0]["rule"] == "no_source"
    assert report(place, "reports", f"good.csv{REPORT}")["summary"]["declarations"] == 2
    until(lambda: place.shown("in"), lambda names: names == [])
    assert {"broken.csv", "letter.docx"} <= set(place.names("rejected"))


def test_file_found_again_after_a_kill_is_the_same_import(tmp_path: Path, place: FolderPlace) -> None:
    made = DoorNode(tmp_path, {"ann": f'{place.toml()}mapping = ["inventories"]\n'})
    with made.running():
        place.lay("list.csv", inventories(1500))
        with closing(made.platform("ann")) as ann:
            until(lambda: ann.ask("GET", "/v1/imports").json()["imports"])
            made.kill("accept/folders")
            told = report(place, "reports", f"list.csv{REPORT}")
            assert told["summary"]["declarations"] == 1500
            assert len(ann.ask("GET", "/v1/imports").json()["imports"]) == 1
