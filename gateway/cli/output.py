"""Output of commands: JSON lines, `name  value` lines, and raw bytes."""

import os
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from tempfile import NamedTemporaryFile

import click
import msgspec

from gateway.cli.terminal import echo
from gateway.errors import ConfigError
from gateway.printable import is_plain, safe_json


def emit(value: object) -> None:
    """Write one JSON object and a line end to stdout; times in UTC, dataclasses as objects."""
    click.echo(safe_json(msgspec.json.encode(value, enc_hook=str)))


def facts(pairs: Mapping[str, str], *, indent: str = "") -> None:
    """Print `name  value` lines, without empty values."""
    width = max((len(name) for name, value in pairs.items() if value), default=0)
    for name, value in pairs.items():
        if value:
            echo(f"{indent}{name:<{width}}  {value}")


def instant(time: datetime | None) -> str:
    """Format a time as ISO 8601, in UTC to the second; empty for None."""
    return "" if time is None else time.strftime("%Y-%m-%dT%H:%M:%SZ")


def deliver(body: bytes, out: Path | None) -> None:
    """Write bytes to `out`, whole or not at all, or unchanged to stdout. Raises ConfigError.

    Refuses to write to a terminal unless they are text without control sequences.
    """
    if out is None:
        if sys.stdout.isatty() and not is_plain(body):
            raise ConfigError(
                "these bytes are no plain text, and a terminal might obey them",
                where="stdout",
                fix="send them to a file, by > FILE or -o FILE",
            )
        click.echo(body, nl=False)
        return
    try:
        if out.exists() and not out.is_file():  # a device or a pipe
            out.write_bytes(body)
        else:
            replace(out, body)
    except OSError as error:
        raise ConfigError(
            f"cannot write the file: {error.strerror}", where=str(out), fix="name a file that may be written"
        ) from error


def replace(file: Path, body: bytes) -> None:
    """Replace a file atomically and keep its mode. Raises OSError."""
    with NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", delete=False) as draft:
        path = Path(draft.name)
        try:
            draft.write(body)
            draft.flush()
            os.fsync(draft.fileno())
            path.chmod(file.stat().st_mode & 0o777 if file.exists() else 0o666 & ~_umask())
            path.replace(file)
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
