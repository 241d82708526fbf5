"""Whose memory holds private keys: forward's alone, and that of the door its own TLS key (ADR 0031)."""

import re
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.device_keys import write_pair
from tests.documents import order
from tests.door_node import ANN, DoorNode, FolderPlace
from tests.nodes import pids
from tests.waiting import until

ROLES = {
    "accept",
    "accept/folders",
    "judges",
    "forward/customs/0",
    "collect/customs",
    "forward/@local",
    "import",
    "notify",
    "keep",
    "supervisor",
}


def needles(pem: bytes) -> list[bytes]:
    """The larger prime as bytes (DER has it so), as OpenSSL's numbers have it, and a line of the PEM."""
    key = load_pem_private_key(pem, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    prime = key.private_numbers().p
    raw = prime.to_bytes((prime.bit_length() + 7) // 8, "big")
    lines = [line for line in pem.splitlines() if line and not line.startswith(b"-----")]
    return [raw, raw[::-1], lines[len(lines) // 2]]


def holds(pid: int, sought: list[bytes]) -> bool:
    return any(needle in block for block in memory(pid) for needle in sought)


def memory(pid: int) -> Iterator[bytes]:
    """What a process can read and has written."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as mem:
        for line in Path(f"/proc/{pid}/maps").read_text("ascii").splitlines():
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if found is None:
                continue
            start, end = (int(one, 16) for one in found.groups())
            mem.seek(start)
            try:
                yield mem.read(end - start)
            except OSError:  # of a device
                continue


def processes(node: DoorNode) -> dict[str, int]:
    return {**pids(node.process.events), "supervisor": node.process.process.pid}


def holders(node: DoorNode, sought: list[bytes]) -> set[str]:
    return {role for role, pid in processes(node).items() if holds(pid, sought)}


def test_only_forward_has_the_signing_key_and_only_accept_that_of_tls(tmp_path: Path) -> None:
    place = FolderPlace.make(tmp_path / "door")
    (tmp_path / "home").mkdir()
    deliver = f'\n[[deliver]]\nname = "erp"\n[deliver.folder]\nsend_dir = "{tmp_path / "home"}"\n'
    node = DoorNode(tmp_path, {"ann": place.toml() + deliver}, owners=[ANN])
    tls_key, _ = write_pair(node.site.folder / "keys", "door", bits=2048)
    config = node.site.config.read_text("utf-8")
    config += '\n[accept.tls]\ncertificate = "keys/door.crt"\nkey = "keys/door.key"\n'
    node.site.config.write_text(config, "utf-8")
    signing, door = needles(node.site.key.read_bytes()), needles(tls_key.read_bytes())
    node.start()
    try:
        assert set(processes(node)) == ROLES
        until(lambda: holders(node, signing), {"forward/customs/0"}.issubset)
        until(lambda: holders(node, door), {"accept"}.issubset)
        assert holders(node, signing) == {"forward/customs/0"}
        assert holders(node, door) == {"accept"}
    finally:
        node.stop()


def test_a_key_that_cannot_be_loaded_refuses_the_reload_and_the_old_roles_stay(tmp_path: Path) -> None:
    node = DoorNode(tmp_path, {}, owners=[ANN])
    signing = needles(node.site.key.read_bytes())
    with node.running():
        until(lambda: holders(node, signing), {"forward/customs/0"}.issubset)
        roles = processes(node)
        node.site.key.write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
        node.process.process.send_signal(signal.SIGHUP)
        error = str(node.event("node.reload_failed")["error"])
        assert "the private key cannot be loaded (key node, " in error
        assert str(node.site.key) in error
        body = order(cop_code=ANN.cop_codes[0], dxp_id=ANN.dxp_ids[0])
        with closing(node.platform("ann")) as platform:
            assert platform.ask("POST", "/v1/messages", body).status == 202
        assert processes(node) == roles
