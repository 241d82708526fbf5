"""What the spool and the archive keep of how a message was translated."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from gateway.evidence.bundle import SOURCE_BYTES
from gateway.goods.columns import GOODS
from gateway.provenance.mapping_record import mapping_record, mapping_uid
from gateway.provenance.repeat import RecordedGoods, RecordedTranslation
from spool.archived import Archived
from spool.entry import JournalLine
from spool.store import Spool


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTranslation:
    """The records of one translation, as far as they are there."""

    spool: Spool
    origin: Mapping[str, str]
    """As in the journal."""
    line: JournalLine | None
    """The line with the texts of the mapping."""
    size: int
    """Of the source; 0: it is not there any more."""
    source: bytes | None
    """The source, unless it is gone, or larger than a file of evidence holds."""
    goods: RecordedGoods | None
    job: int = 0
    """Number of the import that has the source; 0: none has."""

    def chunks(self) -> Iterator[bytes]:
        """Yield the source, whatever its size. Raises SpoolError."""
        return iter([self.source]) if self.source is not None else self.spool.import_source(self.job)

    def recorded(self, source: bytes | BinaryIO) -> RecordedTranslation | None:
        """Return what it takes to translate the source again; None: it cannot be."""
        if self.line is None or ("goods_sha256" in self.origin and self.goods is None):
            return None
        return RecordedTranslation(
            origin=self.origin, record=mapping_record(self.line.detail), source=source, goods=self.goods
        )


def kept_translation(spool: Spool, message: Archived) -> KeptTranslation | None:
    """Return what is kept of the translation of a message; None: it was submitted as it is. Raises SpoolError."""
    accepted = (line for line in message.history if line.uid == message.uid)
    origin = next((origin_of(line.detail) for line in accepted if line.event == "message.accepted"), {})
    if "mapping_sha256" not in origin:
        return None
    source, size, number = message.source, len(message.source), 0
    if "import" in origin and (job := spool.import_job(origin["import"])) is not None:
        size, number = job.size_bytes, job.number
        source = b"".join(spool.import_source(number)) if size <= SOURCE_BYTES else b""
    sound = hashlib.sha256(source).hexdigest() == origin.get("source_sha256")
    if source and not sound:  # the import is being deleted
        size = 0
    return KeptTranslation(
        spool=spool,
        origin=origin,
        line=next(spool.history(mapping_uid(origin["mapping_sha256"])), None),
        size=size,
        source=source if sound else None,
        goods=_goods(spool, message.ways[0].owner, origin.get("goods_sha256", "")),
        job=number,
    )


def origin_of(detail: str) -> dict[str, str]:
    """Return what the line of an acceptance says of the translation, empty when it says nothing."""
    try:
        told = json.loads(detail)
    except ValueError:
        return {}
    origin = told.get("origin") if isinstance(told, dict) else None
    if not isinstance(origin, dict) or not all(isinstance(text, str) for text in origin.values()):
        return {}
    return origin


def _goods(spool: Spool, owner: str, sha256: str) -> RecordedGoods | None:
    """Return the register of this digest, if it is still that in force."""
    body = spool.register_body(owner, GOODS) if sha256 else None
    found = spool.register(owner, GOODS) if body is not None else None
    if body is None or found is None or hashlib.sha256(body).hexdigest() != sha256:
        return None
    return RecordedGoods(body=body, form=found.form)
