"""Writes the keys that a node makes for itself."""

import os
from pathlib import Path

from gateway.errors import ConfigError


def write_key_file(file: Path, content: bytes, *, what: str, replace: bool = True) -> None:
    """Write a file atomically, for its owner only; an existing one is kept unless `replace`. Raises ConfigError.

    `what`: as the error names it, `the key of the journal`.
    """
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as written:
            written.write(content)
            written.flush()
            os.fsync(written.fileno())
        if replace:
            draft.replace(file)
        else:
            _link(draft, file)
        folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise ConfigError(f"cannot write {what}: {error.strerror}", where=str(file)) from error


def _link(draft: Path, file: Path) -> None:
    try:
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
