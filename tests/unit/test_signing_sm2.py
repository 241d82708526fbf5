"""SM2 keys: what can be loaded, what is refused, and that they sign as the standard says."""

import os
import re
import threading
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from signing.errors import SigningError
from signing.keys import der, sm2
from signing.keys.certificate import certificate_facts
from signing.keys.files import FileSigner, load_pem, load_pkcs12, make_self_signed
from signing.keys.openssl import Libcrypto, libcrypto
from signing.keys.sm2_certificate import make_self_signed_sm2
from signing.keys.suite import RSA_SHA1, SM2_SHA1, SM2_SM3
from tests.openssl_tool import Tool
from tests.signing_documents import write_sm2_key

TEXT = b"these bytes"
PASSWORD = "s3cret 密"


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Tool:
    """OpenSSL in a folder with `k.key`, `k.crt` and another pair, `other`."""
    made = Tool(tmp_path_factory.mktemp("sm2"))
    for name in ("k", "other"):
        made.sm2_key(f"{name}.key")
        made.certificate(name, key=f"{name}.key")
    return made


def public(signer: FileSigner) -> sm2.Sm2PublicKey:
    point = sm2.point_of(x509.load_der_x509_certificate(signer.certificate_der))
    assert point is not None
    return sm2.Sm2PublicKey(point)


