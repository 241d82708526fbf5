"""Faults of the schema in the terms of the field: their place, the texts of their rule, customs' code.

The codes of rules are stable: programs of platforms depend on them, so a code is never renamed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.errors import FAULTS_COUNTED, FAULTS_SHOWN
from gateway.model import Fault
from gateway.rules.fields import customs_code, time_form
from gateway.rules.personal import hidden, masked
from gateway.rules.schema_model import ElementDecl
from gateway.rules.texts import NOTHING, Fact, fault_of, named

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
    A personal value is masked.
    """
    rule, (variant, more) = key.partition(".")[0], _variant(key, place, facts)
    words: dict[str, Fact] = {
        "hint": NOTHING,
        **facts,
        **more,
        "name": place.element,
        "label": named(place.element, place.name_zh),
        "parent": NOTHING if within is None else named(within.name, within.name_zh),
    }
    return fault_of(
        f"{_GROUP}.{variant}",
        words,
        path=place.path,
        element=place.element,
        name_zh=place.name_zh,
        value=_shown_value(rule, place),
        code=customs_code(rule, place.path),
    )


def _shown_value(rule: str, place: FaultPlace) -> str:
    """Return the value as it may be shown: of a misspelt field the name that stands there; of Base64 the length only."""
    value = place.value[:VALUE_SHOWN]
    if rule == "misspelt":
        return value
    return hidden(value) if rule == "not_base64" else masked(place.element, value)


def _variant(key: str, place: FaultPlace, facts: Mapping[str, Fact]) -> tuple[str, Mapping[str, Fact]]:
    """Return the key of the text that fits these facts best, and further facts for it."""
    if key == "wrong_length" and (form := time_form(place.element, int(str(facts["limit"])))):
        return "wrong_length.time", {"form": form.form, "example": form.example}
    if key == "too_short" and facts["length"] == 0:
        return "too_short.empty", {}
    if key == "fixed_value" and "/@" in place.path:
        return "fixed_value.attribute", {}
    if key == "too_many" and facts["limit"] == 1:
        return "too_many.single", {}
    if key == "wrong_namespace" and not facts["actual"]:
        return "wrong_namespace.none", {}
    return key, {}


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
