"""Verifies the signature of a message that came signed."""

from dataclasses import dataclass
from typing import Final

from gateway.errors import Refused
from gateway.model import Fault, Header
from signing.keys.company import Company
from signing.keys.issuers import Issuers
from signing.xml.verify import SOUND_RSA_BITS, SignatureVerdict, verify

_FIX: Final = (
    "sign the document again as the last step, and change nothing in it afterwards",
    "请在最后一步重新加签，加签后不得再改动报文",
)
_CERTIFICATE_FIX: Final = (
    "sign with the certificate that customs issued to the company of copCode, in its period",
    "请使用海关为copCode所属企业签发、且在有效期内的证书加签",
)
_REASONS_ZH: Final = {
    "digest": "摘要不一致，报文在加签后被改动",
    "signature": "签名值与证书公钥不符",
    "certificate": "证书不符合要求（证书内容、有效期、颁发机构或所属企业）",
}
_REASON_ZH: Final = "签名节点的结构不符合规定"


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


def _fault(header: Header, reason: str, fix: tuple[str, str]) -> Fault:
    return Fault(
        path=f"/{header.message_type.name}/ds:Signature",
        element="ds:Signature",
        name_zh="签名节点",
        rule="invalid_signature",
        message=reason,
        message_zh=f"签名验证失败：{_REASONS_ZH.get(reason.partition(':')[0], _REASON_ZH)}",
        fix=fix[0],
        fix_zh=fix[1],
    )
