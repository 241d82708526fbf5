"""Judges the declarations of a valid message by the rules of their own day. Pure."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from gateway.advice.compiling import Found, RuleCompiler
from gateway.advice.declared import DeclaredFields
from gateway.advice.layout import layout_of
from gateway.advice.placed_rule import Case, PlacedRule, placed
from gateway.errors import RulesError
from gateway.model import Advice, MessageType
from gateway.rules.code_tables import CodeTables
from gateway.rules.rulebook import Rulebook
from gateway.rules.schemas import Schemas

ADVICE_SHOWN: Final = 100
"""Most advice given on one message; the rest is the same said of further items."""


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

    def advise(
        self, kind: MessageType, declared: Sequence[DeclaredFields], received: str
    ) -> tuple[Advice, ...]:
        """Return what customs is likely to object to, in document order of the declarations.

        `received`: second of Beijing time at which the message came, `YYYYMMDDhhmmss`. Raises RulesError for a rule
        that cannot be compiled.
        """
        rules = self._types.get(kind.name)
        if rules is None:
            rules = self._types[kind.name] = _RulesOfType(kind, self._rulebook, self._tables, self._schemas)
        found: list[Advice] = []
        for number, one in enumerate(declared, start=1):
            for advice in rules.judge(one, number, received):
                found.append(advice)
                if len(found) == ADVICE_SHOWN:
                    return tuple(found)
        return tuple(found)

    def check(self, kinds: Sequence[MessageType]) -> None:
        """Compile the rules of all these types. Raises RulesError for the first that cannot be."""
        for mistake in self.mistakes(kinds):
            raise mistake

    def mistakes(self, kinds: Sequence[MessageType]) -> Iterator[RulesError]:
        """Compile the rules of all these types; yield the first mistake of each rule of each type."""
        for kind in kinds:
            if self._rulebook.of_type(kind.name):
                yield from _RulesOfType(kind, self._rulebook, self._tables, self._schemas).mistakes()


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
        self._stretches: dict[int, _Stretch] = {}

    def judge(self, one: DeclaredFields, number: int, received: str) -> Iterator[Advice]:
        """Yield the advice on one declaration. Raises RulesError for a rule that cannot be compiled."""
        moment = own_moment(one.head, received)
        at = bisect_right(self._edges, moment)
        stretch = self._stretches.get(at)
        if stretch is None:
            stretch = self._stretches[at] = self._compile(moment)
        found = stretch.judge(one.head, one.items, moment[:8], received)
        if found:
            case = Case(declared=one, number=number, moment=moment, received=received)
            for rule, place in sorted(found, key=itemgetter(1)):
                yield stretch.rules[rule].advice(place, case)

    def mistakes(self) -> Iterator[RulesError]:
        """Yield what is wrong with each rule that cannot be compiled for this type, its texts included."""
        for rule in self._rules:
            try:
                for one in placed(rule, self._layout, self._tables):
                    one.add_to(RuleCompiler(self._layout.scope, self._tables))
                    one.compile_texts()
            except RulesError as error:
                yield error

    def _compile(self, moment: str) -> "_Stretch":
        compiler = RuleCompiler(self._layout.scope, self._tables)
        rules: list[PlacedRule] = []
        for rule in self._rules:
            if rule.in_force(moment):
                for one in placed(rule, self._layout, self._tables, first=len(rules)):
                    one.add_to(compiler)
                    rules.append(one)
        return _Stretch(judge=compiler.judge(), rules=rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stretch:
    """What is in force for a while."""

    judge: Found
    rules: Sequence[PlacedRule]


def own_moment(head: Mapping[str, str], received: str) -> str:
    """Return the second by which a declaration is judged: that of its appTime, else that of its receipt."""
    declared = head.get("appTime", "")
    return declared if len(declared) == len("YYYYMMDDhhmmss") and declared.isdigit() else received
