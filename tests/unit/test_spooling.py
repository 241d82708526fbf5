"""Which spool a configuration names."""

from contextlib import closing
from pathlib import Path

import pytest

from gateway.config import load_config
from gateway.errors import ConfigError
from gateway.site import write_site
from gateway.spooling import build_spool
from spool.postgres import PostgresSpool
from spool.sqlite import SqliteSpool

DSN = "host=db.example.net dbname=gateway"


def config_file(folder: Path, table: str = "") -> Path:
    file = write_site(folder / "site").config
    file.write_text(f"{file.read_text('utf-8')}\n{table}\n", "utf-8")
    return file


def test_sqlite_is_the_default(tmp_path: Path) -> None:
    with closing(build_spool(load_config(config_file(tmp_path)))) as spool:
        assert isinstance(spool, SqliteSpool)


def test_postgres_is_named_by_kind_and_dsn_and_does_not_connect_before_it_is_used(tmp_path: Path) -> None:
    file = config_file(tmp_path, f'[spool]\nkind = "postgres"\ndsn = "{DSN}"\npassword_file = "pw"')
    config = load_config(file)
    assert config.spool.password_file == file.parent / "pw"
    with closing(build_spool(config)) as spool:
        assert isinstance(spool, PostgresSpool)


@pytest.mark.parametrize(
    "table",
    [
        'kind = "postgres"',
        f'dsn = "{DSN}"',
        f'kind = "postgres"\ndsn = "{DSN} password=abc"',
        'kind = "postgres"\ndsn = "postgresql://gateway:abc@db.example.net/gateway"',
        'kind = "mysql"',
    ],
)
def test_contradictions_and_passwords_are_refused(tmp_path: Path, table: str) -> None:
    with pytest.raises(ConfigError, match="spool"):
        load_config(config_file(tmp_path, f"[spool]\n{table}"))
