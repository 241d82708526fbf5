"""The accept role: bodies in, one fsynced commit for many of them, and only then an answer."""

import asyncio
import hashlib
import itertools
import json
import os
import queue
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway import facts
from gateway.config import Config
from gateway.errors import Refused
from gateway.model import Enterprise, Fault, Message, MessageId
from gateway.observe import log
from gateway.pipeline import Refusal, examine
from gateway.routing import legs, traits_of
from gateway.rules import Rules
from gateway.stages.correlate import handles, identity
from signing.suite import Suite
from spool.entry import Clash, Note, Offer, Reply, Subject, Way
from spool.errors import SpoolError
from spool.store import Spool

_WAITING_AT_MOST = 10_000
"""Messages that may wait for a commit; more than that is refused for the moment."""
_LINGER_S = 0.003
"""How long a commit waits for company when the last one had some: a commit costs as much as several
messages, and 3 ms is little to a caller that is one of many. One that is alone does not wait."""
_TRY_EVERY = 32
"""How often a commit waits in order to find out whether there is company."""


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

    @property
    def problem(self) -> str:
        """Code of the problem, as the table of problems has it."""
        return "conflicting-version" if self.clash.reason == "version" else "cop-msg-id-taken"


Outcome = Accepted | Contradicted | Refusal


class GroupCommit:
    """Gathers what arrives while the disk is busy, and commits it together."""

    def __init__(
        self,
        open_spool: Callable[[], Spool],
        *,
        batch: int,
        committed: Callable[[int, float], None] = lambda _items, _seconds: None,
    ) -> None:
        """`committed` is told, in the committing thread, how many items a commit took and how many seconds."""
        self._committed = committed
        self._open_spool = open_spool
        self._batch = batch
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._live, name="group-commit", daemon=True)
        self._thread.start()

    async def put(self, item: Offer | Note) -> Reply | None:
        """Return once it is on disk, with the reply to an offer.

        Raises SpoolError, temporary when waiting may help.
        """
        if self._queue.qsize() > _WAITING_AT_MOST:
            raise SpoolError(
                "too many messages wait for the disk", fix="try again in a few seconds", temporary=True
            )
        loop = asyncio.get_running_loop()
        waiting = _Waiting(item=item, future=loop.create_future(), loop=loop)
        self._queue.put(waiting)
        return await waiting.future

    def close(self) -> None:
        """Commit what waits, then end."""
        self._queue.put(None)
        self._thread.join()

    def _live(self) -> None:
        """Commit until closed; without this thread nobody would ever be answered, so its end is the role's."""
        try:
            self._run()
        except BaseException as error:  # noqa: BLE001 (the last place that can say why)
            log("role.failed", role="accept", error=f"{type(error).__name__}: {error}")
            os._exit(1)

    def _run(self) -> None:
        spool = self._open_spool()
        try:
            fruitful = False
            for number in itertools.count():
                first = self._queue.get()
                if first is None:
                    return
                linger_s = _LINGER_S if fruitful or number % _TRY_EVERY == 0 else 0.0
                batch, ended = self._gather(first, linger_s)
                fruitful = len(batch) > 1
                began = time.monotonic()
                self._commit(spool, batch)
                self._committed(len(batch), time.monotonic() - began)
                if ended:
                    return
        finally:
            spool.close()

    def _gather(self, first: "_Waiting", linger_s: float) -> tuple[list["_Waiting"], bool]:
        """Take what waits and what comes within `linger_s`; say whether it was the last."""
        batch = [first]
        until = time.monotonic() + linger_s
        while len(batch) < self._batch:
            try:
                more = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if more is None:
                return batch, True
            batch.append(more)
        return batch, False

    @staticmethod
    def _commit(spool: Spool, batch: Sequence["_Waiting"]) -> None:
        loop = batch[0].loop
        offers = [waiting.item for waiting in batch if isinstance(waiting.item, Offer)]
        notes = [waiting.item for waiting in batch if isinstance(waiting.item, Note)]
        try:
            replies = iter(spool.put(offers, notes=notes))
        except SpoolError as error:
            loop.call_soon_threadsafe(_fail, batch, error)
        else:
            answers = [next(replies) if isinstance(waiting.item, Offer) else None for waiting in batch]
            loop.call_soon_threadsafe(_resolve, batch, answers)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    item: Offer | Note
    future: asyncio.Future[Reply | None]
    loop: asyncio.AbstractEventLoop


def _resolve(batch: Sequence[_Waiting], replies: Sequence[Reply | None]) -> None:
    for waiting, reply in zip(batch, replies, strict=True):
        if not waiting.future.done():  # its caller may have gone away
            waiting.future.set_result(reply)


def _fail(batch: Sequence[_Waiting], error: SpoolError) -> None:
    for waiting in batch:
        if not waiting.future.done():
            waiting.future.set_exception(error)


class Intake:
    """What a door does with a body: examine it, put it in the spool, say what became of it."""

    def __init__(
        self, *, config: Config, rules: Rules, suites: Mapping[str, Suite], commit: GroupCommit
    ) -> None:
        """`suites`: name of a [[key]] → what it signs with."""
        self._config = config
        self._suites = suites
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
        suite = self._suites.get(caller.key or self._config.signing.default_key)
        return examine(body, caller, self._rules, self._config.accept.limits, suite)

    async def submit(self, body: bytes, caller: Enterprise, *, request_key: str = "") -> Outcome:
        """Take a body in; returns after the fsync. Raises SpoolError when the spool cannot take it."""
        verdict = self._examine(body, caller)
        if isinstance(verdict, Refusal):
            await self._refuse(body, caller, verdict)
            return verdict
        uid = new_message_id(datetime.now(UTC))
        try:
            offer = offer_of(verdict, caller, uid=uid, config=self._config, request_key=request_key)
        except Refused as refused:
            refusal = Refusal(problem=refused.problem, faults=refused.faults)
            await self._refuse(body, caller, refusal)
            return refusal
        reply = await self._commit.put(offer)
        assert reply is not None  # noqa: S101 (an offer has one)
        about = {"enterprise": caller.id, "message_type": offer.kind}
        if isinstance(reply, Clash):
            contradicted = Contradicted(clash=reply)
            log(
                "message.refused",
                message_id=reply.uid,
                problem=contradicted.problem,
                rules=[reply.reason],
                sha256=offer.sha256.hex(),
                **about,
            )
            return contradicted
        first = reply.uid == uid
        log(
            "message.accepted" if first else "message.duplicate",
            message_id=reply.uid,
            declarations=len(offer.subjects),
            size_bytes=len(body),
            **about,
        )
        return Accepted(uid=MessageId(reply.uid), message=verdict, sha256=offer.sha256.hex(), first=first)

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
    message: Message, caller: Enterprise, *, uid: MessageId, config: Config, request_key: str = ""
) -> Offer:
    """Turn an examined message into what the spool takes; everything about its way is fixed here.

    Raises Refused `no-route` when it has no way out.
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
