"""The structure of messages as a plain tree, taken from our own schemas.

The composer and the receipt builder write messages by this tree, so that the customs side never
diverges from `xsd/`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from gateway.rules.schema_model import ElementDecl, Grammar, Slot, ValueType
from gateway.rules.schemas import Schemas


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One element as the schema declares it; a leaf has no children."""

    name: str
    required: bool = True
    many: bool = False
    children: tuple["Element", ...] = ()
    kind: Literal["text", "int", "decimal"] = "text"
    length: int = 0
    """Exact number of characters; 0 when the schema does not fix one."""
    min_length: int = 0
    fixed: str = ""
    """The only value the schema allows; empty when it allows several."""

    def child(self, name: str) -> "Element":
        """Return the child of this name; KeyError when there is none."""
        for element in self.children:
            if element.name == name:
                return element
        raise KeyError(name)

    def leaves(self) -> Iterator["Element"]:
        """Return the children that hold text, in document order."""
        return (element for element in self.children if not element.children)


@lru_cache(maxsize=256)
def structure(folder: Path, message_type: str) -> Element:
    """Return the root element of a message type by the schemas of `folder`, for instance `xsd/202205`.

    Reads files, once per folder. Raises RulesError when the schema is missing, KeyError when it
    declares no such message.
    """
    schemas = _schemas(folder)
    grammar = schemas.grammar_for(message_type)
    root = schemas.declaration(message_type)
    return _element(Slot(decl=root, low=1, high=1), root, grammar)


@lru_cache(maxsize=4)
def _schemas(folder: Path) -> Schemas:
    return Schemas.load(folder)


def _element(slot: Slot, decl: ElementDecl, grammar: Grammar) -> Element:
    shape = grammar.shape(decl)
    text = shape.text or ValueType()
    length = text.length or 0
    children = () if shape.open else shape.slots
    return Element(
        name=decl.name,
        required=slot.low > 0,
        many=slot.high is None or slot.high > 1,
        children=tuple(_element(part, part.decl, grammar) for part in children if part.decl is not None),
        kind="int" if text.base == "int" else "decimal" if text.base == "decimal" else "text",
        length=length,
        min_length=length or text.min_length or 0,
        fixed=decl.fixed or "",
    )
