from pathlib import Path

import pytest

from gateway.config.enterprises import load_enterprises, shared_proofs
from gateway.config.gateway_toml import load_config
from gateway.errors import ConfigError
from gateway.model import EnterpriseId, Quota

KEY = """
[[key]]
name = "node"
kind = "pem"
file = "keys/node.key"
certificate = "keys/node.crt"
"""
FOLDER = """
[destination.folder]
send_dir = "out"
receive_dir = "in"
"""
DESTINATION = f"""
[[destination]]
name = "customs"
{FOLDER}"""
HEAD = """
[node]
name = "one"
state_dir = "state"
dxp_id = "DXPENT0000000001"

[signing]
default_key = "node"

[accept]
port = 8080
"""
SOUND = HEAD + KEY + DESTINATION
ENTERPRISE = f"""
name = "示例企业"
cop_codes = ["4400000001"]
dxp_ids = ["DXPENT0000000001"]
token_sha256 = "{"0" * 64}"
"""
SFTP = """
[destination.sftp]
host = "customs.example"
user = "gateway"
key_file = "keys/sftp"
send_dir = "/in"
receive_dir = "/out"
"""
PINNED = SFTP + 'host_key = "ssh-ed25519 AAAA"\n'


def refused(tmp_path: Path, text: str) -> ConfigError:
    file = tmp_path / "gateway.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert str(file) in caught.value.where
    assert caught.value.fix
    return caught.value


def test_sound_file_becomes_values_with_defaults_and_absolute_paths(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(SOUND)
    config = load_config(file)
    assert (config.node.name, config.accept.port, config.log_level) == ("one", 8080, "info")
    assert config.node.state_dir == tmp_path / "state"
    assert config.accept.enterprises_dir == tmp_path / "enterprises"
    assert config.key[0].file == tmp_path / "keys" / "node.key"
    (destination,) = config.destination
    assert destination.families == ("import", "export")
    assert destination.folder is not None
    assert destination.folder.send_dir == tmp_path / "out"


def test_path_that_is_absolute_already_stays(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(SOUND.replace('"state"', '"/var/lib/gateway"'))
    assert load_config(tmp_path / "gateway.toml").node.state_dir == Path("/var/lib/gateway")


@pytest.mark.parametrize(
    ("old", "new", "where", "key"),
    [
        ("port = 8080", "prot = 8080", "accept", "prot"),
        ('name = "one"', 'name = "one"\ntoken = "T"', "node", "token"),
        ("[accept]", "[acept]", "top level", "acept"),
        ('receive_dir = "in"', 'receive_dir = "in"\nuser = "x"', "destination[0].folder", "user"),
    ],
)
def test_unknown_key_is_named_with_its_table(
    old: str, new: str, where: str, key: str, tmp_path: Path
) -> None:
    error = refused(tmp_path, SOUND.replace(old, new))
    assert f"`{key}`" in error.what
    assert where in error.where


@pytest.mark.parametrize(
    ("old", "new", "where", "example"),
    [
        ("port = 8080", 'port = "8080"', "accept.port", "port = 8080"),
        ("port = 8080", "port = 65536", "accept.port", "port = 8080"),
        ('state_dir = "state"', "state_dir = 7", "node.state_dir", 'state_dir = "state"'),
        ('kind = "pem"', 'kind = "jks"', "key[0].kind", 'kind = "pem"'),
        ("DXPENT0000000001", "DXPENT00000000017", "node.dxp_id", 'dxp_id = "DXPENT0000000001"'),
        ('name = "customs"', 'name = "customs"\nenvelope = "Dxp"', "destination[0].envelope", '"DxpMsg"'),
    ],
)
def test_value_that_does_not_fit_is_named_with_an_example(
    old: str, new: str, where: str, example: str, tmp_path: Path
) -> None:
    error = refused(tmp_path, SOUND.replace(old, new))
    assert error.where.endswith(where)
    assert example in error.fix


@pytest.mark.parametrize(
    ("without", "key", "example"),
    [
        ('state_dir = "state"\n', "state_dir", 'state_dir = "state"'),
        ('dxp_id = "DXPENT0000000001"\n', "dxp_id", "dxp_id = "),
        ('kind = "pem"\n', "kind", 'kind = "pem"'),
        ('[signing]\ndefault_key = "node"\n', "signing", "gateway init"),
    ],
)
def test_missing_key_is_named_with_an_example(without: str, key: str, example: str, tmp_path: Path) -> None:
    error = refused(tmp_path, SOUND.replace(without, ""))
    assert f"missing required field `{key}`" in error.what
    assert example in error.fix


def test_server_whose_key_is_not_given_is_never_trusted_by_default(tmp_path: Path) -> None:
    error = refused(tmp_path, SOUND.replace(FOLDER, SFTP))
    assert "`host_key`" in error.what
    assert "ssh-ed25519" in error.fix


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        (f"key = []\n{HEAD}{DESTINATION}", "no [[key]]", "[[key]]"),
        (f"destination = []\n{HEAD}{KEY}", "no [[destination]]", "[[destination]]"),
        (SOUND + KEY, "two [[key]] tables have one name", "rename"),
        (SOUND + DESTINATION, "two [[destination]] tables have one name", "rename"),
        (SOUND.replace('default_key = "node"', 'default_key = "other"'), "other", "node"),
        (SOUND + SFTP + 'host_key = "ssh-ed25519 AAAA"', "has 2 transports", "exactly one"),
        (SOUND.replace(FOLDER, ""), "has 0 transports", "exactly one"),
        (
            SOUND.replace(FOLDER, PINNED + 'archive_dir = "/out"'),
            "archive_dir is the folder itself",
            "of its own",
        ),
        (
            SOUND.replace(FOLDER, PINNED + 'archive_dir = "/out/"'),
            "archive_dir is the folder itself",
            "of its own",
        ),
        (
            SOUND.replace(FOLDER, PINNED + 'archive_dir = "/in"'),
            "archive_dir is the folder itself",
            "of its own",
        ),
        (SOUND + 'archive_dir = "in"', "archive_dir is the folder itself", "of its own"),
    ],
)
def test_combination_that_cannot_work_is_refused(text: str, what: str, fix: str, tmp_path: Path) -> None:
    error = refused(tmp_path, text)
    assert what in error.what
    assert fix in error.fix


