"""The accept role: bodies in, one fsynced commit for many of them, and only then an answer."""

import hashlib
import json
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway import facts
from gateway.config import Config
from gateway.config_keys import device_keys
from gateway.errors import Refused
from gateway.model import Enterprise, Fault, Message, MessageId
from gateway.observe import log
from gateway.pipeline import Refusal, examine
from gateway.queues import KeyQueue, Queues
from gateway.roles.commit import GroupCommit
from gateway.routing import legs, traits_of
from gateway.rules import Rules
from gateway.stages.correlate import handles, identity
from signing.suite import Suite
from spool.entry import Clash, Note, Offer, Subject, Way


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The message is ours to deliver."""

    uid: MessageId
    message: Message
    sha256: str
    """Hex, of the bytes as handed in."""
    first: bool
    """False when these bytes had been accepted before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradicted:
    """The message contradicts one that was accepted before (409)."""

    clash: Clash


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """Nothing was taken: what waits for the key that has to sign it would keep that busy for too long."""

    queue: KeyQueue


Outcome = Accepted | Contradicted | Busy | Refusal


class Intake:
    """What a door does with a body: examine it, put it in the spool, say what became of it."""

    def __init__(
        self,
        *,
        config: Config,
        rules: Rules,
        suite_of: Callable[[str], Suite | None],
        commit: GroupCommit,
        queues: Queues,
    ) -> None:
        """`suite_of`: name of a [[key]] → what it signs with; `queues` is used by the caller's thread."""
        self._config = config
        self._suite_of = suite_of
        self._devices = device_keys(config.key)
        self._queues = queues
        self._rules = rules
        self._commit = commit

    def examine(self, body: bytes, caller: Enterprise) -> Message | Refusal:
        """Judge a body without keeping anything (a dry run)."""
        verdict = self._examine(body, caller)
        if isinstance(verdict, Message):
            try:
                ways_of(verdict, caller, uid=new_message_id(datetime.now(UTC)), config=self._config)
            except Refused as refused:
                return Refusal(problem=refused.problem, faults=refused.faults)
        return verdict

    def _examine(self, body: bytes, caller: Enterprise) -> Message | Refusal:
        suite = self._suite_of(caller.key or self._config.signing.default_key)
        return examine(body, caller, self._rules, self._config.accept.limits, suite)

    async def submit(self, body: bytes, caller: Enterprise, *, request_key: str = "") -> Outcome:
        """Take a body in; returns after the fsync. Raises SpoolError when the spool cannot take it."""
        verdict = self._examine(body, caller)
        if isinstance(verdict, Refusal):
            await self._refuse(body, caller, verdict)
            return verdict
        uid = new_message_id(datetime.now(UTC))
        needs = self._needs(verdict, caller)
        late = self._queues.late(needs) if needs else None
        if late is not None:
            return Busy(queue=late)
        try:
            offer = offer_of(
                verdict, caller, uid=uid, config=self._config, request_key=request_key, needs=needs
            )
        except Refused as refused:
            refusal = Refusal(problem=refused.problem, faults=refused.faults)
            await self._refuse(body, caller, refusal)
            return refusal
        reply = await self._commit.put(offer)
        assert reply is not None  # noqa: S101 (an offer has one)
        about = {"enterprise": caller.id, "message_type": offer.kind}
        if isinstance(reply, Clash):
            log(
                "message.refused",
                message_id=reply.uid,
                problem="conflicting-version",
                rules=[reply.reason],
                sha256=offer.sha256.hex(),
                **about,
            )
            return Contradicted(clash=reply)
        first = reply.uid == uid
        log(
            "message.accepted" if first else "message.duplicate",
            message_id=reply.uid,
            declarations=len(offer.subjects),
            size_bytes=len(body),
            **about,
        )
        return Accepted(uid=MessageId(reply.uid), message=verdict, sha256=offer.sha256.hex(), first=first)

    def _needs(self, message: Message, caller: Enterprise) -> str:
        """Name the device that has to sign it; empty: none has to."""
        if not self._devices or message.header.signed or message.wrapped:
            return ""
        name = caller.key or self._config.signing.default_key
        return name if name in self._devices else ""

    async def _refuse(self, body: bytes, caller: Enterprise, refusal: Refusal) -> None:
        """Log and journal why a body was not taken; nothing of the body itself."""
        why = {
            "sha256": hashlib.sha256(body).hexdigest(),
            "size_bytes": len(body),
            "problem": refusal.problem,
            "rules": sorted({fault.rule for fault in refusal.faults}),
            "faults": len(refusal.faults),
        }
        log("message.refused", enterprise=caller.id, **why)
        detail = json.dumps({"enterprise": caller.id, **why})
        await self._commit.put(Note(event="message.refused", detail=detail))


