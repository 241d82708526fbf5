"""`gateway init` and `gateway check`: from nothing to a site in order, and what is not in order is named."""

import hashlib
from pathlib import Path
from shutil import copytree

import pytest

from gateway.app.build import App
from gateway.config.site import DEMO, NewEnterprise, add_enterprise, write_site
from gateway.errors import ConfigError
from gateway.model import EnterpriseId
from signing.keys.certificate import make_self_signed
from signing.keys.sm2_certificate import make_self_signed_sm2
from tests.command_line import invoke, lines

SFTP = """
[destination.sftp]
host = "127.0.0.1"
port = 1
user = "gateway"
key_file = "keys/none"
send_dir = "/in"
receive_dir = "/out"
host_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
"""
AMQP = """
[destination.amqp]
url = "amqp://127.0.0.1:1"
send_address = "a"
receive_address = "b"
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_site(tmp_path_factory.mktemp("template") / "site", port=0).folder


@pytest.fixture
def site(template: Path, tmp_path: Path) -> Path:
    return Path(copytree(template, tmp_path / "site"))


def graded(folder: Path) -> dict[str, str]:
    result = invoke("check", "--json", "-c", folder / "gateway.toml")
    found = lines(result)
    assert result.exit_code == (1 if any(one["grade"] == "fail" for one in found) else 0)
    assert all(one["fix"] or "Fix:" in one["detail"] for one in found if one["grade"] != "ok")
    return {one["name"]: one["grade"] for one in found}


def change(folder: Path, old: str, new: str) -> None:
    file = folder / "gateway.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_init_writes_a_site_that_passes_every_check(tmp_path: Path) -> None:
    folder = tmp_path / "gate"
    result = invoke("init", folder, "--port", 0)
    assert result.exit_code == 0
    assert "gateway run -c" in result.stdout
    assert set(graded(folder).values()) == {"ok"}
    assert invoke("check", "-c", folder / "gateway.toml").exit_code == 0


def test_init_shows_the_token_once_and_keeps_only_its_digest(tmp_path: Path) -> None:
    (told,) = lines(invoke("init", tmp_path / "gate", "--json"))
    (tenant,) = told["enterprises"]
    token_file = Path(tenant["token_file"])
    assert token_file.read_text().strip() == tenant["token"]
    app = App(Path(told["config"]))
    kept = app.enterprises[EnterpriseId("demo")]
    assert kept.token_sha256 == (hashlib.sha256(tenant["token"].encode()).hexdigest(),)
    assert tenant["token"] not in (tmp_path / "gate" / "enterprises" / "demo.toml").read_text()


def test_secrets_of_a_site_can_be_read_by_their_owner_only(site: Path) -> None:
    secrets = [site / "keys" / "node.key", site / "demo.token", site / "enterprises" / "demo.toml"]
    assert [path.stat().st_mode & 0o777 for path in secrets] == [0o600] * 3
    assert (site / "keys").stat().st_mode & 0o777 == 0o700


def test_init_never_replaces_what_is_there(site: Path) -> None:
    before = {path: path.read_bytes() for path in site.rglob("*") if path.is_file()}
    result = invoke("init", site)
    assert result.exit_code == 2
    assert "already" in result.stderr
    assert {path: path.read_bytes() for path in site.rglob("*") if path.is_file()} == before


def test_two_sites_have_nothing_secret_in_common(tmp_path: Path) -> None:
    one, other = write_site(tmp_path / "a"), write_site(tmp_path / "b")
    assert one.tokens != other.tokens
    assert one.key.read_bytes() != other.key.read_bytes()


def test_site_takes_other_enterprises_and_another_destination(tmp_path: Path) -> None:
    destination = """
    [[destination]]
    name = "elsewhere"
    [destination.folder]
    send_dir = "out"
    receive_dir = "in"
    """
    new = NewEnterprise(id="shop-1", name='a "shop"\n店', cop_codes=("1",), dxp_ids=("D1", "D2"))
    site = write_site(tmp_path / "s", destination_toml=destination, enterprises=(DEMO, new))
    app = App(site.config)
    assert app.config.destination[0].name == "elsewhere"
    assert app.enterprises[EnterpriseId("shop-1")].name == 'a "shop"\n店'
    assert set(site.tokens) == {"demo", "shop-1"}
    assert "token" not in repr(site).replace("tokens", "")


def test_enterprise_with_a_name_that_is_no_file_name_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    bad = NewEnterprise(id="../evil", name="x", cop_codes=("1",), dxp_ids=("D",))
    with pytest.raises(ConfigError, match="cannot be the name"):
        write_site(tmp_path / "s", enterprises=(bad,))
    with pytest.raises(ConfigError, match="cannot be the name"):
        add_enterprise(tmp_path, bad)
    assert not (tmp_path / "s").exists()


def test_check_of_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    result = invoke("check", "-c", tmp_path / "none.toml")
    assert (result.exit_code, result.stdout) == (2, "")


def test_check_names_a_configuration_that_is_not_toml(site: Path) -> None:
    (site / "gateway.toml").write_text("[node")
    assert graded(site) == {"configuration": "fail"}


def test_check_names_a_key_that_cannot_be_read(site: Path) -> None:
    (site / "keys" / "node.key").unlink()
    assert graded(site)["key node"] == "fail"


def test_check_names_a_certificate_of_another_key(site: Path) -> None:
    (site / "keys" / "node.crt").write_bytes(make_self_signed("other", bits=1024)[1])
    assert graded(site)["key node"] == "fail"


def test_check_knows_sm2_keys_and_suites_that_do_not_fit(site: Path) -> None:
    key, certificate = make_self_signed_sm2("样例公司")
    (site / "keys" / "node.key").write_bytes(key)
    (site / "keys" / "node.crt").write_bytes(certificate)
    assert graded(site)["key node"] == "ok"
    change(site, '# suite = "sm2-sm3"', 'suite = "sm2-sha1"')
    (answer,) = (
        one
        for one in lines(invoke("check", "--json", "-c", site / "gateway.toml"))
        if one["name"] == "key node"
    )
    assert answer["detail"].startswith("sm2-sha1, certificate ")
    change(site, 'suite = "sm2-sha1"', 'suite = "rsa-sha1"')
    assert graded(site)["key node"] == "fail"


def test_check_reads_the_issuers_that_are_asked_for(site: Path) -> None:
    assert "issuers" not in graded(site)
    change(site, "# issuers_file", "issuers_file")
    assert graded(site)["issuers"] == "fail"
    file = site / "keys" / "issuers.pem"
    file.write_bytes((site / "keys" / "node.crt").read_bytes())
    assert graded(site)["issuers"] == "ok"
    file.write_bytes(make_self_signed_sm2("over", days=0)[1] + file.read_bytes())
    assert graded(site)["issuers"] == "warn"


@pytest.mark.parametrize(("days", "grade"), [(0, "fail"), (10, "warn"), (60, "warn"), (100, "ok")])
def test_check_looks_at_the_end_of_certificates(site: Path, days: int, grade: str) -> None:
    key, certificate = make_self_signed("short", bits=1024, days=days)
    (site / "keys" / "node.key").write_bytes(key)
    (site / "keys" / "node.crt").write_bytes(certificate)
    assert graded(site)["key node"] == grade


def test_check_names_a_destination_folder_that_is_not_there(site: Path) -> None:
    (site / "state" / "outbox").rmdir()
    assert graded(site)["destination customs"] == "fail"


@pytest.mark.parametrize(
    "destination",
    [
        SFTP,
        AMQP,
    ],
    ids=["sftp", "amqp"],
)
def test_check_names_a_destination_that_nobody_listens_at(tmp_path: Path, destination: str) -> None:
    text = f'[[destination]]\nname = "customs"\n{destination}\n'
    write_site(tmp_path / "s", destination_toml=text, port=0)
    assert graded(tmp_path / "s")["destination customs"] == "fail"


def test_check_names_enterprises_that_share_a_token(site: Path) -> None:
    tenants = site / "enterprises"
    (tenants / "other.toml").write_text((tenants / "demo.toml").read_text())
    grades = graded(site)
    assert (grades["enterprise demo"], grades["enterprise other"]) == ("fail", "fail")


def test_check_warns_when_no_destination_carries_a_family(site: Path) -> None:
    change(site, 'families = ["import", "export"]', 'families = ["import"]')
    assert graded(site)["export messages"] == "warn"


def test_check_names_schemas_that_do_not_compile(site: Path) -> None:
    change(site, '# rules_dir = "rules"', 'rules_dir = "rules"')
    assert graded(site)["rules"] == "fail"
