"""What the rules say of the specification's own samples: each alarm is there for a value that the sample invents."""

from collections import defaultdict
from collections.abc import Mapping

import pytest

from gateway.advice.adviser import Adviser
from gateway.advice.declared import declared_in_tree
from gateway.model import Direction
from gateway.xml.decode import parse
from tests.shipped_rules import shipped
from tests.spec import SPEC, needs_spec

JUSTIFIED: Mapping[str, str] = {
    "sample-firm": "the firms of the samples are what the rule is for",
    "assure-party": "a guarantor of another number than the firms of the list",
    "firm-code-import": "an invented code of 15 characters",
    "credit-code-check": "18 characters without the check",
    "id-birthday": "18 digits without a date in them",
    "id-check": "a wrong check character",
    "country-known": "country 001",
    "currency-known": "currency aaa",
    "currency-same": "currency aaa beside 142",
    "unit-known": "unit aaa",
    "date-old": "dates of 2016",
    "time-old": "times of 2016",
    "departure-transport": "trafName is missing, and it is no mail",
    "district-of-consignee": "no region",
    "ie-flag-export": "ieFlag a",
    "invt-no-export": "numbers of another form than those of customs",
    "invt-no-import": "numbers of another form than those of customs",
    "pre-no-cancel": "the number of a list",
    "trade-mode-export": "tradeMode 0101",
    "logistics-status": "R in place of S",
    "list-item-total": "200 for 100 at 20",
    "order-goods-sum": "a goodsValue of 14 digits",
    "order-item-total": "a total that is not the product",
    "amount-large-export": "a goodsValue of 14 digits",
    "pack-one": "several packages",
    "weight-large": "more than a ton",
}


@needs_spec
@pytest.mark.parametrize("edition", ["official-2018-113", "official-202205"])
def test_alarms_on_the_official_samples_are_justified(edition: str) -> None:
    rules = shipped()
    adviser = Adviser(rules.rulebook, rules.tables, rules.schemas)
    found: defaultdict[str, set[str]] = defaultdict(set)
    for file in sorted((SPEC / "samples" / edition).rglob("*.xml")):
        root = parse(file.read_bytes())
        kind = rules.catalogue.by_name(root.tag.rpartition("}")[2])
        if kind is None or kind.direction is not Direction.DECLARATION:
            continue
        for advice in adviser.advise(kind, declared_in_tree(root, kind), "20261201120000"):
            found[advice.rule].add(kind.name)
    assert len(found["sample-firm"]) >= 8
    assert {rule: sorted(kinds) for rule, kinds in found.items() if rule not in JUSTIFIED} == {}
