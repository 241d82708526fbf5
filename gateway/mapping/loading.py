"""Find and load the mappings: the generic ones, those shipped with the catalogue, and the operator's own."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from gateway.config.left_out import LeftOut, left_out
from gateway.errors import GatewayError, RulesError
from gateway.mapping.compile import compile_mapping, load_mapping
from gateway.mapping.generic import generic_mappings
from gateway.mapping.language import SourceMapping
from gateway.rules.loading import RULES, Rules

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_MESSAGE: Final = re.compile(r'^message = "(\w+)"$', re.MULTILINE)

NO_MAPPINGS: Final[Mapping[str, SourceMapping]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingText:
    """A mapping as it is written, not compiled yet."""

    file: Path
    text: str = ""
    """Empty: to be read from the file. Else the file is not there, and its name is only for errors."""


def load_mappings(
    rules: Rules, rules_dir: Path | None = None, own_dir: Path | None = None
) -> Mapping[str, SourceMapping]:
    """Load all mappings by name: generic ones, `mappings/translations/*.toml` of the rules, `*.toml` of `own_dir`.

    Of two with one name the later counts. Shipped ones whose message this edition does not have are left out.
    Raises RulesError for the first that is wrong.
    """
    return {
        name: compiled(name, one, rules) for name, one in mapping_texts(rules, rules_dir, own_dir).items()
    }


def usable_mappings(
    rules: Rules, rules_dir: Path | None = None, own_dir: Path | None = None
) -> tuple[Mapping[str, SourceMapping], tuple[LeftOut, ...]]:
    """Load as `load_mappings`, but return the faulty ones separately. Raises RulesError if `own_dir` is missing."""
    found: dict[str, SourceMapping] = {}
    wrong: list[LeftOut] = []
    for name, one in mapping_texts(rules, rules_dir, own_dir).items():
        try:
            found[name] = compiled(name, one, rules)
        except GatewayError as error:
            wrong.append(left_out("mapping", name, error))
    return found, tuple(wrong)


def mapping_texts(
    rules: Rules, rules_dir: Path | None = None, own_dir: Path | None = None
) -> Mapping[str, MappingText]:
    """Find all mappings as `load_mappings` does, sorted by name. Raises RulesError if `own_dir` is missing."""
    if own_dir is not None and not own_dir.is_dir():
        raise RulesError(
            "there is no folder of mappings",
            where=str(own_dir),
            fix="create it, or take accept.mappings_dir out",
        )
    generic = generic_mappings(rules.schemas, rules.catalogue)
    found = {name: MappingText(file=Path(f"{name}.toml"), text=text) for name, text in generic.items()}
    shipped = ((rules_dir or RULES) / "mappings" / "translations").glob("*.toml")
    found |= {file.stem: MappingText(file=file) for file in shipped if _is_of_edition(file, rules)}
    own = own_dir.glob("*.toml") if own_dir else ()
    return dict(sorted((found | {file.stem: MappingText(file=file) for file in own}).items()))


def _is_of_edition(file: Path, rules: Rules) -> bool:
    """Say whether the edition has the message of a shipped mapping; of one that cannot be read, loading it says why."""
    try:
        named = _MESSAGE.search(file.read_text("utf-8", "replace"))
    except OSError:
        return True
    return named is None or named[1] in rules.schemas.roots or named[1] not in rules.catalogue.types


def compiled(name: str, one: MappingText, rules: Rules) -> SourceMapping:
    """Compile one mapping. Raises RulesError."""
    if not _NAME.fullmatch(name):
        raise RulesError(
            f"{name!r} is no name of a mapping",
            where=str(one.file),
            fix="lower-case letters, digits, - and _, for instance orders-json.toml",
        )
    if one.text:
        return compile_mapping(one.text.encode(), one.file, rules)
    return load_mapping(one.file, rules)
