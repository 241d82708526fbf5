"""Declarations out of a tree: JSON, or NDJSON with a document of the mapping on each line."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import BinaryIO, Final

from gateway.mapping.bound import BoundBranch, bound_conditions
from gateway.mapping.language import (
    ArrayMembers,
    Branch,
    Leaf,
    Place,
    Places,
    RowGroups,
    SourceMapping,
    of_origin,
)
from gateway.mapping.reading import RowSpan, SourceDeclaration
from gateway.mapping.sources.digest import values_digest
from gateway.mapping.sources.item import NoTextError, Reference, Spot
from gateway.mapping.sources.json_source import JsonItem, paths_of
from gateway.mapping.sources.opening import open_documents
from gateway.mapping.sources.refusing import refused
from gateway.mapping.sources.table import Form, SourceLimits, SourceNote
from gateway.mapping.write import Wrong
from gateway.rules.texts import phrase

_PATHS_NAMED: Final = 1000
"""Most paths that are named as read by no rule."""


class TreeBinding:
    """Binds a mapping to the places of a document."""

    def __init__(self, *, lines: bool) -> None:
        """`lines`: each line is a document, so places name the line."""
        self._lines = lines

    def fetch(self, places: Places) -> Callable[[JsonItem], str | None]:
        """See Binding."""
        at = _references(places)
        if len(at) == 1:
            (only,) = at
            return lambda item: item.written(only)
        return lambda item: next((item.written(one) for one in at if item.has(one)), None)

    def spot(self, item: JsonItem, places: Places = ()) -> Spot:
        """See Binding."""
        at = _references(places)
        spot = item.spot(next((one for one in at if item.has(one)), at[0] if at else None))
        return replace(spot, text=f"line {spot.line}, {spot.text}") if self._lines else spot

    def items(self, each: ArrayMembers | RowGroups) -> Callable[[JsonItem], Sequence[JsonItem]]:
        """See Binding."""
        assert isinstance(each, ArrayMembers)  # noqa: S101 (the compiler gives trees nothing else)
        at = _references(each.at)
        return lambda item: item.members(next((one for one in at if item.has(one)), at[0]))


class TreeReader:
    """Documents, opened for one mapping."""

    rows = None

    def __init__(
        self,
        source: BinaryIO | bytes,
        form: Form,
        charset: str,
        *,
        mapping: SourceMapping,
        limits: SourceLimits,
    ) -> None:
        """Nothing is read yet. Raises Refused `wrong-encoding`."""
        if charset.lower() not in ("", "utf-8"):
            raise refused("wrong-encoding", "encoding_json", codec=charset)
        self._source = source
        self._form = form
        self._mapping = mapping
        self._limits = limits
        self._first: JsonItem | None = None
        self._empty = 0
        """Documents without a declaration."""
        self.binding = TreeBinding(lines=form is Form.NDJSON)
        self._wanted = bound_conditions(mapping.when, self.binding)

    @property
    def notes(self) -> Sequence[SourceNote]:
        """See SourceReader."""
        if not self._empty:
            return ()
        words = phrase("empty_documents", count=self._empty)
        return (SourceNote(rule="empty_documents", message=words.en, message_zh=words.zh, count=self._empty),)

    @cached_property
    def unconsumed(self) -> Sequence[str]:
        """See SourceReader."""
        consumed = frozenset(_consumed(self._mapping))
        found: dict[str, None] = {}
        for document in self._documents():
            for path in paths_of(document):
                if not _covers(consumed, path):
                    found["/" + "/".join(path)] = None
                    if len(found) >= _PATHS_NAMED:
                        return tuple(found)
        return tuple(found)

    @cached_property
    def values_sha256(self) -> str:
        """See SourceReader."""
        return values_digest(self._documents())

    def found(self, body: BoundBranch[JsonItem], start: int = 0) -> Iterator[SourceDeclaration[JsonItem]]:
        """See SourceReader."""
        self._empty = 0
        count = 0
        for document in self._documents():
            before = count
            for one in self._in(document, body):
                count += 1
                if count > start:
                    yield one
            self._empty += count == before

    def around(self, items: Sequence[JsonItem]) -> JsonItem:
        """See SourceReader."""
        return items[0].above(None) if items else next(self._documents())

    def spans(self, _item: JsonItem) -> tuple[RowSpan, ...]:
        """See SourceReader."""
        return ()

    def close(self) -> None:
        """See SourceReader."""

    def _documents(self) -> Iterator[JsonItem]:
        return open_documents(self._source, self._form, limits=self._limits)

    def _in(self, document: JsonItem, body: BoundBranch[JsonItem]) -> Iterator[SourceDeclaration[JsonItem]]:
        try:
            items = (document,) if body.items is None else body.items(document)
        except NoTextError as error:
            wrong = Wrong(part=body.branch, path="", error=error)
            yield SourceDeclaration(document, (wrong,), lost=True)
            return
        for item in items:
            if all(holds is None or holds(item) for holds in (self._wanted, body.holds)):
                yield SourceDeclaration(item)


def _references(places: Sequence[Place]) -> list[Reference]:
    """Return the references among some places; of a tree, all are."""
    return [one for one in places if isinstance(one, Reference)]


_Pattern = tuple[str, ...]


def _consumed(mapping: SourceMapping) -> Iterator[_Pattern]:
    """Yield the path of every place that a mapping reads, with `*` for the members of arrays it goes over."""
    inside: list[_Pattern] = [()] if mapping.body.each is None else [(), *_over(mapping.body, [()])]
    for condition in mapping.when:
        yield from (_from(one, inside) for one in _references(condition.at))
    yield from _of_branch(mapping.root, [()])


def _of_branch(branch: Branch, inside: list[_Pattern]) -> Iterator[_Pattern]:
    within = [*inside, *_over(branch, inside)]
    for condition in branch.when:
        yield from (_from(one, within) for one in _references(condition.at))
    for part in (*branch.attributes, *branch.parts):
        if isinstance(part, Leaf):
            yield from (_from(one, within) for one in _references(tuple(of_origin(part.origin))))
        else:
            yield from _of_branch(part, within)


def _over(branch: Branch, inside: list[_Pattern]) -> list[_Pattern]:
    """Return the pattern of the items that a branch goes over, if it does; of several places the first."""
    if not isinstance(branch.each, ArrayMembers):
        return []
    return [(*_from(_references(branch.each.at)[0], inside), "*")]


def _from(at: Reference, inside: list[_Pattern]) -> _Pattern:
    base = () if at.ups is None else inside[len(inside) - 1 - at.ups]
    return (*base, *at.steps)


def _covers(consumed: frozenset[_Pattern], path: _Pattern) -> bool:
    """Say whether a path of the source is read: members of arrays are `*`, in the mapping perhaps numbers."""
    return path in consumed or any(
        len(one) == len(path)
        and all(
            step == there or (there == "*" and step.isdigit()) for step, there in zip(one, path, strict=True)
        )
        for one in consumed
    )
