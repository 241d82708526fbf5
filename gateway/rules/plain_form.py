"""Schemas as regular expressions: documents in plain form are read and validated in one pass, without a tree.

Nearly every message has the plain form that programs write: UTF-8, one prefix, elements without attributes,
texts without references, no comments. For such a document a schema of this field (sequences of elements, texts
limited in length and digits) is a regular expression, and Python's own engine runs it ten times as fast as
libxml2 parses and validates. What an expression matches is valid by its schema; what it does not match may
still be valid, and is left to `gateway.xml.decode` and `gateway.submission.validate`.
Why, and what keeps both ways in agreement: docs/adr/0019.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.model import MessageType
from gateway.rules.catalogue import Catalogue
from gateway.rules.schema_model import ElementDecl, Grammar, Slot, ValueType
from gateway.rules.schemas import SIGNATURE, Schemas

PREFIXES: Final = frozenset({"ceb", ""})
"""The prefixes in use; each has its own set of expressions."""
SENDER: Final = ("copCode", "copName", "dxpId")
"""The fields that are read from BaseTransfer."""

_WHITE: Final = r"[ \t\n]*+"
_CHARACTER: Final = r"[^<>&\x00-\x1f\x7f-\x9f]"
"""Characters of a text, without those that canonical form would change or XML might refuse."""
_NO_BLANK: Final = r"[^<>&\x00-\x20\x7f-\x9f]"
_LONGEST: Final = 65_535
"""Most characters of a text that its schema does not limit; a document with a longer one is not in plain form."""
_DIGITS: Final = 18
"""Most digits of a number that its schema does not limit."""
_INT_DIGITS: Final = 9
"""Any number with at most so many digits is an xs:int."""


class _NotPlainError(Exception):
    """The schema contains something that has no expression here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainPart:
    """An expression for a sequence of elements, with the white space between them."""

    pattern: re.Pattern[str]
    fields: tuple[str, ...]
    """Names of the elements whose texts the groups capture, in order; the group of an absent element is None."""
    named: tuple[tuple[str, int], ...]
    """Those that identify a declaration or its sender, each with its group."""
    items: int
    """Group of the elements that repeat in a declaration and hold others, as written; 0: there is none."""

    def texts(self, found: re.Match[str]) -> dict[str, str]:
        """Return the stripped texts of the `named` fields that are present and not empty."""
        return {name: stripped for name, group in self.named if (stripped := (found[group] or "").strip())}

    def head(self, found: re.Match[str]) -> dict[str, str]:
        """Return the texts of all fields that are present and not blank, as written."""
        return {
            name: text
            for name, text in zip(self.fields, found.groups(), strict=True)
            if text and name and not text.isspace()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainForm:
    """The plain form of an unsigned message of one type with one prefix."""

    kind: MessageType
    attributes: Mapping[str, re.Pattern[str]]
    """Attributes of the root: name → expression for its value."""
    required: frozenset[str]
    """Attributes that must be present."""
    before: PlainPart
    """The part before the first body."""
    body: PlainPart
    most: int
    """Most bodies in a message."""
    after: PlainPart
    """The part after the last body; its fields are `SENDER`."""
    name: str
    """Name of the root, with its prefix."""
    end: str
    """Root end tag."""
    depth: int
    """Most levels of elements."""


class PlainForms:
    """The plain forms of all declarations of one edition; each is built at its first use."""

    def __init__(self, schemas: Schemas, catalogue: Catalogue) -> None:
        self._schemas = schemas
        self._catalogue = catalogue
        self._forms: dict[tuple[str, str], PlainForm | None] = {}

    @property
    def edition(self) -> str:
        """Edition of the schemas."""
        return self._schemas.edition

    def form(self, name: str, prefix: str) -> PlainForm | None:
        """Return the form of messages with this root and prefix; None if there is none."""
        key = (name, prefix)
        if key not in self._forms:
            kind = self._catalogue.by_name(name)
            if kind is None or prefix not in PREFIXES or name not in self._schemas.roots:
                return None
            self._forms[key] = self._make(kind, prefix)
        return self._forms[key]

    def _make(self, kind: MessageType, prefix: str) -> PlainForm | None:
        grammar = self._schemas.grammar_for(kind.name)
        root = self._schemas.declaration(kind.name)
        shape = grammar.shape(root)
        places = [slot for slot in shape.slots if slot.decl is not None and slot.decl.name == kind.body]
        if len(places) != 1 or not shape.ordered or shape.open or shape.text is not None:
            return None
        (body,) = places
        at = shape.slots.index(body)
        try:
            written = _Writer(grammar, kind, f"{prefix}:" if prefix else "")
            return PlainForm(
                kind=kind,
                attributes={one.name: re.compile(_value(one.type)) for one in shape.attributes},
                required=frozenset(one.name for one in shape.attributes if one.required),
                before=written.part(shape.slots[:at]),
                body=written.part([Slot(decl=body.decl, low=1, high=1)]),
                most=body.high or _LONGEST,
                after=written.part(shape.slots[at + 1 :]),
                name=written.prefix + kind.name,
                end=f"</{written.prefix}{kind.name}>",
                depth=1 + max(written.depths),
            )
        except _NotPlainError:
            return None


class _Writer:
    """Builds expressions for the elements of one message type, with groups for the wanted texts."""

    def __init__(self, grammar: Grammar, kind: MessageType, prefix: str) -> None:
        self._grammar = grammar
        self.prefix = prefix
        self._signed_before = kind.signature_before
        self._body = kind.body
        self._head = kind.head or kind.body
        self._wanted = {self._head: frozenset(fields_of(kind)), "BaseTransfer": frozenset(SENDER)}
        self._fields: list[str] = []
        """Names of the groups so far; of the items an empty one."""
        self.depths: list[int] = []
        """Depth of every leaf below the root."""

    def part(self, slots: tuple[Slot, ...] | list[Slot]) -> PlainPart:
        """Build the expression for some slots of the root. Raises _NotPlainError."""
        self._fields = []
        text = _WHITE + "".join(self._slots(tuple(slots), "", 1))
        fields = tuple(self._fields)
        wanted = frozenset().union(*self._wanted.values())
        return PlainPart(
            pattern=re.compile(text),
            fields=fields,
            named=tuple((name, group) for group, name in enumerate(fields, start=1) if name in wanted),
            items=fields.index("") + 1 if "" in fields else 0,
        )

    def _slots(self, slots: tuple[Slot, ...], holder: str, depth: int) -> Iterator[str]:
        for slot in slots:
            known = len(self._fields)
            try:
                one = self._once(slot, holder, depth)
            except _NotPlainError:
                if slot.low and not (slot.decl and slot.decl.tag == SIGNATURE):
                    raise
                del self._fields[known:]  # optional: a document that contains it is not in plain form
                continue
            if (slot.low, slot.high) == (1, 1):
                yield one
            elif holder == self._body and self._is_items(slot):
                self._fields.append("")
                yield f"((?>(?:{one}){_bound(slot.low, slot.high)}))"
            else:
                yield f"(?>(?:{one}){_bound(slot.low, slot.high)})"

    def _is_items(self, slot: Slot) -> bool:
        """Say whether a slot of a body holds its items. Raises _NotPlainError for a second one."""
        if slot.decl is None or slot.high == 1 or self._grammar.shape(slot.decl).text is not None:
            return False
        if "" in self._fields:
            raise _NotPlainError
        return True

    def _once(self, slot: Slot, holder: str, depth: int) -> str:
        if slot.decl is None or (slot.high != 1 and slot.decl.name in self._wanted):
            raise _NotPlainError  # the first of several elements with wanted texts counts, which a group cannot express
        if slot.high != 1 and holder == self._head and self._grammar.shape(slot.decl).text is not None:
            raise _NotPlainError  # nor can a group hold all texts of a field that repeats
        if not holder and slot.decl.name == self._signed_before:
            raise _NotPlainError  # the Signature of a plain document goes before the root end tag
        return self._element(slot.decl, holder, depth) + _WHITE

    def _element(self, decl: ElementDecl, holder: str, depth: int) -> str:
        shape = self._grammar.shape(decl)
        name = self.prefix + decl.name
        if shape.attributes or shape.open or not shape.ordered:
            raise _NotPlainError
        if shape.text is None:
            inside = "".join(self._slots(shape.slots, decl.name, depth + 1))
            return f"<{name}>{_WHITE}{inside}</{name}>"
        self.depths.append(depth)
        if decl.fixed is not None:
            value = re.escape(decl.fixed)
        else:
            value = _value(shape.text, least=0 if decl.default is None else 1)
        if holder == self._head or decl.name in self._wanted.get(holder, ()):
            self._fields.append(decl.name)
            value = f"({value})"
        return f"<{name}>{value}</{name}>"


def fields_of(kind: MessageType) -> tuple[str, ...]:
    """Return the fields that are read from a declaration's head: guid, version, and those that match answers."""
    return ("guid", "appType", "appTime", *kind.key, *kind.numbers, *kind.codes)


def _value(kind: ValueType, *, least: int = 0) -> str:
    """Build an expression that matches only valid texts of a type, but not all of them. Raises _NotPlainError.

    `least`: least number of characters (an empty text would mean the default).
    """
    if not kind.exact:
        raise _NotPlainError
    match kind.base:
        case "string":
            low, high = _lengths(kind)
            # collapsing white space can only shorten a text
            characters = _NO_BLANK if kind.collapse and low else _CHARACTER
            return characters + _times(max(low, least), high)
        case "decimal":
            total = kind.total_digits or _DIGITS
            places = total if kind.fraction_digits is None else min(kind.fraction_digits, total)
            whole = total - places if 0 < places < total else total
            fraction = rf"(?:\.[0-9]{_times(1, places)})?" if 0 < places < total else ""
            return f"[0-9]{_times(1, whole)}{fraction}"
        case "int":
            return f"[0-9]{_times(1, min(kind.total_digits or _INT_DIGITS, _INT_DIGITS))}"
        case _:
            raise _NotPlainError


def _lengths(kind: ValueType) -> tuple[int, int]:
    if kind.length is not None:
        return kind.length, kind.length
    return kind.min_length or 0, _LONGEST if kind.max_length is None else kind.max_length


def _bound(low: int, high: int | None) -> str:
    return f"{{{low},{'' if high is None else high}}}"


def _times(low: int, high: int | None) -> str:
    """Return a possessive quantifier for one character class: it never backtracks.

    Never use it for a group: in Python 3.11.0 to 3.11.4 a possessive group that fails loses its position (CPython
    issue 106052) and accepts malformed text. An atomic group around a greedy one means the same, and works.
    """
    return _bound(low, high) + "+"
