"""The wheel as an operator gets it: what is in it, and that it works away from the checkout."""

import subprocess
import sys
import sysconfig
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.documents import order

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
"""Nothing of ours: above all no PYTHONPATH."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, cwd=REPOSITORY)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into a fresh environment that borrows only our dependencies; gives its folder."""
    folder = tmp_path_factory.mktemp("installed") / "env"
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    options = ("--python", python, "--disable-pip-version-check", "install", "--no-index", "--no-deps")
    run(sys.executable, "-m", "pip", *options, wheel)
    (packages,) = folder.glob("lib/python*/site-packages")
    # a folder named in a .pth file is put on the path, but the .pth files in it are not read: not ours, which
    # would name the checkout
    borrowed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (packages / "borrowed.pth").write_text("\n".join(sorted(borrowed)) + "\n")
    return folder


def run(*command: object, cwd: Path | None = None) -> str:
    """Run a command that has to succeed and return what it printed."""
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout


def test_wheel_holds_the_rules_the_types_and_no_name_that_is_not_ours(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
    top = {name.partition("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"gateway", "signing", "spool"}
    assert {
        "gateway/_rules/xsd/202205/import.xsd",
        "gateway/_rules/xsd/202205/export.xsd",
        "gateway/_rules/xsd/202205/dxp.xsd",
        "gateway/_rules/xsd/2018-113/import.xsd",
        "gateway/_rules/xsd/2018-113/export.xsd",
        "gateway/_rules/xsd/2018-113/dxp.xsd",
        "gateway/_rules/mappings/catalogue.toml",
        "gateway/_rules/mappings/translations/orders.toml",
        "gateway/_rules/mappings/codes.toml",
        "gateway/py.typed",
        "signing/py.typed",
        "spool/py.typed",
    } <= names
    assert [name for name in names if "/test" in name or name.endswith((".pyc", ".key", ".pem"))] == []


def test_wheel_holds_every_file_of_the_rooms(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
    expected = {
        file.relative_to(REPOSITORY)
        for room in ("gateway", "signing", "spool", "xsd", "mappings")
        for file in (REPOSITORY / room).rglob("*")
        if file.is_file() and file.suffix in {".py", ".xsd", ".toml", ".typed", ".in"}
    }
    moved = {"xsd", "mappings"}
    assert {str("gateway/_rules" / one if one.parts[0] in moved else one) for one in expected} <= names


def test_what_is_imported_is_the_wheel_and_not_the_checkout(installed: Path, tmp_path: Path) -> None:
    code = (
        "import gateway.rules.loading, signing.keys.files, spool.store, lxml;"
        "print(*(m.__file__ for m in (gateway, signing, spool)), gateway.rules.loading.RULES, sep='\\n')"
    )
    places = run(installed / "bin" / "python", "-c", code, cwd=tmp_path).splitlines()
    assert len(places) == 4
    assert all(Path(place).is_relative_to(installed) for place in places)


def test_first_steps_of_an_operator_work(installed: Path, tmp_path: Path) -> None:
    gateway = installed / "bin" / "gateway"
    assert run(gateway, "--version", cwd=tmp_path).startswith("gateway ")
    run(gateway, "init", tmp_path / "site", "--port", 0, cwd=tmp_path)
    run(gateway, "check", "-c", tmp_path / "site" / "gateway.toml", cwd=tmp_path)
    (tmp_path / "order.xml").write_bytes(order())
    assert "order.xml" in run(gateway, "validate", "order.xml", cwd=tmp_path)


def test_measures_are_no_part_of_the_wheel_and_the_command_says_so(installed: Path, tmp_path: Path) -> None:
    command = [str(installed / "bin" / "gateway"), "bench"]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "part of the source" in done.stderr
    assert "Traceback" not in done.stderr
