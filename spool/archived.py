"""An archived message: all that the spool knows of it as one value, and its form as tar entries."""

import io
import tarfile
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from urllib.parse import quote

import msgspec

from spool.entry import JournalLine, MessageView, TimelineEntry

_RECORD: Final = "record.json"
_BODY: Final = "body"
_SOURCE: Final = "source"
RECEIPT: Final = "receipt-"
"""Prefix of the number of a raw answer, in its file name and in the text by which it is found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedDeclaration:
    """A declaration of an archived message, with every answer about it."""

    identity: str
    version: str
    facts: bytes
    handles: tuple[str, ...]
    answers: tuple[TimelineEntry, ...]
    """Ordered by customs' own time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedReceipt:
    """A raw answer about one of the declarations, unchanged."""

    id: int
    feed: str
    name: str
    kind: str
    cop_msg_id: str
    received_at: datetime
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """All that the spool knows of one settled message."""

    ways: tuple[MessageView, ...]
    """The message with each of its entries; at least one."""
    way_facts: tuple[bytes, ...]
    request_key: str
    body: bytes
    """The accepted bytes."""
    declarations: tuple[ArchivedDeclaration, ...]
    receipts: tuple[ArchivedReceipt, ...]
    history: tuple[JournalLine, ...]
    """Journal lines of the message and of its receipts, oldest first."""
    source: bytes = b""
    """What the accepted bytes were made from; empty: they are as submitted, or an import has it."""

    @property
    def uid(self) -> str:
        """Public id of the message."""
        return self.ways[0].uid

    @property
    def answers(self) -> int:
        """Number of answers of its declarations."""
        return sum(len(rows) for rows in self.timelines.values())

    @property
    def timelines(self) -> dict[str, tuple[TimelineEntry, ...]]:
        """Answers by the identity of the declaration; a message may contain several versions of it."""
        return {one.identity: one.answers for one in self.declarations}


def packed(message: Archived) -> bytes:
    """Return a message as tar entries, without the end-of-archive mark, so that many form one archive."""
    folder = quote(message.uid, safe="")
    bare = replace(
        message, body=b"", source=b"", receipts=tuple(replace(one, body=b"") for one in message.receipts)
    )
    parts = [(_RECORD, msgspec.json.encode(bare)), (_BODY, message.body)]
    parts += [(_SOURCE, message.source)] if message.source else []
    parts += [(f"{RECEIPT}{one.id}", one.body) for one in message.receipts]
    at = int(message.ways[0].accepted_at.timestamp())
    whole = io.BytesIO()
    for name, content in parts:
        entry = tarfile.TarInfo(f"{folder}/{name}")
        entry.size, entry.mtime, entry.mode = len(content), at, 0o600
        whole.write(entry.tobuf(tarfile.GNU_FORMAT))
        whole.write(content.ljust(-(-len(content) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE, b"\0"))
    return whole.getvalue()


def unpacked(content: bytes) -> Archived:
    """Undo `packed`; raises ValueError for other bytes."""
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            parts = {
                entry.name.rpartition("/")[2]: part.read()
                for entry in archive
                if (part := archive.extractfile(entry)) is not None
            }
        message = msgspec.json.decode(parts[_RECORD], type=Archived)
        body = parts[_BODY]
        receipts = tuple(replace(one, body=parts[f"{RECEIPT}{one.id}"]) for one in message.receipts)
    except (tarfile.TarError, msgspec.MsgspecError, KeyError) as error:
        raise ValueError(str(error)) from error
    return replace(message, body=body, source=parts.get(_SOURCE, b""), receipts=receipts)


def texts_of(message: Archived) -> set[str]:
    """Return the texts by which a message is found; `=value` for a value without its name."""
    texts = {message.uid, *(way.cop_msg_id for way in message.ways)}
    for receipt in message.receipts:
        texts |= {receipt.cop_msg_id, f"{RECEIPT}{receipt.id}"}
    for declaration in message.declarations:
        texts |= {declaration.identity, *declaration.handles}
        for text in (declaration.identity, *declaration.handles):
            texts |= {f"={value}" for word in text.split(" ") if (value := word.partition("=")[2])}
    return texts - {""}
