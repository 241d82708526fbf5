"""The generic JSON mappings, `json-311` …: the elements of a message under their own names, nested as in the message.

There is no file of them. Their text is made from the schema, the same on every machine, so that a generic mapping has a
digest, can be shown, copied and kept in evidence like any other. `gateway.mapping.to_json` is the way back.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from gateway.model import MessageType
from gateway.rules.catalogue import Catalogue
from gateway.rules.fields import field_facts
from gateway.rules.schema_model import ElementDecl, Grammar, Slot
from gateway.rules.schemas import CEB_NAMESPACE, SIGNATURE, Schemas

_NOT_MAPPED: Final = (SIGNATURE, f"{{{CEB_NAMESPACE}}}ExtendMessage")


def generic_mappings(schemas: Schemas, catalogue: Catalogue) -> dict[str, str]:
    """Return the text of the generic mapping of each declaration of these schemas, by name."""
    kinds = [kind for kind in catalogue.declarations() if kind.name in schemas.roots]
    return {f"json-{kind.number}": _text(kind, schemas) for kind in kinds}


def _text(kind: MessageType, schemas: Schemas) -> str:
    writer = _Writer(grammar=schemas.grammar_for(kind.name))
    document = list(writer.table(schemas.declaration(kind.name), "document", f"/{kind.name}/", ""))
    return "\n".join(
        (
            f"# {kind.name} as JSON; made from the schema, edition {schemas.edition} (docs/sheets.md).",
            f"message = {_quoted(kind.name)}",
            'source = "json"',
            f"about = {_quoted(f'{kind.title_en}, {kind.title_zh}: JSON with the names of the elements')}",
            *(['money = "yuan"'] if writer.leaves & field_facts().money.fields else []),
            "",
            "[each]",
            *writer.each,
            *document,
            "",
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Writer:
    """Writes the tables of one message type."""

    grammar: Grammar
    each: list[str] = field(default_factory=list)
    """The lines of `[each]`, filled as the tables are written."""
    leaves: set[str] = field(default_factory=set)
    """Names of elements that contain a text."""

    def table(self, decl: ElementDecl, name: str, place: str, path: str) -> Iterator[str]:
        """Yield the lines of an element that holds elements, then those of the elements in it.

        `place`: what comes before a name in a place of the source; `path`: path of the element below the root.
        """
        shape = self.grammar.shape(decl)
        lines = [f'"@{one.name}" = {_quoted(f"{place}@{one.name}")}' for one in shape.attributes]
        slots = [(slot, slot.decl) for slot in shape.slots if slot.decl and slot.decl.tag not in _NOT_MAPPED]
        names = [one.name for _, one in slots if self.grammar.shape(one).text is not None]
        self.leaves.update(names)
        lines += [f"{one} = {_quoted(f'{place}{one}')}" for one in names]
        yield from (f"\n[{name}]", *lines) if lines else ()
        for slot, one in slots:
            if self.grammar.shape(one).text is None:
                yield from self._inner(slot, one, name, place, path)

    def _inner(self, slot: Slot, one: ElementDecl, name: str, place: str, path: str) -> Iterator[str]:
        inner = f"{path}/{one.name}".lstrip("/")
        if slot.high != 1:
            self.each.append(f"{_quoted(inner)} = {_quoted(f'{place}{one.name}')}")
        here = "" if slot.high != 1 else f"{place}{one.name}/"
        yield from self.table(one, f"{name}.{one.name}", here, inner)


def _quoted(text: str) -> str:
    """Return the text as a basic string of TOML."""
    return json.dumps(text, ensure_ascii=False)
