"""Whatever the order of events: the spool agrees with a model of a few lines, and keeps its promises."""

import os
import tempfile
import unittest
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from spool.ending import ABANDONED_AT_MOST, APART
from spool.entry import (
    UNCOUNTED,
    Accepted,
    Bounce,
    Claimed,
    Conflict,
    Duplicate,
    Fate,
    Filing,
    Settlement,
    Subject,
)
from spool.errors import LifecycleError
from spool.lifecycle import NEXT, OPERATORS, UNSETTLED, Event, State
from spool.postgres import PostgresSpool
from spool.sqlite import SqliteSpool
from spool.store import Spool
from tests.servers.postgres import empty, shared, unavailable
from tests.spool_samples import Clock, collected, new_message

DESTINATIONS = ("port", "elsewhere")
LEASE_S = 30.0
RECENT = 4
"""How many of the last claims are settled: older ones are void nearly always."""
destinations = st.sampled_from(("port", "port", "port", "elsewhere"))
abouts = st.sampled_from((("x",), ("x", "y"), ("y",), ("y", "z"), ()))
picks = st.integers(0, 1_000_000)
_EVENT = {
    Fate.DELIVERED: Event.DELIVERED,
    Fate.DEFERRED: Event.DEFERRED,
    Fate.POSTPONED: Event.DEFERRED,
    Fate.UNDELIVERABLE: Event.UNDELIVERABLE,
}
_LATER = frozenset({Fate.DEFERRED, Fate.POSTPONED})


@dataclass(frozen=True)
class Verdict:
    """What an answer asks for."""

    due: datetime | None
    """None: no further attempt."""

    @property
    def event(self) -> Event:
        return Event.UNDELIVERABLE if self.due is None else Event.BOUNCED


@dataclass
class Modelled:
    """What an entry should be like."""

    number: int
    destination: str
    about: frozenset[str]
    due: datetime
    state: State = State.READY
    attempts: int = 0
    claim: int = 0
    claimant: str = ""
    lease: datetime | None = None
    abandoned: int = 0
    verdict: "Verdict | None" = None
    """Of an answer that came before the settlement."""
    was_sent: bool = False
    """The destination confirmed it once, or an answer proved that it got there."""

    @property
    def uid(self) -> str:
        return f"M{self.number}"

    @property
    def own(self) -> Subject:
        """A declaration that no other message has."""
        return Subject(identity=f"own {self.number}", version="v")

    @property
    def taken(self) -> bool:
        """What it says may be on the other side, or may still get there."""
        return self.was_sent or self.state not in {State.DEAD, State.DISCARDED}


@dataclass
class Model:
    """All entries, and the one rule of order."""

    entries: list[Modelled] = field(default_factory=list)

    def blocked(self, one: Modelled) -> bool:
        return any(
            other.state is State.SENDING or (other.number < one.number and other.state in UNSETTLED)
            for other in self.entries
            if other is not one and other.destination == one.destination and other.about & one.about
        )

    def overtaken(self, one: Modelled) -> bool:
        return any(
            other.number > one.number and other.state in {State.SENDING, State.SENT}
            for other in self.entries
            if other.destination == one.destination and other.about & one.about
        )

    def claimable(self, destination: str, now: datetime) -> list[Modelled]:
        due = [
            one
            for one in self.entries
            if one.destination == destination
            and one.state is State.READY
            and one.due <= now
            and not self.blocked(one)
        ]
        return sorted(due, key=lambda one: (one.due, one.number))


