"""`[[deliver]]` of an enterprise's file: the channels that deliver its answers, checked as a whole."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import SplitResult, urlsplit

from msgspec import Meta

from gateway.config.gateway_toml import HOME, Retry
from gateway.config.links import Amqp, Folder, Link, Rabbitmq, Sftp, Webhook
from gateway.config.sections import Section
from gateway.errors import ConfigError


class OutFolder(Folder, kw_only=True):
    """`[deliver.folder]`."""

    receive_dir: Path = Path()


class OutSftp(Sftp, kw_only=True):
    """`[deliver.sftp]`."""

    receive_dir: str = ""


class OutRabbitmq(Rabbitmq, kw_only=True):
    """`[deliver.rabbitmq]`."""

    receive_queues: tuple[str, ...] = ()


class OutAmqp(Amqp, kw_only=True):
    """`[deliver.amqp]`."""

    receive_address: str = ""


class Deliver(Section, kw_only=True):
    """`[[deliver]]`: one channel, exactly one of `webhook`, `folder`, `sftp`, `rabbitmq`, `amqp`."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_.-]{0,39}$")]
    webhook: Webhook | None = None
    folder: OutFolder | None = None
    sftp: OutSftp | None = None
    rabbitmq: OutRabbitmq | None = None
    amqp: OutAmqp | None = None
    content: Literal["json", "raw"] = "json"
    """What a queue gets: JSON that contains the receipt, or only the bytes of the receipt."""
    retry: Retry | None = None
    """Replaces the common `[retry]`."""

    @property
    def kind(self) -> str:
        """The name of the table that is present; empty if there is none."""
        return next((kind for kind in KINDS if getattr(self, kind) is not None), "")

    @property
    def link(self) -> Link | Webhook:
        """The one of the tables that is there. Raises ConfigError when there is none."""
        link = self.webhook or self.folder or self.sftp or self.rabbitmq or self.amqp
        if link is None:
            raise ConfigError(
                f"channel {self.name} has no way out", fix="see [[deliver]] in docs/delivery.md"
            )
        return link


KINDS: Final = ("webhook", "folder", "sftp", "rabbitmq", "amqp")
_IN_ONLY: Final = ("receive_dir", "receive_queues", "receive_address", "archive_dir", "stable_s", "prefetch")
"""Settings for receiving, which a channel does not have."""
_QUEUES: Final = ("rabbitmq", "amqp")
_URL: Final = re.compile(r"https?://[!-~]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One `[[deliver]]` with its enterprise."""

    enterprise: str
    deliver: Deliver

    @property
    def lane(self) -> str:
        """The destination of its entries in the spool: `@home/<enterprise>/<name>`."""
        return f"{HOME}/{self.enterprise}/{self.deliver.name}"


def check_deliver(tables: tuple[Deliver, ...], file: Path) -> None:
    """Check rules that involve several keys; `tables` as read, before paths are made absolute. Raises ConfigError."""
    names = [one.name for one in tables]
    if len(set(names)) != len(names):
        raise ConfigError("two [[deliver]] tables have one name", where=str(file), fix="rename one of them")
    for one in tables:
        where = f"{file}, deliver {one.name}"
        kinds = [kind for kind in KINDS if getattr(one, kind) is not None]
        if len(kinds) != 1:
            raise ConfigError(
                f"the channel has {len(kinds)} ways out, must have one",
                where=where,
                fix=f"keep exactly one of {', '.join(f'[deliver.{kind}]' for kind in KINDS)}",
            )
        _check_way(one, kinds[0], where)


def target_of(webhook: Webhook) -> SplitResult:
    """Parse and check the URL. Raises ConfigError."""
    fault = ""
    try:
        url = urlsplit(webhook.url)
        if not _URL.fullmatch(webhook.url) or not url.hostname or url.port == 0:
            fault = "url is no address of a web server"
        elif url.username is not None or url.fragment:
            fault = "url has a user name or a #fragment in it"
        elif url.scheme == "http" and not webhook.allow_private:
            fault = "answers of customs do not go over the internet unencrypted"
    except ValueError as error:
        fault = f"url cannot be read: {error}"
    if fault:
        raise ConfigError(fault, where="webhook.url", fix='url = "https://erp.example.com/customs"')
    return url


def _check_way(table: Deliver, kind: str, where: str) -> None:
    way = getattr(table, kind)
    defaults = type(way).__struct_defaults__
    fields = dict(zip(type(way).__struct_fields__[-len(defaults) :], defaults, strict=True))
    for name in _IN_ONLY:
        if name in fields and getattr(way, name) != fields[name]:
            raise ConfigError(f"{name} is not for [deliver.{kind}]", where=where, fix="remove it")
    if table.content == "raw" and kind not in _QUEUES:
        raise ConfigError(
            f'content = "raw" is not for [deliver.{kind}]', where=where, fix="remove it: it gets both forms"
        )
    if table.webhook is not None:
        try:
            target_of(table.webhook)
        except ConfigError as error:
            raise ConfigError(error.what, where=f"{where}, {error.where}", fix=error.fix) from error
