"""A key in an HSM or a token, through its PKCS#11 module (the extra `pkcs11`).

The module is loaded by the process that signs, never before a fork: most modules do not survive one. The
library initialises modules for one thread at a time, so only one call runs at a time in a process, whatever
the token; several processes can sign in parallel.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import pkcs11
from cryptography.exceptions import UnsupportedAlgorithm
from pkcs11 import Attribute, Mechanism, ObjectClass, SignMixin, TokenFlag
from pkcs11.exceptions import (
    NoSuchToken,
    PinExpired,
    PinIncorrect,
    PinInvalid,
    PinLenRange,
    PinLocked,
    PKCS11Error,
    UserAlreadyLoggedIn,
    UserPinNotInitialized,
)

from signing.errors import KeyUnavailable, SigningError, WrongPin
from signing.keys.device import Identity, Pin
from signing.keys.suite import RSA_SHA1

_BAD_PIN: Final = (PinIncorrect, PinInvalid, PinLenRange, PinLocked, PinExpired, UserPinNotInitialized)
_FEW_LEFT: Final = TokenFlag.USER_PIN_FINAL_TRY | TokenFlag.USER_PIN_LOCKED
T = TypeVar("T")


class Module:
    """The shared library of a manufacturer; one object for all its keys in a process."""

    def __init__(self, path: Path) -> None:
        """Store the path; nothing is loaded yet."""
        self.path = path
        self.calling = threading.Lock()

    def token(self, label: str) -> pkcs11.Token:
        """Find a token by label, skipping broken ones; the caller holds `calling`. Raises PKCS11Error."""
        for slot in pkcs11.lib(str(self.path)).get_slots(token_present=True):
            try:
                token = slot.get_token()
            except PKCS11Error:
                continue
            if token.label == label:
                return token
        raise NoSuchToken(f"there is no token {label}")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLocation:
    """Where a key is."""

    module: Module
    token: str
    """Label of the token."""
    label: str = ""
    """CKA_LABEL of the private key; empty: search by `id`."""
    id: str = ""
    """CKA_ID of the private key, hex."""


class Pkcs11Signer:
    """An RSA key in a token that signs with CKM_SHA1_RSA_PKCS."""

    def __init__(self, place: KeyLocation, identity: Identity, pin: Pin) -> None:
        """Open no connection yet. Raises SigningError for any suite but rsa-sha1."""
        if identity.suite is not RSA_SHA1:
            raise SigningError(
                f"a PKCS#11 key signs rsa-sha1 here, the certificate asks for {identity.suite.name}",
                where=str(place.module.path),
                fix="put a remote signer of the maker before it, or use an RSA key",
            )
        self._place = place
        self._identity = identity
        self._pin = pin
        self._session: pkcs11.Session | None = None
        self._key: SignMixin | None = None

    def sign(self, data: bytes) -> bytes:
        """Sign these bytes in the token; blocks as long as the module does. Raises KeyUnavailable, WrongPin."""
        signature = self._using(lambda: self._private_key().sign(data, mechanism=Mechanism.SHA1_RSA_PKCS))
        return bytes(signature)

    def probe(self) -> None:
        """Check that the token is present and its certificate, if readable, is ours; uses no PIN."""
        shown = self._using(self._certificates)
        if shown and self._identity.certificate_der not in shown:
            raise KeyUnavailable(
                f"the token holds {len(shown)} certificates under this name, none is the configured one",
                where=self._where,
                fix="configure the certificate that belongs to the key",
                retry_after_s=60.0,
            )

    def certificate(self) -> bytes:
        """Return the certificate that the token stores with the key, DER. Raises KeyUnavailable."""
        shown = self._using(self._certificates)
        if len(shown) != 1:
            raise KeyUnavailable(
                f"the token holds {len(shown)} certificates under this name, not one", where=self._where
            )
        return shown[0]

    def close(self) -> None:
        """Log out; the next use logs in again."""
        with self._place.module.calling:
            self._leave()

    @property
    def _where(self) -> str:
        return f"token {self._place.token}, {self._place.module.path}"

    def _using(self, work: Callable[[], T]) -> T:
        """Run `work` on the token; after a failure the session is closed and not used again."""
        with self._place.module.calling:
            try:
                return work()
            except _BAD_PIN as error:
                self._leave()
                raise WrongPin(
                    f"the token refused the PIN: {_say(error)}",
                    where=f"{self._where}; PIN from {self._pin.origin}",
                    fix="write the right one there, then SIGHUP; it is not tried again before",
                    retry_after_s=60.0,
                ) from error
            except (PKCS11Error, UnsupportedAlgorithm) as error:
                self._leave()
                raise KeyUnavailable(
                    f"the token cannot be used: {_say(error)}",
                    where=self._where,
                    fix="is it there, initialised and named as configured? `gateway check` tries it",
                ) from error

    def _leave(self) -> None:
        session, self._session, self._key = self._session, None, None
        if session is not None:
            with suppress(PKCS11Error):  # the session is gone already
                session.close()

    def _private_key(self) -> SignMixin:
        """Return the key; logs in and finds it at the first call."""
        if self._key is not None:
            return self._key
        token = self._place.module.token(self._place.token)
        if token.flags & _FEW_LEFT:
            raise PinLocked("the token would lock itself at the next wrong PIN, or has done so")
        try:
            self._session = token.open(user_pin=self._pin.value)
        except UserAlreadyLoggedIn:  # by another key of ours in this token
            self._session = token.open()
        key = self._session.get_key(
            object_class=ObjectClass.PRIVATE_KEY,
            label=self._place.label or None,
            id=bytes.fromhex(self._place.id) or None,
        )
        if not isinstance(key, SignMixin):
            raise PKCS11Error("what stands under this name is no private key")
        self._key = key
        return key

    def _certificates(self) -> list[bytes]:
        session = self._place.module.token(self._place.token).open()
        try:
            wanted: dict[Attribute, object] = {Attribute.CLASS: ObjectClass.CERTIFICATE}
            if self._place.label:
                wanted[Attribute.LABEL] = self._place.label
            if self._place.id:
                wanted[Attribute.ID] = bytes.fromhex(self._place.id)
            return [bytes(found[Attribute.VALUE]) for found in session.get_objects(wanted)]
        finally:
            session.close()


def _say(error: Exception) -> str:
    """Return class and text of a library error; most have no text, none contains a PIN."""
    return f"{type(error).__name__} {error}".strip()
