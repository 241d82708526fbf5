"""Sources on the command line: a file, its form by its suffix, and the time at which it was changed."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final

from gateway.errors import ConfigError
from gateway.mapping.sources.table import SUFFIXES, Form
from gateway.model import BEIJING

FOURTEEN: Final = "%Y%m%d%H%M%S"


def form_of(file: Path) -> Form:
    """Return the form of a file by its suffix. Raises ConfigError."""
    found = SUFFIXES.get(file.suffix.lower())
    if found is None:
        known = " ".join(SUFFIXES)
        raise ConfigError(f"the suffix of {file.name} says no form", where=str(file), fix=f"one of {known}")
    return found


@contextmanager
def opened(file: Path) -> Iterator[BinaryIO]:
    """Open a file for reading. Raises ConfigError."""
    try:
        with file.open("rb") as content:
            yield content
    except OSError as error:
        raise ConfigError(
            f"cannot read the file: {error.strerror}", where=str(file), fix="name a file that may be read"
        ) from error


def changed_at(file: Path) -> str:
    """Return the time at which a file was changed: 14 digits, Beijing time."""
    return datetime.fromtimestamp(file.stat().st_mtime, BEIJING).strftime(FOURTEEN)
