"""The declarations of a schema as plain values, read from XSD trees, for explanations and field names.

libxml2 gives the verdict; this model only explains *why* in the terms of the field. It supports what the
schemas of this field use (sequences, groups, restrictions by length and digits). Anything else in an
operator's own schema makes an element `ordered=False` or a value `exact=False`; the explanation then uses
libxml2's own text for that point.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from lxml import etree

XS: Final = "{http://www.w3.org/2001/XMLSchema}"
_PRESERVED: Final = frozenset({"string", "normalizedString", "anySimpleType"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueType:
    """The rules for a text; lengths in characters after white space normalisation, `None`: no limit."""

    base: str = "string"
    """Built-in type without its prefix: `string`, `decimal`, `int`, `base64Binary`, `dateTime`, `ID`, …"""
    length: int | None = None
    min_length: int | None = None
    max_length: int | None = None
    total_digits: int | None = None
    fraction_digits: int | None = None
    collapse: bool = False
    """White space is trimmed and each run becomes one blank before validation."""
    exact: bool = True
    """False when the schema has rules not kept here (patterns, enumerations, ranges, unions)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeDecl:
    """One attribute of an element; unqualified, like all attributes of this field."""

    name: str
    name_zh: str
    required: bool
    fixed: str | None
    type: ValueType


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementDecl:
    """One declared element; the `Grammar` that made it knows its content."""

    name: str
    namespace: str
    name_zh: str
    fixed: str | None = None
    default: str | None = None
    node: etree._Element | None = field(default=None, repr=False, compare=False)
    """Its declaration; None for an element of a foreign schema, whose content is not known here."""

    @property
    def tag(self) -> str:
        """The name in lxml's notation: `{namespace}name`."""
        return f"{{{self.namespace}}}{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A position in a sequence: this element (None: any element), `low` to `high` times (None: unbounded)."""

    decl: ElementDecl | None
    low: int
    high: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The allowed content of an element."""

    slots: tuple[Slot, ...] = ()
    attributes: tuple[AttributeDecl, ...] = ()
    text: ValueType | None = None
    """Type of the text when the element contains a value; None when it contains only elements."""
    ordered: bool = True
    """False when the content is not a plain sequence: the slots are known, their order and number are not."""
    open: bool = False
    """True for xs:anyType and foreign elements: their content is not checked."""

    @property
    def foreign(self) -> bool:
        """Whether nothing but elements of any name may stand there."""
        return bool(self.slots) and all(one.decl is None for one in self.slots)


class Grammar:
    """The declarations of one entry schema and everything it includes (never of another namespace)."""

    def __init__(self, documents: Sequence[tuple[etree._Element, str]]) -> None:
        """Index the top-level components of each (xs:schema element, its target namespace)."""
        self._components: dict[tuple[str, str], etree._Element] = {}
        self._namespaces: dict[etree._Element, str] = {}
        self._shapes: dict[etree._Element, Shape] = {}
        for schema, namespace in documents:
            self._namespaces[schema] = namespace
            for node in schema.iterchildren(f"{XS}*"):
                if name := node.get("name"):
                    self._components[_kind(node), f"{{{namespace}}}{name}"] = node

    def elements(self) -> Iterator[ElementDecl]:
        """Yield every element declared at the top level."""
        for (kind, _), node in self._components.items():
            if kind == "element":
                yield self._element(node)

    def shape(self, decl: ElementDecl) -> Shape:
        """Return the allowed content of `decl`; computed at the first call."""
        if decl.node is None:
            return Shape(open=True)
        if decl.node not in self._shapes:
            self._shapes[decl.node] = self._shape_of(decl.node)
        return self._shapes[decl.node]

    def child(self, decl: ElementDecl, name: str) -> ElementDecl | None:
        """Return the declared child with that local name, or None."""
        slots = self.shape(decl).slots
        return next((s.decl for s in slots if s.decl is not None and s.decl.name == name), None)

    def tags_of(self, base: str, roots: Iterable[ElementDecl]) -> set[str]:
        """Return the tags of the elements in and below `roots` whose text is of the built-in type `base`."""
        waiting, found = list(roots), set[str]()
        met: set[etree._Element | None] = {None}
        while waiting:
            decl = waiting.pop()
            if decl.node in met:
                continue
            met.add(decl.node)
            shape = self.shape(decl)
            if shape.text is not None and shape.text.base == base:
                found.add(decl.tag)
            waiting += [slot.decl for slot in shape.slots if slot.decl is not None]
        return found

    def _element(self, node: etree._Element) -> ElementDecl:
        if ref := node.get("ref"):
            tag = self._qname(node, ref)
            target = self._components.get(("element", tag))
            name_zh = _chinese(node)
            if target is not None:
                found = self._element(target)
                return replace(found, name_zh=name_zh or found.name_zh)
            qname = etree.QName(tag)
            return ElementDecl(name=qname.localname, namespace=qname.namespace or "", name_zh=name_zh)
        return ElementDecl(
            name=node.get("name", ""),
            namespace=self._element_namespace(node),
            name_zh=_chinese(node),
            fixed=node.get("fixed"),
            default=node.get("default"),
            node=node,
        )

    def _element_namespace(self, node: etree._Element) -> str:
        schema = _schema(node)
        qualified = node.get("form", schema.get("elementFormDefault")) == "qualified"
        return self._namespaces[schema] if qualified or node.getparent() is schema else ""

    def _shape_of(self, node: etree._Element) -> Shape:
        inline = next(node.iterchildren(f"{XS}complexType", f"{XS}simpleType"), None)
        if inline is not None:
            return self._type_shape(inline)
        return self._named_shape(node, node.get("type") or "")

    def _named_shape(self, node: etree._Element, name: str) -> Shape:
        tag = self._qname(node, name) if name else f"{XS}anyType"
        complex_type = self._components.get(("complexType", tag))
        if complex_type is not None:
            return self._type_shape(complex_type)
        if tag == f"{XS}anyType":
            return Shape(open=True)
        return Shape(text=self._value(node, name))

    def _type_shape(self, node: etree._Element) -> Shape:
        if _kind(node) == "simpleType":
            return Shape(text=self._simple(node))
        shape = Shape(attributes=tuple(self._attributes(node)), ordered=node.get("mixed") != "true")
        for child in node.iterchildren(f"{XS}*"):
            match _kind(child):
                case "sequence" | "choice" | "all" | "group":
                    slots, plain = self._slots(child)
                    shape = replace(shape, slots=slots, ordered=shape.ordered and plain)
                case "simpleContent" | "complexContent":
                    return self._derived(child)
                case _:
                    continue
        return shape

    def _derived(self, content: etree._Element) -> Shape:
        step = next(content.iterchildren(f"{XS}extension", f"{XS}restriction"))
        base = self._named_shape(step, step.get("base", ""))
        own = self._type_shape(step)
        attributes = base.attributes + own.attributes
        if _kind(content) == "simpleContent":
            text = base.text and (
                self._narrowed(base.text, step) if _kind(step) == "restriction" else base.text
            )
            return Shape(attributes=attributes, text=text)
        if _kind(step) == "restriction":
            return replace(own, attributes=attributes, ordered=False)
        return replace(
            own, slots=base.slots + own.slots, attributes=attributes, ordered=base.ordered and own.ordered
        )

    def _slots(self, group: etree._Element) -> tuple[tuple[Slot, ...], bool]:
        """Flatten a group to its slots; the flag is False when it is not one plain sequence."""
        plain = _bounds(group) == (1, 1) and _kind(group) in {"sequence", "group"}
        if _kind(group) == "group" and (ref := group.get("ref")):
            target = self._components.get(("group", self._qname(group, ref)))
            group = (
                group
                if target is None
                else next(target.iterchildren(f"{XS}sequence", f"{XS}choice", f"{XS}all"))
            )
            plain = plain and _kind(group) == "sequence"
        slots: list[Slot] = []
        for child in group.iterchildren(f"{XS}*"):
            low, high = _bounds(child)
            match _kind(child):
                case "element":
                    slots.append(Slot(decl=self._element(child), low=low, high=high))
                case "any":
                    slots.append(Slot(decl=None, low=low, high=high))
                case "annotation":
                    continue
                case _:
                    inner, inner_plain = self._slots(child)
                    slots.extend(inner)
                    plain = plain and inner_plain
        tags = [s.decl.tag if s.decl else "*" for s in slots]
        return tuple(slots), plain and len(set(tags)) == len(tags) and ("*" not in tags or len(tags) == 1)

    def _attributes(self, node: etree._Element) -> Iterator[AttributeDecl]:
        for child in node.iterchildren(f"{XS}attribute", f"{XS}attributeGroup"):
            ref = child.get("ref")
            if _kind(child) == "attributeGroup" and ref:
                target = self._components.get(("attributeGroup", self._qname(child, ref)))
                if target is not None:
                    yield from self._attributes(target)
            elif name := child.get("name"):
                inline = next(child.iterchildren(f"{XS}simpleType"), None)
                yield AttributeDecl(
                    name=name,
                    name_zh=_chinese(child),
                    required=child.get("use") == "required",
                    fixed=child.get("fixed"),
                    type=self._simple(inline)
                    if inline is not None
                    else self._value(child, child.get("type", "")),
                )

    def _value(self, node: etree._Element, name: str) -> ValueType:
        tag = self._qname(node, name) if name else f"{XS}anySimpleType"
        simple = self._components.get(("simpleType", tag))
        if simple is not None:
            return self._simple(simple)
        base = etree.QName(tag).localname
        return ValueType(base=base, collapse=base not in _PRESERVED, exact=tag.startswith(XS))

    def _simple(self, node: etree._Element) -> ValueType:
        step = next(node.iterchildren(f"{XS}restriction"), None)
        if step is None:
            return ValueType(exact=False)
        inline = next(step.iterchildren(f"{XS}simpleType"), None)
        base = self._simple(inline) if inline is not None else self._value(step, step.get("base", ""))
        return self._narrowed(base, step)

    def _narrowed(self, base: ValueType, step: etree._Element) -> ValueType:
        for facet in step.iterchildren(f"{XS}*"):
            value = facet.get("value", "")
            match _kind(facet):
                case "length":
                    base = replace(base, length=int(value))
                case "minLength":
                    base = replace(base, min_length=int(value))
                case "maxLength":
                    base = replace(base, max_length=int(value))
                case "totalDigits":
                    base = replace(base, total_digits=int(value))
                case "fractionDigits":
                    base = replace(base, fraction_digits=int(value))
                case "whiteSpace":
                    base = replace(base, collapse=value == "collapse")
                case "annotation" | "simpleType" | "attribute" | "attributeGroup":
                    continue
                case _:
                    base = replace(base, exact=False)
        return base

    def _qname(self, node: etree._Element, name: str) -> str:
        prefix, _, local = name.rpartition(":")
        namespace = node.nsmap.get(prefix or None)
        if (
            namespace is None
        ):  # a chameleon include: names without prefix are in the namespace of the including schema
            namespace = self._namespaces[_schema(node)]
        return f"{{{namespace}}}{local}"


def _kind(node: etree._Element) -> str:
    return etree.QName(node).localname


def _schema(node: etree._Element) -> etree._Element:
    return node.getroottree().getroot()


def _bounds(node: etree._Element) -> tuple[int, int | None]:
    high = node.get("maxOccurs", "1")
    return int(node.get("minOccurs", "1")), None if high == "unbounded" else int(high)


def _chinese(node: etree._Element) -> str:
    """Read the Chinese name from xs:documentation: the one marked `zh`, or the first one, as in official schemas."""
    notes = node.findall(f"{XS}annotation/{XS}documentation")
    language = "{http://www.w3.org/XML/1998/namespace}lang"
    notes.sort(key=lambda note: not note.get(language, "").startswith("zh"))
    return (notes[0].text or "").strip() if notes else ""
