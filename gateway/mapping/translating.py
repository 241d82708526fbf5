"""What translates: declarations written one by one, and put together to messages."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Generic, Self, cast

from gateway.errors import FAULTS_COUNTED
from gateway.mapping.bodies import Body, Portion
from gateway.mapping.bound import BoundBranch, BoundLeaf, GivenFacts, Item, bound_branch
from gateway.mapping.faults import SourceFault
from gateway.mapping.language import SourceMapping
from gateway.mapping.reading import SourceDeclaration, SourceReader
from gateway.mapping.sources.item import NoTextError
from gateway.mapping.sources.table import SourceNote
from gateway.mapping.translated import Translated
from gateway.mapping.write import NAMESPACES, START, Record, Writer, Wrong, list_spot
from gateway.model import Fault

_Parts = Sequence[BoundLeaf[Item] | BoundBranch[Item]]


@dataclass(frozen=True, slots=True)
class _Written(Generic[Item]):
    """A declaration, and what would stand beside it in a message of its own."""

    found: SourceDeclaration[Item]
    text: str
    wrong: tuple[Wrong, ...]
    beside: tuple[str, str]
    """Before and behind it."""
    sound_beside: bool
    """Whether all of that could be written."""


class Translating(Generic[Item]):
    """See `gateway.mapping.translation.Translation`."""

    def __init__(
        self,
        mapping: SourceMapping,
        reader: SourceReader[Item],
        facts: GivenFacts,
        origin: Mapping[str, str],
    ) -> None:
        """`origin`: what the journal is told of the source."""
        self.mapping = mapping
        self._reader = reader
        self._facts = facts
        self._origin = origin
        root = bound_branch(mapping.root, reader.binding, facts)
        at = next(at for at, part in enumerate(mapping.root.parts) if part is mapping.body)
        body = root.parts[at]
        assert isinstance(body, BoundBranch)  # noqa: S101 (the branch of declarations is one)
        self._root, self._body = root, body
        self._before, self._behind = root.parts[:at], root.parts[at + 1 :]
        self._path = f"/{mapping.root.name}"
        self._body_path = self._path + body.path

    @property
    def notes(self) -> Sequence[SourceNote]:
        """See Translation."""
        return self._reader.notes

    @property
    def unconsumed(self) -> Sequence[str]:
        """See Translation."""
        return self._reader.unconsumed

    @property
    def values_sha256(self) -> str:
        """See Translation."""
        return self._reader.values_sha256

    @property
    def rows(self) -> int | None:
        """See Translation."""
        return self._reader.rows

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """See Translation."""
        self._reader.close()

    def bodies(self, start: int = 0) -> Iterator[Body]:
        """See Translation."""
        for ordinal, found in enumerate(self._reader.found(self._body, start), start):
            yield self._told(found, ordinal)

    def portions(self, start: int = 0, most: int = 100) -> Iterator[Portion]:
        """See Translation."""
        limit = min(most, self.mapping.body.most or most)
        good: list[Body] = []
        refused: list[Body] = []
        for body in self.bodies(start):
            other = good and not body.faults and self._written(good[0]).beside != self._written(body).beside
            if len(good) >= limit or len(refused) >= limit or other:
                yield _portion(good, refused)
                good, refused = [], []
            (refused if body.faults else good).append(body)
        if good or refused:
            yield _portion(good, refused)

    def message(self, bodies: Sequence[Body]) -> Translated:
        """See Translation."""
        return self._translated([self._written(body) for body in bodies], ())

    def whole(self) -> Translated:
        """See Translation."""
        most = self.mapping.body.most
        every = self.bodies()
        bodies = list(islice(every, None if most is None else most + 1))
        if most is None or len(bodies) <= most:
            return self.message(bodies)
        count = most + 1 + sum(1 for _ in every)
        spot = self._reader.binding.spot(self._written(bodies[most]).found.item)
        error = NoTextError("too_many", spot, count=str(count), limit=str(most))
        wrong = Wrong(part=self._body.branch, path=f"{self._body.path}[{most + 1}]", error=error)
        return self._translated([self._written(body) for body in bodies[:most]], (wrong,))

    def body_of(self, fault: Fault, bodies: Sequence[Body]) -> Body | None:
        """See Translation."""
        rest = fault.path.removeprefix(self._body_path)
        number = rest[1:].partition("]")[0] if rest.startswith("[") and rest != fault.path else ""
        if not number.isdigit():
            return bodies[0] if len(bodies) == 1 else None
        return bodies[int(number) - 1] if 0 < int(number) <= len(bodies) else None

    def _told(self, found: SourceDeclaration[Item], ordinal: int) -> Body:
        """Write one declaration, and tell what is wrong with it."""
        body, beside = self._writer(), self._writer()
        text, texts = "", ("", "")
        if not found.lost:
            body.element(self._body, found.item, "", 1)
            text = body.written()
            texts = self._beside(beside, self._reader.around([found.item]))
        wrong = (*found.wrong, *body.wrong)
        faults = [one.told(self._body_path) for one in wrong] + [one.told(self._path) for one in beside.wrong]
        spot = self._reader.binding.spot(found.item)
        return Body(
            ordinal=ordinal,
            rows=self._reader.spans(found.item),
            place=spot.text,
            line=spot.line,
            faults=tuple(faults),
            written=_Written(found, text, wrong, texts, not beside.wrong),
        )

    def _translated(self, bodies: Sequence[_Written[Item]], wrong: Sequence[Wrong]) -> Translated:
        document, faults = self._document(bodies, wrong)
        return Translated(
            document=document,
            declarations=sum(not one.found.lost for one in bodies),
            faults=faults,
            origin=self._origin,
            recorded=partial(self._recorded, bodies),
        )

    def _recorded(self, bodies: Sequence[_Written[Item]]) -> tuple[bytes, Record]:
        record = Record()
        return self._document(bodies, (), record)[0], record

    def _document(
        self, bodies: Sequence[_Written[Item]], wrong: Sequence[Wrong], record: Record | None = None
    ) -> tuple[bytes, tuple[SourceFault, ...]]:
        """Put a message together; with a record, everything is written once more, and recorded."""
        there = [one for one in bodies if not one.found.lost]
        alike = bool(there) and all(one.beside == there[0].beside and one.sound_beside for one in there)
        writer = self._writer(record, self._path)
        around = self._reader.around([one.found.item for one in there])
        if record is not None:
            record.spots[self._path] = self._reader.binding.spot(around)
            record.spots[self._body_path] = list_spot(self._body, around, self._reader.binding)
        if record is None and alike:
            (before, behind), texts = there[0].beside, [one.text for one in there]
        else:
            before = self._parts(writer, self._before, around)
            texts = [one.text for one in there] if record is None else self._again(there, record)
            behind = self._parts(writer, self._behind, around)
            if not alike and not writer.wrong and there:
                writer.wrong.append(self._disagreeing(there))
        inner = f"{before}{''.join(texts)}{behind}"
        attributes = self._attributes(writer, around, inner, record)
        root = self._root.branch.name
        document = f"{START}<ceb:{root}{NAMESPACES}{attributes}>{inner}</ceb:{root}>".encode()
        return document, self._faults(bodies, (*wrong, *writer.wrong))

    def _beside(self, writer: Writer[Item], around: Item) -> tuple[str, str]:
        """Write what stands before and behind the declarations."""
        return self._parts(writer, self._before, around), self._parts(writer, self._behind, around)

    def _parts(self, writer: Writer[Item], parts: _Parts[Item], around: Item) -> str:
        before = len(writer.written())
        writer.parts(parts, around, "", 1)
        return writer.written()[before:]

    def _again(self, bodies: Sequence[_Written[Item]], record: Record) -> list[str]:
        texts: list[str] = []
        for number, one in enumerate(bodies, 1):
            writer = self._writer(record, f"{self._body_path}[{number}]")
            writer.element(self._body, one.found.item, "", 1)
            texts.append(writer.written())
        return texts

    def _attributes(self, writer: Writer[Item], around: Item, inner: str, record: Record | None) -> str:
        """Write the attributes of the root; they come first in the record."""
        later = {} if record is None else dict(record.steps)
        if record is not None:
            record.steps.clear()
        digest = hashlib.sha256(inner.encode()).hexdigest()
        attributes = writer.attributes(self._root, around, digest)
        if record is not None:
            record.steps.update(later)
        return attributes

    def _disagreeing(self, bodies: Sequence[_Written[Item]]) -> Wrong:
        """Return what is wrong with declarations of which each is to stand beside other texts."""
        other = next(one for one in bodies if one.beside != bodies[0].beside)
        spot = self._reader.binding.spot(other.found.item)
        return Wrong(
            part=self._body.branch, path=self._body.path, error=NoTextError("documents_disagree", spot)
        )

    def _faults(self, bodies: Sequence[_Written[Item]], beside: Sequence[Wrong]) -> tuple[SourceFault, ...]:
        faults: list[SourceFault] = []
        number = 0
        for one in bodies:
            number += not one.found.lost
            path = self._body_path if one.found.lost else f"{self._body_path}[{number}]"
            faults += [wrong.told(path) for wrong in one.wrong]
        faults += [wrong.told(self._path) for wrong in beside]
        return tuple(faults[:FAULTS_COUNTED])

    def _writer(self, record: Record | None = None, prefix: str = "") -> Writer[Item]:
        return Writer(self._reader.binding, self._facts, record, prefix)

    def _written(self, body: Body) -> _Written[Item]:
        return cast("_Written[Item]", body.written)


def _portion(good: Sequence[Body], refused: Sequence[Body]) -> Portion:
    ordinals = [one.ordinal for one in (*good, *refused)]
    return Portion(bodies=tuple(good), refused=tuple(refused), start=min(ordinals), end=max(ordinals) + 1)
