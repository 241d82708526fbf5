"""Verifies the signature of a message that came signed."""

from dataclasses import dataclass
from typing import Final

from gateway.errors import Refused
from gateway.model import Fault, Header
from signing.keys.company import Company
from signing.keys.issuers import Issuers
from signing.xml.verify import SOUND_RSA_BITS, SignatureVerdict, verify

_FIX: Final = "sign the document again as the last step, and change nothing in it afterwards"
_CERTIFICATE_FIX: Final = (
    "sign with the certificate that customs issued to the company of copCode, in its period"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What is required of the certificate of a signed message, beside its period."""

    issuers: Issuers | None = None
    """The accepted issuers; None: any issuer."""
    company_oid: str = ""
    """OID of the field that names the company, which must be copCode or copName; empty: not checked."""
    rsa_bits: int = SOUND_RSA_BITS
    """Least bits of an RSA key."""


ANYONE: Final = Trust()


def check_signature(body: bytes, header: Header, trust: Trust) -> None:
    """Verify a signed document as customs does (docs/spec/signing.md, What is digested, What is signed, Traps).

    An unsigned one passes: the gateway signs it before sending. Raises Refused `invalid-signature` with a
    fault for each reason.
    """
    if not header.signed:
        return
    verdict = verify(body, issuers=trust.issuers, company=_company(header, trust), rsa_bits=trust.rsa_bits)
    if not verdict.valid:
        fix = _FIX if verdict.certificate_ok or not verdict.signature_ok else _CERTIFICATE_FIX
        raise Refused("invalid-signature", [_fault(header, reason, fix) for reason in _reasons(verdict)])


def _company(header: Header, trust: Trust) -> Company | None:
    if not trust.company_oid:
        return None
    return Company(oid=trust.company_oid, names=frozenset((header.cop_code, header.cop_name)) - {""})


def _reasons(verdict: SignatureVerdict) -> tuple[str, ...]:
    return verdict.reasons or ("the signature does not hold",)


def _fault(header: Header, reason: str, fix: str) -> Fault:
    return Fault(
        path=f"/{header.message_type.name}/ds:Signature",
        element="ds:Signature",
        name_zh="签名节点",
        rule="invalid_signature",
        message=reason,
        message_zh=f"签名验证失败：{reason}",
        fix=fix,
    )
