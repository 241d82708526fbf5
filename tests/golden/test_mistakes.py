"""Typical mistakes, each with the one fault that tells it: place, texts and advice in both languages, word for word."""

import tomllib
from base64 import b64encode
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.document_check import check_document
from gateway.rules.loading import load_rules
from gateway.rules.schemas import View
from tests.unit.ceb_documents import ARRIVAL, CANCEL, ENVELOPE, ORDER, RECEIPT, document

TABLE = Path(__file__).with_name("mistakes.toml")
MISTAKES: list[dict[str, Any]] = tomllib.loads(TABLE.read_text(encoding="utf-8"))["mistake"]
rules = cache(load_rules)


def base(root: str) -> str:
    inside = b64encode(document("CEB311Message", ORDER).encode()).decode()
    bodies = {
        "CEB311Message": ORDER,
        "CEB507Message": ARRIVAL,
        "CEB622Message": RECEIPT,
        "CEB623Message": CANCEL,
        "DxpMsg": ENVELOPE.replace("QUJD", inside),
    }
    return document(root, bodies[root])


def test_there_are_enough_mistakes_with_names_of_their_own() -> None:
    assert len({one["name"] for one in MISTAKES}) == len(MISTAKES) >= 60
    assert len({one["rule"] for one in MISTAKES}) >= 20


@pytest.mark.parametrize(
    "root", ["CEB311Message", "CEB507Message", "CEB622Message", "CEB623Message", "DxpMsg"]
)
def test_base_is_valid(root: str) -> None:
    assert check_document(base(root).encode(), rules(), View.DECLARED).faults == ()


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda one: one["name"])
def test_mistake_is_told_so(mistake: dict[str, Any]) -> None:
    text = base(mistake["base"])
    for old, new in mistake["change"]:
        assert old in text
        text = text.replace(old, new)
    (fault,) = check_document(text.encode(), rules(), View(mistake.get("view", "declared"))).faults
    told = {name: value for name, value in asdict(fault).items() if value not in ("", 0)}
    wanted = {
        name: value for name, value in mistake.items() if name not in {"name", "base", "change", "view"}
    }
    assert told == wanted
