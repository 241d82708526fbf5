"""Columns of a batch as PostgreSQL arrays in binary form, made here because that is where the time goes.

A batch of messages travels as a handful of arrays, one for each column (`INSERT … SELECT FROM unnest(…)`).
The general way of psycopg looks at every element; these know what they hold.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from struct import Struct
from typing import Any, Final

import psycopg
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types.numeric import Int8BinaryDumper

_BYTEA, _INT8, _TEXT = 17, 20, 25
_BYTEAS, _INT8S, _TEXTS = 1001, 1016, 1009
"""Object ids of the types and of their arrays: fixed for ever (PostgreSQL, pg_type.dat)."""
_HEAD: Final = Struct("!iiiii")
_LENGTH: Final = Struct("!i")
_INT8_ELEMENT: Final = Struct("!iq")


class Int8s(bytes):
    """A `bigint[]`."""


class Texts(bytes):
    """A `text[]`."""


class Blobs(bytes):
    """A `bytea[]`."""


Array = Int8s | Texts | Blobs


def int8s(values: Iterable[int]) -> Int8s:
    """Pack whole numbers of 64 bits."""
    return Int8s(_array([_INT8_ELEMENT.pack(8, value) for value in values], _INT8))


def texts(values: Iterable[str]) -> Texts:
    """Pack texts."""
    return Texts(_array([_sized(plain(value)) for value in values], _TEXT))


def blobs(values: Iterable[bytes]) -> Blobs:
    """Pack byte strings."""
    return Blobs(_array([_sized(value) for value in values], _BYTEA))


_PACKERS: Final[Mapping[str, Callable[[Iterable[Any]], Array]]] = {"i": int8s, "t": texts, "b": blobs}


def columns(kinds: str, rows: Collection[Sequence[object]]) -> list[Array]:
    """Pack rows column by column; `kinds` says what each column holds: `i` whole numbers, `t` texts, `b` bytes."""
    cells = zip(*rows, strict=True) if rows else [()] * len(kinds)
    return [_PACKERS[kind](column) for kind, column in zip(kinds, cells, strict=True)]


def plain(text: str) -> bytes:
    """Return UTF-8 that PostgreSQL can hold: it knows no NUL, so one becomes U+FFFD, wherever it is asked for."""
    return text.encode("utf-8", "replace").replace(b"\0", b"\xef\xbf\xbd")


def _sized(value: bytes) -> bytes:
    return _LENGTH.pack(len(value)) + value


def _array(elements: list[bytes], kind: int) -> bytes:
    """One dimension, no NULLs, counted from 1 (PostgreSQL, array_send)."""
    if not elements:
        return _HEAD.pack(0, 0, kind, 0, 0)[:12]
    return _HEAD.pack(1, 0, kind, len(elements), 1) + b"".join(elements)


class _AsItIs(Dumper):
    format = Format.BINARY

    def dump(self, obj: bytes) -> Buffer:
        """Return what was packed."""
        return obj


class _Int8s(_AsItIs):
    oid = _INT8S


class _Texts(_AsItIs):
    oid = _TEXTS


class _Blobs(_AsItIs):
    oid = _BYTEAS


class _Blob(_AsItIs):
    oid = _BYTEA


class _Text(Dumper):
    format = Format.BINARY
    oid = _TEXT

    def dump(self, obj: str) -> Buffer:
        """Return what can be held."""
        return plain(obj)


def adapt(context: AdaptContext) -> None:
    """Let a connection send these; and texts and whole numbers always as `text` and `bigint`.

    One type for each, whatever the value, so that each statement is prepared once.
    """
    dumpers: tuple[tuple[type, type[psycopg.abc.Dumper]], ...] = (
        (Int8s, _Int8s),
        (Texts, _Texts),
        (Blobs, _Blobs),
        (bytes, _Blob),
        (str, _Text),
        (int, Int8BinaryDumper),
    )
    for kind, dumper in dumpers:
        context.adapters.register_dumper(kind, dumper)
