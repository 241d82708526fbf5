"""Platforms that submit from several threads, know every node, and count on what was answered 202 only.

Of some declarations they hand in changes, one version after the other.
"""

import itertools
import queue
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from http.client import HTTPException
from typing import Any

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from gateway.config.site import NewEnterprise
from gateway.samples.compose import SINGLES_DAY, compose
from spool.ending import ABANDONED_AT_MOST
from tests.crash.answers import wait_until_sent
from tests.crash.points import AT_START, Whom
from tests.crash.world import World
from tests.platforms import NotNow, Platform
from tests.shipped_rules import shipped
from tests.waiting import PATIENCE_S, RECOVERY_S

_LATER = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One message that a node has answered with 202 or 200."""

    owner: str
    body: bytes
    uid: str
    after: bytes = b""
    """The version before it of the same declaration, which was answered first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """One message, and those that change what it declares (appType 2), oldest first."""

    owner: str
    bodies: tuple[bytes, ...]


def messages(seed: int, owners: Sequence[NewEnterprise]) -> Iterator[Versions]:
    """Endlessly many messages of all declaration types."""
    rng = random.Random(seed)
    types = [kind.name for kind in shipped().catalogue.declarations()]
    for number in itertools.count():
        one, kind = owners[number % len(owners)], types[number % len(types)]
        bodies = rng.choice((1, 1, 1, 3)) if kind != "CEB711Message" else 1
        make = partial(
            compose, kind, cop_code=one.cop_codes[0], dxp_id=one.dxp_ids[0], bodies=bodies, rng=rng
        )
        first = make()
        changes = rng.choice((0, 0, 1, 2)) if bodies == 1 else 0
        changed = [
            make(overrides={**first.keys[0], "appType": "2"}, app_time=SINGLES_DAY + change * _LATER)
            for change in range(1, changes + 1)
        ]
        yield Versions(owner=one.id, bodies=(first.body, *(one.body for one in changed)))


def take(count: int, among: Iterator[Versions]) -> Iterator[Versions]:
    """Take so many messages; the last one may lose some of its changes."""
    while count > 0:
        one = next(among)
        yield replace(one, bodies=one.bodies[:count])
        count -= len(one.bodies)


def pass_all(world: World, load: "Load", meanwhile: Callable[[], object]) -> None:
    """Keep traffic going until somebody has died at each armed point; `meanwhile` is done between two messages.

    Raises AssertionError when nobody dies for long: a role that dies often is back more slowly.
    """
    before, reached_at = world.points.waiting(), time.monotonic()
    while waiting := world.points.waiting():
        if waiting != before:
            before, reached_at = waiting, time.monotonic()
        unheard_s = time.monotonic() - reached_at
        assert unheard_s < RECOVERY_S, f"points that nothing passed: {sorted(waiting)}"
        load.one_more()
        meanwhile()


