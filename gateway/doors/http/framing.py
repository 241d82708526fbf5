"""Where the body of a request ends: by its length, or by its chunks (RFC 9112, 6 and 7)."""

import re
from typing import Final, Protocol

from gateway.doors.http.request_head import MalformedHead

_SIZE_LINE_BYTES: Final = 256
"""A chunk's size with its extensions, which nobody reads."""
_TRAILER_BYTES: Final = 8 * 1024
"""Fields after the body; they are passed over."""
_CHUNKS_AT_ONCE: Final = 1000
_LEAST_CHUNK_BYTES: Final = 64
"""On average, beyond the first chunks: what is cut smaller costs more to join than it carries."""
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")


class Framing(Protocol):
    """Cuts the body of one request out of what comes on its connection."""

    whole: bool

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """Return what is of the body, and what comes after it once it is `whole`. Raises Unreadable."""
        ...


class LengthFraming:
    """A body of so many bytes."""

    __slots__ = ("_left", "whole")

    def __init__(self, length: int) -> None:
        self._left = length
        self.whole = not length

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """As the Protocol says."""
        left = self._left
        self._left = max(0, left - len(data))
        self.whole = not self._left
        return (data, b"") if len(data) <= left else (data[:left], data[left:])


class ChunkedFraming:
    """A body in chunks; keeps no more of them than a line that is not whole."""

    __slots__ = ("_chunks", "_held", "_left", "_size", "_trailer", "whole")

    def __init__(self) -> None:
        self._held = b""
        self._left = 0
        """Bytes of the present chunk, with its line end, that are still to come."""
        self._trailer: int | None = None
        """Bytes of the fields after the body so far; None: it is not at its end."""
        self._chunks = 0
        self._size = 0
        self.whole = False

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """As the Protocol says."""
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
        """Take what is there of the present chunk; return where it ends."""
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
        """Read a line: the size of the next chunk, or a field after the last."""
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
            )
        self._left = size + 2

    def _check_unfinished(self, data: bytes, at: int) -> None:
        """See that a line that is not whole does not grow without end, and has not ended in another way."""
        if b"\n" in data[at:] or len(data) - at > (
            _SIZE_LINE_BYTES if self._trailer is None else _TRAILER_BYTES
        ):
            raise _bad_chunk()


def framing(length: int | None) -> Framing:
    """Return what finds the end of a body that has this length; None: it comes in chunks."""
    return ChunkedFraming() if length is None else LengthFraming(length)


def _bad_chunk() -> MalformedHead:
    return MalformedHead(
        "bad-request", "the chunks of the body are not of their form", "分块格式错误", "send Content-Length"
    )
