"""The editions at hand: the schemas of each, in both forms, read at their first use and then kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from gateway.errors import RulesError
from gateway.rules.catalogue import Catalogue
from gateway.rules.plain_form import PlainForms
from gateway.rules.schemas import Schemas

NO_FOLDERS: Final[Mapping[str, Path]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class EditionSchemas:
    """The schemas of one edition."""

    schemas: Schemas
    plain: PlainForms
    """The same as regular expressions, for documents in plain form."""


def edition_folders(xsd: Path, folders: Mapping[str, Path] = NO_FOLDERS) -> dict[str, Path]:
    """Return name → folder of every edition in `xsd/`, and of those that have a folder of their own."""
    return {folder.name: folder for folder in sorted(xsd.glob("*")) if folder.is_dir()} | dict(folders)


class Editions:
    """The editions of a folder `xsd/`, and those that have a folder of their own; for one thread."""

    def __init__(self, xsd: Path, catalogue: Catalogue, folders: Mapping[str, Path] = NO_FOLDERS) -> None:
        """Store the places; reads no schema. `folders`: name → folder, in place of `xsd/NAME`."""
        self._folders = edition_folders(xsd, folders)
        self._catalogue = catalogue
        self._read: dict[str, EditionSchemas] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all editions, sorted."""
        return tuple(sorted(self._folders))

    def folder(self, name: str) -> Path:
        """Return the folder of an edition's schemas. Raises RulesError for an unknown name."""
        if name not in self._folders:
            raise RulesError(
                f"there is no edition {name}",
                where="the editions of the message formats",
                fix=f"use one of {', '.join(self.names)}, or give its schemas a [[edition]] with a folder",
            )
        return self._folders[name]

    def get(self, name: str) -> EditionSchemas:
        """Return the schemas of an edition, read at the first call. Raises RulesError as `Schemas.load`."""
        found = self._read.get(name)
        if found is None:
            schemas = Schemas.load(self.folder(name), edition=name)
            found = self._read[name] = EditionSchemas(
                schemas=schemas, plain=PlainForms(schemas, self._catalogue)
            )
        return found
