"""What waits for a slow key, and for how long: in figures, at the door, in `trace` and `check`."""

import json
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest

from gateway.config.keys import KeyConfig, Ukey
from gateway.keys.backlog import KeyBacklog, backlog_of
from gateway.keys.metrics import key_families
from gateway.keys.public_keyring import PublicKeyring
from signing.keys.health import HealthFile
from tests.command_line import invoke
from tests.device_keys import PIN, card
from tests.documents import order

CARD = KeyConfig(name="card", kind="ukey", rate_per_minute=240, ukey=Ukey())
SECOND = KeyConfig(name="second", kind="ukey", rate_per_minute=240, ukey=Ukey())
FILE = KeyConfig(name="file", kind="pem")


def pool(*names: str) -> KeyConfig:
    return KeyConfig(name="pool", kind="pool", members=names)


def test_wait_is_what_waits_by_the_rate_of_those_that_are_in_order(tmp_path: Path) -> None:
    tables = (CARD, SECOND, pool("card", "second"))
    assert backlog_of("card", tables, tmp_path, 40) == KeyBacklog(
        key="card", entries=40, wait_s=10.0, in_order=True
    )
    assert backlog_of("pool", tables, tmp_path, 40).wait_s == 5.0
    assert backlog_of("pool", (*tables[:2], FILE, pool("card", "file")), tmp_path, 40).wait_s == 0.0
    HealthFile(tmp_path, "card").refuse(1, "")
    queue = backlog_of("pool", tables, tmp_path, 40)
    assert (queue.wait_s, queue.in_order) == (10.0, True)
    assert "card: the PIN was refused" in queue.why


def test_wait_has_no_end_while_an_operator_has_to_act(tmp_path: Path) -> None:
    HealthFile(tmp_path, "card").refuse(1, "")
    queue = backlog_of("card", (CARD,), tmp_path, 1)
    assert (queue.wait_s, queue.in_order) == (inf, False)


def test_quarantine_is_part_of_the_wait(tmp_path: Path) -> None:
    HealthFile(tmp_path, "card", lambda: 1000.0).failed("dark", at_least_s=30)
    health = HealthFile(tmp_path, "card").read()
    assert (health.open_at, health.why) == (1030.0, "dark")
    queue = backlog_of("card", (CARD,), tmp_path, 4)
    assert (queue.wait_s, queue.in_order, queue.why) == (1.0, False, "card: dark")


def test_a_key_without_a_bound_takes_as_long_as_it_was_seen_to(tmp_path: Path) -> None:
    table = replace_rate(CARD)
    assert backlog_of("card", (table,), tmp_path, 100).wait_s == 0.0
    HealthFile(tmp_path, "card").succeeded(0.02)
    assert backlog_of("card", (table,), tmp_path, 100).wait_s == pytest.approx(2.0)


def replace_rate(key: KeyConfig) -> KeyConfig:
    return KeyConfig(name=key.name, kind=key.kind, rate_per_minute=0, ukey=key.ukey)


def test_figures_name_the_key(tmp_path: Path) -> None:
    queue = KeyBacklog(key="card", entries=7, wait_s=inf, in_order=False)
    samples = {
        sample.name: sample.value
        for family in key_families(PublicKeyring(keys={}), [queue, replace(queue, key="other", entries=0)])
        for sample in family.samples
        if sample.labels == {"key": "card"}
    }
    assert samples == {"gateway_key_in_order": 0, "gateway_key_entries": 7, "gateway_key_wait_seconds": inf}


def write_card(site: Path, folder: Path, port: int, pin: str) -> None:
    (folder / "pin").write_text(pin)
    with (site / "gateway.toml").open("a", encoding="utf-8") as file:
        file.write(
            f'\n[[key]]\nname = "card"\nkind = "ukey"\ncertificate = "{folder / "card.crt"}"\n'
            f'password_file = "{folder / "pin"}"\ntimeout_s = 0.5\n[key.ukey]\nurl = "ws://127.0.0.1:{port}"\n'
        )


def checked(site: Path) -> list[tuple[str, str, str]]:
    result = invoke("check", "--json", "-c", site / "gateway.toml")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    return [(line["name"], line["grade"], line["detail"]) for line in lines if line["name"] == "key card"]


def test_check_asks_a_device_for_its_certificate_and_uses_no_pin(tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert invoke("init", site).exit_code == 0
    with card(tmp_path) as server:
        write_card(site, tmp_path, server.port, "8" * 8)
        found = checked(site)
        assert [grade for _, grade, _ in found] == ["ok", "warn", "ok"]
        assert "delivered with" in found[1][2]
        assert "250 signatures a minute" in found[2][2]
        server.card.dark = True
        assert checked(site)[-1][1] == "fail"
        assert server.card.tries == 0


def test_certificate_of_a_device_can_be_fetched_before_there_is_a_file(tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert invoke("init", site).exit_code == 0
    with card(tmp_path) as server:
        write_card(site, tmp_path, server.port, PIN)
        pem = (tmp_path / "card.crt").read_text()
        (tmp_path / "card.crt").unlink()
        shown = invoke("signer", "--show-certificate", "card", "-c", site / "gateway.toml")
        assert (shown.exit_code, shown.stdout) == (0, pem)
        assert server.card.tries == 0
        assert invoke("signer", "--show-certificate", "node", "-c", site / "gateway.toml").exit_code == 2


def test_sign_uses_a_configured_device(tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert invoke("init", site).exit_code == 0
    (tmp_path / "order.xml").write_bytes(order())
    with card(tmp_path) as server:
        write_card(site, tmp_path, server.port, PIN)
        out = tmp_path / "signed.xml"
        done = invoke("sign", tmp_path / "order.xml", "--key", "card", "-c", site / "gateway.toml", "-o", out)
        assert done.exit_code == 0, done.output
        assert server.card.signed == 1
    assert invoke("verify", out).exit_code == 0
