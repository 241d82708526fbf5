"""Every shipped mapping makes of its examples what stands beside them, whatever form, encoding, place and Python they meet."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli.document_check import check_document
from gateway.mapping.language import SourceKind
from gateway.rules.loading import load_rules
from gateway.rules.schemas import View
from tests.golden.mapping_sources import FOLDER, MappingExample, mapping_examples, trace_of

EXAMPLES = mapping_examples()
every_example = pytest.mark.parametrize("example", EXAMPLES, ids=[one.name for one in EXAMPLES])
REPOSITORY = Path(__file__).resolve().parents[2]
DIGESTS = """
import hashlib
from tests.golden.mapping_sources import mapping_examples, trace_of
for one in mapping_examples():
    made = one.translated(one.written)
    print(one.name, hashlib.sha256(made.document).hexdigest(), hashlib.sha256(trace_of(made).encode()).hexdigest())
"""
PLACES = (
    {"TZ": "Asia/Shanghai", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "1"},
    {"TZ": "America/St_Johns", "LC_ALL": "C", "PYTHONHASHSEED": "2", "PYTHONUTF8": "0"},
    {"TZ": "Pacific/Kiritimati", "LC_ALL": "tr_TR.UTF-8", "LANG": "de_DE.UTF-8", "PYTHONHASHSEED": "3"},
)
PYTHONS = ("python3.11", "python3.12", "python3.13", "python3.14")


def test_every_shipped_mapping_has_an_example() -> None:
    assert {file.stem for file in FOLDER.glob("*.toml")} == {one.mapping.name for one in EXAMPLES}


@every_example
def test_example_becomes_what_stands_beside_it(example: MappingExample) -> None:
    made = example.translated(example.written)
    assert made.faults == ()
    assert made.document == example.beside(".xml").read_bytes()
    assert trace_of(made) == example.beside(".trace").read_text("utf-8")
    assert check_document(made.document, load_rules(), View.DECLARED).faults == ()
    assert made.recorded()[0] == made.document, "tracing changes nothing"


@every_example
def test_same_values_make_the_same_bytes_in_every_form(example: MappingExample) -> None:
    document = example.beside(".xml").read_bytes()
    made = {written.how: example.translated(written).document == document for written in example.ways()}
    assert made == dict.fromkeys(made, True)
    wanted = {"json", "xlsx"} if example.mapping.source is SourceKind.TABLE else {"ndjson", "escaped"}
    assert wanted <= made.keys()


def digests(python: str, place: dict[str, str]) -> str:
    run = subprocess.run(
        [python, "-c", DIGESTS],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
        | place,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    return run.stdout


def here() -> str:
    lines = []
    for one in EXAMPLES:
        made = one.translated(one.written)
        parts = (made.document, trace_of(made).encode())
        lines.append(" ".join((one.name, *(hashlib.sha256(part).hexdigest() for part in parts))))
    return "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize("place", PLACES, ids=[one["TZ"] for one in PLACES])
def test_place_and_language_of_the_machine_change_nothing(place: dict[str, str]) -> None:
    assert digests(sys.executable, place) == here()


def other_pythons() -> list[str]:
    """Interpreters on PATH that have what translating needs, other than this one."""
    found = [
        path for name in PYTHONS if (path := shutil.which(name)) and name != f"python3.{sys.version_info[1]}"
    ]
    needs = "import lxml, msgspec, openpyxl, starlette, cryptography"
    return [
        one
        for one in found
        if subprocess.run([one, "-c", needs], capture_output=True, check=False).returncode == 0
    ]


@pytest.mark.skipif(not other_pythons(), reason="no other Python with the dependencies is on PATH")
def test_other_versions_of_python_change_nothing() -> None:
    for python in other_pythons():
        assert digests(python, PLACES[0]) == here(), python
