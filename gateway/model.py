"""The terms of the field as immutable values, with no behaviour beyond questions about the value itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Final, NewType

from msgspec import Struct

from signing.xml.splice import Draft

BEIJING: Final = timezone(timedelta(hours=8))
"""The time of customs: every time in a message."""
SECOND: Final = "%Y%m%d%H%M%S"
"""How messages write a second."""
MessageId = NewType("MessageId", str)
"""Upper-case UUID given at acceptance; the default CopMsgId of the message (docs/spec/dxp.md, CopMsgId)."""
EnterpriseId = NewType("EnterpriseId", str)
"""Short name of a tenant: the name of its file in the enterprises folder."""
NODE_ITSELF: Final = EnterpriseId("@node")
"""Owner of the messages that the node sends on its own behalf; no enterprise can have this name."""
DXP_REP: Final = "DxpRep"
"""Message type of the exchange platform's own answers (docs/spec/dxp.md, DxpRep)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong with a document: where it is, the common name of the field, and what to do."""

    path: str = ""
    """XPath of the node, local names with 1-based positions: `/CEB311Message/Order[1]/OrderHead/orderNo`."""
    line: int = 0
    """1-based line in the document as handed in; 0 when there is no such place."""
    column: int = 0
    """1-based column in characters, of the `<` of the start tag or of the wrong character; 0 when unknown."""
    element: str = ""
    """The field that it is about; of a misspelt one, the field that is meant."""
    name_zh: str = ""
    value: str = ""
    """The offending text, cut to 100 characters, masked where it is personal; goes to the sender only, never to a log."""
    rule: str
    """Stable code: `too_long`, `missing`, `misspelt`, `not_xml`, `doctype`, …"""
    message: str
    message_zh: str
    fix: str
    fix_zh: str
    code: str = ""
    """The code with which customs or the exchange would answer to the same; empty when it is not known."""


class Severity(StrEnum):
    """How sure it is that customs will object."""

    ERROR = "error"
    """Customs is known to refuse it."""
    WARNING = "warning"
    """Customs is likely to refuse it, or to ask."""
    HINT = "hint"
    """Unusual, and seldom meant."""


class Actor(StrEnum):
    """Who has to act: on an answer of customs, or on advice (docs/spec/codes.md, Who has to act)."""

    PLATFORM = "platform"
    PAYMENT_FIRM = "payment_firm"
    LOGISTICS_FIRM = "logistics_firm"
    BROKER = "broker"
    WAREHOUSE = "warehouse"
    """Whoever runs the supervised site."""
    DECLARANT = "declarant"
    """Whoever declared the document, whatever its type."""
    OPERATOR = "operator"
    """Whoever runs this gateway."""
    CUSTOMS = "customs"
    NOBODY = "nobody"


class Advice(Struct, frozen=True, kw_only=True):
    """One thing about a valid declaration that customs is likely to object to. It never changes a byte."""

    rule: str
    """Name of the rule, stable."""
    severity: Severity
    path: str
    """XPath of the field, as in `Fault`."""
    declaration: int = 0
    """1-based position in its message of the declaration that it is about; 0: none in particular."""
    line: int = 0
    """1-based; 0: unknown."""
    column: int = 0
    """1-based; 0: unknown."""
    source_place: str = ""
    """Place in the JSON or CSV that the document was made from, to which line and column refer; empty: it came as XML."""
    element: str
    name_zh: str = ""
    value: str = ""
    """Of the field, cut; of a personal field only its length is shown, as stars."""
    code: str = ""
    """Code that customs would answer with; empty: not known."""
    who: Actor
    """Who has to act."""
    message: str
    message_zh: str
    fix: str
    fix_zh: str
    grade: str
    """How well the rule is supported: O, V, S, U (docs/rules.md)."""
    source: str


class Family(StrEnum):
    """The two schema families; the same element name means different things in each (docs/spec/messages.md)."""

    IMPORT = "import"
    EXPORT = "export"