def offer_of(
    message: Message,
    caller: Enterprise,
    *,
    uid: MessageId,
    config: Config,
    request_key: str = "",
    needs: str = "",
) -> Offer:
    """Turn an examined message into what the spool takes; everything about its way is fixed here.

    `needs`: the device that has to sign it. Raises Refused `no-route` when it has no way out.
    """
    header = message.header
    body = message.wrapped or message.body
    return Offer(
        uid=uid,
        owner=caller.id,
        kind=header.message_type.name,
        sha256=hashlib.sha256(body).digest(),
        body=body,
        facts=facts.of_message(message, sender=_sender(message, config), key_name=caller.key),
        ways=ways_of(message, caller, uid=uid, config=config),
        request_key=request_key,
        needs=needs,
        subjects=tuple(
            Subject(
                identity=identity(one),
                version=" ".join(filter(None, (one.app_time, one.app_type))) if one.app_time else "",
                handles=handles(one, header.message_type),
                facts=facts.of_declaration(one, header.dxp_id),
            )
            for one in header.declarations
        ),
    )


def ways_of(message: Message, caller: Enterprise, *, uid: MessageId, config: Config) -> tuple[Way, ...]:
    """Return every way out, all under one CopMsgId; raises Refused `no-route` when there is none."""
    cop_msg_id = message.envelope.cop_msg_id if message.envelope else uid
    traits = traits_of(message, caller.id, sender=_sender(message, config), cop_msg_id=cop_msg_id)
    ways = tuple(
        Way(
            destination=leg.destination,
            cop_msg_id=cop_msg_id,
            part=leg.part,
            facts=facts.of_way(facts.WayFacts(receivers=leg.receivers, sub_msg_id=leg.part)),
        )
        for leg in legs(traits, config)
    )
    if not ways:
        raise Refused("no-route", [_no_route(traits.message_type)])
    return ways


def _sender(message: Message, config: Config) -> str:
    """Return the SenderId of an envelope that we make: 1 to 16 characters (spec dxp.md, DxpMsg)."""
    dxp_id = message.header.dxp_id
    return dxp_id if 0 < len(dxp_id) <= 16 else config.node.dxp_id  # noqa: PLR2004


def _no_route(message_type: str) -> Fault:
    return Fault(
        path=f"/{message_type}",
        element=message_type,
        rule="no_route",
        message=f"this gateway has no way out for this {message_type}; it was not taken",
        message_zh=f"本网关没有适用于该{message_type}的发送路由，报文未被接收",
        fix="ask whoever runs the gateway for a [[route]] or a [[destination]] that takes it",
    )


def new_message_id(now: datetime) -> MessageId:
    """Return an upper-case UUID, version 7: ids of one time lie together in the spool's indexes."""
    milliseconds = int(now.timestamp() * 1000)
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & (2**48 - 1)) << 80 | 0x7 << 76 | (random >> 68 & 0xFFF) << 64
    value |= 0b10 << 62 | random & (2**62 - 1)
    return MessageId(str(uuid.UUID(int=value)).upper())
