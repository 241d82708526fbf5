"""Checks one document of any kind: returns its message type and every fault, as `gateway validate` shows them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from lxml import etree
from msgspec import structs

from gateway.advice.declared import declared_in_tree
from gateway.advice.places import on_lines
from gateway.config.gateway_toml import LimitsConfig
from gateway.errors import EnvelopeError, Refused
from gateway.model import Advice, Direction, Fault, MessageType
from gateway.rules.fault_texts import shown_of
from gateway.rules.fields import customs_code
from gateway.rules.loading import Rules
from gateway.rules.schemas import View
from gateway.rules.texts import fault_of
from gateway.submission.identify import identify, uncorrelatable
from gateway.submission.pipeline import Advise
from gateway.submission.placed import placed
from gateway.submission.repeated import contradictions
from gateway.submission.signable import drafted
from gateway.submission.validate import validate
from gateway.views.api import AdviceView, advice_views
from gateway.xml.decode import decode
from gateway.xml.envelope import DXP, unwrap_tree
from signing.keys.suite import RSA_SHA1

_NOT_OPENED: Final = "envelope"
_DATA: Final = {"DxpMsg": "/DxpMsg/Data", "DxpMsgSv": "/DxpMsgSv/DxpMsg/Data"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedDocument:
    """The result for one document."""

    message_type: str
    """Local name of the root (`CEB311Message`, `DxpMsg`); empty when the root is no known message."""
    faults: tuple[Fault, ...]
    """In the order of the document; empty when it is valid."""


def check_document(
    body: bytes, rules: Rules, view: View, limits: LimitsConfig | None = None
) -> CheckedDocument:
    """Check a declaration, a receipt or a DXP document; never raises, whatever the bytes are.

    View `declared` also finds declarations that no answer could be matched to, duplicates with different content, and
    documents that cannot be signed, as the gateway does on submission; `sendable` is only the schema of customs. An
    envelope is checked by its own schema, then the CEB document in it: the paths of that document's faults begin
    with the path of Data, their lines and columns count inside the decoded document. Signatures are not verified.
    """
    bounds = limits or LimitsConfig()
    name, faults = _judged(body, rules, view, bounds, to_be_signed=view is View.DECLARED)
    return CheckedDocument(message_type=name if name in rules.schemas.roots else "", faults=shown_of(faults))


def advice_on_document(
    body: bytes, rules: Rules, advise: Advise, limits: LimitsConfig | None = None
) -> tuple[AdviceView, ...]:
    """Return the advice on a document that `check_document` found valid; nothing on receipts.

    As for faults, the paths of a document in an envelope begin with the path of Data. Raises RulesError for a rule that
    cannot be compiled.
    """
    found = declaration_in(body, rules, limits or LimitsConfig())
    if found is None:
        return ()
    header = identify(found.root, rules.catalogue, rules.schemas.edition)
    views = advice_views(found.advice(advise), header.declarations) or ()
    return (
        tuple([structs.replace(one, path=found.within + one.path) for one in views])
        if found.within
        else views
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundDeclaration:
    """The declaration message in a valid document."""

    kind: MessageType
    body: bytes
    root: etree._Element
    within: str
    """Path of the Data that holds it; empty: it came without an envelope."""

    def advice(self, advise: Advise) -> tuple[Advice, ...]:
        """Return the advice on it, with lines. Raises RulesError for a rule that cannot be compiled."""
        return on_lines(advise(self.kind, declared_in_tree(self.root, self.kind)), self.body, self.root)


def declaration_in(body: bytes, rules: Rules, limits: LimitsConfig) -> FoundDeclaration | None:
    """Find the declaration message in a document that `check_document` found valid; None: it holds none."""
    root, within = decode(body, limits), ""
    name = etree.QName(root).localname
    if name in _DATA and etree.QName(root).namespace == DXP:
        body, within = unwrap_tree(root, body).business, _DATA[name]
        root = decode(body, limits)
    kind = rules.catalogue.by_name(etree.QName(root).localname)
    if kind is None or kind.direction is not Direction.DECLARATION:
        return None
    return FoundDeclaration(kind=kind, body=body, root=root, within=within)


def _judged(
    body: bytes, rules: Rules, view: View, limits: LimitsConfig, *, to_be_signed: bool
) -> tuple[str, list[Fault]]:
    """Return the local name of the root, empty when there is none, and the faults."""
    try:
        root = decode(body, limits)
    except Refused as refused:
        return "", list(refused.faults)
    faults = [*validate(root, rules.schemas, view, body=body)]
    name = etree.QName(root).localname
    if name in _DATA and etree.QName(root).namespace == DXP:
        told = {fault.path for fault in faults}
        inside = _inside(root, body, rules, view, limits)
        faults += [fault for fault in inside if fault.rule != _NOT_OPENED or fault.path not in told]
    elif not faults and view is View.DECLARED:
        faults += _not_taken(root, body, rules, to_be_signed=to_be_signed)
    return name, faults


def _not_taken(root: etree._Element, body: bytes, rules: Rules, *, to_be_signed: bool) -> Sequence[Fault]:
    """Return why the gateway would not accept a declaration that the schema allows."""
    kind = rules.catalogue.by_name(etree.QName(root).localname)
    if kind is None or kind.direction is not Direction.DECLARATION:
        return ()
    header = identify(root, rules.catalogue, rules.schemas.edition)
    faults = placed((*uncorrelatable(header), *contradictions(root, header, body)), (root, body))
    if not faults and to_be_signed and not header.signed:
        try:
            drafted(body, root, header, RSA_SHA1)
        except Refused as refused:
            return placed(refused.faults, (root, body))
    return faults


def _inside(
    root: etree._Element, body: bytes, rules: Rules, view: View, limits: LimitsConfig
) -> Iterator[Fault]:
    """Check the document in the envelope; faults of the envelope itself are found elsewhere."""
    data = _DATA[etree.QName(root).localname]
    try:
        business = unwrap_tree(root, body).business
    except EnvelopeError as error:
        words = {"reason": error.what, "advice": error.fix}
        code = customs_code(_NOT_OPENED, data)
        yield fault_of(f"submission.{_NOT_OPENED}", words, path=data, element="Data", code=code)
        return
    for fault in _judged(business, rules, view, limits, to_be_signed=False)[1]:
        yield replace(fault, path=f"{data}{fault.path}")
