"""A CEB message as JSON, declarations and receipts alike: the way back of the generic mappings (docs/sheets.md).

The names of the elements, nested as in the message. What the schema lets repeat is an array, attributes begin with
`@`, every value is a string with its literal text: nothing is rounded, trimmed or converted. A Signature is left out,
because it signs bytes and not values.
"""

from lxml import etree

from gateway.rules.schema_model import ElementDecl, Grammar
from gateway.rules.schemas import SIGNATURE, Schemas

JsonValue = str | list["JsonValue"] | dict[str, "JsonValue"]

_TEXT = etree.XPath("string()")


def message_as_json(root: etree._Element, schemas: Schemas) -> dict[str, JsonValue]:
    """Return the message as an object with one key, its name. It must be valid by `schemas`.

    Raises RulesError for a root that is none of theirs.
    """
    name = etree.QName(root).localname
    return {name: _value(root, schemas.declaration(name), schemas.grammar_for(name))}


def _value(element: etree._Element, decl: ElementDecl, grammar: Grammar) -> JsonValue:
    shape = grammar.shape(decl)
    if shape.text is not None:
        return str(_TEXT(element))
    if shape.foreign:
        return "".join(_fragment(child) for child in element.iterchildren("*"))
    found: dict[str, JsonValue] = {
        f"@{one.name}": value for one in shape.attributes if (value := element.get(one.name)) is not None
    }
    for slot in shape.slots:
        if slot.decl is None or slot.decl.tag == SIGNATURE:
            continue
        values = [_value(child, slot.decl, grammar) for child in element.iterchildren(slot.decl.tag)]
        if values:
            found[slot.decl.name] = values[0] if slot.high == 1 and len(values) == 1 else values
    return found


def _fragment(element: etree._Element) -> str:
    """Return an element of any schema as it is written alone, with all namespaces that are declared around it."""
    return etree.tostring(element, method="c14n", with_comments=False).decode()
