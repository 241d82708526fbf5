"""The cases that a judge gets, their verdicts, and the judging; pure, so that a case may be aborted at any time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct, structs

from gateway.advice.adviser import Adviser
from gateway.config.editions import EditionInForce
from gateway.config.gateway_toml import Config
from gateway.config.local_receivers import LocalReceivers
from gateway.errors import EnvelopeError, Refused, RulesError
from gateway.goods.columns import RegisterName
from gateway.goods.form import read_register
from gateway.goods.register import GoodsOfDay, OwnTables, Register
from gateway.mapping.language import SourceMapping
from gateway.mapping.registered import RegisteredGoods
from gateway.mapping.sources.table import Form
from gateway.mapping.translate import translate
from gateway.model import (
    BEIJING,
    Advice,
    EditionNotice,
    Enterprise,
    EnterpriseId,
    Fault,
    Message,
    MessageId,
    Opened,
)
from gateway.provenance.mapping_record import MappingRecord
from gateway.provenance.repeat import (
    NotRepeated,
    RecordedGoods,
    RecordedTranslation,
    RepeatedTranslation,
    repeated,
)
from gateway.receipts.opened import open_collected
from gateway.rules.loading import Rules
from gateway.submission.edition import EditionChoice, EditionRoutes
from gateway.submission.intake import ExaminedSubmission
from gateway.submission.new_messages import new_message_id, new_message_of
from gateway.submission.pipeline import (
    Advise,
    Link,
    Refusal,
    advice_in_plain,
    advice_on,
    advising,
    examine,
    examine_plain,
    no_advice,
    no_links,
)
from gateway.submission.plain import read_plain
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
            fix_zh="请将单证分成多份报文提交，去掉不需要的注释、命名空间和元素；如为普通报文，请联系网关运营方",
        ),
    ),
)
"""The verdict on a case that killed its judge."""
NOTICED: Final = 20
"""Most faults of the edition to come that a sender is told; they are kept with the message."""
AT_ONCE_BYTES: Final = 160 * 1024
"""Up to this size, 100 usual declarations, a body in plain form is judged in the receiving process, within some
milliseconds; passing it to a judge would cost a third more."""


class Examine(Struct, frozen=True, kw_only=True):
    """A submitted message. Verdict: `ExaminedSubmission` or a Refusal."""

    body: bytes
    caller: EnterpriseId
    full: tuple[EnterpriseId, ...] = ()
    """Enterprises that accept no more mail from the caller for now."""
    own: OwnTables | None = None
    """What the caller has handed in for its messages to be compared with."""


class Translate(Struct, frozen=True, kw_only=True):
    """A source to translate by a mapping. Verdict: `ExaminedSubmission`, or a Refusal whose faults name the source."""

    body: bytes
    caller: EnterpriseId
    mapping: str
    form: Form
    charset: str
    app_time: str = ""
    """YYYYMMDDhhmmss, Beijing time, for mappings that ask for it; empty: not given."""
    full: tuple[EnterpriseId, ...] = ()
    """As in `Examine`."""
    own: OwnTables | None = None
    """As in `Examine`; the mapping may look things up in it, too."""


class ReadRegister(Struct, frozen=True, kw_only=True):
    """Goods, or switches of books, that are handed in. Verdict: `GoodsRegister`, `BooksRegister` or a Refusal."""

    body: bytes
    caller: EnterpriseId
    name: RegisterName
    form: str
    """One of `gateway.goods.form.FORMS`."""
    charset: str


class Retranslate(Struct, frozen=True, kw_only=True):
    """A translation that was recorded, to say where its fields came from. Verdict: `RepeatedTranslation`, `NotRepeated`.

    A Refusal when it takes more than a case may.
    """

    body: bytes
    """The source."""
    caller: EnterpriseId
    origin: Mapping[str, str]
    record: MappingRecord
    goods: RecordedGoods | None


class AdviseOn(Struct, frozen=True, kw_only=True):
    """A message that was accepted before. Verdict: `Advised`, or a Refusal when it cannot be read under today's limits."""

    body: bytes
    """As accepted: a CEB document or a DxpMsg."""
    caller: EnterpriseId
    message_type: str
    accepted_at: datetime
    numbers: frozenset[int] | None = None
    """1-based positions of the declarations that advice is wanted on; None: all."""
    own: OwnTables | None = None
    """As in `Examine`."""


class Open(Struct, frozen=True, kw_only=True):
    """A message from customs. Verdict: `Opened` or `UnreadableAnswer`."""

    body: bytes


class Advised(Struct, frozen=True, kw_only=True):
    """What customs is likely to object to."""

    advice: tuple[Advice, ...]


class UnreadableAnswer(Struct, frozen=True, kw_only=True):
    """The bytes are nothing that customs sends."""

    what: str
    where: str
    fix: str


class Broken(Struct, frozen=True, kw_only=True):
    """A defect of the gateway, as text; its traceback is in the log."""

    error: str


