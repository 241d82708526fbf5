"""OpenSSL's command line, the independent opinion on everything SM2."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

ADVICE = "openssl is not installed: apt-get install openssl"


class Tool:
    """The tool, run in a folder where its files are; a command that fails raises CalledProcessError."""

    def __init__(self, folder: Path) -> None:
        found = shutil.which("openssl")
        if found is None:
            if os.environ.get("CI"):
                pytest.fail(ADVICE)
            pytest.skip(ADVICE)
        self._tool = found
        self.folder = folder

    def run(self, *arguments: str, given: bytes = b"") -> bytes:
        """Run a command; what it wrote to stdout."""
        return subprocess.run(
            [self._tool, *arguments], input=given, capture_output=True, check=True, cwd=self.folder
        ).stdout

    def agrees(self, *arguments: str) -> bool:
        """Run a command that verifies."""
        done = subprocess.run(
            [self._tool, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            cwd=self.folder,
        )
        return done.returncode == 0

    def sm2_key(self, name: str) -> Path:
        """Make an SM2 key, PKCS#8, not encrypted."""
        self.run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2", "-out", name)
        return self.folder / name

    def rsa_key(self, name: str) -> Path:
        """Make a small RSA key."""
        self.run("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024", "-out", name)
        return self.folder / name

    def certificate(
        self,
        name: str,
        *,
        key: str,
        digest: str = "sm3",
        issuer: tuple[str, str] | None = None,
        ca: bool = False,
        days: int = 30,
        into: str = ".",
    ) -> Path:
        """Make a certificate `name`.crt for `key`, subject `name`, of an issuer (certificate, key) or itself."""
        identity = ("distid:1234567812345678",)
        signing: Sequence[str] = ("-sigopt", *identity) if digest == "sm3" else ()
        request: Sequence[str] = ("-vfyopt", *identity, "-sigopt", *identity) if digest == "sm3" else ()
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"basicConstraints=critical,CA:{'TRUE' if ca else 'FALSE'}\n")
        who = ("-CA", issuer[0], "-CAkey", issuer[1], "-CAcreateserial") if issuer else ("-signkey", key)
        self.run(
            "req", "-new", "-key", key, "-subj", f"/CN={name}", f"-{digest}", *signing, "-out", f"{name}.csr"
        )
        self.run(
            *(
                "x509",
                "-req",
                "-in",
                f"{name}.csr",
                "-days",
                str(days),
                "-out",
                f"{into}/{name}.crt",
                f"-{digest}",
            ),
            *(*who, "-extfile", extensions.name, *request),
        )
        return self.folder / into / f"{name}.crt"
