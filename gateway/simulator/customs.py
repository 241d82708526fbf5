"""The customs side without network: takes envelopes and returns the answers when they are due.

It is strict where customs is (envelope, schema, signature, older versions) and scripted for the rest.
Time comes from the injected clock, so that tests can set it.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Lock
from typing import Final

from gateway.config.gateway_toml import LimitsConfig
from gateway.model import Declaration
from gateway.rules.loading import Rules
from gateway.simulator.examine import BadEnvelope, BadFormat, Readable, open_envelope, read_business
from gateway.simulator.ledger import Arrived, Ledger, digest, original_of
from gateway.simulator.markers import Magic, maybe_passing
from gateway.simulator.outgoing import Dispatch, Outgoing
from gateway.simulator.plan import PlannedFate, PlannedOutcome
from gateway.simulator.planning import Planner
from gateway.simulator.postbox import AnswerRoute, Postbox, Posted
from gateway.simulator.receipts import EPORT, ReceiptForm
from gateway.simulator.refusals import SimulatedRefusal, refusals
from gateway.simulator.script import Script
from gateway.xml.envelope import Unwrapped

CONFLICT: Final = SimulatedRefusal(code="0999", info="another message came under this CopMsgId before")
_Sent = tuple[str, str]
"""SenderId and CopMsgId: the same CopMsgId of another sender is another message."""
SAMPLED: Final = "数据包不能通过schema验证：抽查"
"""Text of a CEB900 that only the script asks for, about a message without faults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _OnFile:
    """The newest version of a declaration that customs has on file."""

    app_time: str
    accepted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """The decision about one arrival, not yet carried out."""

    verdict: str
    message_type: str
    cop_code: str = ""
    keys: tuple[Mapping[str, str], ...] = ()
    posted: tuple[Posted, ...] = ()
    on_file: Mapping[tuple[str, ...], _OnFile]


