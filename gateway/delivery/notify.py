"""The notify role: puts notices into the spool, then delivers them on every channel independently.

The loop alone uses the spool and never waits for a channel: a bounded worker pool carries the deliveries, a bounded
number for each channel. A slow, dead or hanging channel delays only itself.
"""

import json
import random
import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from itertools import groupby
from math import inf
from typing import Final

from gateway.config.channels import Channel
from gateway.config.gateway_toml import Config
from gateway.delivery import notices
from gateway.delivery.lane import Build, DeliveryResult, Lane, RenderedDelivery, Round
from gateway.delivery.render import DeliveryRenderer
from gateway.delivery.workers import WorkerPool
from gateway.errors import DeliveryError, LeaseEndedError, ReceiverGoneError
from gateway.observe.log import gathered, log
from gateway.ports import Clock
from gateway.processes.stop import Stop
from gateway.sending.claims import take_up_claims
from spool.entry import Claimed, Fate, Settlement
from spool.store import Spool, Topic

_TICK_S: Final = 5.0
"""Longest delay of what no signal reports: a signal may get lost, an operator may have acted."""
_GATHER_S: Final = 0.05
"""Wait for further notices: a batch costs one commit for each channel."""
_LOOK_BACK_S: Final = 0.5
"""Least time between two checks of what has been delivered on every channel."""
_PAGE: Final = 200
OPEN_AT_MOST: Final = 1000
"""Most unfinished entries of one channel; further notices wait in the stream."""