JudgeCase = Examine | Translate | Retranslate | ReadRegister | AdviseOn | Open
JudgeVerdict = (
    ExaminedSubmission
    | Refusal
    | RepeatedTranslation
    | NotRepeated
    | Register
    | Advised
    | Opened
    | UnreadableAnswer
    | Broken
)


def utc_now() -> datetime:
    """Tell the time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Edition:
    """By which edition one message is judged."""

    uid: MessageId
    """The id of the message, if it is valid."""
    in_force: EditionInForce
    routes: EditionRoutes | None

    def is_checked_twice(self, message: Message) -> bool:
        """Whether another edition is about to follow the one that judges this message."""
        if not self.in_force.coming:
            return False
        return self.routes is None or not self.routes.of(message.header, message.envelope)


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
    editions: EditionChoice
    adviser: Adviser
    clock: Callable[[], datetime] = utc_now
    """Tells the moment of acceptance, on which the edition depends."""
    linker: Link = no_links

    def at_once(
        self,
        body: bytes,
        caller: Enterprise,
        full: tuple[EnterpriseId, ...] = (),
        own: OwnTables | None = None,
    ) -> ExaminedSubmission | Refusal | None:
        """Judge a message if that takes only milliseconds; None: use a judge process. `full`, `own`: as in `Examine`."""
        if len(body) > AT_ONCE_BYTES:
            return None
        edition = self._edition(caller)
        verdict = self._plain(
            body, caller, edition.in_force.edition, edition.routes, advise=self._advise(own), link=self.linker
        )
        if verdict is None:
            return None
        if isinstance(verdict, Message) and edition.is_checked_twice(verdict):
            tomorrow = self._plain(body, caller, edition.in_force.coming)
            if not isinstance(tomorrow, Message):
                return None
        return self._ready(verdict, caller, full, edition.uid)

    def _edition(self, caller: Enterprise) -> _Edition:
        now = self.clock()
        uid = new_message_id(now)
        return _Edition(
            uid=uid,
            in_force=self.editions.in_force(caller, now),
            routes=self.editions.routes(caller, uid),
        )

    def _plain(
        self,
        body: bytes,
        caller: Enterprise,
        edition: str,
        routes: EditionRoutes | None = None,
        *,
        advise: Advise = no_advice,
        link: Link = no_links,
    ) -> Message | Refusal | None:
        return examine_plain(
            body,
            caller,
            self.rules.for_edition(edition),
            self.config.accept.limits,
            suite=self._suite(caller),
            local_receivers=self.local_receivers,
            routes=routes,
            advise=advise,
            link=link,
        )

    def advise_at_once(self, case: AdviseOn) -> tuple[Advice, ...] | None:
        """Give advice if that takes only milliseconds; None: use a judge process."""
        if not self.adviser.has_rules(case.message_type):
            return ()
        if len(case.body) > AT_ONCE_BYTES:
            return None
        plain = read_plain(case.body, self.rules.plain, self.config.accept.limits)
        return (
            None
            if plain is None
            else advice_in_plain(plain, self._advise(case.own, case.accepted_at, case.numbers))
        )

    def __call__(self, case: JudgeCase) -> JudgeVerdict:
        """Judge any case, however long it takes."""
        match case:
            case Examine():
                return self._examine(case.body, self.enterprises[case.caller], case.full, own=case.own)
            case Translate():
                return self._translate(case, self.enterprises[case.caller])
            case Retranslate():
                return self._repeated(case)
            case ReadRegister():
                return _read_register(case)
            case AdviseOn():
                return self._advised(case)
            case Open():
                return self._open(case.body)

    def _examine(
        self,
        body: bytes,
        caller: Enterprise,
        full: tuple[EnterpriseId, ...],
        origin: Mapping[str, str] | None = None,
        own: OwnTables | None = None,
    ) -> ExaminedSubmission | Refusal:
        edition = self._edition(caller)
        verdict = self._whole(
            body, caller, edition.in_force.edition, edition.routes, advise=self._advise(own), link=self.linker
        )
        if isinstance(verdict, Message) and edition.is_checked_twice(verdict):
            verdict = replace(verdict, edition_notice=self._notice(body, caller, edition.in_force))
        return self._ready(verdict, caller, full, edition.uid, origin)

    def _whole(
        self,
        body: bytes,
        caller: Enterprise,
        edition: str,
        routes: EditionRoutes | None = None,
        *,
        advise: Advise = no_advice,
        link: Link = no_links,
    ) -> Message | Refusal:
        return examine(
            body,
            caller,
            self.rules.for_edition(edition),
            self.config.accept.limits,
            suite=self._suite(caller),
            trust=self.trust,
            local_receivers=self.local_receivers,
            routes=routes,
            advise=advise,
            link=link,
        )

    def _notice(self, body: bytes, caller: Enterprise, in_force: EditionInForce) -> EditionNotice | None:
        """Judge a valid message by the edition to come; None: it stays valid."""
        verdict = self._whole(body, caller, in_force.coming)
        if isinstance(verdict, Message) or in_force.coming_from is None:
            return None
        return EditionNotice(
            edition=in_force.coming,
            refused_from=in_force.coming_from,
            faults=tuple(verdict.faults[:NOTICED]),
        )

    def _advised(self, case: AdviseOn) -> Advised | Refusal:
        kind = self.rules.catalogue.by_name(case.message_type)
        if kind is None:
            return Advised(advice=())
        advise = self._advise(case.own, case.accepted_at, case.numbers)
        try:
            return Advised(advice=advice_on(case.body, kind, self.config.accept.limits, advise))
        except Refused as refused:
            return Refusal(problem=refused.problem, faults=refused.faults)

    def _advise(
        self,
        own: OwnTables | None,
        received: datetime | None = None,
        numbers: frozenset[int] | None = None,
    ) -> Advise:
        if self.adviser.idle:
            return no_advice
        return advising(self.adviser, received or datetime.now(UTC), numbers, own)

    def _ready(
        self,
        verdict: Message | Refusal,
        caller: Enterprise,
        full: tuple[EnterpriseId, ...],
        uid: MessageId,
        origin: Mapping[str, str] | None = None,
    ) -> ExaminedSubmission | Refusal:
        """Determine the destinations of a valid message."""
        if isinstance(verdict, Refusal):
            return verdict
        try:
            new = new_message_of(
                verdict,
                caller,
                uid=uid,
                config=self.config,
                local_receivers=replace(self.local_receivers, full=full.__contains__)
                if full
                else self.local_receivers,
                origin=origin,
            )
        except Refused as refused:
            return Refusal(problem=refused.problem, faults=refused.faults)
        return ExaminedSubmission(
            header=verdict.header,
            new=new,
            enveloped=bool(verdict.wrapped),
            edition_notice=verdict.edition_notice,
            advice=verdict.advice,
        )

    def _translate(self, case: Translate, caller: Enterprise) -> ExaminedSubmission | Refusal:
        mapping = self.mappings[case.mapping]
        try:
            made = translate(
                case.body,
                mapping,
                self.config.accept.limits,
                form=case.form,
                charset=case.charset,
                app_time=case.app_time,
                goods=_goods(case),
            )
        except Refused as refused:
            return Refusal(problem=refused.problem, faults=refused.faults)
        verdict = self._examine(made.document, caller, case.full, made.origin, case.own)
        if isinstance(verdict, ExaminedSubmission):
            verdict = structs.replace(verdict, new=structs.replace(verdict.new, source=case.body))
        if made.faults:
            return Refusal(problem="untranslatable", faults=made.located(_of_document(verdict)))
        if isinstance(verdict, Refusal):
            return replace(verdict, faults=made.located(verdict.faults))
        if not verdict.advice:
            return verdict
        return structs.replace(verdict, advice=made.placed(verdict.advice))

    def _repeated(self, case: Retranslate) -> RepeatedTranslation | NotRepeated:
        asked = RecordedTranslation(
            origin=case.origin, record=case.record, source=case.body, goods=case.goods
        )
        try:
            return repeated(asked, self.rules)
        except RulesError as error:
            return NotRepeated(reason=str(error), reason_zh=str(error), other=True)

    def _suite(self, caller: Enterprise) -> Suite | None:
        return self.suite_of(caller.key or self.config.signing.default_key)

    def _open(self, body: bytes) -> Opened | UnreadableAnswer:
        try:
            return open_collected(body, self.rules.catalogue)
        except EnvelopeError as error:
            return UnreadableAnswer(what=error.what, where=error.where, fix=error.fix)


def _goods(case: Translate) -> RegisteredGoods | None:
    """Return the caller's goods as they are today, for the mapping to look things up in."""
    goods = None if case.own is None else case.own.goods
    return None if goods is None else GoodsOfDay(goods, datetime.now(BEIJING).strftime("%Y%m%d"))


def _read_register(case: ReadRegister) -> Register | Refusal:
    try:
        return read_register(case.name, case.body, case.form, case.charset)
    except Refused as refused:
        return Refusal(problem=refused.problem, faults=refused.faults)


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
    """Remove from a verdict the submitted bytes, which the client already has."""
    return _with_bytes(verdict, case, b"")


def completed(verdict: JudgeVerdict, case: JudgeCase) -> JudgeVerdict:
    """Put back what `lightened` has removed."""
    return _with_bytes(verdict, case, case.body)


def _with_bytes(verdict: JudgeVerdict, case: JudgeCase, submitted: bytes) -> JudgeVerdict:
    match verdict, case:
        case ExaminedSubmission(new=new), Examine():
            return structs.replace(verdict, new=structs.replace(new, body=submitted))
        case ExaminedSubmission(new=new), Translate():
            return structs.replace(verdict, new=structs.replace(new, source=submitted))
        case _:
            return verdict
