"""How the other side is reached: servers, brokers and folders, the same for customs, channels and doors."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from gateway.config.sections import Count, NotNegative, Seconds, Section

Port = Annotated[int, Meta(ge=0, le=65535)]


class RabbitmqBroker(Section, kw_only=True):
    """AMQP 0-9-1. The queues are the site's: none is declared or changed."""

    hosts: Annotated[tuple[str, ...], Meta(min_length=1)]
    """`amqp://host:port` or `amqps://…`, tried in this order; we stay with the one that answers."""
    vhost: str = "/"
    user: str = ""
    """Without one, the login is by `client_certificate` (SASL EXTERNAL)."""
    password_file: Path | None = None
    ca_file: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    prefetch: Annotated[int, Meta(ge=1, le=65535)] = 100
    """Arrivals of each queue that are with us and not acknowledged, at most."""
    heartbeat_s: Annotated[int, Meta(ge=1, le=3600)] = 30
    timeout_s: Seconds = 20.0


class AmqpBroker(Section, kw_only=True):
    """AMQP 1.0."""

    url: str
    """`amqp://host:port` or `amqps://…`."""
    user: str = ""
    password_file: Path | None = None
    ca_file: Path | None = None
    timeout_s: Seconds = 20.0
    prefetch: Count = 100


class Sftp(Section, kw_only=True):
    """`[destination.sftp]`."""

    host: str
    port: Port = 22
    user: str
    key_file: Path
    certificate_file: Path | None = None
    """OpenSSH user certificate of that key, read for each login: a renewed one is taken up by itself."""
    host_key: str
    """The server's public key as in known_hosts: `ssh-ed25519 AAAA…`; any other is refused. With
    `@cert-authority` before it, the key that must have signed the server's host certificate."""
    send_dir: str
    receive_dir: str
    archive_dir: str = ""
    """Where collected files are moved; without one they are removed."""
    stable_s: NotNegative = 0.0
    """Take a file only when its size and time have stayed the same so long; 0: it gets its name when whole."""
    connections: Annotated[int, Meta(ge=1, le=64)] = 1
    """Connections over which one forward process spreads the files of a batch."""
    timeout_s: Seconds = 20.0


class Amqp(AmqpBroker, kw_only=True):
    """`[destination.amqp]`: AMQP 1.0."""

    send_address: str
    receive_address: str


class Rabbitmq(RabbitmqBroker, kw_only=True):
    """`[destination.rabbitmq]`: AMQP 0-9-1."""

    exchange: str = ""
    """Empty: the default exchange, where the routing key is the queue's name."""
    send_queue: Annotated[str, Meta(min_length=1)]
    """Routing key, with the places `{sender}`, `{receiver}`, `{type}` (CEB311Message), `{number}` (311)."""
    receive_queues: Annotated[tuple[Annotated[str, Meta(min_length=1)], ...], Meta(min_length=1)]


class Folder(Section, kw_only=True):
    """`[destination.folder]`."""

    send_dir: Path
    receive_dir: Path
    archive_dir: Path | None = None
    """Where collected files are moved; without one they are removed."""
    stable_s: NotNegative = 0.0
    """As in `[destination.sftp]`."""

    @property
    def timeout_s(self) -> float:
        """A file system has no time-out: 0."""
        return 0.0


class Webhook(Section, kw_only=True):
    """`[deliver.webhook]`: POST to a server of the enterprise, signed (docs/delivery.md)."""

    url: Annotated[str, Meta(max_length=2000)]
    """`https://host/path`; `http://` only together with `allow_private`."""
    secret_file: Path
    """`whsec_` and 24 to 64 bytes in base64; a second line is a second secret, and both sign (rotation)."""
    ca_file: Path | None = None
    """PEM of the authority that must have issued its certificate, in place of those of the system."""
    allow_private: bool = False
    """Connect also to addresses of private networks and of this machine."""
    parallel: Annotated[int, Meta(ge=1, le=16)] = 4
    """Requests under way at the same time at most; never two about one declaration."""
    timeout_s: Seconds = 15.0
    """For the whole of a request, from the look-up of the name to the head of the answer."""


Link = Sftp | Rabbitmq | Amqp | Folder
"""How a destination is reached."""
