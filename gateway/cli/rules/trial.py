"""Judges one document by the rules of advice, without a gateway."""

from dataclasses import dataclass
from functools import partial

from gateway.advice.adviser import Adviser
from gateway.cli.document_check import check_document, declaration_in
from gateway.config.gateway_toml import LimitsConfig
from gateway.model import Advice
from gateway.rules.loading import Rules
from gateway.rules.schemas import View


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
    found = declaration_in(body, rules, LimitsConfig())
    if found is None:
        return Trial(message_type="", valid=False)
    advice = found.advice(partial(adviser.advise, received=received))
    return Trial(message_type=found.kind.name, valid=True, advice=advice)
