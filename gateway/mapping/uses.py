"""Which elements of the message a mapping fills, each with the type of its text: for templates, previews and drafts."""

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.mapping.functions import Coded, LookedUp, Timed
from gateway.mapping.language import Branch, Copied, Leaf, SheetColumn, SourceMapping, of_origin
from gateway.rules.schema_model import ElementDecl, Grammar, ValueType
from gateway.rules.schemas import Schemas


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementUse:
    """One element that contains a text, and what a mapping fills it from."""

    path: str
    """Below the root, without positions: `Order/OrderHead/orderNo`."""
    leaf: Leaf
    kind: ValueType

    @property
    def column(self) -> SheetColumn | None:
        """The column of a table that its text comes from in the first place; None: none does."""
        source = self.leaf.origin.source
        return next(iter(self.columns), None) if isinstance(source, Copied) else None

    @property
    def columns(self) -> tuple[SheetColumn, ...]:
        """All columns that its text may come from, the first first."""
        return tuple([place for place in of_origin(self.leaf.origin) if isinstance(place, SheetColumn)])

    @property
    def codes(self) -> tuple[str, ...]:
        """The texts that a map of the mapping takes: codes of customs alone, where it takes them too."""
        maps = [step.codes for step in self.leaf.origin.steps if isinstance(step, Coded)]
        own = [
            tuple([text for text, code in codes.items() if text == code]) or tuple(codes) for codes in maps
        ]
        return own[0] if own else ()

    @property
    def table(self) -> str:
        """The code table that its text is looked up in; empty: none."""
        found = [step.table for step in self.leaf.origin.steps if isinstance(step, LookedUp)]
        return found[0] if found else ""

    @property
    def is_time(self) -> bool:
        """Whether its text is read as a time."""
        return any(isinstance(step, Timed) for step in self.leaf.origin.steps)


def element_uses(mapping: SourceMapping, schemas: Schemas) -> Iterator[ElementUse]:
    """Yield every element that a mapping fills, in the order of the schema; attributes are not among them."""
    grammar = schemas.grammar_for(mapping.kind.name)
    yield from _uses(mapping.root, schemas.declaration(mapping.kind.name), grammar, "")


def _uses(branch: Branch, decl: ElementDecl, grammar: Grammar, path: str) -> Iterator[ElementUse]:
    for part in branch.parts:
        inner = grammar.child(decl, part.name)
        if inner is None:
            continue
        if isinstance(part, Branch):
            yield from _uses(part, inner, grammar, f"{path}{part.name}/")
        elif (kind := grammar.shape(inner).text) is not None:
            yield ElementUse(path=f"{path}{part.name}", leaf=part, kind=kind)
