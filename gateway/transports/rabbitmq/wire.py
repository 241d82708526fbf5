"""Encodes an envelope as the AMQP 0-9-1 frames of one `basic.publish`, and splits incoming bytes into frames.

Rare frames go through pamqp. A publish is encoded here, straight into one byte string: pamqp's general encoder took
most of the sending time (ADR 0010).
"""

import struct
from collections.abc import Iterator

from pamqp import commands, frame, header, heartbeat
from pamqp.base import Frame
from pamqp.exceptions import PAMQPException

from gateway.errors import DeliveryError
from gateway.ports import XML, Parcel

CHANNEL = 1
"""The only channel of our connections."""
HEARTBEAT = heartbeat.Heartbeat.marshal()
PROTOCOL = header.ProtocolHeader(0, 9, 1).marshal()
METHOD, HEADER, BODY, BEAT = 1, 2, 3, 8
END = b"\xce"
AROUND_BYTES = 8
"""What a frame adds to its payload: type, channel, size, end."""
SHORT_BYTES = 255
"""Longest short string, the type of a routing key and a message id."""
PUBLISH = b"\x00\x3c\x00\x28\x00\x00"
"""Class, method and the reserved ticket of `basic.publish`."""
MANDATORY = b"\x01"
FLAGS = 0x8000 | 0x4000 | 0x1000 | 0x0080 | 0x0020
"""Present: content-type, content-encoding, delivery-mode, message-id and type, in this order."""
CORRELATION = 0x0400
"""Also present: correlation-id, before message-id."""
PERSISTENT = b"\x05UTF-8\x02"
PERSISTENT_XML = b"\x08text/xml" + PERSISTENT

SIZE_AT = 11
"""Offset of the body size in the frame of a content header."""
UNREADABLE = (PAMQPException, ValueError, TypeError, LookupError, struct.error)

Piece = Frame | header.ContentHeader | bytes | None
"""A method, a content header, a piece of a body, or None for a heartbeat."""


class RabbitmqProtocolError(Exception):
    """The received bytes are not AMQP 0-9-1; the text says what they are."""


def encode(parcel: Parcel, exchange: str, routing_key: str, frame_bytes: int) -> bytes:
    """Return the frames of a persistent, mandatory publish; its body is the exact envelope.

    message-id is the CopMsgId, type the message type. `frame_bytes` is the largest frame that the broker
    accepts. Raises DeliveryError, not temporary, when a name is too long for the protocol.
    """
    route = PUBLISH + _short(exchange, "exchange") + _short(routing_key, "routing key") + MANDATORY
    properties = b"".join(
        (
            *_head(parcel),
            _short(parcel.cop_msg_id, "CopMsgId"),
            _short(parcel.message_type, "message type"),
        )
    )
    pieces = [_frame(METHOD, route), _frame(HEADER, properties)]
    step = frame_bytes - AROUND_BYTES
    pieces += [_frame(BODY, parcel.body[start : start + step]) for start in range(0, len(parcel.body), step)]
    return b"".join(pieces)


def _head(parcel: Parcel) -> tuple[bytes, ...]:
    """Return the content header up to the message id."""
    size = len(parcel.body)
    if not parcel.correlation_id and parcel.media_type is XML:
        return struct.pack(">HHQH", 60, 0, size, FLAGS), PERSISTENT_XML
    flags = FLAGS | (CORRELATION if parcel.correlation_id else 0)
    correlation = _short(parcel.correlation_id, "message id") if parcel.correlation_id else b""
    kind = _short(parcel.media_type, "media type")
    return struct.pack(">HHQH", 60, 0, size, flags), kind, PERSISTENT, correlation


def method(value: Frame, channel: int = CHANNEL) -> bytes:
    """Return the frame of a method."""
    return frame.marshal(value, channel)


def cut(received: bytearray, frame_bytes: int) -> Iterator[Piece]:
    """Remove whole frames from the front of `received` and yield their contents; raises RabbitmqProtocolError."""
    if received[:4] == b"AMQP":
        if len(received) >= len(PROTOCOL):
            version = ".".join(str(number) for number in received[4:8])
            raise RabbitmqProtocolError(f"the other side speaks AMQP {version} and not 0-9-1")
        return
    while len(received) >= AROUND_BYTES:
        kind, _channel, size = struct.unpack_from(">BHI", received)
        if kind not in (METHOD, HEADER, BODY, BEAT) or size > frame_bytes:
            raise RabbitmqProtocolError(f"the other side does not speak AMQP: {bytes(received[:40])!r}")
        whole = size + AROUND_BYTES
        if len(received) < whole:
            return
        raw = bytes(received[:whole])
        del received[:whole]
        yield _decode(kind, raw)


def _decode(kind: int, raw: bytes) -> Piece:
    if raw[-1:] != END:
        raise RabbitmqProtocolError("a frame does not end where it should")
    if kind == BODY:
        return raw[AROUND_BYTES - 1 : -1]
    if kind == BEAT:
        return None
    try:
        _size, _channel, value = frame.unmarshal(raw)
    except UNREADABLE as error:
        if kind == HEADER and len(raw) > SIZE_AT + 8:
            # One message with unreadable properties must not block the queue; only its body matters.
            return header.ContentHeader(body_size=struct.unpack_from(">Q", raw, SIZE_AT)[0])
        raise RabbitmqProtocolError(f"a frame cannot be read: {error}") from error
    if not isinstance(value, Frame | header.ContentHeader):
        raise RabbitmqProtocolError(f"unexpected frame: {value!r}")
    return value


def _frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, CHANNEL, len(payload)) + payload + END


def _short(text: str, what: str) -> bytes:
    value = text.encode()
    if len(value) > SHORT_BYTES:
        raise DeliveryError(
            f"the {what} has {len(value)} bytes, AMQP takes {SHORT_BYTES}",
            where=text[:40],
            fix=f"send the message with a shorter {what}",
            temporary=False,
        )
    return bytes((len(value),)) + value


def message_name(properties: commands.Basic.Properties) -> str:
    """Return the message id, or nothing."""
    return str(properties.message_id or "")
