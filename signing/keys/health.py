"""How a key is, in a small file that every process of a node reads: its budget, its quarantine, a refused PIN.

Times are seconds since 1970 as the system clock tells them. Readers take no lock: a file is replaced whole.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from signing.errors import KeyUnavailable, WrongPin
from signing.keys.locking import locked as locked_file

_FIRST_S: Final = 1.0
_CEILING_S: Final = 60.0
_DOUBLINGS: Final = 6
_FRESH_S: Final = 1.0
"""How often a key that is well says how long a signature takes."""
_WEIGHT: Final = 0.2
"""Of the newest measurement in the mean."""
_CHANGING_S: Final = 10.0
"""So long another may take to change the file, which is a moment's work."""
_FOLDER: Final = "give the folder to this user, free disk space"
_ANOTHER: Final = (
    "nothing, if that is a role of this node: one that hangs is started again; else `fuser` names it"
)
_ALONE_S: Final = 60.0
"""So long others may have the device before us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What is known of one key."""

    free_at: float = 0.0
    """When its rate budget has room for another signature."""
    open_at: float = 0.0
    """Out of order until then, and until a probe succeeds."""
    failures: int = 0
    """In a row; 0: in order."""
    why: str = ""
    """The last failure."""
    took_s: float = 0.0
    """Moving mean of one signature."""
    told_at: float = 0.0
    """When the mean was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PinMark:
    """Whether a PIN was refused; kept apart, because this must not be forgotten whatever dies."""

    generation: int = 1
    """Grows when an operator has the PIN tried again."""
    refused: int = 0
    """The generation whose PIN the device refused."""
    pin: str = ""
    """`Pin.identity` of the refused PIN."""

    @property
    def locked(self) -> bool:
        """Whether the PIN was refused and nobody has acted since."""
        return self.refused == self.generation


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether a key may be used."""

    wait_s: float
    """Not before so many seconds."""
    suspect: bool
    """Not before a probe has succeeded."""


