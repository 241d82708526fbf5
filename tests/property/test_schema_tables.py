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
from tests.property.field_tables import Row, judge, read_tables
from tests.spec import SPEC, needs_spec

pytestmark = needs_spec
XSD = Path(__file__).resolve().parents[2] / "xsd" / "202205"

tables = cache(lambda: read_tables(SPEC))
schemas = cache(lambda: Schemas.load(XSD))
seeds = st.integers(0, 2**32 - 1)
kinds = st.lists(st.sampled_from(MUTATIONS), min_size=1, max_size=3)


def roots() -> list[str]:
    return sorted(tables()) if SPEC.is_dir() else ["none"]


def agree(name: str, mutations: list[Mutation], view: View, seed: int) -> bool:
    """Compose a document, spoil it, and have the schema and the table judge it; gives their common verdict."""
    random = Random(seed)
    table: Row = tables()[name]
    document = spoil(compose(table, random), table, mutations, random)
    expected = judge(document, tables(), signature_required=view is View.SENDABLE)
    faults = validate(document, schemas(), view)
    assert (not faults) == expected, (expected, faults)
    return expected


def test_every_table_has_a_schema_and_every_schema_a_table() -> None:
    assert schemas().roots == frozenset(tables())
    assert len(tables()) == 45


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(roots()), view=st.sampled_from(View), seed=seeds)
def test_document_made_from_a_table_is_valid_but_for_a_signature_that_is_missing(
    name: str, view: View, seed: int
) -> None:
    valid = agree(name, [], view, seed)
    assert valid or view is View.SENDABLE


@settings(max_examples=1000, deadline=None)
@given(name=st.sampled_from(roots()), mutations=kinds, view=st.sampled_from(View), seed=seeds)
def test_schema_and_table_agree_on_any_mutated_document(
    name: str, mutations: list[Mutation], view: View, seed: int
) -> None:
    event("valid" if agree(name, mutations, view, seed) else "not valid")


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_every_kind_of_change_leaves_some_documents_valid_and_spoils_some(mutation: Mutation) -> None:
    """Else the test above would ask both of them nothing that is hard."""
    verdicts = {agree(name, [mutation], View.DECLARED, seed) for name in roots() for seed in range(3)}
    assert verdicts == ({True} if mutation is annotate else {True, False})
