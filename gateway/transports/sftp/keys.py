"""Keys that authenticate the server and us: pinned host keys, login keys, OpenSSH certificates."""

import base64
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

import paramiko
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    SSHCertPublicKeyTypes,
    load_ssh_public_identity,
)

from gateway.config.links import Sftp
from gateway.errors import ConfigError, DeliveryError

AUTHORITY: Final = "@cert-authority"
"""Marks the key of an authority, as in known_hosts."""
UNREADABLE = (OSError, ValueError, TypeError, UnsupportedAlgorithm, paramiko.SSHException)
"""What the libraries raise for a file that is no key, or not a known kind of key."""
_RSA: Final = ("rsa-sha2-512", "rsa-sha2-256")
_PLAIN: Final = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    *_RSA,
)


@dataclass(frozen=True, slots=True)
class HostKey:
    """The only key that the server may present, or the only authority that may have certified its key."""

    kind: str
    key: bytes
    certifies: bool = False
    """The key is that of an authority."""

    @classmethod
    def parse(cls, line: str) -> "HostKey":
        """Read `ssh-ed25519 AAAA… [comment]`, with or without `@cert-authority` before it; raises ConfigError."""
        certifies = line.startswith(AUTHORITY)
        fields = line.removeprefix(AUTHORITY).split()
        if len(fields) > 1:
            with suppress(ValueError):
                key = base64.b64decode(fields[1], validate=True)
                # The key itself begins with its type (RFC 4253 section 6.6).
                if key.startswith(len(fields[0]).to_bytes(4, "big") + fields[0].encode()):
                    return cls(fields[0], key, certifies)
        raise ConfigError(
            "the host key is not a public key of OpenSSH",
            where="destination.sftp.host_key",
            fix='take type and key as `ssh-keyscan HOST` prints them: host_key = "ssh-ed25519 AAAA…"',
        )

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Signature algorithms to negotiate, so that the server presents this key and not another one."""
        if self.certifies:
            return tuple(f"{name}-cert-v01@openssh.com" for name in _PLAIN)
        return _RSA if self.kind == "ssh-rsa" else (self.kind,)

    def fault(self, shown: paramiko.PKey, host: str) -> str:
        """Return what is wrong with the key that a server has proved to hold; empty when it is the right one."""
        if not self.certifies:
            return "" if shown.asbytes() == self.key else "another key than the pinned one"
        blob = shown.public_blob
        if blob is None:
            return "a key without a certificate"
        try:
            certificate = _parse(blob.key_type.encode() + b" " + base64.b64encode(blob.key_blob))
            certificate.verify_cert_signature()
        except (*UNREADABLE, InvalidSignature):
            return "a certificate that cannot be verified"
        if _bytes(certificate.signature_key()) != self.key:
            return "a certificate of another authority"
        return _host_fault(certificate, host)


@dataclass(frozen=True, slots=True)
class Login:
    """The login key, and its certificate if one is configured."""

    key: paramiko.PKey
    certificate: SSHCertificate | None


def read_login(config: Sftp) -> Login:
    """Read `key_file` and `certificate_file`; raises DeliveryError, temporary, because the files can be replaced."""
    try:
        key = paramiko.PKey.from_path(config.key_file)
    except (*UNREADABLE, paramiko.pkey.UnknownKeyType) as error:
        raise DeliveryError(
            f"the login key cannot be read: {error}",
            where=str(config.key_file),
            fix="destination.sftp.key_file must name a private key of OpenSSH or PEM without a passphrase",
        ) from error
    key.public_blob = None  # ignores a certificate beside the key that is not configured
    if config.certificate_file is None:
        return Login(key, None)
    return Login(key, _user_certificate(key, config.certificate_file))


def until(certificate: SSHCertificate) -> datetime | None:
    """Return when a certificate ends; None when it never does."""
    with suppress(OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(certificate.valid_before, UTC)
    return None


def _host_fault(certificate: SSHCertificate, host: str) -> str:
    """Check a host certificate as `ssh` does, except that one without host names is valid for no host."""
    if certificate.type is not SSHCertificateType.HOST or certificate.critical_options:
        return "a certificate that is not meant for hosts"
    names = [name.decode("utf-8", "replace").lower() for name in certificate.valid_principals]
    if not any(fnmatchcase(host.lower(), name) for name in names):
        return f"a certificate for {', '.join(names) or 'no host'}, not for {host}"
    return _out_of_time(certificate)


def _user_certificate(key: paramiko.PKey, file: Path) -> SSHCertificate:
    """Read a certificate and attach it to the key. Raises DeliveryError."""
    try:
        certificate = _parse(file.read_bytes())
        fault = _login_fault(certificate, key)
        if not fault:
            key.load_certificate(str(file))
    except UNREADABLE as error:
        fault = f"it cannot be read: {error}"
    if fault:
        raise DeliveryError(
            f"the login certificate is of no use: {fault}",
            where=str(file),
            fix="have the authority of the server sign the public key of destination.sftp.key_file anew:"
            " ssh-keygen -s AUTHORITY -I NAME -n USER KEY.pub",
        )
    return certificate


def _login_fault(certificate: SSHCertificate, key: paramiko.PKey) -> str:
    if certificate.type is not SSHCertificateType.USER:
        return "it is not meant for users"
    if _bytes(certificate.public_key()) != key.asbytes():
        return "it belongs to another key"
    return _out_of_time(certificate)


def _out_of_time(certificate: SSHCertificate) -> str:
    now = time.time()
    if now < certificate.valid_after:
        return f"it is not valid before {datetime.fromtimestamp(certificate.valid_after, UTC):%Y-%m-%d %H:%M} UTC"
    end = until(certificate)
    if now >= certificate.valid_before and end is not None:
        return f"it has ended on {end:%Y-%m-%d %H:%M} UTC"
    return ""


def _parse(line: bytes) -> SSHCertificate:
    identity = load_ssh_public_identity(line)
    if not isinstance(identity, SSHCertificate):
        raise TypeError("a public key without a certificate")
    return identity


def _bytes(key: SSHCertPublicKeyTypes) -> bytes:
    return base64.b64decode(key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split()[1])
