"""Learns from what was filed: which codes came, and which fields had changed when a refused declaration was accepted.

The keep role reads the notices of each enterprise in their order. What a stretch of them adds to the counts is committed
together with the mark that the stretch is done, so a process that dies in between has counted nothing, and what it counts
again is the same: it follows from the timelines up to each notice alone (docs/adr/0043).
"""

import time
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache, partial
from typing import Final

from gateway.config.gateway_toml import LimitsConfig
from gateway.facts import answer_facts
from gateway.model import Code, CodeClass
from gateway.observe.log import log
from gateway.receipts.learning.changed_fields import MessageFields, changed_fields, fields_in
from gateway.receipts.learning.cures import GOOD, AnswerHeard, Cure, cures_by_last, first_of
from gateway.receipts.learning.learned_codes import (
    CURED,
    DECLARATIONS,
    FIELD,
    OTHER,
    SEEN,
    codes_told,
    in_tables,
    is_text,
    meaning_of,
)
from gateway.receipts.learning.text_shape import Vocabulary, text_shape, vocabulary_of
from gateway.rules.codes import TAX_BILLS
from gateway.rules.loading import Rules
from spool.entry import MessageView, Tally, TimelineEntry
from spool.store import Spool

_STRETCH: Final = 100
"""Most notices counted in one commit."""
_ROUND_S: Final = 1.0
"""Longest time that one round learns."""
_CODES_AT_MOST: Final = 2000
"""Most codes and texts that no table of ours explains; those beyond count as `other`."""
_ANSWERS_READ: Final = 200
"""Newest answers of a declaration that are looked at; most have five."""
_VERSIONS_READ: Final = 100
_FIELDS_AT_MOST: Final = 30
"""A version that differs in more fields is another declaration: it says nothing about one code."""
_MESSAGES_HELD: Final = 8
"""Parsed messages that are kept for the next declaration of the same message."""
_Key = tuple[str, str, str]


@dataclass(slots=True)
class _Stretch:
    """What some notices add to the counts: name, subject, key → how often, first and last time."""

    counts: Counter[_Key] = field(default_factory=Counter)
    times: dict[_Key, tuple[datetime, datetime]] = field(default_factory=dict)

    def count(self, name: str, subject: str, at: datetime, key: str = "") -> None:
        of = (name, subject, key)
        first, last = self.times.get(of, (at, at))
        self.counts[of] += 1
        self.times[of] = (min(first, at), max(last, at))

    def tallies(self) -> list[Tally]:
        return [
            Tally(name=name, subject=subject, key=key, n=n, first_at=self.times[name, subject, key][0],
                  last_at=self.times[name, subject, key][1])
            for (name, subject, key), n in self.counts.items()
        ]  # fmt: skip


