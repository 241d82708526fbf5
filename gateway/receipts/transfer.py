"""What this node does as the last node on the way: deliver mail to our enterprises, answer for unknown receivers.

Receipts are not handled here: they find their owner by business key (docs/adr/0008), whatever the envelope
names, and are never answered; neither is a DxpRep. So two nodes cannot answer each other without end.
"""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from gateway import facts
from gateway.config.gateway_toml import Config
from gateway.config.local_receivers import LocalReceivers
from gateway.errors import EnvelopeError
from gateway.model import DXP_REP, NODE_ITSELF, EnterpriseId, Envelope, Opened
from gateway.observe.log import log
from gateway.receipts.opened import part_of, unwrap_collected
from gateway.sending.no_receiver import no_receiver
from gateway.submission.new_messages import new_message_id
from gateway.submission.routing import RECEIVER_UNKNOWN
from gateway.xml.envelope import creat_time, wrap
from spool.entry import Accepted, Collected, NewMessage, RawArrival, Way
from spool.store import Spool

COPIES: Final = "@copies"
"""The feed of copies for subscribers: they are mail, whatever they answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """Where a collected message goes that is not an answer of customs."""

    envelope: Envelope | None = None
    business: bytes = b""
    """Content of the envelope."""
    addressees: tuple[EnterpriseId, ...] = ()
    """Our enterprises that it is for."""
    refused: tuple[str, ...] = ()
    """Unknown receivers, to be reported to the link it came from."""
    reason: str = ""
    """Why it is kept as an orphan; empty: it is not."""


class Transfer:
    """Decides where messages from links go among the enterprises of this node."""

    def __init__(self, *, local_receivers: LocalReceivers, config: Config) -> None:
        """`config`: our own ids, and the links on which we are a transfer node."""
        self.local_receivers = local_receivers
        self._node = config.node
        self._links = {one.name for one in config.destination if one.envelope == "DxpMsgSv"}

    def passage(self, raw: RawArrival, why: str) -> Passage:
        """Decide by the envelope alone; `why` is the reason of the orphan when it is for nobody and cannot be answered.

        Only a link on which we are a transfer node is answered: a terminal never sends a DxpRep. In a copy of
        a divided message (SubMsgId) receivers that are not ours are somebody else's (docs/spec/dxp.md, DxpMsgSv). Nobody is
        told that there is no such receiver while one of ours may be it whose file cannot be read.
        """
        try:
            opened = unwrap_collected(raw.body)
        except EnvelopeError:
            return Passage(reason=why)
        receivers = tuple(dict.fromkeys(opened.envelope.receiver_ids))
        here = tuple(one for one in receivers if one in self.local_receivers)
        unknown = tuple(
            one for one in receivers if one not in self.local_receivers and one != self._node.dxp_id
        )
        copy = bool(here and opened.transfer and opened.transfer.sub_msg_id)
        answers = raw.feed in self._links and not copy and not self.local_receivers.incomplete
        refused = unknown if answers else ()
        shared = self.local_receivers.shared(here)
        if shared:
            reason = f"several enterprises have the DXP id {', '.join(shared)}"
        else:
            reason = "" if here or refused else f"{why}, and is for no enterprise of ours"
        addressees = dict.fromkeys(owner for one in here if (owner := self.local_receivers.owner(one)))
        return Passage(
            envelope=opened.envelope,
            business=opened.business,
            addressees=tuple(addressees),
            refused=refused,
            reason=reason,
        )

    def ours(self, receivers: Iterable[str]) -> tuple[str, ...]:
        """Return those of the DXP ids that belong to our enterprises."""
        return tuple(dict.fromkeys(one for one in receivers if one in self.local_receivers))

    def subscribers(self, named: Iterable[str], owner: str) -> list[str]:
        """Return those of the DXP ids whose enterprise takes copies of this owner's answers into its stream."""
        return [one for one in named if self.local_receivers.lets_in(one, EnterpriseId(owner))]

    def copy(
        self, raw: RawArrival, opened: Opened, subscriber: str, indexes: Collection[int]
    ) -> list[Collected]:
        """Make the copy of an answer for a subscriber of this node: these bodies only, in an envelope of ours.

        Empty when no enterprise here, or more than one, has the DXP id. The same answer always makes the same bytes,
        however often and in whatever envelope it comes.
        """
        if self.local_receivers.owner(subscriber) is None:
            return []
        business = part_of(opened, indexes)
        digest = hashlib.sha256(business + subscriber.encode()).hexdigest().upper()
        said = next((one.time for one in opened.answers if one.index in indexes), "")
        head = Envelope(
            cop_msg_id=str(UUID(digest[:32])).upper(),
            sender_id=self._node.dxp_id,
            receiver_ids=(subscriber,),
            creat_time=_written(said) or creat_time(raw.received_at),
            msg_type=opened.message_type[:30],
        )
        body = wrap(business, head)
        return [Collected(feed=COPIES, name=head.cop_msg_id, body=body, sha256=hashlib.sha256(body).digest())]

    def answer(self, raw: RawArrival, passage: Passage, spool: Spool) -> str:
        """Write a DxpRep for the unknown receivers, as an entry to the link it came from.

        One commit; the same arrival again is answered only once. Returns why it cannot be answered, else empty.
        """
        assert passage.envelope is not None  # noqa: S101 (without one nothing is refused)
        original = passage.envelope
        try:
            body = no_receiver(original, passage.refused, node=self._node, at=raw.received_at)
        except EnvelopeError as error:
            return f"its sender cannot be answered: {error}"
        uid = new_message_id(raw.received_at)
        new = NewMessage(
            uid=uid,
            owner=NODE_ITSELF,
            kind=DXP_REP,
            sha256=hashlib.sha256(body).digest(),
            body=body,
            facts=facts.of_response(sender=self._node.dxp_id, receiver=original.sender_id),
            ways=(Way(destination=raw.feed, cop_msg_id=uid),),
        )
        (reply,) = spool.put([new])
        if isinstance(reply, Accepted):
            log(
                "message.answered",
                message_id=uid,
                destination=raw.feed,
                arrival=raw.id,
                cop_msg_id=original.cop_msg_id,
                code=RECEIVER_UNKNOWN,
                receivers=list(passage.refused),
            )
        return ""


def _written(said: str) -> str:
    """Convert customs' 14 or 17 digits into the text of a CreatTime; empty when it is neither."""
    if len(said) < 14 or not (said.isascii() and said.isdigit()):  # noqa: PLR2004 (yyyymmddhhmmss)
        return ""
    return f"{said[:4]}-{said[4:6]}-{said[6:8]}T{said[8:10]}:{said[10:12]}:{said[12:14]}"
