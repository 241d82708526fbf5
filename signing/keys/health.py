"""The state of a key in small files shared by all processes of a node: rate budget, quarantine, refused PIN.

Times are seconds since 1970 by the system clock. Readers take no lock: a file is replaced as a whole.
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
"""While the key is healthy, the mean signing time is written at most this often."""
_WEIGHT: Final = 0.2
"""Weight of the newest measurement in the mean."""
_CHANGING_S: Final = 10.0
"""How long to wait while another process changes the file, which normally takes milliseconds."""
_FOLDER: Final = "give the folder to this user, free disk space"
_ANOTHER: Final = (
    "nothing, if that is a role of this node: one that hangs is started again; else `fuser` names it"
)
_ALONE_S: Final = 60.0
"""How long to wait for exclusive use of the device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What is known of one key."""

    free_at: float = 0.0
    """When its rate budget allows the next signature."""
    open_at: float = 0.0
    """In quarantine until then, and until a probe succeeds."""
    failures: int = 0
    """Failures in a row; 0: healthy."""
    why: str = ""
    """The last failure."""
    took_s: float = 0.0
    """Moving mean of the seconds that one signature takes."""
    told_at: float = 0.0
    """When the mean was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PinMark:
    """Whether a PIN was refused; a separate file, because this must survive any crash."""

    generation: int = 1
    """Increases when the operator allows another attempt with the PIN."""
    refused: int = 0
    """The generation whose PIN the device refused."""
    pin: str = ""
    """`Pin.identity` of the refused PIN."""

    @property
    def locked(self) -> bool:
        """Whether the PIN was refused and no operator has acted since."""
        return self.refused == self.generation


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether a key may be used."""

    wait_s: float
    """Seconds until the key may be used."""
    suspect: bool
    """True: a probe must succeed before the key is used."""


class HealthFile:
    """The state files of one key; shared by threads and processes."""

    def __init__(self, folder: Path, name: str, clock: Callable[[], float] = time.time) -> None:
        """`folder` is created at the first write; `name` becomes part of file names."""
        self._folder = folder
        self._file = folder / f"{name}.json"
        self._mark = folder / f"{name}.pin"
        self._lock = folder / f"{name}.lock"
        self._alone = folder / f"{name}.alone"
        self._name = name
        self._clock = clock

    def read(self) -> Health:
        """Return the state of the key; it counts as healthy if the file is missing or damaged."""
        try:
            return Health(**json.loads(self._file.read_bytes()))
        except (OSError, ValueError, TypeError):
            return Health()

    def mark(self) -> PinMark:
        """Return the state of the PIN. Raises KeyUnavailable when the file cannot be read, to be safe."""
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
        """Return whether the key may be used now. Raises WrongPin when it is locked."""
        if self.mark().locked:
            raise locked(self._name)
        health = self.read()
        wait_s = min(_CEILING_S, max(0.0, health.open_at - self._clock())) if health.failures else 0.0
        return Standing(wait_s=wait_s, suspect=health.failures > 0)

    def reserve(self, interval_s: float, *, at_most_s: float) -> float | None:
        """Reserve the next slot of the rate budget; returns the seconds until it, None if over `at_most_s`."""
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
        """Record a signature that took `took_s`, or a good probe (None); returns whether the key had failures."""
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
        """Put the key in quarantine, longer after each failure in a row; returns whether it was healthy before."""
        with self._changing():
            health, now = self.read(), self._clock()
            if health.failures and health.open_at > now:
                return False  # another thread has recorded the same failure
            bound = min(_CEILING_S, _FIRST_S * 2.0 ** min(health.failures, _DOUBLINGS))
            until = now + min(_CEILING_S, max(bound, at_least_s))
            self._write(self._file, replace(health, failures=health.failures + 1, open_at=until, why=why))
            return health.failures == 0

    def refuse(self, generation: int, identity: str) -> None:
        """Record that the device refused the PIN; it is durable on disk when this returns."""
        with self._changing():
            self._write(
                self._mark, PinMark(generation=generation, refused=generation, pin=identity), durable=True
            )

    def pardon(self, identity: str, *, operator: bool) -> int:
        """Return the generation to use; a new one if the key was locked and an operator acted or the PIN changed."""

        def due(mark: PinMark) -> bool:
            return mark.locked and (operator or bool(identity and identity != mark.pin))

        mark = self.mark()
        if due(mark):
            with self._changing():
                mark = self.mark()  # several processes may load the same key at once: only one increases it
                if due(mark):
                    mark = replace(mark, generation=mark.generation + 1)
                    self._write(self._mark, mark, durable=True)
                    self._write(self._file, Health())
        return mark.generation

    def allow(self, generation: int) -> None:
        """Raise WrongPin if the PIN that was read under this generation must not be tried (again)."""
        mark = self.mark()
        if mark.locked or mark.generation != generation:
            raise locked(self._name)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the key exclusively among all threads and processes of this node; blocks for at most 60 s.

        Raises KeyUnavailable when another user holds it for longer.
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
    """Make the error for a key that is locked until an operator acts."""
    return WrongPin(
        f"the device refused the PIN of key {name}; it is not tried again",
        fix="write the right PIN into its file, then SIGHUP; a card locks itself after a few wrong ones",
        retry_after_s=_CEILING_S,
    )
