"""A key in an HSM or a token, through its PKCS#11 module (the extra `pkcs11`).

The module is loaded by the process that signs, never before a fork: most modules do not survive one.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import pkcs11
from cryptography.exceptions import UnsupportedAlgorithm
from pkcs11 import Attribute, Mechanism, ObjectClass, SignMixin, TokenFlag
from pkcs11.exceptions import (
    PinExpired,
    PinIncorrect,
    PinInvalid,
    PinLenRange,
    PinLocked,
    PKCS11Error,
    UserAlreadyLoggedIn,
    UserPinNotInitialized,
)

from signing.device import Identity, Pin
from signing.errors import KeyUnavailable, SigningError, WrongPin
from signing.suite import RSA_SHA1, Suite

_BAD_PIN: Final = (PinIncorrect, PinInvalid, PinLenRange, PinLocked, PinExpired, UserPinNotInitialized)
_FEW_LEFT: Final = TokenFlag.USER_PIN_FINAL_TRY | TokenFlag.USER_PIN_LOCKED
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a key is."""

    module: Path
    """The shared library of the maker."""
    token: str
    """Label of the token."""
    label: str = ""
    """CKA_LABEL of the private key; empty: found by `id`."""
    id: str = ""
    """CKA_ID of the private key, hex."""


class Pkcs11Signer:
    """An RSA key in a token that signs with CKM_SHA1_RSA_PKCS; a session for each thread."""

    def __init__(self, place: Place, identity: Identity, pin: Pin) -> None:
        """Connect to nothing yet. Raises SigningError for a certificate whose key PKCS#11 has no mechanism for."""
        if identity.suite is not RSA_SHA1:
            raise SigningError(
                f"a PKCS#11 key signs rsa-sha1 here, the certificate asks for {identity.suite.name}",
                where=str(place.module),
                fix="put a remote signer of the maker before it, or use an RSA key",
            )
        self._place = place
        self._identity = identity
        self._pin = pin
        self._entering = threading.Lock()
        self._keeper: pkcs11.Session | None = None
        """Logged in; as long as it is open, so are the sessions of all threads."""
        self._age = 0
        """Grows when the login is lost: sessions of an earlier one are not used again."""
        self._own = threading.local()

    @property
    def suite(self) -> Suite:
        """`rsa-sha1`."""
        return self._identity.suite

    @property
    def certificate_der(self) -> bytes:
        """The configured certificate."""
        return self._identity.certificate_der

    @property
    def key_name(self) -> str:
        """Its serial number."""
        return self._identity.key_name

    @property
    def key_info(self) -> str:
        """The ds:KeyInfo element."""
        return self._identity.key_info

    def sign(self, data: bytes) -> bytes:
        """Sign these bytes in the token; blocks for as long as its module does. Raises KeyUnavailable, WrongPin."""
        signature = self._using(lambda: self._private_key().sign(data, mechanism=Mechanism.SHA1_RSA_PKCS))
        return bytes(signature)

    def probe(self) -> None:
        """See that the token is there and, if it shows its certificate, that it is ours. No PIN is used."""
        shown = self._using(self._certificates)
        if shown and self._identity.certificate_der not in shown:
            raise KeyUnavailable(
                f"the token holds {len(shown)} certificates under this name, none is the configured one",
                where=self._where,
                fix="configure the certificate that belongs to the key",
                retry_after_s=60.0,
            )

    def certificate(self) -> bytes:
        """Return the certificate that the token holds beside the key, DER. Raises KeyUnavailable."""
        shown = self._using(self._certificates)
        if len(shown) != 1:
            raise KeyUnavailable(
                f"the token holds {len(shown)} certificates under this name, not one", where=self._where
            )
        return shown[0]

    def close(self) -> None:
        """Forget every session; log out."""
        with self._entering:
            self._age += 1
            keeper, self._keeper = self._keeper, None
        if keeper is not None:
            try:
                keeper.close()
            except PKCS11Error:
                return  # it is gone already

    @property
    def _where(self) -> str:
        return f"token {self._place.token}, {self._place.module}"

    def _using(self, work: Callable[[], T]) -> T:
        """Do something with the token; whatever it says, no session of before is used again."""
        try:
            return work()
        except _BAD_PIN as error:
            self.close()
            raise WrongPin(
                f"the token refused the PIN: {_say(error)}",
                where=f"{self._where}; PIN from {self._pin.origin}",
                fix="write the right one there, then SIGHUP; it is not tried again before",
                retry_after_s=60.0,
            ) from error
        except (PKCS11Error, UnsupportedAlgorithm) as error:
            self.close()
            raise KeyUnavailable(
                f"the token cannot be used: {_say(error)}",
                where=self._where,
                fix="is it there, initialised and named as configured? `gateway check` tries it",
            ) from error

    def _token(self) -> pkcs11.Token:
        return pkcs11.lib(str(self._place.module)).get_token(token_label=self._place.token)

    def _enter(self) -> int:
        """Log in, once for all threads; returns the age of the login."""
        with self._entering:
            if self._keeper is None:
                token = self._token()
                if token.flags & _FEW_LEFT:
                    raise PinLocked("the token would lock itself at the next wrong PIN, or has done so")
                try:
                    self._keeper = token.open(user_pin=self._pin.value)
                except UserAlreadyLoggedIn:  # by another key of ours in this token
                    self._keeper = token.open()
            return self._age

    def _private_key(self) -> SignMixin:
        age = self._enter()
        known: tuple[int, SignMixin] | None = getattr(self._own, "key", None)
        if known is not None and known[0] == age:
            return known[1]
        session = self._token().open()
        key = session.get_key(
            object_class=ObjectClass.PRIVATE_KEY,
            label=self._place.label or None,
            id=bytes.fromhex(self._place.id) or None,
        )
        if not isinstance(key, SignMixin):
            raise PKCS11Error("what stands under this name is no private key")
        self._own.key = (age, key)
        return key

    def _certificates(self) -> list[bytes]:
        session = self._token().open()
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
    """Name an error of the library; most carry no text. A PIN is in none."""
    return f"{type(error).__name__} {error}".strip()
