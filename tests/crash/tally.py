"""The count of a fault run: what must be 0, and what it took."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

from spool.entry import MessageView
from spool.lifecycle import State
from tests.crash.answers import Bodies
from tests.crash.load import Answered

PROCESSED: Final = "processed"
"""Verdict of customs about what it found in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Counts of one run, or of several added up."""

    lost: int = 0
    """Messages that were answered 202 and did not arrive, and answers of customs that did not come home."""
    changed: int = 0
    """Arrivals that, with the signature cut out, are nothing that was accepted, or that customs found wrong."""
    misdelivered: int = 0
    """Answers that came to an enterprise that they are not for."""
    doubled: int = 0
    """Messages that arrived under two CopMsgIds, or under another than the one that was told."""
    disordered: int = 0
    """Older versions of a declaration that customs saw for the first time after a newer one."""
    dead: int = 0
    """Entries given up though neither customs nor a receiver has refused them: they have no cause of their own."""
    unsettled: int = 0
    """Entries that would not go at all, or not without an operator."""
    unanswered: int = 0
    """Messages that no platform got an answer for with all its patience, or that were refused."""
    accepted: int = 0
    arrived: int = 0
    repeats: int = 0
    """Arrivals of the same bytes under the same CopMsgId: what at-least-once costs."""
    stale: int = 0
    """Of these, those of an older version after a newer one had arrived: only who was frozen in mid-sending does so."""
    changes: int = 0
    """Accepted messages that change what was declared before."""
    home: int = 0
    """Answers that came home."""
    kills: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    """How often each kind of fault struck."""

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)})

    @property
    def broken(self) -> dict[str, int]:
        """The promises that were not kept; none may be here."""
        return {name: count for name in PROMISES if (count := getattr(self, name))}

    def __str__(self) -> str:
        struck = ", ".join(f"{count} × {name}" for name, count in sorted(self.faults.items()))
        return (
            f"{self.accepted} accepted ({self.changes} changes), {self.arrived} arrivals of which {self.repeats}"
            f" repeats ({self.stale} stale), {self.home} answers home, {self.kills} kills ({struck}): "
            + ", ".join(f"{name} {getattr(self, name)}" for name in PROMISES)
        )


PROMISES: Final = (
    "lost",
    "changed",
    "misdelivered",
    "doubled",
    "disordered",
    "dead",
    "unsettled",
    "unanswered",
)


def tally(
    answered: Iterable[Answered],
    arrived: Sequence[dict[str, Any]],
    expected: Bodies,
    got: Bodies,
    *,
    left: Sequence[MessageView] = (),
    unanswered: int = 0,
    kills: int = 0,
    faults: Counter[str] | None = None,
) -> Tally:
    """Compare what platforms were told with the ledger of customs, and what customs said with what came home.

    `left`: the entries that are not done when all should be.
    """
    answered = list(answered)
    told: dict[str, set[str]] = defaultdict(set)
    for one in answered:
        told[_digest(one.body)].add(one.uid)
    ids: dict[str, set[str]] = defaultdict(set)
    for line in arrived:
        ids[line["original_sha256"]].add(line["cop_msg_id"])
    changes = {_digest(one.body): _digest(one.after) for one in answered if one.after}
    refused = {line["cop_msg_id"] for line in arrived if line["verdict"] != PROCESSED}
    dead = [one for one in left if one.state is State.DEAD]
    owners = {*expected, *got}
    return Tally(
        lost=len(told.keys() - ids.keys())
        + sum(len(expected.get(owner, set()) - got.get(owner, set())) for owner in owners),
        changed=len(ids.keys() - told.keys()) + sum(line["verdict"] != PROCESSED for line in arrived),
        misdelivered=sum(len(got.get(owner, set()) - expected.get(owner, set())) for owner in owners),
        doubled=sum(len(found) > 1 or found != told.get(sha256, found) for sha256, found in ids.items()),
        disordered=_disordered(changes, list(ids)),
        dead=sum(one.cop_msg_id not in refused for one in dead),
        unsettled=len(left) - len(dead),
        unanswered=unanswered,
        accepted=len(told),
        arrived=len(arrived),
        repeats=sum(line["repeat"] for line in arrived),
        stale=_stale(changes, [line["original_sha256"] for line in arrived]),
        changes=len(changes),
        home=sum(map(len, got.values())),
        kills=kills,
        faults=faults or Counter(),
    )


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _disordered(changes: Mapping[str, str], first_arrivals: Sequence[str]) -> int:
    """Count versions that came after one that changes them; `changes`: newer → the one before it."""
    outdated, late = set[str](), 0
    for sha256 in first_arrivals:
        late += sha256 in outdated
        outdated.update(_before(changes, sha256))
    return late


def _stale(changes: Mapping[str, str], arrivals: Sequence[str]) -> int:
    """Count arrivals of versions that had arrived before, and a newer one after them."""
    known, outdated, stale = set[str](), set[str](), 0
    for sha256 in arrivals:
        stale += sha256 in known and sha256 in outdated
        known.add(sha256)
        outdated.update(_before(changes, sha256))
    return stale


def _before(changes: Mapping[str, str], sha256: str) -> Iterator[str]:
    """Give all older versions."""
    while sha256 := changes.get(sha256, ""):
        yield sha256
