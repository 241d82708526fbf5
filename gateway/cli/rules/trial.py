"""Judges one document by the rules of advice, without a gateway."""

from dataclasses import dataclass

from lxml import etree

from gateway.advice.adviser import Adviser
from gateway.advice.declared import declared_in_tree
from gateway.advice.places import on_lines
from gateway.cli.document_check import check_document
from gateway.config.gateway_toml import LimitsConfig
from gateway.model import Advice, Direction
from gateway.rules.loading import Rules
from gateway.rules.schemas import View
from gateway.xml.decode import decode
from gateway.xml.envelope import DXP, unwrap_tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What was found in one document."""

    message_type: str
    """Of the declarations in it; empty when there are none."""
    valid: bool
    """It holds declarations, and the gateway would take it."""
    advice: tuple[Advice, ...] = ()


def tried(body: bytes, rules: Rules, adviser: Adviser, received: str) -> Trial:
    """Judge a declaration message, or the one in an envelope; `received`: second of Beijing time. Never raises on the document."""
    if check_document(body, rules, View.DECLARED).faults:
        return Trial(message_type="", valid=False)
    limits = LimitsConfig()
    root = decode(body, limits)
    if etree.QName(root).namespace == DXP:
        body = unwrap_tree(root, body).business
        root = decode(body, limits)
    kind = rules.catalogue.by_name(etree.QName(root).localname)
    if kind is None or kind.direction is not Direction.DECLARATION:
        return Trial(message_type="", valid=False)
    advice = adviser.advise(kind, declared_in_tree(root, kind), received)
    return Trial(message_type=kind.name, valid=True, advice=on_lines(advice, body, root))
