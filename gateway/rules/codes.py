"""The meaning of status and error codes, and what to do about each; a look-up never fails."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, Literal

import msgspec

from gateway.model import Actor, Code, CodeClass

ALL: Final = "*"
"""Stands for every type of receipt that has no set of codes of its own."""
TAX_BILLS: Final = frozenset({"CEB816Message", "CEB818Message"})
"""Receipts about the tax of a declaration, with statuses of their own (docs/spec/codes.md, Other small code sets)."""
READ_CHARACTERS: Final = 5000
"""How much of the text of an answer is read: the longest that customs' schemas allow (900)."""
_BRACKET: Final = re.compile(r"\[Code:(\w{1,20});Desc:([^\]]*)\]")
_BRACKETS: Final = 8
"""Most codes that are read in one text."""
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """The meaning of a code that is in no table, by its sign; the code itself is filled in."""

    below_zero: Code
    otherwise: Code

    def meaning(self, code: str) -> Code:
        """Explain an unlisted code: `below_zero` for a negative number, `otherwise` for anything else."""
        return replace(self.below_zero if _number(code) < 0 else self.otherwise, code=code)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRange:
    """The meaning of unlisted platform errors with numbers from `first` to `last`, both included."""

    first: int
    last: int
    meaning: Code


class Remedy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do about a code."""

    retry: Literal["retry", "fix", "never"]
    zh: str
    en: str
    kind: CodeClass = CodeClass.REFUSED
    """Class of the error codes in rows that follow this advice."""
    who: tuple[Actor, ...] = ()
    """Who has to act."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """How to recognise a refusal of a repeated delivery, which does not concern the declaration."""

    texts: tuple[str, ...]
    """The text of such a refusal contains one of these."""
    advice: Remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPattern:
    """What the text of an answer says beside its status; it leaves the class of the status alone."""

    texts: tuple[str, ...]
    """Literal; the text of the answer contains one of them."""
    statuses: frozenset[str]
    """It counts in answers of these statuses."""
    codes: frozenset[str]
    """It counts behind these codes in brackets, whatever the status, and says more precisely what they mean."""
    meaning: Code

    def found(self, status: str, brackets: Mapping[str, str], info: str) -> bool:
        """Say whether an answer of this status, with these codes in its text, says it."""
        counts = status in self.statuses or not self.codes.isdisjoint(brackets)
        return counts and any(text in info for text in self.texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Codes:
    """What codes mean, `mappings/codes.toml` (docs/spec/codes.md). Look-ups never raise."""

    statuses: Mapping[tuple[str, str], Code]
    """By receipt type and code; the type is `*` if the meaning is the same for all other types."""
    own_sets: Mapping[str, Fallback]
    """Receipt types with their own set of codes, to which `*` does not apply (in 816, 1 means generated)."""
    platform: Mapping[str, Code]
    """Platform errors by their four digits."""
    spans: tuple[CodeRange, ...]
    errors: Mapping[str, Code]
    """Business error codes by the text of the negative number."""
    brackets: Mapping[str, Code]
    """Customs codes of the `[Code:n;Desc:t]` pattern by number."""
    patterns: tuple[TextPattern, ...]
    unknown: Fallback
    repeat: Repeat

    def said(self, message_type: str, code: str, info: str) -> Code:
        """Explain the status and text of a receipt; a refusal may only concern a repeated delivery, by its text."""
        meaning, repeat = self.status(message_type, code), self.repeat
        if meaning.kind is not CodeClass.REFUSED or not any(text in info for text in repeat.texts):
            return meaning
        advice = repeat.advice
        return replace(
            meaning,
            kind=advice.kind,
            advice_zh=advice.zh,
            advice_en=advice.en,
            retry=advice.retry,
            who=advice.who,
        )

    def status(self, message_type: str, code: str) -> Code:
        """Explain the status of a receipt of `message_type`; a negative one is a business error code."""
        code = code.strip()
        own_set = self.own_sets.get(message_type)
        listed = self.statuses.get((message_type, code))
        if listed is None and own_set is None:
            listed = self.statuses.get((ALL, code))
        return listed or self.errors.get(code) or (own_set or self.unknown).meaning(code)

    def dxp(self, code: str) -> Code:
        """Explain the ResponseCode of a DxpRep: four digits, else by range (docs/spec/codes.md, DXP)."""
        code = code.strip()
        listed = self.platform.get(code.zfill(4))
        if listed is not None:
            return listed
        number = _number(code)
        spans = (span for span in self.spans if span.first <= number <= span.last)
        span = next(spans, None)
        return replace(span.meaning, code=code) if span else self.unknown.meaning(code)

    def business(self, code: str) -> Code:
        """Explain a business error code, for instance `-621004`; an unlisted negative one is refused."""
        code = code.strip()
        return self.errors.get(code) or self.unknown.meaning(code)

    def in_text(self, status: str, info: str) -> tuple[Code, ...]:
        """Explain what the text of a receipt says beside its status: codes in brackets, then known patterns.

        At most 8 codes in the first 5000 characters; each meaning once.
        """
        info, status = info[:READ_CHARACTERS], status.strip()
        brackets = codes_in(info)
        found = [one for one in self.patterns if one.found(status, brackets, info)]
        said_better = {code for one in found for code in one.codes}
        listed = [self.bracket(*one) for one in brackets.items() if one[0] not in said_better]
        return (*listed, *(one.meaning for one in found))

    def bracket(self, number: str, text: str) -> Code:
        """Explain a customs code in brackets.

        Customs does not publish these numbers: one that is not in our table keeps the given text.
        """
        known = self.brackets.get(number)
        return known or Code(code=number, kind=CodeClass.UNKNOWN, zh=text, en=f"customs says: {text}")

    def any_of(self, code: str) -> Code:
        """Explain a code that is given by itself: a code in brackets, a status, an error, or a platform error."""
        code = code.strip()
        known = self.brackets.get(code) or self.statuses.get((ALL, code)) or self.errors.get(code)
        return known or self.platform.get(code) or self.unknown.meaning(code)


def codes_in(info: str) -> dict[str, str]:
    """Return the codes of the `[Code:n;Desc:t]` pattern in a text, with their texts, in order; at most 8."""
    if "[Code:" not in info:
        return {}
    end = info.rfind("]") + 1  # after the last "]" every attempt would scan to the end
    found: Iterator[re.Match[str]] = _BRACKET.finditer(info, 0, end)
    codes: dict[str, str] = {}
    for one in islice(found, _BRACKETS):
        codes.setdefault(one[1], one[2])
    return codes


def _number(code: str) -> int:
    """Read a code as an integer; returns 0, which no table uses, for any other text."""
    return int(code) if _INTEGER.fullmatch(code) else 0
