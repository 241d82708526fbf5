"""Reads files of a folder that others write to at the same time, and makes sure that only what was read is moved.

Files are opened without following links, and never more than the allowed size is read. A file that was replaced or
grew after it was read is a different file: it stays, and is read later. To check this, the file first gets a hidden
name of ours.
"""

import heapq
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from gateway.errors import DeliveryError
from gateway.transports.folder import explain, sync_folder
from gateway.transports.names import LONGEST_BYTES, is_whole, new_mark, other_name
from gateway.transports.polled import LISTED, Listed

_UNFIT_AT_MOST: Final = 100
"""Most unfit entries reported of one listing."""
_HIDDEN: Final = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{8}\.reading", re.DOTALL)


class Unfit(Enum):
    """Why an entry cannot be a message, whatever is in it; subfolders are ignored."""

    NOT_A_FILE = auto()
    UNREADABLE = auto()
    """The gateway has no permission to read it."""
    TOO_LARGE = auto()
    """It has more bytes than a sheet may have."""
    NO_SOURCE = auto()
    """Its name does not say that it is a sheet or JSON, where only these are taken."""


class FileIdentity(NamedTuple):
    """Identifies a file, and whether it has changed."""

    device: int
    inode: int
    modified: int
    size_bytes: int


class _Target(NamedTuple):
    folder: Path
    replace: bool


class DoorDrop:
    """`gateway.transports.polled.Drop` for the folder of a door."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        """`size_bytes`: largest message; a larger file is read, and listed, as one byte more."""
        self._folder = folder
        self.place = str(folder)
        self.left: dict[str, str] = {}  # unfinished files of the platform are not reported
        self._at_most = size_bytes + 1
        self._mark = new_mark()
        self._read: dict[str, FileIdentity] = {}
        self._targets: dict[str, _Target] = {}
        self._unfit: dict[str, Unfit] = {}
        self._looked = False

    def files(self) -> Sequence[Listed]:
        """List regular files with finished names, by modification time in nanoseconds."""
        try:
            if not self._looked:
                self._give_back_all()
                self._looked = True
            self._unfit.clear()
            with os.scandir(self._folder) as entries:
                return heapq.nsmallest(LISTED, self._regular(entries))
        except OSError as error:
            raise explain(error, self._folder) from error

    def read(self, names: Sequence[str]) -> Iterator[tuple[str, bytes | DeliveryError]]:
        """Read regular files; one that has gone, or changes meanwhile, is left for the next listing."""
        for name in names:
            try:
                body, identity = self._read_one(name)
            except FileNotFoundError:
                continue
            except PermissionError:
                self._unfit[name] = Unfit.UNREADABLE
                continue
            except OSError as error:
                yield name, explain(error, self._folder)
                continue
            except DeliveryError as error:
                yield name, error
                continue
            if body is not None:
                self._read[name] = identity
                yield name, body

    def unfit(self, name: str, why: Unfit) -> None:
        """Report an entry with the next `take_unfit`."""
        self._unfit[name] = why

    def take_unfit(self) -> dict[str, Unfit]:
        """Return, once, the entries found since the last listing began that cannot be messages."""
        found, self._unfit = self._unfit, {}
        return found

    def decide(self, name: str, target: Path, *, replace: bool) -> None:
        """Set where `put_away` moves a file that was read; a file without a target is removed.

        `replace`: overwrite a file of that name; otherwise the moved file gets another name.
        """
        self._targets[name] = _Target(target, replace)

    def put_away(self, names: Sequence[str]) -> None:
        """Move or remove the files that were read under these names, and fsync the folders."""
        targets = {target.folder for name in names if (target := self._targets.get(name)) is not None}
        try:
            for name in names:
                with suppress(FileNotFoundError):  # another reader was faster
                    self._put_away(name, self._read.pop(name), self._targets.pop(name, None))
            for folder in (*targets, self._folder):
                sync_folder(folder)
        except OSError as error:
            raise explain(error, Path(error.filename2 or error.filename or self._folder).parent) from error

    def move(self, names: Sequence[str], target: Path) -> None:
        """Move the entries with these names, and fsync the folders."""
        try:
            for name in names:
                with suppress(FileNotFoundError):
                    (self._folder / name).rename(target / name)
            for folder in (target, self._folder):
                sync_folder(folder)
        except OSError as error:
            raise explain(error, target) from error

    def close(self) -> None:
        """Do nothing: nothing is held open."""

    def _regular(self, entries: Iterator[os.DirEntry[str]]) -> Iterator[Listed]:
        for entry in entries:
            if not is_whole(entry.name):
                continue
            with suppress(FileNotFoundError):
                facts = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(facts.st_mode):
                    yield Listed(facts.st_mtime_ns, entry.name, min(facts.st_size, self._at_most))
                elif not stat.S_ISDIR(facts.st_mode) and len(self._unfit) < _UNFIT_AT_MOST:
                    self._unfit[entry.name] = Unfit.NOT_A_FILE

    def _read_one(self, name: str) -> tuple[bytes | None, FileIdentity]:
        """Return no body when the entry is no longer a regular file, or is being written."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(self._folder / name, flags), "rb") as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                return None, identity_of(before)
            return self._content(name, file, identity_of(before))

    def _content(self, _name: str, file: BinaryIO, before: FileIdentity) -> tuple[bytes | None, FileIdentity]:
        """Return the bytes of an open file; None: it is being written."""
        body = file.read(self._at_most)
        after = identity_of(os.fstat(file.fileno()))
        same = before == after and len(body) == min(after.size_bytes, self._at_most)
        return (body if same else None), after

    def _put_away(self, name: str, read: FileIdentity, target: _Target | None) -> None:
        hidden = self._folder / _hidden(name, self._mark)
        (self._folder / name).rename(hidden)
        if identity_of(hidden.lstat()) != read:
            self._give_back(hidden, name)
        elif target is None:
            hidden.unlink()
        else:
            place = target.folder / name
            taken = not target.replace and os.path.lexists(place)
            hidden.rename(place.with_name(other_name(name)) if taken else place)

    def _give_back(self, hidden: Path, name: str) -> None:
        place = self._folder / name
        hidden.rename(place.with_name(other_name(name)) if os.path.lexists(place) else place)

    def _give_back_all(self) -> None:
        """Rename back the files that an earlier process left under hidden names, so that they are read again."""
        for hidden in list(self._folder.iterdir()):
            if found := _HIDDEN.fullmatch(hidden.name):
                with suppress(FileNotFoundError):
                    self._give_back(hidden, found["name"])


def _hidden(name: str, mark: str) -> str:
    """Return the hidden name of a file to be moved; it contains the name, or its end, for `_give_back_all`."""
    raw = os.fsencode(name)[-LONGEST_BYTES + len(".reading") :].lstrip(b".")
    return f".{os.fsdecode(raw)}.{mark}.reading"


def identity_of(facts: os.stat_result) -> FileIdentity:
    """Return what identifies a file as it is now."""
    return FileIdentity(facts.st_dev, facts.st_ino, facts.st_mtime_ns, facts.st_size)
