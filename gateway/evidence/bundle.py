"""The format of the file that proves what happened to one message, and of the exporter's statement. No I/O.

One JSON object. Bytes are Base64, digests and proofs hexadecimal. `events` are journal lines with their places in the
log and the proofs from there to the root of `checkpoint`; everything else must agree with the events.
"""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, dataclass_transform

import msgspec
from msgspec import Struct

from spool.entry import JournalLine

FORMAT: Final = "customs-exchange-gateway/evidence/1"
TRANSLATED: Final = "customs-exchange-gateway/evidence/2"
"""With a `translation`; everything else is as in `FORMAT`."""
FORMATS: Final = (FORMAT, TRANSLATED)
SOURCE_BYTES: Final = 16 * 1024 * 1024
"""Largest source that is put into a file."""
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
        """Return the journal line that is hashed. Raises OverflowError for a time out of range."""
        return JournalLine(
            number=self.number,
            at=_EPOCH + timedelta(microseconds=self.at),
            event=self.event,
            uid=self.uid,
            detail=self.detail,
        )


class AcceptedPart(BundlePart, kw_only=True):
    """The submitted message."""

    event: int
    """Number of the event that records it; the same in the parts below."""
    sha256: str
    size: int
    body: bytes | None = None
    """The bytes; none in a redacted file."""


class SentPart(BundlePart, kw_only=True):
    """What was sent; one for each confirmed delivery."""

    event: int
    sha256: str
    """Of the business bytes."""
    envelope_sha256: str
    span: tuple[int, int] | None = None
    """Start and end of the inserted ds:Signature in the business bytes."""
    signature: bytes | None = None
    """That element, exactly."""
    envelope: bytes | None = None
    """The exact bytes given to the transport."""


class ReceiptPart(BundlePart, kw_only=True):
    """An answer about one of the declarations."""

    event: int
    receipt: int
    sha256: str
    """Digest of the raw bytes as received."""
    body: bytes | None = None
    """The raw bytes."""
    part: bytes | None = None
    """This enterprise's part of an answer that concerns others too. No digest in the log covers it."""


class TranslationPart(BundlePart, kw_only=True):
    """How the submitted message was made from a source. The texts of the mapping are in an event."""

    event: int = 0
    """Number of the event `mapping.used`; 0: it is not in the file."""
    origin: dict[str, str]
    """As in the event of the acceptance: mapping, form and digest of the source, all that the request said."""
    size: int = 0
    """Of the source; 0: it is not kept any more."""
    source: bytes | None = None
    """The source as handed in; none in a redacted file, or when it has more than `SOURCE_BYTES`."""
    goods: bytes | None = None
    """The register of goods that the mapping looked into, as handed in; none when it has been replaced since."""
    goods_form: str = ""
    """Its media type."""
    traced: bool = False
    """Whether the file has the trace."""
    trace: tuple[str, ...] = ()
    """`RepeatedTranslation.trace`."""
    unconsumed: tuple[str, ...] = ()
    """`RepeatedTranslation.unconsumed`."""


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
    """Events that were not yet in the log when the file was made; the file does not contain them."""
    accepted: AcceptedPart
    translation: TranslationPart | None = None
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
    """Encode the file."""
    return msgspec.json.format(msgspec.json.encode(bundle), indent=1) + b"\n"


def decode(content: bytes) -> Bundle:
    """Decode the file; unknown fields are errors. Raises msgspec.MsgspecError (ValueError)."""
    return _decoder.decode(content)


def said_of(bundle: Bundle) -> str:
    """Return the text that the exporter signs: the event numbers, in order, and a digest over the whole file."""
    bare = msgspec.structs.replace(bundle, statement="")
    digest = hashlib.sha256(msgspec.json.encode(bare)).hexdigest()
    return f"{bundle.format}\n{bundle.id}\nevents {_words(one.number for one in bundle.events)}\ncontent {digest}\n"


def events_said(statement: str) -> tuple[int, ...]:
    """Return the event numbers in a statement. Raises ValueError when it is not a statement of this format."""
    first, _, events, content = statement.splitlines()
    if first not in FORMATS or not events.startswith("events ") or not content.startswith("content "):
        raise ValueError("not a statement about evidence")
    return tuple(int(word) for word in events.split()[1:])


def _words(numbers: Iterable[int]) -> str:
    return " ".join(map(str, numbers))
