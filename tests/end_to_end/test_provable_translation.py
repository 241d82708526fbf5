"""What was translated is proven to somebody who has nothing but the file, the public key and the package."""

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from gateway.evidence.bundle import TRANSLATED, decode
from gateway.simulator.world import LocalWorld
from tests.command_line import invoke
from tests.generated import REPOSITORY
from tests.import_sources import CSV, inventories
from tests.platforms import Platform
from tests.unit.mapping_examples import example
from tests.waiting import until

XLSX = {"Content-Type": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorld]:
    world = LocalWorld(tmp_path_factory.mktemp("proven"), families=("import",))
    text = world.site.config.read_text("utf-8")
    world.site.config.write_text(text.replace("[journal]\n", "[journal]\nevery_s = 0.1\n"), "utf-8")
    with world:
        yield world
        assert world.gateway is not None
        names = {"role.restarted", "role.failed", "request.failed", "judge.killed"}
        assert [line for line in world.gateway.events if line.get("event") in names] == []


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the wheel holds, and nothing else."""
    folder = tmp_path_factory.mktemp("package")
    for name in ("gateway", "signing", "spool"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("xsd", "mappings"):
        shutil.copytree(REPOSITORY / name, folder / "gateway" / "_rules" / name)
    return folder


def workbook(table: bytes) -> bytes:
    book, file = Workbook(), io.BytesIO()
    assert book.active is not None
    for line in table.decode().splitlines():
        book.active.append(line.split(","))
    book.save(file)
    return file.getvalue()


def submitted(platform: Platform, body: bytes) -> str:
    reply = platform.ask("POST", "/v1/messages?mapping=payments", body, {"Content-Type": "application/json"})
    assert reply.status == 202, reply.body
    return str(reply.json()["id"])


def imported(platform: Platform, body: bytes, headers: dict[str, str]) -> str:
    """Import inventories; the id of the last message made of them."""
    reply = platform.ask("POST", "/v1/imports?mapping=inventories", body, headers)
    assert reply.status == 202, reply.body

    def look() -> dict[str, Any]:
        found: dict[str, Any] = platform.ask("GET", f"/v1/imports/{reply.json()['id']}?limit=1000").json()
        return found

    over = until(look, lambda found: found["summary"]["state"] not in {"waiting", "working"})
    assert over["summary"]["state"] == "done", over
    return str(over["accepted"][-1]["message_id"])


def source_of(kind: str) -> bytes:
    if kind == "json":
        return example("payments")
    table = inventories(130, first=1 if kind == "csv" else 1001)
    return table if kind == "csv" else workbook(table)


@pytest.mark.parametrize("kind", ["json", "csv", "xlsx"])
def test_translation_is_repeated_in_an_empty_environment(
    world: LocalWorld, package: Path, tmp_path: Path, kind: str
) -> None:
    source = source_of(kind)
    with closing(Platform(world.address, next(iter(world.site.tokens.values())))) as platform:
        uid = (
            submitted(platform, source)
            if kind == "json"
            else imported(platform, source, CSV if kind == "csv" else XLSX)
        )
        evidence = platform.ask("GET", f"/v1/messages/{uid}/evidence").body
        document = platform.ask("GET", f"/v1/messages/{uid}/content").body
    known = decode(evidence)
    assert known.format == TRANSLATED
    assert known.translation is not None
    assert known.translation.source == source
    assert known.accepted.body == document
    exported = invoke("evidence", "export", uid, "-c", world.site.config).stdout_bytes
    assert decode(exported).translation == known.translation, "whoever exports it"
    (tmp_path / "evidence.json").write_bytes(evidence)
    (tmp_path / "node.pub").write_text(invoke("journal", "key", "-c", world.site.config).stdout, "utf-8")

    done = verified(package, tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    findings = json.loads(done.stdout)["findings"]
    (told,) = [one["text"] for one in findings if "byte for byte" in one["text"] and "mapping" in one["text"]]
    assert f"the {len(document)} bytes that were accepted are what the mapping makes" in told
    assert f"{len(known.translation.trace)} fields" in told

    altered = json.loads(evidence)
    altered["translation"]["trace"][0] = altered["translation"]["trace"][0].replace("guid", "constant")
    (tmp_path / "evidence.json").write_text(json.dumps(altered), "utf-8")
    done = verified(package, tmp_path)
    assert done.returncode == 1
    assert "line 1 of the trace is not what the translation does" in done.stdout


def verified(package: Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [
        sys.executable,
        "-m",
        "gateway",
        "evidence",
        "verify",
        "evidence.json",
        "--key",
        "node.pub",
        "--json",
    ]
    return subprocess.run(
        ["env", "-i", f"PYTHONPATH={package}", "PYTHONDONTWRITEBYTECODE=1", *command],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
