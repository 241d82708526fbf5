"""A message that came signed → nothing, or why its signature does not hold."""

from typing import Final

from gateway.errors import Refused
from gateway.model import Fault, Header
from signing.verify import Verdict, verify

_FIX: Final = "sign the document again as the last step, and change nothing in it afterwards"


def check_signature(body: bytes, header: Header) -> None:
    """Verify digest and signature of a signed document (spec signing.md, What is digested, What is signed).

    An unsigned one passes: the gateway signs it on its way out. Raises Refused `invalid-signature` with a
    fault for each reason.
    """
    if not header.signed:
        return
    verdict = verify(body)
    if not verdict.valid:
        raise Refused("invalid-signature", [_fault(header, reason) for reason in _reasons(verdict)])


def _reasons(verdict: Verdict) -> tuple[str, ...]:
    return verdict.reasons or ("the signature does not hold",)


def _fault(header: Header, reason: str) -> Fault:
    return Fault(
        path=f"/{header.message_type.name}/ds:Signature",
        element="ds:Signature",
        name_zh="签名节点",
        rule="invalid_signature",
        message=reason,
        message_zh=f"签名验证失败：{reason}",
        fix=_FIX,
    )
