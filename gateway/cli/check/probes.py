"""The probes of `gateway check`, one function each; each yields what was checked, its grade and a fix."""

import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from gateway.app.build import load_trust
from gateway.app.open_spool import build_spool
from gateway.cli.check.advice import probe_advice
from gateway.cli.check.batches import probe_batches
from gateway.cli.check.bindings import probe_bindings
from gateway.cli.check.doors import probe_doors
from gateway.cli.check.editions import probe_editions, unknown_editions
from gateway.cli.check.keys import probe_keys
from gateway.cli.check.result import Check, Grade, failed
from gateway.cli.check.tls import probe_tls
from gateway.cli.open_spool import rules_of
from gateway.config.enterprises import load_enterprises, shared_proofs
from gateway.config.gateway_toml import Config, Destination, nobody_from_elsewhere
from gateway.config.links import Sftp
from gateway.errors import ConfigError, GatewayError
from gateway.keys.mark_key import mark_key, mark_key_file
from gateway.keys.node_key import key_file, node_key
from gateway.mapping.loading import load_mappings
from gateway.model import ANYBODY, Enterprise, EnterpriseId
from gateway.receipts.authorities import Authorities
from gateway.transports.adapters import adapter_of
from gateway.transports.folder import try_to_write
from gateway.upkeep.token_expiry import TokenExpiry, token_expiries
from signing.keys.expiry import step_of
from spool.errors import SpoolError
from spool.sqlite import SqliteSpool

_SOON: Final = timedelta(days=30)


def probe(config: Config) -> Iterator[Check]:
    """Check everything that a configuration names; connects to destinations but changes nothing there."""
    yield from _rules(config)
    yield from probe_keys(config)
    yield from _issuers(config)
    yield _journal_key(config)
    if config.matching.enabled:
        yield _mark_key(config)
    yield from _enterprises(config)
    yield from _state(config.node.state_dir, config.watermarks.free_bytes_warn)
    if config.spool.kind != "sqlite":
        yield _database(config)
    yield from probe_advice(config)
    yield from probe_bindings(config)
    yield from _door(config)
    yield from probe_tls(config)
    yield from _figures(config)
    yield from probe_doors(config)
    yield from _families(config)
    for destination in config.destination:
        if destination.sftp is not None and destination.sftp.certificate_file is not None:
            yield _login_certificate(f"login certificate {destination.name}", destination.sftp)
        yield _destination(destination)
    yield from probe_batches(config)
    yield from _answers(config)


def _rules(config: Config) -> Iterator[Check]:
    try:
        rules = rules_of(config)
        mappings = load_mappings(rules, config.rules.rules_dir, config.accept.mappings_dir)
    except GatewayError as error:
        yield failed("rules", error)
        return
    detail = f"edition {rules.schemas.edition} where nothing else is said"
    yield Check(name="rules", grade=Grade.OK, detail=detail)
    yield from probe_editions(config, rules)
    folder = config.accept.mappings_dir
    own = sorted(file.stem for file in folder.glob("*.toml")) if folder is not None else []
    detail = f"{len(mappings)}, of them own ones: {', '.join(own) or 'none'}"
    yield Check(name="mappings", grade=Grade.OK, detail=detail)


def _issuers(config: Config) -> Iterator[Check]:
    """Check the trusted issuers; nothing when none are configured."""
    name = "issuers"
    try:
        issuers = load_trust(config.verifying).issuers
    except ConfigError as error:
        yield failed(name, error)
        return
    if issuers is None:
        return
    over = issuers.over(datetime.now(UTC))
    yield Check(
        name=name,
        grade=Grade.WARN if over else Grade.OK,
        detail=f"{len(issuers)}, out of their period: {', '.join(over)}" if over else f"{len(issuers)}",
        fix="put the issuer's new certificate beside the old one" if over else "",
    )


def _journal_key(config: Config) -> Check:
    """Show the public half of the journal's key; the first start makes the key, not this check."""
    name = "key of the journal"
    if config.journal.key_file is None and not key_file(config).exists():
        return Check(name=name, grade=Grade.OK, detail="made at the first start")
    try:
        public = node_key(config).public
    except ConfigError as error:
        return failed(name, error)
    if key_file(config).stat().st_mode & 0o077:
        return Check(name=name, grade=Grade.WARN, detail=f"others may read it; {public}", fix="chmod 600")
    return Check(name=name, grade=Grade.OK, detail=str(public))


