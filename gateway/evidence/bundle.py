"""The file that proves what happened to one message: its form, and what its exporter signs of it. No I/O.

One JSON object. Bytes are Base64, digests and proofs hexadecimal. `events` are lines of the journal with their places in
the log and the proofs that lead from there to the root of `checkpoint`; all else must fit to what the events say.
"""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, dataclass_transform

import msgspec
from msgspec import Struct

from spool.entry import JournalLine

FORMAT: Final = "customs-exchange-gateway/evidence/1"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass_transform(frozen_default=True, kw_only_default=True)
class BundlePart(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of every object in the file."""


class EventPart(BundlePart, kw_only=True):
    """A line of the journal, and the proof that it is in the log."""

    number: int
    at: int
    """Microseconds since 1970, UTC, by the node's clock."""
    event: str
    uid: str
    detail: str
    index: int
    """Its place in the log."""
    proof: tuple[str, ...]
    """RFC 6962 inclusion proof to the root of the checkpoint, hexadecimal."""

    def line(self) -> JournalLine:
        """Return what is hashed. Raises OverflowError for a time that is none."""
        return JournalLine(
            number=self.number,
            at=_EPOCH + timedelta(microseconds=self.at),
            event=self.event,
            uid=self.uid,
            detail=self.detail,
        )


class AcceptedPart(BundlePart, kw_only=True):
    """What was handed in."""

    event: int
    """Number of the event that says so; in every part below as well."""
    sha256: str
    size: int
    body: bytes | None = None
    """The bytes; none in a redacted file."""


class SentPart(BundlePart, kw_only=True):
    """What went out, once for each delivery that was confirmed."""

    event: int
    sha256: str
    """Of the business bytes."""
    envelope_sha256: str
    span: tuple[int, int] | None = None
    """Where the inserted ds:Signature stands in the business bytes."""
    signature: bytes | None = None
    """That element, exactly."""
    envelope: bytes | None = None
    """What was handed to the transport, exactly."""


class ReceiptPart(BundlePart, kw_only=True):
    """An answer about one of the declarations."""

    event: int
    receipt: int
    sha256: str
    """Of the raw bytes as they came."""
    body: bytes | None = None
    """The raw bytes."""
    part: bytes | None = None
    """Of an answer that speaks of other enterprises too: what is this one's. No digest in the log covers it."""


class Earlier(BundlePart, kw_only=True):
    """The first checkpoint that covers the acceptance, and the proof that the later one only added to it."""

    note: str
    proof: tuple[str, ...]


class Bundle(BundlePart, kw_only=True):
    """The whole file."""

    format: str
    id: str
    owner: str
    message_type: str
    redacted: bool = False
    unsealed: int = 0
    """Events that were too young to be in the log when the file was made; they are not in it."""
    accepted: AcceptedPart
    sent: tuple[SentPart, ...] = ()
    receipts: tuple[ReceiptPart, ...] = ()
    events: tuple[EventPart, ...]
    checkpoint: str
    """Signed note."""
    earlier: tuple[Earlier, ...] = ()
    statement: str = ""
    """Signed note of `said_of`: which events and parts the node put into this file."""


_decoder = msgspec.json.Decoder(Bundle)


def encode(bundle: Bundle) -> bytes:
    """Write the file."""
    return msgspec.json.format(msgspec.json.encode(bundle), indent=1) + b"\n"


def decode(content: bytes) -> Bundle:
    """Read the file; unknown fields are errors. Raises msgspec.MsgspecError (ValueError)."""
    return _decoder.decode(content)


def said_of(bundle: Bundle) -> str:
    """Write what the exporter signs: the numbers of the events, in order, and a digest over everything else."""
    bare = msgspec.structs.replace(bundle, statement="")
    digest = hashlib.sha256(msgspec.json.encode(bare)).hexdigest()
    return f"{FORMAT}\n{bundle.id}\nevents {_words(one.number for one in bundle.events)}\ncontent {digest}\n"


def events_said(statement: str) -> tuple[int, ...]:
    """Return the numbers of the events that a statement names. Raises ValueError when it is none of ours."""
    first, _, events, content = statement.splitlines()
    if first != FORMAT or not events.startswith("events ") or not content.startswith("content "):
        raise ValueError("not a statement about evidence")
    return tuple(int(word) for word in events.split()[1:])


def _words(numbers: Iterable[int]) -> str:
    return " ".join(map(str, numbers))
