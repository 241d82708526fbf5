"""`gateway sign`, `verify` and `envelope`: bytes in, the same bytes and one thing more out."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.xml.envelope import unwrap
from signing.keys.certificate import make_self_signed
from signing.keys.sm2_certificate import make_self_signed_sm2
from signing.xml.splice import strip
from tests import documents as make
from tests.command_line import invoke, lines

PASSWORD = "only for tests"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    key, certificate = make_self_signed("tests", bits=1024)
    (folder / "node.key").write_bytes(key)
    (folder / "node.crt").write_bytes(certificate)
    for file in folder.iterdir():
        file.chmod(0o600)
    return folder


@pytest.fixture
def order(tmp_path: Path) -> Path:
    file = tmp_path / "order.xml"
    file.write_bytes(b"\xef\xbb\xbf" + make.order().replace(b"?>\n", b"?>\r\n"))
    return file


def test_signed_file_is_the_file_and_a_signature_that_holds(keys: Path, order: Path, tmp_path: Path) -> None:
    out = tmp_path / "signed.xml"
    result = invoke("sign", order, "--key", keys / "node.key", "-o", out)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    assert strip(out.read_bytes())[0] == order.read_bytes()
    (line,) = lines(invoke("verify", "--json", out))
    assert list(line) == [
        *("file", "valid", "suite", "digest_ok", "signature_ok", "certificate_ok", "certificate"),
        *("warnings", "reasons"),
    ]
    assert (line["valid"], line["suite"], line["digest_ok"], line["signature_ok"]) == (
        *(True, "rsa-sha1", True, True),
    )
    assert line["certificate"]["subject"] == "CN=tests"


def test_without_out_the_signed_bytes_alone_go_to_stdout(keys: Path, order: Path) -> None:
    result = invoke("sign", order, "--key", keys)
    assert strip(result.stdout_bytes)[0] == order.read_bytes()


def test_export_message_is_signed_before_its_extend_message(keys: Path, tmp_path: Path) -> None:
    file = tmp_path / "export.xml"
    extension = make.element("ExtendMessage", make.element("name", "x"))
    file.write_bytes(make.export_order(tail=extension))
    signed = invoke("sign", file, "--key", keys).stdout_bytes
    assert signed.index(b"<ds:Signature") < signed.index(b"<ceb:ExtendMessage")
    assert strip(signed)[0] == file.read_bytes()


def test_key_may_be_pkcs12_a_pem_with_both_or_a_name_of_the_configuration(
    keys: Path, order: Path, tmp_path: Path
) -> None:
    key = serialization.load_pem_private_key((keys / "node.key").read_bytes(), None)
    certificate = x509.load_pem_x509_certificate((keys / "node.crt").read_bytes())
    assert isinstance(key, rsa.RSAPrivateKey)
    secret = serialization.BestAvailableEncryption(PASSWORD.encode())
    packed = serialization.pkcs12.serialize_key_and_certificates(b"n", key, certificate, None, secret)
    (tmp_path / "node.p12").write_bytes(packed)
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    both = tmp_path / "both.pem"
    both.write_bytes((keys / "node.key").read_bytes() + (keys / "node.crt").read_bytes())
    site = tmp_path / "site"
    invoke("init", site)
    ways: list[tuple[object, ...]] = [
        ("--key", tmp_path / "node.p12", "--password-file", tmp_path / "password"),
        ("--key", both),
        ("--key", keys / "node.key", "--certificate", keys / "node.crt"),
        ("--key", "node", "-c", site / "gateway.toml"),
    ]
    for way in ways:
        out = tmp_path / "out.xml"
        assert invoke("sign", order, *way, "-o", out).exit_code == 0
        assert invoke("verify", out).exit_code == 0


def test_key_that_others_may_read_is_warned_of_on_stderr(keys: Path, order: Path, tmp_path: Path) -> None:
    both = tmp_path / "open.pem"
    both.write_bytes((keys / "node.key").read_bytes() + (keys / "node.crt").read_bytes())
    both.chmod(0o644)
    assert "warning" in invoke("sign", order, "--key", both).stderr


def test_key_that_cannot_be_used_is_a_configuration_error(keys: Path, order: Path, tmp_path: Path) -> None:
    lone = tmp_path / "lone.key"
    lone.write_bytes((keys / "node.key").read_bytes())
    stranger = tmp_path / "stranger.crt"
    stranger.write_bytes(make_self_signed("stranger", bits=1024)[1])
    for way in (
        ("--key", lone),
        ("--key", lone, "--certificate", stranger),
        ("--key", order),
        ("--key", tmp_path / "nothing.key"),
        ("--key", tmp_path),
    ):
        result = invoke("sign", order, *way)
        assert (result.exit_code, result.stdout) == (2, ""), way
        assert "fix:" in result.stderr


def test_what_cannot_be_signed_is_left_alone(keys: Path, order: Path, tmp_path: Path) -> None:
    signed = tmp_path / "signed.xml"
    signed.write_bytes(invoke("sign", order, "--key", keys).stdout_bytes)
    garbage = tmp_path / "garbage.xml"
    garbage.write_bytes(b"garbage")
    for file in (signed, garbage):
        out = tmp_path / "out.xml"
        result = invoke("sign", file, "--key", keys, "-o", out)
        assert result.exit_code == 1
        assert not out.exists()


def test_changed_unsigned_and_unreadable_documents_are_not_verified(
    keys: Path, order: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "changed.xml"
    changed.write_bytes(invoke("sign", order, "--key", keys).stdout_bytes.replace(b"ORDER-1", b"ORDER-2"))
    garbage = tmp_path / "garbage.xml"
    garbage.write_bytes(b"<DxpMsg>")
    result = invoke("verify", "--json", changed, order, garbage)
    assert result.exit_code == 1
    first, second, third = lines(result)
    assert (first["digest_ok"], first["signature_ok"]) == (False, True)
    assert all(not line["valid"] and line["reasons"] for line in (first, second, third))
    assert "NOT verified" in invoke("verify", order).stdout


@pytest.fixture(scope="module")
def sm2_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sm2")
    key, certificate = make_self_signed_sm2("tests")
    (folder / "node.key").write_bytes(key)
    (folder / "node.crt").write_bytes(certificate)
    for file in folder.iterdir():
        file.chmod(0o600)
    return folder


@pytest.mark.parametrize(("options", "suite"), [((), "sm2-sm3"), (("--suite", "sm2-sha1"), "sm2-sha1")])
def test_sm2_key_signs_with_the_suite_that_is_asked_for(
    options: tuple[str, ...], suite: str, sm2_keys: Path, order: Path, tmp_path: Path
) -> None:
    out = tmp_path / "signed.xml"
    result = invoke("sign", order, "--key", sm2_keys, *options, "-o", out)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    assert strip(out.read_bytes())[0] == order.read_bytes()
    (line,) = lines(invoke("verify", "--json", out))
    assert (line["valid"], line["suite"], line["certificate"]["key_type"]) == (True, suite, "SM2")
    assert invoke("sign", order, "--key", sm2_keys, "--suite", "rsa-sha1").exit_code == 2


def test_default_key_of_the_configuration_signs_when_none_is_named(order: Path, tmp_path: Path) -> None:
    site, out = tmp_path / "site", tmp_path / "out.xml"
    invoke("init", site)
    assert invoke("sign", order, "-c", site / "gateway.toml", "-o", out).exit_code == 0
    assert invoke("verify", out).exit_code == 0
    assert invoke("sign", order, "-c", tmp_path / "none.toml").exit_code == 2


def test_verify_tells_digest_signature_and_certificate_apart(keys: Path, order: Path, tmp_path: Path) -> None:
    signed = tmp_path / "signed.xml"
    invoke("sign", order, "--key", keys, "-o", signed)
    stranger = tmp_path / "stranger.pem"
    stranger.write_bytes(make_self_signed("stranger", bits=1024)[1])
    assert invoke("verify", signed, "--issuers", keys / "node.crt").exit_code == 0
    for options in (("--issuers", stranger), ("--at", "2001-01-01")):
        result = invoke("verify", signed, *options)
        assert result.exit_code == 1
        assert "digest ok, signature ok, certificate FAILED" in result.stdout
        assert "because: certificate: " in result.stdout
    assert invoke("verify", signed, "--issuers", order).exit_code == 2


def test_verify_shows_where_the_document_differs_from_the_original(
    keys: Path, order: Path, tmp_path: Path
) -> None:
    signed = tmp_path / "signed.xml"
    invoke("sign", order, "--key", keys, "-o", signed)
    same = invoke("verify", signed, "--original", order)
    assert same.exit_code == 0
    assert "the digested text is that of the original" in same.stdout
    signed.write_bytes(signed.read_bytes().replace(b"SKU-1", b"SKU-2"))
    result = invoke("verify", signed, "--original", order)
    assert result.exit_code == 1
    assert "digest FAILED, signature ok, certificate ok" in result.stdout
    assert "SKU-1" in result.stdout
    assert "SKU-2" in result.stdout
    (line,) = lines(invoke("verify", "--json", signed, "--original", order))
    assert set(line["difference"]) == {"offset", "line", "original", "signed"}


def test_upload_of_notice_179_is_signed_and_nothing_else_in_it_changes(
    sm2_keys: Path, tmp_path: Path
) -> None:
    upload, out = tmp_path / "upload.json", tmp_path / "signed.json"
    text = (
        '{"sessionID":"S-1","payExchangeInfoHead":{"guid":"G-1","totalAmount":5.0},'
        '"payExchangeInfoLists":[{"orderNo":"T-1"}],"serviceTime":"1601282210417"}'
    )
    upload.write_text(text)
    assert invoke("sign", "--notice-179", upload, "--key", sm2_keys, "-o", out).exit_code == 0
    assert out.read_text().startswith(f'{text[:-1]},"certNo":"')
    upload.write_text(text.replace(",", ", "))
    result = invoke("sign", "--notice-179", upload, "--key", sm2_keys, "-o", tmp_path / "none.json")
    assert result.exit_code == 1
    assert "not compact" in result.stderr
    assert not (tmp_path / "none.json").exists()


def test_wrapping_and_unwrapping_gives_back_the_bytes(keys: Path, order: Path, tmp_path: Path) -> None:
    signed, sealed = tmp_path / "signed.xml", tmp_path / "sealed.xml"
    invoke("sign", order, "--key", keys, "-o", signed)
    wrapped = invoke("envelope", "wrap", signed, "--transfer", "--node-id", "46000002", "-o", sealed)
    assert wrapped.exit_code == 0
    opened = unwrap(sealed.read_bytes())
    assert opened.envelope.sender_id == make.DXP_ID
    assert opened.envelope.receiver_ids == ("DXPEDCCEB0000002",)
    assert opened.envelope.msg_type == "CEB311Message"
    assert opened.transfer is not None
    assert (opened.transfer.sta_node, opened.transfer.end_node) == ("46000002", "00000002")
    assert invoke("validate", "--sendable", sealed).exit_code == 0
    assert invoke("verify", sealed).exit_code == 0
    assert invoke("envelope", "unwrap", sealed).stdout_bytes == signed.read_bytes()
    inner = invoke("envelope", "unwrap", sealed, "--layer", "dxpmsg").stdout_bytes
    assert unwrap(inner).business == signed.read_bytes()


def test_dxpmsg_of_a_terminal_is_transferred_as_it_is(order: Path, tmp_path: Path) -> None:
    terminal, sealed = tmp_path / "terminal.xml", tmp_path / "sealed.xml"
    invoke("envelope", "wrap", order, "--cop-msg-id", "MINE-1", "-o", terminal)
    element = terminal.read_bytes().partition(b"?>\n")[2]
    assert invoke("envelope", "wrap", terminal, "--transfer", "-o", sealed).exit_code == 0
    assert element in sealed.read_bytes()
    assert unwrap(sealed.read_bytes()).envelope.cop_msg_id == "MINE-1"
    assert invoke("envelope", "wrap", terminal).exit_code == 2


def test_receipt_needs_to_be_told_sender_and_receiver(tmp_path: Path) -> None:
    file = tmp_path / "receipt.xml"
    file.write_bytes(make.receipt("CEB312Message", {"ebpCode": "1", "ebcCode": "2", "orderNo": "3"}))
    assert "--sender" in invoke("envelope", "wrap", file).stderr
    assert "--receiver" in invoke("envelope", "wrap", file, "--sender", "DXPEDCCEB0000002").stderr
    result = invoke("envelope", "wrap", file, "--sender", "DXPEDCCEB0000002", "--receiver", make.DXP_ID)
    assert unwrap(result.stdout_bytes).business == file.read_bytes()


def test_what_is_no_envelope_cannot_be_unwrapped(order: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = invoke("envelope", "unwrap", order, "-o", out)
    assert result.exit_code == 1
    assert "fix:" in result.stderr
    assert not out.exists()
    assert invoke("envelope", "wrap", order, "--node-id", "12", "--transfer").exit_code == 2


def test_output_that_cannot_be_written_is_a_usage_error(order: Path, tmp_path: Path) -> None:
    assert invoke("envelope", "wrap", order, "-o", tmp_path / "no" / "such" / "file").exit_code == 2