class SpoolMachine(RuleBasedStateMachine):
    """The spool beside the model."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.spool = self._open()
        self.model = Model()
        self.claims: list[tuple[Modelled, Claimed]] = []
        self.delivered: set[str] = set()
        """On the other side, and not sent back."""
        self.heard = 0

    def _open(self) -> Spool:
        raise NotImplementedError

    def teardown(self) -> None:
        self.spool.close()

    @initialize()
    def start_with_a_queue(self) -> None:
        for about in (("x",), ("x", "y"), ("y",)):
            self.put("port", about)

    @rule(destination=destinations, about=abouts)
    def put(self, destination: str, about: tuple[str, ...]) -> None:
        number = len(self.model.entries)
        one = Modelled(number=number, destination=destination, about=frozenset(about), due=self.clock.now)
        self.model.entries.append(one)
        reply = self.spool.put([new_message(one.uid, *about, one.own, destination=destination)])
        assert reply == [Accepted(uid=one.uid)]

    @precondition(lambda self: self.model.entries)
    @rule(pick=picks)
    def put_again(self, pick: int) -> None:
        one = self.model.entries[pick % len(self.model.entries)]
        assert self.spool.put([new_message(one.uid, *one.about)]) == [Duplicate(uid=one.uid)]

    @precondition(lambda self: any(one.taken for one in self.model.entries))
    @rule(pick=picks)
    def contradict(self, pick: int) -> None:
        """Hand in the same versions with other bytes."""
        taken = [one for one in self.model.entries if one.taken]
        one = taken[pick % len(taken)]
        reply = self.spool.put([new_message(f"other than {one.uid}", one.own)])
        assert reply == [Conflict(uid=one.uid, reason="version", identities=(one.own.identity,))]

    @precondition(lambda self: any(one.was_sent and one.state is State.DEAD for one in self.model.entries))
    @rule()
    def contradict_dead_ones_that_were_sent(self) -> None:
        for one in self.model.entries:
            if one.was_sent and one.state is State.DEAD:
                assert isinstance(
                    self.spool.put([new_message(f"other than {one.uid}", one.own)])[0], Conflict
                )

    @rule(destination=destinations, limit=st.integers(1, 3), claimant=st.sampled_from("pq"))
    def claim(self, destination: str, limit: int, claimant: str) -> None:
        # two of one declaration are never claimable together, so the order of the model is enough
        expected = self.model.claimable(destination, self.clock.now)[:limit]
        got = self.spool.claim(claimant, destination, limit=limit, lease_s=LEASE_S)
        assert [one.uid for one in got] == [one.uid for one in expected]
        for one, claimed in zip(expected, got, strict=True):
            assert claimed.uid not in self.delivered
            assert claimed.attempts == one.attempts
            assert claimed.body == b"body of " + one.uid.encode()
            one.state, one.claim, one.claimant = State.SENDING, claimed.claim, claimant
            one.verdict = None
            one.lease = self.clock.now + timedelta(seconds=LEASE_S)
            self.claims.append((one, claimed))

    @precondition(lambda self: self.claims)
    @rule(pick=picks, fate=st.sampled_from(Fate), wait_s=st.sampled_from((0, 0, 5)))
    def settle(self, pick: int, fate: Fate, wait_s: int) -> None:
        one, claimed = self.claims[-1 - pick % min(len(self.claims), RECENT)]
        next_at = self.clock.now + timedelta(seconds=wait_s) if fate in _LATER else None
        live = one.state is State.SENDING and one.claim == claimed.claim
        settlement = Settlement(entry=claimed.entry, claim=claimed.claim, fate=fate, next_at=next_at)
        assert self.spool.settle([settlement, settlement]) == int(live)
        if not live:
            return
        one.state = NEXT[State.SENDING][_EVENT[fate]]
        one.attempts += fate not in UNCOUNTED
        one.due = next_at or self.clock.now
        one.abandoned = 0
        if fate is Fate.DELIVERED:
            assert one.uid not in self.delivered
            self.delivered.add(one.uid)
            one.was_sent = True
            if one.verdict is not None:
                self._come_back(one, one.verdict)

    def _come_back(self, one: Modelled, verdict: Verdict) -> None:
        one.state = NEXT[State.SENT][verdict.event]
        one.attempts += 1
        one.due = verdict.due or self.clock.now
        self.delivered.discard(one.uid)

    @precondition(lambda self: self.claims)
    @rule(pick=picks, wait_s=st.sampled_from((0, 0, 5, None)))
    def bounce(self, pick: int, wait_s: int | None) -> None:
        """Hear an answer about one of the last attempts, be it the latest of its entry or not."""
        one, claimed = self.claims[-1 - pick % min(len(self.claims), RECENT)]
        due = None if wait_s is None else self.clock.now + timedelta(seconds=wait_s)
        self.heard += 1
        self.spool.keep(collected(b"answer %d" % self.heard))
        (raw,) = self.spool.unfiled(2)
        asked = Bounce(entry=claimed.entry, claim=claimed.claim, next_at=due, reason="not now")
        filing = Filing(arrival=raw.id, kind="DxpRep", cop_msg_id="", bounces=(asked, asked))
        (filed,) = self.spool.file([filing])
        about_it = one.claim == claimed.claim and (
            one.state is State.SENT or (one.state is State.SENDING and one.verdict is None)
        )
        verdict = Verdict(None if self.model.overtaken(one) else due)
        expected = [NEXT[State.SENT][verdict.event]] if about_it else []
        assert [ended.state for ended in filed.ended] == expected
        one.was_sent = one.was_sent or about_it
        if about_it and one.state is State.SENDING:
            one.verdict = verdict
        elif about_it:
            self._come_back(one, verdict)

    @precondition(lambda self: any(one.state is State.SENT for one in self.model.entries))
    @rule(pick=picks, wait_s=st.sampled_from((0, 5)))
    def bounce_a_sent_one(self, pick: int, wait_s: int) -> None:
        sent = [at for at, (one, _) in enumerate(reversed(self.claims[-RECENT:])) if one.state is State.SENT]
        if sent:
            self.bounce(sent[pick % len(sent)], wait_s)

    @rule(claimant=st.sampled_from(["p", "q", None]))
    def recover(self, claimant: str | None) -> None:
        lost = [
            one
            for one in self.model.entries
            if one.state is State.SENDING
            and (one.claimant == claimant if claimant else one.lease and one.lease < self.clock.now)
        ]
        assert len(self.spool.recover(claimant=claimant)) == len(lost)
        place = 0
        for one in sorted(lost, key=lambda one: (one.abandoned, one.number)):
            one.abandoned += 1
            dead = one.abandoned >= ABANDONED_AT_MOST
            one.state = NEXT[State.SENDING][Event.UNDELIVERABLE if dead else Event.DEFERRED]
            one.due = self.clock.now + timedelta(microseconds=place * APART)
            place += one.abandoned > 1 and not dead

    @precondition(lambda self: self.model.entries)
    @rule(pick=picks, event=st.sampled_from(sorted(OPERATORS)))
    def act(self, pick: int, event: Event) -> None:
        one = self.model.entries[pick % len(self.model.entries)]
        try:
            self.spool.act(event, [one.uid])
        except LifecycleError:
            assert event not in NEXT[one.state]
            return
        one.state, one.due = NEXT[one.state][event], self.clock.now
        if event is Event.RETRIED:
            one.attempts = one.abandoned = 0

    @precondition(lambda self: any(one.state is State.DEAD for one in self.model.entries))
    @rule(pick=picks)
    def retry_a_dead_one(self, pick: int) -> None:
        dead = [one.number for one in self.model.entries if one.state is State.DEAD]
        self.act(dead[pick % len(dead)], Event.RETRIED)

    @rule()
    def let_leases_expire(self) -> None:
        self.clock.move(LEASE_S + 1)
        self.recover(None)

    @rule(seconds=st.integers(-5, 40))
    def move_clock(self, seconds: int) -> None:
        self.clock.move(seconds)

    @rule()
    def open_again(self) -> None:
        self.spool.close()
        self.spool = self._open()

    @invariant()
    def nothing_is_lost_or_different(self) -> None:
        views = self.spool.entries(limit=1000)
        assert [(view.uid, view.state, view.attempts) for view in views] == [
            (one.uid, one.state, one.attempts) for one in self.model.entries
        ]
        ready = {view.uid: bool(view.waits_for) for view in views if view.state is State.READY}
        assert ready == {
            one.uid: self.model.blocked(one) for one in self.model.entries if one.state is State.READY
        }

    @invariant()
    def two_of_one_declaration_are_never_on_their_way(self) -> None:
        sending = [one for one in self.model.entries if one.state is State.SENDING]
        for destination in DESTINATIONS:
            about = [text for one in sending if one.destination == destination for text in one.about]
            assert len(about) == len(set(about))


class SqliteMachine(SpoolMachine):
    """Each example has a file of its own."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        super().__init__()

    def _open(self) -> Spool:
        spool = SqliteSpool(Path(self.folder.name), self.clock)
        spool.db.connection.execute("PRAGMA synchronous = OFF")  # the power does not fail here
        return spool

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


class PostgresMachine(SpoolMachine):
    """All examples have one schema, emptied before each."""

    def __init__(self) -> None:
        self.dsn = shared().schema_for(Path("machine"))
        super().__init__()
        empty(self.dsn)

    def _open(self) -> Spool:
        return PostgresSpool(self.dsn, clock=self.clock)


TestSqliteMachine = SqliteMachine.TestCase
TestSqliteMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestPostgresMachine = PostgresMachine.TestCase
TestPostgresMachine.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)
if unavailable() and not os.environ.get("CI"):
    TestPostgresMachine = unittest.skip(unavailable())(TestPostgresMachine)
