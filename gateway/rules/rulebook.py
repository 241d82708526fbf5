"""The dated business rules: `mappings/rules.toml`, and the TOML files of an operator's own folder (docs/rules.md).

A table is a rule. A file of the operator adds rules, or changes single keys of those that are there: `off = true` switches
one off. What a rule says is read by `gateway.advice`; here is its table.
"""

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec

from gateway.errors import RulesError
from gateway.model import BEIJING, SECOND, Actor, Family, Severity
from gateway.rules.catalogue import Catalogue
from gateway.rules.code_tables import MANIFEST, Grade
from gateway.rules.tables import TablePlace, read_tables, shaped

RULES_AT_MOST: Final = 1000
TEXT_AT_MOST: Final = 600
"""Most characters of a text that people read."""
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{1,60}")
FAMILIES: Final = frozenset(Family)
_EXAMPLE: Final = """
types = ["CEB311Message"]
each = "item"
when = "filled(qty)"
holds = "near(totalPrice, qty * price, 0.01)"
at = "totalPrice"
needs = ["country"]
breaks = { totalPrice = "1.00" }
shows = { wanted = "qty * price" }
severity = "error"
who = "platform"
code = "1322"
grade = "O"
source = "docs/spec/business_rules.md, What is compared"
from = 2024-09-04
until = 2027-12-31
zh = "总价{totalPrice}不等于数量乘以单价{wanted}"
en = "totalPrice {totalPrice} is not qty times price, {wanted}"
fix_zh = "按数量和单价重新计算总价"
fix_en = "compute totalPrice from qty and price"
off = false
"""


