"""Checkpoints of the log: the texts that a node signs, and their verification. No I/O, no clock.

The formats are those of C2SP: a signed note, a checkpoint in it (tlog-checkpoint: origin, size, root), Ed25519
signatures, and public keys as one line `name+id+key`, which other tools for such logs can read as well.

A trusted key is trusted under every name: nodes that share a key sign with it, each under its own name.
"""

import binascii
import hashlib
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from spool.merkle import SIZE

_ED25519: Final = b"\x01"
_DASH: Final = "\u2014 "
_ID_BYTES: Final = 4
_KEY_BYTES: Final = 32
_LINES: Final = 3


class NoteError(Exception):
    """An invalid note, key or signature; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A node's statement that exactly the first `size` events of the log `origin` have this root."""

    origin: str
    size: int
    root: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A public key under a name."""

    name: str
    key: bytes
    """32 bytes, Ed25519."""

    @property
    def id(self) -> bytes:
        """The four bytes that identify the key in a signature."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.key).digest()[:_ID_BYTES]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{b64encode(_ED25519 + self.key).decode()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeKey:
    """The key with which a node signs its checkpoints."""

    name: str
    private: Ed25519PrivateKey = field(repr=False)

    @property
    def public(self) -> VerifierKey:
        """The public half, for verification."""
        return VerifierKey(name=self.name, key=self.private.public_key().public_bytes_raw())

    def signed(self, checkpoint: Checkpoint) -> str:
        """Return the note: the checkpoint and our signature."""
        return self.note(_written(checkpoint))

    def note(self, text: str) -> str:
        """Sign a text of whole lines; its first line must differ from that of every other kind of text we sign."""
        signature = b64encode(self.public.id + self.private.sign(text.encode())).decode()
        return f"{text}\n{_DASH}{self.name} {signature}\n"


def verifier_key(text: str) -> VerifierKey:
    """Parse a public key from its line. Raises NoteError."""
    name, _, rest = text.strip().partition("+")
    number, _, code = rest.partition("+")
    try:
        raw = b64decode(code, validate=True)
    except binascii.Error as error:
        raise NoteError("a public key reads name+id+key") from error
    key = VerifierKey(name=name, key=raw[1:])
    if not name or raw[:1] != _ED25519 or len(key.key) != _KEY_BYTES or number != key.id.hex():
        raise NoteError("a public key reads name+id+key, and its id must fit")
    return key


def read(note: str) -> Checkpoint:
    """Read the checkpoint in a note without verifying its signatures. Raises NoteError."""
    lines = _halves(note)[0].split("\n")
    if len(lines) < _LINES + 1:
        raise NoteError("a checkpoint has three lines: origin, size, root")
    origin, size, code = lines[:_LINES]
    try:
        root = b64decode(code, validate=True)
    except binascii.Error as error:
        raise NoteError("the root of the checkpoint is not Base64") from error
    plain = size.isascii() and size.isdigit() and (size == "0" or not size.startswith("0"))
    if not origin or not plain or len(root) != SIZE:
        raise NoteError("the checkpoint is not of the form origin, size, root")
    return Checkpoint(origin=origin, size=int(size), root=root)


def verified(note: str, keys: Sequence[VerifierKey]) -> Checkpoint:
    """Read a checkpoint that one of these keys has signed, under any name. Raises NoteError as `opened`."""
    opened(note, keys)
    return read(note)


def opened(note: str, keys: Sequence[VerifierKey]) -> str:
    """Return the text of a note that one of these keys has signed.

    Raises NoteError when none has, or when a signature by one of them is invalid.
    """
    text, signatures = _halves(note)
    found = False
    for line in signatures.splitlines():
        name, _, code = line.removeprefix(_DASH).partition(" ")
        if not line.startswith(_DASH) or not name:
            raise NoteError("a signature line of the note is not one")
        try:
            raw = b64decode(code, validate=True)
        except binascii.Error as error:
            raise NoteError("a signature of the note is not Base64") from error
        for key in {VerifierKey(name=name, key=one.key) for one in keys}:
            if key.id == raw[:_ID_BYTES]:
                _verify(key, raw[_ID_BYTES:], text.encode())
                found = True
    if not found:
        raise NoteError(f"it is not signed by {' or '.join(str(key) for key in keys)}")
    return text


def _written(checkpoint: Checkpoint) -> str:
    return f"{checkpoint.origin}\n{checkpoint.size}\n{b64encode(checkpoint.root).decode()}\n"


def _halves(note: str) -> tuple[str, str]:
    """Return the text with its last line end, and the lines of signatures."""
    text, gap, signatures = note.rpartition("\n\n")
    if not gap or not signatures.endswith("\n"):
        raise NoteError("not a signed note: the empty line between text and signatures is missing")
    return text + "\n", signatures


def _verify(key: VerifierKey, signature: bytes, text: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key.key).verify(signature, text)
    except (InvalidSignature, ValueError) as error:
        raise NoteError(f"the signature of {key.name} does not hold: what it signs was altered") from error
