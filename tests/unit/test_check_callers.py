"""`gateway check` and the start of a gateway: how callers are recognised has to be in order before anybody asks."""

from pathlib import Path

import pytest

from gateway.app.build import App
from gateway.cli.check.result import Grade
from gateway.cli.check.tls import probe_tls
from gateway.config.gateway_toml import load_config
from gateway.config.site import Site, write_site
from gateway.errors import ConfigError
from tests.command_line import invoke, lines
from tests.platforms import enterprises
from tests.servers.certificates import Authority


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return write_site(tmp_path / "site", enterprises=enterprises(3), port=0)


def accept(site: Site, text: str) -> None:
    """Put something into [accept], or tables behind it."""
    old = site.config.read_text()
    site.config.write_text(old.replace("\n[accept.limits]\n", f"\n{text}\n[accept.limits]\n"))


def share(site: Site, *lines: str) -> None:
    """Put the same lines into the files of two enterprises."""
    for name in ("e00", "e01"):
        file = site.enterprises / f"{name}.toml"
        text = "\n".join(
            line for line in file.read_text().splitlines() if not line.startswith("token_sha256")
        )
        file.write_text("\n".join((text, *lines)))


@pytest.mark.parametrize(
    ("line", "proof"),
    [
        (f'token_sha256 = ["{"1" * 64}"]', "token"),
        (f'certificate_sha256 = ["{"1" * 64}"]', "client certificate"),
        ('hmac = [{key = "same", secret_file = "secret"}]', "HMAC key id"),
    ],
)
def test_two_with_the_same_proof_are_named_and_left_out(site: Site, line: str, proof: str) -> None:
    (site.enterprises / "secret").write_text("s" * 32)
    share(site, line)
    told = lines(invoke("check", "-c", site.config, "--json"))
    failed = {one["name"]: one["detail"] for one in told if one["grade"] == "fail"}
    assert failed == {
        f"enterprise {name}": f"another enterprise has the same {proof}" for name in ("e00", "e01")
    }
    assert [(one.part, f"same {proof}" in one.error) for one in App(site.config).left_out] == [
        ("e00", True),
        ("e01", True),
    ]


def test_edition_that_there_is_not_is_named_and_its_enterprise_left_out(site: Site) -> None:
    file = site.enterprises / "e01.toml"
    file.write_text(f'edition = "209901"\n{file.read_text()}')
    told = lines(invoke("check", "-c", site.config, "--json"))
    failed = {one["name"]: one["fix"] for one in told if one["grade"] == "fail"}
    assert failed == {"enterprise e01": "one of: 2018-113, 202205; or take the line out"}
    listed = {
        one["id"]: one["left_out"] for one in lines(invoke("enterprise", "list", "-c", site.config, "--json"))
    }
    assert "there is no edition 209901" in listed["e01"][0]
    assert listed["e00"] == []


def test_a_name_of_nobody_among_those_whose_mail_is_taken_is_a_warning(site: Site) -> None:
    file = site.enterprises / "e00.toml"
    file.write_text(
        file.read_text("utf-8").replace("mail_from = []", 'mail_from = ["e01", "e77", "*"]'), "utf-8"
    )
    told = lines(invoke("check", "-c", site.config, "--json"))
    assert {one["name"]: one["detail"] for one in told if one["grade"] == "warn"}["enterprise e00"] == (
        "mail_from names nobody of this node: e77"
    )


def test_certificates_that_the_door_never_asks_for_are_a_warning(site: Site) -> None:
    file = site.enterprises / "e00.toml"
    file.write_text(f'{file.read_text()}\ncertificate_sha256 = ["{"1" * 64}"]')
    found = {one["name"]: one for one in lines(invoke("check", "-c", site.config, "--json"))}
    assert found["enterprise e00"]["grade"] == "warn"
    assert "client_ca" in found["enterprise e00"]["fix"]


def test_plain_http_is_a_warning_where_others_can_reach_it(site: Site) -> None:
    assert list(probe_tls(load_config(site.config))) == []
    site.config.write_text(site.config.read_text().replace('host = "127.0.0.1"', 'host = "0.0.0.0"', 1))
    (found,) = probe_tls(load_config(site.config))
    assert (found.grade, "plain HTTP" in found.detail) == (Grade.WARN, True)


def test_key_that_does_not_belong_to_the_certificate_is_named_and_nothing_starts(site: Site) -> None:
    authority = Authority("Test CA")
    for name in ("one", "two"):
        authority.issue(name, site.folder / f"{name}.crt", site.folder / f"{name}.key", server=True)
    accept(site, '[accept.tls]\ncertificate = "one.crt"\nkey = "two.key"')
    (found,) = probe_tls(load_config(site.config))
    assert (found.grade, "accept.tls" in found.detail) == (Grade.FAIL, True)
    with pytest.raises(ConfigError, match="cannot use certificate and key of the door"):
        App(site.config)


def test_issuers_of_client_certificates_that_cannot_be_read_are_named(site: Site) -> None:
    authority = Authority("Test CA")
    authority.issue("one", site.folder / "one.crt", site.folder / "one.key", server=True)
    accept(site, '[accept.tls]\ncertificate = "one.crt"\nkey = "one.key"\nclient_ca = "none.crt"')
    with pytest.raises(ConfigError, match="issuers of client certificates"):
        App(site.config)


@pytest.mark.parametrize("text", ["10.0.0.1/8", "proxy.example.net"])
def test_proxy_that_is_no_network_is_named_with_its_key(site: Site, text: str) -> None:
    accept(site, f'trusted_proxies = ["{text}"]')
    with pytest.raises(ConfigError, match="not a network of IP addresses") as caught:
        load_config(site.config)
    assert "accept.trusted_proxies" in caught.value.where
