"""Who may have issued the certificate of a signature, and which company it must name."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from signing.errors import SigningError
from signing.keys.company import Company, companies_in
from signing.keys.files import load_pem
from signing.keys.issuers import Issuers
from signing.xml.splice import sign
from signing.xml.verify import verify
from tests.openssl_tool import Tool
from tests.signing_documents import DOCUMENTS

NOW = datetime.now(UTC) + timedelta(hours=1)
"""Certificates made during the tests begin before it."""


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Tool:
    """Certificates: an SM2 root, one below it, an enterprise's below that; an RSA root and an enterprise's."""
    made = Tool(tmp_path_factory.mktemp("issuers"))
    for name in ("root", "middle", "leaf", "stranger"):
        made.sm2_key(f"{name}.key")
    for name in ("rsa-root", "rsa-leaf"):
        made.rsa_key(f"{name}.key")
    made.certificate("root", key="root.key", ca=True)
    made.certificate("middle", key="middle.key", issuer=("root.crt", "root.key"), ca=True)
    made.certificate("leaf", key="leaf.key", issuer=("middle.crt", "middle.key"))
    made.certificate("below-leaf", key="stranger.key", issuer=("leaf.crt", "leaf.key"))
    made.certificate("rsa-root", key="rsa-root.key", digest="sha1", ca=True)
    made.certificate("rsa-leaf", key="rsa-leaf.key", digest="sha1", issuer=("rsa-root.crt", "rsa-root.key"))
    made.certificate("rsa-256", key="rsa-leaf.key", digest="sha256", issuer=("rsa-root.crt", "rsa-root.key"))
    (made.folder / "renewed").mkdir()
    made.certificate(
        "middle", key="middle.key", issuer=("root.crt", "root.key"), ca=True, days=90, into="renewed"
    )
    return made


def issuers(tool: Tool, *names: str) -> Issuers:
    file = tool.folder / "issuers.pem"
    file.write_bytes(b"".join((tool.folder / f"{name}.crt").read_bytes() for name in names))
    return Issuers.load(file)


def certificate(tool: Tool, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((tool.folder / f"{name}.crt").read_bytes())


@pytest.mark.parametrize(
    ("trusted", "name"),
    [
        (("middle",), "leaf"),
        (("root", "middle"), "leaf"),
        (("middle", "root", "rsa-root"), "leaf"),
        (("root",), "middle"),
        (("rsa-root",), "rsa-leaf"),
        (("rsa-root",), "rsa-256"),
        (("leaf",), "leaf"),
        (("root",), "root"),
    ],
)
def test_certificate_of_a_trusted_issuer_passes(trusted: tuple[str, ...], name: str, tool: Tool) -> None:
    known = issuers(tool, *trusted)
    for _ in range(2):  # the second time from memory
        assert known.objection(certificate(tool, name), NOW) == ""
    assert len(known) == len(trusted)


@pytest.mark.parametrize(
    ("trusted", "name"),
    [
        (("root",), "leaf"),  # the one between is not there
        (("rsa-root",), "leaf"),
        (("root", "middle"), "rsa-leaf"),
        (("leaf",), "below-leaf"),  # signed by a key that may not issue
        (("leaf", "middle", "root"), "below-leaf"),
    ],
)
def test_certificate_of_nobody_we_trust_is_refused(trusted: tuple[str, ...], name: str, tool: Tool) -> None:
    assert "none of the trusted issuers" in issuers(tool, *trusted).objection(certificate(tool, name), NOW)


def test_issuer_of_the_same_name_with_another_key_is_nobody(tool: Tool) -> None:
    folder = tool.folder / "again"
    folder.mkdir()
    other = Tool(folder)
    other.sm2_key("root.key")
    other.certificate("root", key="root.key", ca=True)
    assert issuers(other, "root").objection(certificate(tool, "middle"), NOW) != ""
    file = folder / "both.pem"
    file.write_bytes((folder / "root.crt").read_bytes() + (tool.folder / "root.crt").read_bytes())
    assert Issuers.load(file).objection(certificate(tool, "middle"), NOW) == ""


def test_issuer_out_of_its_period_does_not_count_and_its_renewal_does(tool: Tool) -> None:
    known = issuers(tool, "root", "middle")
    later = NOW + timedelta(days=60)
    assert known.objection(certificate(tool, "leaf"), NOW) == ""
    assert "in their period" in known.objection(certificate(tool, "leaf"), later)
    renewed = issuers(tool, "middle", "renewed/middle")
    for at in (NOW, later):
        assert renewed.objection(certificate(tool, "leaf"), at) == ""
    assert (len(known.over(later)), known.over(NOW)) == (2, ())


def test_changed_certificate_is_refused(tool: Tool) -> None:
    der = tool.folder / "leaf.der"
    tool.run("x509", "-in", "leaf.crt", "-outform", "DER", "-out", der.name)
    whole = der.read_bytes()
    at = whole.rindex(b"leaf")
    forged = x509.load_der_x509_certificate(whole[:at] + b"loaf" + whole[at + 4 :])
    assert issuers(tool, "middle").objection(forged, NOW) != ""
    assert issuers(tool, "leaf").objection(forged, NOW) != ""


@pytest.mark.parametrize(
    "content", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_file_without_certificates_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "issuers.pem").write_bytes(content)
    with pytest.raises(SigningError, match=r"cannot be read \(.*issuers\.pem"):
        Issuers.load(tmp_path / "issuers.pem")
    with pytest.raises(SigningError, match=r"absent\.pem"):
        Issuers.load(tmp_path / "absent.pem")


def test_verdict_says_that_it_is_the_certificate(tool: Tool) -> None:
    for key, trusted in (("leaf", "middle"), ("rsa-leaf", "rsa-root")):
        signer = load_pem(tool.folder / f"{key}.key", tool.folder / f"{key}.crt")
        body = sign(DOCUMENTS["with_xsi"], signer).body
        assert verify(body, issuers=issuers(tool, trusted)).valid
        verdict = verify(body, issuers=issuers(tool, "root"))
        assert (verdict.valid, verdict.digest_ok, verdict.signature_ok, verdict.certificate_ok) == (
            *(False, True, True, False),
        )
        assert verdict.reasons[0].startswith("certificate: ")


OID = "1.3.6.1.4.1.5315.100.99"
NAME = "样例公司"


def made_for(value: bytes) -> x509.Certificate:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Invented Company")])
    return (
        x509.CertificateBuilder(name, name, key.public_key(), 7, NOW, NOW + timedelta(days=1))
        .add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier(OID), value), critical=False)
        .sign(key, hashes.SHA256())
    )


@pytest.mark.parametrize(
    "value",
    [
        NAME.encode(),
        NAME.encode("gb18030"),
        b"\x0c\x0c" + NAME.encode(),
        b"\x1e\x08" + NAME.encode("utf-16-be"),
        b"\x04\x0e\x0c\x0c" + NAME.encode(),
    ],
    ids=["utf-8", "gb18030", "UTF8String", "BMPString", "wrapped"],
)
def test_company_is_read_from_the_extension_that_is_named(value: bytes) -> None:
    certificate = made_for(value)
    assert companies_in(certificate, OID) == {NAME}
    assert Company(oid=OID, names=frozenset({"4400000001", NAME})).objection(certificate) == ""
    objection = Company(oid=OID, names=frozenset({"4400000001"})).objection(certificate)
    assert "not that of the document" in objection
    assert NAME not in objection


def test_company_may_be_a_part_of_the_subject_and_must_be_there() -> None:
    certificate = made_for(b"")
    assert Company(oid="2.5.4.10", names=frozenset({"Invented Company"})).objection(certificate) == ""
    for oid in (OID, "2.5.4.11"):
        assert "names no company" in Company(oid=oid, names=frozenset({""})).objection(certificate)
