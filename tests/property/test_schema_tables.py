"""The schemas say exactly what the field tables of the specification say, facet by facet."""

from functools import cache
from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.rules.schemas import Schemas, View
from gateway.submission.validate import validate
from tests.property.field_documents import MUTATIONS, Mutation, compose, spoil
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
    agree(name, [], view, seed)
    if view is View.DECLARED:
        assert agree(name, [], view, seed)


@settings(max_examples=1000, deadline=None)
@given(name=st.sampled_from(roots()), mutations=kinds, view=st.sampled_from(View), seed=seeds)
def test_schema_and_table_agree_on_any_mutated_document(
    name: str, mutations: list[Mutation], view: View, seed: int
) -> None:
    agree(name, mutations, view, seed)
