"""Find where elements begin and end in the bytes of a document, so that they can be cut without rewriting it."""

from dataclasses import dataclass
from typing import Final
from xml.parsers import expat

from gateway.errors import EnvelopeError, Refused
from gateway.xml.decode import encoding_of

_ROOT: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One element: its local name and its half-open byte range, both tags included."""

    name: str
    start: int
    end: int


def root_span(document: bytes) -> Span:
    """Return the span of the root element, without anything before or after it. Raises EnvelopeError."""
    return spans_at(document, _ROOT)[0]


def child_spans(document: bytes) -> tuple[Span, ...]:
    """Return the spans of the root's child elements in document order. Raises EnvelopeError."""
    return spans_at(document, _ROOT + 1)


def spans_at(document: bytes, depth: int) -> tuple[Span, ...]:
    """Return the spans of every element of one level, the root being level 1. Raises EnvelopeError.

    CDATA, comments and attributes with `>` are handled correctly.
    """
    try:
        codec = encoding_of(document)
        text = "" if codec == "utf-8" else document.decode(codec)
        found = _Tokens(depth).read(text.encode() if text else document)
    except (Refused, UnicodeDecodeError, expat.ExpatError, _DoctypeError) as error:
        raise EnvelopeError(f"not an XML document: {error}", fix="look at the raw bytes") from error
    return found if codec == "utf-8" else _in_bytes_of(codec, document, text, found)


class _DoctypeError(Exception):
    """The document has a document type declaration: parsing stops."""


class _Tokens:
    """Expat handlers that record the byte index of each start tag, and of the next token after each end tag."""

    def __init__(self, depth: int) -> None:
        self._wanted = depth
        self._depth = 0
        self._open: tuple[str, int] | None = None
        self._ended = False
        self._found: list[Span] = []
        # The encoding is given here, so that the XML declaration of a transcoded document is ignored.
        self._parser = expat.ParserCreate("utf-8")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.DefaultHandlerExpand = self._other
        self._parser.StartDoctypeDeclHandler = self._doctype

    def read(self, document: bytes) -> tuple[Span, ...]:
        self._parser.Parse(document, True)
        self._close(len(document))
        return tuple(self._found)

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        self._close(self._parser.CurrentByteIndex)
        self._depth += 1
        if self._depth == self._wanted:
            self._open = (name.rpartition(":")[2], self._parser.CurrentByteIndex)

    def _end(self, _name: str) -> None:
        self._close(self._parser.CurrentByteIndex)
        self._ended = self._depth == self._wanted
        self._depth -= 1

    def _other(self, _text: str) -> None:
        self._close(self._parser.CurrentByteIndex)

    def _doctype(self, *_parts: object) -> None:
        raise _DoctypeError("it has a document type declaration")

    def _close(self, at: int) -> None:
        if self._ended and self._open is not None:
            name, start = self._open
            self._found.append(Span(name=name, start=start, end=at))
            self._ended, self._open = False, None


def _in_bytes_of(codec: str, document: bytes, text: str, found: tuple[Span, ...]) -> tuple[Span, ...]:
    """Convert offsets in the UTF-8 form to offsets in the document's own encoding, in one pass."""
    utf8, at, own = text.encode(), 0, 0
    places: dict[int, int] = {}
    for offset in sorted({place for span in found for place in (span.start, span.end)}):
        piece = utf8[at:offset].decode()
        begin, at, own = own, offset, own + len(piece.encode(codec))
        if document[begin:own].decode(codec, "replace") != piece:
            raise EnvelopeError(f"{codec} text that cannot be cut exactly", fix="hand it on whole")
        places[offset] = own
    return tuple(Span(name=span.name, start=places[span.start], end=places[span.end]) for span in found)
