from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import EnvelopeError
from gateway.model import Envelope
from gateway.xml.envelope import TransferHead, root_name, unwrap, wrap, wrap_transfer

XML_TEXT = st.text(
    st.characters(
        min_codepoint=0x20, exclude_categories=("Cs", "Cc", "Zs"), exclude_characters="\ufffe\uffff"
    ),
    min_size=1,
)
ID = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789<&>'\"-]", min_size=1, max_size=16)
ENVELOPES = st.builds(
    Envelope,
    cop_msg_id=XML_TEXT.filter(lambda text: len(text) <= 255),
    sender_id=ID,
    receiver_ids=st.lists(ID, min_size=1, max_size=5).map(tuple),
    creat_time=st.just("2025-01-02T12:05:06"),
    msg_type=st.sampled_from(["", "CEB311Message"]),
)
HEAD = TransferHead(
    msg_id="1" * 32, sub_msg_id="1", send_time="2025-01-02T12:05:06", end_node="2", sta_node="3"
)


@given(st.binary(min_size=1, max_size=500), ENVELOPES)
def test_any_bytes_under_any_envelope_come_back_exactly(business: bytes, envelope: Envelope) -> None:
    inner = wrap(business, envelope, file_name=envelope.cop_msg_id)
    outer = wrap_transfer(inner, HEAD)
    assert (unwrap(inner).business, unwrap(inner).envelope) == (business, envelope)
    assert (unwrap(outer).business, unwrap(outer).envelope) == (business, envelope)
    assert inner.endswith(unwrap(outer).dxp_msg)


@given(st.binary(max_size=200), st.data())
def test_a_spoilt_envelope_is_opened_or_refused_but_nothing_else(noise: bytes, data: st.DataObject) -> None:
    sound = wrap_transfer(
        wrap(b"<a/>", Envelope(cop_msg_id="M", sender_id="S", receiver_ids=("R",), creat_time="T")), HEAD
    )
    at = data.draw(st.integers(0, len(sound)))
    cut = data.draw(st.integers(0, 20))
    body = sound[:at] + noise + sound[at + cut :]
    root_name(body)
    try:
        unwrap(body)
    except EnvelopeError:
        return
