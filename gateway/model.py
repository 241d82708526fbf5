"""The nouns of the field as frozen values; no behaviour beyond what a value can say about itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Final, NewType

from msgspec import Struct

from signing.xml.xmldsig import Draft

MessageId = NewType("MessageId", str)
"""Upper-case UUID given at acceptance; the default CopMsgId of the message (docs/spec/dxp.md, CopMsgId)."""
EnterpriseId = NewType("EnterpriseId", str)
"""Short name of a tenant, as its file in the enterprises folder is called."""
NODE_ITSELF: Final = EnterpriseId("@node")
"""Owner of what the node says on its own account; no enterprise is called so."""
DXP_REP: Final = "DxpRep"
"""Message type of the exchange platform's own answers (docs/spec/dxp.md, DxpRep)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong with a document: where it is, what people call the field, and what to do."""

    path: str = ""
    """XPath of the node, local names with 1-based positions: `/CEB311Message/Order[1]/OrderHead/orderNo`."""
    line: int = 0
    """1-based line in the document as handed in; 0 when there is no such place."""
    column: int = 0
    """1-based column in characters; 0 when unknown."""
    element: str = ""
    name_zh: str = ""
    value: str = ""
    """The offending text, cut to 100 characters; goes to the sender only, never to a log."""
    rule: str
    """Stable code: `max_length`, `missing`, `unexpected`, `not_xml`, `doctype`, …"""
    message: str
    message_zh: str
    fix: str = ""


class Family(StrEnum):
    """The two schema families; the same element name means different things in each (docs/spec/messages.md)."""

    IMPORT = "import"
    EXPORT = "export"


class Direction(StrEnum):
    """Who says it: `declaration` enterprise to customs, `receipt` customs to enterprise."""

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
    """Fields of the key that say whose it is: `("ebpCode", "ebcCode")`; the others its owner makes up."""
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
    """`retry` as it is, `fix` and send again, or `never`; empty where the question does not arise."""
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
    """Write a whole number in the one way all its spellings have in common: `01` and `+1` are `1` (xs:int)."""
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text.removeprefix("+"))
    if not (digits.isascii() and digits.isdigit()):
        return text
    shortest = digits.lstrip("0")
    return sign + shortest if shortest else "0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What `identify` learns of a declaration message without judging it."""

    message_type: MessageType
    edition: str
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A declaration message that passed every stage and that the gateway is willing to answer for."""

    body: bytes
    """The CEB document, byte for byte as handed in (or as decoded from the DxpMsg handed in)."""
    header: Header
    envelope: Envelope | None = None
    """Set when the sender handed in a DxpMsg of its own."""
    wrapped: bytes = b""
    """That DxpMsg, byte for byte; empty otherwise."""
    draft: Draft | None = None
    """What signing needs of an unsigned document, made while its tree was at hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HmacKey:
    """What an enterprise signs its requests with."""

    id: str
    """Public: X-Gateway-Key names it."""
    secret: bytes = field(repr=False)
    until: datetime | None = None
    """From then on it proves nothing; None: it has no end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """How much an enterprise may hand in; 0: no bound."""

    messages_per_minute: int = 0
    declarations_per_minute: int = 0
    bytes_per_minute: int = 0
    open_entries: int = 0
    """Entries of its that wait to go out."""


ANYBODY: Final = "*"
"""In place of the name of an enterprise: every one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """From whom of the same node an enterprise takes messages and copies into its stream, and how much unread."""

    senders: frozenset[str] = frozenset()
    """Names of enterprises, or `ANYBODY`; empty: nobody."""
    messages: int = 1000
    size_bytes: int = 64 * 1024 * 1024

    def takes_from(self, sender: EnterpriseId) -> bool:
        """Say whether this enterprise may put something in."""
        return sender in self.senders or ANYBODY in self.senders


@dataclass(frozen=True, slots=True, kw_only=True)
class Enterprise:
    """A tenant: who may hand in messages, how it is recognised, and for which customs identities it speaks."""

    id: EnterpriseId
    name: str
    cop_codes: frozenset[str]
    dxp_ids: frozenset[str]
    acts_for: frozenset[str] = frozenset()
    """Codes in the keys of its declarations that are bound to it, beside `cop_codes`: `ebcCode`, `agentCode` …"""
    token_sha256: tuple[str, ...] = ()
    """Lower-case hex SHA-256 of each bearer token that is valid, the newest last; a token itself is never kept."""
    token_until: Mapping[str, datetime] = field(default_factory=dict)
    """Of these, those that have an end → from when on they prove nothing."""
    certificate_sha256: frozenset[str] = frozenset()
    """Lower-case hex SHA-256 of each client certificate (DER) that is its own."""
    hmac_keys: tuple[HmacKey, ...] = ()
    message_types: frozenset[str] = frozenset()
    """What it may hand in, `CEB311Message`; empty: every type."""
    addresses: tuple[IPv4Network | IPv6Network, ...] = ()
    """Where its requests may come from; empty: anywhere."""
    quota: Quota | None = None
    key: str = ""
    """Name of the signing key in the configuration; empty: the node's default key."""
    disabled: bool = False
    mailbox: Mailbox = Mailbox()
    lanes: tuple[str, ...] = ()
    """Destinations in the spool of the channels that bring its answers home."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribers:
    """The DXP ids that a message names in BaseSubscribe, each once (docs/spec/messages.md, BaseSubscribe)."""

    data: tuple[str, ...] = ()
    """Status ALL or DATA: they get the message."""
    receipts: tuple[str, ...] = ()
    """Status ALL or RET: they get what customs answers."""


class Layer(StrEnum):
    """The three layers of customs' answers (docs/spec/dxp.md, Three layers of answers)."""

    TRANSPORT = "transport"
    """DxpRep: the exchange platform speaks."""
    FORMAT = "format"
    """CEB900: the format check speaks."""
    BUSINESS = "business"
    """CEBnnn receipt: customs speaks."""


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
    """The CopMsgId it refers to: DxpRep OriHead, CEB900 oriCopMsgId."""
    sender_id: str = ""
    """Whose CopMsgId that is: DxpRep OriHead; a CEB900 does not say it."""
    receiver_ids: tuple[str, ...] = ()
    """The receivers of the envelope it refers to: DxpRep OriHead."""
    digest: str = ""
    """Hex SHA-256 of the canonical body: equal for identical bodies."""
    fields: Mapping[str, str] = {}
    """Every leaf of the body by name, in document order, for the parsed view of the API."""


class Opened(Struct, frozen=True, kw_only=True):
    """A collected message opened: its envelope, its business bytes, its answers."""

    envelope: Envelope | None
    business: bytes
    """The CEB document inside, byte for byte; the DxpRep itself for the transport layer."""
    message_type: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """An identity and an instant, handed to pure code that must not ask for either."""

    id: str
    time: datetime
