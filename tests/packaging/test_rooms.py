"""What ADR 0040 says of rooms and names holds."""

import ast
import re
import tomllib
from collections import defaultdict
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("bench", "gateway", "signing", "spool")


def test_no_public_class_name_stands_twice() -> None:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for package in PACKAGES:
        for file in (REPOSITORY / package).rglob("*.py"):
            for node in ast.parse(file.read_text("utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found[node.name].append(str(file.relative_to(REPOSITORY)))
    assert len(found) > 500
    assert {name: files for name, files in found.items() if len(files) > 1} == {}


def test_every_folder_of_tests_is_run() -> None:
    table = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    folders = {str(file.parent.relative_to(REPOSITORY)) for file in (REPOSITORY / "tests").rglob("test_*.py")}
    assert sorted(table["tool"]["pytest"]["ini_options"]["testpaths"]) == sorted(folders)


def test_few_modules_lie_flat_in_gateway() -> None:
    flat = {file.name for file in (REPOSITORY / "gateway").glob("*.py")} - {"__init__.py"}
    assert {"__main__.py", "model.py"} <= flat
    assert len(flat) <= 10


def test_the_walk_stops_fifteen_times_and_nowhere_twice() -> None:
    walk = (REPOSITORY / "docs" / "walk.md").read_text("utf-8")
    stops = re.findall(r"^\| \d+ \| `([^`]+)`", walk, re.MULTILINE)
    assert len(stops) == len(set(stops)) == 15
    assert [stop for stop in stops if not (REPOSITORY / stop).is_file()] == []