def _mark_key(config: Config) -> Check:
    """Look at the secret of the parcel marks, which nodes on one database share; the first start makes it, not this check."""
    name, file = "secret of the parcel marks", mark_key_file(config)
    if config.matching.key_file is None and config.spool.kind == "postgres":
        return Check(
            name=name,
            grade=Grade.WARN,
            detail="of this node alone; what another node of the database took in never agrees with what this one took",
            fix="give every node the same file and name it in [matching] key_file; one node alone may do as it is",
        )
    if config.matching.key_file is None and not file.exists():
        return Check(name=name, grade=Grade.OK, detail="made at the first start")
    try:
        mark_key(config)
    except ConfigError as error:
        return failed(name, error)
    if file.stat().st_mode & 0o077:
        return Check(name=name, grade=Grade.WARN, detail="others may read it", fix=f"chmod 600 {file}")
    return Check(name=name, grade=Grade.OK, detail=str(file))


def _enterprises(config: Config) -> Iterator[Check]:
    try:
        found = load_enterprises(config.accept.enterprises_dir)
    except ConfigError as error:
        yield failed("enterprises", error)
        return
    if not found:
        yield Check(
            name="enterprises", grade=Grade.WARN, detail="there is none", fix="gateway enterprise add ID …"
        )
        return
    tls = config.accept.tls
    client_certificates = tls is not None and tls.client_ca is not None
    mistakes = list(_mistakes(found, {key.name for key in config.key}, client_certificates))
    mistakes += unknown_editions(config, found)
    yield from mistakes
    if not mistakes:
        disabled = sum(one.disabled for one in found.values())
        yield Check(name="enterprises", grade=Grade.OK, detail=f"{len(found)}, {disabled} of them disabled")


def _mistakes(
    found: Mapping[EnterpriseId, Enterprise], keys: set[str], client_certificates: bool
) -> Iterator[Check]:
    shared = shared_proofs(found)
    for name, one in found.items():
        if one.key and one.key not in keys:
            yield Check(
                name=f"enterprise {name}",
                grade=Grade.FAIL,
                detail=f"there is no signing key {one.key}",
                fix=f"one of: {', '.join(sorted(keys))}",
            )
        strangers = sorted(one.mailbox.senders - found.keys() - {ANYBODY})
        if strangers:
            yield Check(
                name=f"enterprise {name}",
                grade=Grade.WARN,
                detail=f"mail_from names nobody of this node: {', '.join(strangers)}",
                fix="name enterprises as `gateway enterprise list` does",
            )
        if name in shared:
            yield Check(
                name=f"enterprise {name}",
                grade=Grade.FAIL,
                detail=f"another enterprise has the same {shared[name]}",
                fix=f"give each its own; for a token `gateway enterprise rotate-token {name} --end-old`",
            )
        yield from map(_ending, filter(_is_near, token_expiries([one])))
        if one.certificate_sha256 and not client_certificates:
            yield Check(
                name=f"enterprise {name}",
                grade=Grade.WARN,
                detail="it has client certificates, and the door asks for none",
                fix="name their issuers in client_ca of [accept.tls]",
            )


def _is_near(end: TokenExpiry) -> bool:
    return step_of(end.until, datetime.now(UTC)) is not None


def _ending(end: TokenExpiry) -> Check:
    step = step_of(end.until, datetime.now(UTC))
    day = f"{end.until - timedelta(days=1):%Y-%m-%d}"
    when = f"its last day is {day}, within {step} days" if step else f"its last day was {day}"
    return Check(
        name=f"enterprise {end.enterprise}",
        grade=Grade.WARN,
        detail=f"{end.kind} {end.proof}: {when}",
        fix=f"`gateway enterprise rotate-token {end.enterprise}`, or a second [[hmac]]; then take the old one out",
    )


