"""Files in a local (or mounted) folder: temporary name, fsync, rename, fsync of the folder."""

import heapq
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

from gateway.config.channels import OutFolder
from gateway.config.links import Folder
from gateway.errors import ConfigError, DeliveryError
from gateway.ports import Clock, Delivery, Parcel
from gateway.transports.names import (
    Leftovers,
    check_file_name,
    is_whole,
    new_mark,
    other_name,
    temporary_name,
)
from gateway.transports.not_taken import HALF, LEFT_AT_MOST, LIES_S, NO_FILE, is_worth_a_word
from gateway.transports.polled import LARGEST_BYTES, LISTED, Listed, PolledFeed, pause, too_large
from gateway.transports.progress import ended_amid

POLL_S = 0.2


def reach(config: Folder) -> str:
    """See that every folder can be written; returns what to report. A channel has no folder to receive from.

    Raises ConfigError.
    """
    in_ = () if isinstance(config, OutFolder) else (config.receive_dir, config.archive_dir)
    folders = [folder for folder in (config.send_dir, *in_) if folder is not None]
    for folder in folders:
        try:
            try_to_write(folder)
        except OSError as error:
            raise ConfigError(
                f"cannot write there: {error.strerror}", where=str(folder), fix="make the folder, or mount it"
            ) from error
    return f"folders {', '.join(map(str, folders))} can be written"


def try_to_write(folder: Path) -> None:
    """Write a file that has no name. Raises OSError."""
    with TemporaryFile(dir=folder) as file:
        file.write(b"check")


class FolderTransport:
    """`gateway.ports.Transport` into `send_dir`; a file is seen under its final name only whole and durable."""

    def __init__(self, config: Folder) -> None:
        self._folder = config.send_dir
        self._mark = new_mark()
        self._left: Leftovers | None = None
        """Unfinished files of earlier processes; None before the folder was listed."""

    def send(self, parcels: Sequence[Parcel]) -> Iterator[Delivery]:
        """Write all files, then fsync the folder once, then confirm them.

        A file of the same name is replaced. The folder itself is never created here: a missing mount must
        not look like an empty folder.
        """
        outcomes = [Delivery(entry=parcel.entry, error=self._try_to_write(parcel)) for parcel in parcels]
        try:
            sync_folder(self._folder)
        except OSError as error:
            lost = explain(error, self._folder)
            outcomes = [Delivery(entry=outcome.entry, error=outcome.error or lost) for outcome in outcomes]
        yield from outcomes

    def close(self) -> None:
        """Do nothing: no file is kept open."""

    def _try_to_write(self, parcel: Parcel) -> DeliveryError | None:
        late = parcel.too_late()
        if late is not None:
            return late
        try:
            check_file_name(parcel.file_name)
            for name in self._leftovers().take(parcel.file_name):
                (self._folder / name).unlink(missing_ok=True)
            temporary = self._folder / temporary_name(parcel.file_name, self._mark)
            _write(temporary, parcel.body)
            if parcel.lease.over:
                temporary.unlink()
                return ended_amid(str(self._folder))
            temporary.replace(self._folder / parcel.file_name)
        except DeliveryError as error:
            return error
        except OSError as error:
            return explain(error, self._folder)
        return None

    def _leftovers(self) -> Leftovers:
        if self._left is None:
            found = Leftovers()
            found.add(file.name for file in self._folder.iterdir())
            self._left = found
        return self._left


class FolderFeed(PolledFeed):
    """`gateway.ports.Feed` over `receive_dir`, oldest file first; `done` removes or archives, and fsyncs."""

    def __init__(
        self,
        config: Folder,
        *,
        poll_s: float = POLL_S,
        wait: Callable[[float], None] = pause,
        clock: Clock = time.monotonic,
    ) -> None:
        drop = FolderDrop(config.receive_dir, config.archive_dir)
        super().__init__(drop, poll_s=poll_s, stable_s=config.stable_s, lies_s=LIES_S, wait=wait, clock=clock)


class FolderDrop:
    """`gateway.transports.polled.Drop` over a local folder."""

    def __init__(self, folder: Path, archive: Path | None = None) -> None:
        self._folder = folder
        self._archive = archive
        self.place = str(folder)
        self.left: dict[str, str] = {}

    def files(self) -> Sequence[Listed]:
        """List regular files by modification time, in nanoseconds; links and folders are not followed."""
        try:
            self.left = {}
            with os.scandir(self._folder) as entries:
                return heapq.nsmallest(LISTED, self._whole_files(entries))
        except OSError as error:
            raise explain(error, self._folder) from error

    def read(self, names: Sequence[str]) -> Iterator[tuple[str, bytes | DeliveryError]]:
        """Read whole files; one that is gone, empty or still growing is left for the next listing."""
        for name in names:
            try:
                with (self._folder / name).open("rb") as file:
                    body = file.read(LARGEST_BYTES + 1)
                    size = os.fstat(file.fileno()).st_size
            except FileNotFoundError:
                continue
            except OSError as error:
                yield name, explain(error, self._folder / name)
                continue
            if size > LARGEST_BYTES:
                yield name, too_large(name, str(self._folder))
            elif body and len(body) == size:
                yield name, body

    def put_away(self, names: Sequence[str]) -> None:
        """Remove or move the files and fsync the folders, so that they do not reappear after a power cut."""
        try:
            for name in names:
                with suppress(FileNotFoundError):
                    self._put_away(self._folder / name)
            if self._archive is not None:
                sync_folder(self._archive)
            sync_folder(self._folder)
        except OSError as error:
            raise explain(error, self._archive or self._folder) from error

    def _put_away(self, file: Path) -> None:
        if self._archive is None:
            file.unlink()
            return
        place = self._archive / file.name
        file.rename(place.with_name(other_name(file.name)) if place.exists() else place)

    def close(self) -> None:
        """Do nothing: no file is kept open."""

    def _whole_files(self, entries: Iterable[os.DirEntry[str]]) -> Iterator[Listed]:
        for entry in entries:
            with suppress(FileNotFoundError):  # another reader has removed it
                facts = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(facts.st_mode):
                    continue
                if not is_whole(entry.name):
                    self._leave(entry.name, HALF)
                elif stat.S_ISREG(facts.st_mode):
                    yield Listed(facts.st_mtime_ns, entry.name, facts.st_size)
                else:
                    self._leave(entry.name, NO_FILE)

    def _leave(self, name: str, why: str) -> None:
        if is_worth_a_word(name) and len(self.left) < LEFT_AT_MOST:
            self.left[name] = why


def explain(error: OSError, path: Path) -> DeliveryError:
    """Translate an OSError; all are temporary, because an operator can fix them without changing the message."""
    return DeliveryError(
        f"the folder cannot be used: {error.strerror or error}",
        where=str(path),
        fix="see that it exists, is mounted and writable, and that its disk has space",
    )


def _write(temporary: Path, body: bytes) -> None:
    """Write and fsync a file; never through a link or into a pipe that another user of the folder put there.

    Only this user may read it, whatever the umask, and the group if the folder has the setgid bit: it is personal data.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
        if stat.S_ISGID & temporary.parent.stat().st_mode:  # the folder's group is meant to read the files
            os.fchmod(file.fileno(), 0o660)
        file.write(body)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Fsync a folder, so that renames and removals in it survive a power cut. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