class HealthFile:
    """The file of one key; shared by threads and processes."""

    def __init__(self, folder: Path, name: str, clock: Callable[[], float] = time.time) -> None:
        """`folder` is made when something is written first; `name` becomes a file name."""
        self._folder = folder
        self._file = folder / f"{name}.json"
        self._mark = folder / f"{name}.pin"
        self._lock = folder / f"{name}.lock"
        self._alone = folder / f"{name}.alone"
        self._name = name
        self._clock = clock

    def read(self) -> Health:
        """Return how the key is; one that nobody has used yet, or whose file is damaged, is in order."""
        try:
            return Health(**json.loads(self._file.read_bytes()))
        except (OSError, ValueError, TypeError):
            return Health()

    def mark(self) -> PinMark:
        """Return what is known of the PIN. Raises KeyUnavailable when that cannot be read: better safe."""
        try:
            return PinMark(**json.loads(self._mark.read_bytes()))
        except FileNotFoundError:
            return PinMark()
        except (OSError, ValueError, TypeError) as error:
            raise KeyUnavailable(
                f"whether the PIN was refused cannot be read: {error}",
                where=str(self._mark),
                fix="remove the file once you are sure that the PIN is right",
                retry_after_s=_CEILING_S,
            ) from error

    def standing(self) -> Standing:
        """Say whether the key may be used now. Raises WrongPin when it is locked."""
        if self.mark().locked:
            raise locked(self._name)
        health = self.read()
        wait_s = min(_CEILING_S, max(0.0, health.open_at - self._clock())) if health.failures else 0.0
        return Standing(wait_s=wait_s, suspect=health.failures > 0)

    def reserve(self, interval_s: float, *, at_most_s: float) -> float | None:
        """Take the next place in the rate budget: seconds until then; None when that is too far away."""
        with self._changing():
            health, now = self.read(), self._clock()
            wait_s = max(0.0, health.free_at - now)
            if wait_s > max(_CEILING_S, at_most_s):
                wait_s = 0.0  # the clock was set back
            if wait_s > at_most_s:
                return None
            self._write(self._file, replace(health, free_at=now + wait_s + interval_s))
            return wait_s

    def succeeded(self, took_s: float | None = None) -> bool:
        """Note a signature that took so long, or a good probe; says whether the key was out of order."""
        health = self.read()
        if not health.failures and (took_s is None or self._clock() - health.told_at < _FRESH_S):
            return False
        with self._changing():
            health = self.read()
            mean = health.took_s
            if took_s is not None:
                mean = mean + _WEIGHT * (took_s - mean) if mean else took_s
            was_out = health.failures > 0
            self._write(
                self._file,
                replace(health, failures=0, open_at=0.0, why="", took_s=mean, told_at=self._clock()),
            )
            return was_out

    def failed(self, why: str, *, at_least_s: float = 0.0) -> bool:
        """Put the key in quarantine, longer each time in a row; says whether it was in order before."""
        with self._changing():
            health, now = self.read(), self._clock()
            if health.failures and health.open_at > now:
                return False  # another thread met the same failure
            bound = min(_CEILING_S, _FIRST_S * 2.0 ** min(health.failures, _DOUBLINGS))
            until = now + min(_CEILING_S, max(bound, at_least_s))
            self._write(self._file, replace(health, failures=health.failures + 1, open_at=until, why=why))
            return health.failures == 0

    def refuse(self, generation: int, identity: str) -> None:
        """Note that the device refused the PIN; on disk when it returns, whatever dies next."""
        with self._changing():
            self._write(
                self._mark, PinMark(generation=generation, refused=generation, pin=identity), durable=True
            )

    def pardon(self, identity: str, *, operator: bool) -> int:
        """Return the generation to work under; a new one when an operator acted or the PIN file changed."""

        def due(mark: PinMark) -> bool:
            return mark.locked and (operator or bool(identity and identity != mark.pin))

        mark = self.mark()
        if due(mark):
            with self._changing():
                mark = self.mark()  # several processes load the same key at once: one of them pardons
                if due(mark):
                    mark = replace(mark, generation=mark.generation + 1)
                    self._write(self._mark, mark, durable=True)
                    self._write(self._file, Health())
        return mark.generation

    def allow(self, generation: int) -> None:
        """Raise WrongPin when the PIN that was read under this generation must not be tried (again)."""
        mark = self.mark()
        if mark.locked or mark.generation != generation:
            raise locked(self._name)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep every other thread and process of this node from using the key meanwhile; blocks.

        Raises KeyUnavailable when another has it for longer than a device takes.
        """
        with self._held(self._alone, _ALONE_S):
            yield

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._held(self._lock, _CHANGING_S):
            try:
                yield
            except OSError as error:
                raise KeyUnavailable(
                    f"the state of the key cannot be written: {error.strerror}",
                    where=str(self._file),
                    fix=_FOLDER,
                ) from error

    @contextmanager
    def _held(self, file: Path, wait_s: float) -> Iterator[None]:
        with ExitStack() as stack:
            try:
                stack.enter_context(locked_file(file, wait_s))
            except OSError as error:
                raise KeyUnavailable(
                    f"key {self._name} cannot be used: {error.strerror}",
                    where=str(file),
                    fix=_ANOTHER if isinstance(error, TimeoutError) else _FOLDER,
                ) from error
            yield

    def _write(self, place: Path, state: Health | PinMark, *, durable: bool = False) -> None:
        fresh = place.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(json.dumps(asdict(state)).encode())
            if durable:
                file.flush()
                os.fsync(file.fileno())
        fresh.replace(place)
        if durable and sys.platform != "win32":
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def locked(name: str) -> WrongPin:
    """Say that a key waits for an operator."""
    return WrongPin(
        f"the device refused the PIN of key {name}; it is not tried again",
        fix="write the right PIN into its file, then SIGHUP; a card locks itself after a few wrong ones",
        retry_after_s=_CEILING_S,
    )
