"""Root's hands on a node that runs as somebody else: what is written belongs to the node, and nothing more is made."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli.as_owner import as_owner_of
from gateway.config.site import write_site
from tests import documents as make
from tests.command_line import Node, invoke, lines, node_at

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another")
SERVICE = 65534


@pytest.fixture
def site() -> Iterator[Path]:
    """A site of another user's, in a folder that everybody may enter."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-owner-", dir="/tmp"))
    folder.chmod(0o755)
    written = write_site(folder / "site", port=0).folder
    config = written / "gateway.toml"
    config.write_text(config.read_text("utf-8").replace("# days = 0", "days = 1"), "utf-8")
    give(written)
    yield written
    shutil.rmtree(folder)


def give(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, SERVICE, SERVICE)


def others(folder: Path) -> list[str]:
    """What does not belong to the service."""
    return [str(path) for path in (folder, *folder.rglob("*")) if path.lstat().st_uid != SERVICE]


def test_everything_that_root_writes_belongs_to_the_user_of_the_node(site: Path) -> None:
    config = ("-c", site / "gateway.toml")
    add = ("enterprise", "add", "acme", "--cop-code", "4400000002", "--dxp-id", "DXPENT0000000002")
    for command in (
        add,
        ("enterprise", "rotate-token", "acme", "--until", "2099-12-31"),
        ("enterprise", "end-token", "acme"),
        ("enterprise", "disable", "acme"),
        ("journal", "key"),
        ("journal", "acts"),
        ("spool", "status"),
        ("spool", "purge"),
        ("receipts", "rematch"),
        ("check",),
    ):
        assert invoke(*command, *config).exit_code in {0, 1}, command
        assert others(site) == [], command
        assert os.geteuid() == 0
    assert (site / "state" / "spool.db").exists()
    assert (site / "state" / "keys" / "node-journal.key").exists()
    assert stat.S_IMODE((site / "enterprises" / "acme.toml").stat().st_mode) == 0o600


def test_init_into_a_folder_of_another_is_his(site: Path) -> None:
    assert invoke("init", site / "second").exit_code == 0
    assert others(site) == []


def test_commands_that_only_look_make_nothing(site: Path) -> None:
    before = sorted(site.rglob("*"))
    for command in (
        ("spool", "status"),
        ("spool", "list"),
        ("receipts", "list"),
        ("receipts", "orphans"),
        ("trace", "X"),
        ("journal", "acts"),
        ("journal", "checkpoint"),
        ("enterprise", "list"),
        ("evidence", "export", "X"),
        ("check",),
    ):
        invoke(*command, "-c", site / "gateway.toml")
        assert sorted(site.rglob("*")) == before, command


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("keys/node.key", "key node"),
        ("enterprises/demo.toml", "enterprises"),
        ("gateway.toml", "configuration"),
    ],
)
def test_check_names_what_the_service_cannot_read(site: Path, name: str, told: str) -> None:
    os.chown(site / name, 0, 0)
    (site / name).chmod(0o600)
    failed = {
        one["name"]: one["detail"]
        for one in lines(invoke("check", "--json", "-c", site / "gateway.toml"))
        if one["grade"] == "fail"
    }
    assert "ermission denied" in failed[told]


def test_acting_ends_with_the_block_whatever_happens(site: Path) -> None:
    def act() -> None:
        with as_owner_of(site / "not" / "there"):
            assert (os.geteuid(), os.getegid()) == (SERVICE, SERVICE)
            with as_owner_of(Path("/")):  # it is no longer root's to give
                assert os.geteuid() == SERVICE
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        act()
    assert (os.geteuid(), os.getegid()) == (0, 0)


def test_acting_on_messages_leaves_the_spool_to_the_service(site: Path) -> None:
    with as_owner_of(site):
        node: Node = node_at(site)
        (uid,) = node.accept(make.order())
    for action in ("hold", "release", "retry"):
        assert node.run("spool", action, uid).exit_code in {0, 1}
    assert others(site) == []
