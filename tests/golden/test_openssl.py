"""What we sign with SM2 is accepted by an independent tool: OpenSSL's command line."""

from base64 import b64decode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from lxml import etree

from signing.errors import SigningError
from signing.keys import sm2
from signing.keys.files import FileSigner
from signing.keys.suite import DSIG, SM2_SHA1, SM2_SM3
from signing.xml import splice
from signing.xml.difference import digested
from signing.xml.verify import verify
from tests.openssl_tool import Tool
from tests.signing_documents import DOCUMENTS, EXPORTS, write_sm2_key
from tests.spec import SPEC, needs_spec

SAMPLES = sorted((SPEC / "samples").rglob("*.xml")) if SPEC.is_dir() else []
SUITES = [SM2_SM3.name, SM2_SHA1.name]


class Openssl:
    """The tool, and a key of each suite with its certificate."""

    def __init__(self, tool: Tool) -> None:
        self._tool = tool
        self.signers: dict[str, FileSigner] = {}
        for suite in SUITES:
            (tool.folder / suite).mkdir()
            self.signers[suite] = write_sm2_key(tool.folder / suite, suite)

    def accepts(self, body: bytes, signer: FileSigner) -> bool:
        """Verify the digest of the document, and the signature over SignedInfo in its context."""
        root = etree.fromstring(body)
        raw = self._tool.run("dgst", f"-{signer.suite.digest}", "-binary", given=digested(body))
        digest = self._tool.run("base64", "-A", given=raw).decode().strip()
        return digest == root.findtext(f".//{{{DSIG}}}DigestValue") and self.holds(root, signer)

    def holds(self, root: etree._Element, signer: FileSigner) -> bool:
        """Verify the signature alone."""
        (self._tool.folder / "text").write_bytes(signed_info(root))
        (self._tool.folder / "signature").write_bytes(der_signature(root))
        certificate = f"{signer.suite.name}/certificate.pem"
        return self._tool.agrees(
            *("pkeyutl", "-verify", "-certin", "-inkey", certificate, "-rawin", "-digest", "sm3"),
            *("-pkeyopt", "distid:1234567812345678", "-in", "text", "-sigfile", "signature"),
        )


@pytest.fixture(scope="module")
def openssl(tmp_path_factory: pytest.TempPathFactory) -> Openssl:
    return Openssl(Tool(tmp_path_factory.mktemp("openssl")))


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_openssl_accepts_our_signature_on_import_forms(name: str, suite: str, openssl: Openssl) -> None:
    signer = openssl.signers[suite]
    assert openssl.accepts(splice.sign(DOCUMENTS[name], signer).body, signer)


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("name", EXPORTS)
def test_openssl_accepts_our_signature_on_export_forms(name: str, suite: str, openssl: Openssl) -> None:
    signer = openssl.signers[suite]
    assert openssl.accepts(splice.sign(EXPORTS[name], signer, before="ExtendMessage").body, signer)


@needs_spec
@pytest.mark.parametrize("path", SAMPLES, ids=[str(path.relative_to(SPEC / "samples")) for path in SAMPLES])
def test_openssl_accepts_our_signature_on_every_sample(path: Path, openssl: Openssl) -> None:
    signer = openssl.signers[SM2_SM3.name]
    body = unsigned(path.read_bytes())
    signed = splice.sign(body, signer)
    assert splice.cut(signed.body, signed.span) == body
    assert openssl.accepts(signed.body, signer)
    assert verify(signed.body).valid


def test_openssl_refuses_another_document_and_another_key(openssl: Openssl) -> None:
    ours, other = (openssl.signers[suite] for suite in SUITES)
    body = splice.sign(DOCUMENTS["with_xsi"], ours).body
    assert not openssl.accepts(body.replace(b"T-1", b"T-2"), ours)
    root = etree.fromstring(body)
    assert openssl.holds(root, ours)
    assert not openssl.holds(root, other)


def signed_info(root: etree._Element) -> bytes:
    """Canonicalise SignedInfo by the parser alone: every namespace in scope is declared on it first."""
    found = root.find(f".//{{{DSIG}}}SignedInfo")
    assert found is not None
    alone = etree.Element(found.tag, nsmap=found.nsmap)  # type: ignore[arg-type]  # None is the default one
    for above in (*reversed(list(found.iterancestors())), found):
        for name, value in above.items():
            if above is found or str(name).startswith("{http://www.w3.org/XML/1998/namespace}"):
                alone.set(name, value)
    alone.text = found.text
    alone.extend(list(found))
    return etree.tostring(alone, method="c14n")


def der_signature(root: etree._Element) -> bytes:
    """Decode SignatureValue, r || s, and write it as the sequence that OpenSSL reads."""
    value = b64decode(root.findtext(f".//{{{DSIG}}}SignatureValue", ""), validate=True)
    assert len(value) == sm2.SIGNATURE_BYTES
    return encode_dss_signature(int.from_bytes(value[:32], "big"), int.from_bytes(value[32:], "big"))


def unsigned(body: bytes) -> bytes:
    """Cut out the Signature that a published sample has; its own cannot be reproduced (docs/spec/signing.md)."""
    try:
        return splice.strip(body)[0]
    except SigningError:
        return body
