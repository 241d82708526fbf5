"""Records what the customs side received and sent as JSON lines, so that tests can compare it with the gateway."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from signing.errors import SigningError
from signing.xml.splice import strip


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """One line about an envelope that arrived; digests are lower-case hex SHA-256."""

    cop_msg_id: str
    sender_id: str
    message_type: str
    cop_code: str
    envelope_sha256: str
    business_sha256: str
    original_sha256: str
    """Digest of the business message without its Signature, or as it is when it has none."""
    keys: tuple[Mapping[str, str], ...]
    verdict: str
    repeat: bool
    """The same CopMsgId with the same business bytes, apart from the Signature, came before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One line about a receipt body that was made available, fetched or not."""

    receipt: str
    status: str
    key: Mapping[str, str]
    message_type: str
    """Type of the declaration it answers; empty for a DxpRep, a CEB900 or garbage."""
    owner: str
    """copCode that transmitted the declaration; empty when nobody declared it."""
    receiver_id: str
    cop_msg_id: str
    """CopMsgId of the envelope it went out in."""
    about: str = ""
    """CopMsgId of the envelope it answers, if the receipt names one (DxpRep, CEB900)."""
    time: str = ""
    """returnTime of the body, 17 digits."""


class Ledger:
    """Appends lines, each written to the operating system before the call returns; records nothing without paths.

    Not thread-safe.
    """

    def __init__(self, arrivals: Path | None = None, receipts: Path | None = None) -> None:
        """Open or create the files; their folders must exist."""
        self._arrivals = _open(arrivals)
        self._receipts = _open(receipts)

    def arrived(self, line: Arrived) -> None:
        """Record an arrival; raises OSError when it cannot be written."""
        _write(self._arrivals, _fields(line))

    def said(self, line: Said) -> None:
        """Record a receipt body; raises OSError when it cannot be written."""
        _write(self._receipts, _fields(line))

    def close(self) -> None:
        """Close the files; no further calls are allowed."""
        for file in (self._arrivals, self._receipts):
            if file is not None:
                file.close()


def digest(body: bytes) -> str:
    """Return the lower-case hex SHA-256."""
    return sha256(body).hexdigest()


def original_of(business: bytes) -> bytes:
    """Return the message without its Signature; unchanged when there is none or it cannot be read."""
    try:
        return strip(business)[0]
    except SigningError:
        return business


def _open(path: Path | None) -> BinaryIO | None:
    """Open unbuffered, so that a line whose write failed is not written later."""
    return None if path is None else path.open("ab", buffering=0)


def _fields(line: Arrived | Said) -> dict[str, object]:
    return {name: getattr(line, name) for name in line.__slots__}


def _write(file: BinaryIO | None, fields: Mapping[str, object]) -> None:
    if file is not None:
        file.write((json.dumps(fields, ensure_ascii=False) + "\n").encode())
