"""Templates of declaration messages: the structure of the schema, written in one style, with placeholders.

Built once per type and style; `gateway.samples.compose` fills in the invented values.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal
from xml.sax.saxutils import escape

from gateway.model import MessageType
from gateway.rules.loading import RULES
from gateway.samples import values
from gateway.samples.structure import Element, structure

CEB: Final = "http://www.chinaport.gov.cn/ceb"
XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
EDITION: Final = "202205"
BOM: Final = "\N{ZERO WIDTH NO-BREAK SPACE}"
NOT_YET: Final = frozenset({
    "preNo", "invtNo", "sumNo", "rkdNo",  # assigned by the customs side
    "note", "licenseNo", "emsNo", "itemRecordNo", "areaCode", "areaName", "iacCode", "iacName",
    "startTime", "endTime",
})  # fmt: skip
"""Optional elements that a direct-purchase declaration leaves out, unless overridden."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a declaration is written as XML; all these variants occur in the field."""

    prefix: str = "ceb"
    """Namespace prefix; empty for the default namespace."""
    xsi: bool = True
    """Declare xmlns:xsi on the root, as signers need it (docs/spec/signing.md, What is signed)."""
    indent: str | None = None
    """White space of one level; None writes the whole message on one line."""
    newline: Literal["\n", "\r\n"] = "\n"
    bom: bool = False
    encoding: Literal["UTF-8", "GB18030"] = "UTF-8"
    declaration: bool = True
    """Begin with an XML declaration; required for GB18030."""
    extend: bool = False
    """Carry an ExtendMessage."""
    subscribe: int = 0
    """Number of BaseSubscribe elements, at most 5 by the schema."""
    leave_out: frozenset[str] = frozenset()
    """Leaf elements to leave out, whatever the schema says: for messages that must fail."""

    def __post_init__(self) -> None:
        """Reject combinations that no parser could read. Raises ValueError."""
        if self.encoding != "UTF-8" and (self.bom or not self.declaration):
            raise ValueError("GB18030 needs an XML declaration and has no BOM")


PLAIN: Final = Style()


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A message in five pieces with `%(name)s` placeholders; `line` repeats, and head, lines, foot repeat."""

    start: str
    head: str
    line: str
    foot: str
    end: str
    constants: dict[str, str]


@lru_cache(maxsize=512)
def template(kind: MessageType, style: Style, wanted: frozenset[str]) -> Template:
    """Return the template of a declaration type in one style, with the `NOT_YET` elements in `wanted`."""
    root = structure(RULES / "xsd" / EDITION, kind.name)
    pen = _Pen(style, wanted)
    body = root.child(kind.body)
    many = [child for child in body.children if child.children and child.many]
    start = BOM if style.bom else ""
    if style.declaration:
        start += f'<?xml version="1.0" encoding="{style.encoding}"?>{style.newline}'
    start += pen.root(kind.name)
    rest = [child for child in root.children if child.name not in (kind.body, "Signature")]
    return Template(
        start=start,
        head=pen.open(body.name, 1) + pen.inside(replace(body, children=_without(body, many)), 2),
        line="".join(pen.element(child, 2) for child in many),
        foot=pen.close(body.name, 1),
        end="".join(pen.wrapper(child) for child in rest) + pen.close(kind.name, 0),
        constants=_constants(root, kind),
    )


def _without(body: Element, many: Sequence[Element]) -> tuple[Element, ...]:
    return tuple(child for child in body.children if child not in many)


def _constants(root: Element, kind: MessageType) -> dict[str, str]:
    """Return a value for every leaf below the root: from the tables, else any value the schema allows."""
    known = {**values.COMMON, **values.OF_FAMILY[kind.family]}
    if kind.name in {"CEB213Message", "CEB215Message"}:
        known |= values.RETURNS
    own = {leaf.name: values.fallback(leaf) for leaf in _leaves(root)}
    return own | {name: escape(text) for name, text in known.items()}


def _leaves(element: Element) -> Iterator[Element]:
    yield from element.leaves()
    for child in element.children:
        yield from _leaves(child)


@dataclass(frozen=True, slots=True)
class _Pen:
    """Writes elements of a template in one style."""

    style: Style
    wanted: frozenset[str]

    def root(self, name: str) -> str:
        prefix, style = self.style.prefix, self.style
        own = f'xmlns:{prefix}="{CEB}"' if prefix else f'xmlns="{CEB}"'
        xsi = f' xmlns:xsi="{XSI}"' if style.xsi else ""
        return f'<{self._name(name)} {own}{xsi} guid="%(guid)s" version="%(version)s">{self._end()}'

    def open(self, name: str, depth: int) -> str:
        return f"{self._margin(depth)}<{self._name(name)}>{self._end()}"

    def close(self, name: str, depth: int) -> str:
        return f"{self._margin(depth)}</{self._name(name)}>{self._end()}"

    def inside(self, element: Element, depth: int) -> str:
        return "".join(self.element(child, depth) for child in element.children)

    def element(self, element: Element, depth: int) -> str:
        if element.children:
            inner = self.inside(element, depth + 1)
            return self.open(element.name, depth) + inner + self.close(element.name, depth)
        left_out = element.name in NOT_YET and not element.required and element.name not in self.wanted
        if left_out or element.name in self.style.leave_out:
            return ""
        return self.leaf(element.name, f"%({element.name})s", depth)

    def leaf(self, name: str, text: str, depth: int) -> str:
        tag = self._name(name)
        return f"{self._margin(depth)}<{tag}>{text}</{tag}>{self._end()}"

    def wrapper(self, element: Element) -> str:
        """Write BaseTransfer, BaseSubscribe or ExtendMessage (docs/spec/messages.md, Root and wrapper)."""
        if element.name == "BaseSubscribe":
            return self.element(element, 1) * self.style.subscribe
        if element.name == "ExtendMessage":
            return self._extend() if self.style.extend else ""
        return self.element(element, 1)

    def _extend(self) -> str:
        """Write an ExtendMessage; Message may contain anything, here an element of a foreign namespace."""
        inner = '<Remark xmlns="urn:example:remark">样例</Remark>'
        return "".join(
            (
                self.open("ExtendMessage", 1),
                self.leaf("name", "样例扩展", 2),
                self.leaf("version", "1.0", 2),
                self.leaf("Message", inner, 2),
                self.close("ExtendMessage", 1),
            )
        )

    def _name(self, name: str) -> str:
        return f"{self.style.prefix}:{name}" if self.style.prefix else name

    def _margin(self, depth: int) -> str:
        return (self.style.indent or "") * depth

    def _end(self) -> str:
        return "" if self.style.indent is None else self.style.newline
