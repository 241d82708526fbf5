"""Load the folder of enterprises for a running node: parts with errors are left out, all others are served.

An error in one [[door]] or [[deliver]] leaves out only that one; any other error leaves out its enterprise, which then
counts as disabled: no caller is authenticated as it, and what waits for it and its mail are kept.
"""

import tomllib
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gateway.config.channels import Channel
from gateway.config.doors import Door, DoorId, conflicts
from gateway.config.enterprises import (
    check_times,
    checked,
    enterprise_files,
    enterprise_of,
    shared_proofs,
)
from gateway.config.files import absolute, read_table
from gateway.config.gateway_toml import QuotaTable
from gateway.config.left_out import LeftOut, left_out
from gateway.errors import ConfigError
from gateway.model import Enterprise, EnterpriseId, Mailbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenants:
    """The enterprises, doors and channels that are served, and the parts left out."""

    enterprises: Mapping[EnterpriseId, Enterprise]
    """Those left out too, as disabled, as far as their files can be read: no other gets their DXP ids and codes."""
    doors: Mapping[EnterpriseId, tuple[Door, ...]]
    channels: tuple[Channel, ...]
    """Of enterprises that are not disabled."""
    left_out: tuple[LeftOut, ...] = ()

    @property
    def has_unknown_ids(self) -> bool:
        """Whether an enterprise is left out whose DXP ids cannot be read from its file."""
        return any(not one.dxp_ids for one in self.enterprises.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    """The content of one file."""

    enterprise: Enterprise
    doors: Mapping[DoorId, Door]
    channels: tuple[Channel, ...]
    left_out: tuple[LeftOut, ...]


def load_tenants(
    folder: Path,
    *,
    default: QuotaTable | None,
    lease_s: float,
    editions: Collection[str] | None = None,
) -> Tenants:
    """Read every file of the folder. Raises ConfigError when there is no folder.

    `default`: the quota of enterprises whose files have none; `lease_s`: the lease of a claim on a delivery;
    `editions`: those that a file may name, None: any.
    """
    loaded = [_load(file, default, lease_s, editions) for file in enterprise_files(folder)]
    wrong = [part for one in loaded for part in one.left_out]
    shared = shared_proofs({one.enterprise.id: one.enterprise for one in loaded})
    for name, proof in shared.items():
        wrong.append(left_out("enterprise", name, _double(proof, folder / f"{name}.toml")))
    doors = {
        door: what for one in loaded if one.enterprise.id not in shared for door, what in one.doors.items()
    }
    in_the_way = conflicts(doors, folder)
    wrong += [left_out("door", f"{one.owner}/{one.number}", error) for one, error in in_the_way.items()]
    usable: dict[EnterpriseId, tuple[Door, ...]] = {}
    for one, door in doors.items():
        if one not in in_the_way:
            usable[one.owner] = (*usable.get(one.owner, ()), door)
    enterprises = [
        replace(one.enterprise, disabled=one.enterprise.disabled or one.enterprise.id in shared)
        for one in loaded
    ]
    return Tenants(
        enterprises={one.id: one for one in enterprises},
        doors=usable,
        channels=tuple(
            channel
            for one, found in zip(enterprises, loaded, strict=True)
            if not one.disabled
            for channel in found.channels
        ),
        left_out=tuple(wrong),
    )


def check_edition(enterprise: Enterprise, editions: Collection[str] | None, file: Path) -> None:
    """Check that the edition of an enterprise is one of `editions`; None: any is. Raises ConfigError."""
    if enterprise.edition and editions is not None and enterprise.edition not in editions:
        raise ConfigError(
            f"there is no edition {enterprise.edition}",
            where=f"{file}, edition",
            fix=f"one of: {', '.join(sorted(editions))}; or take the line out",
        )


def _double(proof: str, file: Path) -> ConfigError:
    return ConfigError(
        f"another enterprise has the same {proof}",
        where=str(file),
        fix="give each its own; for a token `gateway enterprise rotate-token`, then `end-token`",
    )


def _load(
    file: Path, default: QuotaTable | None, lease_s: float, editions: Collection[str] | None
) -> _Loaded:
    owner = EnterpriseId(file.stem)
    try:
        table, bare, enterprise = _alone(file, default)
        check_edition(enterprise, editions, file)
    except ConfigError as error:
        gone = left_out("enterprise", owner, error)
        return _Loaded(enterprise=_stand_in(file), doors={}, channels=(), left_out=(gone,))
    doors: dict[DoorId, Door] = {}
    channels: list[Channel] = []
    wrong: list[LeftOut] = []
    for number, (_, alone) in enumerate(_parts(table, "door"), start=1):
        try:
            (doors[DoorId(owner, number)],) = absolute(
                checked({**bare, "door": alone}, file), file.parent
            ).door
        except ConfigError as error:
            wrong.append(left_out("door", f"{owner}/{number}", error))
    for number, (name, twins) in enumerate(_parts(table, "deliver"), start=1):
        try:
            read = checked({**bare, "deliver": twins}, file)
            check_times(read, file, lease_s)
        except ConfigError as error:
            wrong.append(left_out("channel", f"{owner}/{name or number}", error))
        else:
            (deliver,) = absolute(read, file.resolve().parent).deliver
            channels.append(Channel(enterprise=owner, deliver=deliver))
    return _Loaded(
        enterprise=replace(enterprise, lanes=tuple(one.lane for one in channels)),
        doors=doors,
        channels=tuple(channels),
        left_out=tuple(wrong),
    )


def load_alone(folder: Path, owner: EnterpriseId, default: QuotaTable | None) -> Enterprise | None:
    """Read the file of one enterprise, ignoring errors in other files, its doors and its channels. Raises ConfigError.

    Returns None when there is no such file. The enterprise has no `lanes`.
    """
    file = next((file for file in enterprise_files(folder) if file.stem == owner), None)
    return None if file is None else _alone(file, default)[2]


def _alone(file: Path, default: QuotaTable | None) -> tuple[dict[str, Any], dict[str, Any], Enterprise]:
    """Read a file: (whole table, table without doors and channels, enterprise from the latter). Raises ConfigError."""
    table = read_table(file)
    bare = {key: value for key, value in table.items() if key not in {"door", "deliver"}}
    return table, bare, enterprise_of(checked(bare, file), file, default)


def _parts(table: Mapping[str, Any], key: str) -> list[tuple[str, Any]]:
    """Return each table of an array with its name and all tables of that name; any other value unchanged."""
    parts = table.get(key, [])
    if not isinstance(parts, list):
        return [("", parts)]
    names = [
        one["name"] if isinstance(one, dict) and isinstance(one.get("name"), str) else "" for one in parts
    ]
    return [
        (
            name,
            [
                part
                for part, other in zip(parts, names, strict=True)
                if part is one or (name and other == name)
            ],
        )
        for one, name in zip(parts, names, strict=True)
    ]


def _stand_in(file: Path) -> Enterprise:
    """Make a disabled enterprise from a faulty file: it cannot submit or fetch, but keeps its DXP ids and codes."""
    said = _legible(file)

    def texts(key: str) -> frozenset[str]:
        value = said.get(key)
        return (
            frozenset(one for one in value if isinstance(one, str))
            if isinstance(value, list)
            else frozenset()
        )

    return Enterprise(
        id=EnterpriseId(file.stem),
        name=file.stem,
        cop_codes=texts("cop_codes"),
        dxp_ids=texts("dxp_ids"),
        acts_for=texts("acts_for"),
        disabled=True,
        mailbox=Mailbox(senders=texts("mail_from")),
    )


def _legible(file: Path) -> dict[str, Any]:
    """Read what is readable of a file: all if it is TOML, else the valid lines before its first table."""
    try:
        text = file.read_text("utf-8", errors="replace")
    except OSError:
        return {}
    with suppress(tomllib.TOMLDecodeError):
        return tomllib.loads(text)
    found: dict[str, Any] = {}
    for line in text.splitlines():
        if line.startswith("["):
            break
        with suppress(tomllib.TOMLDecodeError):
            found |= tomllib.loads(line)
    return found
