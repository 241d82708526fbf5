"""Reports documents that do not agree with the others of their parcel, each version once (docs/adr/0047).

The keep role walks along the new messages, a minute behind the present, and compares each new document and all others
of its parcel, so that it does not matter which came last. What was reported of a version is kept beside it, written in the commit
that moves the walk forward.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from gateway.observe.log import gathered, log
from gateway.observe.role_metrics import mismatch_counter
from gateway.parcels.comparing import MISSING, RULES
from gateway.parcels.documents import ParcelDocument
from gateway.parcels.facts import DocumentKind
from gateway.parcels.reading import ParcelReader, documents_of
from gateway.processes.heartbeat import beat
from spool.entry import LinkedDeclaration, ReportedLink
from spool.store import SpoolParcels

_WALK: Final = "parcels"
_BEHIND: Final = timedelta(seconds=60)
"""By then every commit with a lower number is done, on all nodes."""
_STRETCH: Final = 100
"""Most messages in one step."""
_ROUND_S: Final = 1.0
"""After so long no further step is begun in a round."""
_SEEN_WHOLE: Final = frozenset({DocumentKind.ORDER, DocumentKind.PAYMENT})
"""Documents that were compared with all others of their parcels when any of these was."""
_UNREPORTED: Final = frozenset(MISSING.values())
"""A document that has not come may come yet, or go another way."""


class ParcelScan:
    """Compares what is new, a little in every round."""

    def __init__(self, spool: SpoolParcels, reader: ParcelReader) -> None:
        self._spool = spool
        self._reader = reader
        self._counters = {rule: mismatch_counter(rule) for rule in RULES if rule not in _UNREPORTED}

    def look(self, now: datetime) -> int:
        """Report what has come to disagree; returns the number of documents of which something new was reported."""
        until = time.monotonic() + _ROUND_S
        told, more = 0, True
        while more and time.monotonic() < until:
            step = self._spool.unreported(_WALK, until=now - _BEHIND, limit=_STRETCH)
            more = step.more
            found = list(self._mismatches(step.linked))
            if step.linked or more:
                told += self._report(step.at, found)
        return told

    def _report(self, at: int, found: Sequence[ReportedLink]) -> int:
        took_effect = self._spool.set_reported(_WALK, at, found)
        with gathered():
            for one in took_effect:
                rules = sorted(set(one.reported.split()) - set(one.linked.reported.split()))
                for rule in rules:
                    self._counters[rule].inc()
                log(
                    "parcel.mismatched",
                    message_id=one.linked.uid,
                    enterprise=one.linked.owner,
                    message_type=one.linked.kind,
                    rules=rules,
                )
        return len(took_effect)

    def _mismatches(self, linked: Sequence[LinkedDeclaration]) -> Iterator[ReportedLink]:
        """Yield each document of the parcels of these that breaks a rule of which nothing was reported yet."""
        broken: defaultdict[int, set[str]] = defaultdict(set)
        looked: set[int] = set()
        for seed in documents_of(linked):
            if seed.declaration in looked and seed.kind in _SEEN_WHOLE:
                continue
            beat()
            documents = self._reader.around([seed])
            looked |= {one.declaration for one in documents}
            for one in documents:
                broken[one.declaration] |= self._broken(one, documents)
        yield from self._new({declaration: rules for declaration, rules in broken.items() if rules})

    def _broken(self, one: ParcelDocument, documents: Sequence[ParcelDocument]) -> set[str]:
        compared = self._reader.compared_with_acquainted(one, documents)
        return {said.rule for said in compared.advice} - _UNREPORTED

    def _new(self, broken: Mapping[int, set[str]]) -> Iterator[ReportedLink]:
        for one in self._spool.links_of(list(broken)) if broken else ():
            known = set(one.reported.split())
            if broken[one.declaration] - known:
                yield ReportedLink(linked=one, reported=" ".join(sorted(known | broken[one.declaration])))
