"""The ZIP archive of an XLSX file: what it is at all, and the bounds of its members before anything is inflated."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO, Final
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from gateway.errors import Refused
from gateway.mapping.sources.refusing import refused
from gateway.mapping.sources.table import SourceLimits
from gateway.mapping.sources.text import found_form

CHUNK_BYTES: Final = 64 * 1024
_END: Final = b"PK\x05\x06"
_END_FIXED: Final = 22
_END_BYTES: Final = _END_FIXED + 65535
"""The record at the end with the longest comment (APPNOTE 4.3.16)."""
_END64: Final = struct.Struct("<4sQ2H2L4Q")
_LOCATOR: Final = struct.Struct("<4sLQL")
_ENTRY_BYTES: Final = 1024
"""Of a member in the directory, on average at most."""
_ENCRYPTED: Final = 0x1
_WIDE: Final = "utf-16-le"
_OLE: Final = (
    ("EncryptedPackage".encode(_WIDE), "password"),
    ("Workbook".encode(_WIDE), "old_workbook"),
    ("Book".encode(_WIDE), "old_workbook"),
)
"""Names in the directory of a compound file (MS-CFB 2.6.1) → what it is."""
_OTHERS: Final = (
    ("xl/vbaProject.bin", "macros"), ("xl/workbook.bin", "binary_workbook"), ("content.xml", "open_document"),
    ("Index/Document.iwa", "numbers_document"), ("word/document.xml", "other_office"), ("ppt/presentation.xml", "other_office"),
)  # fmt: skip
"""Members that only other kinds of file have → what it is."""
DAMAGED: Final = (BadZipFile, zlib.error, EOFError, NotImplementedError, struct.error, OSError, ValueError)
"""What reading a damaged archive raises."""


class WorkbookArchive:
    """The members of an XLSX file."""

    def __init__(self, file: BinaryIO, limits: SourceLimits) -> None:
        """Check what can be checked without inflating anything. Raises Refused `not-xlsx`, `too-large`."""
        self._file = file
        _check_start(file)
        _check_directory(file, limits)
        try:
            self._zip = ZipFile(file)
        except DAMAGED as wrong:
            raise refused("not-xlsx", "damaged", part="ZIP") from wrong
        self._members = self._checked(limits)

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._members

    def read(self, name: str, most: int) -> bytes:
        """Return a small member whole. Raises Refused if it is not there, damaged or larger than `most` bytes."""
        with self.opened(name) as chunks:
            found = b""
            for chunk in chunks:
                found += chunk
                if len(found) > most:
                    raise refused("too-large", "part_size", part=name, limit=most)
            return found

    @contextmanager
    def opened(self, name: str) -> Iterator[Iterator[bytes]]:
        """Give the bytes of a member in chunks; the last one comes after its checksum held. Raises Refused."""
        info = self._members.get(name.lower())
        if info is None:
            raise refused("not-xlsx", "missing_part", part=name)
        try:
            member = self._zip.open(info)
        except DAMAGED as wrong:
            raise refused("not-xlsx", "damaged", part=name) from wrong
        with member:
            yield self._chunks(member, name)

    @staticmethod
    def _chunks(member: IO[bytes], name: str) -> Iterator[bytes]:
        while True:
            try:
                chunk = member.read(CHUNK_BYTES)
            except DAMAGED as wrong:
                raise refused("not-xlsx", "damaged", part=name) from wrong
            if not chunk:
                return
            yield chunk

    def _checked(self, limits: SourceLimits) -> dict[str, ZipInfo]:
        infos = self._zip.infolist()
        if len(infos) > limits.members:
            raise refused("too-large", "members", count=len(infos), limit=limits.members)
        members: dict[str, ZipInfo] = {}
        for info in infos:
            if members.setdefault(info.filename.lower(), info) is not info:
                raise refused("not-xlsx", "doubled_part", part=info.filename)
            if info.flag_bits & _ENCRYPTED:
                raise refused("not-xlsx", "password")
            if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
                raise refused("not-xlsx", "compression", part=info.filename)
        _check_inflated(infos, self._file.seek(0, 2), limits)
        for name, rule in _OTHERS:
            if name.lower() in members:
                raise refused("not-xlsx", rule)
        return members


def _check_inflated(infos: list[ZipInfo], size: int, limits: SourceLimits) -> None:
    """Check the sizes that the directory declares: zipfile inflates no more than these."""
    inflated = sum(info.file_size for info in infos)
    if inflated > limits.inflated_bytes:
        raise refused("too-large", "inflated", size=inflated, limit=limits.inflated_bytes)
    if inflated > limits.ratio_from_bytes and inflated > size * limits.ratio:
        raise refused("too-large", "ratio", size=size, inflated=inflated)


def _check_start(file: BinaryIO) -> None:
    file.seek(0)
    head = file.read(8)
    if not head:
        raise refused("not-xlsx", "empty")
    found = found_form(head)
    if found == "XLS":
        raise _ole(file)
    if found not in ("XLSX", "ZIP"):
        raise refused("not-xlsx", "other_form", found=found or "a text (CSV or JSON?)", form="XLSX")


def _ole(file: BinaryIO) -> Refused:
    """Say what a compound file is. Its directory may be anywhere, so that all of it is looked through."""
    file.seek(0)
    before = b""
    while piece := file.read(1 << 20):
        text = before + piece
        for name, rule in _OLE:
            if name in text:
                return refused("not-xlsx", rule)
        before = piece[-64:]
    return refused("not-xlsx", "old_workbook")


def _check_directory(file: BinaryIO, limits: SourceLimits) -> None:
    """Bound the directory before zipfile reads all of it into memory. Raises Refused."""
    size = file.seek(0, 2)
    start = max(0, size - _END_BYTES)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_FIXED:
        raise refused("not-xlsx", "damaged", part="ZIP")
    count, bytes_ = struct.unpack_from("<HL", tail, at + 10)
    if at >= _LOCATOR.size and tail[at - _LOCATOR.size :].startswith(b"PK\x06\x07"):
        count, bytes_ = _directory64(file, tail[at - _LOCATOR.size : at])
    if count > limits.members or bytes_ > limits.members * _ENTRY_BYTES:
        raise refused("too-large", "members", count=count, limit=limits.members)


def _directory64(file: BinaryIO, locator: bytes) -> tuple[int, int]:
    """Return members and bytes of the directory of a ZIP64 archive (APPNOTE 4.3.14)."""
    file.seek(_LOCATOR.unpack(locator)[2])
    record = file.read(_END64.size)
    if len(record) < _END64.size or not record.startswith(b"PK\x06\x06"):
        raise refused("not-xlsx", "damaged", part="ZIP64")
    fields = _END64.unpack(record)
    return fields[7], fields[8]
