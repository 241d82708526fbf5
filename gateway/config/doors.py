"""`[[door]]` of an enterprise's file: how its messages come in, other than by HTTP."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from os.path import normpath
from pathlib import Path
from typing import Annotated, Final, NamedTuple

from msgspec import Meta

from gateway.config.links import AmqpBroker, RabbitmqBroker
from gateway.config.sections import NotNegative, Section
from gateway.errors import ConfigError
from gateway.model import EnterpriseId

QueueName = Annotated[str, Meta(min_length=1, max_length=255)]
Prefetch = Annotated[int, Meta(ge=1, le=1000)]
"""Most unacknowledged messages; each is held in memory as a whole."""


class FolderDoor(Section, kw_only=True, tag_field="kind", tag="folder"):
    """`kind = "folder"`: files put there by SFTP, FTP or a mount. All folders must be on one file system."""

    dir: Path
    reports_dir: Path
    """Folder for `<name>.accepted.json`."""
    rejected_dir: Path
    """Folder for refused files, each with its `<name>.problem.json`."""
    done_dir: Path | None = None
    """Folder for accepted files; without one they are removed."""
    stable_s: NotNegative = 5.0
    """Take a file when size and time have been unchanged so long; 0: the writer renames it when it is complete."""
    mapping: str | Annotated[tuple[str, ...], Meta(min_length=1, max_length=8)] = ()
    """Files are sheets or JSON, which these mappings make into messages (docs/imports.md); none: they are messages."""
    charset: str = ""
    """With `mapping`: charset of CSV, when its bytes do not say it."""
    all_or_nothing: bool = False
    """With `mapping`: make no message of a file unless every declaration in it is sound."""

    @property
    def mappings(self) -> tuple[str, ...]:
        """The names in `mapping`."""
        return (self.mapping,) if isinstance(self.mapping, str) else self.mapping

    def folders(self) -> dict[str, Path]:
        """Return every folder by the name of its key."""
        named = {"dir": self.dir, "reports_dir": self.reports_dir, "rejected_dir": self.rejected_dir}
        return named if self.done_dir is None else {**named, "done_dir": self.done_dir}


class RabbitmqDoor(RabbitmqBroker, kw_only=True, tag_field="kind", tag="rabbitmq"):
    """`kind = "rabbitmq"`: a queue over AMQP 0-9-1."""

    queue: QueueName
    reply_queue: QueueName
    """Queue for the answer to each message, the same as over HTTP."""
    prefetch: Prefetch = 20


class AmqpDoor(AmqpBroker, kw_only=True, tag_field="kind", tag="amqp"):
    """`kind = "amqp"`: a queue over AMQP 1.0."""

    queue: QueueName
    reply_queue: QueueName
    """As for `kind = "rabbitmq"`."""
    prefetch: Prefetch = 20


Door = FolderDoor | RabbitmqDoor | AmqpDoor


def kind_of(door: Door) -> str:
    """Return the `kind` of a door as in its table."""
    return str(door.__struct_config__.tag)


class DoorId(NamedTuple):
    """A door, identified by its enterprise and its number in the file, from 1."""

    owner: EnterpriseId
    number: int


def check_doors(doors: Mapping[EnterpriseId, Sequence[Door]], where: Path) -> None:
    """Check that no two doors conflict. Raises ConfigError for the first of `conflicts`."""
    for error in conflicts(
        {DoorId(owner, n): door for owner, own in doors.items() for n, door in enumerate(own, 1)}, where
    ).values():
        raise error


def conflicts(doors: Mapping[DoorId, Door], where: Path) -> dict[DoorId, ConfigError]:
    """Find doors with the same source, a source that is another's target, or a place shared with another enterprise.

    A file in a shared place could belong to either enterprise, so all doors in a conflict are returned.
    """
    takers, putters = _by_place(doors, _sources), _by_place(doors, _targets)
    found: dict[DoorId, ConfigError] = {}

    def say(what: str, concerned: Sequence[DoorId], others: Sequence[DoorId], place: str) -> None:
        for one in concerned:
            other = next((other for other in others if other != one), one)
            file = f"{where / one.owner}.toml, {place}"
            found.setdefault(one, ConfigError(what.format(other.owner), where=file, fix=_OF_ITS_OWN))

    for place, taking in takers.items():
        if len(taking) > 1:
            say("another door takes from there already, of {}", taking, taking, place)
        if putting := putters.get(place):
            say("a door of {} takes from where this one puts", putting, taking, place)
            say("a door of {} puts where this one takes from", taking, putting, place)
    for place, putting in putters.items():
        if len({one.owner for one in putting}) > 1:
            strangers = sorted(putting, key=lambda one: one.owner)
            say("a door of {} puts there too", strangers, [strangers[0], strangers[-1]], place)
    return found


_OF_ITS_OWN: Final = "give each door folders and queues of its own"


def _by_place(
    doors: Mapping[DoorId, Door], places: Callable[[Door], Iterator[str]]
) -> dict[str, list[DoorId]]:
    found: dict[str, list[DoorId]] = {}
    for name, door in doors.items():
        for place in dict.fromkeys(places(door)):
            found.setdefault(place, []).append(name)
    return found


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
