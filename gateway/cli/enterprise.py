"""`gateway enterprise`: manages tenants, one file each; a token is shown once and stored only as its digest."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final, NoReturn

import click

from gateway.cli import tables
from gateway.cli.as_owner import as_owner_of, tell_journal
from gateway.cli.editing import with_line
from gateway.cli.failure import NOT_IN_ORDER, say
from gateway.cli.options import config_option, json_option
from gateway.cli.output import emit, facts, replace
from gateway.cli.terminal import echo
from gateway.config.enterprises import TOKENS
from gateway.config.gateway_toml import Config, load_config
from gateway.config.local_receivers import local_receivers_of
from gateway.config.site import SENSIBLE, NewEnterprise, add_enterprise, new_token, token_digest
from gateway.config.tenants import Tenants, load_alone, load_tenants
from gateway.errors import ConfigError
from gateway.model import Enterprise, EnterpriseId
from gateway.upkeep.operator_acts import Act, who
from gateway.upkeep.token_expiry import token_expiries

_RELOAD: Final = "a running gateway takes it up within seconds"
_identifier = click.argument("identifier", metavar="ID")
_until = click.option(
    "--until", type=click.DateTime(("%Y-%m-%d",)), help="Last day of the token, UTC; default: it has no end."
)


@click.group()
def enterprise() -> None:
    """Add, show and disable enterprises."""


@enterprise.command()
@_identifier
@click.option("--name", default="", help="Name for people; default: ID.")
@click.option("--cop-code", "cop_codes", multiple=True, required=True, help="A copCode it may use.")
@click.option("--dxp-id", "dxp_ids", multiple=True, required=True, help="A DXP id it may use.")
@click.option(
    "--acts-for",
    multiple=True,
    help="Another code that its declarations are named by; nobody else may use it.",
)
@click.option("--key", default="", help="Name of the [[key]] that signs for it; default: the node's.")
@config_option
@json_option
def add(
    *,
    identifier: str,
    name: str,
    cop_codes: tuple[str, ...],
    dxp_ids: tuple[str, ...],
    acts_for: tuple[str, ...],
    key: str,
    file: Path,
    as_json: bool,
) -> None:
    """Add an enterprise and show its token, this once."""
    config = load_config(file)
    known = [one.name for one in config.key]
    if key and key not in known:
        raise ConfigError(
            f"there is no signing key {key}", where=str(file), fix=f"one of: {', '.join(known)}"
        )
    new = NewEnterprise(
        id=identifier,
        name=name or identifier,
        cop_codes=cop_codes,
        dxp_ids=dxp_ids,
        acts_for=acts_for,
        key=key,
        quota=SENSIBLE,
    )
    folder = config.accept.enterprises_dir
    with as_owner_of(folder):
        token = add_enterprise(folder, new)
    _tell(file, "enterprise.added", identifier, token_digest(token))
    _show_token(identifier, token, as_json=as_json)
    tenants = _tenants(config)
    _tell_left_out(tenants)
    local_receivers = local_receivers_of(tenants.enterprises.values())
    for dxp_id in local_receivers.crowded.intersection(dxp_ids):
        others = ", ".join(one for one in local_receivers.holders[dxp_id] if one != identifier)
        say(
            "note",
            f"{dxp_id} is shared with {others}: each may declare only with codes of its own, cop_codes and acts_for",
            fix="`gateway check` names the codes that are in use and nobody's",
        )


@enterprise.command("list")
@config_option
@json_option
def list_(file: Path, as_json: bool) -> None:
    """List the enterprises. Exit code 1: one of them, or a door or channel of one, is left out; which and why is said."""
    tenants = _tenants(load_config(file))
    found = tenants.enterprises.values()
    if as_json:
        for one in found:
            emit(_view(one, tenants))
    else:
        tables.table(
            ("enterprise", "name", "copCodes", "acts for", "DXP ids", "key", "recognised by", "disabled"),
            (
                (
                    one.id,
                    one.name,
                    " ".join(sorted(one.cop_codes)),
                    " ".join(sorted(one.acts_for)),
                    " ".join(sorted(one.dxp_ids)),
                    one.key or "(default)",
                    _proofs(one) or "(nothing)",
                    "(left out)" if _is_left_out(one, tenants) else "yes" if one.disabled else "",
                )
                for one in found
            ),
        )
    if tenants.left_out:
        _tell_left_out(tenants)
        click.get_current_context().exit(NOT_IN_ORDER)


@enterprise.command()
@_identifier
@config_option
@json_option
def show(identifier: str, file: Path, as_json: bool) -> None:
    """Show one enterprise. Exit code 1: there is none, or it, or one of its doors or channels, is left out."""
    tenants = _tenants(load_config(file))
    one = tenants.enterprises.get(EnterpriseId(identifier))
    if one is None:
        _unknown(identifier)
    emit(_view(one, tenants)) if as_json else _show(one, tenants)
    _tell_left_out(tenants)
    if any(part.enterprise == one.id for part in tenants.left_out):
        click.get_current_context().exit(NOT_IN_ORDER)


def _show(one: Enterprise, tenants: Tenants) -> None:
    facts(
        {
            "enterprise": one.id,
            "name": one.name,
            "copCodes": " ".join(sorted(one.cop_codes)),
            "acts for": " ".join(sorted(one.acts_for)),
            "DXP ids": " ".join(sorted(one.dxp_ids)),
            "signing key": one.key or "(default)",
            "disabled": "(left out)" if _is_left_out(one, tenants) else "yes" if one.disabled else "no",
            "recognised by": _proofs(one) or "(nothing)",
            "token SHA-256": " ".join(one.token_sha256),
            "last days": _last_days(one),
            "certificate SHA-256": " ".join(sorted(one.certificate_sha256)),
            "HMAC keys": " ".join(key.id for key in one.hmac_keys),
            "message types": " ".join(sorted(one.message_types)),
            "addresses": " ".join(map(str, one.addresses)),
            "quota": _quota(one),
            "mail from": " ".join(sorted(one.mailbox.senders)) or "(nobody)",
            "blocks on": " ".join(one.block_on),
        }
    )


@enterprise.command("rotate-token")
@_identifier
@_until
@click.option("--end-old", is_flag=True, help="End every other token now; default: they stay valid.")
@config_option
@json_option
def rotate_token(identifier: str, until: datetime | None, end_old: bool, file: Path, as_json: bool) -> None:
    """Give an enterprise a new token; the old ones stay valid until `end-token`."""
    token = new_token()
    known = _found(identifier, file).token_sha256
    kept = () if end_old else known
    if len(kept) >= TOKENS:
        raise ConfigError(
            f"{identifier} has {len(kept)} tokens already",
            fix=f"`gateway enterprise end-token {identifier}`, or --end-old",
        )
    _write_tokens(identifier, file, (*kept, token_digest(token)), until={token_digest(token): until})
    _tell(file, "enterprise.token_added", identifier, token_digest(token))
    if end_old and known:
        _tell(file, "enterprise.token_ended", identifier, *known)
    _show_token(identifier, token, as_json=as_json)


@enterprise.command("end-token")
@_identifier
@click.option(
    "--sha256",
    "prefix",
    default="",
    help="First digits of the SHA-256 of the one to end, as `show` prints it; default: all but the newest.",
)
@config_option
def end_token(identifier: str, prefix: str, file: Path) -> None:
    """End the older tokens of an enterprise, or one of them."""
    tokens = _found(identifier, file).token_sha256
    ended = [one for one in tokens if one.startswith(prefix)] if prefix else list(tokens[:-1])
    if len(ended) > 1 and prefix:
        raise ConfigError(f"several tokens begin with {prefix}", fix="give more digits")
    if not ended:
        say(
            "error",
            f"{identifier} has no such token",
            fix=f"`gateway enterprise show {identifier}` names them",
        )
        click.get_current_context().exit(NOT_IN_ORDER)
    left = tuple(one for one in tokens if one not in ended)
    _write_tokens(identifier, file, left)
    _tell(file, "enterprise.token_ended", identifier, *ended)
    say("note", f"{len(ended)} ended, {len(left)} valid; {_RELOAD}")


@enterprise.command()
@_identifier
@click.option("--undo", is_flag=True, help="Let it in again.")
@config_option
def disable(identifier: str, undo: bool, file: Path) -> None:
    """Let an enterprise hand in nothing more; what it handed in goes its way."""
    _found(identifier, file)
    _change(identifier, file, disabled="false" if undo else "true")
    _tell(file, "enterprise.enabled" if undo else "enterprise.disabled", identifier)
    say("note", f"{identifier} is {'enabled' if undo else 'disabled'}; {_RELOAD}")


def _tell(file: Path, event: str, identifier: str, *changed: str) -> None:
    tell_journal(load_config(file), event, Act(by=who(), enterprise=identifier, changed=changed))


def _found(identifier: str, file: Path) -> Enterprise:
    """Read the enterprise to change, independently of other enterprises' files. Raises ConfigError."""
    config = load_config(file)
    return load_alone(config.accept.enterprises_dir, EnterpriseId(identifier), config.quota) or _unknown(
        identifier
    )


