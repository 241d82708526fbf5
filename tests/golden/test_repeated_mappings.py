"""Every mapping that is shipped or generated is made again from its record, and translates its examples as it did."""

import pytest

from gateway.mapping.language import SourceMapping
from gateway.mapping.loading import load_mappings
from gateway.provenance.mapping_record import mapping_detail, mapping_record
from gateway.provenance.repeat import RecordedTranslation, RepeatedTranslation, repeated
from gateway.rules.loading import load_rules
from tests.golden.mapping_sources import MappingExample, mapping_examples

RULES = load_rules()
MAPPINGS = load_mappings(RULES)
EXAMPLES = mapping_examples()


@pytest.mark.parametrize("mapping", MAPPINGS.values(), ids=MAPPINGS)
def test_record_holds_all_of_a_mapping(mapping: SourceMapping) -> None:
    record = mapping_record(mapping_detail(mapping))
    assert record.sha256 == mapping.sha256
    assert record.mapping.is_whole
    assert record.compiled(mapping.name, RULES) == mapping


@pytest.mark.parametrize("example", EXAMPLES, ids=[one.name for one in EXAMPLES])
def test_example_is_repeated_from_records_alone(example: MappingExample) -> None:
    made = example.translated(example.written)
    asked = RecordedTranslation(
        origin=made.origin,
        record=mapping_record(mapping_detail(example.mapping)),
        source=example.written.content,
    )
    again = repeated(asked, load_rules(edition="2018-113"))  # whatever edition is the default of the verifier
    assert isinstance(again, RepeatedTranslation), again
    assert again.document == example.beside(".xml").read_bytes()
    assert len(again.trace) == len(made.steps()) > 0
