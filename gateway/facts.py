"""Typed data that the gateway stores in the spool beside the bytes; the spool does not read it."""

from collections.abc import Mapping

import msgspec
from msgspec import UNSET, Struct, UnsetType

from gateway.model import Answer, Declaration, EditionNotice, Message
from signing.xml.splice import Draft


class DeclaredFacts(Struct, frozen=True, kw_only=True):
    """One declaration, as named in the response to a submission."""

    key: Mapping[str, str]
    guid: str = ""


class TravelFacts(Struct, frozen=True, kw_only=True):
    """What sending needs to know of a message; decoding only this is faster where it has many declarations."""

    sender: str
    receiver: str
    signature_before: str
    signed: bool
    wrapped: bool
    """The spooled bytes are the sender's own DxpMsg, or a DxpRep of ours; nothing in them may change."""
    key_name: str = ""
    """Name of the signing key that the enterprise asks for; empty: the default."""
    draft: Draft | None = None


class MessageFacts(TravelFacts, frozen=True, kw_only=True):
    """`TravelFacts`, and what the response to the submission says."""

    edition: str
    family: str
    declarations: tuple[DeclaredFacts, ...]
    edition_notice: EditionNotice | UnsetType = UNSET


class WayFacts(Struct, frozen=True, kw_only=True):
    """What is specific to one way of a message, that is to one of its entries."""

    receivers: tuple[str, ...] = ()
    """ReceiverIds of its envelope; empty: the one of the message."""
    cut: bool = False
    """For an envelope that stays at this node: it names other receivers too, which must not get it."""
    sub_msg_id: str = ""
    """SubMsgId of its DxpMsgSv when the message was split over several receivers (docs/spec/dxp.md, DxpMsgSv)."""
    response_code: str = ""
    """Not carried to those receivers, but answered to its sender with this code (docs/spec/dxp.md, DxpRep)."""
    copy: bool = False
    """A copy for subscribers, in an envelope of ours whatever it came in (docs/spec/messages.md, BaseSubscribe)."""


class SentFacts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Journal data of one sent entry: enough to rebuild exactly its bytes, or to recognise them."""

    sha256: str
    """Hex, of the business bytes."""
    envelope: str
    """Hex SHA-256 of what was handed to the transport, and its size."""
    envelope_size: int
    destination: str
    cop_msg_id: str
    by: str
    """The transport that confirmed it: `sftp`, `rabbitmq`, `amqp`, `folder`; `@local`: delivered at this node."""
    entry: int
    """Number of the entry: a message may have several."""
    span: tuple[int, int] | None = None
    """Position of the inserted ds:Signature in the business bytes; None: they were sent as they came."""
    value: str = ""
    """Its SignatureValue: with `key`, all that cannot be computed from the accepted bytes."""
    key: str = ""
    """Hex SHA-256 of its KeyInfo, which the journal has under `key <SHA-256>`."""


class KeyFacts(Struct, frozen=True, kw_only=True):
    """Journal data of a signing key, written once, before its first use; all of it is public."""

    key_info: str
    """The ds:KeyInfo element, with the certificate."""
    signature_method: str
    digest_method: str


class DeclarationFacts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What correlation needs to know of a declaration."""

    message_type: str
    key: Mapping[str, str]
    codes: Mapping[str, str]
    dxp_id: str
    sender: str = ""
    """SenderId of its envelope, to which answers may also be addressed; empty: `dxp_id`."""
    subscribers: tuple[str, ...] = ()
    """DXP ids that get copies of the answers about it."""


class AnswerFacts(Struct, frozen=True, kw_only=True):
    """What is stored of one answer for its owner."""

    layer: str
    info: str
    cop_msg_id: str
    fields: Mapping[str, str]


_PLAIN_WAY = WayFacts()
_message = msgspec.json.Decoder(MessageFacts)
_travel = msgspec.json.Decoder(TravelFacts)
_way = msgspec.json.Decoder(WayFacts)
_sent = msgspec.json.Decoder(SentFacts)
_key = msgspec.json.Decoder(KeyFacts)
_declaration = msgspec.json.Decoder(DeclarationFacts)
_answer = msgspec.json.Decoder(AnswerFacts)
_encode = msgspec.json.Encoder().encode


def of_message(message: Message, *, sender: str, key_name: str) -> bytes:
    """Encode the facts of an accepted message."""
    header = message.header
    kind = header.message_type
    facts = MessageFacts(
        edition=header.edition,
        family=kind.family.value,
        sender=sender,
        receiver=kind.receiver,
        signature_before=kind.signature_before,
        signed=header.signed,
        wrapped=bool(message.wrapped),
        key_name=key_name,
        draft=message.draft,
        edition_notice=message.edition_notice or UNSET,
        declarations=tuple([DeclaredFacts(key=one.key, guid=one.guid) for one in header.declarations]),
    )
    return _encode(facts)


def of_response(*, sender: str, receiver: str) -> bytes:
    """Encode the facts of a DxpRep of our own, which is sent as it is."""
    facts = MessageFacts(
        edition="",
        family="",
        sender=sender,
        receiver=receiver,
        signature_before="",
        signed=False,
        wrapped=True,
        declarations=(),
    )
    return _encode(facts)


def of_way(way: WayFacts) -> bytes:
    """Encode the facts of a way; empty when all are default."""
    return b"" if way == _PLAIN_WAY else _encode(way)


def of_declaration(
    declaration: Declaration, dxp_id: str, subscribers: tuple[str, ...] = (), *, sender: str = ""
) -> bytes:
    """Encode what correlation needs, and the subscribers that get copies of the answers."""
    return _encode(
        DeclarationFacts(
            message_type=declaration.message_type,
            key=declaration.key,
            codes=declaration.codes,
            dxp_id=dxp_id,
            sender="" if sender == dxp_id else sender,
            subscribers=subscribers,
        )
    )


def of_sent(sent: SentFacts) -> str:
    """Encode the journal data of a sent entry."""
    return _encode(sent).decode()


def of_key(key: KeyFacts) -> str:
    """Encode the journal data of a signing key."""
    return _encode(key).decode()


def of_answer(answer: Answer) -> bytes:
    """Encode what is stored of an answer for its owner."""
    return _encode(
        AnswerFacts(
            layer=answer.layer.value, info=answer.info, cop_msg_id=answer.cop_msg_id, fields=answer.fields
        )
    )


def message_facts(facts: bytes) -> MessageFacts:
    """Decode `of_message`."""
    return _message.decode(facts)


def travel_facts(facts: bytes) -> TravelFacts:
    """Decode, from `of_message`, only what sending needs."""
    return _travel.decode(facts)


def way_facts(facts: bytes) -> WayFacts:
    """Decode `of_way`."""
    return _way.decode(facts) if facts else _PLAIN_WAY


def sent_facts(detail: str) -> SentFacts | None:
    """Decode `of_sent`; None for a journal line of an older version, which holds less."""
    try:
        return _sent.decode(detail)
    except msgspec.DecodeError:
        return None


def key_facts(detail: str) -> KeyFacts:
    """Decode `of_key`. Raises msgspec.DecodeError."""
    return _key.decode(detail)


def declaration_facts(facts: bytes) -> DeclarationFacts:
    """Decode `of_declaration`."""
    return _declaration.decode(facts)


def answer_facts(facts: bytes) -> AnswerFacts:
    """Decode `of_answer`."""
    return _answer.decode(facts)
