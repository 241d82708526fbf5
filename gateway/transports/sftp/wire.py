"""SFTP version 3 requests over an SSH channel, many in flight at once.

paramiko's own client waits for the answer to each open, close, stat and rename; with a batch of small files
this takes most of the time. Therefore requests are encoded here (draft-ietf-secsh-filexfer-02), written
together, and their answers read together.
"""

import re
import stat
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import paramiko

from gateway.transports.progress import LOOK_S, Progress

IN_FLIGHT = 128
"""Requests in one window at most."""
IN_FLIGHT_BYTES = 1024 * 1024
"""Bytes of one window at most, in either direction: less than the SSH window, so that neither side blocks."""
BLOCK_BYTES = 32 * 1024
"""Size that every server supports in one read or write (draft section 3)."""
LARGEST_PACKET_BYTES = 4 * 1024 * 1024

READ, WRITE, CREATE, TRUNCATE = 0x01, 0x02, 0x08, 0x10
HAS_SIZE, HAS_OWNER, HAS_MODE, HAS_TIMES, HAS_MORE = 0x01, 0x02, 0x04, 0x08, 0x80000000

NO_FILE = re.compile(r"[dlcbps][-r][-w][-xsStT]")
"""Start of an entry's text line (as in `ls -l`) when the entry is not a file."""


class Kind(IntEnum):
    """Packet types (draft section 3)."""

    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    WRITE = 6
    FSTAT = 8
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    STAT = 17
    RENAME = 18
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105
    EXTENDED = 200


class Status(IntEnum):
    """Status codes (draft section 7) that are distinguished."""

    OK = 0
    EOF = 1
    NO_SUCH_FILE = 2
    PERMISSION_DENIED = 3
    UNSUPPORTED = 8


class SftpProtocolError(Exception):
    """The other side violated the SFTP protocol, or closed the channel."""


@dataclass(frozen=True, slots=True)
class SftpRequest:
    """One request; `answer_bytes` is the expected size of its answer at most."""

    kind: Kind
    fields: bytes
    answer_bytes: int = 256


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A server's data about a file; mode and time are 0 if not reported."""

    name: str = ""
    size: int | None = None
    mode: int = 0
    modified: int = 0
    line: str = ""
    """The same as text, as in `ls -l`."""

    @property
    def is_folder(self) -> bool:
        """Whether it is known to be a folder."""
        return stat.S_ISDIR(self.mode) or (
            not stat.S_IFMT(self.mode) and self.line[:1] == "d" and self._is_none
        )

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file, or of unknown type: some servers report no type."""
        return stat.S_ISREG(self.mode) or (not stat.S_IFMT(self.mode) and not self._is_none)

    @property
    def _is_none(self) -> bool:
        return NO_FILE.match(self.line) is not None


class SftpReply:
    """One answer, decoded on demand; the methods raise SftpProtocolError when it is of another kind."""

    __slots__ = ("_body", "kind")

    def __init__(self, kind: int, body: bytes) -> None:
        self.kind = kind
        self._body = body

    @property
    def status(self) -> int:
        """Status code; OK for every answer that carries a result."""
        return _Reader(self._body).number() if self.kind == Kind.STATUS else Status.OK

    @property
    def text(self) -> str:
        """The server's message with a status."""
        if self.kind != Kind.STATUS:
            return ""
        reader = _Reader(self._body)
        code = reader.number()
        words = reader.string().decode("utf-8", "replace") if reader.more() else ""
        return words or f"status {code}"

    def string(self) -> bytes:
        """Return the handle or the data."""
        if self.kind not in (Kind.HANDLE, Kind.DATA):
            raise SftpProtocolError(f"unexpected answer of type {self.kind}")
        return _Reader(self._body).string()

    def info(self) -> FileInfo:
        """Return the attributes."""
        if self.kind != Kind.ATTRS:
            raise SftpProtocolError(f"unexpected answer of type {self.kind}")
        return _Reader(self._body).attributes()

    def listing(self) -> Iterator[FileInfo]:
        """Yield the names of one page of a folder."""
        if self.kind != Kind.NAME:
            raise SftpProtocolError(f"unexpected answer of type {self.kind}")
        reader = _Reader(self._body)
        for _ in range(reader.number()):
            name = reader.string().decode("utf-8", "surrogateescape")
            line = reader.string().decode("utf-8", "replace")
            yield reader.attributes(name, line)