class Customs:
    """The scripted customs side; all methods are thread-safe and block only shortly."""

    def __init__(
        self,
        rules: Rules,
        script: Script,
        clock: Callable[[], float] = time.time,
        *,
        ledger: Ledger | None = None,
        form: ReceiptForm = EPORT,
    ) -> None:
        """`clock` gives seconds since 1970; `rules` must not be shared; the caller closes the ledger."""
        self._rules, self._script, self._clock, self._form = rules, script, clock, form
        self._ledger = ledger or Ledger()
        self._limits = LimitsConfig(size_bytes=script.large)
        self._lock = Lock()
        self._postbox = Postbox()
        self._seen: dict[_Sent, tuple[str, str]] = {}
        """Digest of the business bytes and verdict."""
        self._bounced: dict[_Sent, int] = {}
        """Envelope → how often its sender was asked to send it again."""
        self._on_file: dict[tuple[str, ...], _OnFile] = {}
        self._dispatch = Dispatch(
            ledger=self._ledger,
            form=form,
            batch=script.batch,
            guids=script.randomness("messages", f"{clock():.6f}"),
        )

    def receive(self, envelope: bytes, name: str, *, origin: str = "") -> None:  # noqa: ARG002 (for people)
        """Accept one envelope, valid or not, and plan its answers, which go out to `origin`.

        `name` is its file name or message id and is not checked. The same CopMsgId with the same business
        bytes, apart from the Signature, is recorded as a repeat and not answered again: SM2 signatures always
        differ. Raises OSError when the ledger cannot be written: then nothing has changed, and the envelope may
        come again.
        """
        with self._lock:
            planner = Planner(script=self._script, form=self._form, now=self._clock())
            opened = open_envelope(envelope, self._rules)
            if isinstance(opened, BadEnvelope):
                self._reject(envelope, opened, planner, origin)
            else:
                self._take(envelope, opened, planner, origin)

    def due(self, now: float) -> list[Outgoing]:
        """Remove and return the messages due by `now`, in the order in which they became due.

        Bodies of one receipt type for one receiver share messages, up to `script.batch` in each.
        """
        with self._lock:
            return self._dispatch.messages(self._postbox.take(now), datetime.fromtimestamp(now, UTC))

    def pending(self) -> int:
        """Return the number of receipt bodies still to be sent."""
        with self._lock:
            return len(self._postbox)

    def next_due(self) -> float | None:
        """Return the time on the clock when the next answer is due; None when there is none."""
        with self._lock:
            return self._postbox.next_due()

    def _reject(self, envelope: bytes, bad: BadEnvelope, planner: Planner, origin: str) -> None:
        posted = planner.platform(bad.refusal, bad.envelope, origin)
        line = Arrived(
            cop_msg_id=bad.envelope.cop_msg_id,
            sender_id=bad.envelope.sender_id,
            message_type="Unknown",
            cop_code="",
            envelope_sha256=digest(envelope),
            business_sha256="",
            original_sha256="",
            keys=(),
            verdict="bad_envelope",
            repeat=False,
        )
        self._ledger.arrived(line)
        self._postbox.post(posted)

    def _take(self, envelope: bytes, unwrapped: Unwrapped, planner: Planner, origin: str) -> None:
        cop_msg_id, sha256 = unwrapped.envelope.cop_msg_id, digest(unwrapped.business)
        original_sha256 = digest(original_of(unwrapped.business))
        sent = (unwrapped.envelope.sender_id, cop_msg_id)
        before = self._seen.get(sent)
        asked = self._bounced.get(sent, 0)
        error = self._asks_again(unwrapped, asked) if before is None else None
        if error is not None:
            self._bounce(envelope, unwrapped, planner, origin, asked=asked, error=error)
            return
        judged = self._judge(unwrapped, planner, origin, before is None)
        repeat = before is not None and before[0] == original_sha256
        if before is not None and repeat:
            judged = replace(judged, verdict=before[1])
        elif before is not None:
            answer = planner.platform(CONFLICT, unwrapped.envelope, origin)
            judged = replace(judged, verdict="conflict", posted=(answer,))
        line = Arrived(
            cop_msg_id=cop_msg_id,
            sender_id=unwrapped.envelope.sender_id,
            message_type=judged.message_type,
            cop_code=judged.cop_code,
            envelope_sha256=digest(envelope),
            business_sha256=sha256,
            original_sha256=original_sha256,
            keys=judged.keys,
            verdict=judged.verdict,
            repeat=repeat or asked > 0,
        )
        self._ledger.arrived(line)
        self._seen.setdefault(sent, (original_sha256, judged.verdict))
        self._on_file.update(judged.on_file)
        for posted in judged.posted:
            self._postbox.post(posted)

    def _asks_again(self, unwrapped: Unwrapped, asked: int) -> SimulatedRefusal | None:
        """Return the error that asks for another attempt, after `asked` such answers; None: accept the envelope."""
        cop_msg_id = unwrapped.envelope.cop_msg_id
        if asked < self._script.bounces_of(cop_msg_id):
            return self._script.passing_error(cop_msg_id)
        if asked or not self._script.magic or not maybe_passing(unwrapped.business):
            return None
        read = read_business(unwrapped.business, self._rules, limits=self._limits, signatures=False)
        magic = None if isinstance(read, BadFormat) else self._magic(read)
        return magic.passing if magic else None

    def _magic(self, read: Readable) -> Magic | None:
        header = read.header
        keys = [declaration.key for declaration in header.declarations]
        return self._script.magic_in(header.message_type.name, keys)

    def _bounce(
        self,
        envelope: bytes,
        unwrapped: Unwrapped,
        planner: Planner,
        origin: str,
        *,
        asked: int,
        error: SimulatedRefusal,
    ) -> None:
        """Ask the sender to send an envelope again, as if something had failed on this side."""
        cop_msg_id = unwrapped.envelope.cop_msg_id
        line = Arrived(
            cop_msg_id=cop_msg_id,
            sender_id=unwrapped.envelope.sender_id,
            message_type=unwrapped.envelope.msg_type,
            cop_code="",
            envelope_sha256=digest(envelope),
            business_sha256=digest(unwrapped.business),
            original_sha256=digest(original_of(unwrapped.business)),
            keys=(),
            verdict="bounced",
            repeat=asked > 0,
        )
        self._ledger.arrived(line)
        self._bounced[unwrapped.envelope.sender_id, cop_msg_id] = asked + 1
        self._postbox.post(planner.platform(error, unwrapped.envelope, origin))

    def _judge(self, unwrapped: Unwrapped, planner: Planner, origin: str, first: bool) -> _Judged:
        """Check the message inside; only the first under its CopMsgId is verified and answered."""
        signatures = self._script.check_signatures and first
        read = read_business(unwrapped.business, self._rules, limits=self._limits, signatures=signatures)
        if not first:
            return _facts(read, "")
        route = AnswerRoute(
            origin=origin,
            receiver_id=unwrapped.envelope.sender_id,
            node=unwrapped.transfer.sta_node if unwrapped.transfer else "",
        )
        if isinstance(read, BadFormat):
            answer = planner.format(unwrapped, read.message_type, read.info, route, "")
            return replace(_facts(read, "bad_format"), posted=(answer,))
        header = read.header
        name = header.message_type.name
        match self._script.fate(name, [declaration.key for declaration in header.declarations]):
            case PlannedFate.SILENT:
                return _facts(read, "silent")
            case PlannedFate.PLATFORM:
                magic = self._magic(read)
                error = (magic and magic.platform) or self._script.platform_error(
                    unwrapped.envelope.cop_msg_id
                )
                answer = planner.platform(error, unwrapped.envelope, origin)
                return replace(_facts(read, "platform"), posted=(answer,))
            case PlannedFate.FORMAT:
                answer = planner.format(unwrapped, name, SAMPLED, route, header.cop_code)
                return replace(_facts(read, "format"), posted=(answer,))
            case PlannedFate.ANSWERED:
                return self._process(read, planner, route)

    def _process(self, read: Readable, planner: Planner, route: AnswerRoute) -> _Judged:
        """Check each declaration against the version on file, then answer it as the script decides."""
        header = read.header
        posted: list[Posted] = []
        on_file: dict[tuple[str, ...], _OnFile] = {}
        bodies = read.root.iterchildren(f"{{*}}{header.message_type.body}")
        for declaration, body in zip(header.declarations, bodies, strict=True):
            ident = (declaration.message_type, *declaration.key.values())
            declared = planner.case(header, declaration, body)
            refusal = read.refusal or self._refused(
                declaration, on_file.get(ident) or self._on_file.get(ident)
            )
            if refusal is not None:
                posted.append(planner.refused(refusal, declared, route))
                continue
            plan = self._script.plan(header.message_type, declaration.key, declaration.app_type)
            accepted = plan.outcome is PlannedOutcome.ACCEPTED
            on_file[ident] = _OnFile(app_time=declaration.app_time, accepted=accepted)
            posted += planner.processed(plan, declared, route)
        verdict = "bad_signature" if read.refusal else "processed"
        return replace(_facts(read, verdict), posted=tuple(posted), on_file=on_file)

    def _refused(self, declaration: Declaration, known: _OnFile | None) -> SimulatedRefusal | None:
        """Refuse a version older than the one on file, and duplicates if the script says so.

        (docs/spec/codes.md, Business error codes: older message received; duplicate business key.)
        """
        if known is None:
            return None
        if declaration.app_time < known.app_time:
            return refusals(declaration.message_type).older
        twice = declaration.app_type == "1" and known.accepted and self._script.refuse_duplicates
        return refusals(declaration.message_type).duplicate if twice else None


def _facts(read: Readable | BadFormat, verdict: str) -> _Judged:
    """Return what the ledger records about a message, without answers."""
    if isinstance(read, BadFormat):
        return _Judged(verdict=verdict, message_type=read.message_type, on_file={})
    header = read.header
    return _Judged(
        verdict=verdict,
        message_type=header.message_type.name,
        cop_code=header.cop_code,
        keys=tuple(dict(declaration.key) for declaration in header.declarations),
        on_file={},
    )
