"""How a broker is reached: the same for the link to customs and for the door of an enterprise."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from gateway.config.sections import Count, Seconds, Section


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
