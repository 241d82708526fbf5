"""Turns an examined message into a new message for the spool: its id, its declarations, and all its ways, now final."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import Final

from gateway import facts
from gateway.config.gateway_toml import LOCAL, Config
from gateway.config.local_receivers import NOBODY, LocalReceivers
from gateway.errors import Refused
from gateway.identity import handles, identity, version
from gateway.model import Declaration, DocumentLink, Enterprise, Fault, Message, MessageId, MessageType
from gateway.rules.texts import fault_of
from gateway.submission.routing import Leg, first_able, legs, sender_of, traits_of
from gateway.submission.subscribe import subscribers_of
from gateway.xml.divide import divisible
from spool.entry import NewMessage, ParcelLink, Subject, Way

COPY: Final = "copy"
"""Part name of the way to a subscriber; numbered from the second on."""


def new_message_of(
    message: Message,
    caller: Enterprise,
    *,
    uid: MessageId,
    config: Config,
    local_receivers: LocalReceivers = NOBODY,
    request_key: str = "",
    resource: str = "",
    origin: Mapping[str, str] | None = None,
) -> NewMessage:
    """Turn an examined message into a new message for the spool; its ways are fixed here.

    `resource`: the device that has to sign it; `origin`: the source of a translated document. Raises Refused as
    `ways_of`.
    """
    header = message.header
    sender = sender_of(header, config)
    body = message.wrapped or message.body
    subscribers = subscribers_of(message.body)
    ways = ways_of(message, caller, uid=uid, config=config, local_receivers=local_receivers)
    if subscribers.data:
        ways += copies(subscribers.data, caller, ways, local_receivers)
    others = tuple([one for one in subscribers.receipts if local_receivers.owner(one) != caller.id])
    kind, answered_to = header.message_type, message.envelope.sender_id if message.envelope else sender
    return NewMessage(
        uid=uid,
        owner=caller.id,
        kind=kind.name,
        sha256=hashlib.sha256(body).digest(),
        body=body,
        facts=facts.of_message(message, sender=sender, key_name=caller.key),
        ways=ways,
        request_key=request_key,
        resource=resource,
        origin=origin,
        subjects=tuple(
            [
                _subject(one, kind, header.dxp_id, answered_to, others, link=link)
                for one, link in zip_longest(header.declarations, message.links)
            ]
        ),
    )


def copies(
    named: Sequence[str], caller: Enterprise, ways: Sequence[Way], local_receivers: LocalReceivers
) -> tuple[Way, ...]:
    """Return the ways to subscribers of this node, one for each, so that no subscriber sees another.

    Left out are those that get the message anyway or take no mail from the caller, and ids that no enterprise here,
    or more than one, has.
    """
    served = {one for way in ways if way.destination == LOCAL for one in facts.way_facts(way.facts).receivers}
    found = tuple(
        one
        for one in named
        if one not in served
        and local_receivers.owner(one) not in {None, caller.id}
        and local_receivers.lets_in(one, caller.id)
    )
    first = ways[0]
    return tuple(
        [
            Way(
                destination=LOCAL,
                cop_msg_id=first.cop_msg_id,
                sender=first.sender,
                part=COPY if place == 1 else f"{COPY}{place}",
                facts=facts.of_way(facts.WayFacts(receivers=(one,), copy=True)),
            )
            for place, one in enumerate(found, start=1)
        ]
    )


def _subject(
    one: Declaration,
    kind: MessageType,
    dxp_id: str,
    sender: str,
    subscribers: tuple[str, ...],
    *,
    link: DocumentLink | None,
) -> Subject:
    return Subject(
        identity=identity(one),
        version=version(one),
        handles=handles(one, kind),
        facts=facts.of_declaration(one, dxp_id, subscribers, sender=sender),
        link=None
        if link is None
        else ParcelLink(order_no=link.order_no, waybill_no=link.waybill_no, facts=link.facts),
    )


def ways_of(
    message: Message,
    caller: Enterprise,
    *,
    uid: MessageId,
    config: Config,
    local_receivers: LocalReceivers = NOBODY,
) -> tuple[Way, ...]:
    """Return every way of a message, all under one CopMsgId.

    Raises Refused: `no-route` when there is none, `invalid-envelope` when receivers of a DxpMsg go different
    ways and its own signature forbids dividing it.
    """
    cop_msg_id = message.envelope.cop_msg_id if message.envelope else uid
    sender = (message.envelope.sender_id if message.envelope else "") or sender_of(message.header, config)
    if config.route or message.wrapped:
        traits = traits_of(message.header, message.envelope, caller.id, config=config, uid=uid)
        chosen = legs(traits, config, local_receivers)
    else:
        chosen = first_able(message.header.message_type.family, config)
    if _to_be_divided(message, chosen) and not divisible(message.wrapped):
        raise Refused("invalid-envelope", [_signed_envelope()])
    if not chosen:
        raise Refused("no-route", [_no_route(message.header.message_type.name)])
    return tuple(
        [
            Way(
                destination=leg.destination,
                cop_msg_id=cop_msg_id,
                sender=sender,
                part=leg.part,
                facts=facts.of_way(
                    facts.WayFacts(
                        receivers=leg.receivers,
                        cut=leg.cut,
                        sub_msg_id=leg.part,
                        response_code=leg.response_code,
                    )
                ),
            )
            for leg in chosen
        ]
    )


def _to_be_divided(message: Message, chosen: Sequence[Leg]) -> bool:
    """Say whether some way needs a copy of the sender's own DxpMsg that names only part of its receivers."""
    return bool(message.wrapped) and any(
        leg.receivers and (leg.destination != LOCAL or leg.cut) for leg in chosen
    )


def _no_route(message_type: str) -> Fault:
    return fault_of(
        "submission.no_route", {"name": message_type}, path=f"/{message_type}", element=message_type
    )


def _signed_envelope() -> Fault:
    return fault_of("submission.signed_envelope", path="/DxpMsg/Signature", element="Signature")


def new_message_id(now: datetime) -> MessageId:
    """Return an upper-case UUID, version 7: ids of the same time are adjacent in the spool's indexes."""
    milliseconds = int(now.timestamp() * 1000) & (2**48 - 1)
    time, random = f"{milliseconds:012X}", os.urandom(10).hex().upper()
    variant = "89AB"[int(random[3], 16) & 3]
    return MessageId(f"{time[:8]}-{time[8:]}-7{random[:3]}-{variant}{random[4:7]}-{random[7:19]}")
