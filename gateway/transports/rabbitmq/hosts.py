"""Checks and reads what a connection to the brokers needs: addresses, queue templates, TLS and passwords."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.config.links import Rabbitmq
from gateway.errors import ConfigError, DeliveryError
from gateway.ports import Parcel

PORTS = {"amqp": 5672, "amqps": 5671}
PLACES = re.compile(r"\{(\w*)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One broker."""

    name: str
    port: int
    encrypted: bool

    def __str__(self) -> str:
        """Return it as a URL, as configured."""
        return f"{'amqps' if self.encrypted else 'amqp'}://{self.name}:{self.port}"


def check(config: Rabbitmq) -> tuple[Host, ...]:
    """Return the brokers in their order; raises ConfigError for anything that cannot work."""
    hosts = tuple(_host(url) for url in config.hosts)
    route(config.send_queue, dict.fromkeys(PARTS, "x"))
    if config.user and config.password_file is None:
        raise ConfigError(
            "a user without a password",
            where="destination.rabbitmq.user",
            fix='password_file = "secrets/rabbitmq", a text file that holds the password alone',
        )
    if not config.user and config.client_certificate is None:
        raise ConfigError(
            "nobody to log in as",
            where="destination.rabbitmq",
            fix="give user and password_file, or client_certificate to log in by certificate",
        )
    plain = [str(host) for host in hosts if not host.encrypted]
    if plain and (config.client_certificate or config.ca_file):
        raise ConfigError(
            "certificates are configured, but the connection is not encrypted",
            where=f"destination.rabbitmq.hosts: {plain[0]}",
            fix=f"amqps:// and the TLS port, usually {PORTS['amqps']}",
        )
    return hosts


def _host(url: str) -> Host:
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS[parts.scheme]
    except (ValueError, KeyError):
        parts, port = urlsplit(""), 0
    if not parts.hostname or parts.username is not None or parts.path.strip("/") or parts.query:
        raise ConfigError(
            "the address of a broker is not amqp://host:port or amqps://host:port",
            where="destination.rabbitmq.hosts",
            fix='for example hosts = ["amqps://mq1.example.com:5671"]; the virtual host goes into `vhost`, '
            "the user into `user`, its password into `password_file`",
        )
    return Host(name=parts.hostname, port=port, encrypted=parts.scheme == "amqps")


PARTS = ("sender", "receiver", "type", "number")


def route_of(template: str, parcel: Parcel) -> str:
    """Return the routing key of a parcel. Raises DeliveryError, not temporary, when it lacks a part."""
    number = "".join(letter for letter in parcel.message_type if letter.isdigit())
    parts = {
        "sender": parcel.sender_id,
        "receiver": parcel.receiver_id,
        "type": parcel.message_type,
        "number": number,
    }
    absent = next((name for name in PLACES.findall(template) if not parts.get(name)), "")
    if absent:
        raise DeliveryError(
            f"the queue's name needs the {absent}, and the message has none",
            where=f"destination.rabbitmq.send_queue: {template}",
            fix="name the queue in another way, then retry the entry",
            temporary=False,
        )
    return route(template, parts)


def route(template: str, parts: Mapping[str, str]) -> str:
    """Fill the placeholders of a template; raises ConfigError for an unknown one."""
    unknown = next((name for name in PLACES.findall(template) if name not in parts), None)
    if unknown is not None or set("{}") & set(PLACES.sub("", template)):
        raise ConfigError(
            f"a place in the queue's name is unknown: {template}",
            where="destination.rabbitmq.send_queue",
            fix="only {sender}, {receiver}, {type} and {number} are filled in",
        )
    return PLACES.sub(lambda place: parts[place[1]], template)


def tls_context(config: Rabbitmq) -> ssl.SSLContext:
    """Return the TLS context: it always checks the broker's certificate, and presents ours when configured.

    Files are read at each connection, so that a renewed certificate is used. Raises DeliveryError.
    """
    try:
        context = ssl.create_default_context(cafile=config.ca_file)
    except OSError as error:
        raise _unusable("the authority", "ca_file", str(config.ca_file), error) from error
    if config.client_certificate is not None:
        files = f"{config.client_certificate}, {config.client_key or 'no client_key'}"
        try:  # the empty password keeps OpenSSL from asking for one on the terminal
            context.load_cert_chain(config.client_certificate, config.client_key, password="")
        except OSError as error:
            raise _unusable("our certificate", "client_certificate and client_key", files, error) from error
    return context


def _unusable(what: str, keys: str, where: str, error: OSError) -> DeliveryError:
    return DeliveryError(
        f"TLS cannot be set up with {what}: {error}",
        where=where,
        fix=f"destination.rabbitmq: {keys} must name readable PEM files; the key without a password",
    )


def password(config: Rabbitmq) -> str:
    """Read the password; called for each connection. Raises DeliveryError."""
    if config.password_file is None:
        return ""
    try:
        return config.password_file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DeliveryError(
            f"the password file cannot be read: {error}",
            where=str(config.password_file),
            fix="destination.rabbitmq.password_file must name a text file that holds the password alone",
        ) from error
