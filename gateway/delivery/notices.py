"""Turns notices into entries for delivery: each notice is put into the spool once for each channel of its enterprise.

The entry is small and names the notice; the delivery is rendered from the spool when it is sent. The same
notice for the same channel gives the same bytes, so putting it twice, after a crash or by two nodes, changes nothing.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from gateway import facts
from gateway.config.channels import Channel
from gateway.config.gateway_toml import HOME
from spool.entry import NewMessage, Notice, Subject, Wanted, Way
from spool.lifecycle import State
from spool.store import Spool

QUEUED: Final = "notice.queued"
NOUN: Final = "notice"
UNDELIVERED: Final = (State.READY, State.SENDING, State.HELD, State.DEAD)


class DeliveryRef(msgspec.Struct, frozen=True, kw_only=True):
    """Delivery reference, the bytes of an entry: which notice to deliver, and on which channel."""

    enterprise: str
    channel: str
    notice: int
    """Its cursor."""
    receipt: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(DeliveryRef).decode


def delivery_ref_of(body: bytes) -> DeliveryRef:
    """Decode the delivery reference that `delivery_message_of` wrote."""
    return _decode(body)


def delivery_message_of(notice: Notice, channel: Channel) -> NewMessage:
    """Make the entry that delivers a notice on a channel.

    Its subjects stand for the declarations of the notice, under separate names: they only order the entries
    of one lane; no answer is compared with them, and no search for a declaration finds them.
    """
    ref = DeliveryRef(
        enterprise=channel.enterprise,
        channel=channel.deliver.name,
        notice=notice.cursor,
        receipt=notice.arrival,
    )
    body = _encode(ref)
    uid = f"{channel.lane}/{notice.cursor}"
    identities = dict.fromkeys(row.identity for row in notice.rows)
    return NewMessage(
        uid=uid,
        owner=channel.enterprise,
        kind=notice.kind,
        sha256=hashlib.sha256(body).digest(),
        body=body,
        facts=facts.of_response(sender="", receiver=""),
        ways=(Way(destination=channel.lane, cop_msg_id=uid),),
        subjects=tuple(Subject(identity=_stand_in(identity)) for identity in identities),
        event=QUEUED,
    )


def _stand_in(identity: str) -> str:
    return f"{HOME} {hashlib.sha256(identity.encode()).hexdigest()}"


def cursor_of(uid: str) -> int:
    """Return the cursor of the notice that an entry delivers."""
    return int(uid.rpartition("/")[2])


def begun_at(channel: Channel, spool: Spool) -> int:
    """Return how far a channel's notices are in the spool; a new one begins behind what is acknowledged."""
    reached = spool.mark(channel.lane)
    if reached is None:
        reached = spool.acknowledged(channel.enterprise)
        spool.put((), marks={channel.lane: reached})
    return reached


def queue(notices: Sequence[Notice], channel: Channel, spool: Spool) -> None:
    """Put notices into the spool, in their order, and move the channel's mark, in one commit."""
    spool.put(
        [delivery_message_of(notice, channel) for notice in notices], marks={channel.lane: notices[-1].cursor}
    )


def home_up_to(channel: Channel, reached: int, spool: Spool) -> int:
    """Return the cursor up to which everything is delivered or discarded; `reached`: the channel's mark.

    A dead letter is not delivered: the cursor stays before it until an operator has decided.
    """
    first = spool.entries(Wanted(destination=channel.lane, states=UNDELIVERED), limit=1)
    return cursor_of(first[0].uid) - 1 if first else reached
