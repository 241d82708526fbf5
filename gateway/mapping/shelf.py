"""Finds the mappings: those shipped beside the catalogue, and the operator's own."""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from gateway.errors import RulesError
from gateway.mapping.language import SourceMapping
from gateway.mapping.loading import load_mapping
from gateway.rules import RULES, Rules

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

NO_MAPPINGS: Final[Mapping[str, SourceMapping]] = MappingProxyType({})


def load_mappings(
    rules: Rules, rules_dir: Path | None = None, own_dir: Path | None = None
) -> Mapping[str, SourceMapping]:
    """Load `mappings/translations/*.toml` of the rules and `*.toml` of `own_dir`, by name; of two alike the own counts.

    Raises RulesError for the first that is wrong: a mapping is whole or the gateway does not start.
    """
    if own_dir is not None and not own_dir.is_dir():
        raise RulesError(
            "there is no folder of mappings",
            where=str(own_dir),
            fix="create it, or take accept.mappings_dir out",
        )
    folders = ((rules_dir or RULES) / "mappings" / "translations", own_dir)
    files = {file.stem: file for folder in folders if folder for file in sorted(folder.glob("*.toml"))}
    for name, file in files.items():
        if not _NAME.fullmatch(name):
            raise RulesError(
                f"{name!r} is no name of a mapping",
                where=str(file),
                fix="lower-case letters, digits, - and _, for instance orders-json.toml",
            )
    return {name: load_mapping(file, rules.schemas, rules.catalogue) for name, file in sorted(files.items())}
