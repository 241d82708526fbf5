"""[[key]]: each kind has what it needs and nothing else."""

from pathlib import Path

import pytest

from gateway.config.gateway_toml import load_config
from gateway.config.keys import device_keys, parallel_of, rate_of
from tests.unit.test_gateway_toml import DESTINATION, HEAD, KEY, refused

CARD = """
[[key]]
name = "card"
kind = "ukey"
certificate = "keys/card.crt"
password_file = "keys/card.pin"
[key.ukey]
"""
POOL = '\n[[key]]\nname = "pool"\nkind = "pool"\nmembers = ["card", "node"]\n'


def test_every_kind_is_read_with_its_paths_from_the_folder_of_the_file(tmp_path: Path) -> None:
    more = """
[[key]]
name = "hsm"
kind = "pkcs11"
certificate = "keys/hsm.crt"
password_env = "HSM_PIN"
[key.pkcs11]
module = "lib/pkcs11.so"
token = "customs"
id = "a1"
[[key]]
name = "there"
kind = "remote"
certificate = "keys/there.crt"
[key.remote]
url = "https://signer.example:8443"
key = "card"
ca_file = "keys/ca.crt"
client_certificate = "keys/client.crt"
client_key = "keys/client.key"
"""
    rotation = '\n[[key]]\nname = "years"\nkind = "rotation"\nmembers = ["node"]\n'
    file = tmp_path / "gateway.toml"
    file.write_text(HEAD + KEY + CARD + more + POOL + rotation + DESTINATION, "utf-8")
    config = load_config(file)
    named = {key.name: key for key in config.key}
    assert named["hsm"].pkcs11 is not None
    assert named["hsm"].pkcs11.module == tmp_path / "lib" / "pkcs11.so"
    assert named["there"].remote is not None
    assert named["there"].remote.ca_file == tmp_path / "keys" / "ca.crt"
    assert device_keys(config.key) == {"card", "hsm", "there", "pool"}
    assert [rate_of(named[name]) for name in ("card", "hsm", "node")] == [250.0, 0.0, 0.0]
    assert [parallel_of(named[name]) for name in ("card", "hsm", "there")] == [1, 1, 4]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CARD.replace("password_file", "# password_file"), "needs its PIN"),
        (CARD.replace('certificate = "keys/card.crt"', ""), "needs certificate"),
        (CARD.replace("[key.ukey]", ""), "needs ukey"),
        (CARD.replace("[key.ukey]", 'password_env = "X"\n[key.ukey]'), "exclude each other"),
        (CARD.replace("[key.ukey]", 'members = ["node"]\n[key.ukey]'), "members is not for"),
        (CARD.replace("[key.ukey]", 'clients = ["gateway-1"]\n[key.ukey]'), "clients is for signer.toml"),
        (CARD.replace("[key.ukey]", "timeout_s = 30\n[key.ukey]"), "quarter of lease_s"),
        (CARD + POOL.replace('"node"]', '"absent"]'), "absent"),
        (CARD + POOL + POOL.replace('"pool"\nkind', '"two"\nkind').replace('"node"]', '"pool"]'), "pool"),
        (CARD + POOL.replace('["card", "node"]', '["card", "card"]'), "each once"),
        (CARD + POOL.replace('members = ["card", "node"]', ""), "needs members"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(tmp_path, HEAD + KEY + text + DESTINATION).what
