"""A source and a mapping, body by body: what may be a million declarations is read, written and told of in constant memory.

`open_translation` gives a `Translation`. `gateway.mapping.translate.translate` is its use for one message.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import BinaryIO, Final, Protocol, Self

from gateway.errors import Refused
from gateway.mapping.bodies import Body, Portion
from gateway.mapping.bound import GivenFacts
from gateway.mapping.language import SourceKind, SourceMapping
from gateway.mapping.reading import RowSpan
from gateway.mapping.registered import RegisteredGoods
from gateway.mapping.sources.opening import open_table
from gateway.mapping.sources.table import Form, SourceLimits, SourceNote
from gateway.mapping.table_reader import TableReader
from gateway.mapping.translated import Translated
from gateway.mapping.translating import Translating
from gateway.mapping.tree_reader import TreeReader
from gateway.model import Fault
from gateway.rules.texts import fault_of
from gateway.version import gateway_version

__all__ = ["FORMS", "Body", "Portion", "RowSpan", "Source", "Translated", "Translation", "open_translation"]

FORMS: Final[Mapping[SourceKind, tuple[Form, ...]]] = MappingProxyType(
    {
        SourceKind.JSON: (Form.JSON, Form.NDJSON),
        SourceKind.TABLE: (Form.CSV, Form.XLSX, Form.JSON, Form.NDJSON),
    }
)
"""Kind of source → the forms that it may be written in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a platform handed in, and what the request says of it."""

    content: bytes | BinaryIO
    """A file has to be seekable; it is read several times, and stays open while it is translated."""
    form: Form
    charset: str = ""
    """Of CSV; empty: told by the bytes (UTF-8, UTF-16 with its mark), else UTF-8."""
    delimiter: str = ""
    """Of CSV; empty: as the mapping says, or told by the head row."""
    app_time: str = ""
    """YYYYMMDDhhmmss, Beijing time: what `given = "app_time"` yields; empty: not given."""


class Translation(Protocol):
    """One source under one mapping. Reading again gives the same; nothing is random and nothing reads the clock."""

    @property
    def mapping(self) -> SourceMapping:
        """Return the mapping."""

    @property
    def notes(self) -> Sequence[SourceNote]:
        """Return what was understood in a certain way; complete when all bodies have been read once."""

    @property
    def unconsumed(self) -> Sequence[str]:
        """Return every column (`sheet!head` where several are read) or JSON path (`/orders/*/vip`) that no rule reads.

        Of a tree the source is read once more for it.
        """

    @property
    def values_sha256(self) -> str:
        """Return the digest of sheet names, heads and values, the same in every form and encoding; reads the source."""

    @property
    def rows(self) -> int | None:
        """Return how many rows there are under the heads, for progress; reads the source. None: a tree."""

    def bodies(self, start: int = 0) -> Iterator[Body]:
        """Yield the bodies from this ordinal on; those before are read and not written.

        Raises Refused where the source cannot be read any further; what came before is sound as it is. A table whose
        rows are grouped by a key is read whole before its first body, so that comes first there.
        """

    def message(self, bodies: Sequence[Body]) -> Translated:
        """Write one document of these bodies; deterministic. What they have of faults is in its faults."""

    def portions(self, start: int = 0, most: int = 100) -> Iterator[Portion]:
        """Yield consecutive bodies that fit into one message: as many as it may have, with the same texts beside them.

        Where the portions begin depends on `start`: to go on, start at the `end` of a portion. Raises as `bodies`.
        """

    def body_of(self, fault: Fault, bodies: Sequence[Body]) -> Body | None:
        """Return the one of the bodies of a message that a fault of its document is about; None: of none in particular."""

    def whole(self) -> Translated:
        """Write one document of all bodies; those that are too many for a message are a fault of it. Raises Refused."""

    def close(self) -> None:
        """Let go of temporary files; a `with` does it, too."""

    def __enter__(self) -> Self:
        """Return the translation."""

    def __exit__(self, *_: object) -> None:
        """Close it."""


def open_translation(
    mapping: SourceMapping,
    source: Source,
    goods: RegisteredGoods | None = None,
    *,
    limits: SourceLimits | None = None,
) -> Translation:
    """Open a source; `goods`: what the mapping may look up. Reads no more than its heads.

    Raises Refused: `unsupported-media-type` (the mapping reads no such form), `too-large`, `wrong-encoding`, `not-csv`, `not-json`,
    `not-xlsx`, and `untranslatable` for a table without the heads that the mapping needs.
    """
    forms = FORMS[mapping.source]
    if source.form not in forms:
        facts = {"form": source.form, "known": ", ".join(forms)}
        raise Refused("unsupported-media-type", [fault_of("source.other_form", facts)])
    limits = limits or SourceLimits()
    origin = _origin(mapping, source, goods)
    given = GivenFacts(mapping=mapping.name, kind=mapping.kind.name, app_time=source.app_time, goods=goods)
    if mapping.source is SourceKind.JSON:
        tree = TreeReader(source.content, source.form, source.charset, mapping=mapping, limits=limits)
        return Translating(mapping, tree, given, origin)
    delimiter = source.delimiter or mapping.delimiter
    workbook = open_table(
        source.content, source.form, charset=source.charset, delimiter=delimiter, limits=limits
    )
    return Translating(mapping, TableReader(workbook, mapping, source.app_time), given, origin)


def _looked_into(goods: RegisteredGoods) -> Mapping[str, str]:
    return {"goods_sha256": goods.sha256, "goods_version": str(goods.version), "goods_day": goods.day}


def _origin(mapping: SourceMapping, source: Source, goods: RegisteredGoods | None) -> Mapping[str, str]:
    """Return what the journal is told; of a file, whoever has kept it adds its digest."""
    told = {
        "mapping": mapping.name,
        "mapping_sha256": mapping.sha256,
        "edition": mapping.edition,
        "gateway": gateway_version(),
        "source_form": str(source.form),
        "source_charset": source.charset,
        "source_delimiter": source.delimiter,
        "app_time": source.app_time,
        **({} if goods is None or not mapping.uses_goods else _looked_into(goods)),
        "source_sha256": hashlib.sha256(source.content).hexdigest()
        if isinstance(source.content, bytes)
        else "",
    }
    return {name: text for name, text in told.items() if text}
