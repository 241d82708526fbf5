"""One mistake of an author is one fault, in documents of every type, and each fault is told in both languages."""

from random import Random

import pytest
from lxml import etree

from gateway.rules.schemas import View
from gateway.submission.validate import validate
from tests.one_mistake import MISTAKES, Mistake, rules, types, whole_document
from tests.two_languages import in_two_languages

ROUNDS = 3
"""Documents for each type and mistake."""


def test_there_are_documents_of_every_type() -> None:
    assert len(types()) == 42


@pytest.mark.parametrize("name", types())
def test_whole_document_is_valid(name: str) -> None:
    assert validate(whole_document(name), rules().schemas, View.SENDABLE) == ()


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda one: one.__name__)
def test_one_mistake_is_one_fault(mistake: Mistake) -> None:
    planted = 0
    for name in types():
        random = Random(f"{name} {mistake.__name__}")
        for _ in range(ROUNDS):
            root = whole_document(name)
            allowed = mistake(root, random)
            if not allowed:
                continue
            body = etree.tostring(root, encoding="utf-8")
            parsed = etree.fromstring(body)
            schema = rules().schemas.schema_for(name, View.SENDABLE)
            if mistake.__name__ == "move" and schema.validate(parsed):
                continue  # between two optional elements of the same name
            faults = validate(parsed, rules().schemas, View.SENDABLE, body=body)
            assert [one.rule in allowed for one in faults] == [True], (name, faults)
            assert in_two_languages(faults[0])
            assert body.decode().split("\n")[faults[0].line - 1][faults[0].column - 1] == "<"
            planted += 1
    assert planted > len(types())
