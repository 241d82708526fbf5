"""Estimate how long entries wait for a slow key, from their number and the key's rate and health. Loads no key."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Final

from gateway.config.gateway_toml import Config
from gateway.config.keys import DEVICES, KeyConfig, device_keys, parallel_of, rate_of
from signing.errors import KeyUnavailable, WrongPin
from signing.keys.health import HealthFile
from spool.store import Spool

HEALTH: Final = "keys"
"""Folder in `state_dir` for the state of keys that are devices."""
COUNTED: Final = 10_000
"""Most entries of one enterprise that are counted; more would wait longer than any limit asked about."""
_REST_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyBacklog:
    """The entries that wait for one key that is a device, or for several that replace each other."""

    key: str
    entries: int
    """Entries that lack only the signature."""
    wait_s: float
    """Estimated seconds until the last of them is signed; infinite while an operator has to act."""
    in_order: bool
    """Whether at least one member can sign now."""
    why: str = ""
    """Why the other members cannot."""


def health_dir(config: Config) -> Path:
    """Return the folder with the state of the devices, shared by every process of a node."""
    return config.node.state_dir / HEALTH


def key_backlogs(config: Config, spool: Spool) -> list[KeyBacklog]:
    """Return the backlog of every key that is a device. Raises SpoolError."""
    names = device_keys(config.key)
    if not names:
        return []
    needed = spool.needed(at_most=COUNTED)
    return [backlog_of(name, config.key, health_dir(config), needed.get(name, 0)) for name in sorted(names)]


def backlog_of(name: str, tables: Sequence[KeyConfig], folder: Path, entries: int) -> KeyBacklog:
    """Compute the backlog of one key for which `entries` entries wait."""
    named = {table.name: table for table in tables}
    members = [named[one] for one in named[name].members or (name,) if one in named]
    rate = 0.0
    soonest_s = inf
    wrong: list[str] = []
    for member in members:
        if member.kind not in DEVICES:
            rate, soonest_s = inf, 0.0
            continue
        file = HealthFile(folder, member.name)
        try:
            standing, health = file.standing(), file.read()
        except WrongPin:
            wrong.append(f"{member.name}: the PIN was refused; an operator has to act")
            continue
        except KeyUnavailable as error:
            wrong.append(f"{member.name}: {error}")
            continue
        rate += _a_second(member, health.took_s)
        soonest_s = min(soonest_s, standing.wait_s)
        if standing.suspect:
            wrong.append(f"{member.name}: {health.why}")
    wait_s = inf if soonest_s == inf else soonest_s + (entries / rate if rate else 0.0)
    return KeyBacklog(
        key=name, entries=entries, wait_s=wait_s, in_order=len(wrong) < len(members), why="; ".join(wrong)
    )


def _a_second(table: KeyConfig, took_s: float) -> float:
    """Return signatures per second: the smaller of the allowed and the measured rate."""
    bound = rate_of(table) / 60.0
    seen = parallel_of(table) / took_s if took_s else inf
    return min(bound, seen) if bound else seen


class Backlogs:
    """Caches the backlogs for a second; for one thread."""

    def __init__(self, config: Config, spool: Spool, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._spool = spool
        self._clock = clock
        self._seen: Mapping[str, KeyBacklog] = {}
        self._until = float("-inf")

    def late(self, name: str) -> KeyBacklog | None:
        """Return the backlog of a key if its wait is longer than `signing.refuse_wait_s`. Raises SpoolError."""
        limit_s = self._config.signing.refuse_wait_s
        if not limit_s:
            return None
        if self._clock() >= self._until:
            self._seen = {one.key: one for one in key_backlogs(self._config, self._spool)}
            self._until = self._clock() + _REST_S
        queue = self._seen.get(name)
        return queue if queue is not None and queue.wait_s > limit_s else None
