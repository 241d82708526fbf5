"""SFTP servers as some are: the simulator's, with the habits of others."""

import stat
from collections.abc import Iterable

import paramiko
from paramiko.sftp import SFTP_BAD_MESSAGE, SFTP_FAILURE, SFTP_OP_UNSUPPORTED, SFTP_PERMISSION_DENIED

from gateway.simulator.sftp_folder import FolderSession

SHORT_BYTES = 700
Told = paramiko.SFTPAttributes | int
POSIX_RENAME = {
    "posix-rename unsupported": SFTP_OP_UNSUPPORTED,
    "posix-rename fails": SFTP_FAILURE,
    "posix-rename denied": SFTP_PERMISSION_DENIED,
    "posix-rename unknown": SFTP_BAD_MESSAGE,
}


def session_with(quirks: Iterable[str]) -> type[FolderSession]:
    """Make what the clients of a server with these habits meet; a name that is not known does nothing."""
    has = frozenset(quirks)

    def told(attributes: Told, *, listed: bool = False, opened: bool = False) -> Told:
        if not isinstance(attributes, paramiko.SFTPAttributes):
            return attributes
        mode, folder = attributes.st_mode or 0, stat.S_ISDIR(attributes.st_mode or 0)
        if "no type bits" in has:
            attributes.st_mode = stat.S_IMODE(mode)
        if "no attributes" in has:
            attributes.st_mode = attributes.st_mtime = attributes.st_atime = None
        if "no times" in has:
            attributes.st_mtime = attributes.st_atime = None
        if (
            "no sizes" in has
            or ("no sizes listed" in has and listed)
            or ("no size of open files" in has and opened)
        ):
            attributes.st_size = None
        if "sizes are 0" in has or ("size of open files is 0" in has and opened):
            attributes.st_size = 0 if not folder else attributes.st_size
        return attributes

    class Session(FolderSession):
        def list_folder(self, path: str) -> list[paramiko.SFTPAttributes] | int:
            if "no listing" in has:
                return SFTP_PERMISSION_DENIED
            names = super().list_folder(path)
            if isinstance(names, list):
                for one in names:
                    told(one, listed=True)
            return names

        def stat(self, path: str) -> Told:
            return SFTP_PERMISSION_DENIED if "no stat" in has else told(super().stat(path))

        def lstat(self, path: str) -> Told:
            return super().stat(path)

        def open(self, path: str, flags: int, attr: paramiko.SFTPAttributes) -> paramiko.SFTPHandle | int:
            opened = super().open(path, flags, attr)
            return _Handle(opened) if isinstance(opened, paramiko.SFTPHandle) else opened

        def remove(self, path: str) -> int:
            return SFTP_PERMISSION_DENIED if "no remove" in has else super().remove(path)

        def rename(self, oldpath: str, newpath: str) -> int:
            return SFTP_PERMISSION_DENIED if "no rename" in has else super().rename(oldpath, newpath)

        def posix_rename(self, oldpath: str, newpath: str) -> int:
            if "no rename" in has:
                return SFTP_PERMISSION_DENIED
            refusal = next((status for name, status in POSIX_RENAME.items() if name in has), None)
            return super().posix_rename(oldpath, newpath) if refusal is None else refusal

    class _Handle(paramiko.SFTPHandle):
        def __init__(self, inner: paramiko.SFTPHandle) -> None:
            super().__init__()
            self._inner = inner
            self.write, self.close = inner.write, inner.close  # type: ignore[method-assign]

        def read(self, offset: int, length: int) -> bytes | int:
            return self._inner.read(offset, min(length, SHORT_BYTES) if "short reads" in has else length)

        def stat(self) -> Told:
            return SFTP_OP_UNSUPPORTED if "no fstat" in has else told(self._inner.stat(), opened=True)

    return Session
