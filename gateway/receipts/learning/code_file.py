"""What a node has learned about codes, as a file for other nodes: counts and names of fields, signed with its journal key.

A signed note (`spool.note`): what kind of text it is, the node and the time, then a line of JSON for each code. No value,
no key and no enterprise is in it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from gateway.errors import ConfigError
from gateway.receipts.learning.code_counts import LearnedCode
from gateway.receipts.learning.learned_codes import CURED, DECLARATIONS, FIELD, SEEN, may_be_shown
from spool.entry import Tally
from spool.note import NodeKey, NoteError, VerifierKey, opened

LARGEST_BYTES: Final = 16 * 1024 * 1024
_KIND: Final = "gateway codes 1"
_CODES_AT_MOST: Final = 5000
_FIELDS_AT_MOST: Final = 500
_COUNT_AT_MOST: Final = 10**12
_AHEAD: Final = timedelta(days=1)
_FIELD: Final = re.compile(r"[A-Za-z]\w{0,63}(?:/[A-Za-z]\w{0,63})?", re.ASCII)
_CODE_CHARACTERS: Final = 160
_HEAD_LINES: Final = 3
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(LearnedCode).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeFile:
    """An opened file."""

    origin: str
    """Name of the node and id of its key: counts of different origins stay apart."""
    at: datetime
    codes: tuple[LearnedCode, ...]


def written(codes: Sequence[LearnedCode], key: NodeKey, at: datetime) -> str:
    """Write and sign what is learned."""
    lines = [_KIND, key.name, at.isoformat(), *(_encode(one).decode() for one in codes)]
    return key.note("".join(f"{line}\n" for line in lines))


def read(content: bytes, keys: Sequence[VerifierKey], now: datetime) -> CodeFile:
    """Open a file that one of these keys has signed. Raises ConfigError that says what is wrong with it."""
    if len(content) > LARGEST_BYTES:
        raise _wrong(f"it has more than {LARGEST_BYTES} bytes")
    try:
        text, key = _opened(content.decode(), keys)
    except (UnicodeDecodeError, NoteError) as error:
        raise _wrong(str(error)) from error
    kind, name, at, *lines = [*text.splitlines(), "", "", ""][: _HEAD_LINES + _CODES_AT_MOST + 1]
    if kind != _KIND:
        raise _wrong(f"its first line is not {_KIND!r}")
    try:
        time = datetime.fromisoformat(at)
    except ValueError as error:
        raise _wrong(f"it does not say when it was written: {at[:40]!r}") from error
    if time.tzinfo is None or time > now + _AHEAD:
        raise _wrong(f"it says it was written at {at[:40]}, which is no time up to now")
    origin = f"{name}+{VerifierKey(name=name, key=key.key).id.hex()}"
    return CodeFile(
        origin=origin, at=time.astimezone(UTC), codes=tuple(_codes([one for one in lines if one]))
    )


def tallies_of(file: CodeFile) -> list[Tally]:
    """Return the counts of a file, under its origin."""
    return [tally for one in file.codes for tally in _tallies(one, file.origin)]


def _opened(note: str, keys: Sequence[VerifierKey]) -> tuple[str, VerifierKey]:
    """Return the text and the key that signed it. Raises NoteError."""
    for key in keys[:-1]:
        try:
            return opened(note, [key]), key
        except NoteError:
            continue  # another of them may have signed it
    return opened(note, keys[-1:]), keys[-1]


def _codes(lines: Sequence[str]) -> Iterator[LearnedCode]:
    if len(lines) > _CODES_AT_MOST:
        raise _wrong(f"it has more than {_CODES_AT_MOST} codes")
    names: set[str] = set()
    for number, line in enumerate(lines, start=_HEAD_LINES + 1):
        try:
            one = _decode(line)
        except msgspec.DecodeError as error:
            raise _wrong(f"line {number}: {error}") from error
        if one.code in names or not _sound(one):
            raise _wrong(f"line {number}: counts, field names or the code are not of this form")
        names.add(one.code)
        yield one


def _sound(one: LearnedCode) -> bool:
    counts = (one.seen, one.declarations, one.cured, *(field.n for field in one.fields))
    return (
        0 < len(one.code) <= _CODE_CHARACTERS
        and one.code.isprintable()
        and may_be_shown(one.code, one.declarations)
        and all(0 <= count <= _COUNT_AT_MOST for count in counts)
        and None not in {one.first_at.tzinfo, one.last_at.tzinfo}
        and len({field.name for field in one.fields}) == len(one.fields) <= _FIELDS_AT_MOST
        and all(_FIELD.fullmatch(field.name) for field in one.fields)
    )


def _tallies(one: LearnedCode, origin: str) -> Iterator[Tally]:
    counts = {(SEEN, ""): one.seen, (DECLARATIONS, ""): one.declarations, (CURED, ""): one.cured}
    counts |= {(FIELD, field.name): field.n for field in one.fields}
    for (name, key), n in counts.items():
        if n:
            yield Tally(
                name=name,
                subject=one.code,
                key=key,
                origin=origin,
                n=n,
                first_at=one.first_at,
                last_at=one.last_at,
            )


def _wrong(what: str) -> ConfigError:
    return ConfigError(
        f"this is no file of learned codes: {what}",
        where="the file to import",
        fix="take what `gateway codes export` wrote, and the key that `gateway journal key` prints on that node",
    )
