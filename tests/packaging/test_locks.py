"""The locks: everything we need, in one exact version, with hashes, from nowhere in particular."""

import re
import tomllib
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[2]
LOCKS = ("build", "run", "test")
_PINNED = re.compile(
    r"(?P<name>[a-z0-9]+(?:-[a-z0-9]+)*)==(?P<version>[0-9][0-9A-Za-z.+!]*)(?: ; [^#@]+?)?"
    r"(?: --hash=sha256:[0-9a-f]{64})+"
)


@cache
def lock(name: str) -> dict[str, str]:
    """Read a lock: package → version; fails for every line that is not a pin with hashes."""
    text = (REPOSITORY / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    lines = re.sub(r" *\\\n *", " ", text).splitlines()
    found = [_PINNED.fullmatch(line) for line in lines if line]
    unfit = [line for line in lines if line and not _PINNED.fullmatch(line)]
    assert unfit == [], "neither URL, path nor option, and nothing without version and hash"
    pins = [(one["name"], one["version"]) for one in found if one is not None]
    assert len(dict(pins)) == len(pins), "one version a package"
    return dict(pins)


def wanted(*groups: str) -> list[Requirement]:
    """Read from pyproject what a lock has to satisfy."""
    table = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    project = table["project"]
    sources = {
        "run": project["dependencies"],
        **project["optional-dependencies"],
        **table["dependency-groups"],
    }
    return [Requirement(text) for group in groups for text in sources[group]]


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_is_a_pin_with_hashes(name: str) -> None:
    assert lock(name)


@pytest.mark.parametrize("name", ["run", "build"])
def test_lock_of_the_tests_has_the_same_versions(name: str) -> None:
    assert lock(name).items() <= lock("test").items()


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("run", ["run"]),
        ("build", ["build"]),
        ("test", ["run", "amqp", "pkcs11", "postgres", "ukey", "build", "dev"]),
    ],
)
def test_lock_satisfies_what_the_project_asks_for(name: str, groups: list[str]) -> None:
    for requirement in wanted(*groups):
        version = lock(name).get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not locked: run `make lock`"
        assert requirement.specifier.contains(version), f"{requirement} has {version}: run `make lock`"


def test_running_needs_neither_a_compiler_nor_what_tests_need() -> None:
    only_for_others = {
        canonicalize_name(one.name) for one in wanted("amqp", "pkcs11", "postgres", "ukey", "dev")
    }
    assert only_for_others & lock("run").keys() == set()
