"""Finds the end of a request's body: by its length, or by its chunks (RFC 9112, 6 and 7)."""

import re
from typing import Final, Protocol

from gateway.doors.http.request_head import MalformedHead

_SIZE_LINE_BYTES: Final = 256
"""Longest line with a chunk's size and its extensions, which are ignored."""
_TRAILER_BYTES: Final = 8 * 1024
"""Most bytes of fields after the body; they are ignored."""
_CHUNKS_AT_ONCE: Final = 1000
_LEAST_CHUNK_BYTES: Final = 64
"""Least average size of further chunks: smaller ones cost more to join than they carry."""
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")


class Framing(Protocol):
    """Extracts the body of one request from the input of its connection."""

    whole: bool

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the part of the body, and what comes after it once it is `whole`. Raises MalformedHead."""
        ...


class LengthFraming:
    """A body of known length."""

    __slots__ = ("_left", "whole")

    def __init__(self, length: int) -> None:
        self._left = length
        self.whole = not length

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """Do as `Framing.take`."""
        left = self._left
        self._left = max(0, left - len(data))
        self.whole = not self._left
        return (data, b"") if len(data) <= left else (data[:left], data[left:])


class ChunkedFraming:
    """A body in chunks; buffers no more than an incomplete line."""

    __slots__ = ("_chunks", "_held", "_left", "_size", "_trailer", "whole")

    def __init__(self) -> None:
        self._held = b""
        self._left = 0
        """Bytes of the present chunk, including its line end, still to come."""
        self._trailer: int | None = None
        """Bytes of the fields after the body so far; None: the body has not ended."""
        self._chunks = 0
        self._size = 0
        self.whole = False

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """Do as `Framing.take`."""
        data = self._held + data
        parts: list[bytes] = []
        at = 0
        while not self.whole:
            if self._left:
                at = self._in_chunk(data, at, parts)
                if self._left:
                    break
            end = data.find(b"\r\n", at)
            if end < 0:
                self._check_unfinished(data, at)
                break
            self._line(data[at:end])
            at = end + 2
        self._held = b"" if self.whole else data[at:]
        return b"".join(parts), data[at:] if self.whole else b""

    def _in_chunk(self, data: bytes, at: int, parts: list[bytes]) -> int:
        """Take the available part of the present chunk; return where it ends."""
        of_chunk = data[at : at + max(0, self._left - 2)]
        if of_chunk:
            parts.append(of_chunk)
            self._left -= len(of_chunk)
            at += len(of_chunk)
        if self._left == len(b"\r\n"):
            ending = data[at : at + 2]
            if ending != b"\r\n"[: len(ending)]:
                raise _bad_chunk()
            if len(ending) == len(b"\r\n"):
                self._left = 0
                at += 2
        return at

    def _line(self, line: bytes) -> None:
        """Parse a line: the size of the next chunk, or a field after the last."""
        if self._trailer is not None:
            self._trailer += len(line) + 2
            self.whole = not line
            if self._trailer > _TRAILER_BYTES:
                raise _bad_chunk()
            return
        found = _SIZE.fullmatch(line) if len(line) <= _SIZE_LINE_BYTES else None
        if found is None:
            raise _bad_chunk()
        size = int(found[1], 16)
        if not size:
            self._trailer = 0
            return
        self._chunks += 1
        self._size += size
        if self._chunks > _CHUNKS_AT_ONCE + self._size // _LEAST_CHUNK_BYTES:
            raise MalformedHead(
                "bad-request",
                f"the chunks of the body are smaller than {_LEAST_CHUNK_BYTES} bytes",
                f"分块小于 {_LEAST_CHUNK_BYTES} 字节",
                "send larger chunks, or Content-Length",
                "请增大分块，或改用Content-Length",
            )
        self._left = size + 2

    def _check_unfinished(self, data: bytes, at: int) -> None:
        """Check that an incomplete line is not too long and contains no bare line feed."""
        if b"\n" in data[at:] or len(data) - at > (
            _SIZE_LINE_BYTES if self._trailer is None else _TRAILER_BYTES
        ):
            raise _bad_chunk()


def framing(length: int | None) -> Framing:
    """Return the framing of a body of this length; None: it comes in chunks."""
    return ChunkedFraming() if length is None else LengthFraming(length)


def _bad_chunk() -> MalformedHead:
    return MalformedHead(
        "bad-request",
        "the chunks of the body are not of their form",
        "分块格式错误",
        "send Content-Length",
        "请改用Content-Length",
    )