class SftpWire:
    """The client's end of one `sftp` subsystem. Raises OSError, SSHException or SftpProtocolError when it fails."""

    def __init__(
        self, channel: paramiko.Channel, progress: Progress, *, queued: Callable[[], int] = lambda: 0
    ) -> None:
        """Exchange versions; `queued` returns how many written bytes the other side's system has not acknowledged."""
        self._channel = channel
        self._queued = queued
        self._written = 0
        self._unread = bytearray()
        self._next_id = 0
        self._send(_packet(Kind.INIT, struct.pack(">I", 3)), progress)
        kind, body = self._packet(progress)
        if kind != Kind.VERSION:
            raise SftpProtocolError("the server does not speak SFTP")
        self.extensions = _extensions(body)

    def ask(self, requests: Sequence[SftpRequest], progress: Progress) -> list[SftpReply]:
        """Send all requests and return their answers in the same order; the server executes them in order."""
        replies: list[SftpReply] = []
        for window in _windows(requests):
            replies += self._exchange(window, progress)
        return replies

    def _exchange(self, requests: Sequence[SftpRequest], progress: Progress) -> list[SftpReply]:
        first = self._next_id
        self._next_id = (first + len(requests)) % 2**31
        numbered = {(first + place) % 2**31: place for place in range(len(requests))}
        packets = (
            _packet(request.kind, struct.pack(">I", number) + request.fields)
            for number, request in zip(numbered, requests, strict=True)
        )
        self._send(b"".join(packets), progress)
        replies: dict[int, SftpReply] = {}
        while len(replies) < len(requests):
            kind, body = self._packet(progress)
            reader = _Reader(body)
            place = numbered.get(reader.number())
            if place is None:
                raise SftpProtocolError("the server answered a question that was not asked")
            replies[place] = SftpReply(kind, body[4:])
        return [replies[place] for place in range(len(requests))]

    def _send(self, packets: bytes, progress: Progress) -> None:
        """Write in pieces, each of which counts as progress. Raises TimeoutError when the time is over."""
        at = 0
        while at < len(packets):
            self._channel.settimeout(_left(progress))
            count = self._channel.send(packets[at : at + BLOCK_BYTES])
            if not count:
                raise SftpProtocolError("the server closed the connection")
            self._written += count
            progress.made()
            at += count

    def _packet(self, progress: Progress) -> tuple[int, bytes]:
        (size,) = struct.unpack(">I", self._bytes(4, progress))
        if not 1 <= size <= LARGEST_PACKET_BYTES:
            raise SftpProtocolError("the server sent something that is not SFTP")
        packet = self._bytes(size, progress)
        return packet[0], packet[1:]

    def _bytes(self, count: int, progress: Progress) -> bytes:
        while len(self._unread) < count:
            self._channel.settimeout(min(LOOK_S, _left(progress)))
            try:
                piece = self._channel.recv(256 * 1024)
            except TimeoutError:
                progress.taken(self._written - self._queued())
                continue
            if not piece:
                raise SftpProtocolError("the server closed the connection")
            self._unread += piece
            progress.made()
        taken = bytes(self._unread[:count])
        del self._unread[:count]
        return taken


class _Reader:
    """Reads big-endian fields from the front of a packet."""

    __slots__ = ("_body", "_place")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._place = 0

    def more(self) -> bool:
        return self._place < len(self._body)

    def number(self, size: int = 4) -> int:
        return int.from_bytes(self._take(size), "big")

    def string(self) -> bytes:
        return self._take(self.number())

    def attributes(self, name: str = "", line: str = "") -> FileInfo:
        flags = self.number()
        size = self.number(8) if flags & HAS_SIZE else None
        if flags & HAS_OWNER:
            self._take(8)
        mode = self.number() if flags & HAS_MODE else 0
        modified = 0
        if flags & HAS_TIMES:
            self._take(4)
            modified = self.number()
        for _ in range(2 * self.number() if flags & HAS_MORE else 0):
            self.string()
        return FileInfo(name, size, mode, modified, line)

    def _take(self, count: int) -> bytes:
        taken = self._body[self._place : self._place + count]
        if len(taken) != count:
            raise SftpProtocolError("the server sent a truncated packet")
        self._place += count
        return taken


def text(value: str | bytes) -> bytes:
    """Encode a string field; names are UTF-8."""
    raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return struct.pack(">I", len(raw)) + raw


def open_file(path: str, flags: int) -> SftpRequest:
    """Open a file; the answer has the handle."""
    return SftpRequest(Kind.OPEN, text(path) + struct.pack(">II", flags, 0))


def write(handle: bytes, offset: int, block: bytes) -> SftpRequest:
    """Write one block of at most `BLOCK_BYTES`."""
    return SftpRequest(Kind.WRITE, text(handle) + struct.pack(">Q", offset) + text(block))


def read(handle: bytes, offset: int) -> SftpRequest:
    """Read one block; the answer may be shorter."""
    return SftpRequest(Kind.READ, text(handle) + struct.pack(">QI", offset, BLOCK_BYTES), 256 + BLOCK_BYTES)


def on_handle(kind: Kind, handle: bytes) -> SftpRequest:
    """CLOSE, FSTAT or READDIR; a page of a folder has up to some ten thousand bytes."""
    return SftpRequest(kind, text(handle), BLOCK_BYTES if kind is Kind.READDIR else 256)


def on_path(kind: Kind, path: str) -> SftpRequest:
    """STAT, REMOVE or OPENDIR."""
    return SftpRequest(kind, text(path))


def rename(old: str, new: str) -> SftpRequest:
    """Rename as the draft defines it: fails when the new name is taken."""
    return SftpRequest(Kind.RENAME, text(old) + text(new))


def replace(old: str, new: str) -> SftpRequest:
    """Rename as POSIX defines it: replaces an existing file (OpenSSH extension)."""
    return SftpRequest(Kind.EXTENDED, text("posix-rename@openssh.com") + text(old) + text(new))


def sync(handle: bytes) -> SftpRequest:
    """Ask the server to fsync (OpenSSH extension)."""
    return SftpRequest(Kind.EXTENDED, text("fsync@openssh.com") + text(handle))


def _packet(kind: Kind, body: bytes) -> bytes:
    return struct.pack(">IB", len(body) + 1, kind) + body


def _left(progress: Progress) -> float:
    left_s = progress.left_s
    if left_s <= 0:
        raise TimeoutError("no answer in time")
    return left_s


def _windows(requests: Sequence[SftpRequest]) -> Iterator[list[SftpRequest]]:
    window: list[SftpRequest] = []
    size = 0
    for request in requests:
        weight = max(len(request.fields), request.answer_bytes)
        if window and (len(window) == IN_FLIGHT or size + weight > IN_FLIGHT_BYTES):
            yield window
            window, size = [], 0
        window.append(request)
        size += weight
    if window:
        yield window


def _extensions(body: bytes) -> frozenset[str]:
    reader = _Reader(body)
    reader.number()
    names: list[str] = []
    while reader.more():
        names.append(reader.string().decode("ascii", "replace"))
        reader.string()
    return frozenset(names)
