"""The mappings that the commands of `gateway mapping` work on: shipped ones, those of a folder, or a file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.errors import ConfigError, RulesError
from gateway.mapping.compile import load_mapping
from gateway.mapping.language import SourceKind, SourceMapping
from gateway.mapping.loading import MappingText, compiled, mapping_texts
from gateway.model import MessageType
from gateway.rules.loading import Rules, load_rules

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The rules, and where mappings are found."""

    rules: Rules
    texts: Mapping[str, MappingText]

    def one(self, name: str) -> SourceMapping:
        """Return the mapping of that name, or of the file if it ends in .toml. Raises ConfigError, RulesError."""
        if name.endswith(".toml"):
            return load_mapping(Path(name), self.rules)
        if name not in self.texts:
            raise ConfigError(
                f"there is no mapping {name}",
                where="NAME",
                fix="gateway mapping list, or the path of a .toml file; --mappings-dir adds your own",
            )
        return compiled(name, self.texts[name], self.rules)

    def file_of(self, name: str) -> Path | None:
        """Return the file of a mapping; None: its text is generated."""
        if name.endswith(".toml"):
            return Path(name)
        return None if self.texts[name].text else self.texts[name].file

    def type_of(self, written: str) -> MessageType:
        """Return the declaration type: `311` or `CEB311Message`. Raises ConfigError."""
        number = written.removeprefix("CEB").removesuffix("Message")
        kind = self.rules.catalogue.by_name(f"CEB{number}Message")
        if kind is None or kind not in self.rules.catalogue.declarations():
            known = " ".join(str(one.number) for one in self.rules.catalogue.declarations())
            raise ConfigError(f"there is no declaration {written}", where="TYPE", fix=f"one of {known}")
        return kind

    def sheet_of(self, kind: MessageType) -> SourceMapping:
        """Return the shipped sheet of a declaration type. Raises ConfigError, RulesError."""
        return self.one(f"sheet-{kind.number}")

    def table(self, name: str) -> SourceMapping:
        """Return a mapping that reads tables; a message type stands for its shipped sheet. Raises ConfigError."""
        is_type = name.isdigit() or (name.startswith("CEB") and name.endswith("Message"))
        found = self.sheet_of(self.type_of(name)) if is_type else self.one(name)
        if found.source is not SourceKind.TABLE:
            raise ConfigError(
                f"{name} reads JSON, of which there is no sheet", where="NAME",
                fix=f"the sheet of this message: gateway mapping template {found.kind.number}",
            )  # fmt: skip
        return found


def chosen_options(command: Command) -> Command:
    """Add the options that say where mappings are."""
    for option in (
        click.option(
            "--mappings-dir",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            help="Folder of own mappings, as accept.mappings_dir.",
        ),
        click.option(
            "--rules-dir",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            help="Folder with xsd/ and mappings/ to use in place of the built-in ones.",
        ),
        click.option(
            "--edition", default="202205", show_default=True, help="Edition of the customs schemas."
        ),
    ):
        command = option(command)
    return command


def choose(edition: str, rules_dir: Path | None, mappings_dir: Path | None) -> Chosen:
    """Find the mappings. Raises RulesError."""
    rules = load_rules(rules_dir, edition)
    return Chosen(rules=rules, texts=mapping_texts(rules, rules_dir, mappings_dir))


def mistakes(chosen: Chosen, names: tuple[str, ...]) -> dict[str, RulesError]:
    """Compile mappings, and return what is wrong with those that are. Raises ConfigError for an unknown name."""
    found: dict[str, RulesError] = {}
    for name in names or tuple(chosen.texts):
        try:
            chosen.one(name)
        except RulesError as error:
            found[name] = error
    return found