def test_file_that_is_no_toml_is_named_with_the_line(tmp_path: Path) -> None:
    assert "line 2" in refused(tmp_path, "[node]\nname = \n").what


def test_file_that_is_no_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_bytes(SOUND.replace('"one"', '"节点"').encode("gb18030"))
    with pytest.raises(ConfigError, match="not TOML"):
        load_config(tmp_path / "gateway.toml")


def test_file_that_is_not_there_is_named_with_the_way_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "gateway.toml")
    assert caught.value.where == str(tmp_path / "gateway.toml")
    assert "gateway init" in caught.value.fix


def test_enterprises_are_read_by_the_names_of_their_files(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text(ENTERPRISE, encoding="utf-8")
    (tmp_path / "two.toml").write_text(ENTERPRISE + "disabled = true\n", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("not an enterprise")
    found = load_enterprises(tmp_path)
    assert list(found) == ["one", "two"]
    assert found[EnterpriseId("one")].cop_codes == {"4400000001"}
    assert [one.disabled for one in found.values()] == [False, True]


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("0" * 64, "0" * 63, "token_sha256"),
        ("0" * 64, "A" * 64, "token_sha256"),
        ('["4400000001"]', "[]", "cop_codes"),
        ("dxp_ids", "dxp_id", "dxp_id"),
        ("name = ", 'addresses = ["10.1.0.1/16"]\nname = ', "addresses"),
        ("name = ", 'message_types = ["311"]\nname = ', "message_types"),
        ("name = ", 'certificate_sha256 = ["AB:CD"]\nname = ', "certificate_sha256"),
        ("name = ", "quota.messages_per_minute = -1\nname = ", "messages_per_minute"),
        ("name = ", 'hmac = [{key = "k", secret_file = "none"}]\nname = ', "secret_file"),
        ("name = ", 'hmac = [{key = "k", secret_file = "short"}]\nname = ', "at least 32"),
    ],
)
def test_enterprise_that_is_not_in_order_is_named_with_its_file(
    old: str, new: str, key: str, tmp_path: Path
) -> None:
    (tmp_path / "one.toml").write_text(ENTERPRISE.replace(old, new), encoding="utf-8")
    (tmp_path / "short").write_text("s" * 31)
    with pytest.raises(ConfigError) as caught:
        load_enterprises(tmp_path)
    assert "one.toml" in caught.value.where
    assert key in str(caught.value)


def test_everything_that_binds_an_enterprise_is_read(tmp_path: Path) -> None:
    fingerprint = ":".join(["AB"] * 32)
    bound = f"""
certificate_sha256 = ["{fingerprint}"]
message_types = ["CEB311Message"]
addresses = ["10.1.0.0/16", "2001:db8::/32"]
hmac = [{{key = "one-1", secret_file = "one.hmac"}}]
[quota]
messages_per_minute = 60
open_entries = 1000
"""
    (tmp_path / "one.hmac").write_text("s" * 40 + "\n")
    (tmp_path / "one.toml").write_text(ENTERPRISE + bound, encoding="utf-8")
    one = load_enterprises(tmp_path)[EnterpriseId("one")]
    assert one.certificate_sha256 == {"ab" * 32}
    assert one.message_types == {"CEB311Message"}
    assert [str(network) for network in one.addresses] == ["10.1.0.0/16", "2001:db8::/32"]
    assert [(key.id, key.secret) for key in one.hmac_keys] == [("one-1", b"s" * 40)]
    assert one.quota == Quota(messages_per_minute=60, open_entries=1000)
    assert "ssss" not in repr(one), "a secret shows nowhere"


def test_token_may_be_one_text_or_several(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text(ENTERPRISE, encoding="utf-8")
    several = ENTERPRISE.replace(f'"{"0" * 64}"', f'["{"0" * 64}", "{"1" * 64}"]')
    (tmp_path / "two.toml").write_text(several, encoding="utf-8")
    found = load_enterprises(tmp_path)
    assert [one.token_sha256 for one in found.values()] == [("0" * 64,), ("0" * 64, "1" * 64)]
    assert shared_proofs(found) == {"one": "token", "two": "token"}
    (tmp_path / "two.toml").write_text(ENTERPRISE.replace("0" * 64, "1" * 64), encoding="utf-8")
    assert shared_proofs(load_enterprises(tmp_path)) == {}


def test_folder_of_enterprises_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no folder of enterprises"):
        load_enterprises(tmp_path / "enterprises")
