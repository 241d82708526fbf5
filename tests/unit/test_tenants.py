"""A slip in the file of one enterprise leaves out what it is in, and `gateway check` says the same."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.app.build import App
from gateway.config.enterprises import load_channels, load_doors, load_enterprises, shared_proofs
from gateway.config.gateway_toml import load_config
from gateway.config.site import NewEnterprise, Site, write_site
from gateway.config.tenants import Tenants, load_tenants
from gateway.errors import ConfigError
from gateway.mapping.loading import load_mappings
from gateway.model import EnterpriseId

ANN, BOB = (
    NewEnterprise(id=name, name=name.title(), cop_codes=(f"440000000{n}",), dxp_ids=(f"DXPENT000000000{n}",))
    for n, name in enumerate(("ann", "bob"), start=1)
)
PARTS = """
[[door]]
kind = "folder"
dir = "/srv/{0}/in"
reports_dir = "/srv/{0}/reports"
rejected_dir = "/srv/{0}/rejected"
[[door]]
kind = "rabbitmq"
hosts = ["amqp://mq:5672"]
queue = "{0}"
reply_queue = "{0}-replies"
[[deliver]]
name = "erp"
[deliver.webhook]
url = "https://erp.example.com/{0}"
secret_file = "{0}.secret"
timeout_s = 15.0
[[deliver]]
name = "files"
[deliver.folder]
send_dir = "/srv/{0}/answers"
"""
SLIPS: dict[str, Callable[[str], str]] = {
    "a quotation mark too few": lambda line: line.replace('"', "", 1),
    "a letter too many": lambda line: f"x{line}",
    "no value": lambda line: line.partition("=")[0] + "=",
    "a value of another kind": lambda line: line.partition("=")[0] + "= 2030-01-01",
}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = write_site(tmp_path / "site", enterprises=(ANN, BOB))
    for one in (ANN, BOB):
        file = site.enterprises / f"{one.id}.toml"
        own = [line for line in file.read_text("utf-8").splitlines() if line and not line.startswith("#")]
        file.write_text("\n".join([*own, PARTS.format(one.id)]), "utf-8")
    return site


def taken_up(site: Site) -> Tenants:
    config = load_config(site.config)
    return load_tenants(site.enterprises, default=config.quota, lease_s=config.lease_s)


def is_strictly_right(folder: Path) -> bool:
    """As `gateway check` looks at it."""
    try:
        load_doors(folder)
        load_channels(folder, lease_s=60.0)
        return not shared_proofs(load_enterprises(folder))
    except ConfigError:
        return False


def test_without_a_slip_everything_is_taken_up(site: Site) -> None:
    found = taken_up(site)
    assert found.left_out == ()
    assert not found.has_unknown_ids
    assert found.doors == load_doors(site.enterprises)
    assert found.channels == load_channels(site.enterprises, lease_s=60.0)
    assert found.enterprises == load_enterprises(site.enterprises, load_config(site.config).quota)


@pytest.mark.parametrize("slip", SLIPS)
def test_whatever_line_has_a_slip_the_other_enterprise_is_served_in_full(site: Site, slip: str) -> None:
    whole = taken_up(site)
    file = site.enterprises / "bob.toml"
    lines = file.read_text("utf-8").splitlines()
    parts: set[tuple[str, str]] = set()
    for number in range(len(lines)):
        broken = SLIPS[slip](lines[number])
        file.write_text("\n".join([*lines[:number], broken, *lines[number + 1 :]]), "utf-8")
        found = taken_up(site)
        assert bool(found.left_out) == (not is_strictly_right(site.enterprises)), broken
        assert {one.enterprise for one in found.left_out} <= {"bob"}, broken
        assert all(str(file) in one.error and "Fix:" in one.error for one in found.left_out), broken
        assert found.enterprises[EnterpriseId("ann")] == whole.enterprises[EnterpriseId("ann")]
        assert found.doors[EnterpriseId("ann")] == whole.doors[EnterpriseId("ann")]
        assert [one for one in found.channels if one.enterprise == "ann"] == list(whole.channels[:2])
        bob = found.enterprises[EnterpriseId("bob")]
        if any(one.kind == "enterprise" for one in found.left_out):
            assert bob.disabled
            assert bob.dxp_ids == {BOB.dxp_ids[0]} or found.has_unknown_ids, "its mail is not another's"
            assert "bob" not in found.doors
        parts.update((one.kind, one.part) for one in found.left_out)
    assert ("enterprise", "bob") in parts
    if slip in {"a letter too many", "a value of another kind"}:  # else the whole file is no TOML
        assert {kind for kind, _ in parts} == {"enterprise", "channel", "door"}


@pytest.mark.parametrize(
    ("slip", "part", "doors", "channels"),
    [
        (('queue = "bob"', "queue = 7"), ("door", "bob/2"), 1, 2),
        (('kind = "rabbitmq"', 'kind = "ftp"'), ("door", "bob/2"), 1, 2),
        (("timeout_s = 15.0", "timeout_s = 45.0"), ("channel", "bob/erp"), 2, 1),
        (("https://", "http://"), ("channel", "bob/erp"), 2, 1),
        (('name = "files"', 'name = "Files!"'), ("channel", "bob/Files!"), 2, 1),
        (('name = "files"\n', ""), ("channel", "bob/2"), 2, 1),
    ],
)
def test_slip_in_a_door_or_channel_leaves_out_that_one_alone(
    site: Site, slip: tuple[str, str], part: tuple[str, str], doors: int, channels: int
) -> None:
    file = site.enterprises / "bob.toml"
    file.write_text(file.read_text("utf-8").replace(*slip), "utf-8")
    found = taken_up(site)
    assert [(one.kind, one.part) for one in found.left_out] == [part]
    assert len(found.doors[EnterpriseId("bob")]) == doors
    assert len([one for one in found.channels if one.enterprise == "bob"]) == channels
    assert not found.enterprises[EnterpriseId("bob")].disabled


def test_channels_of_one_name_are_both_left_out(site: Site) -> None:
    file = site.enterprises / "bob.toml"
    file.write_text(file.read_text("utf-8").replace('name = "files"', 'name = "erp"'), "utf-8")
    found = taken_up(site)
    assert [(one.kind, one.part) for one in found.left_out] == [("channel", "bob/erp")] * 2
    assert [one.enterprise for one in found.channels] == ["ann", "ann"]


def test_doors_that_share_a_place_are_left_out_both_and_nothing_else(site: Site) -> None:
    file = site.enterprises / "bob.toml"
    file.write_text(file.read_text("utf-8").replace('queue = "bob"', 'queue = "ann"'), "utf-8")
    found = taken_up(site)
    assert [(one.kind, one.part) for one in found.left_out] == [("door", "ann/2"), ("door", "bob/2")]
    assert [len(own) for own in found.doors.values()] == [1, 1]


def test_enterprises_that_could_be_taken_for_each_other_are_left_out_both(site: Site) -> None:
    """Nobody can say whose the token is."""
    texts = [(site.enterprises / f"{name}.toml").read_text("utf-8") for name in ("ann", "bob")]
    token = next(line for line in texts[0].splitlines() if line.startswith("token_sha256"))
    other = next(line for line in texts[1].splitlines() if line.startswith("token_sha256"))
    (site.enterprises / "bob.toml").write_text(texts[1].replace(other, token), "utf-8")
    found = taken_up(site)
    assert [(one.kind, one.part) for one in found.left_out] == [("enterprise", "ann"), ("enterprise", "bob")]
    assert all(one.disabled for one in found.enterprises.values())
    assert found.doors == {}
    assert found.channels == ()


def test_file_that_says_nothing_lets_nobody_be_told_that_there_is_no_such_receiver(site: Site) -> None:
    (site.enterprises / "bob.toml").write_bytes(b"\xff\xfe[[")
    app = App(site.config)
    assert [one.part for one in app.left_out] == ["bob"]
    assert app.local_receivers.incomplete


def test_mapping_with_a_slip_is_left_out_alone(site: Site) -> None:
    (site.folder / "mappings").mkdir()
    (site.folder / "mappings" / "bad.toml").write_text('message = "CEB411Message"\n', "utf-8")
    (site.folder / "mappings" / "no toml.toml").write_text("x", "utf-8")
    site.config.write_text(site.config.read_text("utf-8").replace("# mappings_dir", "mappings_dir"), "utf-8")
    app = App(site.config)
    assert [(one.kind, one.part, one.enterprise) for one in app.left_out] == [
        ("mapping", "bad", ""),
        ("mapping", "no toml", ""),
    ]
    assert set(app.mappings) == set(load_mappings(app.rules))
