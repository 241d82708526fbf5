"""The accept role: bodies in, one fsynced commit for many of them, and only then an answer."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.config import Config
from gateway.errors import Refused
from gateway.homes import Homes
from gateway.model import Enterprise, Message, MessageId
from gateway.observe import log
from gateway.pipeline import Refusal, examine
from gateway.roles.commit import GroupCommit
from gateway.roles.offers import new_message_id, offer_of, ways_of
from gateway.rules import Rules
from gateway.stages.signature import Trust
from signing.suite import Suite
from spool.entry import Clash, Note


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


class Intake:
    """What a door does with a body: examine it, put it in the spool, say what became of it."""

    def __init__(
        self,
        *,
        config: Config,
        rules: Rules,
        homes: Homes,
        suites: Mapping[str, Suite],
        trust: Trust,
        commit: GroupCommit,
    ) -> None:
        """`suites`: name of a [[key]] → what it signs with; `trust`: what is asked of what comes signed."""
        self._homes = homes
        self._config = config
        self._suites = suites
        self._trust = trust
        self._rules = rules
        self._commit = commit

    def examine(self, body: bytes, caller: Enterprise) -> Message | Refusal:
        """Judge a body without keeping anything (a dry run)."""
        verdict = self._examine(body, caller)
        if isinstance(verdict, Message):
            try:
                uid = new_message_id(datetime.now(UTC))
                ways_of(verdict, caller, uid=uid, config=self._config, homes=self._homes)
            except Refused as refused:
                return Refusal(problem=refused.problem, faults=refused.faults)
        return verdict

    def _examine(self, body: bytes, caller: Enterprise) -> Message | Refusal:
        suite = self._suites.get(caller.key or self._config.signing.default_key)
        limits = self._config.accept.limits
        return examine(body, caller, self._rules, limits, suite=suite, trust=self._trust)

    async def submit(self, body: bytes, caller: Enterprise, *, request_key: str = "") -> Outcome:
        """Take a body in; returns after the fsync. Raises SpoolError when the spool cannot take it."""
        verdict = self._examine(body, caller)
        if isinstance(verdict, Refusal):
            await self._refuse(body, caller, verdict)
            return verdict
        uid = new_message_id(datetime.now(UTC))
        try:
            offer = offer_of(
                verdict, caller, uid=uid, config=self._config, homes=self._homes, request_key=request_key
            )
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
