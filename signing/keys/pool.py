"""Keys that stand in for each other: a pool works side by side, a rotation takes over one after the other."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from signing.keys.certificate import certificate_facts
from signing.keys.device import Device
from signing.keys.files import Signer
from signing.keys.health import HealthFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One key of one's own: a file, or a device with its budget."""

    name: str
    signer: Signer
    not_before: datetime
    not_after: datetime
    device: Device | None = field(default=None, repr=False)
    """None: a key in memory, which needs neither thread nor health."""
    health: HealthFile | None = field(default=None, repr=False)
    """Goes with `device`."""
    rate_per_minute: float = 0.0
    """Signatures at most; 0: as many as it can."""
    parallel: int = 1
    """Signatures at one time."""
    timeout_s: float = 5.0
    """After so long without an answer the key is dark."""
    warnings: tuple[str, ...] = ()
    """What the operator should put right, though the key works."""


def member_of(name: str, signer: Signer) -> Member:
    """Make a member of a key in memory."""
    facts = certificate_facts(signer.certificate_der)
    return Member(
        name=name,
        signer=signer,
        not_before=facts.not_before,
        not_after=facts.not_after,
        warnings=getattr(signer, "warnings", ()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """What a `[[key]]` name stands for: one member, a pool or a rotation."""

    name: str
    members: tuple[Member, ...]
    """One or more."""
    rotates: bool = False
    """Only the newest certificate that has begun signs; else all valid ones do."""

    @property
    def in_memory(self) -> bool:
        """Whether it signs at once, whoever of its members does."""
        return all(member.device is None for member in self.members)

    def current(self, now: datetime) -> tuple[Member, ...]:
        """Return who may sign now, the preferred first; never nobody: expired keys sign on, and customs refuses."""
        return current(self.members, now, rotates=self.rotates)


class Period(Protocol):
    """Anything that is valid from one time to another."""

    @property
    def not_before(self) -> datetime:
        """Aware."""
        ...

    @property
    def not_after(self) -> datetime:
        """Aware."""
        ...


P = TypeVar("P", bound=Period)


def current(members: Sequence[P], now: datetime, *, rotates: bool) -> tuple[P, ...]:
    """Choose the members of a key that may sign now, see `SigningKey.current`."""
    begun = [one for one in members if one.not_before <= now]
    valid = [one for one in begun if now <= one.not_after] or begun or list(members)
    return (max(valid, key=_begins),) if rotates else tuple(valid)


def _begins(member: Period) -> datetime:
    return member.not_before
