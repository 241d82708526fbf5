"""Which spool a configuration names, and that an old one can be used."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.app.open_spool import build_spool
from gateway.config.gateway_toml import load_config
from gateway.config.site import write_site
from gateway.errors import ConfigError
from spool.lifecycle import State
from spool.postgres import PostgresSpool
from spool.sqlite import SqliteSpool
from spool.sqlite.schema import STEPS
from tests.spool_samples import settled

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


def test_spool_of_the_first_layout_is_brought_up_to_date_with_all_that_is_in_it(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "spool.db")) as connection:
        connection.executescript(f"{STEPS[0]}; PRAGMA user_version = 1;")
        connection.execute("INSERT INTO message VALUES (1, 'A', 'ann', 'k', x'00', '', x'', 0)")
        connection.execute("INSERT INTO payload VALUES (1, x'01')")
        connection.execute(
            "INSERT INTO entry (message, owner, destination, cop_msg_id, part, facts, priority, state, due_at)"
            " VALUES (1, 'ann', 'port', 'COP-A', '', x'', 1, 'ready', 0)"
        )
        connection.commit()

    spool = SqliteSpool(tmp_path)
    try:
        spool.settle(settled(spool.claim("one", "port", limit=1, lease_s=60)))
        assert [view.state for view in spool.entries()] == [State.SENT]
    finally:
        spool.close()
