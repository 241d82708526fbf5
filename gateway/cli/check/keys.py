"""`gateway check`: whether keys load, when they expire, and whether their devices answer. Signs nothing."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

from gateway.cli.check.result import Check, Grade, failed
from gateway.config.gateway_toml import Config
from gateway.config.keys import GROUPS, KeyConfig
from gateway.errors import ConfigError
from gateway.keys.backlog import health_dir
from gateway.keys.keyring import Loader
from signing.errors import KeyUnavailable
from signing.keys.expiry import step_of
from signing.keys.pool import Member


def probe_keys(config: Config) -> Iterator[Check]:
    """Check every [[key]]; asks a device for its certificate only, which needs no PIN."""
    rotating = {name for key in config.key if key.kind == "rotation" for name in key.members}
    superseded = _superseded(config)
    for table in config.key:
        name = f"key {table.name}"
        try:
            key = Loader(health_dir=health_dir(config)).load(table.name, config.key)
        except ConfigError as error:
            yield failed(name, error)
            continue
        if table.kind in GROUPS:
            yield _group(name, table, key.current(datetime.now(UTC)))
            continue
        (member,) = key.members
        yield _certificate(name, member, rotates=table.name in rotating, superseded=table.name in superseded)
        for warning in member.warnings:
            yield Check(name=name, grade=Grade.WARN, detail=warning, fix="chmod 600, or another PIN")
        if member.device is not None:
            yield _device(name, member)


def _superseded(config: Config) -> set[str]:
    """Return the names of keys in rotations that have a successor with a longer certificate."""
    found: set[str] = set()
    for table in config.key:
        if table.kind == "rotation":
            with suppress(ConfigError):  # reported when that key itself is checked
                members = Loader(health_dir=health_dir(config)).load(table.name, config.key).members
                last = max(members, key=lambda one: one.not_after)
                found |= {one.name for one in members if one is not last}
    return found


def _group(name: str, table: KeyConfig, current: tuple[Member, ...]) -> Check:
    signing = ", ".join(one.name for one in current)
    return Check(
        name=name, grade=Grade.OK, detail=f"{table.kind} of {len(table.members)}, signs now: {signing}"
    )


def _certificate(name: str, member: Member, *, rotates: bool, superseded: bool) -> Check:
    now = datetime.now(UTC)
    until = f"certificate {member.signer.key_name} until {member.not_after:%Y-%m-%d}"
    detail = f"{member.signer.suite.name}, {until}"
    fix = 'get a new one and put it beside this one: kind = "rotation"'
    if now < member.not_before:
        begins = f"{detail}: valid from {member.not_before:%Y-%m-%d}"
        if rotates:
            return Check(name=name, grade=Grade.OK, detail=f"{begins}, takes over then")
        return Check(name=name, grade=Grade.FAIL, detail=f"{begins}: not valid yet", fix="see to the clock")
    step = step_of(member.not_after, now)
    if step is None or superseded:
        return Check(name=name, grade=Grade.OK, detail=detail)
    if step == 0:
        return Check(name=name, grade=Grade.FAIL, detail=f"{detail}: expired", fix=fix)
    days = "1 day" if step == 1 else f"{step} days"
    return Check(name=name, grade=Grade.WARN, detail=f"{detail}: ends within {days}", fix=fix)


def _device(name: str, member: Member) -> Check:
    if member.device is None:
        raise TypeError(name)
    try:
        member.device.probe()
    except KeyUnavailable as error:
        detail = f"{error.what} ({error.where})" if error.where else error.what
        return Check(name=name, grade=Grade.FAIL, detail=detail, fix=error.fix)
    finally:
        member.device.close()
    bound = f", {member.rate_per_minute:g} signatures a minute at most" if member.rate_per_minute else ""
    return Check(name=name, grade=Grade.OK, detail=f"the device answers{bound}")
