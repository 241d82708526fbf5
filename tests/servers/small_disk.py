"""A file system of a few megabytes, which a test can fill; needs root."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import pytest


@contextmanager
def mounted(folder: Path, *, mib: int) -> Iterator[Path]:
    """Mount it on a folder, which is made; skips where that cannot be, which in CI is a failure."""
    folder.mkdir(parents=True)
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False) if mount else None
    if done is None or done.returncode:
        told = (
            f"a small file system cannot be mounted here (needs root): {done.stderr if done else 'no mount'}"
        )
        if os.environ.get("CI"):
            pytest.fail(told)
        pytest.skip(told)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(disk: Path, how: Literal["ro", "rw"]) -> bool:
    """Let nothing be written there, or anything again; not possible while somebody has a file open for writing."""
    command = ["mount", "-o", f"remount,{how}", str(disk)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def fill(disk: Path) -> Path:
    """Leave not one byte; returns the file that takes them."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return ballast
