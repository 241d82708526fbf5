"""The accept role: takes checked bodies, stores many of them in one fsynced commit, and answers after it."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import Struct, structs

from gateway.advice.blocking import blocking, fault_of
from gateway.config.gateway_toml import Config
from gateway.config.keys import device_keys
from gateway.keys.backlog import Backlogs, KeyBacklog
from gateway.mapping.language import SourceMapping
from gateway.mapping.loading import NO_MAPPINGS
from gateway.model import Advice, EditionNotice, Enterprise, Fault, Header, MessageId
from gateway.observe.log import log
from gateway.observe.role_metrics import count_advice
from gateway.provenance.mapping_log import MappingLog
from gateway.submission.commit import Commit
from gateway.submission.pipeline import Refusal
from gateway.submission.quotas import Cost, OverQuota, Quotas
from spool.entry import Conflict, Duplicate, NewMessage, Note, PutResult, Submission
from spool.errors import SpoolError
from spool.store import Spool

_PROBLEMS: Final = {
    "version": "conflicting-version",
    "cop_msg_id": "cop-msg-id-taken",
    "request_key": "idempotency-key-taken",
}
"""`Conflict.reason` → problem code."""
_CONFLICTS: Final = {
    "version": (
        "a message with this declaration, appType and appTime was accepted before, with other bytes",
        "同一业务主键、报送类型和报送时间的单证此前已接收，且内容不同",
        "declare a change with a newer appTime",
        "变更申报须使用更新的appTime",
    ),
    "cop_msg_id": (
        "this CopMsgId belongs to another message under the same SenderId, so answers to the two could not be told apart",
        "该 CopMsgId 已用于同一 SenderId 的其他报文，无法区分两者的回执",
        "give each DxpMsg a CopMsgId that nobody else uses under your DXP id, a UUID for instance",
        "每份DxpMsg须使用在贵企业DXP编号下唯一的CopMsgId，例如UUID",
    ),
    "request_key": (
        "a message came before under this Idempotency-Key, with other bytes; this one was not taken",
        "此前已有其他内容的报文使用该 Idempotency-Key，本报文未接收",
        "send each message under a key of its own, and the same bytes under the same key only",
        "每份报文须使用各自的键，同一键只能用于相同的内容",
    ),
}
"""`Conflict.reason` → what it says and what to do, in English and Chinese each."""
_RULES_LOGGED: Final = 40
"""Most rules named in one line of the log, which has to fit into one atomic write (`man 7 pipe`, PIPE_BUF)."""


class ExaminedSubmission(Struct, frozen=True, kw_only=True):
    """A message that passed every check, with all that accepting it needs."""

    header: Header
    new: NewMessage
    enveloped: bool
    """It came in the sender's own DxpMsg."""
    edition_notice: EditionNotice | None = None
    """Set when the edition that is about to come into force would refuse it."""
    advice: tuple[Advice, ...] = ()
    """What customs is likely to object to."""


class AcceptedSubmission(Struct, frozen=True, kw_only=True):
    """The gateway has accepted the message and will deliver it."""

    uid: MessageId
    sha256: str
    """Hex, of the submitted bytes."""
    header: Header | None
    """None: these bytes had been accepted before."""
    advice: tuple[Advice, ...] | None
    """None: not judged this time, because the bytes are known."""
    edition_notice: EditionNotice | None = None
    """As of `ExaminedSubmission`."""

    @property
    def first(self) -> bool:
        """Whether the message was accepted just now."""
        return self.header is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictingSubmission:
    """The message conflicts with one that was accepted before (409)."""

    conflict: Conflict

    @property
    def problem(self) -> str:
        """Problem code, as in the table of problems."""
        return _PROBLEMS[self.conflict.reason]


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """The message was not accepted: the queue of its signing key is too long already."""

    queue: KeyBacklog


SubmissionResult = AcceptedSubmission | ConflictingSubmission | Busy | OverQuota | Refusal
OnSubmitted = Callable[[SubmissionResult | Exception], None]


