"""Install the Debian packages that the tests need (`test`), or that a virtual environment needs (`venv`).

Run by the Makefile with the system's Python before anything else is there. Installs as root only; for
anybody else it names what is missing, and the tests say what they skip.
"""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEST = {
    "chromium": "/usr/bin/chromium",
    "chromium-driver": "/usr/bin/chromedriver",
    "gcc": "gcc",
    "libssl-dev": "/usr/include/openssl/ssl.h",
    "openssh-server": "/usr/sbin/sshd",
    "openssl": "openssl",
    "pkg-config": "pkg-config",
    "postgresql-15": "/usr/lib/postgresql/15/bin/postgres",
    "rabbitmq-server": "/usr/lib/rabbitmq/bin/rabbitmq-server",
    "softhsm2": "softhsm2-util",
    "xmlsec1": "xmlsec1",
}
"""Debian package → the command or file by which we know that it is there."""

POLICY = Path("/usr/sbin/policy-rc.d")
"""What Debian's packages ask whether they may start their service; nobody's file unless somebody made it."""


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


def want_no_cluster() -> None:
    """Say beforehand that PostgreSQL's package shall neither make nor start a cluster of its own."""
    folder = Path("/etc/postgresql-common/createcluster.d")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "no-main-cluster.conf").write_text("create_main_cluster = false\n", encoding="utf-8")


@contextmanager
def services_left_alone() -> Iterator[None]:
    """Meanwhile no package starts or restarts a service: tests start their own, and what runs goes on.

    A policy that the machine has already is left as it is.
    """
    ours = not POLICY.exists()
    if ours:
        POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            POLICY.unlink()


def keep_off_at_boot(packages: list[str]) -> None:
    """A broker that came with us, for its programs, shall not start with the machine either."""
    if "rabbitmq-server" in packages and Path("/run/systemd/system").exists():
        subprocess.run(["systemctl", "--quiet", "disable", "rabbitmq-server"], check=False)


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
    if any(package.startswith("postgresql") for package in packages):
        want_no_cluster()
    subprocess.run(["apt-get", "update", "-q"], check=True, env=environment, stdout=subprocess.DEVNULL)
    with services_left_alone():
        subprocess.run(line.split(), check=True, env=environment, stdout=subprocess.DEVNULL)
    keep_off_at_boot(packages)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
