"""Write declarations by a bound mapping, and record where each of their fields came from.

The plain form: UTF-8, prefix ceb, no white space between elements, the order of the schema, only what is
mapped. The same values give the same bytes, on every machine.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Generic
from xml.sax.saxutils import escape

from gateway.errors import FAULTS_COUNTED
from gateway.mapping.bound import HASHED, Binding, BoundBranch, BoundLeaf, GivenFacts, Item, traced
from gateway.mapping.faults import SourceFault, source_fault
from gateway.mapping.functions import guid
from gateway.mapping.language import Branch, Leaf
from gateway.mapping.sources.item import NOT_IN_XML, NoTextError, Spot
from gateway.rules.schemas import CEB_NAMESPACE
from signing.keys.suite import XSI

START: Final = '<?xml version="1.0" encoding="UTF-8"?>'
NAMESPACES: Final = f' xmlns:ceb="{CEB_NAMESPACE}" xmlns:xsi="{XSI}"'
"""xmlns:xsi too: customs' verifiers expect it on what is signed (docs/spec/signing.md, What is signed)."""
_UNUSUAL: Final = re.compile(f"[&<>\r]|{NOT_IN_XML.pattern}")
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
class Wrong:
    """Something that could not be written."""

    part: Leaf | Branch
    path: str
    """XPath, without that of the declaration or message in front."""
    error: NoTextError

    def told(self, prefix: str) -> SourceFault:
        """Return it as a fault."""
        return source_fault(
            self.error, path=prefix + self.path, name=self.part.name, name_zh=self.part.name_zh
        )


@dataclass(slots=True)
class Record:
    """The origin of every field, as it is written."""

    steps: dict[str, TraceStep] = field(default_factory=dict)
    spots: dict[str, Spot] = field(default_factory=dict)
    """XPath of an element that contains elements → its place in the source."""


