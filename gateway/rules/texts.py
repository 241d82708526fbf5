"""The texts of faults, one table for each language: `gateway/rules/texts/en.toml` and `zh.toml`.

A key is `group.rule`, or `group.rule.variant` where one rule is told in several ways: `xml.not_xml.end_tag`. The rule is
what programs of platforms see (`Fault.rule`); group and variant only choose the text.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from gateway.model import Fault

LANGUAGES: Final = ("en", "zh")
_FOLDER: Final = Path(__file__).with_name("texts")
_PHRASES: Final = "phrase"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bilingual:
    """The same in English and in Chinese."""

    en: str
    zh: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultWords:
    """What a fault says: with words in braces as in the tables, or filled in."""

    message: str
    message_zh: str
    fix: str
    fix_zh: str


Fact = str | int | Bilingual
"""What is filled in; a `Bilingual` differs between the languages."""
NOTHING: Final = Bilingual(en="", zh="")
NO_FACTS: Final[Mapping[str, Fact]] = MappingProxyType({})


def fault_of(
    key: str,
    facts: Mapping[str, Fact] = NO_FACTS,
    /,
    *,
    path: str = "",
    line: int = 0,
    column: int = 0,
    element: str = "",
    name_zh: str = "",
    value: str = "",
    code: str = "",
) -> Fault:
    """Make a fault with the texts of `key`; they may use `facts`, `line` and `column`. KeyError for an unknown key."""
    words = filled(key, {"line": line, "column": column, **facts})
    return Fault(
        path=path,
        line=line,
        column=column,
        element=element,
        name_zh=name_zh,
        value=value,
        rule=rule_of(key),
        message=words.message,
        message_zh=words.message_zh,
        fix=words.fix,
        fix_zh=words.fix_zh,
        code=code,
    )


def filled(key: str, facts: Mapping[str, Fact]) -> FaultWords:
    """Return the texts of `key` with `facts` filled in. KeyError for an unknown key."""
    words = fault_words()[key]
    en, zh = _in("en", facts), _in("zh", facts)
    return FaultWords(
        message=words.message.format(**en),
        message_zh=words.message_zh.format(**zh),
        fix=words.fix.format(**en),
        fix_zh=words.fix_zh.format(**zh),
    )


def phrase(name: str, /, **facts: Fact) -> Bilingual:
    """Return a part of a sentence in both languages."""
    en, zh = (_table(language)[f"{_PHRASES}.{name}"] for language in LANGUAGES)
    return Bilingual(en=en.format(**_in("en", facts)), zh=zh.format(**_in("zh", facts)))


def named(name: str, name_zh: str) -> Bilingual:
    """Return how a field is called in a sentence: `orderNo (订单编号)`, `订单编号（orderNo）`."""
    if not name_zh:
        return Bilingual(en=name, zh=name)
    return Bilingual(en=f"{name} ({name_zh})", zh=f"{name_zh}（{name}）")


def rule_of(key: str) -> str:
    """Return the rule of a key: `not_xml` of `xml.not_xml.end_tag`."""
    return key.split(".")[1]


def rules_of_group(group: str) -> frozenset[str]:
    """Return every rule of a group of texts: `schema`, `xml`, `source`."""
    return frozenset(rule_of(key) for key in fault_words() if key.startswith(f"{group}."))


@cache
def fault_words() -> Mapping[str, FaultWords]:
    """Return all texts by key; reads the two files once."""
    en, zh = (_table(language) for language in LANGUAGES)
    keys = [name.removesuffix(".message") for name in en if name.endswith(".message")]
    return {
        key: FaultWords(
            message=en[f"{key}.message"],
            message_zh=zh[f"{key}.message"],
            fix=en[f"{key}.fix"],
            fix_zh=zh[f"{key}.fix"],
        )
        for key in keys
    }


@cache
def _table(language: str) -> Mapping[str, str]:
    """Return the texts of one language by their full names, `schema.missing.message`."""
    file = _FOLDER / f"{language}.toml"
    return dict(_flat(tomllib.loads(file.read_text(encoding="utf-8")), ""))


def _flat(table: Mapping[str, object], prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value)


def _in(language: str, facts: Mapping[str, Fact]) -> dict[str, str | int]:
    return {
        name: getattr(fact, language) if isinstance(fact, Bilingual) else fact for name, fact in facts.items()
    }
