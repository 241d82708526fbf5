"""What we sign is accepted by an independent implementation: the xmlsec1 tool."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from lxml import etree

from signing.errors import SigningError
from signing.keys.files import FileSigner
from signing.xml import splice
from signing.xml.verify import verify
from tests.signing_documents import DOCUMENTS, EXPORTS, write_key
from tests.spec import SPEC, needs_spec

SAMPLES = sorted((SPEC / "samples").rglob("*.xml")) if SPEC.is_dir() else []


class Xmlsec1:
    """The tool with the certificate that it shall trust."""

    def __init__(self, tool: str, folder: Path) -> None:
        self.signer: FileSigner = write_key(folder)
        self._folder = folder
        version = re.search(
            r"(\d+)\.(\d+)",
            subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout,
        )
        assert version is not None
        # Since 1.3 a KeyName that names no stored key ends the search, unless it is told to be lax.
        lax = ["--lax-key-search"] if (int(version[1]), int(version[2])) >= (1, 3) else []
        trusted = ["--trusted-pem", str(folder / "certificate.pem")]
        self._command = [tool, "--verify", "--enabled-key-data", "x509", *trusted, *lax]

    def accepts(self, body: bytes) -> bool:
        file = self._folder / "signed.xml"
        file.write_bytes(body)
        return subprocess.run([*self._command, str(file)], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def xmlsec1(tmp_path_factory: pytest.TempPathFactory) -> Xmlsec1:
    tool = shutil.which("xmlsec1")
    if tool is None:
        advice = "xmlsec1 is not installed: apt-get install xmlsec1"
        if os.environ.get("CI"):
            pytest.fail(advice)
        pytest.skip(advice)
    return Xmlsec1(tool, Path(tmp_path_factory.mktemp("xmlsec1")))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_xmlsec1_accepts_our_signature_on_import_forms(name: str, xmlsec1: Xmlsec1) -> None:
    assert xmlsec1.accepts(splice.sign(DOCUMENTS[name], xmlsec1.signer).body)


@pytest.mark.parametrize("name", EXPORTS)
def test_xmlsec1_accepts_our_signature_on_export_forms(name: str, xmlsec1: Xmlsec1) -> None:
    assert xmlsec1.accepts(splice.sign(EXPORTS[name], xmlsec1.signer, before="ExtendMessage").body)


def test_xmlsec1_refuses_a_changed_document(xmlsec1: Xmlsec1) -> None:
    body = splice.sign(DOCUMENTS["with_xsi"], xmlsec1.signer).body
    assert not xmlsec1.accepts(body.replace(b"T-1", b"T-2"))


@needs_spec
@pytest.mark.parametrize("path", SAMPLES, ids=[str(path.relative_to(SPEC / "samples")) for path in SAMPLES])
@pytest.mark.parametrize("before", ["", "ExtendMessage"])
def test_xmlsec1_accepts_our_signature_on_every_sample(path: Path, before: str, xmlsec1: Xmlsec1) -> None:
    body = _unsigned(path.read_bytes())
    if before and etree.fromstring(body).find(f"{{*}}{before}") is None:
        before = ""
    signed = splice.sign(body, xmlsec1.signer, before=before)
    assert splice.cut(signed.body, signed.span) == body
    assert xmlsec1.accepts(signed.body)
    assert verify(signed.body).valid


def _unsigned(body: bytes) -> bytes:
    """Cut out the Signature that a published sample has; its own cannot be reproduced (docs/spec/signing.md)."""
    try:
        return splice.strip(body)[0]
    except SigningError:
        return body
