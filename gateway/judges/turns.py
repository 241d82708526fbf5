"""Whose case is judged next: tenants take turns, and none has more than its share of the judges or of the room."""

from collections import deque
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Turn(NamedTuple, Generic[T]):
    """A case whose turn has come."""

    owner: str
    size_bytes: int
    case: T


class Turns(Generic[T]):
    """Cases that wait, and how many of whom are being judged.

    Next is who has the fewest judges, of several who has waited longest for a turn; and no tenant has more than half of
    them, so that another's case need not wait for one. It may let as
    much wait as is still free: of an empty room half, of what is left then half again. So whoever fills it leaves
    room for others, and however many fill it, it is never more than full.
    """

    def __init__(self, *, judges: int, room_bytes: int, room: int) -> None:
        """`judges`: cases at a time; `room_bytes` and `room`: bytes and number of those that wait at most."""
        self._judges = judges
        self._share = max(1, judges // 2)
        self._room_bytes = room_bytes
        self._room = room
        self._waiting: dict[str, deque[Turn[T]]] = {}
        """By owner, in the order of their turns; none is empty."""
        self._judged: dict[str, int] = {}
        self._bytes: dict[str, int] = {}

    def enter(self, owner: str, size_bytes: int, case: T) -> bool:
        """Let a case wait for its turn; False: its owner has no room for it."""
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
        """Give the next case to a judge; None: none waits, or none may be judged now."""
        if sum(self._judged.values()) >= self._judges:
            return None
        owner = min(self._waiting, key=lambda one: self._judged.get(one, 0), default=None)
        if owner is None or self._judged.get(owner, 0) >= self._share:
            return None
        own = self._waiting.pop(owner)
        turn = own.popleft()
        self._bytes[owner] -= turn.size_bytes
        if own:
            self._waiting[owner] = own  # behind all others
        else:
            del self._bytes[owner]
        self._judged[owner] = self._judged.get(owner, 0) + 1
        return turn

    def done(self, owner: str) -> None:
        """Know that a case of this owner is judged."""
        self._judged[owner] -= 1
        if not self._judged[owner]:
            del self._judged[owner]
