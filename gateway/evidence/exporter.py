"""Collects the evidence about one message from the spool or the archive, with proofs from the log.

Signatures and envelopes are not stored: they are rebuilt from what the journal recorded, and used only if they have
the recorded digests. After a change of the configuration an envelope may no longer be reproducible; then the file
has only its digest.
"""

import hashlib
import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

import msgspec

from gateway.config.gateway_toml import LOCAL, Config, Destination
from gateway.errors import GatewayError
from gateway.evidence.bundle import (
    FORMAT,
    TRANSLATED,
    AcceptedPart,
    Bundle,
    Earlier,
    EventPart,
    ReceiptPart,
    SentPart,
    TranslationPart,
    said_of,
)
from gateway.evidence.kept_translation import KeptTranslation, kept_translation
from gateway.facts import SentFacts, key_facts, sent_facts, travel_facts
from gateway.provenance.repeat import RepeatedTranslation
from gateway.receipts.opened import open_collected, part_of
from gateway.rules.loading import Rules
from gateway.sending.envelope_builder import enclose
from gateway.sending.records import key_uid
from signing.errors import SigningError
from signing.keys.suite import Suite, suite_of
from signing.xml.splice import Signed, sign
from spool.archived import Archived, ArchivedReceipt
from spool.entry import Claimed, JournalLine, MessageView
from spool.merkle import Tree
from spool.note import NodeKey, read
from spool.store import Spool

_OWNERS: Final = frozenset({"message.accepted", "entry.sent", "entry.bounced", "receipt.filed"})
"""Events of a message that its owner may see: those that bytes in the file can prove. Other lines may contain hosts,
users and paths, or an operator's reason; a line cannot be shown in part, because its hash covers all of it."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class NotSealedError(GatewayError):
    """The log does not cover the message yet: try again after the next checkpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceExporter:
    """Exports evidence from a spool; `key` signs it."""

    spool: Spool
    rules: Rules
    config: Config
    key: NodeKey

    def kept(self, message: Archived) -> KeptTranslation | None:
        """Return what is kept of how a message was translated; None: it was not. Raises SpoolError."""
        return kept_translation(self.spool, message)

    def bundle(
        self,
        message: Archived,
        *,
        redact: bool = False,
        for_owner: bool = False,
        kept: KeptTranslation | None = None,
        repeated: RepeatedTranslation | None = None,
    ) -> Bundle:
        """Build the evidence about a message; blocks for some milliseconds.

        `for_owner`: without lines meant for the operator. `kept`: of this message; `repeated`: what that makes, for the
        trace; None: it takes too much to find out. Raises NotSealedError before the checkpoint that covers its
        acceptance, and SpoolError.
        """
        view, newest = message.ways[0], self.spool.checkpoint()
        lines = [line for line in _lines(message) if not for_owner or line.event in _OWNERS]
        deliveries = [(line, known) for line in lines if (known := _sent(line)) is not None]
        keys = {known.key: self._key_line(known.key) for _, known in deliveries if known.key}
        more = [*keys.values(), kept.line if kept else None]
        lines = sorted([*lines, *(line for line in more if line)], key=lambda line: line.number)
        places = self.spool.places([line.number for line in lines])
        accepted = next((line for line in lines if line.event == "message.accepted"), None)
        if newest is None or accepted is None or accepted.number not in places:
            raise NotSealedError(
                "the log does not cover this message yet",
                where=message.uid,
                fix="ask again in a minute; if it stays so, see journal.seal_failed in the log",
            )
        sealed = [line for line in lines if line.number in places]
        tree = Tree(newest.size, cache(self.spool.tile))
        bundle = Bundle(
            format=FORMAT if kept is None else TRANSLATED,
            id=message.uid,
            owner=view.owner,
            message_type=view.kind,
            redacted=redact,
            unsealed=len(lines) - len(sealed),
            accepted=AcceptedPart(
                event=accepted.number,
                sha256=view.sha256.hex(),
                size=len(message.body),
                body=None if redact else message.body,
            ),
            translation=None if kept is None else _translation(kept, repeated, places, redact=redact),
            sent=tuple(
                self._delivery(message, line, known, keys.get(known.key), redact=redact)
                for line, known in deliveries
                if line.number in places
            ),
            receipts=tuple(self._receipts(message, sealed, redact=redact)),
            events=tuple(_event(line, places[line.number], tree) for line in sealed),
            checkpoint=newest.note,
            earlier=self._earlier(tree, places[accepted.number], newest.size),
        )
        return msgspec.structs.replace(bundle, statement=self.key.note(said_of(bundle)))

    def _earlier(self, tree: Tree, index: int, size: int) -> tuple[Earlier, ...]:
        return tuple(
            Earlier(note=one.note, proof=tuple(step.hex() for step in tree.consistency(read(one.note).size)))
            for one in self.spool.checkpoints(after=index, limit=1)
            if one.size < size
        )

    def _key_line(self, key: str) -> JournalLine | None:
        return next(self.spool.history(key_uid(key)), None)

    def _delivery(
        self, message: Archived, line: JournalLine, known: SentFacts, key: JournalLine | None, *, redact: bool
    ) -> SentPart:
        try:
            business, envelope = self._made_anew(message, known, key)
        except (GatewayError, SigningError, ValueError):  # the configuration or a key has changed since
            business, envelope = b"", b""
        signed = _digest(business) == known.sha256
        return SentPart(
            event=line.number,
            sha256=known.sha256,
            envelope_sha256=known.envelope,
            span=known.span,
            signature=business[slice(*known.span)] if known.span and signed and not redact else None,
            envelope=envelope if _digest(envelope) == known.envelope and not redact else None,
        )

    def _made_anew(self, message: Archived, known: SentFacts, key: JournalLine | None) -> tuple[bytes, bytes]:
        """Rebuild business bytes and envelope of a delivery; the caller must compare their digests."""
        view = next((way for way in message.ways if way.entry == known.entry), message.ways[0])
        business = message.body
        if known.span is not None and key is not None:
            business = _signed(message.body, view, known.value, key).body
        destination = next(
            (one for one in self.config.destination if one.name == known.destination), Destination(name=LOCAL)
        )
        try:
            parcel, business = enclose(
                _claimed(message, view), travel_facts(view.facts), business, destination, self.config
            )
        except GatewayError:
            return business, b""
        return business, parcel.body

    def _receipts(
        self, message: Archived, lines: Sequence[JournalLine], *, redact: bool
    ) -> list[ReceiptPart]:
        known = {receipt.id: receipt for receipt in message.receipts}
        made = []
        for line in lines:
            receipt = known.get(_receipt_of(line)) if line.event == "receipt.filed" else None
            if receipt is not None:
                body, part = (None, None) if redact else self._shown(message, receipt)
                sha256 = _digest(receipt.body)
                made.append(
                    ReceiptPart(event=line.number, receipt=receipt.id, sha256=sha256, body=body, part=part)
                )
        return made

    def _shown(self, message: Archived, receipt: ArchivedReceipt) -> tuple[bytes | None, bytes | None]:
        """Return (raw bytes, None) if they concern only the owner, envelope included, else (None, the owner's part)."""
        own = {row.digest for rows in message.timelines.values() for row in rows if row.arrival == receipt.id}
        try:
            opened = open_collected(receipt.body, self.rules.catalogue)
            keep = [answer.index for answer in opened.answers if answer.digest in own]
            named = opened.envelope.receiver_ids if opened.envelope else ()
            if len(keep) == len(opened.answers) and len(named) <= 1:
                return receipt.body, None
            return None, part_of(opened, keep) if keep else None
        except GatewayError:
            return None, None


