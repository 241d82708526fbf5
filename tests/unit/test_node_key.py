"""The key of the node: made once, for nobody else to read, and never in place of one that was named."""

from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from gateway.config.gateway_toml import Config, Journal
from gateway.errors import ConfigError
from gateway.keys.node_key import former_file, key_file, known_keys, node_key, renew
from tests.unit.test_new_messages import config, destination


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


def test_renewed_key_is_another_and_the_former_ones_are_known(tmp_path: Path) -> None:
    known = node(tmp_path)
    keys = [node_key(known).public, *(renew(known).public for _ in range(3))]
    assert len({key.key for key in keys}) == 4
    assert node_key(known).public == keys[-1]
    assert known_keys(known) == (keys[-1], *keys[2::-1])
    files = (key_file(known), former_file(known))
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600] * 2
    assert {*(tmp_path / "keys").iterdir()} == {*files}


def test_renewal_that_died_before_the_new_key_has_lost_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = node(tmp_path)
    first = node_key(known).public
    with monkeypatch.context() as dying:
        dying.setattr("gateway.keys.node_key._fresh", lambda: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            renew(known)
    assert known_keys(known) == (first,)
    second = renew(known).public
    assert known_keys(known) == (second, first)


def test_key_that_is_named_is_not_renewed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="names the key of the journal"):
        renew(node(tmp_path, tmp_path / "shared.key"))


def test_former_key_that_is_none_is_told(tmp_path: Path) -> None:
    known = node(tmp_path)
    node_key(known)
    former_file(known).write_text("nonsense\n")
    with pytest.raises(ConfigError, match="former keys of the journal cannot be read"):
        known_keys(known)
