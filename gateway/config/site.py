"""A place for one gateway: the commented gateway.toml, demo keys, enterprises with fresh tokens.

What `gateway init` writes and what the demonstration runs on. Nothing that is there is ever replaced.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from gateway.errors import ConfigError
from gateway.model import EnterpriseId, Quota
from signing.keys.certificate import make_self_signed

_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_TOKEN_BYTES: Final = 32
_TEMPLATES: Final = Path(__file__).with_name("templates")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEnterprise:
    """An enterprise to be written; its token is made then."""

    id: str
    """1 to 40 of `a-z 0-9 . _ -`; the name of its file."""
    name: str
    cop_codes: tuple[str, ...]
    dxp_ids: tuple[str, ...]
    acts_for: tuple[str, ...] = ()
    """Codes that it declares with, beside `cop_codes`."""
    key: str = ""
    """Name of its signing key; empty: the default key of the node."""
    mail_from: tuple[str, ...] = ()
    """Enterprises that may put something in its stream."""
    quota: Quota | None = None
    """None: that of `[quota]` in gateway.toml."""


SENSIBLE: Final = Quota(
    messages_per_minute=3_000,
    declarations_per_minute=30_000,
    bytes_per_minute=300_000_000,
    open_entries=100_000,
)
"""What a new enterprise gets: fifty messages a second; more is the operator's decision."""


DEMO: Final = NewEnterprise(
    id="demo", name="Demo enterprise", cop_codes=("4400000001",), dxp_ids=("DXPENT0000000001",)
)
"""Invented codes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What was written, and the secrets that are told this once."""

    folder: Path
    config: Path
    """gateway.toml"""
    key: Path
    """RSA-2048, PEM, mode 0600."""
    certificate: Path
    enterprises: Path
    state: Path
    tokens: Mapping[EnterpriseId, str] = field(repr=False)

    def token_file(self, enterprise: EnterpriseId) -> Path:
        """Name the file, mode 0600, that holds the token of an enterprise."""
        return self.folder / f"{enterprise}.token"


def write_site(
    folder: Path,
    *,
    destination_toml: str | None = None,
    enterprises: Sequence[NewEnterprise] = (DEMO,),
    port: int = 8080,
) -> Site:
    """Write a whole site into `folder`, which is made when it is not there.

    `destination_toml` takes the place of the default `[[destination]]`, a folder under state/ that works
    without any server. `port` is that of the HTTP door on 127.0.0.1; 0 lets the system choose. Makes a key
    (a tenth of a second). Raises ConfigError when a file is there already or cannot be written.
    """
    folder = folder.resolve()
    site = Site(
        folder=folder,
        config=folder / "gateway.toml",
        key=folder / "keys" / "node.key",
        certificate=folder / "keys" / "node.crt",
        enterprises=folder / "enterprises",
        state=folder / "state",
        tokens={EnterpriseId(one.id): new_token() for one in enterprises},
    )
    destination = destination_toml or _template("folder_destination.toml")
    text = _template("gateway.toml").format(port=port, destination=destination.strip())
    tenants = {one.id: enterprise_toml(one, site.tokens[EnterpriseId(one.id)]) for one in enterprises}
    _refuse_to_replace(site)
    try:
        _write_files(site, text, tenants, with_folders=destination_toml is None)
    except OSError as error:
        raise ConfigError(
            f"cannot write the site: {error.strerror}",
            where=str(error.filename or folder),
            fix="name a folder that may be written",
        ) from error
    return site


def new_token() -> str:
    """Make a bearer token: 43 random characters that need no quoting anywhere."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def token_digest(token: str) -> str:
    """Give what an enterprise file keeps of a token: hex SHA-256, lower case."""
    return hashlib.sha256(token.encode()).hexdigest()


def enterprise_toml(enterprise: NewEnterprise, token: str) -> str:
    """Write the file of an enterprise; only the digest of the token is in it. Raises ConfigError."""
    if not _ID.fullmatch(enterprise.id):
        raise ConfigError(
            f"{enterprise.id!r} cannot be the name of an enterprise",
            fix="use 1 to 40 of a-z, 0-9, '.', '_' and '-', first a letter or digit",
        )
    return _template("enterprise.toml").format(
        name=_text(enterprise.name),
        cop_codes=_texts(enterprise.cop_codes),
        dxp_ids=_texts(enterprise.dxp_ids),
        acts_for=_texts(enterprise.acts_for),
        token_sha256=_texts((token_digest(token),)),
        key=_text(enterprise.key),
        mail_from=_texts(enterprise.mail_from),
        quota=_quota(enterprise.quota),
    )


def _quota(quota: Quota | None) -> str:
    """Write the lines of `[quota]`, as comments where there is none."""
    mark = "# " if quota is None else ""
    return "\n".join(
        [f"{mark}[quota]", *(f"{mark}{name} = {bound}" for name, bound in asdict(quota or SENSIBLE).items())]
    )


def add_enterprise(folder: Path, enterprise: NewEnterprise) -> str:
    """Write `<id>.toml` into the enterprises folder and return the token. Raises ConfigError."""
    token = new_token()
    text = enterprise_toml(enterprise, token)
    file = folder / f"{enterprise.id}.toml"
    try:
        _create(file, text)
    except FileExistsError as error:
        raise ConfigError(
            f"there is an enterprise {enterprise.id} already",
            where=str(file),
            fix="choose another name; a new token is made by `gateway enterprise rotate-token`",
        ) from error
    except OSError as error:
        raise ConfigError(f"cannot write the file: {error.strerror}", where=str(file)) from error
    return token


def _refuse_to_replace(site: Site) -> None:
    files = (site.config, site.key, site.certificate, site.enterprises, *map(site.token_file, site.tokens))
    for file in files:
        if file.exists():
            raise ConfigError(
                "there is a gateway here already, nothing was changed",
                where=str(file),
                fix="name another folder, or remove the old one yourself",
            )


def _write_files(site: Site, text: str, tenants: Mapping[str, str], *, with_folders: bool) -> None:
    folders = [site.folder, site.key.parent, site.enterprises, site.state]
    if with_folders:
        folders += [site.state / "outbox", site.state / "inbox"]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True, mode=0o755 if folder == site.folder else 0o700)
    key, certificate = make_self_signed("Customs exchange gateway demonstration")
    _create(site.key, key.decode())
    _create(site.certificate, certificate.decode())
    for name, tenant in tenants.items():
        _create(site.enterprises / f"{name}.toml", tenant)
    for identifier, token in site.tokens.items():
        _create(site.token_file(identifier), f"{token}\n")
    _create(site.config, text, mode=0o644)  # last: with it the site is whole


def _create(file: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a new file that nobody else may read; FileExistsError when it is there."""
    file.touch(mode=mode, exist_ok=False)
    file.write_text(text, encoding="utf-8")


def _text(value: str) -> str:
    """Write a TOML basic string; its escapes are those of JSON."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _texts(values: Sequence[str]) -> str:
    return f"[{', '.join(map(_text, values))}]"


def _template(name: str) -> str:
    """Read a template of this package: the text of a file, with places in braces."""
    return (_TEMPLATES / f"{name}.in").read_text("utf-8")
