"""Judges the messages of a spool and its archive by another edition: what would be refused, for each enterprise.

Nothing is changed. Memory does not grow with the number of messages.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from msgspec import Struct

from gateway.cli.document_check import check_document
from gateway.config.gateway_toml import HOME, LimitsConfig
from gateway.facts import message_facts
from gateway.model import Fault
from gateway.rules.loading import Rules
from gateway.rules.schemas import View
from gateway.submission.plain import read_plain
from spool.archive import Archive
from spool.entry import MessageView, Wanted
from spool.store import Spool

GROUPS: Final = 1000
"""Most different faults that are kept apart for one enterprise; the others are only counted."""
_PAGE: Final = 200
_POSITION: Final = re.compile(r"\[\d+\]")


class FaultGroup(Struct, frozen=True, kw_only=True):
    """The faults of one kind at one place of one message type."""

    message_type: str
    path: str
    """Without positions: `/CEB603Message/Inventory/InventoryHead/ebpCode`."""
    rule: str
    count: int
    example: str
    """Id of one message that has it."""


class EditionReport(Struct, frozen=True, kw_only=True):
    """What an edition would refuse of one enterprise's messages; no text of a document is in it."""

    enterprise: str
    edition: str
    messages: int
    """How many were judged."""
    refused: int
    faults: tuple[FaultGroup, ...]
    """The most frequent first."""
    faults_not_listed: int
    """Faults of further kinds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptMessage:
    """A message as it was accepted."""

    view: MessageView
    body: bytes


@dataclass(slots=True)
class _Tally:
    messages: int = 0
    refused: int = 0
    groups: dict[tuple[str, str, str], tuple[int, str]] = field(default_factory=dict)
    """(message type, path, rule) → (count, example)."""
    not_listed: int = 0

    def add(self, message: KeptMessage, faults: tuple[Fault, ...]) -> None:
        self.messages += 1
        self.refused += bool(faults)
        for fault in faults:
            group = (message.view.kind, _POSITION.sub("", fault.path), fault.rule)
            count, example = self.groups.get(group, (0, message.view.uid))
            if count or len(self.groups) < GROUPS:
                self.groups[group] = (count + 1, example)
            else:
                self.not_listed += 1


class EditionRehearsal:
    """Counts, for each enterprise, what one edition would refuse."""

    def __init__(self, rules: Rules, limits: LimitsConfig) -> None:
        """Take the rules with the schemas of that edition."""
        self._rules = rules
        self._limits = limits
        self._tallies: dict[str, _Tally] = {}

    def judge(self, message: KeptMessage) -> None:
        """Judge one message and count it."""
        self._tallies.setdefault(message.view.owner, _Tally()).add(message, self._faults(message))

    def reports(self) -> Iterator[EditionReport]:
        """Yield one report for each enterprise that has messages, by name."""
        for enterprise, tally in sorted(self._tallies.items()):
            yield self._report(enterprise, tally)

    def nothing_of(self, enterprise: str) -> EditionReport:
        """Return the report on an enterprise without messages."""
        return self._report(enterprise, _Tally())

    def _report(self, enterprise: str, tally: _Tally) -> EditionReport:
        groups = sorted(tally.groups.items(), key=lambda item: (-item[1][0], item[0]))
        return EditionReport(
            enterprise=enterprise,
            edition=self._rules.schemas.edition,
            messages=tally.messages,
            refused=tally.refused,
            faults=tuple(
                FaultGroup(message_type=kind, path=path, rule=rule, count=count, example=example)
                for (kind, path, rule), (count, example) in groups
            ),
            faults_not_listed=tally.not_listed,
        )

    def _faults(self, message: KeptMessage) -> tuple[Fault, ...]:
        if read_plain(message.body, self._rules.plain, self._limits) is not None:
            return ()
        wrapped = message_facts(message.view.facts).wrapped
        view = View.SENDABLE if wrapped else View.DECLARED
        return check_document(message.body, self._rules, view, self._limits).faults


def kept_messages(
    spool: Spool, archive: Archive, rules: Rules, enterprise: str = ""
) -> Iterator[KeptMessage]:
    """Yield every declaration message of the spool, then of the archive, oldest first. Raises SpoolError.

    What retention moves into the archive meanwhile may come twice. `enterprise`: of that one alone.
    """
    kinds = {kind.name for kind in rules.catalogue.declarations()}
    for message in _in_spool(spool, enterprise):
        if message.view.kind in kinds:
            yield message
    for shelved in archive.messages():
        view = shelved.message.ways[0]
        wanted = view.kind in kinds and enterprise in ("", view.owner)
        if wanted and spool.message(view.uid) is None:  # purged: else it was in the spool
            yield KeptMessage(view=view, body=shelved.message.body)


def _in_spool(spool: Spool, enterprise: str) -> Iterator[KeptMessage]:
    after, last = 0, ""
    while page := spool.entries(Wanted(owner=enterprise), after=after, limit=_PAGE):
        for view in page:
            after = view.entry
            if view.uid == last or view.destination.startswith(HOME):  # a further entry of one, or a notice
                continue
            last = view.uid
            body = spool.body(view.uid)
            if body is not None:
                yield KeptMessage(view=view, body=body)