def _translation(
    kept: KeptTranslation, repeated: RepeatedTranslation | None, places: Mapping[int, int], *, redact: bool
) -> TranslationPart:
    goods = None if redact else kept.goods
    return TranslationPart(
        event=kept.line.number if kept.line is not None and kept.line.number in places else 0,
        origin=dict(kept.origin),
        size=kept.size,
        source=None if redact else kept.source,
        goods=goods.body if goods else None,
        goods_form=goods.form if goods else "",
        traced=repeated is not None,
        trace=repeated.trace if repeated is not None else (),
        unconsumed=repeated.unconsumed if repeated is not None else (),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recorded:
    """A `signing.keys.files.Signer` that returns the recorded signature for any data."""

    suite: Suite
    key_info: str
    value: bytes
    key_name: str = ""
    certificate_der: bytes = b""

    def sign(self, data: bytes) -> bytes:
        del data
        return self.value


def _signed(body: bytes, view: MessageView, value: str, key: JournalLine) -> Signed:
    """Insert the recorded signature where it was. Raises ValueError and SigningError."""
    known = key_facts(key.detail)
    suite = suite_of(known.signature_method, known.digest_method)
    if not isinstance(suite, Suite):
        raise SigningError(f"{suite} is not known here any more")
    signer = _Recorded(suite=suite, key_info=known.key_info, value=b64decode(value))
    return sign(body, signer, before=travel_facts(view.facts).signature_before)


def _lines(message: Archived) -> list[JournalLine]:
    """Return the lines of the message and those of answers for its owner; a line names one owner at most."""
    receipts = {receipt.id for receipt in message.receipts}
    return [
        line
        for line in message.history
        if line.number
        and (
            (line.uid == message.uid and line.event != "receipt.filed")
            or (
                line.event == "receipt.filed"
                and _receipt_of(line) in receipts
                and _detail(line).get("owner") == message.ways[0].owner
            )
        )
    ]


def _detail(line: JournalLine) -> dict[str, object]:
    try:
        found = json.loads(line.detail)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _receipt_of(line: JournalLine) -> int:
    number = _detail(line).get("receipt")
    return number if isinstance(number, int) else 0


def _sent(line: JournalLine) -> SentFacts | None:
    return sent_facts(line.detail) if line.event == "entry.sent" else None


def _event(line: JournalLine, index: int, tree: Tree) -> EventPart:
    return EventPart(
        number=line.number,
        at=(line.at - _EPOCH) // timedelta(microseconds=1),
        event=line.event,
        uid=line.uid,
        detail=line.detail,
        index=index,
        proof=tuple(step.hex() for step in tree.inclusion(index)),
    )


def _claimed(message: Archived, view: MessageView) -> Claimed:
    return Claimed(
        entry=view.entry,
        claim=0,
        uid=view.uid,
        owner=view.owner,
        kind=view.kind,
        destination=view.destination,
        cop_msg_id=view.cop_msg_id,
        attempts=view.attempts,
        accepted_at=view.accepted_at,
        facts=view.facts,
        way=view.way,
        body=message.body,
    )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