class Direction(StrEnum):
    """Who speaks: `declaration` from enterprise to customs, `receipt` from customs to enterprise."""

    DECLARATION = "declaration"
    RECEIPT = "receipt"


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageType:
    """One row of the message catalogue, `mappings/catalogue.toml` (docs/spec/messages.md, Catalogue)."""

    name: str
    """Root element, for instance `CEB311Message`."""
    number: int
    family: Family
    direction: Direction
    title_zh: str
    title_en: str
    body: str
    """Name of the repeated child of the root: `Order`."""
    head: str = ""
    """Child of the body that holds the key fields (`OrderHead`); empty when the body holds them itself."""
    key: tuple[str, ...] = ()
    """Fields that together name one declaration, in canonical order: `("ebpCode", "ebcCode", "orderNo")`.

    For a receipt: the fields that repeat the key of the declaration it answers, same names, same order."""
    handle: str = ""
    """The one key field that every receipt repeats when others are optional (622: `copNo`), else empty."""
    numbers: tuple[str, ...] = ()
    """Numbers that customs assigns and later receipts refer to: `preNo`, `invtNo`, `sumNo` …"""
    codes: tuple[str, ...] = ()
    """Owner codes and other fields that help to tell two owners apart when a receipt repeats them."""
    key_codes: tuple[str, ...] = ()
    """Fields of the key that name its owner: `("ebpCode", "ebcCode")`; the owner makes up the others."""
    integers: frozenset[str] = frozenset()
    """Fields of key, numbers and codes that are whole numbers, compared by value; all others by character."""
    answered_by: tuple[str, ...] = ()
    """Receipt types that may answer this declaration, most usual first."""
    answers: tuple[str, ...] = ()
    """Declaration types that this receipt may answer; `("*",)` for CEB900."""
    status: str = ""
    """Receipt field that holds the status: `returnStatus`, `status` (816), `taxStatus` …"""
    time: str = ""
    """Receipt field that holds the time of the answer: `returnTime`."""
    info: str = ""
    """Receipt field that holds the free text: `returnInfo`."""
    signature_before: str = ""
    """Child of the root before which ds:Signature goes; empty: right before the root end tag."""
    signature_required: bool = False
    """Whether customs' schema demands a Signature (621, 623, 625, 711)."""
    receiver: str = ""
    """Default ReceiverId of the envelope (docs/spec/dxp.md, Ids in the wild)."""
    source: str = ""


class CodeClass(StrEnum):
    """What a status or error code means for the sender (docs/spec/codes.md)."""

    PROGRESS = "progress"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    HOLD = "hold"
    FINAL = "final"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """The meaning of one status or error code, `mappings/codes.toml` (docs/spec/codes.md)."""

    code: str
    kind: CodeClass
    zh: str
    en: str
    advice_zh: str = ""
    advice_en: str = ""
    retry: str = ""
    """`retry`: send the same again, `fix`: correct it first, or `never`; empty where the question does not arise."""
    who: tuple[Actor, ...] = ()
    """Who has to act, the first of them first; empty: not known, or nothing is to be done."""
    regional: bool = False
    """Seen in some customs regions only."""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """One body of a declaration message, as far as the gateway needs to know it."""

    message_type: str
    key: Mapping[str, str]
    """Business key in catalogue order; a missing optional field is absent."""
    guid: str = ""
    app_type: str = ""
    app_time: str = ""
    """14 digits `YYYYMMDDhhmmss` as declared; the version of the declaration (docs/spec/codes.md, -301014)."""
    codes: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, str] = field(default_factory=dict)


def by_value(text: str) -> str:
    """Return the canonical spelling of a whole number: `01` and `+1` become `1` (xs:int); other text is unchanged."""
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text.removeprefix("+"))
    if not (digits.isascii() and digits.isdigit()):
        return text
    shortest = digits.lstrip("0")
    return sign + shortest if shortest else "0"


