"""The DxpRep that says of receivers that there are none (docs/spec/dxp.md, DxpRep)."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

from gateway.config.gateway_toml import Node
from gateway.model import Envelope
from gateway.submission.routing import RECEIVER_UNKNOWN
from gateway.xml.envelope import creat_time, wrap_response

NO_RECEIVER: Final = "指定的接收方不存在 / no such receiver"
NO_RECEIVER_FOR_YOU: Final = "指定的接收方不存在，或不接收贵企业的报文 / no such receiver, or it takes nothing, or nothing more for now, from you"
"""For an enterprise of this node: does not disclose whether the receiver is here."""


def no_receiver(
    original: Envelope, receivers: Sequence[str], *, node: Node, at: datetime, what: str = NO_RECEIVER
) -> bytes:
    """Build the DxpRep that reports these receivers as unknown, with the text `what`; the same bytes each time.

    `at`: when the original was received; NoticeTime is that day in Beijing. Raises EnvelopeError when the
    original's own header cannot be repeated.
    """
    named = ", ".join(receivers)
    return wrap_response(
        receiver_id=original.sender_id,
        code=RECEIVER_UNKNOWN,
        info=f"{what}: {named}",
        original=original,
        notice_date=date.fromisoformat(creat_time(at)[:10]),
        node_id=node.node_id,
        concerns=receivers,
    )
