"""`gateway signer` as a process, with a CA of its own and a client."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from gateway.simulator.world import WatchedProcess
from signing.keys.device import identity_of
from signing.keys.remote import Endpoint, RemoteSigner
from tests.servers.certificates import Authority


@contextlib.contextmanager
def signer(folder: Path, keys: str) -> Iterator[WatchedProcess]:
    authority = Authority("Signers")
    authority.write(folder / "ca.crt")
    authority.issue("signer", folder / "server.crt", folder / "server.key", server=True)
    authority.issue("gateway-1", folder / "client.crt", folder / "client.key")
    (folder / "signer.toml").write_text(
        '[signer]\nport = 0\ncertificate = "server.crt"\nkey = "server.key"\nca_file = "ca.crt"\n'
        f'clients = ["gateway-1"]\nstate_dir = "state"\n{keys}'
    )
    process = WatchedProcess(
        [sys.executable, "-m", "gateway", "signer", "-c", str(folder / "signer.toml")], folder / "signer.log"
    )
    try:
        yield process
    finally:
        assert process.stop() == 0


def listening(process: WatchedProcess, count: int = 1) -> str:
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
