"""Chooses the owner of an answer among the declarations that its look-up texts led to (the rule: docs/adr/0029).

First counts the receiver that customs addressed, then what the declaration was found by: a whole key, the one field
that every receipt repeats, a number assigned by customs, a number only claimed. An answer goes to one owner or to
nobody.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Literal

from msgspec import Struct

from gateway.config.local_receivers import LocalReceivers
from gateway.identity import SHORTEST_KEY
from gateway.model import Answer, EnterpriseId

MOST: Final = 200
"""Most declarations of one owner that one answer may be about; an answer that fits more has no owner (`ambiguous`)."""


class Candidate(Struct, frozen=True, kw_only=True):
    """A declaration that one look-up text of an answer led to, as one of its versions states it."""

    ref: int
    """The spool's number of the declaration; opaque here."""
    owner: EnterpriseId
    message_type: str
    found_by: str
    """The look-up text that led here."""
    key: Mapping[str, str]
    codes: Mapping[str, str]
    dxp_id: str
    """BaseTransfer.dxpId of the declaration: customs sends its answers there."""
    sender: str = ""
    """SenderId of its envelope, where it differs: answers may be sent there too."""
    claimed: bool = False
    """Found by a number that the declaration came with; customs has not confirmed it, unlike numbers learned from
    answers."""
    subscribers: tuple[str, ...] = ()
    """DXP ids that get copies of the answers; not used for choosing."""

    def lives_at(self, dxp_ids: Collection[str]) -> bool:
        """Say whether answers to it go to one of these DXP ids."""
        return self.dxp_id in dxp_ids or (self.sender != "" and self.sender in dxp_ids)


class Question(Struct, frozen=True):
    """An answer whose declaration is looked for."""

    answer: Answer
    receiver_ids: Collection[str]
    """Receivers of its envelope."""
    late: bool = False
    """It had no owner when it came and is tried again: somebody may have submitted a declaration because of it."""


class Match(Struct, frozen=True, kw_only=True):
    """The answered declarations, all of one owner; of each the newest version that fits."""

    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmatched:
    """The answer has no owner."""

    reason: Literal["unknown", "ambiguous"]
    """`unknown`: no candidate fits. `ambiguous`: several owners fit, and a guess could reach the wrong one, or too
    many declarations fit."""


UNKNOWN: Final = Unmatched(reason="unknown")
_AMBIGUOUS: Final = Unmatched(reason="ambiguous")


class Rank(IntEnum):
    """What a candidate was found by; the lowest rank decides."""

    KEY = 0
    HANDLE = 1
    LEARNED = 2
    CLAIMED = 3


class Fitting:
    """The candidates that one question may be about: added one by one, bounded for each owner."""

    def __init__(self, question: Question, local_receivers: LocalReceivers) -> None:
        self._question = question
        self._local_receivers = local_receivers
        self._tenants = [one for one in question.receiver_ids if one in local_receivers]
        """Receivers of the envelope that are our enterprises; the node's own id and unknown ids are ignored."""
        self._found: dict[EnterpriseId, dict[tuple[int, str], tuple[Rank, Candidate]]] = {}

    def add(self, candidate: Candidate) -> None:
        """Add a candidate unless it is excluded; later versions of one declaration replace earlier ones."""
        rank = rank_of(candidate, self._question.answer)
        if self._may_be(candidate, rank):
            mine = self._found.setdefault(candidate.owner, {})
            place = (candidate.ref, candidate.found_by)
            if place in mine:
                if not _contradicts(candidate, self._question.answer):
                    mine[place] = (rank, candidate)
            elif len(mine) <= MOST:
                mine[place] = (rank, candidate)

    def _may_be(self, candidate: Candidate, rank: Rank) -> bool:
        if self._tenants and not candidate.lives_at(self._tenants):
            return False
        if rank is not Rank.KEY and _contradicts(candidate, self._question.answer):
            return False
        if rank is Rank.CLAIMED and not self._lives_alone(candidate):
            return False
        return not self._question.late or self._may_come_late(candidate, rank)

    def _lives_alone(self, candidate: Candidate) -> bool:
        """Say whether the answer was addressed to this candidate's owner and to no other enterprise here."""
        addressed = candidate.lives_at(self._question.receiver_ids)
        return addressed and not self._local_receivers.among_strangers(self._tenants)

    def _may_come_late(self, candidate: Candidate, rank: Rank) -> bool:
        """Say whether a declaration submitted after the answer may still be matched to it.

        Others may have learned of the kept answer meanwhile, and declared because of it.
        """
        if rank is Rank.LEARNED or not self._local_receivers.among_strangers(self._tenants):
            return True
        return any(candidate.owner in owners for owners in self._entitled())

    def _entitled(self) -> list[Collection[EnterpriseId]]:
        """Return the enterprises bound to the codes in the answer's key; its other codes may name third parties."""
        bound = self._local_receivers.bound
        return [
            bound[text]
            for name, text in self._question.answer.key.items()
            if name.endswith("Code") and text in bound
        ]

    def choose(self) -> Match | Unmatched:
        """Choose among the candidates added so far; never guesses between owners."""
        if not self._found:
            return UNKNOWN
        ranked = [one for mine in self._found.values() for one in mine.values()]
        best = min(rank for rank, _ in ranked)
        chosen = [candidate for rank, candidate in ranked if rank is best]
        if len(self._found) > 1:
            taught = {candidate.ref for rank, candidate in ranked if rank is Rank.LEARNED}
            for preferred in self._preferences(taught):
                if len({one.owner for one in chosen}) == 1:
                    break
                chosen = [one for one in chosen if preferred(one)] or chosen
        declarations = {one.ref: one for one in chosen}
        if len(declarations) > MOST or len({one.owner for one in chosen}) != 1:
            return _AMBIGUOUS
        return Match(candidates=tuple(declarations.values()))

    def _preferences(self, taught: Collection[int]) -> Iterator[Callable[[Candidate], bool]]:
        """Yield the criteria that distinguish owners, strongest first; one that no candidate meets is ignored."""
        answer, receivers, entitled = (
            self._question.answer, self._question.receiver_ids, self._entitled()
        )  # fmt: skip
        yield lambda one: one.lives_at(receivers)
        yield lambda one: any(one.owner in owners for owners in entitled)
        yield lambda one: not _contradicts(one, answer)
        yield lambda one: one.ref in taught


def correlate(
    question: Question, candidates: Iterable[Candidate], local_receivers: LocalReceivers
) -> Match | Unmatched:
    """Choose among all candidates that an answer's look-up texts led to."""
    fitting = Fitting(question, local_receivers)
    for candidate in candidates:
        fitting.add(candidate)
    return fitting.choose()


def rank_of(candidate: Candidate, answer: Answer) -> Rank:
    """Return the rank of what a candidate was found by."""
    names = [part.partition("=")[0] for part in candidate.found_by.split(" ")[1:]]
    if any(name not in answer.key for name in names):
        return Rank.CLAIMED if candidate.claimed else Rank.LEARNED
    return Rank.KEY if len(names) >= SHORTEST_KEY else Rank.HANDLE


def _contradicts(candidate: Candidate, answer: Answer) -> bool:
    said, known = {**answer.codes, **answer.key}, {**candidate.codes, **candidate.key}
    return any([known.get(name, text) != text for name, text in said.items()])  # noqa: C419 (half the time)
