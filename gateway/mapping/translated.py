"""One document that was made from a source, and what can be said of it in terms of the source."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from gateway.mapping.faults import PLACE_SHOWN, SourceFault, told_of
from gateway.mapping.sources.item import Spot, shortened
from gateway.mapping.write import Record, TraceStep
from gateway.model import Advice, Fault
from gateway.rules.fault_texts import shown_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Translated:
    """One document, made from a source or a part of it."""

    document: bytes
    declarations: int
    """How many are in it."""
    faults: tuple[SourceFault, ...]
    """The parts of the source that could not be written and are missing in the document."""
    origin: Mapping[str, str]
    """For the journal: what it takes to make the document again, by name; digests in hex."""
    recorded: Callable[[], tuple[bytes, Record]] = field(repr=False, compare=False)
    """Writes the document again, and records where each of its fields comes from."""

    def steps(self) -> tuple[TraceStep, ...]:
        """Return where each field came from, in document order; writes the document again to find out."""
        return tuple(self._record().steps.values())

    def located(self, faults: Sequence[Fault]) -> tuple[SourceFault, ...]:
        """Return the faults of the source, and those of the document with their places in the source.

        A field that could not be written already has a fault, so it is not reported again as missing.
        """
        told = {fault.path for fault in self.faults}
        record = self._record()
        rest = [told_of(fault, _spot(fault.path, record)) for fault in faults if fault.path not in told]
        shown = shown_of((*self.faults, *rest))
        return tuple(
            one if isinstance(one, SourceFault) else told_of(one, _spot("", record)) for one in shown
        )

    def placed(self, advice: Sequence[Advice]) -> tuple[Advice, ...]:
        """Return advice on the document with its places in the source."""
        record = self._record()
        return tuple([_placed(one, _spot(one.path, record)) for one in advice])

    def _record(self) -> Record:
        return self.recorded()[1]


def _spot(path: str, record: Record) -> Spot:
    """Return the place of a field, or of the nearest enclosing element that has one."""
    for place in _outwards(path):
        if place in record.steps:
            return record.steps[place].spot
        if place in record.spots:
            return record.spots[place]
    return Spot(text="", line=0, column=0)


def _placed(advice: Advice, spot: Spot) -> Advice:
    return replace(advice, line=spot.line, column=spot.column, source_place=shortened(spot.text, PLACE_SHOWN))


def _outwards(path: str) -> Iterator[str]:
    while path:
        yield path
        if path.endswith("]"):  # an element of a list that is empty: the list itself
            yield path.rpartition("[")[0]
        path = path.rpartition("/")[0]
