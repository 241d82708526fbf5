"""Write a CEB document from a mapping and a source, and record where each of its fields came from.

The plain form: UTF-8, prefix ceb, no white space between elements, the order of the schema, only what is
mapped. The same source gives the same bytes, on every machine.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final
from xml.sax.saxutils import escape

from gateway.errors import FAULTS_COUNTED
from gateway.mapping.faults import SourceFault, source_fault
from gateway.mapping.functions import NotApplicableError, guid
from gateway.mapping.language import Branch, Constant, Copied, Guid, Leaf, Origin, Position, SourceMapping
from gateway.mapping.registered import RegisteredGoods
from gateway.mapping.sources.item import NOT_IN_XML, NoTextError, Reference, SourceItem, Spot
from gateway.rules.schemas import CEB_NAMESPACE
from signing.keys.suite import XSI

_START: Final = '<?xml version="1.0" encoding="UTF-8"?>'
_NAMESPACES: Final = f' xmlns:ceb="{CEB_NAMESPACE}" xmlns:xsi="{XSI}"'
"""xmlns:xsi too: customs' verifiers expect it on what is signed (docs/spec/signing.md, What is signed)."""
_SPECIAL: Final = re.compile("[&<>\r]")
_IN_TEXT: Final = {"\r": "&#13;"}
_IN_ATTRIBUTE: Final = {'"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceStep:
    """The origin of one field of the document."""

    target: str
    """XPath, as in faults."""
    source: str
    """Place in the source; empty when the value comes from the mapping itself."""
    function: str
    value: str | None
    """As written; None: the source has no value, and the element was left out."""
    spot: Spot


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """The declarations of a source that go into one message."""

    items: Sequence[SourceItem]
    mark: str = ""
    """Distinguishes the messages of one source; empty when there is only one."""


class Writer:
    """Writes one document. `traced`: record a TraceStep for every field."""

    def __init__(
        self, mapping: SourceMapping, sha256: str, *, traced: bool, goods: RegisteredGoods | None = None
    ) -> None:
        """`sha256`: digest of the source, hex; `goods`: what the mapping may look up."""
        self._goods = goods
        self._mapping = mapping
        self._sha256 = sha256
        self._traced = traced
        self._mark = ""
        self.faults: list[SourceFault] = []
        """The parts of the source that could not be written, at most `FAULTS_COUNTED`."""
        self.steps: dict[str, TraceStep] = {}
        self.spots: dict[str, Spot] = {}
        """Path of an element that contains elements → its place in the source."""

    def document(self, whole: SourceItem, portion: Portion) -> bytes:
        """Write the message with these declarations."""
        self._mark = portion.mark
        root = self._mapping.root
        path = f"/{root.name}"
        self._place(path, whole)
        attributes = "".join([self._attribute(one, whole, path) for one in root.attributes])
        parts = self._parts(root, whole, path, 1, portion)
        return "".join(
            (_START, f"<ceb:{root.name}{_NAMESPACES}{attributes}>", *parts, f"</ceb:{root.name}>")
        ).encode()

    def _parts(
        self, branch: Branch, item: SourceItem, path: str, number: int, portion: Portion | None = None
    ) -> list[str]:
        out: list[str] = []
        for part in branch.parts:
            if isinstance(part, Leaf):
                text = self._text(part, item, path, number)
                if text is not None:
                    safe = escape(text, _IN_TEXT) if _SPECIAL.search(text) else text
                    out.append(f"<ceb:{part.name}>{safe}</ceb:{part.name}>")
            elif portion is not None and part is self._mapping.body:
                self._note_list(part, item, path)
                out += self._repeated(part, portion.items, path)
            else:
                self._note_list(part, item, path)
                out += self._repeated(part, self.items(part, item, path), path)
        return out

    def items(self, branch: Branch, item: SourceItem, path: str) -> Sequence[SourceItem]:
        """Return the items for each of which a branch is written once."""
        if branch.each is None:
            return (item,)
        try:
            return item.each(branch.each)
        except NoTextError as wrong:
            self._fault(branch, f"{path}/{branch.name}", wrong)
            return ()

    def _repeated(self, branch: Branch, items: Sequence[SourceItem], path: str) -> list[str]:
        if branch.most is not None and len(items) > branch.most:
            spot, limit = items[branch.most].spot(), str(branch.most)
            wrong = NoTextError("too_many", spot, count=str(len(items)), limit=limit)
            self._fault(branch, f"{path}/{branch.name}[{branch.most + 1}]", wrong)
            items = items[: branch.most]
        out: list[str] = []
        for number, item in enumerate(items, 1):
            inner = f"{path}/{branch.name}" + (f"[{number}]" if branch.repeats else "")
            self._place(inner, item)
            parts = self._parts(branch, item, inner, number)
            if parts or not branch.optional:
                out += (f"<ceb:{branch.name}>", *parts, f"</ceb:{branch.name}>")
        return out

    def _attribute(self, leaf: Leaf, item: SourceItem, path: str) -> str:
        text = self._text(leaf, item, path, 1)
        return "" if text is None else f' {leaf.name[1:]}="{escape(text, _IN_ATTRIBUTE)}"'

    def _text(self, leaf: Leaf, item: SourceItem, path: str, number: int) -> str | None:
        """Return the text of a leaf; None if there is none, or if a fault was recorded."""
        origin = leaf.origin
        if isinstance(origin, Constant) and not self._traced:
            return origin.text
        target = f"{path}/{leaf.name}"
        raw = ""
        try:
            if isinstance(origin, Copied):
                raw = self._joined(origin, item)
                text = _through(origin, raw, self._goods)
            else:
                text = self._made(origin, item, target, number)
        except NoTextError as wrong:
            self._fault(leaf, target, wrong)
            return None
        except NotApplicableError as wrong:
            spot = item.spot(_first(origin, item))
            self._fault(leaf, target, NoTextError(wrong.rule, spot, raw, **wrong.facts))
            return None
        if text is not None and NOT_IN_XML.search(text):
            spot = item.spot(_first(origin, item))
            self._fault(leaf, target, NoTextError("not_in_xml", spot, raw))
            return None
        if self._traced:
            shown = _shown(origin, self._goods, used=bool(raw))
            self.steps[target] = _step(target, origin, item, text, shown)
        return text

    def _joined(self, origin: Copied, item: SourceItem) -> str:
        if len(origin.at) == 1:
            return item.text(origin.at[0], as_written=origin.reads_numbers) or ""
        texts = [item.text(one, as_written=origin.reads_numbers) for one in origin.at]
        return origin.between.join(text for text in texts if text is not None)

    def _made(self, origin: Constant | Position | Guid, item: SourceItem, target: str, number: int) -> str:
        match origin:
            case Constant(text=text):
                return text
            case Position():
                return str(number)
            case Guid(key=()):
                return guid(self._mapping.name, target, (self._sha256, self._mark))
            case Guid(key=key):
                element = f"{self._mapping.kind.name} {target.rpartition('/')[2]}"
                texts = [item.text(one, as_written=True) or "" for one in key]
                return guid(self._mapping.name, element, texts)

    def _note_list(self, branch: Branch, item: SourceItem, path: str) -> None:
        """Record the place of a list as a whole, for faults when it is empty."""
        if self._traced and branch.each is not None:
            self.spots[f"{path}/{branch.name}"] = item.spot(branch.each[0] if branch.each else None)

    def _place(self, path: str, item: SourceItem) -> None:
        if self._traced:
            self.spots[path] = item.spot()

    def _fault(self, part: Leaf | Branch, path: str, wrong: NoTextError) -> None:
        if len(self.faults) < FAULTS_COUNTED:
            self.faults.append(source_fault(wrong, path=path, name=part.name, name_zh=part.name_zh))


def _through(origin: Copied, text: str, goods: RegisteredGoods | None) -> str | None:
    if not text:
        return origin.default
    if origin.goods is not None:
        text = origin.goods(text, goods)
    for function in origin.steps:
        text = function(text)
    return text


def _first(origin: Origin, item: SourceItem) -> Reference | None:
    """Return the first reference that has a text, else the first one; None if there is none."""
    at = origin.at if isinstance(origin, Copied) else origin.key if isinstance(origin, Guid) else ()
    return next(chain((one for one in at if item.text(one, as_written=True)), at), None)


def _step(target: str, origin: Origin, item: SourceItem, text: str | None, shown: str) -> TraceStep:
    """Make the trace step of a field; `shown`: what was done."""
    at = origin.at if isinstance(origin, Copied) else origin.key if isinstance(origin, Guid) else ()
    return TraceStep(
        target=target,
        source=", ".join(item.spot(one).text for one in at),
        function=shown,
        value=text,
        spot=item.spot(_first(origin, item)),
    )


def _shown(origin: Origin, goods: RegisteredGoods | None, *, used: bool) -> str:
    """Say what was done; `used`: the source has a value there."""
    match origin:
        case Constant():
            return "constant"
        case Position():
            return "position"
        case Guid():
            return "guid"
        case Copied(default=default) if not used:
            return "nothing" if default is None else "default"
        case Copied(at=at, goods=looked, steps=steps):
            first = [*(["join"] if len(at) > 1 else []), *([looked.shown(goods)] if looked else [])]
            names = [*first, *(one.shown for one in steps)]
            return ", ".join(names) or "copy"
