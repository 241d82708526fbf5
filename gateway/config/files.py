"""TOML files → checked sections, for every configuration file."""

import re
import tomllib
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from gateway.config.sections import Section
from gateway.errors import ConfigError

S = TypeVar("S", bound=Section)

EXAMPLES: Final = {
    "state_dir": 'state_dir = "state"',
    "dxp_id": 'dxp_id = "DXPENT0000000001"',
    "port": "port = 8080",
    "kind": 'kind = "pem"; of a [[door]]: kind = "folder", "rabbitmq" or "amqp"',
    "suite": 'suite = "sm2-sm3"',
    "company_oid": 'company_oid = "2.5.4.10"',
    "envelope": 'envelope = "DxpMsg"',
    "host_key": 'host_key = "ssh-ed25519 AAAA…"',
    "dsn": 'dsn = "host=db.example.net dbname=gateway user=gateway"',
    "url": 'url = "amqp://127.0.0.1:5672"',
    "webhook.url": 'url = "https://erp.example.com/customs"',
    "secret_file": 'secret_file = "shop.secret"',
    "hosts": 'hosts = ["amqps://mq1.example.com:5671", "amqps://mq2.example.com:5671"]',
    "send_queue": 'send_queue = "{receiver}"',
    "receive_queues": 'receive_queues = ["DXPENT0000000001_HZ"]',
    "reply_queue": 'reply_queue = "example.replies"',
    "reports_dir": 'reports_dir = "/srv/doors/example/reports"',
    "to": 'to = ["customs"]',
    "message_type": 'message_type = ["CEB311Message", "CEB621Message"]',
    "customs_code": 'customs_code = "5100"',
    "share": "share = 1.5",
    "receivers": 'receivers = ["DXPEDCCEB0000002"], 1 to 5 of them',
    "certificate_sha256": 'certificate_sha256 = ["AB:CD:…"], as `openssl x509 -noout -fingerprint -sha256` prints it',
    "message_types": 'message_types = ["CEB311Message", "CEB621Message"]',
    "addresses": 'addresses = ["10.1.0.0/16"]',
    "block_on": 'block_on = ["error", "rule:order-paid-sum"]',
    "messages_per_minute": "messages_per_minute = 600",
    "token_sha256": 'token_sha256 = "<64 hex digits>", as `printf %s TOKEN | sha256sum` prints it',
}
"""Key → an example of a correct value, for error messages."""


def read_section(file: Path, kind: type[S]) -> S:
    """Read a TOML file into a section, paths as written; unknown keys are errors. Raises ConfigError."""
    return section_of(read_table(file), kind, file)


def read_table(file: Path) -> dict[str, Any]:
    """Read a TOML file without checking its content. Raises ConfigError."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"cannot read the file: {error.strerror}",
            where=str(file),
            fix="name another with -c, or write one with `gateway init DIR`",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not TOML: {error}", where=str(file), fix="mend that line") from error


def section_of(table: Mapping[str, Any], kind: type[S], file: Path) -> S:
    """Check the content of a file; unknown keys are errors. Raises ConfigError."""
    try:
        return msgspec.convert(table, kind, dec_hook=_decode_path)
    except msgspec.ValidationError as error:
        raise _explain(error, file) from error


def _decode_path(kind: type[Any], value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"expected the text of a path, got {type(value).__name__}")


def _explain(error: msgspec.ValidationError, file: Path) -> ConfigError:
    """Make an error that names the wrong key and shows a correct value; msgspec's text ends with `at `$.a.b``."""
    text, _, place = str(error).partition(" - at ")
    key = place.strip("`").removeprefix("$").lstrip(".")
    names = re.findall(r"\w+", key) + re.findall(r"`(\w+)`", text)
    pairs = [f"{table}.{name}" for table, name in pairwise(names)]
    example = next((EXAMPLES[name] for name in (*reversed(pairs), *reversed(names)) if name in EXAMPLES), "")
    return ConfigError(
        text,
        where=f"{file}, {key or 'top level'}",
        fix=f"for example: {example}"
        if example
        else "the commented file of `gateway init DIR` shows every key",
    )


def absolute(value: S, base: Path) -> S:
    """Return the section with every relative path joined to `base`."""
    changes: dict[str, Any] = {}
    for name in value.__struct_fields__:
        field = getattr(value, name)
        if isinstance(field, Path):
            changes[name] = base / field
        elif isinstance(field, Section):
            changes[name] = absolute(field, base)
        elif isinstance(field, tuple) and field and isinstance(field[0], Section):
            changes[name] = tuple(absolute(item, base) for item in field)
    return msgspec.structs.replace(value, **changes)
