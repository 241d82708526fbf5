"""The public facts of the signing keys, for every role: suite, certificate, period. Cannot sign (ADR 0031)."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from msgspec import Struct

from signing.keys.pool import current
from signing.keys.suite import SUITES, Suite


class Certified(Struct, frozen=True, kw_only=True):
    """One single key, with the facts of its certificate."""

    name: str
    suite: str
    """`Suite.name`."""
    serial: str
    """Serial number of the certificate, as in ds:KeyName."""
    not_before: datetime
    not_after: datetime


class PublicSigningKey(Struct, frozen=True, kw_only=True):
    """The key behind one `[[key]]` name: one member, a pool or a rotation, as `signing.keys.pool.SigningKey`."""

    members: tuple[Certified, ...]
    rotates: bool = False


class PublicKeyring(Struct, frozen=True, kw_only=True):
    """Every key of a configuration by its name."""

    keys: Mapping[str, PublicSigningKey]

    def suite(self, name: str) -> Suite | None:
        """Return the suite that a key signs with now, by its certificate; None: there is no such key."""
        key = self.keys.get(name)
        if key is None:
            return None
        members = key.members
        signs = (
            members[0] if len(members) == 1 else current(members, datetime.now(UTC), rotates=key.rotates)[0]
        )
        return _SUITES[signs.suite]

    def ends(self) -> Iterator[tuple[str, Certified]]:
        """Yield the certificates whose expiry the operator must watch, each with the name of its key.

        For a rotation, only the last one; those before it already have a successor.
        """
        rotating = {one.name for key in self.keys.values() if key.rotates for one in key.members}
        for name, key in self.keys.items():
            if key.rotates:
                yield name, max(key.members, key=lambda one: one.not_after)
            elif key.members[0].name == name and name not in rotating:
                yield name, key.members[0]


_SUITES = {suite.name: suite for suite in SUITES}
