"""Keys in devices, in the full chain: a token dies under load, a card is dark, a PIN is wrong."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from gateway.config.site import NewEnterprise
from gateway.samples.compose import compose
from gateway.simulator.world import LocalWorld, WatchedProcess
from gateway.xml.envelope import unwrap
from signing.keys.certificate import certificate_facts
from signing.xml.verify import verify
from tests.device_keys import PIN, card, write_pair
from tests.platforms import NotNow, Platform, enterprises
from tests.servers.softhsm import MODULE, SoftHsm, der_of, needs_softhsm
from tests.waiting import RECOVERY_S

MANY = 120


def with_key(one: NewEnterprise, key: str) -> NewEnterprise:
    return NewEnterprise(id=one.id, name=one.name, cop_codes=one.cop_codes, dxp_ids=one.dxp_ids, key=key)


OURS, THEIRS = (with_key(one, key) for one, key in zip(enterprises(2), ("device", "node"), strict=True))


def submit(platform: Platform, one: NewEnterprise, count: int, rng: random.Random) -> dict[str, bytes]:
    """Hand in so many orders: id → accepted bytes."""
    bodies = {}
    for _ in range(count):
        body = compose("CEB311Message", cop_code=one.cop_codes[0], dxp_id=one.dxp_ids[0], rng=rng).body
        reply = platform.submit(body)
        assert reply.status == 202, reply.body
        bodies[reply.json()["id"]] = body
    return bodies


def sent(world: LocalWorld, uids: dict[str, bytes]) -> None:
    """Wait until each of them is at customs; what a device could not sign is tried again after a minute."""
    assert world.gateway is not None
    for uid in uids:
        world.gateway.wait_for(partial(is_about, event="entry.sent", message_id=uid), RECOVERY_S)


def is_about(line: Mapping[str, object], **wanted: object) -> bool:
    return all(line.get(name) == value for name, value in wanted.items())


def restarted(gateway: WatchedProcess, role: str) -> None:
    gateway.wait_for(partial(is_about, event="role.restarted", role=role))


def serials_at_customs(world: LocalWorld) -> dict[str, str]:
    """CopMsgId → serial number of the certificate by which what lies there is signed."""
    found = {}
    for file in (world.folder / "customs" / "files" / "in").glob("CEB*.xml"):
        opened = unwrap(file.read_bytes())
        verdict = verify(opened.business)
        assert verdict.valid, verdict
        assert verdict.certificate is not None
        found[opened.envelope.cop_msg_id] = verdict.certificate.serial
    return found


def serial(certificate: Path) -> str:
    return certificate_facts(der_of(certificate)).serial


@needs_softhsm
def test_token_that_dies_under_load_is_replaced_by_the_other_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hsm = SoftHsm(tmp_path / "hsm")
    monkeypatch.setenv("SOFTHSM2_CONF", str(hsm.config))
    pin = tmp_path / "pin"
    pin.write_text(PIN)
    tables, folders, certificates = [], [], []
    for name in ("hsm-1", "hsm-2"):
        key, certificate = write_pair(tmp_path, name, bits=2048)
        folders.append(hsm.token(name, key, pin=PIN))
        certificates.append(certificate)
        tables.append(
            f'[[key]]\nname = "{name}"\nkind = "pkcs11"\ncertificate = "{certificate}"\npassword_file = "{pin}"\n'
            f'[key.pkcs11]\nmodule = "{MODULE}"\ntoken = "{name}"\nlabel = "customs"\n'
        )
    tables.append('[[key]]\nname = "device"\nkind = "pool"\nmembers = ["hsm-1", "hsm-2"]\n')
    rng = random.Random(7)
    with (
        LocalWorld(
            tmp_path / "world", script={"final_only": True}, enterprises=(OURS, THEIRS), forwarders=2,
            more_config="\n".join(tables),
        ) as world,
        closing(Platform(world.address, world.site.tokens[OURS.id])) as ours,  # type: ignore[index]
        closing(Platform(world.address, world.site.tokens[THEIRS.id])) as theirs,  # type: ignore[index]
    ):  # fmt: skip
        assert world.gateway is not None
        before = submit(ours, OURS, MANY, rng)
        sent(world, before)
        folders[0].rename(tmp_path / "gone")
        after = submit(ours, OURS, MANY, rng)
        plain = submit(theirs, THEIRS, 20, rng)
        quarantined = world.gateway.wait_for_event("key.quarantined", 60)
        sent(world, plain)
        sent(world, after)
        log = (tmp_path / "world" / "run.log").read_text("utf-8")
        bodies = {**before, **after, **plain}
        saw = world.customs_saw()
        by = serials_at_customs(world)
    assert quarantined["key_name"] == "hsm-1"
    assert {line["cop_msg_id"]: line["original_sha256"] for line in saw} == {
        uid: hashlib.sha256(body).hexdigest() for uid, body in bodies.items()
    }
    first, second = map(serial, certificates)
    assert {by[uid] for uid in before} == {first, second}, "both work side by side"
    assert {by[uid] for uid in after} <= {first, second}
    assert sum(by[uid] == second for uid in after) > MANY // 2
    assert not {by[uid] for uid in plain} & {first, second}
    assert PIN not in log
    assert "entry.dead" not in log


def test_dark_card_holds_up_its_own_messages_only_and_says_so(tmp_path: Path) -> None:
    rng = random.Random(8)
    pin = tmp_path / "pin"
    pin.write_text(PIN)
    with card(tmp_path) as control:
        control.card.dark = True
        tables = (
            f'[[key]]\nname = "device"\nkind = "ukey"\ncertificate = "{tmp_path / "card.crt"}"\n'
            f'password_file = "{pin}"\ntimeout_s = 0.5\n[key.ukey]\nurl = "ws://127.0.0.1:{control.port}"\n'
        )
        with (
            LocalWorld(
                tmp_path / "world",
                script={"final_only": True},
                enterprises=(OURS, THEIRS),
                more_config=tables,
            ) as world,
            closing(Platform(world.address, world.site.tokens[OURS.id])) as ours,  # type: ignore[index]
            closing(Platform(world.address, world.site.tokens[THEIRS.id])) as theirs,  # type: ignore[index]
        ):
            assert world.gateway is not None
            waiting = submit(ours, OURS, 5, rng)
            world.gateway.wait_for_event("key.quarantined", 60)
            plain = submit(theirs, THEIRS, 5, rng)
            sent(world, plain)
            figures = ours.ask("GET", "/metrics").body.decode()
            assert 'gateway_key_in_order{key="device"} 0.0' in figures
            assert 'gateway_key_wait_seconds{key="device"}' in figures
            uid = next(iter(waiting))
            told = json.loads(gateway("trace", uid, "--json", "-c", str(world.site.config)))
            if told["state"] == "ready":
                assert told["signing"]["key"] == "device"
                assert "no answer" in told["signing"]["why"]
            assert told["attempts"] == 0
            control.card.dark = False
            sent(world, waiting)
            assert {serials_at_customs(world)[uid] for uid in waiting} == {serial(tmp_path / "card.crt")}


def refusing(world: LocalWorld, after_s: float) -> LocalWorld:
    """Let the door refuse what would wait longer for its key."""
    text = world.site.config.read_text("utf-8")
    limit = f'default_key = "node"\nrefuse_wait_s = {after_s}'
    world.site.config.write_text(text.replace('default_key = "node"', limit), "utf-8")
    return world


def test_wrong_pin_is_tried_once_whatever_dies_until_the_operator_has_acted(tmp_path: Path) -> None:
    rng = random.Random(9)
    pin = tmp_path / "pin"
    pin.write_text("00000000")
    with card(tmp_path) as control:
        tables = (
            f'[[key]]\nname = "device"\nkind = "ukey"\ncertificate = "{tmp_path / "card.crt"}"\n'
            f'password_file = "{pin}"\nrate_per_minute = 6000.0\n[key.ukey]\nurl = "ws://127.0.0.1:{control.port}"\n'
        )
        with (
            refusing(
                LocalWorld(
                    tmp_path / "world", script={"final_only": True}, enterprises=(OURS, THEIRS), forwarders=2,
                    more_config=tables,
                ),
                600.0,
            ) as world,
            closing(Platform(world.address, world.site.tokens[OURS.id])) as ours,  # type: ignore[index]
            closing(Platform(world.address, world.site.tokens[THEIRS.id])) as theirs,  # type: ignore[index]
        ):  # fmt: skip
            assert world.gateway is not None
            waiting = submit(ours, OURS, 1, rng)
            world.gateway.wait_for_event("key.locked", 60)
            for line in list(world.gateway.events):
                if line["event"] == "role.started" and line["role"].startswith("forward/"):
                    os.kill(line["pid"], signal.SIGKILL)
                    restarted(world.gateway, line["role"])
            waiting |= submit_until_refused(world, ours, rng)
            sent(world, submit(theirs, THEIRS, 10, rng))
            assert control.card.tries == 1
            checked = gateway("check", "--json", "-c", str(world.site.config), code=1)
            (key,) = [one for one in map(json.loads, checked.splitlines()) if "PIN" in one["detail"]]
            assert (key["name"], key["grade"]) == ("key device", "fail")
            pin.write_text(PIN)
            world.gateway.process.send_signal(signal.SIGHUP)
            sent(world, waiting)
            sent(world, submit(ours, OURS, 10, rng))
            assert control.card.wrong_pins == 0
            log = (tmp_path / "world" / "run.log").read_text("utf-8")
        assert PIN not in log


def submit_until_refused(world: LocalWorld, platform: Platform, rng: random.Random) -> dict[str, bytes]:
    """Hand in messages until the door says that they would wait too long for their key."""
    taken: dict[str, bytes] = {}
    while True:
        body = compose("CEB311Message", cop_code=OURS.cop_codes[0], dxp_id=OURS.dxp_ids[0], rng=rng).body
        try:
            taken[platform.once("POST", "/v1/messages", body).json()["id"]] = body
        except NotNow:
            break
    token = next(token for owner, token in world.site.tokens.items() if owner == OURS.id)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/xml"}
    request = urllib.request.Request(f"{world.address}/v1/messages", data=body, headers=headers)  # noqa: S310
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)  # noqa: S310 (our own address)
    with caught.value as answer:
        assert (answer.code, answer.headers["Retry-After"]) == (503, "3600")
        assert json.load(answer)["faults"][0]["rule"] == "key_busy"
    return taken


def gateway(*arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout
