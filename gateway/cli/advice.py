"""Advice as commands show it: what customs is likely to object to in a message that is valid."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from gateway.advice.adviser import Adviser
from gateway.cli.terminal import echo
from gateway.config.gateway_toml import LimitsConfig
from gateway.errors import Refused
from gateway.facts import message_facts
from gateway.goods.cache import own_tables
from gateway.model import Severity
from gateway.rules.loading import Rules
from gateway.submission.pipeline import advice_on, advising
from gateway.views.api import AdviceView, advice_views
from spool.entry import MessageView
from spool.store import Spool

WIDTH: Final = 80
"""Cells of a line at most."""


def new_adviser(rules: Rules) -> Adviser:
    """Return what gives advice; it compiles the rules of a message type when the first message comes."""
    return Adviser(rules.rulebook, rules.tables, rules.schemas)


def advice_on_accepted(
    view: MessageView, spool: Spool, rules: Rules, limits: LimitsConfig
) -> tuple[AdviceView, ...] | None:
    """Return the advice on a message in the spool, by the rules of today; None: it cannot be read under today's limits.

    Raises RulesError for a rule that cannot be compiled.
    """
    adviser, kind = new_adviser(rules), rules.catalogue.by_name(view.kind)
    body = spool.body(view.uid) if adviser.has_rules(view.kind) else None
    if body is None or kind is None:
        return ()
    try:
        advise = advising(adviser, view.accepted_at, own=own_tables(spool, view.owner))
        advice = advice_on(body, kind, limits, advise)
    except Refused:
        return None
    return advice_views(advice, message_facts(view.facts).declarations)


def tell_advice(advice: Sequence[AdviceView], *, indent: str = "  ") -> None:
    """Print advice in both languages, in lines of at most `WIDTH` cells."""
    for one in advice:
        line = f"line {one.line}" if one.line else ""
        code = f"customs answers {one.code}" if one.code else ""
        head = (one.severity, one.rule, line, one.source_place, code)
        _tell("  ".join(part for part in head if part), indent)
        for text in (f"{one.path} {one.name_zh}".rstrip(), one.message, one.message_zh):
            _tell(text, indent + "  ")
        _tell(f"fix ({one.who}): {one.fix}", indent + "  ")
        _tell(f"处理：{one.fix_zh}", indent + "  ")


def summary(advice: Sequence[AdviceView]) -> str:
    """Return how much advice there is, `2 errors, 1 hint`; empty: none."""
    told = Counter(one.severity for one in advice)
    return ", ".join(
        f"{told[severity]} {severity}{'' if told[severity] == 1 else 's'}"
        for severity in Severity
        if told[severity]
    )


def _tell(text: str, indent: str) -> None:
    room = WIDTH - len(indent)
    for line in Text(text).wrap(Console(width=room), room):
        echo(indent + line.plain.rstrip())
