"""Find `xsd/` and `mappings/`, check them completely and load them once into one frozen `Rules`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gateway.config.gateway_toml import Config
from gateway.rules.catalogue import Catalogue, load_catalogue
from gateway.rules.code_tables import MANIFEST as TABLES
from gateway.rules.code_tables import CodeTables, load_code_tables
from gateway.rules.codes import Codes, load_codes
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
    plain: PlainForms
    """The same schemas as regular expressions, for documents in plain form."""
    response_times: ResponseTimes
    """As shipped, or with the values of gateway.toml from `response_times_of`."""
    rulebook: Rulebook
    """The rules that advice is given by."""
    tables: CodeTables
    """The tables that those rules look things up in."""


def rules_of(config: Config) -> Rules:
    """Load the rules that a configuration names, with its own response times. Raises RulesError."""
    rules = load_rules(config.rules.rules_dir, config.rules.edition, config.rules.advice_dir)
    return replace(rules, response_times=response_times_of(rules.response_times, config))


def load_rules(
    rules_dir: Path | None = None, edition: str = "202205", advice_dir: Path | None = None
) -> Rules:
    """Load the tables and the schemas of one edition from `rules_dir`, by default the shipped ones.

    `advice_dir`: folder of an operator's own rules and tables for advice, which add to those or replace them.
    Reads files, but compiles no schema yet. Raises RulesError that names the file, the table, the key and
    an example of a correct value.
    """
    folder = rules_dir or RULES
    mappings = folder / "mappings"
    catalogue = load_catalogue(mappings / "catalogue.toml")
    codes = load_codes(mappings / "codes.toml", catalogue)
    schemas = Schemas.load(folder / "xsd" / edition)
    usual = _shipped(mappings, "patience.toml")
    tables = load_code_tables(_shipped(mappings, "tables"))
    if advice_dir is not None and (advice_dir / TABLES).exists():
        tables = load_code_tables(advice_dir, tables)
    return Rules(
        catalogue=catalogue,
        codes=codes,
        schemas=schemas,
        plain=PlainForms(schemas, catalogue),
        response_times=load_response_times(usual, catalogue),
        rulebook=load_rulebook(_shipped(mappings, "rules.toml"), catalogue, advice_dir),
        tables=tables,
    )


def _shipped(mappings: Path, name: str) -> Path:
    """Return a file or folder of `mappings`, or ours: a rules_dir of an older version has none."""
    own = mappings / name
    return own if own.exists() else RULES / "mappings" / name
