"""The repository works anywhere: no file names a folder of some machine or the address of a registry."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PLACES = re.compile(
    rb"/(?:root|work)/|/tmp/(?:bash)|pypi\.org|python(?:hosted)|deb\.debian\.org|registry\.npmjs"
)
needs_git = pytest.mark.skipif(
    shutil.which("git") is None or not (REPOSITORY / ".git").exists(), reason="this is no git checkout"
)


def files() -> Iterator[Path]:
    """Give every file that git has or would take."""
    command = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True).stdout
    for name in listed.decode().split("\0"):
        if name and (REPOSITORY / name).is_file():
            yield REPOSITORY / name


@needs_git
def test_no_file_names_a_place_that_others_do_not_have() -> None:
    found = [
        f"{file.relative_to(REPOSITORY)}:{number}: {line.decode(errors='replace').strip()[:120]}"
        for file in files()
        for number, line in enumerate(file.read_bytes().splitlines(), start=1)
        if PLACES.search(line)
    ]
    assert found == []
