"""The generic JSON mappings, `json-311` …: the elements of a message under their own names, nested as in the message.

There is no file of them. Their text is made from the schema, the same on every machine, so that a generic mapping has a
digest, can be shown, copied and kept in evidence like any other. `gateway.mapping.to_json` is the way back.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.model import MessageType
from gateway.rules.catalogue import Catalogue
from gateway.rules.fields import field_facts
from gateway.rules.schema_model import ElementDecl, Grammar, Slot
from gateway.rules.schemas import SIGNATURE, Schemas

_INSTEAD: Final[Mapping[str, str]] = {
    "@guid": "else = { guid = [] }",
    "@version": 'default = "1.0"',
    "guid": "else = { guid = [] }",
    "appType": 'default = "1"',
    "appTime": 'else = { given = "app_time" }',
    "appStatus": 'default = "2"',
    "gnum": "else = { position = true }",
    "dxpMode": 'default = "DXP"',
}
"""Name of an element or attribute that need not be in the JSON → what is written then."""


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
            "literal = true",
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
        lines = [
            f'"@{one.name}" = {_origin(f"@{one.name}", f"{place}@{one.name}")}' for one in shape.attributes
        ]
        slots = [(slot, slot.decl) for slot in shape.slots if slot.decl and slot.decl.tag != SIGNATURE]
        names = [one.name for _, one in slots if self._holds_text(one)]
        self.leaves.update(names)
        lines += [f"{one} = {_origin(one, f'{place}{one}')}" for one in names]
        yield from (f"\n[{name}]", *lines) if lines else ()
        for slot, one in slots:
            if not self._holds_text(one):
                yield from self._inner(slot, one, name, place, path)

    def _holds_text(self, decl: ElementDecl) -> bool:
        """Say whether it is a text of the JSON document: a text, or XML of anybody's."""
        shape = self.grammar.shape(decl)
        return shape.text is not None or shape.foreign

    def _inner(self, slot: Slot, one: ElementDecl, name: str, place: str, path: str) -> Iterator[str]:
        inner = f"{path}/{one.name}".lstrip("/")
        if slot.high != 1:
            self.each.append(f"{_quoted(inner)} = {_quoted(f'{place}{one.name}')}")
        here = "" if slot.high != 1 else f"{place}{one.name}/"
        yield from self.table(one, f"{name}.{one.name}", here, inner)


def _origin(name: str, place: str) -> str:
    """Return where the text of an element or attribute comes from: a place, and for some what is used without it."""
    instead = _INSTEAD.get(name)
    return _quoted(place) if instead is None else f"{{ from = {_quoted(place)}, {instead} }}"


def _quoted(text: str) -> str:
    """Return the text as a basic string of TOML."""
    return json.dumps(text, ensure_ascii=False)
