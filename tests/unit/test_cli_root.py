"""The command table: lazy, complete, and with an answer to every mistake."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

from gateway.cli.reference import reference
from gateway.cli.root import COMMANDS, load
from tests.command_line import invoke

REPOSITORY = Path(__file__).resolve().parents[2]
HEAVY = ("lxml", "rich", "msgspec", "paramiko", "cryptography", "structlog", "starlette", "sqlite3")


def test_help_names_every_command_and_imports_none_of_them() -> None:
    code = (
        "import sys; from gateway.cli.root import root; root(['--help'], standalone_mode=False);"
        f"assert not [name for name in {HEAVY!r} if name in sys.modules], sys.modules.keys()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_is_there_and_explains_itself(name: str) -> None:
    command = load(name)
    assert isinstance(command, click.Command)
    assert invoke(name, "--help").exit_code == 0
    assert command.help


def test_unknown_command_is_a_usage_error() -> None:
    result = invoke("frobnicate")
    assert result.exit_code == 2
    assert "frobnicate" in result.stderr


def test_missing_configuration_says_what_where_and_how_to_fix_it(tmp_path: Path) -> None:
    result = invoke("spool", "status", "-c", tmp_path / "gateway.toml")
    assert result.exit_code == 2
    assert result.stdout == ""
    what, where, fix = result.stderr.splitlines()
    assert what.startswith("error: cannot read the file")
    assert str(tmp_path) in where
    assert "gateway init" in fix


def test_version_is_told() -> None:
    result = invoke("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("gateway ")


def test_reference_in_the_documents_is_what_the_code_says() -> None:
    written = (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8")
    assert written == reference(), "run: python -m gateway.cli.reference > docs/cli.md"