def _unknown(identifier: str) -> NoReturn:
    say("error", f"there is no enterprise {identifier}", fix="`gateway enterprise list` names them")
    click.get_current_context().exit(NOT_IN_ORDER)


def _tenants(config: Config) -> Tenants:
    """Read all enterprises as a node does: an error in one does not hide the others."""
    return load_tenants(config.accept.enterprises_dir, default=config.quota, lease_s=config.lease_s)


def _is_left_out(one: Enterprise, tenants: Tenants) -> bool:
    return any((part.kind, part.part) == ("enterprise", one.id) for part in tenants.left_out)


def _tell_left_out(tenants: Tenants) -> None:
    """Print what is left out, and why."""
    for part in tenants.left_out:
        say("warning", f"{part.kind} {part.part} is left out: {part.error}")


def _write_tokens(
    identifier: str, file: Path, digests: tuple[str, ...], *, until: Mapping[str, date | None] = {}
) -> None:
    """Write the token digests and the last days of tokens that have one: those on file, updated by `until`."""
    one = _found(identifier, file)
    ends = {**{digest: end - timedelta(days=1) for digest, end in one.token_until.items()}, **until}
    dated = {digest: f"{day:%Y-%m-%d}" for digest in digests if (day := ends.get(digest)) is not None}
    values = {"token_sha256": f"[{', '.join(f'{chr(34)}{one}{chr(34)}' for one in digests)}]"}
    if dated or one.token_until:
        values["token_until"] = (
            f"{{{', '.join(f'{chr(34)}{one}{chr(34)} = {day}' for one, day in dated.items())}}}"
        )
    _change(identifier, file, **values)


