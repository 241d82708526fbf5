"""The shape of a free text of customs: what is left of it when everything that may be about somebody is taken out.

A word is kept only if it is known beforehand: Chinese characters that stand in a pair which occurs in our own tables and
schemas, names of schema elements, and the rule numbers of schema processors. Names, numbers, addresses and whatever
stands in brackets become `*`. A word that stands in the declaration itself is taken out even if it is known.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from gateway.rules.loading import Rules

SHAPE_CHARACTERS: Final = 120
"""Longest shape; the rest of a text is left out."""
_READ_CHARACTERS: Final = 1000
_SHORTEST_VALUE: Final = 2
_HAN: Final = "\u4e00-\u9fff"
_RUNS: Final = re.compile(f"[{_HAN}]+")
_OPENING, _CLOSING = r"\[【（(<《{「『“‘\"'", r"\]】）)>》}」』”’\"'"
_BRACKETED: Final = re.compile(f"[{_OPENING}][^{_CLOSING}]*[{_CLOSING}]?")
"""An opening bracket or quote and what follows, to the next closing one or the end."""
_RULES: Final = (
    "attribute|complex-type|datatype-valid|elt|enumeration-valid|fractionDigits-valid|length-valid|maxExclusive-valid"
    "|maxInclusive-valid|maxLength-valid|minExclusive-valid|minInclusive-valid|minLength-valid|pattern-valid"
    "|totalDigits-valid|type"
)
"""Rules by which schema processors name their errors (XML Schema 1.0 part 1, appendix C)."""
_TOKEN: Final = re.compile(
    rf"(?P<han>[{_HAN}]+)|(?P<rule>cvc-(?:{_RULES}))|(?P<name>[A-Za-z][A-Za-z0-9_]*)|(?P<stop>[，。；：、！,;:!])"
    r"|(?P<gap>\s+)|.",
    re.DOTALL,
)
_STARS: Final = re.compile(r"\*[*，]*\*|\*{2,}")
_STOPS: Final = re.compile("，{2,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The words that may stand in a shape."""

    pairs: frozenset[str]
    """Two Chinese characters that stand side by side in a text of ours."""
    names: frozenset[str]
    """Names of schema elements."""


def vocabulary_of(rules: Rules) -> Vocabulary:
    """Collect the words of the rules: texts of codes, titles of messages, names and titles of schema elements."""
    titles, codes = rules.schemas.titles(), rules.codes
    told = [
        *codes.statuses.values(),
        *codes.errors.values(),
        *codes.brackets.values(),
        *codes.platform.values(),
    ]
    texts = [*(one.zh for one in told), *(text for one in codes.patterns for text in one.texts)]
    kinds = [one.title_zh for one in rules.catalogue.types.values()]
    return Vocabulary(pairs=frozenset(_pairs([*texts, *kinds, *titles.values()])), names=frozenset(titles))


def text_shape(info: str, vocabulary: Vocabulary, values: Collection[str] = ()) -> str:
    """Return the shape of a text, at most 120 characters; `values`: those of the declaration it is about.

    Costs one pass over the first 1000 characters for each value that occurs in them. `*` when nothing of it is known.
    """
    text = info[:_READ_CHARACTERS]
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= _SHORTEST_VALUE and value in text:
            text = text.replace(value, "*")
    text = _BRACKETED.sub("*", text)
    shape = "".join(_kept(token, vocabulary) for token in _TOKEN.finditer(text))
    shape = _STOPS.sub("，", _STARS.sub("*", shape)).strip("，")
    return shape[:SHAPE_CHARACTERS] or "*"


def _kept(token: re.Match[str], vocabulary: Vocabulary) -> str:
    match token.lastgroup:
        case "han":
            return _known(token[0], vocabulary.pairs)
        case "name":
            return token[0] if token[0] in vocabulary.names else "*"
        case "rule":
            return token[0]
        case "stop":
            return "，"
        case "gap":
            return ""
        case _:
            return "*"


def _known(run: str, pairs: frozenset[str]) -> str:
    """Keep the characters that stand in a known pair."""
    known = [first + second in pairs for first, second in pairwise(run)]
    stands = [left or right for left, right in zip([False, *known], [*known, False], strict=True)]
    return "".join(char if kept else "*" for char, kept in zip(run, stands, strict=True))


def _pairs(texts: Iterable[str]) -> Iterable[str]:
    return (
        first + second for text in texts for run in _RUNS.findall(text) for first, second in pairwise(run)
    )
