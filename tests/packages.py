"""Install the Debian packages that the tests need (`test`), or that a virtual environment needs (`venv`).

Run by the Makefile with the system's Python before anything else is there. Installs as root only; for
anybody else it names what is missing, and the tests say what they skip.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

TEST = {
    "gcc": "gcc",
    "libssl-dev": "/usr/include/openssl/ssl.h",
    "pkg-config": "pkg-config",
    "xmlsec1": "xmlsec1",
}
"""Debian package → the command or file by which we know that it is there."""


def there(sign: str) -> bool:
    """Say whether a file exists, or a command is on the path."""
    if sign.startswith("/"):
        return Path(sign).exists()
    return any((Path(folder) / sign).exists() for folder in os.environ.get("PATH", "").split(os.pathsep))


def has_module(name: str) -> bool:
    """Say whether the system's Python can import a module."""
    return (
        subprocess.run([sys.executable, "-c", f"import {name}"], capture_output=True, check=False).returncode
        == 0
    )


def missing(purpose: str) -> list[str]:
    """Return the Debian packages that are not there."""
    if purpose == "venv":
        return [] if has_module("ensurepip") else ["python3-venv"]
    found = [package for package, sign in TEST.items() if not there(sign)]
    header = Path(sysconfig.get_paths()["include"]) / "Python.h"
    return found if header.exists() else [*found, "python3-dev"]


def main(purpose: str) -> int:
    """Install what is missing; 0 when everything is there afterwards, or when we may not install."""
    packages = missing(purpose)
    if not packages:
        return 0
    line = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
    if os.geteuid() != 0:
        print(f"missing Debian packages; as root: {line}", file=sys.stderr)
        return 0
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-q"], check=True, env=environment, stdout=subprocess.DEVNULL)
    subprocess.run(line.split(), check=True, env=environment, stdout=subprocess.DEVNULL)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
