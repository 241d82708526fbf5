"""Changing single values of a TOML file, so that all else in it stays as somebody wrote it."""

import re
import tomllib
from pathlib import Path

from gateway.errors import ConfigError


def with_line(old: str, key: str, line: str, target: Path) -> str:
    """Put a line in place of that which sets the key. Raises ConfigError when that changes anything else."""
    new, times = re.subn(_assignment(key), line, old, count=1)
    new = new if times else _before_tables(old, line)
    if _read(new) != {**tomllib.loads(old), key: tomllib.loads(line)[key]}:
        raise ConfigError(f"cannot change {key} by itself", where=str(target), fix=f"write {line} there")
    return new


def _assignment(key: str) -> str:
    """Return what finds `key = VALUE`, without a comment behind it; VALUE is a list or stands on the line."""
    return rf"(?m)^{key}[ \t]*=[ \t]*(?:\[[^\]]*\]|[^\[#\n]*?)(?=[ \t]*(?:#.*)?$)"


def _read(text: str) -> object:
    """Parse, so as to compare; None for what is no TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _before_tables(text: str, line: str) -> str:
    """Add a line behind the last that belongs to no table."""
    table = re.search(r"(?m)^\[", text)
    end = table.start() if table else len(text)
    return f"{text[:end].rstrip()}\n{line}\n" + (f"\n{text[end:]}" if table else "")
