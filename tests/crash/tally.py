"""The count of a fault run: what must be 0, and what it took."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from tests.crash.homecoming import Bodies
from tests.crash.load import Answered


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
    accepted: int = 0
    arrived: int = 0
    repeats: int = 0
    """Arrivals of the same bytes under the same CopMsgId: what at-least-once costs."""
    home: int = 0
    """Answers that came home."""
    kills: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    """How often each kind of fault struck."""

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)})

    @property
    def promises(self) -> tuple[int, int, int, int]:
        """What must be (0, 0, 0, 0): lost, changed, misdelivered, doubled."""
        return self.lost, self.changed, self.misdelivered, self.doubled

    def __str__(self) -> str:
        struck = ", ".join(f"{count} × {name}" for name, count in sorted(self.faults.items()))
        return (
            f"{self.accepted} accepted, {self.arrived} arrivals of which {self.repeats} repeats, {self.home} answers"
            f" home, {self.kills} kills ({struck}): lost {self.lost}, changed {self.changed},"
            f" misdelivered {self.misdelivered}, doubled under another id {self.doubled}"
        )


def tally(
    answered: Iterable[Answered],
    arrived: Sequence[dict[str, Any]],
    expected: Bodies,
    got: Bodies,
    *,
    kills: int = 0,
    faults: Counter[str] | None = None,
) -> Tally:
    """Compare what platforms were told with the ledger of customs, and what customs said with what came home."""
    told: dict[str, set[str]] = defaultdict(set)
    for one in answered:
        told[hashlib.sha256(one.body).hexdigest()].add(one.uid)
    ids: dict[str, set[str]] = defaultdict(set)
    for line in arrived:
        ids[line["original_sha256"]].add(line["cop_msg_id"])
    owners = {*expected, *got}
    return Tally(
        lost=len(told.keys() - ids.keys())
        + sum(len(expected.get(owner, set()) - got.get(owner, set())) for owner in owners),
        changed=len(ids.keys() - told.keys()) + sum(line["verdict"] != "processed" for line in arrived),
        misdelivered=sum(len(got.get(owner, set()) - expected.get(owner, set())) for owner in owners),
        doubled=sum(len(found) > 1 or found != told.get(sha256, found) for sha256, found in ids.items()),
        accepted=len(told),
        arrived=len(arrived),
        repeats=sum(line["repeat"] for line in arrived),
        home=sum(map(len, got.values())),
        kills=kills,
        faults=faults or Counter(),
    )
