"""What is learned of cures so far, for whoever shows what a code means."""

import time
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from typing import Final

from gateway.facts import AnswerFacts
from gateway.model import Code, CodeClass
from gateway.ports import Clock
from gateway.receipts.learning.learned_codes import (
    CURED,
    DECLARATIONS,
    FEWEST,
    FIELD,
    may_be_shown,
    own_code,
    ranked,
)
from gateway.receipts.learning.text_shape import Vocabulary, text_shape, vocabulary_of
from gateway.rules.loading import Rules
from spool.entry import Tally
from spool.store import SpoolCounts

_READ_EVERY_S: Final = 60.0
_FIELDS_SHOWN: Final = 5


class KnownCures:
    """The fields that changed most often before a code was gone; read anew once a minute at most."""

    def __init__(self, spool: SpoolCounts, rules: Rules, *, clock: Clock = time.monotonic) -> None:
        self._spool = spool
        self._rules = rules
        self._clock = clock
        self._next = clock()
        self._cures: Mapping[str, tuple[str, ...]] = {}

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return vocabulary_of(self._rules)

    def of(self, code: str) -> tuple[str, ...]:
        """Return the names of these fields, five at most, the most frequent first; empty: nothing learned.

        At least three declarations were cured of it. Raises SpoolError.
        """
        if self._clock() >= self._next:
            self._cures = cures_in(self._spool)
            self._next = self._clock() + _READ_EVERY_S
        return self._cures.get(code, ())

    def of_answer(self, meaning: Code, known: AnswerFacts) -> tuple[str, ...]:
        """Return what cured a refusal by its status or by the shape of its text; empty for any other answer."""
        if meaning.kind is not CodeClass.REFUSED:
            return ()
        return self.of(own_code(meaning, known, lambda info: text_shape(info, self._vocabulary)))


def cures_in(spool: SpoolCounts) -> dict[str, tuple[str, ...]]:
    """Read of every code what cured it, by the counts of all origins together."""
    cured, declarations = _sums(spool.tallies(CURED)), _sums(spool.tallies(DECLARATIONS))
    fields: dict[str, Counter[str]] = {}
    overall: Counter[str] = Counter()
    for one in spool.tallies(FIELD):
        fields.setdefault(one.subject, Counter())[one.key] += one.n
        overall[one.key] += one.n
    return {
        code: tuple(name for name, _ in ranked(found.items(), overall)[:_FIELDS_SHOWN])
        for code, found in fields.items()
        if cured[code] >= FEWEST and may_be_shown(code, declarations[code])
    }


def _sums(tallies: list[Tally]) -> Counter[str]:
    found: Counter[str] = Counter()
    for one in tallies:
        found[one.subject] += one.n
    return found