Each = Literal["declaration", "item", "field"]
"""What a rule is judged for: each declaration, each of its items, or each of its fields, in both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule, as its table has it."""

    name: str
    types: tuple[str, ...]
    named: frozenset[str]
    """Those of them that the table names itself; the others come with their family, and may lack all its fields."""
    each: Each
    when: str
    """Condition under which it is judged; empty: always."""
    holds: str
    """Condition that has to hold."""
    at: tuple[str, ...]
    """Fields that the advice points at: the rule is judged for each of them that a type has, as `this`."""
    needs: tuple[str, ...]
    """Tables without which the rule sleeps."""
    breaks: Mapping[str, str]
    """Example that breaks it: field → text, empty: none."""
    shows: Mapping[str, str]
    """Names for `{…}` in the texts → expression."""
    severity: Severity
    who: Actor | None
    """None: whoever sends such a message."""
    code: str
    """Code that customs would answer with; empty: not known."""
    grade: Grade
    source: str
    since: str
    """First second of its time, Beijing, `YYYYMMDDhhmmss`; empty: no beginning."""
    until: str
    """Last second of its time; empty: no end."""
    zh: str
    en: str
    fix_zh: str
    fix_en: str
    place: TablePlace

    def in_force(self, moment: str) -> bool:
        """Say whether the rule is in force at a second of Beijing time."""
        return self.since <= moment and (not self.until or moment <= self.until)

    def asleep(self, tables: Container[str]) -> bool:
        """Say whether a table that the rule needs is not there."""
        return any(name not in tables for name in self.needs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rulebook:
    """All rules by name, in the order of the files."""

    rules: Mapping[str, Rule]
    off: frozenset[str] = frozenset()
    """Names of those that are switched off, which `rules` lacks."""

    def of_type(self, message_type: str) -> tuple[Rule, ...]:
        """Return the rules for messages of one type."""
        return tuple(rule for rule in self.rules.values() if message_type in rule.types)


class _Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    types: tuple[str, ...]
    holds: str
    at: str | tuple[str, ...]
    severity: Severity
    grade: Grade
    source: str
    zh: str
    en: str
    fix_zh: str
    fix_en: str
    each: Each = "declaration"
    when: str = ""
    needs: tuple[str, ...] = ()
    breaks: dict[str, str] = {}
    shows: dict[str, str] = {}
    who: Actor | None = None
    code: str = ""
    from_: object = None
    until: object = None
    """A date or a time, as TOML has them; the same of `from`."""
    off: bool = False


def load_rulebook(file: Path, catalogue: Catalogue, folder: Path | None = None) -> Rulebook:
    """Read the rules of a file, then those of the `*.toml` of a folder, in name order.

    Raises RulesError that names file, rule and key; the expressions are checked when `gateway.advice` compiles them.
    """
    if folder is not None and not folder.is_dir():
        raise RulesError(
            "there is no folder of rules for advice",
            where=str(folder),
            fix="create it, or take rules.advice_dir out",
        )
    rulebook, mistakes = read_rulebook(file, catalogue, folder)
    if mistakes:
        raise mistakes[0]
    return rulebook


def read_rulebook(
    file: Path, catalogue: Catalogue, folder: Path | None = None
) -> tuple[Rulebook, list[RulesError]]:
    """Do as `load_rulebook`, but return the mistakes of all tables, and the rules that have none.

    Raises RulesError for a file that cannot be read at all, or for too many rules.
    """
    mistakes: list[RulesError] = []
    tables: dict[str, tuple[TablePlace, dict[str, Any]]] = {}
    own = sorted(folder.glob("*.toml")) if folder else []
    files = [file, *(one for one in own if one.name != MANIFEST)]
    for one in files:
        for name, table in read_tables(one).items():
            place = TablePlace(one, name)
            if not isinstance(table, dict) or not _NAME.fullmatch(name):
                what = "a rule is a table, its name lower-case words with hyphens"
                mistakes.append(place.error(what, example="[order-sum]"))
                continue
            earlier = tables.get(name, (place, {}))[1]
            tables[name] = (place, {**earlier, **table})
    if len(tables) > RULES_AT_MOST:
        raise TablePlace(files[-1]).error(f"{len(tables)} rules, at most {RULES_AT_MOST} are allowed")
    types = {kind.name: kind.family for kind in catalogue.declarations()}
    found: dict[str, Rule | None] = {}
    for name, (place, table) in tables.items():
        try:
            found[name] = _rule(name, table, place, types)
        except RulesError as error:
            mistakes.append(error)
    rules = {name: rule for name, rule in found.items() if rule is not None}
    off = frozenset(name for name, rule in found.items() if rule is None)
    return Rulebook(rules=MappingProxyType(rules), off=off), mistakes


def _rule(name: str, table: Mapping[str, Any], place: TablePlace, types: Mapping[str, Family]) -> Rule | None:
    row = shaped(table, _Row, place, _EXAMPLE)
    at = (row.at,) if isinstance(row.at, str) else row.at
    if not at:
        raise place.error("at names no field", key="at", example='at = "totalPrice"')
    for key in ("zh", "en", "fix_zh", "fix_en"):
        if not 0 < len(getattr(row, key)) <= TEXT_AT_MOST:
            raise place.error(f"{key} needs 1 to {TEXT_AT_MOST} characters", key=key)
    since, until = _second(row.from_, place, "from"), _second(row.until, place, "until")
    if since and until and until < since:
        raise place.error("the rule ends before it begins", key="until", example="until = 2027-12-31")
    chosen = _types(row.types, types, place)
    if row.off:
        return None
    return Rule(
        name=name,
        types=chosen,
        named=frozenset(row.types) - FAMILIES,
        each=row.each,
        when=row.when,
        holds=row.holds,
        at=at,
        needs=row.needs,
        breaks=MappingProxyType(row.breaks),
        shows=MappingProxyType(row.shows),
        severity=row.severity,
        who=row.who,
        code=row.code,
        grade=row.grade,
        source=row.source,
        since=since,
        until=until,
        zh=row.zh,
        en=row.en,
        fix_zh=row.fix_zh,
        fix_en=row.fix_en,
        place=place,
    )


def _types(given: Iterable[str], known: Mapping[str, Family], place: TablePlace) -> tuple[str, ...]:
    """Return the message types that a rule names, by themselves or by their family, in the order of the catalogue."""
    wanted = frozenset(given)
    for unknown in sorted(wanted - known.keys() - FAMILIES):
        raise place.error(
            f"{unknown} is no message that enterprises send, nor import or export",
            key="types",
            example='types = ["CEB311Message"]',
        )
    return tuple(name for name, family in known.items() if name in wanted or family in wanted)


def _second(given: object, place: TablePlace, key: str) -> str:
    """Return a second of Beijing time; of a day its first, for `until` its last. A time without a zone is Beijing's."""
    match given:
        case None:
            return ""
        case datetime():
            return (given.astimezone(BEIJING) if given.tzinfo else given).strftime(SECOND)
        case date():
            return given.strftime("%Y%m%d") + ("235959" if key == "until" else "000000")
        case _:
            raise place.error(
                f"{key} is a date or a time without quotes", key=key, example=f"{key} = 2027-12-31"
            )