class Notify:
    """One process for all channels; several nodes share the channels by claims."""

    def __init__(
        self,
        *,
        spool: Spool,
        channels: Sequence[Channel],
        deliveries: DeliveryRenderer,
        build: Build,
        config: Config,
        claimant: str,
        clock: Clock = time.monotonic,
        chance: Callable[[], float] = random.random,
        incomplete: Collection[str] = (),
    ) -> None:
        """`build` makes the transport of a channel, in a thread of the worker pool.

        `incomplete`: enterprises with further channels that are unusable now: nothing is acknowledged for them.
        """
        self._spool = spool
        self._deliveries = deliveries
        self._config = config
        self._claimant = claimant
        self._clock = clock
        self._workers: WorkerPool[Round] = WorkerPool(config.notify.parallel)
        self._lanes = [
            Lane(
                channel,
                config=config,
                build=build,
                reached=notices.begun_at(channel, spool),
                clock=clock,
                chance=chance,
            )
            for channel in channels
        ]
        self._incomplete = incomplete
        self._tick_at = self._look_back_at = 0.0
        self._moved: set[str] = set()
        """Enterprises with deliveries that ended since the last `_acknowledge`."""

    def run(self, stop: Stop) -> None:
        """Bring home until asked to stop; what is in hand is finished first."""
        take_up_claims(self._spool, self._claimant)
        with self._spool.listen(Topic.NOTICES) as waiter:
            heard = True
            while not stop():
                more = self.step(heard=heard)
                stop.pause(0.0 if more else self._wait_s(), [waiter.fileno(), self._workers.fileno()])
                heard = waiter.wait(0.0) or more
                if heard and not more:
                    stop.pause(_GATHER_S)
        self._workers.close()
        self._settle(self._workers.take())

    def step(self, *, heard: bool = True) -> bool:
        """Do everything that needs no waiting; says whether there are more notices to take in.

        `heard`: notices were filed since the last call.
        """
        self._settle(self._workers.take())
        ticks = self._clock() >= self._tick_at
        if ticks:
            self._tick()
        more = self._take_in() if heard or ticks else False
        for lane in self._lanes:
            self._claim(lane)
        self._lanes.append(self._lanes.pop(0))  # another channel is first next time, where room is scarce
        self._acknowledge()
        return more

    def close(self) -> None:
        """Close the connections; no delivery may be in progress."""
        for lane in self._lanes:
            lane.close()

    def _wait_s(self) -> float:
        """Return how long nothing will be to do unless something rings."""
        room = [self._workers.has_room(slow=slow) for slow in (False, True)]
        waits = [lane.wait_s() for lane in self._lanes if room[lane.slow]]
        marks = [self._tick_at, self._look_back_at] if self._moved else [self._tick_at]
        return max(0.001, min([*waits, *(at - self._clock() for at in marks)]))

    def _tick(self) -> None:
        """Check what no signal reports: the clock, and what an operator did."""
        self._tick_at = self._clock() + _TICK_S
        waiting = {one.destination: one.entries for one in self._spool.backlog(at_most=OPEN_AT_MOST)}
        for lane in self._lanes:
            brought = self._spool.repair_clock(
                lane.name, wait_s=lane.attempts.policy.ceiling_s, lease_s=self._config.lease_s
            )
            if brought:
                log("clock.set_back", destination=lane.name, entries=brought)
            lane.look_at = min(lane.look_at, self._clock())
            lane.open = waiting.get(lane.name, 0)
            self._moved.add(lane.channel.enterprise)

    def _take_in(self) -> bool:
        """Put new notices into the spool, for each channel that has room; says whether there may be more."""
        more = False
        for lane in self._lanes:
            room = min(_PAGE, OPEN_AT_MOST - lane.open)
            if room <= 0:
                continue
            found = self._spool.notices(lane.channel.enterprise, after=lane.reached, limit=room)
            if not found:
                continue
            notices.queue(found, lane.channel, self._spool)
            lane.reached = found[-1].cursor
            lane.open += len(found)
            lane.look_at = self._clock()
            more = more or (len(found) == room and lane.open < OPEN_AT_MOST)
        return more

    def _claim(self, lane: Lane) -> None:
        """Claim and start what is due on a channel, as far as the channel and the worker pool have room."""
        while lane.wait_s() <= 0 and self._workers.has_room(slow=lane.slow):
            limit = min(lane.allowance(), lane.batch)
            if limit <= 0:
                return
            claimed = self._spool.claim(self._claimant, lane.name, limit=limit, lease_s=self._config.lease_s)
            if not claimed:
                due = self._spool.next_due(lane.name)
                wait_s = inf if due is None else (due - datetime.now(UTC)).total_seconds()
                lane.look_at = self._clock() + max(0.001, wait_s)
                return
            deliveries = self._written(claimed, lane)
            if deliveries:
                self._workers.start(lane.work(deliveries), slow=lane.slow)

    def _written(self, claimed: Sequence[Claimed], lane: Lane) -> list[RenderedDelivery]:
        deliveries: list[RenderedDelivery] = []
        for entry in claimed:
            try:
                deliveries.append((entry, self._deliveries.write(entry, lane.channel)))
            except DeliveryError as error:
                self._spool.settle([lane.attempts.failed(entry, error)])
                lane.open -= 1
                self._moved.add(entry.owner)
        return deliveries

    def _settle(self, rounds: Sequence[Round]) -> None:
        if not rounds:
            return
        ends: list[Settlement] = []
        with gathered():
            for done in rounds:
                lane = done.lane
                was_gone = lane.gone
                was_down, is_down = lane.finish(done)
                for outcome in done.outcomes:
                    end = self._end(outcome, lane)
                    ends.append(end)
                    lane.open -= end.fate in {Fate.DELIVERED, Fate.UNDELIVERABLE}
                self._moved.add(lane.channel.enterprise)
                cause = next((str(one.error) for one in reversed(done.outcomes) if one.error), "")
                self._tell_health(lane, cause, was_gone=was_gone, was_down=was_down, is_down=is_down)
        self._spool.settle(ends)

    def _tell_health(self, lane: Lane, cause: str, *, was_gone: bool, was_down: bool, is_down: bool) -> None:
        about = {"destination": lane.name, "enterprise": lane.channel.enterprise}
        if lane.gone and not was_gone:
            log("channel.gone", **about)
        elif is_down and not was_down:
            log("channel.down", **about, error=cause, wait_s=round(max(0.0, lane.wait_s()), 1))
        elif was_down and not is_down:
            log("channel.up", **about)

    def _end(self, outcome: DeliveryResult, lane: Lane) -> Settlement:
        entry = outcome.entry
        if isinstance(outcome.error, ReceiverGoneError | LeaseEndedError):  # not this delivery has failed
            return lane.attempts.postponed(entry, outcome.error)
        if outcome.error is not None:
            return lane.attempts.failed(entry, outcome.error)
        record = {
            "sha256": outcome.sha256.hex(),
            "size": outcome.size,
            "destination": lane.name,
            "by": lane.channel.deliver.kind,
        }
        return lane.attempts.sent(entry, outcome.sha256, json.dumps(record, separators=(",", ":")))

    def _acknowledge(self) -> None:
        """Acknowledge for each enterprise what has been delivered on all of its channels."""
        if not self._moved or self._clock() < self._look_back_at:
            return
        self._look_back_at = self._clock() + _LOOK_BACK_S
        lanes = sorted(self._lanes, key=lambda lane: lane.channel.enterprise)
        for enterprise, own in groupby(lanes, key=lambda lane: lane.channel.enterprise):
            if enterprise not in self._moved or enterprise in self._incomplete:
                continue
            home = min(notices.home_up_to(lane.channel, lane.reached, self._spool) for lane in own)
            if home > self._spool.acknowledged(enterprise):
                self._spool.acknowledge(enterprise, home)
                log("notice.delivered", enterprise=enterprise, cursor=home)
        self._moved.clear()
