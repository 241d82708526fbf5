"""Reports files of a folder that are not taken, and again every hour, so that none stays unnoticed."""

from collections.abc import Collection, Mapping
from math import inf
from typing import Final

from gateway.errors import DeliveryError
from gateway.ports import Clock
from gateway.transports.names import UNFINISHED

LIES_S: Final = 3600.0
"""How long a file may lie in a receive folder before it is reported, and between two reports."""
LEFT_AT_MOST: Final = 100
"""Names of one listing that are kept with the reason why they are left, at most."""
_NAMED: Final = 5
"""Names in one error at most."""
HALF: Final = "its name says that it is being written"
NO_FILE: Final = "it is a link or a device"
_EMPTY: Final = "it is empty, or never the same for long enough"


def is_worth_a_word(name: str) -> bool:
    """Return whether to report this unfinished file: not if it is a hidden file of an operating system or program."""
    return not name.startswith(".") or name.lower().endswith(UNFINISHED)


class NotTaken:
    """The files of one folder that were listed and not taken."""

    def __init__(self, *, clock: Clock, lies_s: float) -> None:
        """`lies_s`: how long a file without an error may lie there before it is reported; infinity: never."""
        self._clock = clock
        self._lies_s = lies_s
        self._errors: dict[str, DeliveryError] = {}
        self._since: dict[str, float] = {}
        self._left: Mapping[str, str] = {}
        self._told: dict[str, float] = {}

    def listed(self, names: Collection[str], left: Mapping[str, str]) -> None:
        """Record a listing: names that may be taken, and those left with the reason; forgets files that are gone."""
        now = self._clock()
        self._left = left
        self._since = {name: self._since.get(name, now) for name in (*names, *left)}
        self._errors = {name: error for name, error in self._errors.items() if name in self._since}
        self._told = {name: at for name, at in self._told.items() if name in self._since}

    def failed(self, name: str, error: DeliveryError) -> None:
        """Record that this file cannot be taken."""
        self._errors[name] = error

    def taken(self, name: str) -> None:
        """Record that this file was taken."""
        self._errors.pop(name, None)
        self._since.pop(name, None)

    def untold(self, place: str) -> DeliveryError | None:
        """Return everything due for a report as one error, and mark it as reported; None when there is nothing."""
        now = self._clock()
        lying = {name for name, since in self._since.items() if now - since >= self._lies_s}
        new = [
            name for name in (*self._errors, *sorted(lying - self._errors.keys())) if self._is_due(name, now)
        ]
        self._told.update(dict.fromkeys(new, now))
        if not new:
            return None
        if len(new) == 1 and new[0] in self._errors:
            return self._errors[new[0]]
        said = "; ".join(f"{name}: {self._why(name)}" for name in new[:_NAMED])
        more = f"; and {len(new) - _NAMED} more" if len(new) > _NAMED else ""
        return DeliveryError(
            f"{len(new)} of the files in the folder are not taken: {said}{more}",
            where=place,
            fix="look at them; give what is whole its final name, move the rest away",
        )

    def _is_due(self, name: str, now: float) -> bool:
        return now - self._told.get(name, -inf) >= LIES_S

    def _why(self, name: str) -> str:
        error = self._errors.get(name)
        return error.what if error is not None else self._left.get(name, _EMPTY)
