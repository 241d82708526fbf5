"""Facts about fields by name, `mappings/fields.toml`: which are times and how they are written, and customs' codes of faults.

Always the shipped table: what it protects is not for a `rules_dir` to switch off.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

from msgspec import Struct

from gateway.rules.loading import RULES
from gateway.rules.tables import TablePlace, read_tables, shaped

_POSITION: Final = re.compile(r"\[\d+\]")
_EXAMPLE: Final = """
personal = { identity_numbers = ["buyerIdNumber"], others = ["buyerName"] }
money = { fields = ["price"] }
times = { fields = ["appTime"], forms = { 14 = { form = "YYYYMMDDhhmmss", example = "20241111080000" } } }
customs_codes = { too_many = { "/CEB621Message/Inventory" = "-621030" } }
"""


class PersonalFields(Struct, frozen=True, forbid_unknown_fields=True):
    """Names of the fields that hold data of natural persons."""

    identity_numbers: frozenset[str]
    others: frozenset[str]


class TimeForm(Struct, frozen=True, forbid_unknown_fields=True):
    """How a time is written: `YYYYMMDD`, and an example."""

    form: str
    example: str


class TimeFields(Struct, frozen=True, forbid_unknown_fields=True):
    """Names of the fields that are times, and their forms by number of digits."""

    fields: frozenset[str]
    forms: Mapping[str, TimeForm]


class MoneyFields(Struct, frozen=True, forbid_unknown_fields=True):
    """Names of the fields that are amounts of money, in yuan or another currency's unit, never in its hundredths."""

    fields: frozenset[str]


class FieldFacts(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole table."""

    personal: PersonalFields
    times: TimeFields
    money: MoneyFields
    customs_codes: Mapping[str, Mapping[str, str]]
    """Rule, or `rule.what` where customs tells more apart (`any`: each rule) → path without positions → code."""


@cache
def field_facts() -> FieldFacts:
    """Return the shipped table; reads its file at the first call. Raises RulesError."""
    file = RULES / "mappings" / "fields.toml"
    return shaped(read_tables(file), FieldFacts, TablePlace(file), _EXAMPLE)


def time_form(element: str, digits: int) -> TimeForm | None:
    """Return how the field is written when it is a time of so many digits, otherwise None."""
    times = field_facts().times
    return times.forms.get(str(digits)) if element in times.fields else None


def customs_code(rule: str, path: str) -> str:
    """Return the code with which customs or the exchange would answer this fault; empty when it is not known."""
    codes, place = field_facts().customs_codes, _POSITION.sub("", path)
    root = "/" + place.lstrip("/").partition("/")[0]
    return codes.get(rule, {}).get(place, "") or codes.get("any", {}).get(root, "")
