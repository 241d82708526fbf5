"""An authority for OpenSSH's user and host certificates."""

import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.dsa import DSAPublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificateBuilder,
    SSHCertificateType,
    load_ssh_public_key,
)

HOUR_S = 3600


class SshAuthority:
    """Signs public keys; `line` is its own."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.line = self._key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()

    def certify(
        self,
        public_line: str,
        *names: str,
        host: bool = False,
        starts_s: float = -HOUR_S,
        ends_s: float = HOUR_S,
    ) -> bytes:
        """Return a certificate file for these users or hosts, valid from and until so many seconds from now."""
        key = load_ssh_public_key(public_line.encode())
        assert not isinstance(key, DSAPublicKey)
        builder = (
            SSHCertificateBuilder()
            .public_key(key)
            .type(SSHCertificateType.HOST if host else SSHCertificateType.USER)
            .key_id(b"test")
            .valid_after(int(time.time() + starts_s))
            .valid_before(int(time.time() + ends_s))
        )
        builder = (
            builder.valid_principals([name.encode() for name in names])
            if names
            else builder.valid_for_all_principals()  # type: ignore[no-untyped-call]  # the library's
        )
        return builder.sign(self._key).public_bytes()

    def certify_file(self, file: Path, public_line: str, *names: str, host: bool = False) -> Path:
        """Write a certificate that is good for an hour."""
        file.write_bytes(self.certify(public_line, *names, host=host) + b"\n")
        return file
