"""The folder tree that the simulator's SFTP clients see: confined to the root, arrivals detected on rename."""

import os
import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko
from paramiko.sftp import (
    SFTP_FAILURE,
    SFTP_NO_SUCH_FILE,
    SFTP_OK,
    SFTP_OP_UNSUPPORTED,
    SFTP_PERMISSION_DENIED,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer

UNFINISHED = (".tmp", ".part")


def is_unfinished(name: str) -> bool:
    """Return whether a file is still being written, judged by its name."""
    return name.startswith(".") or name.lower().endswith(UNFINISHED)


@dataclass(frozen=True, slots=True, kw_only=True)
class DropBox:
    """The folders, and the callback for arrivals."""

    root: Path
    """Absolute and resolved."""
    incoming: str
    outgoing: str
    on_message: Callable[[bytes, str], None]
    plain: bool = False
    """Only what the draft of SFTP defines, without OpenSSH's posix-rename."""

    def offer(self, body: bytes, name: str) -> None:
        """Write a receipt under a temporary name, then rename it, so that clients see only whole files."""
        folder = self.root / self.outgoing
        temporary = folder / f".{name}.part"
        temporary.write_bytes(body)
        temporary.replace(folder / name)

    def place(self, path: str) -> Path:
        """Resolve a client's path below the root; raises PermissionError for a path that leads outside."""
        inside = posixpath.normpath(posixpath.join("/", path)).lstrip("/")
        place = self.root / inside
        # A symbolic link in the folder could still lead outside.
        if not place.parent.resolve().is_relative_to(self.root) or place.is_symlink():
            raise PermissionError(path)
        return place

    def arrives(self, old: Path, new: Path) -> bool:
        """Return whether a rename completes an envelope."""
        folder = self.root / self.incoming
        return new.parent == folder and not is_unfinished(new.name) and is_unfinished(old.name)


class FolderSession(paramiko.SFTPServerInterface):
    """One client's session; paramiko calls it from the thread of that connection, one request at a time."""

    def __init__(self, server: paramiko.ServerInterface, box: DropBox) -> None:
        super().__init__(server)
        self._box = box

    def list_folder(self, path: str) -> list[paramiko.SFTPAttributes] | int:
        """List a folder; files that vanish meanwhile are left out."""
        try:
            names = [place.name for place in self._box.place(path).iterdir()]
        except OSError as error:
            return _status(error)
        found = [(name, self.lstat(posixpath.join(path, name))) for name in names]
        listed = []
        for name, attributes in found:
            if isinstance(attributes, paramiko.SFTPAttributes):
                attributes.filename = name
                listed.append(attributes)
        return listed

    def stat(self, path: str) -> paramiko.SFTPAttributes | int:
        """Return size, mode and times."""
        try:
            return paramiko.SFTPAttributes.from_stat(self._box.place(path).stat())
        except OSError as error:
            return _status(error)

    def lstat(self, path: str) -> paramiko.SFTPAttributes | int:
        """As `stat`: there are no links to follow here."""
        return self.stat(path)

    def open(self, path: str, flags: int, attr: paramiko.SFTPAttributes) -> paramiko.SFTPHandle | int:  # noqa: ARG002  # paramiko's signature
        """Open a file; never outside the root, never through a link."""
        try:
            return _OpenFile(self._box.place(path), flags)
        except OSError as error:
            return _status(error)

    def remove(self, path: str) -> int:
        """Remove a file."""
        try:
            self._box.place(path).unlink()
        except OSError as error:
            return _status(error)
        return SFTP_OK

    def rename(self, oldpath: str, newpath: str) -> int:
        """Rename; fails when the new name is taken."""
        try:
            if self._box.place(newpath).exists():
                return SFTP_FAILURE
        except OSError as error:
            return _status(error)
        return self._replace(oldpath, newpath)

    def posix_rename(self, oldpath: str, newpath: str) -> int:
        """Rename and replace an existing file."""
        return SFTP_OP_UNSUPPORTED if self._box.plain else self._replace(oldpath, newpath)

    def _replace(self, old_path: str, new_path: str) -> int:
        """Rename and replace; an envelope that this completes is first passed to `on_message`."""
        try:
            old, new = self._box.place(old_path), self._box.place(new_path)
            if self._box.arrives(old, new):
                self._box.on_message(old.read_bytes(), new.name)
            old.replace(new)
        except OSError as error:
            return _status(error)
        except Exception:  # noqa: BLE001  # the script behind on_message refuses by raising anything
            return SFTP_FAILURE
        return SFTP_OK


class _OpenFile(paramiko.SFTPHandle):
    """An open file, read and written at given offsets, so that no state is kept between requests."""

    def __init__(self, path: Path, flags: int) -> None:
        super().__init__(flags)
        self._descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def close(self) -> None:
        os.close(self._descriptor)

    def read(self, offset: int, length: int) -> bytes | int:
        try:
            return os.pread(self._descriptor, length, offset)
        except OSError as error:
            return _status(error)

    def write(self, offset: int, data: "Buffer") -> int:
        try:
            rest = memoryview(data)
            while rest:
                written = os.pwrite(self._descriptor, rest, offset)
                offset, rest = offset + written, rest[written:]
        except OSError as error:
            return _status(error)
        return SFTP_OK

    def stat(self) -> paramiko.SFTPAttributes | int:
        try:
            return paramiko.SFTPAttributes.from_stat(os.fstat(self._descriptor))
        except OSError as error:
            return _status(error)


def _status(error: OSError) -> int:
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return SFTP_NO_SUCH_FILE
        case PermissionError():
            return SFTP_PERMISSION_DENIED
        case _:
            return SFTP_FAILURE
