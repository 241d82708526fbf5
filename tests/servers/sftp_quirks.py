"""SFTP servers as some are: the simulator's, with the habits of others."""

from collections.abc import Iterable
from typing import ClassVar

import paramiko
from paramiko.sftp import SFTP_BAD_MESSAGE, SFTP_FAILURE, SFTP_OP_UNSUPPORTED, SFTP_PERMISSION_DENIED

from gateway.simulator.sftp_folder import FolderSession

SHORT_BYTES = 700
POSIX_RENAME = {
    "posix-rename unsupported": SFTP_OP_UNSUPPORTED,
    "posix-rename fails": SFTP_FAILURE,
    "posix-rename denied": SFTP_PERMISSION_DENIED,
    "posix-rename unknown": SFTP_BAD_MESSAGE,
}
Told = paramiko.SFTPAttributes | int


def session_with(quirks: Iterable[str]) -> type[FolderSession]:
    """Make what the clients of a server with these habits meet; a name that is not known does nothing."""
    return type("Quirky", (_Session,), {"has": frozenset(quirks)})


class _Session(FolderSession):
    has: ClassVar[frozenset[str]]

    def list_folder(self, path: str) -> list[paramiko.SFTPAttributes] | int:
        if "no listing" in self.has:
            return SFTP_PERMISSION_DENIED
        found = super().list_folder(path)
        for one in found if isinstance(found, list) else []:
            _bend(one, self.has)
            if "no sizes listed" in self.has:
                one.st_size = None
        return found

    def stat(self, path: str) -> Told:
        return SFTP_PERMISSION_DENIED if "no stat" in self.has else _bend(super().stat(path), self.has)

    def lstat(self, path: str) -> Told:
        return super().stat(path)

    def open(self, path: str, flags: int, attr: paramiko.SFTPAttributes) -> paramiko.SFTPHandle | int:
        opened = super().open(path, flags, attr)
        return _Handle(opened, self.has) if isinstance(opened, paramiko.SFTPHandle) else opened

    def remove(self, path: str) -> int:
        return SFTP_PERMISSION_DENIED if "no remove" in self.has else super().remove(path)

    def rename(self, oldpath: str, newpath: str) -> int:
        return SFTP_PERMISSION_DENIED if "no rename" in self.has else super().rename(oldpath, newpath)

    def posix_rename(self, oldpath: str, newpath: str) -> int:
        if "no rename" in self.has:
            return SFTP_PERMISSION_DENIED
        refusal = next((status for name, status in POSIX_RENAME.items() if name in self.has), None)
        return super().posix_rename(oldpath, newpath) if refusal is None else refusal


class _Handle(paramiko.SFTPHandle):
    """An open file of the simulator's."""

    def __init__(self, inner: paramiko.SFTPHandle, has: frozenset[str]) -> None:
        super().__init__()
        self._inner = inner
        self._has = has

    def close(self) -> None:
        self._inner.close()

    def read(self, offset: int, length: int) -> bytes | int:
        return self._inner.read(offset, min(length, SHORT_BYTES) if "short reads" in self._has else length)

    def write(self, offset: int, data: bytes) -> int:  # type: ignore[override]  # what paramiko hands over
        return self._inner.write(offset, data)

    def stat(self) -> Told:
        if "no fstat" in self._has:
            return SFTP_OP_UNSUPPORTED
        told = _bend(self._inner.stat(), self._has)
        if isinstance(told, paramiko.SFTPAttributes) and "no size of open files" in self._has:
            told.st_size = None
        if isinstance(told, paramiko.SFTPAttributes) and "size of open files is 0" in self._has:
            told.st_size = 0
        return told


def _bend(told: Told, has: frozenset[str]) -> Told:
    """Let a server tell less than it knows."""
    if not isinstance(told, paramiko.SFTPAttributes):
        return told
    if "no type bits" in has and told.st_mode is not None:
        told.st_mode &= 0o7777
    if "no attributes" in has:
        told.st_mode = None
    if has & {"no times", "no attributes"}:
        told.st_mtime = told.st_atime = None
    if "no sizes" in has:
        told.st_size = None
    if "sizes are 0" in has:
        told.st_size = 0
    return told
