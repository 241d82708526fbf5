"""What the gateway keeps of an import in the spool: the request, the position, what was found, where each row went."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Literal, TypeVar

import msgspec
from msgspec import Struct

from gateway.mapping.faults import SourceFault
from gateway.mapping.sources.table import SourceNote
from gateway.mapping.translation import Body
from gateway.model import Fault

FAULTS_KEPT: Final = 20
"""Most faults of one refused declaration that are kept."""
ROWS_OF_A_FILE: Final = 10_000
"""Most declarations in one file that is given back."""
T = TypeVar("T")
_encode = msgspec.json.Encoder().encode


class NamedMapping(Struct, frozen=True, kw_only=True):
    """A mapping as it was when the source was handed in."""

    name: str
    sha256: str


class ImportFacts(Struct, frozen=True, kw_only=True):
    """How a source is to be made into messages."""

    mappings: tuple[NamedMapping, ...]
    """Each makes its own messages of the whole source."""
    form: str
    charset: str = ""
    app_time: str = ""
    all_or_nothing: bool = False
    """Make nothing unless every declaration is sound."""


class SaidNote(Struct, frozen=True, kw_only=True):
    """Something that was understood in a certain way."""

    rule: str
    message: str
    message_zh: str
    sheet: str = ""
    count: int = 1


class ImportFault(Struct, frozen=True, kw_only=True):
    """Why a declaration is in no message, or a source cannot be read. Says no value of the source by itself."""

    rule: str
    message: str
    message_zh: str
    fix: str = ""
    fix_zh: str = ""
    path: str = ""
    """XPath of the field in the CEB document."""
    name_zh: str = ""
    source: str = ""
    """Place in the source, as a text."""
    sheet: str = ""
    """Of a workbook with several sheets."""
    row: int = 0
    """Of a table, as in a spreadsheet; 0: no table."""
    head: str = ""
    """Of a table: the column, as the mapping names it."""
    line: int = 0
    column: int = 0


class ImportFindings(Struct, frozen=True, kw_only=True):
    """What is known of a source so far."""

    rows: int | None = None
    """Rows of data; None: not known yet, or not a table."""
    values_sha256: str = ""
    notes: tuple[SaidNote, ...] = ()
    unconsumed: tuple[str, ...] = ()
    """Columns or fields that no rule of any of the mappings read."""
    problem: str = ""
    """Why it failed: a code of `gateway.problems`."""
    faults: tuple[ImportFault, ...] = ()


class ImportPlace(Struct, frozen=True, kw_only=True):
    """How far an import is."""

    phase: Literal["read", "check", "make"] = "read"
    mapping: int = 0
    """Number of the mapping, from 0."""
    body: int = 0
    """Ordinal of the next declaration under it."""


class KeptBody(Struct, frozen=True, array_like=True):
    """One declaration of a source."""

    ordinal: int
    rows: tuple[tuple[str, int, int], ...]
    """Sheet, first and last row."""
    place: str


class PartFacts(Struct, frozen=True, kw_only=True):
    """What of a source is in one message, in the order of the declarations in it."""

    mapping: int
    bodies: tuple[KeptBody, ...]


class RefusedBody(Struct, frozen=True, kw_only=True):
    """A declaration that is in no message."""

    mapping: int
    body: KeptBody
    faults: tuple[ImportFault, ...]


def encoded(facts: Struct) -> bytes:
    """Return facts as the spool keeps them."""
    return _encode(facts)


def decoded(kept: bytes | str, kind: type[T]) -> T:
    """Return kept facts."""
    return msgspec.json.decode(kept, type=kind)


def findings_of(kept: bytes) -> ImportFindings:
    """Return what was found; nothing yet when nothing is kept."""
    return decoded(kept, ImportFindings) if kept else ImportFindings()


def request_name(facts: ImportFacts, sha256: bytes) -> str:
    """Name a request: the same bytes with the same parameters under the same mappings."""
    return _name(facts, sha256.hex())


def values_name(facts: ImportFacts, values_sha256: str) -> str:
    """Name what a source means: the same values with the same parameters, in whatever form."""
    return _name(msgspec.structs.replace(facts, form="", charset=""), values_sha256)


def _name(facts: ImportFacts, digest: str) -> str:
    return hashlib.sha256(_encode((facts, digest))).hexdigest()


def kept_body(body: Body) -> KeptBody:
    """Return what is kept of a declaration: where it is, nothing of what it says."""
    return KeptBody(body.ordinal, tuple([(one.sheet, one.first, one.last) for one in body.rows]), body.place)


def kept_fault(fault: Fault) -> ImportFault:
    """Return what is kept of a fault: all but the value that is wrong."""
    placed = fault if isinstance(fault, SourceFault) else None
    return ImportFault(
        rule=fault.rule, message=fault.message, message_zh=fault.message_zh, fix=fault.fix, fix_zh=fault.fix_zh,
        path=fault.path, name_zh=fault.name_zh, source=placed.source if placed else "", line=fault.line,
        column=fault.column, sheet=placed.sheet if placed else "", row=placed.row if placed else 0,
        head=placed.head if placed else "",
    )  # fmt: skip


def refused_body(mapping: int, body: Body, faults: Iterable[Fault]) -> RefusedBody:
    """Return what is kept of a declaration that is in no message."""
    some = [kept_fault(one) for one, _ in zip(faults, range(FAULTS_KEPT), strict=False)]
    return RefusedBody(mapping=mapping, body=kept_body(body), faults=tuple(some))


def said(notes: Iterable[SourceNote]) -> Iterator[SaidNote]:
    """Return notes on a source as they are kept."""
    for note in notes:
        yield SaidNote(
            rule=note.rule,
            message=note.message,
            message_zh=note.message_zh,
            sheet=note.sheet,
            count=note.count,
        )


def spans(ordinals: Sequence[int]) -> str:
    """Write ascending ordinals in short: `0-57,59-99`."""
    parts: list[list[int]] = []
    for ordinal in ordinals:
        if parts and parts[-1][1] == ordinal - 1:
            parts[-1][1] = ordinal
        else:
            parts.append([ordinal, ordinal])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def journal_detail(**facts: Any) -> str:
    """Write the detail of a journal line about an import."""
    return _encode(facts).decode()
