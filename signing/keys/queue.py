"""The signing queue of a key that may block: a short queue of jobs, and one or more threads for each member.

A member takes the next job when its rate budget allows. A member that fails is put in quarantine and probed;
its job goes to another member, or fails back to the caller.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Generic, Literal, TypeVar

from signing.errors import KeyUnavailable, WrongPin
from signing.keys.device import Device
from signing.keys.files import Signer
from signing.keys.health import HealthFile
from signing.keys.pool import Member, SigningKey

T = TypeVar("T")
_GRACE_S: Final = 1.0
"""Added to a member's time-out, so that the device can report the time-out itself."""
_SOON_S: Final = 0.01
_LOOK_S: Final = 5.0
"""How often a member that may not sign checks again."""
_AHEAD_S: Final = 2.0
"""How many seconds of work a key with a rate limit may have in the queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change in the state of a key."""

    key: str
    what: Literal["quarantined", "restored", "locked"]
    why: str = ""


@dataclass(slots=True, kw_only=True, eq=False)
class _Job(Generic[T]):
    """One piece of work and its state."""

    work: Callable[[Signer], T]
    future: Future[T]
    give_back_at: float
    """Monotonic; if no member has begun it by then, it is given back."""
    tried: set[str] = field(default_factory=set)
    overdue_at: float = 0.0
    """Monotonic; set while a member works on it."""


