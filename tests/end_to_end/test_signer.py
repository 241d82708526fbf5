"""`gateway signer` as a process: it signs for whoever has a certificate, and an operator can mend a wrong PIN."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.playground import Watched
from signing.device import identity_of
from signing.errors import KeyUnavailable
from signing.remote import Endpoint, RemoteSigner
from tests.device_keys import PIN, card, write_pair
from tests.servers.certificates import Authority

DATA = b"<ds:SignedInfo/>"


@contextlib.contextmanager
def signer(folder: Path, keys: str) -> Iterator[Watched]:
    authority = Authority("Signers")
    authority.write(folder / "ca.crt")
    authority.issue("signer", folder / "server.crt", folder / "server.key", server=True)
    authority.issue("gateway-1", folder / "client.crt", folder / "client.key")
    (folder / "signer.toml").write_text(
        '[signer]\nport = 0\ncertificate = "server.crt"\nkey = "server.key"\nca_file = "ca.crt"\n'
        f'clients = ["gateway-1"]\nstate_dir = "state"\n{keys}'
    )
    process = Watched(
        [sys.executable, "-m", "gateway", "signer", "-c", str(folder / "signer.toml")], folder / "signer.log"
    )
    try:
        yield process
    finally:
        assert process.stop() == 0


def listening(process: Watched, count: int = 1) -> str:
    """Wait until it listens for the nth time; returns the address."""
    seen = 0

    def nth(line: object) -> bool:
        nonlocal seen
        seen += isinstance(line, dict) and line.get("event") == "signer.listening"
        return seen == count

    return str(process.wait_for(nth)["address"])


def client(folder: Path, address: str, key: str) -> RemoteSigner:
    endpoint = Endpoint(
        url=address,
        key=key,
        ca_file=folder / "ca.crt",
        client_certificate=folder / "client.crt",
        client_key=folder / "client.key",
    )
    return RemoteSigner(endpoint, identity_of(folder / f"{key}.crt"))


def test_wrong_pin_is_mended_by_writing_the_right_one_and_sighup(tmp_path: Path) -> None:
    (tmp_path / "pin").write_text("00000000")
    write_pair(tmp_path, "file")
    with card(tmp_path) as control:
        keys = (
            '[[key]]\nname = "card"\nkind = "ukey"\ncertificate = "card.crt"\npassword_file = "pin"\n'
            f'[key.ukey]\nurl = "ws://127.0.0.1:{control.port}"\n'
            '[[key]]\nname = "file"\nkind = "pem"\nfile = "file.key"\ncertificate = "file.crt"\n'
        )
        with signer(tmp_path, keys) as process:
            address = listening(process)
            for _ in range(3):
                with (
                    contextlib.closing(client(tmp_path, address, "card")) as ours,
                    pytest.raises(KeyUnavailable, match="503"),
                ):
                    ours.sign(DATA)
            assert control.card.tries == 1
            with contextlib.closing(client(tmp_path, address, "file")) as other:
                assert other.sign(DATA)
                other.probe()
            (tmp_path / "pin").write_text(PIN)
            process.process.send_signal(signal.SIGHUP)
            address = listening(process, 2)
            with contextlib.closing(client(tmp_path, address, "card")) as ours:
                ours.probe()
                assert ours.sign(DATA)
            assert control.card.wrong_pins == 0
    log = (tmp_path / "signer.log").read_text("utf-8")
    assert PIN not in log
    assert '"key.locked"' in log
