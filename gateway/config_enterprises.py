"""The folder of enterprises: a TOML file each → who may hand in what, and how."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from gateway.errors import ConfigError
from gateway.model import Enterprise, EnterpriseId
from gateway.section import Section
from gateway.section_files import read_section


class EnterpriseFile(Section, kw_only=True):
    """`enterprises/<id>.toml`."""

    name: str
    cop_codes: Annotated[tuple[str, ...], Meta(min_length=1)]
    dxp_ids: Annotated[tuple[str, ...], Meta(min_length=1)]
    token_sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    key: str = ""
    disabled: bool = False


def load_enterprises(folder: Path) -> dict[EnterpriseId, Enterprise]:
    """Read every `*.toml` of the folder, in name order. Raises ConfigError."""
    if not folder.is_dir():
        raise ConfigError(
            "there is no folder of enterprises", where=str(folder), fix="create it, or run `gateway init DIR`"
        )
    return {EnterpriseId(file.stem): _enterprise(file) for file in sorted(folder.glob("*.toml"))}


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