class SigningQueue(Generic[T]):
    """The queue of one key. Every method may be called by any thread."""

    def __init__(
        self,
        key: SigningKey,
        *,
        hold_s: float,
        depth: int,
        changed: Callable[[Change], None] = lambda _: None,
        opened: Callable[[], None] = lambda: None,
    ) -> None:
        """Start no thread yet.

        `hold_s`: a job that no member has begun after so long is given back. `depth`: most jobs in the queue.
        `opened` is called, by any of the threads, when a key that had no room may have some again.
        """
        self._key = key
        self._hold_s = hold_s
        self._depth = depth
        self._changed = changed
        self._opened = opened
        self._condition = threading.Condition()
        self._queue: deque[_Job[T]] = deque()
        self._in_hand: dict[_Job[T], Member] = {}
        self._closed = False
        self._wanted = False
        self._started = False

    def room(self) -> int:
        """Return how many more jobs may be queued now; 0 while no member is usable."""
        self._start()
        members = self._key.current(datetime.now(UTC))
        in_order = [one for one in members if _in_order(one)]
        with self._condition:
            if not in_order:
                self._wanted = True
                self._condition.notify_all()
                return 0
            ahead = sum(_ahead(one, self._depth) for one in in_order)
            return max(0, min(self._depth, ahead) - len(self._queue) - len(self._in_hand))

    def put(self, work: Callable[[Signer], T]) -> Future[T]:
        """Queue work; it is called with the signer of a member, again with another one after a key failure.

        The future gets what the work returns or raises, or KeyUnavailable when no member could do it in time:
        then the work itself is not at fault.
        """
        self._start()
        job = _Job(work=work, future=Future[T](), give_back_at=time.monotonic() + self._hold_s)
        with self._condition:
            self._queue.append(job)
            self._condition.notify_all()  # notify() might wake only a member in quarantine
        return job.future

    def tend(self) -> float | None:
        """Fail overdue jobs; returns the seconds until the next call is needed, None when the queue is empty."""
        now = time.monotonic()
        with self._condition:
            stale = [job for job in self._queue if job.give_back_at <= now]
            for job in stale:
                self._queue.remove(job)
            dark = {job: member for job, member in self._in_hand.items() if job.overdue_at <= now}
            for job in dark:
                del self._in_hand[job]
        for job in stale:
            _fail(job, KeyUnavailable(f"key {self._key.name} has more to sign than it can"))
        for job, member in dark.items():
            self._failed(job, member, KeyUnavailable(f"key {member.name} gives no answer"))
        with self._condition:
            times = [job.give_back_at for job in self._queue] + [job.overdue_at for job in self._in_hand]
        return max(0.0, min(times) - now) if times else None

    def close(self) -> None:
        """Fail all unfinished jobs with KeyUnavailable; each thread ends after its current job."""
        with self._condition:
            self._closed = True
            waiting = [*self._queue, *self._in_hand]
            self._queue.clear()
            self._in_hand.clear()
            self._condition.notify_all()
        for job in waiting:
            _fail(job, KeyUnavailable(f"the line of key {self._key.name} was closed"))

    def _start(self) -> None:
        """Start the threads on first use, because a forked process does not have its parent's threads."""
        with self._condition:
            if self._started or self._closed:
                return
            self._started = True
        for member in self._key.members:
            for number in range(member.parallel):
                name = f"key-{member.name}-{number}"
                threading.Thread(target=self._work, args=(member,), name=name, daemon=True).start()

    def _work(self, member: Member) -> None:
        """Run one thread of a member until the queue is closed."""
        while self._wait(lambda: self._wanted or self._anything_for(member), None):
            wait_s = self._ready(member)
            if wait_s > 0:
                self._wait(lambda: False, wait_s)
                continue
            job = self._next(member)
            if job is not None:
                self._do(job, member)

    def _anything_for(self, member: Member) -> bool:
        return any(member.name not in job.tried for job in self._queue)

    def _wait(self, until: Callable[[], bool], timeout_s: float | None) -> bool:
        """Wait until `until()` is true or the time is over; returns whether the queue is still open."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or until(), timeout_s)
            return not self._closed

    def _ready(self, member: Member) -> float:
        """Return the seconds for which this member must take no job; probes it when its quarantine is over."""
        if member not in self._key.current(datetime.now(UTC)):
            return _LOOK_S
        if member.health is None or member.device is None:
            self._open()
            return 0.0
        try:
            wait_s = self._probed(member.health, member.device, member.name)
            if wait_s > 0:
                return wait_s
            self._open()
            return self._paced(member, member.health)
        except WrongPin:
            self._give_back_if_nobody_can()
            return _LOOK_S
        except KeyUnavailable as error:
            self._quarantine(member, member.health, error)
            return _SOON_S

    def _probed(self, health: HealthFile, device: Device, name: str) -> float:
        """Return the seconds left of a quarantine; probe the device when it is over. Raises KeyUnavailable."""
        standing = health.standing()
        if standing.suspect and standing.wait_s == 0:
            device.probe()
            if health.succeeded():
                self._changed(Change(key=name, what="restored"))
        return standing.wait_s

    def _paced(self, member: Member, health: HealthFile) -> float:
        """Wait for the member's next slot in its rate budget; returns more than 0 when it is too far away."""
        if not member.rate_per_minute or not self._queue:
            return 0.0
        place_s = health.reserve(60.0 / member.rate_per_minute, at_most_s=self._hold_s)
        if place_s is None:
            return self._hold_s / 2
        if place_s > 0:
            self._wait(lambda: False, place_s)
        return 0.0

    def _open(self) -> None:
        with self._condition:
            wanted, self._wanted = self._wanted, False
        if wanted:
            self._opened()

    def _next(self, member: Member) -> _Job[T] | None:
        with self._condition:
            job = next((job for job in self._queue if member.name not in job.tried), None)
            if job is not None and not self._closed:
                self._queue.remove(job)
                job.overdue_at = time.monotonic() + member.timeout_s + _GRACE_S
                job.tried.add(member.name)
                self._in_hand[job] = member
            return job

    def _do(self, job: _Job[T], member: Member) -> None:
        began = time.monotonic()
        try:
            result = job.work(member.signer)
        except KeyUnavailable as error:
            if self._let_go(job):
                self._failed(job, member, error)
            return
        except Exception as error:  # noqa: BLE001 (what the work raises goes to the caller that queued it)
            if self._let_go(job):
                _fail(job, error)
            return
        if self._let_go(job):
            if member.health is not None and member.health.succeeded(time.monotonic() - began):
                self._changed(Change(key=member.name, what="restored"))
            _finish(job, result)

    def _let_go(self, job: _Job[T]) -> bool:
        """Remove the job from those in progress; False when it was taken back already."""
        with self._condition:
            return self._in_hand.pop(job, None) is not None

    def _failed(self, job: _Job[T], member: Member, error: KeyUnavailable) -> None:
        if member.health is not None:
            self._quarantine(member, member.health, error)
        with self._condition:
            others = [one for one in self._key.current(datetime.now(UTC)) if one.name not in job.tried]
            if not self._closed and any(_in_order(one) for one in others):
                self._queue.appendleft(job)
                self._condition.notify_all()
                return
        _fail(job, error)
        self._give_back_if_nobody_can()

    def _quarantine(self, member: Member, health: HealthFile, error: KeyUnavailable) -> None:
        if isinstance(error, WrongPin):
            self._changed(Change(key=member.name, what="locked", why=str(error)))
            return
        try:
            if health.failed(str(error), at_least_s=error.retry_after_s):
                self._changed(Change(key=member.name, what="quarantined", why=str(error)))
        except KeyUnavailable as worse:  # the health file itself cannot be written
            self._changed(Change(key=member.name, what="quarantined", why=str(worse)))

    def _give_back_if_nobody_can(self) -> None:
        if any(_in_order(one) for one in self._key.current(datetime.now(UTC))):
            return
        with self._condition:
            waiting = list(self._queue)
            self._queue.clear()
        for job in waiting:
            _fail(job, KeyUnavailable(f"key {self._key.name} is out of order"))


def _in_order(member: Member) -> bool:
    if member.health is None:
        return True
    try:
        standing = member.health.standing()
    except KeyUnavailable:
        return False
    return standing.wait_s == 0 and not standing.suspect


def _ahead(member: Member, depth: int) -> int:
    """Return how many jobs this member may have in the queue; few for a rate limit, so that they do not wait long."""
    if not member.rate_per_minute:
        return depth
    return max(1, int(_AHEAD_S * member.rate_per_minute / 60.0))


def _finish(job: _Job[T], result: T) -> None:
    try:
        job.future.set_result(result)
    except InvalidStateError:
        return  # cancelled by the caller that queued it


def _fail(job: _Job[T], error: Exception) -> None:
    try:
        job.future.set_exception(error)
    except InvalidStateError:
        return
