"""The customs side with real SFTP and AMQP in front: what goes in over a wire is answered on that wire."""

import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from gateway.config.links import Amqp, Sftp
from gateway.errors import ConfigError
from gateway.ports import Feed, Parcel, Transport
from gateway.receipts.opened import open_collected
from gateway.simulator.script import Script
from gateway.simulator.service import Simulator, SimulatorConfig
from gateway.simulator.settings import AmqpSection, SftpSection, UkeySection, load_simulator_config
from gateway.transports.sftp.transport import SftpFeed, SftpTransport
from signing.keys.device import Pin, identity_of
from signing.keys.files import load_pem
from signing.keys.ukey import Control, UkeySigner
from tests.customs_side import HandClock, envelope, rules, sample
from tests.device_keys import write_pair
from tests.edition_documents import BEFORE, NOW, inventory_for

Ends = tuple[Transport, Feed]


def write_key(file: Path) -> str:
    key = Ed25519PrivateKey.generate()
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def sftp_section(folder: Path) -> SftpSection:
    write_key(folder / "host")
    (folder / "authorized_keys").write_text(write_key(folder / "user") + "\n")
    return SftpSection(
        root=folder / "root", host_key=folder / "host", authorized_keys=folder / "authorized_keys"
    )


def sftp_ends(simulator: Simulator, folder: Path) -> Ends:
    assert simulator.sftp is not None
    config = Sftp(
        host="127.0.0.1",
        port=simulator.sftp.port,
        user="gateway",
        key_file=folder / "user",
        host_key=simulator.sftp.host_key,
        send_dir="/in",
        receive_dir="/out",
        timeout_s=60,
    )
    return SftpTransport(config), SftpFeed(config, poll_s=0.01)


def amqp_ends(simulator: Simulator) -> Ends:
    from gateway.transports.amqp10.transport import AmqpFeed, AmqpTransport  # noqa: PLC0415  # an extra

    assert simulator.amqp is not None
    config = Amqp(
        url=f"amqp://127.0.0.1:{simulator.amqp.port}",
        send_address="envelopes",
        receive_address="receipts",
        timeout_s=60,
    )
    return AmqpTransport(config), AmqpFeed(config)


@contextmanager
def running(config: SimulatorConfig, clock: Callable[[], float] | None = None) -> Iterator[Simulator]:
    simulator = (
        Simulator(config, rules=rules()) if clock is None else Simulator(config, rules=rules(), clock=clock)
    )
    simulator.start()
    try:
        yield simulator
    finally:
        simulator.stop()


def hand_in(transport: Transport, seed: int, business: bytes = b"") -> None:
    cop_msg_id = f"COP-{seed}"
    parcel = Parcel(
        entry=seed,
        cop_msg_id=cop_msg_id,
        message_type="CEB311Message",
        body=envelope(business or sample(seed=seed).body, cop_msg_id),
        file_name=f"CEB311Message_{cop_msg_id}.xml",
    )
    (delivery,) = transport.send([parcel])
    assert delivery.error is None


def statuses(feed: Feed, count: int) -> list[str]:
    """Fetch until `count` answers are there, and leave none behind."""
    found: list[str] = []
    while len(found) < count:
        arrivals = feed.receive(limit=10, timeout_s=60)
        assert arrivals
        for arrival in arrivals:
            found += [answer.status for answer in open_collected(arrival.body, rules().catalogue).answers]
        feed.done(arrivals)
    return found


def test_declaration_by_sftp_is_answered_by_sftp(tmp_path: Path) -> None:
    with running(SimulatorConfig(sftp=sftp_section(tmp_path))) as simulator:
        transport, feed = sftp_ends(simulator, tmp_path)
        hand_in(transport, 1)
        assert simulator.wait_until_idle(60)
        assert sorted(statuses(feed, 3)) == ["120", "2", "3"]
        transport.close()
        feed.close()


@pytest.mark.parametrize("edition", [BEFORE, NOW])
def test_customs_judge_by_the_edition_of_the_file(edition: str, tmp_path: Path) -> None:
    simulator = Simulator(SimulatorConfig(sftp=sftp_section(tmp_path), edition=edition))
    simulator.start()
    try:
        transport, feed = sftp_ends(simulator, tmp_path)
        for number, one in enumerate((BEFORE, NOW), start=1):
            hand_in(transport, number, inventory_for(one, number=number))
        assert simulator.wait_until_idle(60)
        assert len([status for status in statuses(feed, 4) if status.startswith("-")]) == 1
        transport.close()
        feed.close()
    finally:
        simulator.stop()