class Intake:
    """What every door does with a checked body: store it in the spool and report the result."""

    def __init__(
        self,
        *,
        config: Config,
        spool: Spool,
        commit: Commit,
        queues: Backlogs,
        quotas: Quotas,
        mappings: Mapping[str, SourceMapping] = NO_MAPPINGS,
    ) -> None:
        """All arguments are used in the caller's thread. `mappings`: by which messages may have been made, by name."""
        self._spool = spool
        self._mappings = MappingLog(spool, mappings)
        self.quotas = quotas
        self._config = config
        self._devices = device_keys(config.key)
        self._queues = queues
        self._commit = commit

    def charge(self, body: bytes, caller: Enterprise) -> None:
        """Charge a body to the quota that was checked but not accepted: checking is most of the work."""
        if caller.quota is not None:
            self.quotas.charge(caller, Cost(size_bytes=len(body)))

    def take(
        self,
        judged: ExaminedSubmission | Refusal,
        body: bytes,
        caller: Enterprise,
        on_done: OnSubmitted,
        *,
        request_key: str = "",
    ) -> None:
        """Take in what was judged. `body`: as handed in.

        `on_done` gets the outcome, once: a commit's when it is on disk, or the SpoolError that prevented it; Busy and
        OverQuota before this returns.
        """
        if isinstance(judged, Refusal):
            self._refuse(body, caller, judged, on_done)
            return
        blocked = blocked_by(judged, caller)
        if blocked is not None:
            self._block(blocked, judged.new, body, caller, on_done, request_key=request_key)
            return
        resource = self._resource(judged, caller)
        refused = self._busy(resource) or self._over(caller, judged)
        if refused is not None:
            on_done(refused)
            return
        new = judged.new
        if request_key or resource:
            new = structs.replace(new, request_key=request_key, resource=resource)
        if new.origin is not None and (note := self._mappings.note(new.origin)) is not None:
            self._commit.enter(note, _unheard)  # an error of the commit is told to the message
        self._commit.enter(new, lambda reply: on_done(_outcome(reply, new, judged)))

    def recalled(
        self, reply: Duplicate | Conflict, body: bytes, caller: Enterprise
    ) -> AcceptedSubmission | ConflictingSubmission:
        """Return the first answer to bytes that were accepted before; they are not checked again."""
        self.charge(body, caller)
        sha256 = hashlib.sha256(body).hexdigest()
        if isinstance(reply, Conflict):
            return _contradicted(reply, sha256, owner=caller.id)
        view = self._spool.message(reply.uid, owner=caller.id)
        if view is None:
            raise SpoolError("an accepted message is not in the spool", where=reply.uid)
        log(
            "message.duplicate",
            message_id=reply.uid,
            declarations=len(view.identities),
            size_bytes=len(body),
            enterprise=caller.id,
            message_type=view.kind,
        )
        return AcceptedSubmission(uid=MessageId(reply.uid), sha256=sha256, header=None, advice=None)

    def _block(
        self,
        blocked: Refusal,
        new: NewMessage,
        body: bytes,
        caller: Enterprise,
        on_done: OnSubmitted,
        *,
        request_key: str,
    ) -> None:
        """Refuse a message on advice, unless it was accepted before: an acceptance is not undone."""
        asked = Submission(owner=caller.id, sha256=new.sha256, request_key=request_key)
        (known,) = self._spool.taken([asked])
        if known is None:
            self._refuse(body, caller, blocked, on_done)
        else:
            on_done(self.recalled(known, new.body, caller))

    def _busy(self, resource: str) -> Busy | None:
        """Tell whether the device that has to sign it has too long a queue."""
        late = self._queues.late(resource) if resource else None
        return None if late is None else Busy(queue=late)

    def _over(self, caller: Enterprise, ready: ExaminedSubmission) -> OverQuota | None:
        if caller.quota is None:
            return None
        cost = Cost(size_bytes=len(ready.new.body), declarations=len(ready.header.declarations))
        return self.quotas.spend(caller, cost)

    def _resource(self, ready: ExaminedSubmission, caller: Enterprise) -> str:
        """Return the device key that has to sign the message; empty: none."""
        if not self._devices or ready.header.signed or ready.enveloped:
            return ""
        name = caller.key or self._config.signing.default_key
        return name if name in self._devices else ""

    def _refuse(self, body: bytes, caller: Enterprise, refusal: Refusal, on_done: OnSubmitted) -> None:
        """Charge, log and journal a refused body, without its content; `on_done` is called once that is on disk."""
        self.charge(body, caller)
        why = {
            "sha256": hashlib.sha256(body).hexdigest(),
            "size_bytes": len(body),
            "problem": refusal.problem,
            "rules": sorted({fault.rule for fault in refusal.faults})[:_RULES_LOGGED],
            "faults": len(refusal.faults),
        }
        log("message.refused", enterprise=caller.id, **why)
        detail = json.dumps({"enterprise": caller.id, **why})
        self._commit.enter(
            Note(event="message.refused", detail=detail),
            lambda reply: on_done(reply if isinstance(reply, Exception) else refusal),
        )


