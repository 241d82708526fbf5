"""Keys that replace each other: the members of a pool sign in parallel, those of a rotation one after the other."""

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
    """One single key: a file, or a device with its rate budget."""

    name: str
    signer: Signer
    not_before: datetime
    not_after: datetime
    device: Device | None = field(default=None, repr=False)
    """None: a key in memory, which needs neither a thread nor a health file."""
    health: HealthFile | None = field(default=None, repr=False)
    """Set if `device` is."""
    rate_per_minute: float = 0.0
    """Most signatures per minute; 0: no limit."""
    parallel: int = 1
    """Signatures at the same time."""
    timeout_s: float = 5.0
    """After so long without an answer the key counts as failed."""
    warnings: tuple[str, ...] = ()
    """What the operator should correct although the key works."""


def member_of(name: str, signer: Signer) -> Member:
    """Wrap a key in memory as a member."""
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
    """The key behind one `[[key]]` name: one member, a pool or a rotation."""

    name: str
    members: tuple[Member, ...]
    """One or more."""
    rotates: bool = False
    """True: only the newest certificate that is already valid signs; False: all valid ones do."""

    @property
    def in_memory(self) -> bool:
        """Whether all members are keys in memory, which sign without waiting."""
        return all(member.device is None for member in self.members)

    def current(self, now: datetime) -> tuple[Member, ...]:
        """Return who may sign now, the preferred first; never empty: expired keys go on, and customs refuses."""
        return current(self.members, now, rotates=self.rotates)


class Period(Protocol):
    """Anything with a validity period."""

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