FORMS: dict[str, tuple[str, ...]] = {
    "pkcs8": ("pkey",),
    "pkcs8 encrypted": ("pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", f"pass:{PASSWORD}"),
    "sec1": ("ec",),
    "sec1 encrypted": ("ec", "-aes128", "-passout", f"pass:{PASSWORD}"),
    "sec1 compressed": ("ec", "-conv_form", "compressed"),
    "sec1 without its point": ("ec", "-no_public"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("label", ["SM2", "EC"])
def test_pem_key_of_every_form_signs(form: str, label: str, tool: Tool) -> None:
    command, *options = FORMS[form]
    key = tool.folder / "form.key"
    written = tool.run(command, "-in", "k.key", *options)
    key.write_bytes(written.replace(b"SM2 PRIVATE", f"{label} PRIVATE".encode()))
    key.chmod(0o600)
    signer = load_pem(key, tool.folder / "k.crt", PASSWORD if "encrypted" in form else None)
    assert (signer.suite, signer.warnings) == (SM2_SM3, ())
    assert public(signer).verify(signer.sign(TEXT), TEXT)


def test_parameters_before_the_key_do_not_matter(tool: Tool) -> None:
    key = tool.folder / "parameters.key"
    key.write_bytes(tool.run("ecparam", "-name", "SM2", "-genkey"))
    tool.certificate("parameters", key=key.name)
    assert len(load_pem(key, tool.folder / "parameters.crt").sign(TEXT)) == sm2.SIGNATURE_BYTES


@pytest.mark.parametrize("password", [None, "", "not-that-one", "nul\0", PASSWORD + "\0more"])
def test_encrypted_key_needs_its_password_and_nobody_is_asked_for_it(
    password: str | None, tool: Tool
) -> None:
    key = tool.folder / "encrypted.key"
    key.write_bytes(tool.run("pkcs8", "-topk8", "-in", "k.key", "-passout", f"pass:{PASSWORD}"))
    with pytest.raises(SigningError, match=r"encrypted\.key") as caught:
        load_pem(key, tool.folder / "k.crt", password)
    assert not password or password not in str(caught.value)


def test_pkcs12_gives_key_and_certificate(tool: Tool) -> None:
    secret = ("-passout", f"pass:{PASSWORD}")
    tool.run("pkcs12", "-export", "-inkey", "k.key", "-in", "k.crt", "-out", "k.p12", *secret)
    signer = load_pkcs12(tool.folder / "k.p12", PASSWORD, suite="sm2-sha1")
    pem = load_pem(tool.folder / "k.key", tool.folder / "k.crt")
    assert (signer.suite, signer.certificate_der) == (SM2_SHA1, pem.certificate_der)
    assert public(pem).verify(signer.sign(TEXT), TEXT)
    with pytest.raises(SigningError, match=r"cannot be loaded \(.*k\.p12"):
        load_pkcs12(tool.folder / "k.p12", "wrong")


def test_pkcs12_without_a_certificate_says_so(tool: Tool) -> None:
    arguments = ("-nocerts", "-inkey", "k.key", "-out", "bare.p12", "-passout", "pass:x")
    tool.run("pkcs12", "-export", *arguments)
    with pytest.raises(SigningError, match="no certificate"):
        load_pkcs12(tool.folder / "bare.p12", "x")


def test_key_of_another_certificate_is_refused(tool: Tool) -> None:
    with pytest.raises(SigningError, match="does not belong"):
        load_pem(tool.folder / "k.key", tool.folder / "other.crt")


def test_key_file_with_the_public_point_of_another_key_is_refused(tool: Tool) -> None:
    ours, theirs = (b64decode("".join(pem_lines(tool.folder / f"{name}.key"))) for name in ("k", "other"))
    forged = ours[:-65] + theirs[-65:]
    key = tool.folder / "forged.key"
    key.write_text(f"-----BEGIN PRIVATE KEY-----\n{b64encode(forged).decode()}\n-----END PRIVATE KEY-----\n")
    for certificate in ("k.crt", "other.crt"):
        with pytest.raises(SigningError):
            load_pem(key, tool.folder / certificate)


def pem_lines(file: Path) -> list[str]:
    return [line for line in file.read_text().splitlines() if not line.startswith("-")]


def test_keys_and_certificates_of_different_kinds_are_told_apart(tool: Tool, tmp_path: Path) -> None:
    key, certificate = make_self_signed("Invented Company", 1024)
    (tmp_path / "rsa.key").write_bytes(key)
    (tmp_path / "rsa.crt").write_bytes(certificate)
    with pytest.raises(SigningError, match="not an SM2 key"):
        load_pem(tmp_path / "rsa.key", tool.folder / "k.crt")
    with pytest.raises(SigningError, match="cannot be loaded"):
        load_pem(tool.folder / "k.key", tmp_path / "rsa.crt")


@pytest.mark.parametrize(
    "content", [b"", b"nothing", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_broken_key_file_is_named(content: bytes, tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "broken.key").write_bytes(content)
    with pytest.raises(SigningError, match=r"cannot be loaded \(.*broken\.key"):
        load_pem(tmp_path / "broken.key", tool.folder / "k.crt")


def test_suite_may_be_chosen_among_those_of_the_key(tool: Tool, tmp_path: Path) -> None:
    files = (tool.folder / "k.key", tool.folder / "k.crt")
    assert [load_pem(*files, suite=name).suite for name in ("", "sm2-sm3", "sm2-sha1")] == [
        *(SM2_SM3, SM2_SM3, SM2_SHA1),
    ]
    with pytest.raises(SigningError, match="cannot sign with suite rsa-sha1"):
        load_pem(*files, suite=RSA_SHA1.name)
    key, certificate = make_self_signed("Invented Company", 1024)
    (tmp_path / "k").write_bytes(key)
    (tmp_path / "c").write_bytes(certificate)
    with pytest.raises(SigningError, match="cannot sign with suite sm2-sm3"):
        load_pem(tmp_path / "k", tmp_path / "c", suite=SM2_SM3.name)


def test_facts_of_an_sm2_certificate(tmp_path: Path) -> None:
    signer = write_sm2_key(tmp_path)
    facts = certificate_facts(signer.certificate_der)
    assert (facts.key_type, facts.key_bits, facts.subject) == ("SM2", 256, "CN=样例公司")
    assert int(facts.serial, 16) > 0
    assert "_sign=" not in repr(signer)
    assert "KeyInfo" not in repr(signer)


def test_self_made_certificate_holds_for_openssl(tool: Tool, tmp_path: Path) -> None:
    for days in (1, 3650, 36_500):  # the last one ends after 2049, where the form of the time changes
        made = tmp_path / "made.crt"
        made.write_bytes(make_self_signed_sm2("Invented Company", days)[1])
        assert tool.agrees("verify", "-CAfile", str(made), str(made))
        facts = certificate_facts(
            x509.load_pem_x509_certificate(made.read_bytes()).public_bytes(Encoding.DER)
        )
        assert (facts.not_after - facts.not_before).days == days


def test_signatures_differ_each_time_and_all_hold(tmp_path: Path) -> None:
    signer = write_sm2_key(tmp_path)
    values = {signer.sign(TEXT) for _ in range(5)}
    assert len(values) == 5
    assert all(public(signer).verify(value, TEXT) for value in values)


def test_spoiled_signatures_do_not_hold(tmp_path: Path) -> None:
    signer = write_sm2_key(tmp_path)
    key, value = public(signer), signer.sign(TEXT)
    r, s = int.from_bytes(value[:32], "big"), int.from_bytes(value[32:], "big")
    spoiled = (
        *(b"", value[:-1], value + b"\0", bytes(64), b"\xff" * 64, value[32:] + value[:32]),
        *(encode_dss_signature(r, s), value[:32] + bytes(32)),
    )
    assert not any(key.verify(one, TEXT) for one in spoiled)
    assert key.verify_der(encode_dss_signature(r, s), TEXT)
    assert not key.verify_der(encode_dss_signature(r, s) + b"\0", TEXT)
    assert not key.verify(value, TEXT + b"\0")
    assert libcrypto().errors() == "libcrypto: no reason given"  # nothing left behind for somebody else


def test_point_that_is_not_on_the_curve_is_refused() -> None:
    with pytest.raises(SigningError, match="not a point of SM2"):
        sm2.Sm2PublicKey(b"\x04" + b"\x01" * 64)


def test_threads_sign_with_one_key_at_the_same_time(tmp_path: Path) -> None:
    signer = write_sm2_key(tmp_path)
    values: list[bytes] = []

    def work() -> None:
        values.extend(signer.sign(TEXT) for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(values)) == 80
    assert all(public(signer).verify(value, TEXT) for value in values)


def test_processes_that_share_a_key_never_make_the_same_signature(tmp_path: Path) -> None:
    """The same random number twice would give the key away; roles are forked with the key loaded."""
    signer = write_sm2_key(tmp_path)
    signer.sign(TEXT)
    values = {signed_in_a_fork(signer) for _ in range(3)} | {signer.sign(TEXT)}
    assert len({value[:32] for value in values}) == 4
    assert all(public(signer).verify(value, TEXT) for value in values)


def signed_in_a_fork(signer: FileSigner) -> bytes:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, signer.sign(TEXT))
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        value = pipe.read()
    os.waitpid(child, 0)
    return value


def test_sm3_of_the_standard() -> None:
    """GB/T 32905, example 1; what signs is the fallback where the interpreter has no SM3."""
    known = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert libcrypto().sm3(b"abc").hex() == known
    assert SM2_SM3.digest_of(b"abc").hex() == known


@pytest.mark.parametrize("file", ["libc.so.6", "no-such-library.so"])
def test_library_that_cannot_do_sm2_says_so(file: str) -> None:
    with pytest.raises(SigningError, match=r"no libcrypto of OpenSSL 3\.0") as caught:
        Libcrypto(file)
    assert caught.value.where == file


def test_loaded_library_is_openssl_3_or_later() -> None:
    found = re.search(r"(\d+)\.", libcrypto().version)
    assert found is not None
    assert int(found[1]) >= 3


@pytest.mark.parametrize(
    "data",
    [
        b"\x30",
        b"\x30\x01",
        b"\x30\x81\x01\x00",
        b"\x30\x82\x00\x80",
        b"\x30\x80\x00\x00",
        b"\x1f\x81\x01\x00",
        b"\x30\x85",
    ],
)
def test_what_is_not_strict_der_is_refused(data: bytes) -> None:
    with pytest.raises(SigningError, match="not DER"):
        der.read(data)


def test_der_reads_what_it_writes() -> None:
    for size in (0, 127, 128, 255, 256, 70_000):
        item = der.read_one(der.write(der.SEQUENCE, b"\x05\x00" * (size // 2)), der.SEQUENCE)
        assert len(item.content) == size // 2 * 2
    assert der.write_integer(0) == b"\x02\x01\x00"
    assert der.write_integer(128) == b"\x02\x02\x00\x80"
    with pytest.raises(SigningError, match="not one value"):
        der.read_one(b"\x05\x00\x05\x00", 0x05)