def _change(identifier: str, file: Path, **values: str) -> None:
    """Replace only these values in an enterprise's file, atomically; the operator's comments stay.

    Comments between the lines of a list are lost with the list.
    """
    target = load_config(file).accept.enterprises_dir / f"{identifier}.toml"
    try:
        new = target.read_text(encoding="utf-8")
        for key, value in values.items():
            new = with_line(new, key, f"{key} = {value}", target)
        with as_owner_of(target.parent):
            replace(target, new.encode())
    except OSError as error:
        raise ConfigError(f"cannot write the file: {error.strerror}", where=str(target)) from error


def _proofs(one: Enterprise) -> str:
    """Return by which kinds of proof it can be recognised, and how many of each."""
    counts = {"token": one.token_sha256, "certificate": one.certificate_sha256, "HMAC key": one.hmac_keys}
    return ", ".join(
        f"{len(found)} {kind}{'' if len(found) == 1 else 's'}" for kind, found in counts.items() if found
    )


def _last_days(one: Enterprise) -> str:
    return ", ".join(f"{end.proof} {end.until - timedelta(days=1):%Y-%m-%d}" for end in token_expiries([one]))


def _quota(one: Enterprise) -> str:
    bounds = {} if one.quota is None else asdict(one.quota)
    return ", ".join(f"{name} {bound}" for name, bound in bounds.items() if bound)


def _show_token(identifier: str, token: str, *, as_json: bool) -> None:
    if as_json:
        emit({"id": identifier, "token": token})
    else:
        echo(f"token of {identifier}: {token}")
        say("note", f"it is shown this once; {_RELOAD}")


def _view(one: Enterprise, tenants: Tenants) -> dict[str, object]:
    return {
        "id": one.id,
        "name": one.name,
        "cop_codes": sorted(one.cop_codes),
        "acts_for": sorted(one.acts_for),
        "dxp_ids": sorted(one.dxp_ids),
        "key": one.key,
        "disabled": one.disabled,
        "tokens": len(one.token_sha256),
        "until": {end.proof: f"{end.until - timedelta(days=1):%Y-%m-%d}" for end in token_expiries([one])},
        "certificates": len(one.certificate_sha256),
        "hmac_keys": [key.id for key in one.hmac_keys],
        "message_types": sorted(one.message_types),
        "addresses": [str(network) for network in one.addresses],
        "quota": None if one.quota is None else asdict(one.quota),
        "mail_from": sorted(one.mailbox.senders),
        "block_on": list(one.block_on),
        "left_out": [part.error for part in tenants.left_out if part.enterprise == one.id],
    }
