"""Translate bytes of a platform to CEB documents, by one mapping. Pure: no I/O, clock or randomness."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from gateway.config.gateway_toml import LimitsConfig
from gateway.errors import Refused
from gateway.mapping.faults import PLACE_SHOWN, SourceFault, told_of
from gateway.mapping.language import SourceKind, SourceMapping
from gateway.mapping.registered import RegisteredGoods
from gateway.mapping.sources.csv_source import read_csv
from gateway.mapping.sources.item import SourceItem, Spot, decoded, shortened
from gateway.mapping.sources.json_source import read_json
from gateway.mapping.write import Portion, TraceStep, Writer
from gateway.model import Advice, Fault
from gateway.rules.fault_texts import shown_of
from gateway.rules.texts import fault_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Translated:
    """One document, made from a source or a part of it."""

    document: bytes
    faults: tuple[SourceFault, ...]
    """The parts of the source that could not be written and are missing in the document."""
    writing: "_Writing"

    @property
    def origin(self) -> Mapping[str, str]:
        """For the journal: the name and digest of the mapping, the digest of the source, and that of the goods if it uses any."""
        mapping, goods = self.writing.mapping, self.writing.goods
        used = {} if goods is None or not mapping.uses_goods else {"goods_sha256": goods.sha256}
        return {
            **used,
            "mapping": mapping.name,
            "mapping_sha256": mapping.sha256,
            "source_sha256": self.writing.sha256,
        }

    def steps(self) -> tuple[TraceStep, ...]:
        """Return where each field came from, in document order; writes the document again to find out."""
        return tuple(self._traced().steps.values())

    def located(self, faults: Sequence[Fault]) -> tuple[SourceFault, ...]:
        """Return the faults of the source, and those of the document with their places in the source.

        A field that could not be written already has a fault, so it is not reported again as missing.
        """
        told = {fault.path for fault in self.faults}
        traced = self._traced()
        rest = [told_of(fault, _spot(fault.path, traced)) for fault in faults if fault.path not in told]
        shown = shown_of((*self.faults, *rest))
        return tuple(
            one if isinstance(one, SourceFault) else told_of(one, _spot("", traced)) for one in shown
        )

    def placed(self, advice: Sequence[Advice]) -> tuple[Advice, ...]:
        """Return advice on the document with its places in the source."""
        traced = self._traced()
        return tuple([_placed(one, _spot(one.path, traced)) for one in advice])

    def _traced(self) -> Writer:
        return self.writing.written(traced=True)[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Writing:
    """Everything that one document is made from, so that it can be written again."""

    mapping: SourceMapping
    sha256: str
    whole: SourceItem
    portion: Portion
    goods: RegisteredGoods | None

    def written(self, *, traced: bool) -> tuple[bytes, Writer]:
        writer = Writer(self.mapping, self.sha256, traced=traced, goods=self.goods)
        return writer.document(self.whole, self.portion), writer


def translate(
    body: bytes,
    mapping: SourceMapping,
    limits: LimitsConfig,
    *,
    charset: str = "",
    goods: RegisteredGoods | None = None,
) -> Translated:
    """Make one document from a source; `goods`: what the mapping may look up. Raises Refused.

    `too-large`, `wrong-encoding`, `not-json`, `not-csv`: the source cannot be read. What can be read but not
    written, for example too many declarations, is in `faults`.
    """
    whole = read_source(body, mapping, limits, charset)
    return _translated(body, mapping, whole, lambda items: [Portion(items=items)], goods)[0]


def translate_split(
    body: bytes,
    mapping: SourceMapping,
    limits: LimitsConfig,
    *,
    charset: str = "",
    goods: RegisteredGoods | None = None,
) -> tuple[Translated, ...]:
    """Make as many documents as needed, each with at most as many declarations as allowed. Raises as `translate`."""
    whole = read_source(body, mapping, limits, charset)
    most = mapping.body.most

    def portions(items: Sequence[SourceItem]) -> list[Portion]:
        if most is None or len(items) <= most:
            return [Portion(items=items)]
        starts = range(0, len(items), most)
        return [Portion(items=items[at : at + most], mark=str(at)) for at in starts]

    return tuple(_translated(body, mapping, whole, portions, goods))


def read_source(body: bytes, mapping: SourceMapping, limits: LimitsConfig, charset: str = "") -> SourceItem:
    """Read JSON or CSV, as the mapping declares. Raises Refused."""
    if len(body) > limits.size_bytes:
        raise Refused("too-large", [fault_of("source.size", {"size": len(body), "limit": limits.size_bytes})])
    if mapping.source is SourceKind.JSON and charset.lower() not in ("", "utf-8"):
        raise Refused("wrong-encoding", [fault_of("source.encoding.json", {"codec": charset[:40]})])
    text = decoded(body, charset)
    if mapping.source is SourceKind.JSON:
        return read_json(text, limits)
    return read_csv(text, mapping.delimiter, mapping.wanted, limits)


def _translated(
    body: bytes,
    mapping: SourceMapping,
    whole: SourceItem,
    portions: Callable[[Sequence[SourceItem]], list[Portion]],
    goods: RegisteredGoods | None,
) -> list[Translated]:
    sha256 = hashlib.sha256(body).hexdigest()
    reader = Writer(mapping, sha256, traced=False)
    items = reader.items(mapping.body, whole, f"/{mapping.root.name}")
    made: list[Translated] = []
    for portion in portions(items):
        writing = _Writing(mapping=mapping, sha256=sha256, whole=whole, portion=portion, goods=goods)
        document, writer = writing.written(traced=False)
        faults = (*reader.faults, *writer.faults)
        made.append(Translated(document=document, faults=faults, writing=writing))
    return made


def _spot(path: str, traced: Writer) -> Spot:
    """Return the place of a field, or of the nearest enclosing element that has one."""
    for place in _outwards(path):
        if place in traced.steps:
            return traced.steps[place].spot
        if place in traced.spots:
            return traced.spots[place]
    return Spot(text="", line=0, column=0)


def _placed(advice: Advice, spot: Spot) -> Advice:
    return replace(advice, line=spot.line, column=spot.column, source_place=shortened(spot.text, PLACE_SHOWN))


def _outwards(path: str) -> Iterator[str]:
    while path:
        yield path
        if path.endswith("]"):  # an element of a list that is empty: the list itself
            yield path.rpartition("[")[0]
        path = path.rpartition("/")[0]
