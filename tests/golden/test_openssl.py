"""What we sign with SM2 is accepted by an independent tool: OpenSSL's command line."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from lxml import etree

from signing import sm2, xmldsig
from signing.difference import digested
from signing.errors import SigningError
from signing.keys import FileSigner
from signing.suite import DSIG, SM2_SHA1, SM2_SM3
from tests.signing_documents import DOCUMENTS, EXPORTS, write_sm2_key
from tests.spec import SPEC, needs_spec

SAMPLES = sorted((SPEC / "samples").rglob("*.xml")) if SPEC.is_dir() else []
SUITES = [SM2_SM3.name, SM2_SHA1.name]


class Openssl:
    """The tool, and a key of each suite with its certificate."""

    def __init__(self, tool: str, folder: Path) -> None:
        self._tool = tool
        self._folder = folder
        self.signers: dict[str, FileSigner] = {}
        for suite in SUITES:
            (folder / suite).mkdir()
            self.signers[suite] = write_sm2_key(folder / suite, suite)

    def accepts(self, signed: xmldsig.Signed, signer: FileSigner) -> bool:
        """Verify the digest and the signature over SignedInfo in the context of the document."""
        root = etree.fromstring(signed.body)
        digest = root.findtext(f".//{{{DSIG}}}DigestValue")
        return digest == self._digest(digested(signed.body), signer) and self._holds(
            signed_info(root), signature(root), signer
        )

    def _digest(self, text: bytes, signer: FileSigner) -> str:
        raw = self._run("dgst", f"-{signer.suite.digest}", "-binary", given=text)
        return self._run("base64", "-A", given=raw).decode().strip()

    def _holds(self, text: bytes, value: bytes, signer: FileSigner) -> bool:
        folder = self._folder / signer.suite.name
        (folder / "text").write_bytes(text)
        (folder / "signature").write_bytes(der_of(value))
        command = (
            *(self._tool, "pkeyutl", "-verify", "-certin", "-inkey", str(folder / "certificate.pem")),
            *("-rawin", "-digest", "sm3", "-pkeyopt", "distid:1234567812345678"),
            *("-in", str(folder / "text"), "-sigfile", str(folder / "signature")),
        )
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _run(self, *arguments: str, given: bytes) -> bytes:
        return subprocess.run([self._tool, *arguments], input=given, capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def openssl(tmp_path_factory: pytest.TempPathFactory) -> Openssl:
    tool = shutil.which("openssl")
    if tool is None:
        advice = "openssl is not installed: apt-get install openssl"
        if os.environ.get("CI"):
            pytest.fail(advice)
        pytest.skip(advice)
    return Openssl(tool, tmp_path_factory.mktemp("openssl"))


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_openssl_accepts_our_signature_on_import_forms(name: str, suite: str, openssl: Openssl) -> None:
    signer = openssl.signers[suite]
    assert openssl.accepts(xmldsig.sign(DOCUMENTS[name], signer), signer)


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("name", EXPORTS)
def test_openssl_accepts_our_signature_on_export_forms(name: str, suite: str, openssl: Openssl) -> None:
    signer = openssl.signers[suite]
    assert openssl.accepts(xmldsig.sign(EXPORTS[name], signer, before="ExtendMessage"), signer)


@needs_spec
@pytest.mark.parametrize("path", SAMPLES, ids=[str(path.relative_to(SPEC / "samples")) for path in SAMPLES])
def test_openssl_accepts_our_signature_on_every_sample(path: Path, openssl: Openssl) -> None:
    signer = openssl.signers[SM2_SM3.name]
    body = unsigned(path.read_bytes())
    signed = xmldsig.sign(body, signer)
    assert xmldsig.cut(signed.body, signed.span) == body
    assert openssl.accepts(signed, signer)


def test_openssl_refuses_another_document_and_another_key(openssl: Openssl) -> None:
    ours, other = (openssl.signers[suite] for suite in SUITES)
    signed = xmldsig.sign(DOCUMENTS["with_xsi"], ours)
    changed = xmldsig.Signed(body=signed.body.replace(b"T-1", b"T-2"), span=signed.span, digest=signed.digest)
    assert not openssl.accepts(changed, ours)
    root = etree.fromstring(signed.body)
    assert openssl._holds(signed_info(root), signature(root), ours)
    assert not openssl._holds(signed_info(root), signature(root), other)


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


def signature(root: etree._Element) -> bytes:
    """Decode SignatureValue as the tools of the system do."""
    text = root.findtext(f".//{{{DSIG}}}SignatureValue")
    assert text is not None
    return subprocess.run(["base64", "-d"], input=text.encode(), capture_output=True, check=True).stdout


def der_of(value: bytes) -> bytes:
    """Write r || s as the sequence that OpenSSL reads."""
    assert len(value) == sm2.SIGNATURE_BYTES
    return encode_dss_signature(int.from_bytes(value[:32], "big"), int.from_bytes(value[32:], "big"))


def unsigned(body: bytes) -> bytes:
    """Cut out the Signature that a published sample has; its own cannot be reproduced (spec signing.md)."""
    try:
        return xmldsig.strip(body)[0]
    except SigningError:
        return body
