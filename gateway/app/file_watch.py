"""Detects that the files of a folder have changed and are stable again, by names, sizes and times, not by content."""

import os
from pathlib import Path

FolderSnapshot = frozenset[tuple[str, int, int, int]]


class FolderWatch:
    """Compares the files of a folder with those that were loaded last."""

    def __init__(self, folder: Path) -> None:
        """Take the present files as loaded."""
        self._folder = folder
        self._taken = self._before = _look(folder)

    def follow(self, folder: Path) -> None:
        """Watch this folder from now on, taking its present files as loaded; call it before the folder is read."""
        self._folder = folder
        self._taken = self._before = _look(folder)

    def changed(self) -> bool:
        """Say whether there are changes to load; only when two checks agree, so that nothing half-written is loaded.

        Returns True once per change: the present files then count as loaded, whether they are usable or not.
        """
        now = _look(self._folder)
        resting, self._before = now == self._before, now
        if not resting or now == self._taken:
            return False
        self._taken = now
        return True


def _look(folder: Path) -> FolderSnapshot:
    """List every file; a missing folder counts as empty, a file that has just disappeared is left out."""
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
