"""One DxpMsg for several receivers → a copy that names only some of them, cut out of the same bytes.

A node splits a message into one copy per receiver (docs/spec/dxp.md, Flow). Only ReceiverId elements go; every
other byte stays, so the business message inside and any signature over it are what the sender made.
"""

from collections.abc import Collection
from typing import Final

from gateway.errors import EnvelopeError
from gateway.xml.envelope import unwrap
from gateway.xml.spans import child_spans, spans_at

_RECEIVER_LEVEL: Final = 4
"""DxpMsg / TransInfo / ReceiverIds / ReceiverId."""


def divisible(dxp_msg: bytes) -> bool:
    """Whether receivers can be cut out: not if the envelope itself is signed, because that covers its header."""
    return all(span.name != "Signature" for span in child_spans(dxp_msg))


def copy_for(dxp_msg: bytes, receivers: Collection[str]) -> bytes:
    """Return a copy of a DxpMsg with only these ReceiverIds. Raises EnvelopeError when none would be left."""
    named = unwrap(dxp_msg).envelope.receiver_ids
    spans = [span for span in spans_at(dxp_msg, _RECEIVER_LEVEL) if span.name == "ReceiverId"]
    if len(spans) != len(named) or not set(receivers).intersection(named):
        raise EnvelopeError("the DxpMsg does not name this receiver", fix="report the defect")
    pieces, at = [], 0
    for span, receiver in zip(spans, named, strict=True):
        if receiver not in receivers:
            pieces.append(dxp_msg[at : span.start])
            at = span.end
    return b"".join((*pieces, dxp_msg[at:]))
