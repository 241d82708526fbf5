"""Read the TOML tables in `mappings/` strictly: anything wrong raises a RulesError that names the place."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from gateway.errors import RulesError

_KEY = re.compile(r"field `(\w+)`|`\$\.(\w+)")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TablePlace:
    """The file and the table that are being read; makes errors that name them."""

    file: Path
    table: str = ""

    def error(self, what: str, *, key: str = "", example: str = "") -> RulesError:
        """Return (do not raise) the error for something wrong here, with an example of a correct value."""
        parts = (str(self.file), f"[{self.table}]" if self.table else "", f"key {key}" if key else "")
        fix = f"write for example {example}" if example else ""
        return RulesError(what, where=", ".join(part for part in parts if part), fix=fix)

    def within(self, table: str) -> "TablePlace":
        """Return the place of a table inside this one."""
        return TablePlace(self.file, f"{self.table}.{table}" if self.table else table)


def read_tables(file: Path) -> dict[str, Any]:
    """Parse a whole TOML file; raises RulesError when it is missing or not TOML."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as err:
        raise RulesError(
            f"cannot read a table of rules: {err.strerror}",
            where=str(file),
            fix="let rules_dir name a folder that holds xsd/ and mappings/, or leave it out",
        ) from err
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise RulesError(f"not a TOML table in UTF-8: {err}", where=str(file)) from err


def shaped(value: object, shape: type[T], place: TablePlace, example: str) -> T:
    """Convert a parsed table to `shape`, a msgspec Struct that forbids unknown fields.

    `example` has one correct line per key; the RulesError quotes the line of the wrong key, or all lines.
    """
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as err:
        found = _KEY.search(str(err))
        key = next(filter(None, found.groups()), "") if found else ""
        lines = [line.strip() for line in example.strip().splitlines()]
        right = [line for line in lines if line.startswith(f"{key} ")] or lines
        raise place.error(str(err), key=key, example="; ".join(right)) from err
