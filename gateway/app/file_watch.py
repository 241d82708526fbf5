"""Notices that the files of a folder have changed and are at rest again: names, sizes, times; bytes are not read."""

import os
from pathlib import Path

FolderSnapshot = frozenset[tuple[str, int, int, int]]


class FolderWatch:
    """Compares what is in a folder with what was there when it was last taken up."""

    def __init__(self, folder: Path) -> None:
        """What is there now counts as taken up."""
        self._folder = folder
        self._taken = self._before = _look(folder)

    def follow(self, folder: Path) -> None:
        """Watch this folder from now on, and take what is in it for taken up; call it before it is read."""
        self._folder = folder
        self._taken = self._before = _look(folder)

    def changed(self) -> bool:
        """Say whether there is something to take up; only when two looks agree, so that nothing half done is.

        Says so once: what is there then counts as taken up, be it of use or not.
        """
        now = _look(self._folder)
        resting, self._before = now == self._before, now
        if not resting or now == self._taken:
            return False
        self._taken = now
        return True


def _look(folder: Path) -> FolderSnapshot:
    """Look at every file; a folder that is not there looks empty, a file that has just gone is left out."""
    found = set()
    try:
        with os.scandir(folder) as files:
            for file in files:
                try:
                    about = file.stat()
                except FileNotFoundError:
                    continue
                found.add((file.name, about.st_size, about.st_mtime_ns, about.st_ino))
    except OSError:
        return frozenset()
    return frozenset(found)