def blocked_by(judged: ExaminedSubmission, caller: Enterprise) -> Refusal | None:
    """Return the refusal of a message by advice that its enterprise blocks on; None: it blocks on nothing of it."""
    found = blocking(judged.advice, caller.block_on)
    return Refusal(problem="advice-blocks", faults=tuple(map(fault_of, found))) if found else None


def conflict_fault(conflict: Conflict) -> Fault:
    """Return the fault to report for a conflict."""
    message, message_zh, fix, fix_zh = _CONFLICTS[conflict.reason]
    named = f": {', '.join(conflict.identities)}" if conflict.identities else ""
    earlier = f" (message {conflict.uid})" if conflict.uid else ""
    earlier_zh = f"（报文{conflict.uid}）" if conflict.uid else ""
    return Fault(
        rule=f"conflict_{conflict.reason}",
        message=f"{message}{earlier}{named}",
        message_zh=f"{message_zh}{earlier_zh}{named}",
        fix=fix,
        fix_zh=fix_zh,
    )


def _unheard(_reply: PutResult | Exception | None) -> None:
    """Do nothing with the result of a line."""


def _outcome(
    reply: PutResult | Exception | None, new: NewMessage, judged: ExaminedSubmission
) -> SubmissionResult | Exception:
    """Return the result of a new message, and log it."""
    if isinstance(reply, Exception):
        return reply
    assert reply is not None  # noqa: S101 (an offer has one)
    if isinstance(reply, Conflict):
        return _contradicted(reply, new.sha256.hex(), owner=new.owner, kind=new.kind)
    first = reply.uid == new.uid
    log(
        "message.accepted" if first else "message.duplicate",
        message_id=reply.uid,
        declarations=len(new.subjects),
        size_bytes=len(new.body),
        enterprise=new.owner,
        message_type=new.kind,
    )
    if first and judged.advice:
        _record(judged.advice, new)
    return AcceptedSubmission(
        uid=MessageId(reply.uid),
        sha256=new.sha256.hex(),
        header=judged.header if first else None,
        edition_notice=judged.edition_notice,
        advice=judged.advice,
    )


def _record(advice: Sequence[Advice], new: NewMessage) -> None:
    """Log and count what advice was given on an accepted message; never a value."""
    told = Counter((one.rule, one.severity) for one in advice)
    for (rule, severity), number in told.items():
        count_advice(rule, severity, number)
    log(
        "advice.given",
        message_id=new.uid,
        rules={rule: number for (rule, _), number in told.most_common(_RULES_LOGGED)},
        severities=Counter(one.severity.value for one in advice),
        enterprise=new.owner,
        message_type=new.kind,
    )


def _contradicted(conflict: Conflict, sha256: str, *, owner: str, kind: str = "") -> ConflictingSubmission:
    """Log and return a conflict; `kind`: empty where the type was not determined."""
    contradicted = ConflictingSubmission(conflict=conflict)
    log(
        "message.refused",
        message_id=conflict.uid,
        problem=contradicted.problem,
        rules=[conflict.reason],
        sha256=sha256,
        enterprise=owner,
        message_type=kind,
    )
    return contradicted
