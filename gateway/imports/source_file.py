"""The source of a claimed import as a file: read from the spool once, with no name on disk, and a sign of life at every read."""

import io
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, cast

_BUFFER_BYTES = 256 * 1024


class LivelyFile(io.RawIOBase):
    """A file that calls `alive` at each read: who reads a large source for minutes still shows that it goes on."""

    def __init__(self, file: BinaryIO, alive: Callable[[], None]) -> None:
        self._file = file
        self._alive = alive

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: "memoryview | bytearray", /) -> int:  # type: ignore[override]
        """Read up to the size of the buffer; 0 at the end."""
        self._alive()
        part = self._file.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move the position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file, which removes it from disk."""
        self._file.close()
        super().close()


def source_file(chunks: Iterable[bytes], folder: Path, alive: Callable[[], None]) -> BinaryIO:
    """Write a source into an unnamed file in this folder, and return it for reading."""
    file = cast("BinaryIO", tempfile.TemporaryFile(dir=folder))  # noqa: SIM115 (the caller closes it)
    try:
        for chunk in chunks:
            alive()
            file.write(chunk)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return cast("BinaryIO", io.BufferedReader(LivelyFile(file, alive), _BUFFER_BYTES))
