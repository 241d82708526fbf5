"""The schemas say exactly what the field tables of the specification say, facet by facet."""

from functools import cache
from pathlib import Path
from random import Random

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from gateway.rules.schemas import Schemas, View
from gateway.submission.validate import validate
from tests.property.field_documents import MUTATIONS, Mutation, annotate, compose, spoil
from tests.property.field_tables import Edition, Row, judge, read_tables
from tests.spec import SPEC, needs_spec

pytestmark = needs_spec
XSD = Path(__file__).resolve().parents[2] / "xsd"
EDITIONS: tuple[Edition, ...] = ("202205", "2018-113")

tables = cache(lambda edition: read_tables(SPEC, edition))
schemas = cache(lambda edition: Schemas.load(XSD / edition))
seeds = st.integers(0, 2**32 - 1)
kinds = st.lists(st.sampled_from(MUTATIONS), min_size=1, max_size=3)


def roots(edition: Edition) -> list[str]:
    return sorted(tables(edition)) if SPEC.is_dir() else ["none"]


subjects = st.sampled_from([(edition, name) for edition in EDITIONS for name in roots(edition)])
"""Edition and root of a document."""


def agree(
    edition: Edition,
    name: str,
    mutations: list[Mutation],
    view: View,
    seed: int,
    *,
    made_by: Edition | None = None,
) -> bool:
    """Compose a document, spoil it, and have the schema and the table judge it; gives their common verdict.

    `made_by`: the edition whose table the document is made from, if another.
    """
    random = Random(seed)
    table: Row = tables(made_by or edition)[name]
    document = spoil(compose(table, random), table, mutations, random)
    expected = judge(document, tables(edition), signature_required=view is View.SENDABLE)
    faults = validate(document, schemas(edition), view)
    assert (not faults) == expected, (expected, faults)
    return expected


@pytest.mark.parametrize(("edition", "count"), [("202205", 45), ("2018-113", 41)])
def test_every_table_has_a_schema_and_every_schema_a_table(edition: Edition, count: int) -> None:
    assert schemas(edition).roots == frozenset(tables(edition))
    assert len(tables(edition)) == count


@settings(max_examples=200, deadline=None)
@given(subject=subjects, view=st.sampled_from(View), seed=seeds)
def test_document_made_from_a_table_is_valid_but_for_a_signature_that_is_missing(
    subject: tuple[Edition, str], view: View, seed: int
) -> None:
    valid = agree(*subject, [], view, seed)
    assert valid or view is View.SENDABLE


@settings(max_examples=800, deadline=None)
@given(subject=subjects, mutations=kinds, view=st.sampled_from(View), seed=seeds)
def test_schema_and_table_agree_on_any_mutated_document(
    subject: tuple[Edition, str], mutations: list[Mutation], view: View, seed: int
) -> None:
    event("valid" if agree(*subject, mutations, view, seed) else "not valid")


@pytest.mark.parametrize("name", roots("2018-113"))
def test_schema_and_table_agree_on_documents_of_the_other_edition(name: str) -> None:
    """Made to the limits of one edition and judged by the other: that is where the two differ."""
    for seed in range(25):
        agree("2018-113", name, [], View.DECLARED, seed, made_by="202205")
        agree("202205", name, [], View.DECLARED, seed, made_by="2018-113")


def test_documents_of_one_edition_are_not_all_valid_by_the_other() -> None:
    """Else the test above would ask both of them nothing that is hard."""
    for one, other in (EDITIONS, EDITIONS[::-1]):
        verdicts = {agree(one, "CEB603Message", [], View.DECLARED, seed, made_by=other) for seed in range(60)}
        assert False in verdicts, (one, other)


@pytest.mark.parametrize("edition", EDITIONS)
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_every_kind_of_change_leaves_some_documents_valid_and_spoils_some(
    edition: Edition, mutation: Mutation
) -> None:
    """Else the tests above would ask both of them nothing that is hard."""
    verdicts = {
        agree(edition, name, [mutation], View.DECLARED, seed) for name in roots(edition) for seed in range(3)
    }
    assert verdicts == ({True} if mutation is annotate else {True, False})
