"""Find and load the mappings: those shipped with the catalogue, and the operator's own."""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from gateway.config.left_out import LeftOut, left_out
from gateway.errors import GatewayError, RulesError
from gateway.mapping.compile import load_mapping
from gateway.mapping.language import SourceMapping
from gateway.rules.loading import RULES, Rules

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

NO_MAPPINGS: Final[Mapping[str, SourceMapping]] = MappingProxyType({})


def load_mappings(
    rules: Rules, rules_dir: Path | None = None, own_dir: Path | None = None
) -> Mapping[str, SourceMapping]:
    """Load `mappings/translations/*.toml` of the rules and `*.toml` of `own_dir`, by name; own ones win.

    Raises RulesError for the first that is wrong.
    """
    return {name: _load(name, file, rules) for name, file in _files(rules_dir, own_dir).items()}


def usable_mappings(
    rules: Rules, rules_dir: Path | None = None, own_dir: Path | None = None
) -> tuple[Mapping[str, SourceMapping], tuple[LeftOut, ...]]:
    """Load as `load_mappings`, but return the faulty ones separately. Raises RulesError if `own_dir` is missing."""
    found: dict[str, SourceMapping] = {}
    wrong: list[LeftOut] = []
    for name, file in _files(rules_dir, own_dir).items():
        try:
            found[name] = _load(name, file, rules)
        except GatewayError as error:
            wrong.append(left_out("mapping", name, error))
    return found, tuple(wrong)


def _files(rules_dir: Path | None, own_dir: Path | None) -> dict[str, Path]:
    if own_dir is not None and not own_dir.is_dir():
        raise RulesError(
            "there is no folder of mappings",
            where=str(own_dir),
            fix="create it, or take accept.mappings_dir out",
        )
    folders = ((rules_dir or RULES) / "mappings" / "translations", own_dir)
    files = {file.stem: file for folder in folders if folder for file in folder.glob("*.toml")}
    return dict(sorted(files.items()))


def _load(name: str, file: Path, rules: Rules) -> SourceMapping:
    if not _NAME.fullmatch(name):
        raise RulesError(
            f"{name!r} is no name of a mapping",
            where=str(file),
            fix="lower-case letters, digits, - and _, for instance orders-json.toml",
        )
    return load_mapping(file, rules)
