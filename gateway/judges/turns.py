"""Schedules cases fairly: tenants take turns, and none gets more than its share of the judges or of the queue."""

from collections import deque
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Turn(NamedTuple, Generic[T]):
    """The case to judge next."""

    owner: str
    size_bytes: int
    case: T


class Turns(Generic[T]):
    """The waiting cases, and how many of each tenant are being judged.

    Next is the tenant with the fewest judges, among several the one that has waited longest for a turn. No tenant gets
    more than half of the judges, so that a judge stays free for others. A tenant may queue at most as much as stays
    free: half of an empty queue, and the next tenant half of the rest. So a tenant that fills its share leaves room
    for others, and the queue is never more than full.
    """

    def __init__(self, *, judges: int, room_bytes: int, room: int) -> None:
        """`judges`: cases at a time; `room_bytes` and `room`: bytes and number of waiting cases at most."""
        self._judges = judges
        self._share = max(1, judges // 2)
        self._room_bytes = room_bytes
        self._room = room
        self._waiting: dict[str, deque[Turn[T]]] = {}
        """By owner, in the order of their turns; no deque is empty."""
        self._judged: dict[str, int] = {}
        self._bytes: dict[str, int] = {}

    def enter(self, owner: str, size_bytes: int, case: T) -> bool:
        """Queue a case; False: its owner has no room for it."""
        own = self._waiting.get(owner, deque())
        free_bytes = self._room_bytes - sum(self._bytes.values())
        free = self._room - sum(map(len, self._waiting.values()))
        if self._bytes.get(owner, 0) + size_bytes > free_bytes or len(own) >= free:
            return False
        own.append(Turn(owner, size_bytes, case))
        self._waiting[owner] = own
        self._bytes[owner] = self._bytes.get(owner, 0) + size_bytes
        return True

    def next(self) -> Turn[T] | None:
        """Remove and return the next case to judge; None: none waits, or none may be judged now."""
        if sum(self._judged.values()) >= self._judges:
            return None
        owner = min(self._waiting, key=lambda one: self._judged.get(one, 0), default=None)
        if owner is None or self._judged.get(owner, 0) >= self._share:
            return None
        own = self._waiting.pop(owner)
        turn = own.popleft()
        self._bytes[owner] -= turn.size_bytes
        if own:
            self._waiting[owner] = own  # at the end of the order
        else:
            del self._bytes[owner]
        self._judged[owner] = self._judged.get(owner, 0) + 1
        return turn

    def done(self, owner: str) -> None:
        """Record that a case of this owner has been judged."""
        self._judged[owner] -= 1
        if not self._judged[owner]:
            del self._judged[owner]
