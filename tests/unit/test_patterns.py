"""No regular expression of ours may stand on a part of the engine that is broken in a Python we run on."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(file for room in ("gateway", "signing", "spool") for file in (ROOT / room).rglob("*.py"))
POSSESSIVE_GROUP = re.compile(r"\)\s*(?:[*+?]|\{[^}\"']*\})\+")


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_group_is_possessive(file: Path) -> None:
    """Python 3.11.0 to 3.11.4: such a group that fails leaves the engine at a wrong place (CPython issue 106052)."""
    found = POSSESSIVE_GROUP.findall(file.read_text("utf-8"))
    assert found == []
