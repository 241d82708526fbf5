"""The folder of enterprises: a TOML file each → who may hand in what, and how."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from gateway.config_deliver import Channel, Deliver, check_deliver
from gateway.errors import ConfigError
from gateway.model import Enterprise, EnterpriseId
from gateway.section import Section
from gateway.section_files import absolute, read_section


class EnterpriseFile(Section, kw_only=True):
    """`enterprises/<id>.toml`."""

    name: str
    cop_codes: Annotated[tuple[str, ...], Meta(min_length=1)]
    dxp_ids: Annotated[tuple[str, ...], Meta(min_length=1)]
    token_sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    key: str = ""
    disabled: bool = False
    deliver: tuple[Deliver, ...] = ()
    """The channels on which answers are brought home; none: it fetches them."""


def load_enterprises(folder: Path) -> dict[EnterpriseId, Enterprise]:
    """Read every `*.toml` of the folder, in name order. Raises ConfigError."""
    if not folder.is_dir():
        raise ConfigError(
            "there is no folder of enterprises", where=str(folder), fix="create it, or run `gateway init DIR`"
        )
    return {EnterpriseId(file.stem): _enterprise(file) for file in sorted(folder.glob("*.toml"))}


def load_channels(folder: Path, *, lease_s: float) -> tuple[Channel, ...]:
    """Read the channels of all enterprises that are not disabled; paths are absolute. Raises ConfigError.

    Who is disabled gets nothing: the answers wait. `lease_s`: how long a claim holds, longer than a delivery takes.
    """
    return tuple(
        Channel(enterprise=file.stem, deliver=deliver)
        for file in sorted(folder.glob("*.toml"))
        if not (read := _read(file)).disabled
        for deliver in _channels(read, file, lease_s)
    )


def _channels(read: EnterpriseFile, file: Path, lease_s: float) -> tuple[Deliver, ...]:
    for one in read.deliver:
        if one.webhook is not None and one.webhook.timeout_s > lease_s / 2:
            raise ConfigError(
                f"timeout_s {one.webhook.timeout_s:g} is more than half of lease_s {lease_s:g}",
                where=f"{file}, deliver {one.name}",
                fix="shorten it, or make lease_s of gateway.toml longer",
            )
    return absolute(read, file.resolve().parent).deliver


def _read(file: Path) -> EnterpriseFile:
    read = read_section(file, EnterpriseFile)
    check_deliver(read.deliver, file)
    return read


def _enterprise(file: Path) -> Enterprise:
    read = _read(file)
    return Enterprise(
        id=EnterpriseId(file.stem),
        name=read.name,
        cop_codes=frozenset(read.cop_codes),
        dxp_ids=frozenset(read.dxp_ids),
        token_sha256=read.token_sha256,
        key=read.key,
        disabled=read.disabled,
    )
