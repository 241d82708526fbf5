"""Find `xsd/` and `mappings/`, check them completely and load them once into one frozen `Rules`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gateway.config.gateway_toml import Config
from gateway.rules.catalogue import Catalogue, load_catalogue
from gateway.rules.code_tables import MANIFEST as TABLES
from gateway.rules.code_tables import CodeTables, load_code_tables
from gateway.rules.codes import Codes
from gateway.rules.codes_file import load_codes
from gateway.rules.editions import NO_FOLDERS, Editions, edition_folders
from gateway.rules.plain_form import PlainForms
from gateway.rules.response_times import ResponseTimes, load_response_times, response_times_of
from gateway.rules.rulebook import Rulebook, load_rulebook
from gateway.rules.schemas import Schemas

__all__ = ["RULES", "Catalogue", "Codes", "Rules", "load_catalogue", "load_codes", "load_rules", "rules_of"]

_PACKAGE = Path(__file__).resolve().parents[1]
_WHEEL = _PACKAGE / "_rules"
RULES: Final = _WHEEL if _WHEEL.is_dir() else _PACKAGE.parent
"""Folder that holds `xsd/` and `mappings/`: inside the wheel, or the checkout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All that the stages need to know of customs' formats, loaded once and passed in."""

    catalogue: Catalogue
    codes: Codes
    schemas: Schemas
    """Of one edition: the default one, or that of `for_edition`."""
    plain: PlainForms
    """The same schemas as regular expressions, for documents in plain form."""
    editions: Editions
    """All editions at hand."""
    response_times: ResponseTimes
    """As shipped, or with the values of gateway.toml from `response_times_of`."""
    rulebook: Rulebook
    """The rules that advice is given by."""
    tables: CodeTables
    """The tables that those rules look things up in."""

    def for_edition(self, name: str) -> "Rules":
        """Return the rules with the schemas of another edition. Raises RulesError when there is none of that name."""
        if name == self.schemas.edition:
            return self
        found = self.editions.get(name)
        return replace(self, schemas=found.schemas, plain=found.plain)


def rules_of(config: Config) -> Rules:
    """Load the rules that a configuration names, all its editions, with its own response times. Raises RulesError."""
    rules = load_rules(
        config.rules.rules_dir,
        config.rules.edition,
        _own_folders(config),
        advice_dir=config.rules.advice_dir,
    )
    for name in editions_named(config):
        rules.for_edition(name)
    return replace(rules, response_times=response_times_of(rules.response_times, config))


def edition_names(config: Config) -> tuple[str, ...]:
    """Return the names of all editions at hand, sorted: what a route, an enterprise or a period may name."""
    return tuple(sorted(edition_folders((config.rules.rules_dir or RULES) / "xsd", _own_folders(config))))


def _own_folders(config: Config) -> dict[str, Path]:
    return {one.name: one.folder for one in config.edition if one.folder is not None}


def editions_named(config: Config) -> tuple[str, ...]:
    """Return the editions that gateway.toml names, the default first; files of enterprises may name others."""
    periods = (one.name for one in config.edition)
    routes = (one.edition for one in config.route if one.edition)
    return tuple(dict.fromkeys((config.rules.edition, *periods, *routes)))


def load_rules(
    rules_dir: Path | None = None,
    edition: str = "202205",
    folders: Mapping[str, Path] = NO_FOLDERS,
    *,
    advice_dir: Path | None = None,
) -> Rules:
    """Load the tables from `rules_dir`, by default the shipped ones, and the schemas of one edition.

    `folders`: edition → folder of its schemas, in place of those of `rules_dir`.

    `advice_dir`: folder of an operator's own rules and tables for advice, which add to those or replace them.
    Reads files, but compiles no schema yet. Raises RulesError that names the file, the table, the key and
    an example of a correct value.
    """
    folder = rules_dir or RULES
    mappings = folder / "mappings"
    catalogue = load_catalogue(mappings / "catalogue.toml")
    codes = load_codes(mappings / "codes.toml", catalogue)
    editions = Editions(folder / "xsd", catalogue, folders)
    default = editions.get(edition)
    usual = _shipped(mappings, "patience.toml")
    tables = load_code_tables(_shipped(mappings, "tables"))
    if advice_dir is not None and (advice_dir / TABLES).exists():
        tables = load_code_tables(advice_dir, tables)
    return Rules(
        catalogue=catalogue,
        codes=codes,
        schemas=default.schemas,
        plain=default.plain,
        editions=editions,
        response_times=load_response_times(usual, catalogue),
        rulebook=load_rulebook(_shipped(mappings, "rules.toml"), catalogue, advice_dir),
        tables=tables,
    )


def _shipped(mappings: Path, name: str) -> Path:
    """Return a file or folder of `mappings`, or ours: a rules_dir of an older version has none."""
    own = mappings / name
    return own if own.exists() else RULES / "mappings" / name
