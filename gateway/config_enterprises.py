"""The folder of enterprises: a TOML file each → who may hand in what, and how."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from gateway.config_doors import Door, check_doors
from gateway.errors import ConfigError
from gateway.model import Enterprise, EnterpriseId
from gateway.section import Section
from gateway.section_files import absolute, read_section


class EnterpriseFile(Section, kw_only=True):
    """`enterprises/<id>.toml`; relative paths count from the folder of enterprises."""

    name: str
    cop_codes: Annotated[tuple[str, ...], Meta(min_length=1)]
    dxp_ids: Annotated[tuple[str, ...], Meta(min_length=1)]
    token_sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    key: str = ""
    disabled: bool = False
    door: tuple[Door, ...] = ()
    """Where its messages come in, beside HTTP."""


def load_enterprises(folder: Path) -> dict[EnterpriseId, Enterprise]:
    """Read every `*.toml` of the folder, in name order. Raises ConfigError."""
    return {EnterpriseId(file.stem): _enterprise(file) for file in _files(folder)}


def load_doors(folder: Path) -> dict[EnterpriseId, tuple[Door, ...]]:
    """Read the doors of every enterprise that has some, paths absolute. Raises ConfigError."""
    read = {
        EnterpriseId(file.stem): absolute(read_section(file, EnterpriseFile), folder).door
        for file in _files(folder)
    }
    check_doors(read, folder)
    return {owner: doors for owner, doors in read.items() if doors}


def _files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise ConfigError(
            "there is no folder of enterprises", where=str(folder), fix="create it, or run `gateway init DIR`"
        )
    return iter(sorted(folder.glob("*.toml")))


def _enterprise(file: Path) -> Enterprise:
    read = read_section(file, EnterpriseFile)
    return Enterprise(
        id=EnterpriseId(file.stem),
        name=read.name,
        cop_codes=frozenset(read.cop_codes),
        dxp_ids=frozenset(read.dxp_ids),
        token_sha256=read.token_sha256,
        key=read.key,
        disabled=read.disabled,
    )