class CodeScan:
    """Counts codes and what cured them, a little in every round."""

    def __init__(
        self,
        spool: Spool,
        rules: Rules,
        limits: LimitsConfig,
        owners: Iterable[str],
        *,
        codes_at_most: int = _CODES_AT_MOST,
        stretch: int = _STRETCH,
    ) -> None:
        """`owners`: the enterprises whose answers are read; `limits`: within which accepted messages are parsed.

        `codes_at_most`: that no table explains; `stretch`: most notices counted in one commit.
        """
        self._spool = spool
        self._rules = rules
        self._owners = tuple(owners)
        self._codes_at_most = codes_at_most
        self._stretch = stretch
        self._passing = passing_answers(rules)
        self._vocabulary: Vocabulary = vocabulary_of(rules)
        self._strange: set[str] | None = None
        """Codes that no table explains and that have a count of their own; None: to be read."""
        self._fields = lru_cache(_MESSAGES_HELD)(partial(_fields_in, spool, rules, limits))
        self._versions = lru_cache(_STRETCH)(partial(_versions_of, spool))

    def look(self) -> int:
        """Count what was filed since; returns how many notices were counted. Raises SpoolError."""
        until = time.monotonic() + _ROUND_S
        total = 0
        for owner in self._owners:
            while time.monotonic() < until:
                counted = self._step(owner)
                total += counted
                if counted < self._stretch:
                    break
        self._fields.cache_clear()  # declarations are not kept in memory for longer than they are needed
        return total

    def _step(self, owner: str) -> int:
        mark = f"codes {owner}"
        after = self._spool.mark(mark)
        notices = self._spool.notices(owner, after=after or 0, limit=self._stretch)
        if not notices:
            return 0
        self._versions.cache_clear()
        reached = notices[-1].cursor
        doubtful = self._spool.answered_besides(owner, after=after or 0, up_to=reached, passing=self._passing)
        stretch, new = _Stretch(), set[str]()
        for notice in notices:
            for row in notice.rows:
                self._count(owner, row, stretch, new, doubtful)
        done = self._spool.add_tallies(mark, stretch.tallies(), after=after, reached=reached)
        if not done:  # another process has counted them, and perhaps codes that are new here
            self._strange = None
            return len(notices)
        self._known_strange().update(new)
        for code in sorted(new):
            if not is_text(code):
                log("code.unknown", code=code)
        return len(notices)

    def _count(
        self, owner: str, row: TimelineEntry, stretch: _Stretch, new: set[str], doubtful: Collection[str]
    ) -> None:
        """Count one answer; `doubtful`: the declarations of this stretch that may ever have been refused."""
        heard = self._heard(owner, row, "")
        told = [self._admitted(code, new) for code in heard.codes]
        for code in dict.fromkeys(told):
            stretch.count(SEEN, code, row.received_at)
        refused = heard.kind is CodeClass.REFUSED
        if row.identity not in doubtful or not (refused or heard.kind in GOOD):
            return
        rows = self._until(owner, row)
        if not refused and all(self._kind(one) is not CodeClass.REFUSED for one in rows[:-1]):
            return
        versions = self._versions(owner, row.identity)
        told_of = [self._heard(owner, one, _version_of(one, versions)) for one in rows]
        past = [one for one in told_of if one.kind is CodeClass.REFUSED or one.kind in GOOD]
        if refused:
            for code in dict.fromkeys(self._admitted(one, new) for one in first_of(past)):
                stretch.count(DECLARATIONS, code, row.received_at)
        for cure in cures_by_last(past):
            self._count_cure(row, cure, stretch, new)

    def _count_cure(self, row: TimelineEntry, cure: Cure, stretch: _Stretch, new: set[str]) -> None:
        before, after = (self._fields(uid).of(row.identity) for uid in (cure.refused, cure.accepted))
        if before is None or after is None:  # purged, or accepted under other rules
            return
        changed = changed_fields(before, after)
        if len(changed) > _FIELDS_AT_MOST:
            return
        code = self._admitted(cure.code, new)
        if code == OTHER:  # of several codes, which have nothing in common
            return
        stretch.count(CURED, code, row.received_at)
        for name in changed:
            stretch.count(FIELD, code, row.received_at, name)

    def _heard(self, owner: str, row: TimelineEntry, version: str) -> AnswerHeard:
        known = answer_facts(row.facts)
        meaning = meaning_of(row.kind, row.status, known, self._rules.codes)
        codes = codes_told(meaning, known, self._rules.codes, lambda info: self._shape(owner, row, info))
        return AnswerHeard(kind=_decided(row, meaning), version=version, codes=codes)

    def _kind(self, row: TimelineEntry) -> CodeClass:
        """Return what an answer decides about its declaration."""
        return _decided(row, meaning_of(row.kind, row.status, answer_facts(row.facts), self._rules.codes))

    def _shape(self, owner: str, row: TimelineEntry, info: str) -> str:
        """Return the shape of a text, without anything that stands in the declaration."""
        version = _version_of(row, self._versions(owner, row.identity))
        declared = self._fields(version).of(row.identity)
        return text_shape(info, self._vocabulary, declared.values() if declared else ())

    def _until(self, owner: str, row: TimelineEntry) -> list[TimelineEntry]:
        """Return the answers about the declaration of a row up to that row, in the order of filing."""
        rows = [
            one
            for one in self._spool.timeline(owner, row.identity)
            if one.identity == row.identity and _filed(one) <= _filed(row)
        ]
        return sorted(rows, key=_filed)[-_ANSWERS_READ:]

    def _admitted(self, code: str, new: set[str]) -> str:
        """Return under which name a code counts: its own, or `other` when there are too many strange ones."""
        strange = self._known_strange()
        if in_tables(code, self._rules.codes) or code in strange or code in new:
            return code
        if len(strange) + len(new) >= self._codes_at_most:
            return OTHER
        new.add(code)
        return code

    def _known_strange(self) -> set[str]:
        if self._strange is None:
            seen = {one.subject for one in self._spool.tallies(SEEN) if not one.origin}
            self._strange = {code for code in seen if not in_tables(code, self._rules.codes)}
        return self._strange


def passing_answers(rules: Rules) -> frozenset[str]:
    """Return kind and status of every answer in our tables that refuses nothing, whatever its text says."""
    codes = rules.codes
    return frozenset(
        f"{receipt.name} {status}"
        for receipt in rules.catalogue.receipts()
        for _, status in codes.statuses
        if codes.status(receipt.name, status).kind is not CodeClass.REFUSED
    )


def _decided(row: TimelineEntry, meaning: Code) -> CodeClass:
    """Return what an answer decides about its declaration; a tax bill decides nothing."""
    return CodeClass.UNKNOWN if row.kind in TAX_BILLS else meaning.kind


def _fields_in(spool: Spool, rules: Rules, limits: LimitsConfig, uid: str) -> MessageFields:
    body = spool.body(uid)
    return MessageFields({}) if body is None else fields_in(body, rules, limits)


def _versions_of(spool: Spool, owner: str, identity: str) -> list[MessageView]:
    """Return each message about a declaration once, newest first."""
    return list({one.uid: one for one in spool.about(owner, identity, limit=_VERSIONS_READ)}.values())


def _version_of(row: TimelineEntry, versions: Sequence[MessageView]) -> str:
    """Return the newest message that was there when an answer came; the oldest if none was; empty: all are purged."""
    before = (one.uid for one in versions if one.accepted_at <= row.received_at)
    return next(before, versions[-1].uid if versions else "")


def _filed(row: TimelineEntry) -> tuple[int, int, str]:
    return row.notice, row.index, row.digest
