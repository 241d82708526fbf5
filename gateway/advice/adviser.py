"""Judges the declarations of a valid message by the rules of their own day. Pure."""

import re
from bisect import bisect_right
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from operator import itemgetter
from typing import Final, TypeVar

from gateway.advice.compiling import Found, Judged, Scope, compiled, evaluated
from gateway.advice.declared import DeclaredFields
from gateway.advice.functions import Kind, Value
from gateway.advice.syntax import ExpressionError, Text, calls, parse
from gateway.goods.register import OWN_TABLES, OwnTables
from gateway.model import Advice, MessageType, Severity
from gateway.rules.code_tables import CodeTables
from gateway.rules.personal import masked
from gateway.rules.rulebook import Rule, Rulebook
from gateway.rules.schema_model import ElementDecl, Grammar
from gateway.rules.schemas import Schemas

ADVICE_SHOWN: Final = 100
"""Most advice given on one message."""
_GRAVEST_FIRST: Final = tuple(Severity)
_VALUE_SHOWN: Final = 100
_NUMERIC: Final = frozenset({"decimal", "int", "integer"})
_Made = TypeVar("_Made")
_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_][\w.]*)\}", re.ASCII)


class Adviser:
    """Holds the rules compiled for each message type and time; for one thread."""

    def __init__(self, rulebook: Rulebook, tables: CodeTables, schemas: Schemas) -> None:
        """Compile nothing yet: each type is compiled when its first message comes."""
        self._rulebook = rulebook
        self._tables = tables
        self._schemas = schemas
        self._types: dict[str, _RulesOfType] = {}
        self._advised = frozenset(name for rule in rulebook.rules.values() for name in rule.types)

    def has_rules(self, message_type: str) -> bool:
        """Say whether there are rules for messages of a type."""
        return message_type in self._advised

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
        if not self.has_rules(kind.name):
            return ()
        rules = self._of_type(kind)
        found: dict[str, list[_Finding]] = {}
        for number, one in enumerate(declared, start=1):
            if numbers is not None and number not in numbers:
                continue
            for finding in rules.judge(one, number, received, own):
                of_rule = found.setdefault(finding.ready.rule.name, [])
                if len(of_rule) < ADVICE_SHOWN:
                    of_rule.append(finding)
        return tuple([rules.given(finding) for finding in _most_telling(found)])

    def check(self, kinds: Sequence[MessageType]) -> None:
        """Compile the rules of all these types now, for every time. Raises RulesError for the first that cannot be."""
        for kind in kinds:
            if self.has_rules(kind.name):
                self._of_type(kind).compile_all()

    def _of_type(self, kind: MessageType) -> "_RulesOfType":
        rules = self._types.get(kind.name)
        if rules is None:
            rules = self._types[kind.name] = _RulesOfType(kind, self._rulebook, self._tables, self._schemas)
        return rules


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """A rule and the expressions of its texts, compiled."""

    rule: Rule
    shows: Mapping[str, Callable[..., Value]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One declaration that is judged."""

    declared: DeclaredFields
    number: int
    """1-based, in its message."""
    moment: str
    """Second by which it is judged."""
    received: str
    own: OwnTables | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    """A rule that does not hold."""

    ready: _Ready
    place: int
    """1-based, of the item; 0: of the declaration."""
    case: _Case


def _most_telling(found: Mapping[str, Sequence[_Finding]]) -> list[_Finding]:
    """Choose `ADVICE_SHOWN` findings: of each rule the first before any second, then the gravest, rules in turns.

    So that what is not shown is the same said again, and nothing hides what an enterprise blocks on. `found`: rule →
    its findings. Returns them in the order of the document.
    """
    ranked = sorted(
        (
            (place > 0, _GRAVEST_FIRST.index(one.ready.rule.severity), place, number, one)
            for number, of_rule in enumerate(found.values())
            for place, one in enumerate(of_rule)
        ),
        key=itemgetter(slice(4)),
    )
    chosen = [ranks[-1] for ranks in ranked[:ADVICE_SHOWN]]
    return sorted(chosen, key=lambda one: (one.case.number, one.place))


class _RulesOfType:
    """The rules of one message type, compiled for each stretch of time in which the same ones are in force."""

    def __init__(self, kind: MessageType, rulebook: Rulebook, tables: CodeTables, schemas: Schemas) -> None:
        self._kind = kind
        self._tables = tables
        self._layout = layout_of(kind, schemas)
        self._rules = rulebook.of_type(kind.name)
        self._edges = sorted(
            {
                edge
                for rule in self._rules
                for edge in (rule.since, f"{rule.until}~" if rule.until else "")
                if edge
            }
        )
        self._judges: dict[tuple[int, bool], tuple[Found, Mapping[int, _Ready]]] = {}

    def judge(
        self, one: DeclaredFields, number: int, received: str, own: OwnTables | None
    ) -> Iterator[_Finding]:
        moment = own_moment(one.head, received)
        judge, ready = self._at(moment, own=own is not None)
        case = _Case(declared=one, number=number, moment=moment, received=received, own=own)
        for rule, place in judge(one.head, one.items, moment[:8], received, own):
            yield _Finding(ready=ready[rule], place=place, case=case)

    def compile_all(self) -> None:
        """Compile for every stretch of time."""
        for edge in ("", *self._edges):
            for own in (False, True):
                self._at(edge, own=own)

    def _at(self, moment: str, *, own: bool) -> tuple[Found, Mapping[int, _Ready]]:
        """Return what is in force at a time, compiled the first time it is asked for; `own`: as in `_compile`."""
        stretch = bisect_right(self._edges, moment), own
        if stretch not in self._judges:
            self._judges[stretch] = self._compile(moment, own=own)
        return self._judges[stretch]

    def _compile(self, moment: str, *, own: bool) -> tuple[Found, Mapping[int, _Ready]]:
        """Compile the rules of a moment; without tables of the enterprise's own (`own`) those that name none."""
        rules = [rule for rule in self._rules if rule.in_force(moment) and (own or not _looks_into_own(rule))]
        scope = self._layout.scope
        ready = {number: _Ready(rule=rule, shows=self._shows(rule)) for number, rule in enumerate(rules)}
        judged: list[Judged] = []
        for number, rule in enumerate(rules):
            one = _read(rule, number)
            _tried(rule, "holds", partial(compiled, [one], scope, self._tables))
            judged.append(one)
        return compiled(judged, scope, self._tables), ready

    def _shows(self, rule: Rule) -> Mapping[str, Callable[..., Value]]:
        """Compile what the texts of a rule name: fields, and the expressions of `shows`."""
        names = {
            name
            for text in (rule.zh, rule.en, rule.fix_zh, rule.fix_en)
            for name in _PLACEHOLDER.findall(text)
        }
        texts = {name: rule.shows.get(name, name) for name in (*names, *rule.shows)}
        return {name: self._show(rule, name, text) for name, text in texts.items()}

    def _show(self, rule: Rule, name: str, text: str) -> Callable[..., Value]:
        def make() -> Callable[..., Value]:
            return evaluated(parse(text), self._layout.scope, self._tables, each_item=rule.each_item)

        return _tried(rule, f"shows.{name}" if name in rule.shows else "zh", make)

    def given(self, finding: _Finding) -> Advice:
        """Say what a rule has to say."""
        ready, place, case = finding.ready, finding.place, finding.case
        rule, one = ready.rule, case.declared
        holder = one.items[place - 1] if place else one.head
        shown = {
            name: _as_text(name, show(one.head, one.items, case.moment[:8], case.received, place, case.own))
            for name, show in ready.shows.items()
        }

        def said(text: str) -> str:
            return _PLACEHOLDER.sub(lambda named: shown[named[1]], text)

        path, name_zh = self._layout.place(rule.at, case.number, place)
        return Advice(
            rule=rule.name,
            severity=rule.severity,
            path=path,
            declaration=case.number,
            element=rule.at,
            name_zh=name_zh,
            value=masked(rule.at, holder.get(rule.at, ""))[:_VALUE_SHOWN],
            code=rule.code,
            who=rule.who,
            message=said(rule.en),
            message_zh=said(rule.zh),
            fix=said(rule.fix_en),
            fix_zh=said(rule.fix_zh),
            grade=rule.grade,
            source=rule.source,
        )


def own_moment(head: Mapping[str, str], received: str) -> str:
    """Return the second by which a declaration is judged: that of its appTime, else that of its receipt."""
    declared = head.get("appTime", "")
    return declared if len(declared) == len("YYYYMMDDhhmmss") and declared.isdigit() else received


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where the fields of one message type stand."""

    kind: MessageType
    scope: Scope
    item: str
    """Name of the element that repeats inside a declaration; empty: none."""
    names_zh: Mapping[tuple[bool, str], str]
    """Whether a field is of an item, and its name → its Chinese name."""

    def place(self, name: str, number: int, place: int) -> tuple[str, str]:
        """Return path and Chinese name of a field of declaration `number`, and of its item `place`; 0: of its head."""
        body = f"/{self.kind.name}/{self.kind.body}[{number}]"
        if place:
            return f"{body}/{self.item}[{place}]/{name}", self.names_zh.get((True, name), "")
        head = f"/{self.kind.head}" if self.kind.head else ""
        if name in self.scope.head:
            return f"{body}{head}/{name}", self.names_zh.get((False, name), "")
        return f"{body}/{self.item}/{name}", self.names_zh.get((True, name), "")


def layout_of(kind: MessageType, schemas: Schemas) -> Layout:
    """Read from the schemas which fields a message type has. Raises RulesError for a type without a schema."""
    grammar = schemas.grammar_for(kind.name)
    body = grammar.child(schemas.declaration(kind.name), kind.body)
    holders = _holders(grammar, body) if body is not None else {}
    head = holders.pop(kind.head) if kind.head in holders else body
    item = next(iter(holders.values()), None)
    fields = {False: _leaves(grammar, head), True: _leaves(grammar, item)}
    return Layout(
        kind=kind,
        scope=Scope(
            head={n: k for n, (k, _) in fields[False].items()},
            item={n: k for n, (k, _) in fields[True].items()},
        ),
        item=item.name if item is not None else "",
        names_zh={(of, name): zh for of, leaves in fields.items() for name, (_, zh) in leaves.items()},
    )


def _holders(grammar: Grammar, body: ElementDecl) -> dict[str, ElementDecl]:
    """Return the children of a body that hold fields themselves, by name."""
    slots = grammar.shape(body).slots
    return {
        one.decl.name: one.decl
        for one in slots
        if one.decl is not None and grammar.shape(one.decl).text is None
    }


def _leaves(grammar: Grammar, holder: ElementDecl | None) -> dict[str, tuple[Kind, str]]:
    """Return the fields of a holder: name → kind and Chinese name."""
    if holder is None:
        return {}
    found: dict[str, tuple[Kind, str]] = {}
    for slot in grammar.shape(holder).slots:
        text = None if slot.decl is None else grammar.shape(slot.decl).text
        if slot.decl is not None and text is not None:
            found[slot.decl.name] = (Kind.NUMBER if text.base in _NUMERIC else Kind.TEXT, slot.decl.name_zh)
    return found


def _read(rule: Rule, number: int) -> Judged:
    return Judged(
        number=number,
        each_item=rule.each_item,
        when=_tried(rule, "when", lambda: parse(rule.when)) if rule.when else None,
        holds=_tried(rule, "holds", lambda: parse(rule.holds)),
    )


def _looks_into_own(rule: Rule) -> bool:
    """Say whether a rule looks something up in a table that enterprises have of their own. Raises RulesError."""
    read = _read(rule, 0)
    return any(
        isinstance(one, Text) and one.value in OWN_TABLES
        for expression in (read.when, read.holds)
        if expression is not None
        for call in calls(expression)
        if call.name in {"lookup", "in_table"}
        for one in call.arguments[:1]
    )


def _tried(rule: Rule, key: str, make: Callable[[], _Made]) -> _Made:
    """Make something of a rule. Raises RulesError that names its file, its table and the key."""
    try:
        return make()
    except ExpressionError as error:
        raise rule.place.error(str(error), key=key) from error


def _as_text(name: str, value: Value) -> str:
    if value is None:
        return "?"
    text = f"{value:f}" if isinstance(value, Decimal) else str(value)
    return masked(name.removeprefix("head."), text)[:_VALUE_SHOWN]
