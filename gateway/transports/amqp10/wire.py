"""Encodes and decodes AMQP 1.0 messages: one durable message with the envelope as its binary data section.

Only the few sections that an envelope needs are encoded (AMQP 1.0, part 3 section 3.2), straight into one
byte string: nearly half of the sending time went into the library's general encoder.
"""

import struct
from functools import lru_cache
from typing import Any

from gateway.ports import XML, Parcel

NULL = b"\x40"
DURABLE_HEADER = b"\x00\x53\x70\xc0\x02\x01\x41"
"""Section header with its first field, `durable`, true."""
PROPERTIES = b"\x00\x53\x73"
DATA = b"\x00\x53\x75"
_LIST = struct.Struct(">BII")
_BYTE = struct.Struct(">B")
_WORD = struct.Struct(">I")
_BINARIES = frozenset({0xA0, 0xB0})
_TEXTS = {0xA1: _BYTE, 0xB1: _WORD}
_SIZES = {0xC0: _BYTE, 0xC1: _BYTE, 0xA0: _BYTE, 0xD0: _WORD, 0xD1: _WORD, 0xB0: _WORD}
_LISTS, _MAPS = frozenset({0xC0, 0xD0}), frozenset({0xC1, 0xD1})
_COMPOUNDS = {0x70: _LISTS, 0x71: _MAPS, 0x72: _MAPS, 0x73: _LISTS, 0x74: _MAPS}
"""Sections that may come before the body: header, annotations, properties, application properties."""
_PROPERTIES_SECTION, _DATA_SECTION = 0x73, 0x75
_BINARY = struct.Struct(">BI")


def encode(parcel: Parcel) -> bytes:
    """Return the message: message-id is the CopMsgId, subject the message type, body the exact envelope."""
    return encode_head(parcel) + parcel.body


def encode_head(parcel: Parcel) -> bytes:
    """Return the start of the message; the envelope's bytes are the rest of it."""
    behind = _answering(parcel) if parcel.correlation_id else _behind_id(parcel.message_type)
    fields = _string(parcel.cop_msg_id) + behind
    return b"".join(
        (
            DURABLE_HEADER,
            PROPERTIES,
            _LIST.pack(0xD0, len(fields) + 4, 7),
            fields,
            DATA,
            _BINARY.pack(0xB0, len(parcel.body)),
        )
    )


def _answering(parcel: Parcel) -> bytes:
    """Encode the properties after the id, for an answer to another message."""
    return b"".join(
        (
            NULL + NULL,  # user-id, to
            _string(parcel.message_type),
            NULL,  # reply-to
            _string(parcel.correlation_id),
            _symbol(parcel.media_type),
        )
    )


@lru_cache(maxsize=64)
def _behind_id(message_type: str) -> bytes:
    """Encode the properties after the id, which messages of one type have in common."""
    return b"".join(
        (
            NULL + NULL,  # user-id, to
            _string(message_type),
            NULL + NULL,  # reply-to, correlation-id
            _symbol(XML),
        )
    )


def decode(raw: bytes, proton: Any) -> tuple[bytes, str]:
    """Return body and message id; anything but a message with one body of bytes or text is returned whole.

    Text (an amqp-value section, into which some brokers turn a text message) becomes UTF-8.
    """
    return _decode_usual(raw) or _decode_any(raw, proton)


def _decode_usual(raw: bytes) -> tuple[bytes, str] | None:
    """Decode a message with one data section and a text or no message id; None for any other bytes."""
    identity, at = "", 0
    try:
        while raw[at : at + 2] == b"\x00\x53":
            section, kind = raw[at + 2], raw[at + 3]
            sizes = _SIZES.get(kind)
            if sizes is None:
                return None
            begin = at + 4 + sizes.size
            (size,) = sizes.unpack_from(raw, at + 4)
            at = begin + size
            if section == _DATA_SECTION:
                whole = at == len(raw) and kind in _BINARIES
                return (raw[begin:at], identity) if whole else None
            if kind not in _COMPOUNDS[section]:
                return None
            if section == _PROPERTIES_SECTION:
                first = _first_text(raw, begin, sizes)
                if first is None:
                    return None
                identity = first
    except (IndexError, KeyError, struct.error, UnicodeDecodeError):
        return None
    return None


def _first_text(raw: bytes, begin: int, sizes: struct.Struct) -> str | None:
    """Decode the first element of the list whose count is at `begin`; None when it is no text."""
    (count,) = sizes.unpack_from(raw, begin)
    at = begin + sizes.size
    if count == 0 or raw[at] == NULL[0]:
        return ""
    sizes_of_text = _TEXTS.get(raw[at])
    if sizes_of_text is None:
        return None
    (size,) = sizes_of_text.unpack_from(raw, at + 1)
    start = at + 1 + sizes_of_text.size
    return raw[start : start + size].decode()


def _decode_any(raw: bytes, proton: Any) -> tuple[bytes, str]:
    """Decode any message with the library."""
    message = proton.Message()
    try:
        message.decode(raw)
        body, name = message.body, message.id
    except (proton.ProtonException, ValueError):
        return raw, ""
    identity = "" if name is None else str(name)
    match body:
        case bytes() | bytearray() | memoryview():
            return bytes(body), identity
        case str():
            return body.encode(), identity
        case _:
            return raw, identity


def _string(text: str) -> bytes:
    value = text.encode()
    if len(value) < 256:  # noqa: PLR2004  # one byte of length
        return struct.pack(">BB", 0xA1, len(value)) + value
    return struct.pack(">BI", 0xB1, len(value)) + value


def _symbol(text: str) -> bytes:
    value = text.encode("ascii")
    return struct.pack(">BB", 0xA3, len(value)) + value