def _state(folder: Path, low_bytes: int) -> Iterator[Check]:
    try:
        if folder.is_dir():
            try_to_write(folder)
        elif not os.access(next(path for path in folder.parents if path.exists()), os.W_OK):
            raise PermissionError(13, "Permission denied")
        elif not folder.exists():
            yield Check(name="state", grade=Grade.OK, detail=f"{folder} is made when the gateway starts")
            return
        if (folder / "spool.db").exists():
            SqliteSpool(folder).close()
    except OSError as error:
        what = f"the state folder cannot be written: {error.strerror}"
        yield Check(name="state", grade=Grade.FAIL, detail=f"{what} ({folder})", fix="give it to this user")
        return
    except SpoolError as error:
        yield failed("state", error)
        return
    free = shutil.disk_usage(folder).free
    low = free < low_bytes
    yield Check(
        name="state",
        grade=Grade.WARN if low else Grade.OK,
        detail=f"{folder}, {free >> 20} MiB free",
        fix="free disk space" if low else "",
    )


def _database(config: Config) -> Check:
    try:
        with closing(build_spool(config)) as spool:
            spool.acknowledged("")
    except (GatewayError, SpoolError) as error:
        return failed("spool", error)
    return Check(name="spool", grade=Grade.OK, detail=f"{config.spool.kind}, {config.spool.dsn}")


def _door(config: Config) -> Iterator[Check]:
    host, port = config.accept.host, config.accept.port
    name = "http door"
    try:
        address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(address[0], socket.SOCK_STREAM) as door:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.bind(address[4])
    except OSError as error:
        yield Check(
            name=name,
            grade=Grade.WARN,
            detail=f"{host}:{port} cannot be had now: {error.strerror or error}",
            fix="fine if a gateway runs already; else choose another accept.port",
        )
    else:
        yield Check(name=name, grade=Grade.OK, detail=f"{host}:{port} is free")


def _figures(config: Config) -> Iterator[Check]:
    if config.metrics.token_file is None and not nobody_from_elsewhere(config.accept):
        yield Check(
            name="metrics",
            grade=Grade.WARN,
            detail="the door can be reached from elsewhere and there is no token for /metrics: it answers 401",
            fix="openssl rand -hex 32 > keys/metrics.token, and [metrics] token_file = that file",
        )


def _families(config: Config) -> Iterator[Check]:
    for family in ("import", "export"):
        if not any(family in destination.families for destination in config.destination):
            yield Check(
                name=f"{family} messages",
                grade=Grade.WARN,
                detail="no destination carries them",
                fix=f'add "{family}" to the families of one',
            )


def _destination(destination: Destination) -> Check:
    name = f"destination {destination.name}"
    try:
        return Check(name=name, grade=Grade.OK, detail=adapter_of(destination.link).probe())
    except GatewayError as error:
        return failed(name, error)


def _answers(config: Config) -> Iterator[Check]:
    """Show which destinations may answer for which others, when there are several."""
    authorities = Authorities(config)
    for one in config.destination if len(config.destination) > 1 else ():
        others = [name for name in authorities.answers_for(one.name) if name != one.name]
        detail = f"itself and {', '.join(others)}" if others else "itself alone"
        yield Check(name=f"{one.name} answers for", grade=Grade.OK, detail=detail)


def _login_certificate(name: str, config: Sftp) -> Check:
    """Warn in the last tenth of its validity, at most 30 days before: these certificates last hours or years."""
    from gateway.transports.sftp.keys import read_login, until  # noqa: PLC0415 (only who uses it loads it)

    try:
        certificate = read_login(config).certificate
    except GatewayError as error:
        return failed(name, error)
    end = None if certificate is None else until(certificate)
    if certificate is None or end is None:
        return Check(name=name, grade=Grade.OK, detail="without an end")
    left, life_s = end - datetime.now(UTC), certificate.valid_before - certificate.valid_after
    if left < min(_SOON, timedelta(seconds=life_s / 10)):
        fix = "put a new one in its place; it is read for each login"
        return Check(
            name=name, grade=Grade.WARN, detail=f"until {end:%Y-%m-%d %H:%M} UTC: ends soon", fix=fix
        )
    return Check(name=name, grade=Grade.OK, detail=f"until {end:%Y-%m-%d %H:%M} UTC")
