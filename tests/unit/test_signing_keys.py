"""Keys: what can be loaded, what is refused, and what a certificate says about itself."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import pkcs12

from signing.errors import SigningError
from signing.keys.certificate import serial_hex
from signing.keys.files import certificate_facts, load_pem, load_pkcs12, make_self_signed
from signing.keys.suite import RSA_SHA1, SM2_SHA1, SM2_SM3, SUITES, UnknownSuite, suite_of
from tests.signing_documents import write_key


@pytest.fixture(scope="module")
def pair() -> tuple[bytes, bytes]:
    return make_self_signed("Invented Company", 1024)


def _files(folder: Path, key: bytes, certificate: bytes) -> tuple[Path, Path]:
    key_file, certificate_file = folder / "k.pem", folder / "c.pem"
    key_file.write_bytes(key)
    key_file.chmod(0o600)
    certificate_file.write_bytes(certificate)
    return key_file, certificate_file


def test_pem_key_signs_as_the_suite_says(tmp_path: Path) -> None:
    signer = write_key(tmp_path)
    certificate = x509.load_der_x509_certificate(signer.certificate_der)
    public = certificate.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    public.verify(signer.sign(b"these bytes"), b"these bytes", padding.PKCS1v15(), SHA1())  # noqa: S303 (the suite)
    assert signer.suite is RSA_SHA1
    assert int(signer.key_name, 16) == certificate.serial_number
    assert signer.key_name in signer.key_info
    assert signer.warnings == ()
    assert "key_info" not in repr(signer)


def test_1024_bit_keys_are_allowed_for_this_purpose(tmp_path: Path, pair: tuple[bytes, bytes]) -> None:
    assert len(load_pem(*_files(tmp_path, *pair)).sign(b"x")) == 128


def test_certificate_may_be_der(tmp_path: Path, pair: tuple[bytes, bytes]) -> None:
    der = x509.load_pem_x509_certificate(pair[1]).public_bytes(serialization.Encoding.DER)
    assert load_pem(*_files(tmp_path, pair[0], der)).certificate_der == der


@pytest.mark.parametrize("password", [None, "s3cret 密"])
def test_pkcs12_gives_the_same_signer_as_pem(
    tmp_path: Path, pair: tuple[bytes, bytes], password: str | None
) -> None:
    pem = load_pem(*_files(tmp_path, *pair))
    key = serialization.load_pem_private_key(pair[0], None)
    assert isinstance(key, rsa.RSAPrivateKey)
    encryption: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    )
    file = tmp_path / "k.p12"
    certificate = x509.load_pem_x509_certificate(pair[1])
    file.write_bytes(pkcs12.serialize_key_and_certificates(b"n", key, certificate, None, encryption))
    file.chmod(0o600)
    loaded = load_pkcs12(file, password)
    assert loaded.certificate_der == pem.certificate_der
    assert loaded.sign(b"x") == pem.sign(b"x")
    with pytest.raises(SigningError, match="cannot be loaded"):
        load_pkcs12(file, "wrong")


def test_pkcs12_without_a_key_says_so(tmp_path: Path, pair: tuple[bytes, bytes]) -> None:
    file = tmp_path / "c.p12"
    certificate = x509.load_pem_x509_certificate(pair[1])
    file.write_bytes(
        pkcs12.serialize_key_and_certificates(None, None, certificate, None, serialization.NoEncryption())
    )
    with pytest.raises(SigningError, match="no private key"):
        load_pkcs12(file)


def test_encrypted_pem_key_needs_its_password(tmp_path: Path, pair: tuple[bytes, bytes]) -> None:
    key = serialization.load_pem_private_key(pair[0], None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"right"),
    )
    files = _files(tmp_path, encrypted, pair[1])
    assert load_pem(*files, "right").sign(b"x")
    for password in (None, "wrong"):
        with pytest.raises(SigningError, match="cannot be loaded"):
            load_pem(*files, password)


def test_key_of_another_certificate_is_refused(tmp_path: Path, pair: tuple[bytes, bytes]) -> None:
    with pytest.raises(SigningError, match="does not belong"):
        load_pem(*_files(tmp_path, pair[0], make_self_signed("Another", 1024)[1]))


def test_key_that_is_not_rsa_is_refused(tmp_path: Path, pair: tuple[bytes, bytes]) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(SigningError, match="not an RSA key"):
        load_pem(*_files(tmp_path, key, pair[1]))


def test_key_file_that_others_may_read_is_a_warning(tmp_path: Path, pair: tuple[bytes, bytes]) -> None:
    key_file, certificate_file = _files(tmp_path, *pair)
    key_file.chmod(0o640)
    (warning,) = load_pem(key_file, certificate_file).warnings
    assert "chmod 600" in warning


@pytest.mark.parametrize(
    "content", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_broken_files_are_errors_that_name_the_file(
    tmp_path: Path, pair: tuple[bytes, bytes], content: bytes
) -> None:
    with pytest.raises(SigningError, match=r"k\.pem"):
        load_pem(*_files(tmp_path, content, pair[1]))
    with pytest.raises(SigningError, match="certificate cannot be read"):
        load_pem(*_files(tmp_path, pair[0], content))
    with pytest.raises(SigningError, match=r"absent\.pem"):
        load_pem(tmp_path / "absent.pem", tmp_path / "c.pem")


def test_facts_of_a_certificate(pair: tuple[bytes, bytes]) -> None:
    der = x509.load_pem_x509_certificate(pair[1]).public_bytes(serialization.Encoding.DER)
    facts = certificate_facts(der)
    assert (facts.subject, facts.issuer) == ("CN=Invented Company", "CN=Invented Company")
    assert (facts.key_type, facts.key_bits) == ("RSA", 1024)
    assert timedelta(0) <= datetime.now(UTC) - facts.not_before < timedelta(hours=1)
    assert facts.not_after - facts.not_before == timedelta(days=3650)
    with pytest.raises(SigningError, match="cannot be read"):
        certificate_facts(der[:-1])


@pytest.mark.parametrize(
    ("serial", "text"), [(0x1691FE9, "01691fe9"), (0x03000000000CDE6F, "03000000000cde6f"), (1, "01")]
)
def test_serial_keeps_its_leading_zero(serial: int, text: str) -> None:
    assert serial_hex(serial) == text


def test_self_signed_certificates_have_random_serials() -> None:
    first, second = (load_serial(make_self_signed("A", 1024, days=1)[1]) for _ in range(2))
    assert first != second


def load_serial(pem: bytes) -> int:
    return x509.load_pem_x509_certificate(pem).serial_number


def test_suites_are_found_by_their_two_names() -> None:
    for suite in SUITES:
        assert suite_of(suite.signature_method, suite.digest_method) is suite
    assert suite_of(RSA_SHA1.signature_method, SM2_SM3.digest_method) == UnknownSuite(
        signature_method=RSA_SHA1.signature_method, digest_method=SM2_SM3.digest_method
    )
    assert [len(suite.digest_of(b"")) for suite in (RSA_SHA1, SM2_SM3, SM2_SHA1)] == [20, 32, 20]


def test_an_error_says_what_where_and_how_to_fix() -> None:
    assert str(SigningError("no key", where="here", fix="make one")) == "no key (here). Fix: make one"
    assert str(SigningError("no key")) == "no key"
