"""A PKCS#11 token in software (Debian's softhsm2), with its files in a folder of the test."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
SO_PIN = "87654321"
needs_softhsm = pytest.mark.skipif(
    not MODULE.exists() or shutil.which("softhsm2-util") is None, reason="softhsm2 is not installed"
)


class SoftHsm:
    """Tokens of one configuration; the process that uses them needs `SOFTHSM2_CONF`."""

    def __init__(self, folder: Path) -> None:
        self.tokens = folder / "tokens"
        self.tokens.mkdir(parents=True)
        self.config = folder / "softhsm2.conf"
        self.config.write_text(
            f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
        )
        self.environment = {**os.environ, "SOFTHSM2_CONF": str(self.config)}

    def token(self, label: str, key: Path, *, pin: str) -> Path:
        """Make a token that holds an RSA key (PEM) under the label `customs`; returns its folder."""
        before = set(self.tokens.iterdir())
        self._run("--init-token", "--free", "--label", label, "--so-pin", SO_PIN, "--pin", pin)
        self._run("--import", str(key), "--token", label, "--label", "customs", "--id", "a1", "--pin", pin)
        (made,) = set(self.tokens.iterdir()) - before
        return made

    def remove(self) -> None:
        """Take every token away under whoever uses it."""
        self.tokens.rename(self.tokens.with_name("gone"))
        self.tokens.mkdir()

    def put_back(self) -> None:
        """Undo `remove`."""
        self.tokens.rmdir()
        self.tokens.with_name("gone").rename(self.tokens)

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(
            ["softhsm2-util", *arguments], env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def der_of(certificate: Path) -> bytes:
    return x509.load_pem_x509_certificate(certificate.read_bytes()).public_bytes(serialization.Encoding.DER)
