"""Verifies the signature of a message that came signed."""

from dataclasses import dataclass
from typing import Final

from gateway.errors import Refused
from gateway.model import Fault, Header
from gateway.rules.fields import customs_code
from gateway.rules.texts import fault_of
from signing.keys.company import Company
from signing.keys.issuers import Issuers
from signing.xml.verify import SOUND_RSA_BITS, SignatureVerdict, verify

_RULE: Final = "invalid_signature"
_PARTS: Final = frozenset({"digest", "signature", "certificate"})
"""What a reason of `verify` begins with."""


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
        raise Refused("invalid-signature", [_fault(header, reason) for reason in _reasons(verdict)])


def _company(header: Header, trust: Trust) -> Company | None:
    if not trust.company_oid:
        return None
    return Company(oid=trust.company_oid, names=frozenset((header.cop_code, header.cop_name)) - {""})


def _reasons(verdict: SignatureVerdict) -> tuple[str, ...]:
    return verdict.reasons or ("the signature does not hold",)


def _fault(header: Header, reason: str) -> Fault:
    path, part = f"/{header.message_type.name}/ds:Signature", reason.partition(":")[0]
    key = f"{_RULE}.{part}" if part in _PARTS else _RULE
    return fault_of(
        f"submission.{key}",
        {"reason": reason},
        path=path,
        element="ds:Signature",
        name_zh="签名节点",
        code=customs_code(key, path),
    )
