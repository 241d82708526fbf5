"""`[[door]]` of an enterprise's file: how its messages come in, beside HTTP."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from os.path import normpath
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from gateway.config_brokers import AmqpBroker, RabbitmqBroker
from gateway.errors import ConfigError
from gateway.model import EnterpriseId
from gateway.section import NotNegative, Section

QueueName = Annotated[str, Meta(min_length=1, max_length=255)]
Prefetch = Annotated[int, Meta(ge=1, le=1000)]
"""Messages that are with us and not acknowledged; each is held in memory whole."""


class FolderDoor(Section, kw_only=True, tag_field="kind", tag="folder"):
    """`kind = "folder"`: files that somebody lays there, by SFTP, FTP or a mount. All folders on one file system."""

    dir: Path
    reports_dir: Path
    """Where `<name>.accepted.json` is written."""
    rejected_dir: Path
    """Where a refused file is moved, beside its `<name>.problem.json`."""
    done_dir: Path | None = None
    """Where accepted files are moved; without one they are removed."""
    stable_s: NotNegative = 5.0
    """Take a file when size and time have stayed the same so long; 0: who writes it renames it when it is whole."""

    def folders(self) -> dict[str, Path]:
        """Return every folder by the name of its key."""
        named = {"dir": self.dir, "reports_dir": self.reports_dir, "rejected_dir": self.rejected_dir}
        return named if self.done_dir is None else {**named, "done_dir": self.done_dir}


class RabbitmqDoor(RabbitmqBroker, kw_only=True, tag_field="kind", tag="rabbitmq"):
    """`kind = "rabbitmq"`: a queue over AMQP 0-9-1."""

    queue: QueueName
    reply_queue: QueueName
    """Where every message is answered: with what HTTP would have answered."""
    prefetch: Prefetch = 20


class AmqpDoor(AmqpBroker, kw_only=True, tag_field="kind", tag="amqp"):
    """`kind = "amqp"`: a queue over AMQP 1.0."""

    queue: QueueName
    reply_queue: QueueName
    """As of `kind = "rabbitmq"`."""
    prefetch: Prefetch = 20


Door = FolderDoor | RabbitmqDoor | AmqpDoor


def kind_of(door: Door) -> str:
    """Return the `kind` of a door as its table says it."""
    return str(door.__struct_config__.tag)


def check_doors(doors: Mapping[EnterpriseId, Sequence[Door]], where: Path) -> None:
    """See that no two doors take from one place, none from where one puts, and no two enterprises share any.

    What is found in a place that two enterprises share could be either's. Raises ConfigError.
    """
    sources: dict[str, str] = {}
    for owner, place in _each(doors, _sources):
        if place in sources:
            raise _shared(f"another door takes from there already, of {sources[place]}", owner, place, where)
        sources[place] = owner
    targets: dict[str, str] = {}
    for owner, place in _each(doors, _targets):
        if place in sources:
            raise _shared(f"a door of {sources[place]} takes from where this one puts", owner, place, where)
        if targets.setdefault(place, owner) != owner:
            raise _shared(f"a door of {targets[place]} puts there too", owner, place, where)


def _each(
    doors: Mapping[EnterpriseId, Sequence[Door]], places: Callable[[Door], Iterator[str]]
) -> Iterator[tuple[str, str]]:
    return ((owner, place) for owner, own in doors.items() for door in own for place in places(door))


def _shared(what: str, owner: str, place: str, where: Path) -> ConfigError:
    return ConfigError(
        what, where=f"{where / owner}.toml, {place}", fix="give each door folders and queues of its own"
    )


def _sources(door: Door) -> Iterator[str]:
    if isinstance(door, FolderDoor):
        yield normpath(door.dir)
    else:
        yield from _queues(door, door.queue)


def _targets(door: Door) -> Iterator[str]:
    if isinstance(door, FolderDoor):
        yield from {normpath(path) for key, path in door.folders().items() if key != "dir"}
    else:
        yield from _queues(door, door.reply_queue)


def _queues(door: RabbitmqDoor | AmqpDoor, queue: str) -> Iterator[str]:
    if isinstance(door, AmqpDoor):
        yield f"{door.url} {queue}"
    else:
        yield from (f"{host} {door.vhost} {queue}" for host in door.hosts)
