"""Advice on which an enterprise wants its messages refused: `block_on` in its file. Without it nothing is refused."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from gateway.errors import ConfigError
from gateway.mapping.faults import told_of
from gateway.mapping.sources.item import Spot
from gateway.model import Advice, Enterprise, Fault, Severity
from gateway.rules.rulebook import Rulebook

RULE: Final = "rule:"
_GRAVEST_FIRST: Final = tuple(Severity)


def blocking(advice: Sequence[Advice], block_on: Sequence[str]) -> tuple[Advice, ...]:
    """Return the advice on which a message is refused.

    A severity in `block_on` stands for itself and the graver ones; `rule:` and a name for that rule alone.
    """
    if not block_on:
        return ()
    wanted = frozenset(block_on)
    return tuple(one for one in advice if not wanted.isdisjoint(_reasons(one)))


def _reasons(advice: Advice) -> tuple[str, ...]:
    """Return every entry of `block_on` that this advice answers to."""
    place = _GRAVEST_FIRST.index(advice.severity)
    return (RULE + advice.rule, *_GRAVEST_FIRST[place:])


def fault_of(advice: Advice) -> Fault:
    """Return blocking advice as a fault; of a translated document with its place in the source."""
    fault = Fault(
        path=advice.path,
        line=advice.line,
        column=advice.column,
        element=advice.element,
        name_zh=advice.name_zh,
        value=advice.value,
        rule=advice.rule,
        message=advice.message,
        message_zh=advice.message_zh,
        fix=advice.fix,
        fix_zh=advice.fix_zh,
        code=advice.code,
    )
    if not advice.source_place:
        return fault
    return told_of(fault, Spot(text=advice.source_place, line=advice.line, column=advice.column))


def check_block_on(enterprises: Iterable[Enterprise], rulebook: Rulebook, folder: Path) -> None:
    """Check that each enterprise that is not disabled blocks on severities and rules that there are.

    `folder`: that of the enterprises' files. Raises ConfigError for the first that does not.
    """
    names = frozenset([*Severity, *(RULE + name for name in rulebook.rules)])
    for one in enterprises:
        for entry in () if one.disabled else one.block_on:
            if entry not in names:
                raise ConfigError(
                    _unknown(entry),
                    where=f"{folder / one.id}.toml, block_on",
                    fix=_meant(entry, tuple(rulebook.rules)),
                )


def _unknown(entry: str) -> str:
    if entry.startswith(RULE):
        return f"there is no rule {entry.removeprefix(RULE)!r}, or it is switched off"
    return f"{entry!r} is neither a severity nor a rule"


def _meant(entry: str, rules: Sequence[str]) -> str:
    name = entry.removeprefix(RULE)
    severities = () if entry.startswith(RULE) else tuple(Severity)
    near = get_close_matches(name, severities, n=1)
    near = near or [RULE + rule for rule in get_close_matches(name, rules, n=1)]
    meant = f'"{near[0]}" is meant? ' if near else ""
    return f'{meant}write "error", "warning" or "hint", or "rule:" and the name of a rule, for instance "rule:order-paid-sum"'
