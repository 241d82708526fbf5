"""Keys, certificates and devices for the tests of keys that are no files; everything is invented."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

from gateway.simulator.settings import UkeySection
from gateway.simulator.ukey import UkeyServer
from signing.errors import KeyUnavailable
from signing.keys.certificate import make_self_signed
from signing.keys.device import Device, Identity, identity_of
from signing.keys.files import FileSigner, load_pem
from signing.keys.guard import GuardedSigner
from signing.keys.health import HealthFile
from signing.keys.pool import Member

PIN = "20261111"


def write_pair(folder: Path, name: str, *, bits: int = 1024) -> tuple[Path, Path]:
    """Write a key and its certificate."""
    folder.mkdir(parents=True, exist_ok=True)
    key, certificate = folder / f"{name}.key", folder / f"{name}.crt"
    key.touch(0o600)
    for file, content in zip((key, certificate), make_self_signed(name, bits=bits), strict=True):
        file.write_bytes(content)
    return key, certificate


class Played:
    """A device that does as it is told; a Device."""

    def __init__(self, identity: Identity, key: FileSigner) -> None:
        self._identity = identity
        self._key = key
        self.error: KeyUnavailable | None = None
        self.blocked = Event()
        """Unset: whoever signs waits until it is set."""
        self.blocked.set()
        self.entered = Event()
        self.signed = 0
        self.probed = 0
        self.key_name = identity.key_name

    def sign(self, data: bytes) -> bytes:
        self.entered.set()
        self.blocked.wait()
        if self.error is not None:
            raise self.error
        self.signed += 1
        return self._key.sign(data)

    def probe(self) -> None:
        self.probed += 1
        self.blocked.wait()
        if self.error is not None:
            raise self.error

    def certificate(self) -> bytes:
        return self._identity.certificate_der

    def close(self) -> None:
        pass


def guarded(
    device: Device, identity: Identity, health: HealthFile, *, pin: str = "file:1", operator: bool = False
) -> GuardedSigner:
    generation = health.pardon(pin, operator=operator)
    return GuardedSigner(
        device, identity, health, name="card", pin_identity=pin, generation=generation, alone=True
    )


def played_member(
    folder: Path,
    name: str,
    *,
    clock: Callable[[], float] | None = None,
    rate: float = 0.0,
    timeout_s: float = 5.0,
) -> tuple[Member, Played]:
    """Make a member with a played device behind its guard."""
    key, certificate = write_pair(folder, name)
    identity = identity_of(certificate)
    device = Played(identity, load_pem(key, certificate))
    health = HealthFile(folder / "health", name, *((clock,) if clock else ()))
    now = datetime.now(UTC)
    shield = guarded(device, identity, health)
    member = Member(
        name=name,
        signer=shield,
        device=shield,
        health=health,
        not_before=now - timedelta(days=1),
        not_after=now + timedelta(days=100),
        rate_per_minute=rate,
        timeout_s=timeout_s,
    )
    return member, device


@contextmanager
def card(folder: Path, name: str = "card", *, bits: int = 1024, **faults: object) -> Iterator[UkeyServer]:
    """Run a played USB key on a free port; its files are `<name>.key` and `<name>.crt` of the folder."""
    key, certificate = write_pair(folder, name, bits=bits)
    section = {"key": key, "certificate": certificate, "pin": PIN, "port": 0, "sign_s": 0.0, **faults}
    server = UkeyServer(UkeySection(**section))  # type: ignore[arg-type]  # a test names what it varies
    server.start()
    try:
        yield server
    finally:
        server.stop()
