"""Bytes of a text form → lines, in constant memory; each line knows its number."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO, Final

from gateway.mapping.sources.refusing import refused
from gateway.mapping.sources.table import Form, SourceLimits
from gateway.xml.decode import ENCODINGS

_CHUNK_BYTES: Final = 256 * 1024
_LINE: Final = re.compile(r"[^\r\n]*+(?:\r\n|\n|\r)")
_UTF_16: Final = "utf-16"
_CODECS: Final = {
    **ENCODINGS,
    "utf-8-sig": "utf-8",
    "utf8": "utf-8",
    "utf-16": _UTF_16,
    "utf-16le": _UTF_16,
    "utf-16be": _UTF_16,
}
"""Charset in lower case → codec."""
_MARKS: Final = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe", _UTF_16),
    (b"\xfe\xff", _UTF_16),
    (b"\x84\x31\x95\x33", "gb18030"),
)
"""Byte order marks."""
_FORMS: Final = (
    (b"PK\x03\x04", "XLSX"), (b"PK\x05\x06", "ZIP"), (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "XLS"), (b"%PDF-", "PDF"),
    (b"\x1f\x8b", "gzip"), (b"Rar!", "RAR"), (b"7z\xbc\xaf", "7z"),
)  # fmt: skip
"""First bytes of what is not a text."""
_MARKUP: Final = re.compile(rb"\s*<(?:!doctype html|html|\?xml|table|!--)", re.IGNORECASE)
MARK: Final = "\ufeff"


def as_file(source: BinaryIO | bytes) -> BinaryIO:
    """Return a file that can be read from any place."""
    return BytesIO(source) if isinstance(source, bytes) else source


def bounded(file: BinaryIO, limits: SourceLimits) -> int:
    """Return the size in bytes. Raises Refused `too-large`."""
    size = file.seek(0, 2)
    if size > limits.size_bytes:
        raise refused("too-large", "size", size=size, limit=limits.size_bytes)
    return size


def found_form(head: bytes) -> str:
    """Name what is no text by its first bytes; empty: it may be one."""
    for mark, name in _FORMS:
        if head.startswith(mark):
            return name
    return "HTML/XML" if _MARKUP.match(head) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFile:
    """A file in a text form, and its codec."""

    file: BinaryIO
    codec: str
    mark: int
    """Bytes of the byte order mark that are not part of the text."""

    @classmethod
    def of(cls, file: BinaryIO, form: Form, charset: str) -> "TextFile":
        """Find out the codec: what `charset` says, else the byte order mark, else UTF-8; nothing is guessed.

        Raises Refused: `wrong-encoding`, or `not-csv` and `not-json` for what is no text at all.
        """
        file.seek(0)
        head = file.read(1024)
        problem = "not-csv" if form is Form.CSV else "not-json"
        if other := found_form(head):
            raise refused(problem, "other_form", found=other, form=form.upper())
        if form is not Form.CSV and charset.lower() not in ("", "utf-8"):
            raise refused("wrong-encoding", "encoding_json", codec=charset)
        told = _CODECS.get(charset.lower()) if charset else ""
        if told is None:
            raise refused("wrong-encoding", "encoding", codec=charset)
        mark, marked = next(((one, codec) for one, codec in _MARKS if head.startswith(one)), (b"", ""))
        if marked and told and marked != told and {marked, told} - {"gb18030", "gbk", "gb2312"}:
            raise refused("wrong-encoding", "encoding_mark", found=marked.upper(), codec=told.upper())
        codec = marked or told or "utf-8"
        if form is not Form.CSV and codec != "utf-8":
            raise refused("wrong-encoding", "encoding_json", codec=codec.upper())
        if (codec == _UTF_16 and not marked) or (codec == "utf-8" and b"\x00" in head):
            raise refused("wrong-encoding", "encoding_bytes", line=1, column=1, codec=codec.upper())
        return cls(file=file, codec=codec, mark=0 if codec == _UTF_16 else len(mark))

    def texts(self) -> Iterator[str]:
        """Yield the text in pieces; a piece does not end between a carriage return and its line feed.

        Raises Refused `wrong-encoding` with line and column.
        """
        decoder = codecs.getincrementaldecoder(self.codec)()
        place = _Place()
        at, held = self.mark, ""
        while True:
            self.file.seek(at)
            piece = self.file.read(_CHUNK_BYTES)
            at += len(piece)
            text = held + self._decoded(decoder, piece, place, held)
            held = "\r" if piece and text.endswith("\r") else ""
            text = text.removesuffix("\r") if held else text
            place.passed(text)
            if text:
                yield text
            if not piece:
                return

    def _decoded(self, decoder: codecs.IncrementalDecoder, piece: bytes, place: "_Place", held: str) -> str:
        pending = decoder.getstate()[0]
        try:
            return decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as wrong:
            codec = "utf-16-le" if self.codec == _UTF_16 else self.codec
            before = (pending + piece)[: wrong.start].decode(codec, "replace")
            place.passed(held + before)
            raise refused(
                "wrong-encoding",
                "encoding_bytes",
                line=place.line,
                column=place.column,
                codec=self.codec.upper(),
            ) from wrong

    def lines(self, limit: int) -> Iterator[tuple[int, str]]:
        """Yield each line with its end, and its number. Raises Refused `not-csv` for a line of more than `limit`."""
        number, parts, size = 0, [""], 0
        for text in self.texts():
            end = max(text.rfind("\n"), text.rfind("\r")) + 1
            if not end:
                size += len(text)
                parts.append(text)
                if size > limit:
                    raise LongLineError(number + 1)
                continue
            parts.append(text[:end])
            for line in _LINE.findall("".join(parts)):
                number += 1
                if len(line) > limit:
                    raise LongLineError(number)
                yield number, line
            parts, size = [text[end:]], len(text) - end
        if last := "".join(parts):
            yield number + 1, last


class LongLineError(Exception):
    """A line is longer than may be in memory."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


class _Place:
    """Line and column behind what has been read so far."""

    def __init__(self) -> None:
        self.line = 1
        self.column = 1

    def passed(self, text: str) -> None:
        ends = text.count("\n") + text.count("\r") - text.count("\r\n")
        self.line += ends
        last = max(text.rfind("\n"), text.rfind("\r"))
        self.column = self.column + len(text) if last < 0 else len(text) - last