class Writer(Generic[Item]):
    """Writes a declaration, or what stands beside the declarations of a message."""

    def __init__(
        self, binding: Binding[Item], facts: GivenFacts, record: Record | None = None, prefix: str = ""
    ) -> None:
        """`record`: gets the origin of every field; `prefix`: XPath in front of those paths."""
        self._binding = binding
        self._facts = facts
        self._record = record
        self._prefix = prefix
        self._out: list[str] = []
        self._hashed: list[tuple[int, BoundLeaf[Item], str]] = []
        """Where in `_out` a text is wanted that is made of all else."""
        self.wrong: list[Wrong] = []
        """At most `FAULTS_COUNTED`."""

    def written(self) -> str:
        """Return what has been written."""
        if self._hashed:
            digest = hashlib.sha256("".join(self._out).encode("utf-8", "surrogatepass")).hexdigest()
            for at, leaf, path in self._hashed:
                text = guid(self._facts.mapping, f"{self._facts.kind} {path}", (digest,))
                self._out[at] = f"{leaf.before}{text}{leaf.after}"
                self._step(path, text)
        return "".join(self._out)

    def parts(
        self, parts: Sequence[BoundLeaf[Item] | BoundBranch[Item]], item: Item, path: str, number: int
    ) -> None:
        """Write some elements that stand inside one."""
        out, record = self._out, self._record
        for part in parts:
            if isinstance(part, BoundBranch):
                self.repeated(part, item, path)
            elif part.fixed is not None and record is None:
                out.append(part.fixed)
            else:
                try:
                    text = part.text(item, number)
                    if text is HASHED:
                        self._hashed.append((len(out), part, f"{path}/{part.leaf.name}"))
                        out.append("")
                    elif text is not None:
                        if _UNUSUAL.search(text):
                            text = self._safe(part, text, item)
                        out.append(f"{part.before}{text}{part.after}")
                    if record is not None:
                        self._trace(part, item, path, number, text)
                except NoTextError as wrong:
                    self.fault(part.leaf, f"{path}/{part.leaf.name}", wrong)

    def repeated(self, branch: BoundBranch[Item], item: Item, path: str) -> None:
        """Write an element for each of its items."""
        inner = path + branch.path
        try:
            items = self.items(branch, item, inner)
        except NoTextError as wrong:
            self.fault(branch.branch, inner, wrong)
            return
        most = branch.branch.most
        if most is not None and len(items) > most:
            spot = self._binding.spot(items[most])
            error = NoTextError("too_many", spot, count=str(len(items)), limit=str(most))
            self.fault(branch.branch, f"{inner}[{most + 1}]", error)
            items = items[:most]
        for number, one in enumerate(items, 1):
            self.element(branch, one, f"{inner}[{number}]" if branch.branch.repeats else inner, number)

    def items(self, branch: BoundBranch[Item], item: Item, path: str) -> Sequence[Item]:
        """Return the items for each of which an element is written. Raises NoTextError."""
        if self._record is not None and branch.branch.each is not None:
            self._record.spots[self._prefix + path] = list_spot(branch, item, self._binding)
        items = (item,) if branch.items is None else branch.items(item)
        holds = branch.holds
        return items if holds is None else [one for one in items if holds(one)]

    def element(self, branch: BoundBranch[Item], item: Item, path: str, number: int) -> None:
        """Write one element with what is inside; an optional one with nothing inside is left out."""
        out = self._out
        if self._record is not None:
            self._record.spots[self._prefix + path] = self._binding.spot(item)
        at = len(out)
        out.append(branch.before)
        self.parts(branch.parts, item, path, number)
        if len(out) == at + 1 and branch.branch.optional:
            del out[at:]
        else:
            out.append(branch.after)

    def attributes(self, branch: BoundBranch[Item], item: Item, hashed: str) -> str:
        """Return the attributes of an element; `hashed`: digest of all else that is written."""
        out: list[str] = []
        for one in branch.attributes:
            path = f"/{one.leaf.name}"
            try:
                text = self._attribute(one, item, hashed)
                self._trace(one, item, "", 1, text)
                if text is not None:
                    out.append(f' {one.leaf.name[1:]}="{escape(text, _IN_ATTRIBUTE)}"')
            except NoTextError as wrong:
                self.fault(one.leaf, path, wrong)
        return "".join(out)

    def _attribute(self, leaf: BoundLeaf[Item], item: Item, hashed: str) -> str | None:
        """Return the text of an attribute. Raises NoTextError."""
        text = leaf.text(item, 1)
        if text is HASHED:
            return guid(self._facts.mapping, f"{self._facts.kind} /{leaf.leaf.name}", (hashed,))
        if text is not None and NOT_IN_XML.search(text):
            raise NoTextError("not_in_xml", self._binding.spot(item), text)
        return text

    def fault(self, part: Leaf | Branch, path: str, error: NoTextError) -> None:
        """Note what could not be written."""
        if len(self.wrong) < FAULTS_COUNTED:
            self.wrong.append(Wrong(part=part, path=path, error=error))

    def _safe(self, leaf: BoundLeaf[Item], text: str, item: Item) -> str:
        """Return a text as it stands in XML. Raises NoTextError."""
        if NOT_IN_XML.search(text):
            raise NoTextError("not_in_xml", traced(leaf, item, 1, self._binding, self._facts).spot, text)
        return text if leaf.leaf.markup else escape(text, _IN_TEXT)

    def _trace(self, leaf: BoundLeaf[Item], item: Item, path: str, number: int, text: str | None) -> None:
        if self._record is None:
            return
        found = traced(leaf, item, number, self._binding, self._facts)
        target = f"{self._prefix}{path}/{leaf.leaf.name}"
        self._record.steps[target] = TraceStep(
            target=target, source=found.source, function=found.function, value=text, spot=found.spot
        )

    def _step(self, path: str, text: str) -> None:
        """Put a text into its step that was not known when it was recorded."""
        if self._record is not None:
            before = self._record.steps[self._prefix + path]
            self._record.steps[before.target] = TraceStep(
                target=before.target,
                source=before.source,
                function=before.function,
                value=text,
                spot=before.spot,
            )


def list_spot(branch: BoundBranch[Item], item: Item, binding: Binding[Item]) -> Spot:
    """Return the place of a list as a whole, for faults when it is empty."""
    at = getattr(branch.branch.each, "at", ())
    return binding.spot(item, at)
