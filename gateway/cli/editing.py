"""Changes single values of a TOML file and leaves the rest of its text as it is."""

import re
import tomllib
from pathlib import Path

from gateway.errors import ConfigError


def with_line(old: str, key: str, line: str, target: Path) -> str:
    """Replace the line that sets the key. Raises ConfigError when that changes anything else."""
    new, times = re.subn(_assignment(key), line, old, count=1)
    new = new if times else _before_tables(old, line)
    if _read(new) != {**tomllib.loads(old), key: tomllib.loads(line)[key]}:
        raise ConfigError(f"cannot change {key} by itself", where=str(target), fix=f"write {line} there")
    return new


def _assignment(key: str) -> str:
    """Return a pattern for `key = VALUE`, without a comment behind it; VALUE is a list or fits on the line."""
    return rf"(?m)^{key}[ \t]*=[ \t]*(?:\[[^\]]*\]|[^\[#\n]*?)(?=[ \t]*(?:#.*)?$)"


def _read(text: str) -> object:
    """Parse TOML for a comparison; None when it is not valid."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _before_tables(text: str, line: str) -> str:
    """Add a line after the last one before any table."""
    table = re.search(r"(?m)^\[", text)
    end = table.start() if table else len(text)
    return f"{text[:end].rstrip()}\n{line}\n" + (f"\n{text[end:]}" if table else "")