def test_declaration_by_amqp_is_answered_by_amqp_and_not_by_sftp(tmp_path: Path) -> None:
    pytest.importorskip("proton")
    config = SimulatorConfig(sftp=sftp_section(tmp_path), amqp=AmqpSection())
    with running(config) as simulator:
        transport, feed = amqp_ends(simulator)
        hand_in(transport, 1)
        assert simulator.wait_until_idle(60)
        assert statuses(feed, 3) == ["2", "3", "120"]
        assert list((tmp_path / "root" / "out").iterdir()) == []
        transport.close()
        feed.close()


def test_answers_wait_for_their_time_and_idle_means_all_offered(tmp_path: Path) -> None:
    clock = HandClock()
    config = SimulatorConfig(sftp=sftp_section(tmp_path), script=Script(delay_s=(3600.0, 3600.0)))
    with running(config, clock) as simulator:
        transport, feed = sftp_ends(simulator, tmp_path)
        hand_in(transport, 1)
        assert not simulator.wait_until_idle(0.0)
        clock.now += 4 * 3600
        hand_in(transport, 2)  # wakes the sender, which finds the first one's answers due
        assert sorted(statuses(feed, 3)) == ["120", "2", "3"]
        assert simulator.customs.pending() == 3
        transport.close()
        feed.close()


def test_many_arrivals_are_all_answered(tmp_path: Path) -> None:
    with running(SimulatorConfig(sftp=sftp_section(tmp_path), script=Script(batch=50))) as simulator:
        transport, feed = sftp_ends(simulator, tmp_path)
        for seed in random.Random(1).sample(range(1000), 20):
            hand_in(transport, seed)
        assert simulator.wait_until_idle(60)
        assert sorted(statuses(feed, 60)) == ["120"] * 20 + ["2"] * 20 + ["3"] * 20
        transport.close()
        feed.close()


def test_blocking_run_ends_in_order_on_sigterm(tmp_path: Path) -> None:
    sftp_section(tmp_path)
    file = tmp_path / "simulator.toml"
    file.write_text('[sftp]\nroot = "sftp"\nhost_key = "host"\nauthorized_keys = "authorized_keys"\n')
    program = (
        "from pathlib import Path\n"
        "from gateway.simulator.service import Simulator\n"
        "from gateway.simulator.settings import load_simulator_config\n"
        f"Simulator(load_simulator_config(Path({str(file)!r}))).run()"
    )
    with subprocess.Popen([sys.executable, "-u", "-c", program], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert "simulator.listening" in child.stdout.readline()
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 0


def test_customs_side_without_a_transport_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="no transport"):
        Simulator(SimulatorConfig(), rules=rules())


def test_settings_are_read_with_paths_beside_the_file(tmp_path: Path) -> None:
    file = tmp_path / "simulator.toml"
    file.write_text(
        'ledger = "arrivals.jsonl"\n[script]\nseed = 7\nrefuse = 0.1\ndelay_s = [0.5, 2.0]\n'
        '[sftp]\nroot = "sftp"\nhost_key = "host"\nauthorized_keys = "keys"\n'
    )

    config = load_simulator_config(file)

    assert config.script == Script(seed=7, refuse=0.1, delay_s=(0.5, 2.0))
    assert config.ledger == tmp_path / "arrivals.jsonl"
    assert config.sftp is not None
    assert config.sftp.root == tmp_path / "sftp"


@pytest.mark.parametrize(
    "text", ["[script]\nrefuse = 1.5\n", "[script]\nspeed = 1\n", "[sftp]\nroot = 1\n", "= 3", "batch = 0"]
)
def test_wrong_settings_name_the_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "simulator.toml"
    file.write_text(text)

    with pytest.raises(ConfigError, match=r"simulator\.toml"):
        load_simulator_config(file)


def test_missing_settings_are_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        load_simulator_config(tmp_path / "simulator.toml")


def test_usb_key_alone_is_a_customs_side_too(tmp_path: Path) -> None:
    key, certificate = write_pair(tmp_path, "card")
    section = UkeySection(key=key, certificate=certificate, port=0, sign_s=0.0)
    simulator = Simulator(SimulatorConfig(ukey=(section,)))
    simulator.start()
    try:
        (control,) = simulator.ukeys
        pin = Pin(value=section.pin, origin="test")
        signer = UkeySigner(Control(url=f"ws://127.0.0.1:{control.port}"), identity_of(certificate), pin)
        signer.probe()
        assert signer.sign("文".encode()) == load_pem(key, certificate).sign("文".encode())
    finally:
        simulator.stop()
