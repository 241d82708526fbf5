from collections.abc import Iterable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands, frame, header
from pamqp.base import Frame

from gateway.errors import DeliveryError
from gateway.ports import Parcel
from gateway.transports.rabbitmq.wire import (
    HEARTBEAT,
    Piece,
    RabbitmqProtocolError,
    cut,
    encode,
    message_name,
)

FRAME_BYTES = 4096
SHORT = st.text(max_size=60)


def parcel(cop_msg_id: str, message_type: str, body: bytes) -> Parcel:
    return Parcel(entry=1, cop_msg_id=cop_msg_id, message_type=message_type, body=body, file_name="a")


def pieces(chunks: Iterable[bytes]) -> list[Piece]:
    buffer, found = bytearray(), list[Piece]()
    for chunk in chunks:
        buffer += chunk
        found += cut(buffer, FRAME_BYTES)
    return found


@given(
    st.tuples(SHORT, SHORT, SHORT, SHORT),
    st.binary(max_size=10_000),
    st.integers(min_value=1, max_value=700),
)
def test_publish_reads_as_it_was_meant_however_it_is_cut(
    names: tuple[str, str, str, str], body: bytes, step: int
) -> None:
    exchange, key, cop_msg_id, message_type = names
    raw = encode(parcel(cop_msg_id, message_type, body), exchange, key, FRAME_BYTES) + HEARTBEAT
    publish, about, *parts, beat = pieces(raw[start : start + step] for start in range(0, len(raw), step))

    assert isinstance(publish, commands.Basic.Publish)
    assert (publish.exchange, publish.routing_key) == (exchange, key)
    assert publish.mandatory
    assert isinstance(about, header.ContentHeader)
    assert about.body_size == len(body)
    assert message_name(about.properties) == cop_msg_id
    assert about.properties.message_type == message_type
    assert about.properties.delivery_mode == 2
    assert about.properties.content_type == "text/xml"
    assert about.properties.content_encoding == "UTF-8"
    assert b"".join(part for part in parts if isinstance(part, bytes)) == body
    assert beat is None


@pytest.mark.parametrize(("cop_msg_id", "message_type"), [("单" * 86, "x"), ("x", "T" * 256)])
def test_name_that_does_not_fit_is_refused_for_good(cop_msg_id: str, message_type: str) -> None:
    with pytest.raises(DeliveryError) as error:
        encode(parcel(cop_msg_id, message_type, b"x"), "", "q", FRAME_BYTES)
    assert not error.value.temporary


def frame_of(kind: int, payload: bytes) -> bytes:
    return bytes((kind,)) + b"\0\1" + len(payload).to_bytes(4, "big") + payload + b"\xce"


@given(st.binary(max_size=300) | st.builds(frame_of, st.sampled_from([1, 2, 3, 8]), st.binary(max_size=300)))
def test_any_bytes_are_pieces_or_a_protocol_error(raw: bytes) -> None:
    found: list[Piece] = []
    with suppress(RabbitmqProtocolError):
        found = pieces([raw])
    assert all(isinstance(piece, Frame | header.ContentHeader | bytes | None) for piece in found)


def test_unreadable_properties_leave_the_size_of_the_body() -> None:
    sound = frame.marshal(header.ContentHeader(0, 7, commands.Basic.Properties(headers={"key": "value"})), 1)
    broken = sound.replace(b"keyS", b"key\x01")
    assert broken != sound
    (piece,) = pieces([broken])
    assert isinstance(piece, header.ContentHeader)
    assert piece.body_size == 7
    assert message_name(piece.properties) == ""


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"AMQP\x00\x01\x00\x00", "speaks AMQP 0.1.0.0"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak AMQP"),
        (HEARTBEAT[:-1] + b"\x00", "does not end"),
        (b"\x01\x00\x01\xff\xff\xff\xff", "does not speak AMQP"),
    ],
)
def test_what_is_no_amqp_is_named(raw: bytes, says: str) -> None:
    with pytest.raises(RabbitmqProtocolError, match=says):
        pieces([raw + b"\0" * 8])


@given(st.text(max_size=60), st.binary(max_size=300))
def test_answer_names_what_it_answers_and_what_it_is(asked: str, body: bytes) -> None:
    frames = bytearray(
        encode(
            Parcel(
                entry=1, cop_msg_id="ID", message_type="refused", body=body, file_name="",
                correlation_id=asked, media_type="application/problem+json",
            ),
            "", "replies", 4096,
        )
    )  # fmt: skip
    publish, head, *pieces = cut(frames, 4096)
    assert isinstance(head, header.ContentHeader)
    about = head.properties
    assert (about.correlation_id or "", about.content_type) == (asked, "application/problem+json")
    assert (about.message_id, about.message_type, about.delivery_mode) == ("ID", "refused", 2)
    assert b"".join(piece for piece in pieces if isinstance(piece, bytes)) == body
    assert isinstance(publish, commands.Basic.Publish)
