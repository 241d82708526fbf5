"""`gateway check` of a destination by SFTP, against OpenSSH's server."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.config.site import write_site
from tests.command_line import invoke, lines
from tests.contract.conftest import OpenSshMedium
from tests.servers.openssh import write_key
from tests.servers.ssh_certificates import HOUR_S, SshAuthority

Make = Callable[..., OpenSshMedium]
Found = dict[str, tuple[str, str]]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[OpenSshMedium] = []

    def new(*sshd_settings: str) -> OpenSshMedium:
        made.append(OpenSshMedium(tmp_path, *sshd_settings))
        return made[-1]

    yield new
    for medium in made:
        medium.stop()


def check(medium: OpenSshMedium, folder: Path, **more: object) -> Found:
    """Return grade and detail of what is said about the destination."""
    config = medium.config
    settings = {
        "host": config.host,
        "port": config.port,
        "user": config.user,
        "key_file": str(config.key_file),
        "host_key": config.host_key,
        "send_dir": config.send_dir,
        "receive_dir": config.receive_dir,
    } | more
    text = "".join(
        f'{name} = "{value}"\n' if isinstance(value, str) else f"{name} = {value}\n"
        for name, value in settings.items()
    )
    toml = f'[[destination]]\nname = "customs"\n[destination.sftp]\n{text}'
    write_site(folder / "site", destination_toml=toml, port=0)
    told = lines(invoke("check", "--json", "-c", folder / "site" / "gateway.toml"))
    assert all(one["fix"] for one in told if one["grade"] != "ok")
    return {one["name"]: (one["grade"], one["detail"]) for one in told if "customs" in one["name"]}


def test_all_connections_are_opened_at_once(make: Make, tmp_path: Path) -> None:
    grade, detail = check(make(), tmp_path, connections=3)["destination customs"]
    assert grade == "ok"
    assert "over 3 connections" in detail


def test_server_that_does_not_let_in_so_many_connections_is_named(make: Make, tmp_path: Path) -> None:
    one_at_a_time = f"Subsystem sftp flock -n {tmp_path}/lock /usr/lib/openssh/sftp-server"
    grade, detail = check(make(one_at_a_time), tmp_path, connections=3)["destination customs"]
    assert grade == "fail"
    assert "connection 2 of 3 is not let in" in detail


def test_archive_folder_that_is_not_there_is_named(make: Make, tmp_path: Path) -> None:
    medium = make()
    grade, detail = check(medium, tmp_path, archive_dir=f"{medium.root}/out/done")["destination customs"]
    assert grade == "fail"
    assert f"no folder {medium.root}/out/done" in detail


@pytest.mark.parametrize(
    ("life_s", "grade", "said"),
    [
        ((-HOUR_S, 8 * HOUR_S), "ok", "until 2"),
        ((-10 * HOUR_S, HOUR_S / 2), "warn", "ends soon"),
        ((-10 * HOUR_S, -1), "fail", "it has ended"),
    ],
)
def test_login_certificate_is_told_with_its_end(
    make: Make, tmp_path: Path, life_s: tuple[float, float], grade: str, said: str
) -> None:
    authority = SshAuthority()
    (tmp_path / "authority.pub").write_text(authority.line)
    medium = make(f"TrustedUserCAKeys {tmp_path}/authority.pub")
    user = medium.config.user
    certificate = authority.certify(write_key(tmp_path / "user"), user, starts_s=life_s[0], ends_s=life_s[1])
    (tmp_path / "user.pub").write_bytes(certificate)

    found = check(medium, tmp_path, certificate_file=str(tmp_path / "user.pub"))
    told, detail = found["login certificate customs"]
    assert told == grade
    assert said in detail
    assert found["destination customs"][0] == ("fail" if grade == "fail" else "ok")