def _rounds(points: Sequence[str]) -> Iterator[list[str]]:
    """Deal points so that fewer die in a round than would end an entry, and whoever has to start anew dies in it, too."""
    by_role: defaultdict[str, list[str]] = defaultdict(list)
    for point in points:
        by_role[point.partition(":")[0]].append(point)
    for of_role in by_role.values():
        count = -(-len(of_role) // (ABANDONED_AT_MOST - 2))
        starts = [point for point in of_role if point in AT_START]
        rounds = [
            [point for point in of_role if point not in AT_START][number::count] for number in range(count)
        ]
        for number, point in enumerate(starts):
            rounds[number % count].append(point)
        yield from rounds


def die_at_each(
    world: World, load: "Load", points: Sequence[str], whom: Whom, meanwhile: Callable[[], object]
) -> None:
    """Let somebody die at each of these points, while there is traffic.

    Between every few of them all is settled: what were in somebody's hand at `ABANDONED_AT_MOST` deaths in a row would
    be a dead letter, as it should be. Raises AssertionError as `pass_all`, and when something is one all the same.
    """
    for some in _rounds(points):
        for point in some:
            world.points.arm(point, whom=whom)
        load.join()
        pass_all(world, load, meanwhile)
        assert wait_until_sent(world, RECOVERY_S), f"settled after deaths at {some}"


class Load:
    """Submits `count` messages from `submitters` threads, and single ones more when asked to."""

    def __init__(self, world: World, *, seed: int, count: int, submitters: int = 3) -> None:
        self.answered: list[Answered] = []
        self.errors: list[str] = []
        self.by_node: Counter[str] = Counter()
        self._world = world
        self._work = messages(seed, world.owners)
        self._progress = threading.Condition()
        self._todo: queue.SimpleQueue[Versions] = queue.SimpleQueue()
        for message in take(count, self._work):
            self._todo.put(message)
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(submitters)
        ]
        for thread in self._threads:
            thread.start()

    def wait_for(self, count: int) -> None:
        """Block until so many are answered."""
        with self._progress:
            enough = self._progress.wait_for(lambda: self._done() >= count, 2 * PATIENCE_S)
        assert enough, f"only {len(self.answered)} answered, errors: {self.errors[:3]}"

    def join(self) -> None:
        for thread in self._threads:
            thread.join(2 * PATIENCE_S)
            assert not thread.is_alive(), "a platform waits for its answer for ever"

    @property
    def working(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def one_more(self) -> None:
        """Submit one message now, with all patience."""
        owner, body = self._first()
        with closing(self._platform(0, owner, PATIENCE_S)) as platform:
            self._submit(platform, owner, body, self._world.nodes[0].name)

    def one_more_in_time(self) -> None:
        """Submit one message from a thread of its own; `join` waits for its answer."""
        self._submit_later(*self._first())

    def _first(self) -> tuple[str, bytes]:
        one = next(self._work)
        return one.owner, one.bodies[0]

    def is_refused(self) -> bool:
        """Submit one message without patience; say whether the node could not take it, and count it if it did."""
        owner, body = self._first()
        reached = Retrying(
            retry=retry_if_exception_type((OSError, HTTPException)),
            wait=wait_fixed(0.05),
            stop=stop_after_delay(PATIENCE_S),
            reraise=True,
        )
        with closing(self._platform(0, owner, PATIENCE_S)) as platform:
            try:
                reply = reached(platform.once, "POST", "/v1/messages", body)
            except NotNow:
                self._submit_later(owner, body)
                return True
        self._note(owner, body, reply.json(), self._world.nodes[0].name)
        return False

    def _submit_later(self, owner: str, body: bytes) -> None:
        def run() -> None:
            with closing(self._platform(0, owner, PATIENCE_S)) as platform:
                self._submit(platform, owner, body, self._world.nodes[0].name)

        self._threads.append(threading.Thread(target=run, daemon=True))
        self._threads[-1].start()

    def _run(self, number: int) -> None:
        nodes = range(len(self._world.nodes))
        order = [*nodes[number % len(nodes) :], *nodes[: number % len(nodes)]]
        patience_s = PATIENCE_S if len(nodes) == 1 else 1.0
        with ExitStack() as stack:
            platforms = {
                (node, owner.id): stack.enter_context(closing(self._platform(node, owner.id, patience_s)))
                for node in nodes
                for owner in self._world.owners
            }
            while True:
                try:
                    message = self._todo.get_nowait()
                except queue.Empty:
                    return
                for after, body in itertools.pairwise((b"", *message.bodies)):
                    for last, node in enumerate([*order, *order], 1 - 2 * len(order)):
                        platform, name = platforms[node, message.owner], self._world.nodes[node].name
                        if self._submit(platform, message.owner, body, name, last=last == 0, after=after):
                            break

    def _platform(self, node: int, owner: str, patience_s: float) -> Platform:
        tokens = {str(name): token for name, token in self._world.site.tokens.items()}
        return Platform(self._world.nodes[node].address, tokens[owner], patience_s=patience_s)

    def _submit(
        self, platform: Platform, owner: str, body: bytes, node: str, *, last: bool = True, after: bytes = b""
    ) -> bool:
        """Submit; an error is one only when there is nobody else to ask."""
        try:
            reply = platform.submit(body)
        except Exception as error:  # noqa: BLE001 (shown by the test)
            if last:
                self._failed(repr(error))
            return False
        if reply.status not in (200, 202):
            self._failed(f"{reply.status} {reply.body.decode()[:500]}")
            return True
        self._note(owner, body, reply.json(), node, after)
        return True

    def _note(self, owner: str, body: bytes, reply: dict[str, Any], node: str, after: bytes = b"") -> None:
        with self._progress:
            self.answered.append(Answered(owner=owner, body=body, uid=reply["id"], after=after))
            self.by_node[node] += 1
            self._progress.notify_all()

    def _failed(self, error: str) -> None:
        with self._progress:
            self.errors.append(error)
            self._progress.notify_all()

    def _done(self) -> int:
        return len(self.answered) + len(self.errors)
