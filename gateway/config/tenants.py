"""The folder of enterprises as a node takes it up: what cannot be used is left out, and everybody else is served.

A slip in one [[door]] or [[deliver]] leaves out that one; any other leaves out its enterprise, which then counts as
disabled: nobody is recognised as it, and what waits for it and its mail stay.
"""

import tomllib
from collections.abc import Mapping
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
    """Who is served, and what is not."""

    enterprises: Mapping[EnterpriseId, Enterprise]
    """Also those left out, disabled, as far as their files can be read: nobody else gets their DXP ids and codes."""
    doors: Mapping[EnterpriseId, tuple[Door, ...]]
    channels: tuple[Channel, ...]
    """Of those that are not disabled."""
    left_out: tuple[LeftOut, ...] = ()

    @property
    def has_unknown_ids(self) -> bool:
        """Whether somebody is left out whose file does not even say its DXP ids."""
        return any(not one.dxp_ids for one in self.enterprises.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    """One file."""

    enterprise: Enterprise
    doors: Mapping[DoorId, Door]
    channels: tuple[Channel, ...]
    left_out: tuple[LeftOut, ...]


def load_tenants(folder: Path, *, default: QuotaTable | None, lease_s: float) -> Tenants:
    """Read every file of the folder. Raises ConfigError when there is none.

    `default`: the quota of those whose files have none; `lease_s`: how long a claim on a delivery holds.
    """
    loaded = [_load(file, default, lease_s) for file in enterprise_files(folder)]
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


def _double(proof: str, file: Path) -> ConfigError:
    return ConfigError(
        f"another enterprise has the same {proof}",
        where=str(file),
        fix="give each its own; for a token `gateway enterprise rotate-token`, then `end-token`",
    )


def _load(file: Path, default: QuotaTable | None, lease_s: float) -> _Loaded:
    owner = EnterpriseId(file.stem)
    try:
        table, bare, enterprise = _alone(file, default)
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
    """Read the one file of an enterprise, whatever is in the others, in its doors and in its channels. Raises ConfigError.

    None: there is no such file. It has no `lanes`.
    """
    file = next((file for file in enterprise_files(folder) if file.stem == owner), None)
    return None if file is None else _alone(file, default)[2]


def _alone(file: Path, default: QuotaTable | None) -> tuple[dict[str, Any], dict[str, Any], Enterprise]:
    """Read a file: all of it, and what is not its doors and channels, which makes the enterprise. Raises ConfigError."""
    table = read_table(file)
    bare = {key: value for key, value in table.items() if key not in {"door", "deliver"}}
    return table, bare, enterprise_of(checked(bare, file), file, default)


def _parts(table: Mapping[str, Any], key: str) -> list[tuple[str, Any]]:
    """Give each table of an array with its name, alone, or together with those of the same name; what is none as it is."""
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
    """Make of a file that is wrong who can neither hand in nor fetch anything, and to whom nobody else is mistaken."""
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
    """Read of a file what can be read: all if it is TOML, else the lines before its tables that are."""
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
