from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ports import Parcel
from gateway.transports.amqp10.wire import decode, encode

proton: Any = pytest.importorskip("proton")
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=300)
"""As XML can hold it, for what comes from a message: no NUL (which Proton's own reader would cut at)."""


@given(TEXT, TEXT, st.binary(max_size=2000))
def test_message_reads_as_it_was_meant(cop_msg_id: str, message_type: str, body: bytes) -> None:
    message = proton.Message()
    message.decode(
        encode(Parcel(entry=1, cop_msg_id=cop_msg_id, message_type=message_type, body=body, file_name="a"))
    )
    assert bytes(message.body) == body
    assert message.inferred, "the body must be a data section"
    assert message.durable
    assert message.id == cop_msg_id
    assert message.subject == message_type
    assert message.content_type == "text/xml"


@given(TEXT.filter(bool), st.binary(max_size=300))
def test_answer_names_what_it_answers_and_what_it_is(asked: str, body: bytes) -> None:
    message = proton.Message()
    message.decode(
        encode(
            Parcel(
                entry=1, cop_msg_id="ID", message_type="refused", body=body, file_name="",
                correlation_id=asked, media_type="application/problem+json",
            )
        )
    )  # fmt: skip
    assert (message.correlation_id, message.content_type) == (asked, "application/problem+json")
    assert (message.id, message.subject, bytes(message.body)) == ("ID", "refused", body)


@given(st.binary(max_size=500))
def test_any_bytes_decode_to_something_kept(raw: bytes) -> None:
    body, _ = decode(raw, proton)
    assert isinstance(body, bytes)


@pytest.mark.parametrize(
    ("body", "read"), [(b"\0\r\n", b"\0\r\n"), ("海关", "海关".encode()), (memoryview(b"x"), b"x")]
)
def test_bytes_and_text_are_both_bodies(body: Any, read: bytes) -> None:
    message = proton.Message(body=body, id="ID")
    assert decode(message.encode(), proton) == (read, "ID")


def test_other_bodies_are_kept_whole() -> None:
    raw = proton.Message(body={"a": 1}).encode()
    assert decode(raw, proton)[0] == raw


@given(st.text(max_size=300), st.binary(max_size=300), st.data())
def test_usual_messages_read_as_the_library_reads_them(
    identity: str, body: bytes, data: st.DataObject
) -> None:
    message = proton.Message(body=body, inferred=True, id=identity, durable=data.draw(st.booleans()))
    message.subject = data.draw(st.sampled_from([None, "", "CEB622Message"]))
    message.properties = data.draw(st.sampled_from([None, {"a": 1}]))
    message.priority = data.draw(st.sampled_from([4, 9]))
    raw = message.encode()
    decoded = proton.Message()
    decoded.decode(raw)
    assert decode(bytes(raw), proton) == (bytes(decoded.body), decoded.id)


@given(st.none() | TEXT, st.dictionaries(TEXT, TEXT, max_size=3), st.binary(max_size=600))
def test_the_usual_message_is_read_as_the_library_reads_it(
    name: str | None, more: dict[str, str], body: bytes
) -> None:
    raw = proton.Message(body=body, inferred=True, id=name, properties=more, durable=True).encode()
    assert decode(bytes(raw), proton) == (body, name or "")


@given(st.binary(max_size=60), st.integers(0, 90))
def test_what_is_cut_short_is_never_taken_for_the_whole(body: bytes, left: int) -> None:
    raw = bytes(proton.Message(body=body, inferred=True, durable=True, id="ID", subject="s").encode())
    assert decode(raw[:left], proton)[0] == (body if left >= len(raw) else raw[:left])


@pytest.mark.parametrize("name", [7, b"ID"])
def test_other_message_ids_are_read_too(name: Any) -> None:
    raw = bytes(proton.Message(body=b"x", inferred=True, id=name).encode())
    assert decode(raw, proton)[0] == b"x"
