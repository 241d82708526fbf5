"""One document, whatever it is → what kind of message it is and every fault in it, as `validate` tells them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from lxml import etree

from gateway.config.gateway_toml import LimitsConfig
from gateway.errors import EnvelopeError, Refused
from gateway.model import Direction, Fault
from gateway.rules.fault_texts import shown_of
from gateway.rules.loading import Rules
from gateway.rules.schemas import View
from gateway.submission.identify import identify, uncorrelatable
from gateway.submission.repeated import contradictions
from gateway.submission.signable import drafted
from gateway.submission.validate import validate
from gateway.xml.decode import decode
from gateway.xml.envelope import DXP, unwrap_tree
from signing.keys.suite import RSA_SHA1

_DATA: Final = {"DxpMsg": "/DxpMsg/Data", "DxpMsgSv": "/DxpMsgSv/DxpMsg/Data"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedDocument:
    """The verdict on one document."""

    message_type: str
    """Local name of the root (`CEB311Message`, `DxpMsg`); empty when the root is no message we know."""
    faults: tuple[Fault, ...]
    """In the order of the document; empty when it is valid."""


def check_document(
    body: bytes, rules: Rules, view: View, limits: LimitsConfig | None = None
) -> CheckedDocument:
    """Judge a declaration, a receipt or a DXP document; never raises, whatever the bytes are.

    View `declared` also finds declarations that no answer could be matched to, those that are there twice with other
    content, and documents that cannot be signed, as the gateway does when it is handed one; `sendable` is the schema of customs and nothing else. An envelope is judged by its own schema,
    and then the CEB document in it: the paths of that document's faults begin with the path of Data, their
    lines and columns count inside the decoded document. Signatures are not verified here.
    """
    bounds = limits or LimitsConfig()
    name, faults = _judged(body, rules, view, bounds, to_be_signed=view is View.DECLARED)
    return CheckedDocument(message_type=name if name in rules.schemas.roots else "", faults=shown_of(faults))


def _judged(
    body: bytes, rules: Rules, view: View, limits: LimitsConfig, *, to_be_signed: bool
) -> tuple[str, list[Fault]]:
    """Give the local name of the root, empty where there is none, and the faults."""
    try:
        root = decode(body, limits)
    except Refused as refused:
        return "", list(refused.faults)
    faults = [*validate(root, rules.schemas, view)]
    name = etree.QName(root).localname
    if name in _DATA and etree.QName(root).namespace == DXP:
        faults += _inside(root, body, rules, view, limits)
    elif not faults and view is View.DECLARED:
        faults += _not_taken(root, body, rules, to_be_signed=to_be_signed)
    return name, faults


def _not_taken(root: etree._Element, body: bytes, rules: Rules, *, to_be_signed: bool) -> Sequence[Fault]:
    """Say why the gateway would not take a valid declaration."""
    kind = rules.catalogue.by_name(etree.QName(root).localname)
    if kind is None or kind.direction is not Direction.DECLARATION:
        return ()
    header = identify(root, rules.catalogue, rules.schemas.edition)
    faults = (*uncorrelatable(header), *contradictions(root, header))
    if not faults and to_be_signed and not header.signed:
        try:
            drafted(body, root, header, RSA_SHA1)
        except Refused as refused:
            return refused.faults
    return faults


def _inside(
    root: etree._Element, body: bytes, rules: Rules, view: View, limits: LimitsConfig
) -> Iterator[Fault]:
    """Judge the document in the envelope; faults of the envelope itself are known already."""
    data = _DATA[etree.QName(root).localname]
    try:
        business = unwrap_tree(root, body).business
    except EnvelopeError as error:
        yield Fault(
            path=data,
            element="Data",
            rule="envelope",
            message=error.what,
            message_zh=f"Data无法解开：{error.what}",
            fix=error.fix,
        )
        return
    for fault in _judged(business, rules, view, limits, to_be_signed=False)[1]:
        yield replace(fault, path=f"{data}{fault.path}")
