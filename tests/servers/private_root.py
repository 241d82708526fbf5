"""A machine of its own as far as files go: /etc and /srv of a mount namespace, gone with its last process.

What an administrator does to users, groups and folders can be done there for real, as root, and leaves no trace.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import pytest

_LAY_OUT = """set -e
mount -t tmpfs -o mode=0755 tmpfs /srv
cp -a /etc /srv/.etc
mount --bind /srv/.etc /etc
echo ready
exec cat
"""


def need_private_root() -> None:
    """Skip where no namespace can be made; in CI, where everything must be there, fail."""
    if (
        os.geteuid() == 0
        and subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode == 0
    ):
        return
    (pytest.fail if os.environ.get("CI") else pytest.skip)("only root may make a mount namespace")


class PrivateRoot:
    """A context manager; every command runs as root unless `user` is given."""

    def __enter__(self) -> Self:
        need_private_root()
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", _LAY_OUT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        self._holder.communicate()  # the end of its input is its end

    def inside(self, user: str = "") -> list[str]:
        """Return what to put before a command; it takes the place of the process that starts it."""
        enter = ["nsenter", "--mount", f"--target={self._holder.pid}"]
        return [*enter, "setpriv", "--reuid", user, "--regid", user, "--init-groups"] if user else enter

    def shell(self, script: str, *, folder: Path = Path("/")) -> str:
        """Run a script there, its first failure is the end of it; returns what it prints."""
        command = [*self.inside(), "sh", "-e", "-c", f"cd {folder}\n{script}"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def read(self, path: str) -> bytes:
        """Read a file there."""
        return subprocess.run([*self.inside(), "cat", path], check=True, capture_output=True).stdout

    def names(self, path: str) -> Sequence[str]:
        """List a folder there."""
        return self.shell(f"ls -A {path}").split()
