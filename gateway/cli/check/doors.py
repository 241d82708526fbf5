"""`gateway check`: the doors beside HTTP: whether files can be moved there and the queues answer."""

import os
from collections.abc import Iterator

from gateway.cli.check.result import Check, Grade, failed
from gateway.config.doors import AmqpDoor, Door, FolderDoor, RabbitmqDoor, kind_of
from gateway.config.enterprises import load_doors
from gateway.config.gateway_toml import Config
from gateway.doors.drop.queue import link_of
from gateway.errors import ConfigError, GatewayError
from gateway.transports.adapters import adapter_of
from gateway.transports.folder import try_to_write


def probe_doors(config: Config) -> Iterator[Check]:
    """Check every door, without taking or leaving anything there; nothing when there is none."""
    try:
        doors = load_doors(config.accept.enterprises_dir)
    except ConfigError as error:
        yield failed("doors", error)
        return
    for owner, own in doors.items():
        for door in own:
            name = f"door {owner} {kind_of(door)}"
            try:
                yield Check(name=name, grade=Grade.OK, detail=_reach(door))
            except GatewayError as error:
                yield failed(name, error)


def _reach(door: Door) -> str:
    match door:
        case FolderDoor():
            return _reach_folders(door)
        case RabbitmqDoor():
            return adapter_of(link_of(door)).probe()
        case AmqpDoor():
            from gateway.transports.amqp10.probe import reach_addresses  # noqa: PLC0415 (an extra)

            return reach_addresses(link_of(door))


def _reach_folders(door: FolderDoor) -> str:
    folders = door.folders()
    for key, folder in folders.items():
        try:
            try_to_write(folder)
            apart = folder.stat().st_dev != door.dir.stat().st_dev
        except OSError as error:
            raise ConfigError(
                f"{key} cannot be written: {error.strerror}",
                where=str(folder),
                fix="make the folder, and let the user of the gateway write there (docs/sftp-door.md)",
            ) from error
        if apart:
            raise ConfigError(
                f"{key} is on another file system than dir, so that no file can be moved there",
                where=str(folder),
                fix="keep all folders of a door on one file system",
            )
        if not os.access(folder, os.R_OK | os.X_OK):
            raise ConfigError(f"{key} cannot be read", where=str(folder), fix="chmod g+rx")
    return f"folders {', '.join(map(str, folders.values()))} can be written"
