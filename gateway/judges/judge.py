"""The cases that a judge gets, their verdicts, and the judging; pure, so that a case may be aborted at any time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Final

from msgspec import Struct, structs

from gateway.advice.adviser import Adviser
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
from gateway.submission.pipeline import Advise, Refusal, examine, examine_plain, no_advice
from gateway.submission.signature import Trust
from signing.keys.suite import Suite

_BEIJING: Final = timezone(timedelta(hours=8))
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
"""The verdict on a case that killed its judge."""
AT_ONCE_BYTES: Final = 160 * 1024
"""Up to this size, 100 usual declarations, a body in plain form is judged in the receiving process, within some
milliseconds; passing it to a judge would cost a third more."""


class Examine(Struct, frozen=True, kw_only=True):
    """A submitted message. Verdict: `ExaminedSubmission` or a Refusal."""

    body: bytes
    caller: EnterpriseId
    full: tuple[EnterpriseId, ...] = ()
    """Enterprises that accept no more mail from the caller for now."""


class Translate(Struct, frozen=True, kw_only=True):
    """A source to translate by a mapping. Verdict: `ExaminedSubmission`, or a Refusal whose faults name the source."""

    body: bytes
    caller: EnterpriseId
    mapping: str
    charset: str
    full: tuple[EnterpriseId, ...] = ()
    """As in `Examine`."""


class Open(Struct, frozen=True, kw_only=True):
    """A message from customs. Verdict: `Opened` or `UnreadableAnswer`."""

    body: bytes


class UnreadableAnswer(Struct, frozen=True, kw_only=True):
    """The bytes are nothing that customs sends."""

    what: str
    where: str
    fix: str


class Broken(Struct, frozen=True, kw_only=True):
    """A defect of the gateway, as text; its traceback is in the log."""

    error: str


JudgeCase = Examine | Translate | Open
JudgeVerdict = ExaminedSubmission | Refusal | Opened | UnreadableAnswer | Broken


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Judges cases; holds everything that a verdict depends on."""

    config: Config
    rules: Rules
    enterprises: Mapping[EnterpriseId, Enterprise]
    local_receivers: LocalReceivers
    trust: Trust
    suite_of: Callable[[str], Suite | None]
    """Name of a [[key]] → its suite."""
    mappings: Mapping[str, SourceMapping]
    adviser: Adviser

    def at_once(
        self, body: bytes, caller: Enterprise, full: tuple[EnterpriseId, ...] = ()
    ) -> ExaminedSubmission | Refusal | None:
        """Judge a message if that takes only milliseconds; None: use a judge process. `full`: as in `Examine`."""
        if len(body) > AT_ONCE_BYTES:
            return None
        verdict = examine_plain(
            body,
            caller,
            self.rules,
            self.config.accept.limits,
            suite=self._suite(caller),
            local_receivers=self.local_receivers,
            advise=self._advise(),
        )
        return None if verdict is None else self._ready(verdict, caller, full)

    def __call__(self, case: JudgeCase) -> JudgeVerdict:
        """Judge any case, however long it takes."""
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
            advise=self._advise(),
        )
        return self._ready(verdict, caller, full, origin)

    def _advise(self) -> Advise:
        if self.adviser.idle:
            return no_advice
        return partial(self.adviser.advise, received=datetime.now(_BEIJING).strftime("%Y%m%d%H%M%S"))

    def _ready(
        self,
        verdict: Message | Refusal,
        caller: Enterprise,
        full: tuple[EnterpriseId, ...],
        origin: Mapping[str, str] | None = None,
    ) -> ExaminedSubmission | Refusal:
        """Determine the destinations of a valid message."""
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
        return ExaminedSubmission(
            header=verdict.header, new=new, enveloped=bool(verdict.wrapped), advice=verdict.advice
        )

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
    """Return the further faults of a document that could not be translated completely."""
    known = isinstance(verdict, Refusal) and verdict.problem in {"invalid-message", "conflicting-version"}
    return verdict.faults if known and isinstance(verdict, Refusal) else ()


def on_message(verdict: JudgeVerdict | Exception) -> ExaminedSubmission | Refusal:
    """Return the verdict on a message; raises the error if there is none."""
    match verdict:
        case ExaminedSubmission() | Refusal():
            return verdict
        case Exception():
            raise verdict
        case _:
            raise RuntimeError(f"a judge has failed: {verdict}")


def lightened(verdict: JudgeVerdict, case: JudgeCase) -> JudgeVerdict:
    """Remove from a verdict the message bytes, which the client already has."""
    if not isinstance(verdict, ExaminedSubmission) or not isinstance(case, Examine):
        return verdict
    return structs.replace(verdict, new=structs.replace(verdict.new, body=b""))


def completed(verdict: JudgeVerdict, case: JudgeCase) -> JudgeVerdict:
    """Put back what `lightened` has removed."""
    if not isinstance(verdict, ExaminedSubmission) or not isinstance(case, Examine):
        return verdict
    return structs.replace(verdict, new=structs.replace(verdict.new, body=case.body))
