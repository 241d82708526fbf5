"""`python -m tests.fuzz`: all property tests with fresh seeds, round after round, for FUZZ_MINUTES (60).

FUZZ_SEED is the seed of the first round, each further round takes the next one; without it chance chooses. FUZZ_ROUNDS
ends it earlier. Each file of tests runs in a process of its own, so that the command that is printed for a failure does
the same again: hypothesis also tries the constants of all modules that it finds loaded.
"""

import os
import secrets
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
TESTS = REPOSITORY / "tests"


def number(name: str, default: int) -> int:
    return int(os.environ.get(name, default))


def property_tests(folder: Path = TESTS) -> list[Path]:
    """Every file whose tests draw examples."""
    return [
        file for file in sorted(folder.rglob("test_*.py")) if "from hypothesis" in file.read_text("utf-8")
    ]


def command(file: Path, seed: int) -> list[str]:
    """What plays the property tests of one file with this seed."""
    options = [
        "--hypothesis-profile=fuzz",
        f"--hypothesis-seed={seed}",
        "-m",
        "hypothesis",
        "-q",
        "--no-header",
    ]
    return [
        os.path.relpath(sys.executable, REPOSITORY),
        "-m",
        "pytest",
        *options,
        os.path.relpath(file, REPOSITORY),
    ]


def play(file: Path, seed: int) -> bool:
    """Run them and say whether they held; what failed is printed with the command that repeats it."""
    again = command(file, seed)
    done = subprocess.run(
        again, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode == pytest.ExitCode.OK:
        return True
    print(f"{done.stdout}\n{file.name} FAILED, again by:\n    {' '.join(again)}", flush=True)
    return False


def main() -> int:
    """Play until time is up, a whole round at least; 0 when everything held."""
    files, failed = property_tests(), set[str]()
    until = time.monotonic() + 60 * number("FUZZ_MINUTES", 60)
    rounds = number("FUZZ_ROUNDS", sys.maxsize)
    for seed in count(number("FUZZ_SEED", secrets.randbelow(2**32))):
        bad = {f"{file.relative_to(TESTS)} with seed {seed}" for file in files if not play(file, seed)}
        failed |= bad
        print(f"seed {seed}: {len(files) - len(bad)} of {len(files)} files held", flush=True)
        rounds -= 1
        if time.monotonic() >= until or not rounds:
            break
    print("\n".join(["", *sorted(failed)]) if failed else "nothing found")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
