"""Guard a device: exclusive use where it is needed, a refused PIN never tried again, each signature checked."""

from signing.errors import KeyUnavailable, WrongPin
from signing.keys.device import Device, Identity, check_answer
from signing.keys.health import HealthFile
from signing.keys.suite import Suite


class GuardedSigner:
    """A guarded device; it is both a Signer and a Device."""

    def __init__(
        self,
        device: Device,
        identity: Identity,
        health: HealthFile,
        *,
        name: str,
        pin_identity: str,
        generation: int,
        alone: bool,
    ) -> None:
        """`alone`: the device serves one user at a time. `generation`: as returned by `HealthFile.pardon`."""
        self._device = device
        self._identity = identity
        self._health = health
        self._name = name
        self._pin_identity = pin_identity
        self._generation = generation
        self._alone = alone
        self._proven = False

    @property
    def suite(self) -> Suite:
        """The algorithms that this key signs with."""
        return self._identity.suite

    @property
    def certificate_der(self) -> bytes:
        """The configured certificate."""
        return self._identity.certificate_der

    @property
    def key_name(self) -> str:
        """The certificate's serial number as in ds:KeyName."""
        return self._identity.key_name

    @property
    def key_info(self) -> str:
        """The ds:KeyInfo element."""
        return self._identity.key_info

    def sign(self, data: bytes) -> bytes:
        """Sign these bytes. Raises KeyUnavailable, WrongPin.

        Until the PIN has been accepted once in this process, each call holds the key exclusively: of several
        processes with a wrong PIN only one tries it.
        """
        if self._proven and not self._alone:
            return self._sign(data)
        with self._health.alone():
            wait_s = self._health.standing().wait_s
            if wait_s > 0:  # it failed while we waited for another user
                raise KeyUnavailable(f"key {self._name} is in quarantine", retry_after_s=wait_s)
            return self._sign(data)

    def _sign(self, data: bytes) -> bytes:
        self._health.allow(self._generation)
        try:
            signature = self._device.sign(data)
        except WrongPin:
            self._proven = False
            self._health.refuse(self._generation, self._pin_identity)
            raise
        except KeyUnavailable:
            self._proven = False  # after a reset the device needs the PIN again
            raise
        self._proven = True
        check_answer(self._identity, data, signature, where=f"key {self._name}")
        return signature

    def probe(self) -> None:
        """Ask the device for its certificate, unless its PIN was refused. Raises KeyUnavailable."""
        self._health.allow(self._generation)
        if self._alone:
            with self._health.alone():
                self._device.probe()
        else:
            self._device.probe()

    def certificate(self) -> bytes:
        """Ask the device for its certificate. Raises KeyUnavailable."""
        return self._device.certificate()

    def close(self) -> None:
        """Close connections."""
        self._device.close()
