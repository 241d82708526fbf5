"""What is judged, and what comes of it; pure, so that a case may be given up at any instant."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct, structs

from gateway.config.gateway_toml import Config
from gateway.config.local_receivers import LocalReceivers
from gateway.errors import EnvelopeError, Refused
from gateway.mapping.language import SourceMapping
from gateway.mapping.translate import translate
from gateway.model import Enterprise, EnterpriseId, Fault, Message, Opened
from gateway.receipts.opened import open_collected
from gateway.rules.loading import Rules
from gateway.submission.intake import ExaminedSubmission
from gateway.submission.new_messages import new_message_id, new_message_of
from gateway.submission.pipeline import Refusal, examine, examine_plain
from gateway.submission.signature import Trust
from signing.keys.suite import Suite

TOO_EXPENSIVE: Final = Refusal(
    problem="too-expensive",
    faults=(
        Fault(
            rule="too_expensive",
            message="judging it took more time or memory than one message may; it was given up",
            message_zh="检查该报文所需的时间或内存超过单份报文的上限，已中止检查",
            fix="split the declarations over several messages, without comments, namespaces or elements that nobody"
            " needs; if it is an ordinary message, ask whoever runs the gateway",
        ),
    ),
)
"""What a case comes to that has ended its judge."""
AT_ONCE_BYTES: Final = 160 * 1024
"""A body in plain form up to this, 100 usual declarations, is judged by whoever has it, within some milliseconds;
handing it on would cost a third of that again."""


class Examine(Struct, frozen=True, kw_only=True):
    """A message as it is handed in. Comes to `ExaminedSubmission` or a Refusal."""

    body: bytes
    caller: EnterpriseId
    full: tuple[EnterpriseId, ...] = ()
    """Who takes no more mail of the caller's for now."""


class Translate(Struct, frozen=True, kw_only=True):
    """A source that a mapping makes a message of. Comes to `ExaminedSubmission`, or a Refusal whose faults name the source."""

    body: bytes
    caller: EnterpriseId
    mapping: str
    charset: str
    full: tuple[EnterpriseId, ...] = ()
    """As of `Examine`."""


class Open(Struct, frozen=True, kw_only=True):
    """What customs sent. Comes to Opened, or to `UnreadableAnswer`."""

    body: bytes


class UnreadableAnswer(Struct, frozen=True, kw_only=True):
    """It is nothing that customs sends."""

    what: str
    where: str
    fix: str


class Broken(Struct, frozen=True, kw_only=True):
    """A defect of ours, in words; its trace is in the log."""

    error: str


JudgeCase = Examine | Translate | Open
JudgeVerdict = ExaminedSubmission | Refusal | Opened | UnreadableAnswer | Broken


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Knows all that a verdict depends on."""

    config: Config
    rules: Rules
    enterprises: Mapping[EnterpriseId, Enterprise]
    local_receivers: LocalReceivers
    trust: Trust
    suite_of: Callable[[str], Suite | None]
    """Name of a [[key]] → what it signs with."""
    mappings: Mapping[str, SourceMapping]

    def at_once(
        self, body: bytes, caller: Enterprise, full: tuple[EnterpriseId, ...] = ()
    ) -> ExaminedSubmission | Refusal | None:
        """Judge what takes a bounded moment; None: it is for a judge that may be killed. `full`: as of `Examine`."""
        if len(body) > AT_ONCE_BYTES:
            return None
        verdict = examine_plain(
            body,
            caller,
            self.rules,
            self.config.accept.limits,
            suite=self._suite(caller),
            local_receivers=self.local_receivers,
        )
        return None if verdict is None else self._ready(verdict, caller, full)

    def __call__(self, case: JudgeCase) -> JudgeVerdict:
        """Judge anything, however long it takes."""
        match case:
            case Examine():
                return self._examine(case.body, self.enterprises[case.caller], case.full)
            case Translate():
                return self._translate(case, self.enterprises[case.caller])
            case Open():
                return self._open(case.body)

    def _examine(
        self,
        body: bytes,
        caller: Enterprise,
        full: tuple[EnterpriseId, ...],
        origin: Mapping[str, str] | None = None,
    ) -> ExaminedSubmission | Refusal:
        verdict = examine(
            body,
            caller,
            self.rules,
            self.config.accept.limits,
            suite=self._suite(caller),
            trust=self.trust,
            local_receivers=self.local_receivers,
        )
        return self._ready(verdict, caller, full, origin)

    def _ready(
        self,
        verdict: Message | Refusal,
        caller: Enterprise,
        full: tuple[EnterpriseId, ...],
        origin: Mapping[str, str] | None = None,
    ) -> ExaminedSubmission | Refusal:
        """Fix the ways of a sound message."""
        if isinstance(verdict, Refusal):
            return verdict
        try:
            new = new_message_of(
                verdict,
                caller,
                uid=new_message_id(datetime.now(UTC)),
                config=self.config,
                local_receivers=replace(self.local_receivers, full=full.__contains__)
                if full
                else self.local_receivers,
                origin=origin,
            )
        except Refused as refused:
            return Refusal(problem=refused.problem, faults=refused.faults)
        return ExaminedSubmission(header=verdict.header, new=new, enveloped=bool(verdict.wrapped))

    def _translate(self, case: Translate, caller: Enterprise) -> ExaminedSubmission | Refusal:
        mapping = self.mappings[case.mapping]
        try:
            made = translate(case.body, mapping, self.config.accept.limits, charset=case.charset)
        except Refused as refused:
            return Refusal(problem=refused.problem, faults=refused.faults)
        verdict = self._examine(made.document, caller, case.full, made.origin)
        if made.faults:
            return Refusal(problem="untranslatable", faults=made.located(_of_document(verdict)))
        if isinstance(verdict, Refusal):
            return replace(verdict, faults=made.located(verdict.faults))
        return verdict

    def _suite(self, caller: Enterprise) -> Suite | None:
        return self.suite_of(caller.key or self.config.signing.default_key)

    def _open(self, body: bytes) -> Opened | UnreadableAnswer:
        try:
            return open_collected(body, self.rules.catalogue)
        except EnvelopeError as error:
            return UnreadableAnswer(what=error.what, where=error.where, fix=error.fix)


def _of_document(verdict: ExaminedSubmission | Refusal) -> tuple[Fault, ...]:
    """Give what else is wrong with a document that could not be written whole."""
    known = isinstance(verdict, Refusal) and verdict.problem in {"invalid-message", "conflicting-version"}
    return verdict.faults if known and isinstance(verdict, Refusal) else ()


def on_message(verdict: JudgeVerdict | Exception) -> ExaminedSubmission | Refusal:
    """Give the verdict on a message. Raises what kept a judge from one."""
    match verdict:
        case ExaminedSubmission() | Refusal():
            return verdict
        case Exception():
            raise verdict
        case _:
            raise RuntimeError(f"a judge has failed: {verdict}")


def lightened(verdict: JudgeVerdict, case: JudgeCase) -> JudgeVerdict:
    """Take out of a verdict the bytes that whoever asked has."""
    if not isinstance(verdict, ExaminedSubmission) or not isinstance(case, Examine):
        return verdict
    return structs.replace(verdict, new=structs.replace(verdict.new, body=b""))


def completed(verdict: JudgeVerdict, case: JudgeCase) -> JudgeVerdict:
    """Put back what `lightened` has taken out."""
    if not isinstance(verdict, ExaminedSubmission) or not isinstance(case, Examine):
        return verdict
    return structs.replace(verdict, new=structs.replace(verdict.new, body=case.body))
