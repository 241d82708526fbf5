"""Judges the declarations of a valid message by the rules of their own day. Pure."""

from bisect import bisect_right
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from gateway.advice.compiling import Found, RuleCompiler
from gateway.advice.declared import DeclaredFields
from gateway.advice.layout import layout_of
from gateway.advice.placed_rule import Case, PlacedRule, placed
from gateway.errors import RulesError
from gateway.goods.register import OwnTables
from gateway.model import Advice, MessageType, Severity
from gateway.rules.code_tables import CodeTables
from gateway.rules.rulebook import Rulebook
from gateway.rules.schemas import Schemas

ADVICE_SHOWN: Final = 100
"""Most advice given on one message."""
_GRAVEST_FIRST: Final = tuple(Severity)


class Adviser:
    """Holds the rules compiled for each message type and time; for one thread."""

    def __init__(self, rulebook: Rulebook, tables: CodeTables, schemas: Schemas) -> None:
        """Compile nothing yet: each type is compiled when its first message comes."""
        self._rulebook = rulebook
        self._tables = tables
        self._schemas = schemas
        self._types: dict[str, _RulesOfType] = {}

    @property
    def idle(self) -> bool:
        """Whether there is no rule at all."""
        return not self._rulebook.rules

    def has_rules(self, message_type: str) -> bool:
        """Say whether there are rules for messages of a type."""
        return bool(self._rulebook.of_type(message_type))

    def advise(
        self,
        kind: MessageType,
        declared: Sequence[DeclaredFields],
        received: str,
        numbers: Container[int] | None = None,
        own: OwnTables | None = None,
    ) -> tuple[Advice, ...]:
        """Return what customs is likely to object to, in document order of the declarations.

        `received`: second of Beijing time at which the message came, `YYYYMMDDhhmmss`. `numbers`: 1-based positions of
        the declarations to judge; None: all. `own`: what its enterprise has handed in to be compared with; rules that
        look into it sleep without. Raises RulesError for a rule that cannot be compiled.
        """
        rules = self._of_type(kind)
        found: dict[str, list[_Finding]] = {}
        for number, one in enumerate(declared, start=1):
            if numbers is not None and number not in numbers:
                continue
            for finding in rules.judge(one, number, received, own):
                of_rule = found.setdefault(finding.rule.rule.name, [])
                if len(of_rule) < ADVICE_SHOWN:
                    of_rule.append(finding)
        if not found:
            return ()
        return tuple([one.rule.advice(one.place, one.case) for one in _most_telling(found)])

    def check(self, kinds: Sequence[MessageType]) -> None:
        """Compile the rules of all these types, their texts included. Raises RulesError for the first that cannot be."""
        for mistake in self.mistakes(kinds):
            raise mistake

    def warm(self, kinds: Sequence[MessageType], moment: str) -> None:
        """Compile the rules that are in force at a second of Beijing time now, so that forked processes share them.

        Raises RulesError.
        """
        for kind in kinds:
            self._of_type(kind).warm(moment)

    def mistakes(self, kinds: Sequence[MessageType]) -> Iterator[RulesError]:
        """Compile the rules of all these types; yield the first mistake of each rule of each type."""
        for kind in kinds:
            yield from self._of_type(kind).mistakes()

    def _of_type(self, kind: MessageType) -> "_RulesOfType":
        rules = self._types.get(kind.name)
        if rules is None:
            rules = self._types[kind.name] = _RulesOfType(kind, self._rulebook, self._tables, self._schemas)
        return rules


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    """A rule that does not hold."""

    rule: PlacedRule
    place: int
    """1-based, of the item; 0: of the declaration."""
    case: Case


def _most_telling(found: Mapping[str, Sequence[_Finding]]) -> list[_Finding]:
    """Choose `ADVICE_SHOWN` findings: of each rule the first before any second, then the gravest, rules in turns.

    So that what is not shown is the same said again, and nothing hides what an enterprise blocks on. `found`: rule →
    its findings. Returns them in the order of the document.
    """
    ranked = sorted(
        (
            (place > 0, _GRAVEST_FIRST.index(one.rule.rule.severity), place, number, one)
            for number, of_rule in enumerate(found.values())
            for place, one in enumerate(of_rule)
        ),
        key=itemgetter(slice(4)),
    )
    chosen = [ranks[-1] for ranks in ranked[:ADVICE_SHOWN]]
    return sorted(chosen, key=lambda one: (one.case.number, one.place))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stretch:
    """What is in force for a while."""

    judge: Found
    rules: Sequence[PlacedRule]


class _RulesOfType:
    """The rules of one message type, compiled for each stretch of time in which the same ones are in force."""

    def __init__(self, kind: MessageType, rulebook: Rulebook, tables: CodeTables, schemas: Schemas) -> None:
        self._tables = tables
        self._layout = layout_of(kind, schemas)
        self._rules = [rule for rule in rulebook.of_type(kind.name) if not rule.asleep(tables)]
        self._edges = sorted(
            {
                edge
                for rule in self._rules
                for edge in (rule.since, f"{rule.until}~" if rule.until else "")
                if edge
            }
        )
        self._stretches: dict[tuple[int, bool], _Stretch] = {}

    def judge(
        self, one: DeclaredFields, number: int, received: str, own: OwnTables | None
    ) -> Sequence[_Finding]:
        """Return the rules that do not hold for one declaration. Raises RulesError for a rule that cannot be compiled."""
        moment = own_moment(one.head, received)
        stretch = self._at(moment, own=own is not None)
        found = stretch.judge(one.head, one.items, moment[:8], received, own)
        if not found:
            return ()
        case = Case(declared=one, number=number, moment=moment, received=received, own=own)
        return [_Finding(rule=stretch.rules[rule], place=place, case=case) for rule, place in found]

    def warm(self, moment: str) -> None:
        """Compile what is in force at a time, for an enterprise without tables of its own. Raises RulesError."""
        self._at(moment, own=False)

    def mistakes(self) -> Iterator[RulesError]:
        """Yield what is wrong with each rule that cannot be compiled for this type, its texts included."""
        for rule in self._rules:
            try:
                for one in placed(rule, self._layout, self._tables):
                    one.add_to(RuleCompiler(self._layout.scope, self._tables))
                    one.compile_texts()
            except RulesError as error:
                yield error

    def _at(self, moment: str, *, own: bool) -> _Stretch:
        """Return what is in force at a time, compiled the first time it is asked for; `own`: as in `_compile`."""
        at = bisect_right(self._edges, moment), own
        stretch = self._stretches.get(at)
        if stretch is None:
            stretch = self._stretches[at] = self._compile(moment, own=own)
        return stretch

    def _compile(self, moment: str, *, own: bool) -> _Stretch:
        """Compile the rules of a moment; without tables of the enterprise's own (`own`) those that name none."""
        compiler = RuleCompiler(self._layout.scope, self._tables)
        rules: list[PlacedRule] = []
        for rule in self._rules:
            if rule.in_force(moment):
                for one in placed(rule, self._layout, self._tables, first=len(rules)):
                    if own or not one.looks_into_own:
                        one.add_to(compiler)
                        rules.append(one)
        return _Stretch(judge=compiler.judge(), rules=rules)


def own_moment(head: Mapping[str, str], received: str) -> str:
    """Return the second by which a declaration is judged: that of its appTime, else that of its receipt."""
    declared = head.get("appTime", "")
    return declared if len(declared) == len("YYYYMMDDhhmmss") and declared.isdigit() else received
