"""The accept role: bodies in, one fsynced commit for many of them, and only then an answer."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from msgspec import Struct

from gateway.config import Config
from gateway.config_keys import device_keys
from gateway.errors import Refused
from gateway.homes import Homes
from gateway.model import Enterprise, Message, MessageId
from gateway.observe import log
from gateway.pipeline import Refusal, examine
from gateway.queues import KeyQueue, Queues
from gateway.roles.commit import Commit
from gateway.roles.offers import new_message_id, offer_of, ways_of
from gateway.roles.quotas import Cost, OverQuota, Quotas
from gateway.rules import Rules
from gateway.stages.signature import Trust
from signing.suite import Suite
from spool.entry import Clash, Note, Offer, Reply


class Accepted(Struct, frozen=True, kw_only=True):
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """Nothing was taken: what waits for the key that has to sign it would keep that busy for too long."""

    queue: KeyQueue


Outcome = Accepted | Contradicted | Busy | OverQuota | Refusal
Told = Callable[[Outcome | Exception], None]


class Intake:
    """What a door does with a body: examine it, put it in the spool, say what became of it."""

    def __init__(
        self,
        *,
        config: Config,
        rules: Rules,
        homes: Homes,
        suite_of: Callable[[str], Suite | None],
        trust: Trust,
        commit: Commit,
        queues: Queues,
        quotas: Quotas,
    ) -> None:
        """`suite_of`: name of a [[key]] → what it signs with; `trust`: what is asked of what comes signed.

        `queues` and `quotas` are used by the caller's thread.
        """
        self.quotas = quotas
        self._homes = homes
        self._config = config
        self._suite_of = suite_of
        self._trust = trust
        self._devices = device_keys(config.key)
        self._queues = queues
        self._rules = rules
        self._commit = commit

    def examine(self, body: bytes, caller: Enterprise) -> Message | Refusal:
        """Judge a body without keeping anything (a dry run)."""
        self._charge(caller, body)
        verdict = self._examine(body, caller)
        if isinstance(verdict, Message):
            try:
                uid = new_message_id(datetime.now(UTC))
                ways_of(verdict, caller, uid=uid, config=self._config, homes=self._homes)
            except Refused as refused:
                return Refusal(problem=refused.problem, faults=refused.faults)
        return verdict

    def _examine(self, body: bytes, caller: Enterprise) -> Message | Refusal:
        suite = self._suite_of(caller.key or self._config.signing.default_key)
        limits = self._config.accept.limits
        return examine(body, caller, self._rules, limits, suite=suite, trust=self._trust, homes=self._homes)

    def submit(
        self,
        body: bytes,
        caller: Enterprise,
        told: Told,
        *,
        request_key: str = "",
        origin: Mapping[str, str] | None = None,
    ) -> Busy | OverQuota | None:
        """Take a body in; `told` gets the outcome once it is on disk, or the SpoolError that kept it from there.

        Busy and OverQuota are said at once, and `told` is not called then. `origin`: what a translated body was made of.
        """
        verdict = self._examine(body, caller)
        if isinstance(verdict, Refusal):
            self.refuse(body, caller, verdict, told)
            return None
        needs = self._needs(verdict, caller)
        late = self._queues.late(needs) if needs else None
        if late is not None:
            return Busy(queue=late)
        over = self._over(caller, verdict) if caller.quota is not None else None
        if over is not None:
            return over
        try:
            offer = offer_of(
                verdict,
                caller,
                uid=new_message_id(datetime.now(UTC)),
                config=self._config,
                homes=self._homes,
                request_key=request_key,
                needs=needs,
                origin=origin,
            )
        except Refused as refused:
            self._refuse(body, caller, Refusal(problem=refused.problem, faults=refused.faults), told)
        else:
            self._commit.enter(offer, lambda reply: told(_outcome(reply, offer, verdict)))
        return None

    def _over(self, caller: Enterprise, message: Message) -> OverQuota | None:
        size_bytes = len(message.wrapped or message.body)
        return self.quotas.spend(
            caller, Cost(size_bytes=size_bytes, declarations=len(message.header.declarations))
        )

    def _charge(self, caller: Enterprise, body: bytes) -> None:
        """Count a body that was judged and not taken: judging is most of the work."""
        if caller.quota is not None:
            self.quotas.charge(caller, Cost(size_bytes=len(body)))

    def _needs(self, message: Message, caller: Enterprise) -> str:
        """Name the device that has to sign it; empty: none has to."""
        if not self._devices or message.header.signed or message.wrapped:
            return ""
        name = caller.key or self._config.signing.default_key
        return name if name in self._devices else ""

    def refuse(self, body: bytes, caller: Enterprise, refusal: Refusal, told: Told) -> None:
        """Count, log and journal that a body was not taken; `told` hears of it once the journal is on disk."""
        self._charge(caller, body)
        self._refuse(body, caller, refusal, told)

    def _refuse(self, body: bytes, caller: Enterprise, refusal: Refusal, told: Told) -> None:
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
        self._commit.enter(
            Note(event="message.refused", detail=detail),
            lambda reply: told(reply if isinstance(reply, Exception) else refusal),
        )


def _outcome(reply: Reply | Exception | None, offer: Offer, message: Message) -> Outcome | Exception:
    """Say what became of an offer, and log it."""
    if isinstance(reply, Exception):
        return reply
    assert reply is not None  # noqa: S101 (an offer has one)
    if isinstance(reply, Clash):
        contradicted = Contradicted(clash=reply)
        log(
            "message.refused",
            message_id=reply.uid,
            problem=contradicted.problem,
            rules=[reply.reason],
            sha256=offer.sha256.hex(),
            enterprise=offer.owner,
            message_type=offer.kind,
        )
        return contradicted
    first = reply.uid == offer.uid
    log(
        "message.accepted" if first else "message.duplicate",
        message_id=reply.uid,
        declarations=len(offer.subjects),
        size_bytes=len(offer.body),
        enterprise=offer.owner,
        message_type=offer.kind,
    )
    return Accepted(uid=MessageId(reply.uid), message=message, sha256=offer.sha256.hex(), first=first)
