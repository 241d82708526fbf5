"""The key of the node: made once, for nobody else to read, and never in place of one that was named."""

from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from gateway.config import Config, Journal
from gateway.errors import ConfigError
from gateway.node_key import key_file, node_key
from tests.unit.test_offers import config, destination


def node(folder: Path, file: Path | None = None, *, name: str = "north 1") -> Config:
    known = config(destination("customs", "import"))
    return msgspec.structs.replace(
        known,
        node=msgspec.structs.replace(known.node, state_dir=folder, name=name),
        journal=Journal(key_file=file),
    )


def test_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    first, again = node_key(node(tmp_path)), node_key(node(tmp_path))
    assert first.public == again.public
    assert first.name == "gateway/north%201"
    assert key_file(node(tmp_path)).stat().st_mode & 0o777 == 0o600
    assert [file.name for file in (tmp_path / "keys").iterdir()] == ["node-journal.key"]


def test_key_that_is_named_is_never_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the key of the journal"):
        node_key(node(tmp_path, tmp_path / "shared.key"))


@pytest.mark.parametrize("kind", ["no key", "another kind"])
def test_file_that_holds_no_such_key_is_refused(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "wrong.key"
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(pem if kind == "another kind" else b"nonsense")
    with pytest.raises(ConfigError, match="not"):
        node_key(node(tmp_path, file))


def test_named_key_is_used(tmp_path: Path) -> None:
    file = tmp_path / "shared.key"
    private = ed25519.Ed25519PrivateKey.generate()
    file.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    assert node_key(node(tmp_path, file)).public.key == private.public_key().public_bytes_raw()
