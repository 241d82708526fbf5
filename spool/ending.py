"""Decide how the end of an attempt changes an entry: pure, and the same for every spool.

Times are numbers here, microseconds since 1970, as in the databases.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from spool.claimants import counts
from spool.entry import UNCOUNTED, Ended, Fate, Settlement
from spool.lifecycle import Event, State, after
from spool.times import to_number, to_time

ABANDONED_AT_MOST: Final = 5
"""After so many claims in a row that ended unsettled, the entry becomes a dead letter."""
APART: Final = 2_000_000
"""Microseconds between entries that were abandoned more than once: longer than a process takes to die and
restart, so that an entry that kills its forwarder is soon claimed alone."""
FARTHEST: Final = 256 * APART
"""Microseconds within which all of them are due again."""
OVERTAKEN: Final = "overtaken by the newer message"
"""Start of the error of an entry that is dead because a newer message about the same declaration has been sent."""
UNFINISHED: Final = "found unfinished; sent again under the same id"
_ABANDONED: Final = (
    f"whoever had it in hand fell silent {ABANDONED_AT_MOST} times in a row: it may be what kills them;"
    " the log says how they ended"
)
_STATES: Final = {
    Fate.DELIVERED: after(State.SENDING, Event.DELIVERED),
    Fate.DEFERRED: after(State.SENDING, Event.DEFERRED),
    Fate.POSTPONED: after(State.SENDING, Event.DEFERRED),
    Fate.UNDELIVERABLE: after(State.SENDING, Event.UNDELIVERABLE),
}
_HAPPENED: Final = {
    Fate.DELIVERED: ".sent",
    Fate.DEFERRED: ".deferred",
    Fate.POSTPONED: ".postponed",
    Fate.UNDELIVERABLE: ".dead",
}


class Whose(NamedTuple):
    """The identification of an entry, without its state."""

    entry: int
    uid: str
    owner: str
    kind: str
    destination: str
    cop_msg_id: str
    attempts: int
    """Failed attempts so far."""


class Ending(NamedTuple):
    """What to write about an entry whose attempt has ended."""

    state: State
    failed: bool
    """Counts as a failed attempt."""
    due: int
    error: str
    sent_sha256: bytes
    lines: tuple[tuple[str, str], ...]
    """For the journal: event, detail."""


class EndVerdict(NamedTuple):
    """What an answer requires for its entry."""

    reason: str
    due: int | None
    """When to send again; None: never."""

    def overtaken_by(self, uid: str | None) -> "EndVerdict":
        """Return the verdict if message `uid`, newer and about the same declaration, has been sent; None: none has.

        Customs refuses an older version that arrives after a newer one (docs/spec/codes.md, -301014).
        """
        return self if uid is None else EndVerdict(f"{OVERTAKEN} {uid}: {self.reason}", None)


def settled(settlement: Settlement, *, now: int, due: int, verdict: EndVerdict | None = None) -> Ending:
    """Decide the end of an attempt; `verdict` is of an answer that came before the settlement."""
    fate, error = settlement.fate, settlement.error
    state = _STATES[fate]
    line = (settlement.noun + _HAPPENED[fate], error or settlement.record)
    if verdict is not None and fate is Fate.DELIVERED:
        ending = bounced(state, verdict, now=now)
        return ending._replace(lines=(line, *ending.lines))
    return Ending(state, fate not in UNCOUNTED, due, error, settlement.sent_sha256, (line,))


def endings(
    settlements: Iterable[Settlement], held: Iterable[Sequence[Any]], *, now: int
) -> list[tuple[int, str, Ending]]:
    """Judge settlements whose claim still holds, once each: entry, uid of its message, and how it ends.

    `held`: entry, claim, uid, bounce and bounce_due of entries that are being sent.
    """
    whose = {(row[0], row[1]): row[2:] for row in held}
    found: dict[int, tuple[int, str, Ending]] = {}
    for one in settlements:
        row = whose.get((one.entry, one.claim))
        if row is not None and one.entry not in found:
            uid, bounce, bounce_due = row
            due = now if one.next_at is None else to_number(one.next_at)
            verdict = EndVerdict(bounce, bounce_due) if bounce else None
            found[one.entry] = (one.entry, uid, settled(one, now=now, due=due, verdict=verdict))
    return list(found.values())


def bounced(state: State, verdict: EndVerdict, *, now: int) -> Ending:
    """Decide what an answer does to an entry; raises LifecycleError unless the state is SENT."""
    again = verdict.due is not None
    return Ending(
        state=after(state, Event.BOUNCED if again else Event.UNDELIVERABLE),
        failed=True,
        due=now if verdict.due is None else verdict.due,
        error=verdict.reason,
        sent_sha256=b"",
        lines=(("entry.bounced" if again else "entry.dead", _with_time(verdict)),),
    )


class Abandoned(NamedTuple):
    """What to write about an entry whose claim ended unsettled."""

    entry: int
    times: int
    """How often in a row this has happened, this time included."""
    state: State
    due: int
    event: str
    why: str

    @property
    def error(self) -> str:
        """Error of the entry from now on."""
        return self.why if self.state is State.DEAD else ""


def lost(rows: Iterable[Sequence[Any]], *, now: int) -> list[tuple[Abandoned, Ended]]:
    """Judge claims that ended without a word, as `abandoned` does.

    `rows`: the fields of `Whose`, how often that had happened before, claimant.
    """
    whose = {row[0]: row for row in rows}
    judged = abandoned([(entry, *row[-2:]) for entry, row in whose.items()], now=now)
    return [
        (one, ended(Whose(*whose[one.entry][:-2]), one.state, due=one.due, why=one.why)) for one in judged
    ]


def abandoned(lost: Iterable[tuple[int, int, str]], *, now: int) -> list[Abandoned]:
    """Decide claims that ended unsettled: (entry, how often that had happened before, claimant) each.

    After the first time all entries are due at once, because a process is killed now and then and its entries are
    not the cause. From the second time on they become due one by one, those with the fewest times first. A claim of
    an earlier generation ended because the next one took over, so it is not counted.
    """
    judged: list[Abandoned] = []
    place = 0
    for before, entry, claimant in sorted((before, entry, claimant) for entry, before, claimant in lost):
        counted = counts(claimant)
        times = before + counted
        dead = counted and times >= ABANDONED_AT_MOST
        event = Event.UNDELIVERABLE if dead else Event.DEFERRED
        judged.append(
            Abandoned(
                entry=entry,
                times=times,
                state=after(State.SENDING, event),
                due=now + min(place * APART, FARTHEST),
                event="entry.dead" if dead else "entry.deferred",
                why=_ABANDONED if dead else UNFINISHED,
            )
        )
        place += times > 1 and not dead
    return judged


def ended(whose: Whose, state: State, *, due: int, why: str, failed: bool = False) -> Ended:
    """Return the state of an entry after its attempt; `failed` counts one more attempt."""
    return Ended(
        uid=whose.uid,
        owner=whose.owner,
        kind=whose.kind,
        destination=whose.destination,
        cop_msg_id=whose.cop_msg_id,
        attempts=whose.attempts + failed,
        state=state,
        due_at=to_time(due),
        why=why,
    )


def _with_time(verdict: EndVerdict) -> str:
    if verdict.due is None:
        return verdict.reason
    return f"{verdict.reason}; sent again at {to_time(verdict.due).isoformat(timespec='milliseconds')}"
