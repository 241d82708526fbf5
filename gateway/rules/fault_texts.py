"""Faults of the schema in the terms of the field: their place, the texts of their rule, customs' code.

The codes of rules are stable: programs of platforms depend on them, so a code is never renamed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gateway.errors import FAULTS_COUNTED, FAULTS_SHOWN
from gateway.model import Fault
from gateway.rules.fields import customs_code, time_form
from gateway.rules.personal import masked
from gateway.rules.schema_model import ElementDecl
from gateway.rules.texts import NOTHING, Fact, fault_of, named, rule_of

VALUE_SHOWN: Final = 100
"""Most characters of a wrong value, or of a name from an unauthenticated caller, that a fault shows."""
MORE: Final = "more_faults"
"""Rule of the fault that represents those that are not shown."""
_GROUP: Final = "schema"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlace:
    """Where a fault is, and the Chinese name of the field."""

    path: str
    element: str
    name_zh: str
    value: str = ""


def fault(key: str, place: FaultPlace, within: ElementDecl | None = None, /, **facts: Fact) -> Fault:
    """Make one fault of the schema, without line and column.

    `key`: a rule or `rule.variant` of the texts; `within`: the element around the place; `facts` fill in the texts.
    A personal value is masked; a wrong length of a time gets the text that names its form.
    """
    parent = NOTHING if within is None else named(within.name, within.name_zh)
    form = time_form(place.element, int(str(facts["limit"]))) if key == "wrong_length" else None
    if form is not None:
        key, facts = f"{key}.time", {**facts, "form": form.form, "example": form.example}
    words: dict[str, Fact] = {
        "hint": NOTHING,
        **facts,
        "name": place.element,
        "label": named(place.element, place.name_zh),
        "parent": parent,
    }
    full = f"{_GROUP}.{key}"
    return fault_of(
        full,
        words,
        path=place.path,
        element=place.element,
        name_zh=place.name_zh,
        value=masked(place.element, place.value[:VALUE_SHOWN]),
        code=customs_code(rule_of(full), place.path),
    )


def shown_of(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Return the first `FAULTS_SHOWN` faults of a document, then one fault with the number of the others.

    Validation stops at `FAULTS_COUNTED`: from there on the number is given as "at least".
    """
    given = tuple(faults)
    found = tuple(fault for fault in given if fault.rule != MORE)
    if len(given) <= FAULTS_SHOWN:
        return given
    more = len(found) - FAULTS_SHOWN
    at_least = len(found) >= FAULTS_COUNTED or len(found) < len(given)
    key = f"{_GROUP}.{MORE}.at_least" if at_least else f"{_GROUP}.{MORE}"
    return (*found[:FAULTS_SHOWN], fault_of(key, {"count": more})) if more > 0 else given
