"""The files of a folder that somebody else writes into at the same time: what was read is what is put away.

Files are opened without following links and never larger than allowed. A file that was replaced or grew after it
was read is another file: it stays, and is read in its turn. To tell, it is first given a hidden name of ours.
"""

import heapq
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from typing import Final, NamedTuple

from gateway.errors import DeliveryError
from gateway.transports.folder import explain, sync_folder
from gateway.transports.names import LONGEST_BYTES, is_whole, new_mark, other_name
from gateway.transports.polled import LISTED, Listed

_UNFIT_AT_MOST: Final = 100
"""Of one listing."""
_HIDDEN: Final = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{8}\.reading", re.DOTALL)


class Unfit(Enum):
    """Why something cannot be a message, whatever is in it; folders are left alone."""

    NOT_A_FILE = auto()
    UNREADABLE = auto()
    """Its owner lets nobody else read it."""


class _Identity(NamedTuple):
    """Which file it is, and whether it has changed."""

    device: int
    inode: int
    modified: int
    size_bytes: int


class _Target(NamedTuple):
    folder: Path
    replace: bool


class DoorDrop:
    """`gateway.transports.polled.Drop` over the folder of a door."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        """`size_bytes`: a larger file is read, and listed, as one byte more than that."""
        self._folder = folder
        self.place = str(folder)
        self.left: dict[str, str] = {}  # what the platform is still writing is its own business
        self._at_most = size_bytes + 1
        self._mark = new_mark()
        self._read: dict[str, _Identity] = {}
        self._targets: dict[str, _Target] = {}
        self._unfit: dict[str, Unfit] = {}
        self._looked = False

    def files(self) -> Sequence[Listed]:
        """List regular files with whole names, by modification time in nanoseconds."""
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
        """Read regular files; one that is gone, or changes meanwhile, is left for the next listing."""
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
            if body is not None:
                self._read[name] = identity
                yield name, body

    def take_unfit(self) -> dict[str, Unfit]:
        """Return, once, what was found since the last listing began and cannot be read."""
        found, self._unfit = self._unfit, {}
        return found

    def decide(self, name: str, target: Path, *, replace: bool) -> None:
        """Say where `put_away` has to move a file that was read; without a word it is removed.

        `replace`: a file of that name there; else this one gets another name.
        """
        self._targets[name] = _Target(target, replace)

    def put_away(self, names: Sequence[str]) -> None:
        """Move or remove what was read under these names, and fsync the folders."""
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
        """Move whatever has these names, and fsync the folders."""
        try:
            for name in names:
                with suppress(FileNotFoundError):
                    (self._folder / name).rename(target / name)
            for folder in (target, self._folder):
                sync_folder(folder)
        except OSError as error:
            raise explain(error, target) from error

    def close(self) -> None:
        """Nothing is held open."""

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

    def _read_one(self, name: str) -> tuple[bytes | None, _Identity]:
        """Return no body when it is no regular file any more, or is being written."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(self._folder / name, flags), "rb") as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                return None, _identity(before)
            body = file.read(self._at_most)
            after = _identity(os.fstat(file.fileno()))
        same = _identity(before) == after and len(body) == min(after.size_bytes, self._at_most)
        return (body if same else None), after

    def _put_away(self, name: str, read: _Identity, target: _Target | None) -> None:
        hidden = self._folder / _hidden(name, self._mark)
        (self._folder / name).rename(hidden)
        if _identity(hidden.lstat()) != read:
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
        """Let what an earlier process left under a hidden name be read again."""
        for hidden in list(self._folder.iterdir()):
            if found := _HIDDEN.fullmatch(hidden.name):
                with suppress(FileNotFoundError):
                    self._give_back(hidden, found["name"])


def _hidden(name: str, mark: str) -> str:
    """Name a file that is about to be put away, so that `_give_back_all` finds its name in it, or the end of it."""
    raw = os.fsencode(name)[-LONGEST_BYTES + len(".reading") :].lstrip(b".")
    return f".{os.fsdecode(raw)}.{mark}.reading"


def _identity(facts: os.stat_result) -> _Identity:
    return _Identity(facts.st_dev, facts.st_ino, facts.st_mtime_ns, facts.st_size)