class EditionNotice(Struct, frozen=True, kw_only=True):
    """A message is valid today, and refused from the day on which another edition comes into force."""

    edition: str
    """The edition to come."""
    refused_from: date
    """Its first day, Beijing time."""
    faults: tuple[Fault, ...]
    """What it finds wrong with the message; paths and lines are those of the document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What `identify` reads from a declaration message, without validating it."""

    message_type: MessageType
    edition: str
    """The edition that judges the message; a document names none."""
    guid: str
    cop_code: str
    cop_name: str
    dxp_id: str
    signed: bool
    declarations: tuple[Declaration, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """The transport facts of a DxpMsg, TransInfo (docs/spec/dxp.md, DxpMsg); times as written."""

    cop_msg_id: str
    sender_id: str
    receiver_ids: tuple[str, ...]
    creat_time: str
    """`CreatTime`, the spelling of the schema; xs:dateTime text."""
    msg_type: str = ""


class DocumentLink(Struct, frozen=True, kw_only=True):
    """By what a declaration is found together with the other documents of its parcel (docs/adr/0047)."""

    order_no: str
    waybill_no: str
    """Empty: it has none."""
    facts: bytes
    """What comparing needs, `gateway.parcels.facts`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A declaration message that passed every stage, so that the gateway can accept it."""

    body: bytes
    """The CEB document, byte for byte as handed in (or as decoded from the DxpMsg handed in)."""
    header: Header
    envelope: Envelope | None = None
    """Set when the sender handed in a DxpMsg of its own."""
    wrapped: bytes = b""
    """That DxpMsg, byte for byte; empty otherwise."""
    draft: Draft | None = None
    """What signing an unsigned document needs, prepared while it was parsed."""
    edition_notice: EditionNotice | None = None
    """Set when the edition that is about to come into force would refuse it."""
    advice: tuple[Advice, ...] = ()
    """What customs is likely to object to."""
    links: tuple[DocumentLink, ...] = ()
    """One for each declaration; empty: of a type that is not compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HmacKey:
    """A key with which an enterprise signs its requests."""

    id: str
    """Public; the header X-Gateway-Key names it."""
    secret: bytes = field(repr=False)
    until: datetime | None = None
    """The key is not valid from then on; None: it never expires."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """How much an enterprise may hand in; 0: no limit."""

    messages_per_minute: int = 0
    declarations_per_minute: int = 0
    bytes_per_minute: int = 0
    open_entries: int = 0
    """Its entries that wait to be sent."""


ANYBODY: Final = "*"
"""Stands for every enterprise, in place of a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """Senders of this node from which an enterprise takes messages and copies, and how much unread mail it may have."""

    senders: frozenset[str] = frozenset()
    """Names of enterprises, or `ANYBODY`; empty: no sender."""
    messages: int = 1000
    size_bytes: int = 64 * 1024 * 1024

    def takes_from(self, sender: EnterpriseId) -> bool:
        """Say whether messages of this sender are taken."""
        return sender in self.senders or ANYBODY in self.senders


@dataclass(frozen=True, slots=True, kw_only=True)
class Enterprise:
    """A tenant: how its requests are authenticated, and for which customs identities it may act."""

    id: EnterpriseId
    name: str
    cop_codes: frozenset[str]
    dxp_ids: frozenset[str]
    acts_for: frozenset[str] = frozenset()
    """Codes in the keys of its declarations that are bound to it, beside `cop_codes`: `ebcCode`, `agentCode` …"""
    token_sha256: tuple[str, ...] = ()
    """Lower-case hex SHA-256 of each valid bearer token, the newest last; the token itself is never stored."""
    token_until: Mapping[str, datetime] = field(default_factory=dict)
    """Of these, the tokens that expire → when."""
    certificate_sha256: frozenset[str] = frozenset()
    """Lower-case hex SHA-256 of each of its client certificates (DER)."""
    hmac_keys: tuple[HmacKey, ...] = ()
    message_types: frozenset[str] = frozenset()
    """What it may hand in, `CEB311Message`; empty: every type."""
    addresses: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks that its requests may come from; empty: anywhere."""
    quota: Quota | None = None
    key: str = ""
    """Name of the signing key in the configuration; empty: the node's default key."""
    edition: str = ""
    """The edition that judges its messages; empty: the one in force at the time."""
    block_on: tuple[str, ...] = ()
    """Advice on which its messages are refused: severities, and `rule:` with the name of a rule; empty: none."""
    disabled: bool = False
    mailbox: Mailbox = Mailbox()
    lanes: tuple[str, ...] = ()
    """Spool destinations of the channels that deliver its answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribers:
    """The DXP ids that a message names in BaseSubscribe, each once (docs/spec/messages.md, BaseSubscribe)."""

    data: tuple[str, ...] = ()
    """Status ALL or DATA: these get the message."""
    receipts: tuple[str, ...] = ()
    """Status ALL or RET: these get the answers of customs."""


class Layer(StrEnum):
    """The three layers of customs' answers (docs/spec/dxp.md, Three layers of answers)."""

    TRANSPORT = "transport"
    """DxpRep: answer of the exchange platform."""
    FORMAT = "format"
    """CEB900: answer of the format check."""
    BUSINESS = "business"
    """CEBnnn receipt: answer of customs."""


class Answer(Struct, frozen=True, kw_only=True):
    """One receipt body (or DxpRep response), split out and not yet matched to an owner."""

    layer: Layer
    message_type: str
    """`CEB622Message`, `CEB900Message`, `DxpRep`."""
    index: int
    """0-based position among the bodies of its message."""
    status: str
    info: str
    time: str
    """`returnTime`, 17 digits as sent (14 and other lengths tolerated); empty when absent."""
    key: Mapping[str, str]
    numbers: Mapping[str, str]
    codes: Mapping[str, str]
    cop_msg_id: str = ""
    """The CopMsgId that it refers to: DxpRep OriHead, CEB900 oriCopMsgId."""
    sender_id: str = ""
    """Sender of the message with that CopMsgId: DxpRep OriHead; a CEB900 does not have it."""
    receiver_ids: tuple[str, ...] = ()
    """The receivers of the envelope that it refers to: DxpRep OriHead."""
    digest: str = ""
    """Hex SHA-256 of the canonical body: equal for identical bodies."""
    fields: Mapping[str, str] = {}
    """Every leaf of the body by name, in document order, for the parsed view of the API."""


class Opened(Struct, frozen=True, kw_only=True):
    """A collected message, opened: its envelope, its business bytes, its answers."""

    envelope: Envelope | None
    business: bytes
    """The CEB document inside, byte for byte; the DxpRep itself for the transport layer."""
    message_type: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """An id and a time, passed to pure code that must not generate either."""

    id: str
    time: datetime
