"""The rules and tables that the commands of `gateway rules` work on: those shipped, and those of an operator's folder."""

from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import click

from gateway.advice.adviser import Adviser
from gateway.config.gateway_toml import load_config
from gateway.errors import RulesError
from gateway.model import Family
from gateway.rules.code_tables import MANIFEST, load_code_tables
from gateway.rules.loading import RULES, Rules, load_rules
from gateway.rules.rulebook import Rule, read_rulebook

config_option = click.option(
    "-c",
    "--config",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Configuration whose [rules] name the folder of own rules.",
)
folder_option = click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of own rules and tables, in place of that of the configuration.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleBooks:
    """What was read, and what is wrong with it."""

    rules: Rules
    mistakes: tuple[RulesError, ...]

    def asleep(self, rule: Rule) -> tuple[str, ...]:
        """Return the tables that a rule needs and that are not there."""
        return tuple(name for name in rule.needs if name not in self.rules.tables)

    def shown_types(self, rule: Rule) -> str:
        """Return the message types of a rule, or the family where it is for all of it: `311 621`, `import`."""
        left = list(rule.types)
        words: list[str] = []
        for family in Family:
            whole = [kind.name for kind in self.rules.catalogue.declarations() if kind.family is family]
            if all(name in left for name in whole):
                left = [name for name in left if name not in whole]
                words.append(str(family))
        return " ".join([*words, *(number(name) for name in left)])


def number(message_type: str) -> str:
    """Return the number of a message type: `311`."""
    return message_type.removeprefix("CEB").removesuffix("Message")


def read_books(file: Path | None, folder: Path | None) -> RuleBooks:
    """Read shipped and own rules with all mistakes in them. Raises ConfigError, and RulesError for what cannot be read at all."""
    given = None if file is None else load_config(file).rules
    own = folder or (given.advice_dir if given else None)
    rules = load_rules(given.rules_dir if given else None, given.edition if given else "202205")
    if own is None:
        return RuleBooks(rules=rules, mistakes=_compiled(rules))
    wrong: list[RulesError] = []
    tables = rules.tables
    try:
        tables = load_code_tables(own, tables) if (own / MANIFEST).exists() else tables
    except RulesError as error:
        wrong.append(error)
    shipped = RULES / "mappings" / "rules.toml"
    named = (given.rules_dir if given and given.rules_dir else RULES) / "mappings" / "rules.toml"
    rulebook, mistakes = read_rulebook(named if named.exists() else shipped, rules.catalogue, own)
    rules = replace(rules, tables=MappingProxyType(dict(tables)), rulebook=rulebook)
    return RuleBooks(rules=rules, mistakes=(*wrong, *mistakes, *_compiled(rules)))


def _compiled(rules: Rules) -> tuple[RulesError, ...]:
    """Return what is wrong with each rule that cannot be compiled; the same mistake in several types once."""
    adviser = Adviser(rules.rulebook, rules.tables, rules.schemas)
    found: dict[str, RulesError] = {}
    for mistake in adviser.mistakes(rules.catalogue.declarations()):
        found.setdefault(mistake.where, mistake)
    return tuple(found.values())
