"""Where the fields of a message type stand, by its schema."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.advice.compiling import Scope
from gateway.advice.functions import ValueKind
from gateway.model import MessageType
from gateway.rules.schema_model import ElementDecl, Grammar
from gateway.rules.schemas import Schemas

_NUMERIC: Final = frozenset({"decimal", "int", "integer"})


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


def _leaves(grammar: Grammar, holder: ElementDecl | None) -> dict[str, tuple[ValueKind, str]]:
    """Return the fields of a holder: name → kind and Chinese name."""
    if holder is None:
        return {}
    found: dict[str, tuple[ValueKind, str]] = {}
    for slot in grammar.shape(holder).slots:
        text = None if slot.decl is None else grammar.shape(slot.decl).text
        if slot.decl is not None and text is not None:
            found[slot.decl.name] = (
                ValueKind.NUMBER if text.base in _NUMERIC else ValueKind.TEXT,
                slot.decl.name_zh,
            )
    return found
