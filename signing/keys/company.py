"""Check which company a certificate was issued to; the operator configures the OID under which it stands.

Customs compares it with the declaring company (errors -621015, -625013), but which of the private extensions
under 1.3.6.1.4.1.5315.100 holds what is not verified (docs/spec/signing.md, SM2 details): hence no default.
"""

from dataclasses import dataclass

from cryptography import x509

from signing.errors import SigningError
from signing.keys import der

_BMP_STRING = 0x1E
_TEXTS = {0x0C: "utf-8", 0x13: "ascii", 0x14: "latin-1", 0x16: "ascii", _BMP_STRING: "utf-16-be"}
"""Tags of DER string types → their text encoding."""
_OCTETS = 0x04
_FALLBACKS = ("utf-8", "gb18030")


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """The company that a certificate must have been issued to."""

    oid: str
    """Object identifier, dotted, of an extension or of a part of the subject: `2.5.4.10` is the organisation."""
    names: frozenset[str]
    """Its code and name as in the document: the certificate must contain one of them."""

    def objection(self, certificate: x509.Certificate) -> str:
        """Return why it is not this company's certificate, without any names; empty if it is."""
        said = companies_in(certificate, self.oid)
        if not said:
            return f"the certificate names no company under {self.oid}"
        if not said & self.names:
            return "the company of the certificate is not that of the document"
        return ""


def companies_in(certificate: x509.Certificate, oid: str) -> frozenset[str]:
    """Read the texts under `oid` in subject and extensions; empty if they cannot be read."""
    try:
        wanted = x509.ObjectIdentifier(oid)
        subject = {str(part.value) for part in certificate.subject.get_attributes_for_oid(wanted)}
        private = {
            _text(extension.value.value)
            for extension in certificate.extensions
            if extension.oid == wanted and isinstance(extension.value, x509.UnrecognizedExtension)
        }
    except Exception:  # noqa: BLE001 (any bytes may be there, and the parser's errors are open-ended)
        return frozenset()
    return frozenset(text.strip() for text in subject | private) - {""}


def _text(value: bytes) -> str:
    """Read a DER string, one wrapped in an OCTET STRING, or bare text."""
    try:
        (item,) = der.read(value)
        if item.tag == _OCTETS:
            (item,) = der.read(item.content)
        return item.content.decode(_TEXTS[item.tag])
    except (SigningError, ValueError, KeyError):
        return _bare(value)


def _bare(value: bytes) -> str:
    for encoding in _FALLBACKS:
        try:
            return value.decode(encoding)
        except UnicodeDecodeError:
            continue
    return ""
