"""Runs the stages in order: the bytes of one caller become a checked message, or a list of everything wrong."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lxml import etree

from gateway.advice.declared import DeclaredFields, declared_in_plain, declared_in_tree
from gateway.advice.places import on_lines
from gateway.config.gateway_toml import LimitsConfig
from gateway.config.local_receivers import NOBODY, LocalReceivers
from gateway.errors import EnvelopeError, Refused
from gateway.model import Advice, Enterprise, Fault, Header, Message, MessageType
from gateway.rules.fault_texts import shown_of
from gateway.rules.loading import Rules
from gateway.rules.schemas import View
from gateway.submission.authorise import authorise, authorise_envelope
from gateway.submission.identify import identify, uncorrelatable
from gateway.submission.plain import Plain, read_plain
from gateway.submission.repeated import contradictions
from gateway.submission.signable import drafted
from gateway.submission.signature import ANYONE, Trust, check_signature
from gateway.submission.validate import validate
from gateway.xml.decode import decode
from gateway.xml.envelope import DXP, Unwrapped, unwrap_tree
from signing.keys.suite import RSA_SHA1, Suite

Advise = Callable[[MessageType, Sequence[DeclaredFields]], tuple[Advice, ...]]
"""Gives advice on the declarations of a valid message, without lines."""


def no_advice(_kind: MessageType, _declared: Sequence[DeclaredFields]) -> tuple[Advice, ...]:
    """Give no advice; whoever is given this reads no fields either."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a body is refused: a key of `gateway.problems.PROBLEMS`, and every fault found."""

    problem: str
    faults: tuple[Fault, ...]


def examine(
    body: bytes,
    caller: Enterprise,
    rules: Rules,
    limits: LimitsConfig,
    *,
    suite: Suite | None = None,
    trust: Trust = ANYONE,
    local_receivers: LocalReceivers = NOBODY,
    advise: Advise = no_advice,
) -> Message | Refusal:
    """Turn a CEB document or a DxpMsg into a message, or report everything wrong with it. Never raises Refused.

    A bare document may come unsigned (view `declared`), because the gateway signs it; the content of a DxpMsg
    is sent as it is, so it must have all that customs demands (view `sendable`). With the suite that will
    sign it, an unsigned document also gets its draft. `trust` is required of a signed document's certificate;
    `local_receivers` says to whom the codes in the keys of declarations are bound.
    """
    plain = examine_plain(
        body, caller, rules, limits, suite=suite, local_receivers=local_receivers, advise=advise
    )
    if plain is not None:
        return plain
    try:
        document = decode(body, limits)
        if etree.QName(document).namespace == DXP:
            message, document = _examine_wrapped(
                document, body, caller, rules, limits, trust=trust, local_receivers=local_receivers
            )
            return replace(message, advice=_advice(document, message.header, advise))
        header = _examine_document(
            document, body, caller, rules, view=View.DECLARED, trust=trust, local_receivers=local_receivers
        )
        made = None if header.signed else drafted(body, document, header, suite or RSA_SHA1)
    except Refused as refused:
        return Refusal(problem=refused.problem, faults=refused.faults)
    return Message(
        body=body,
        header=header,
        draft=None if suite is None else made,
        advice=_advice(document, header, advise),
    )


def examine_plain(
    body: bytes,
    caller: Enterprise,
    rules: Rules,
    limits: LimitsConfig,
    *,
    suite: Suite | None = None,
    local_receivers: LocalReceivers = NOBODY,
    advise: Advise = no_advice,
) -> Message | Refusal | None:
    """Do as `examine`, in time bounded by the size of the body; None: it is not in plain form, or not valid."""
    plain = read_plain(body, rules.plain, limits)
    try:
        return None if plain is None else _examine_plain(plain, caller, suite, local_receivers, advise)
    except Refused as refused:
        return Refusal(problem=refused.problem, faults=refused.faults)


def _examine_plain(
    plain: Plain,
    caller: Enterprise,
    suite: Suite | None,
    local_receivers: LocalReceivers,
    advise: Advise,
) -> Message:
    """Check the rest of a document that is known to be valid. Raises Refused."""
    header = plain.header
    authorise(header, caller, local_receivers)
    alone = header.dxp_id not in local_receivers.crowded
    _all_in_order("invalid-message", uncorrelatable(header, by_number=alone) or _anonymous(header))
    return Message(
        body=plain.body,
        header=header,
        draft=None if suite is None else plain.draft(suite),
        advice=_advice_on_plain(plain, advise),
    )


def _advice_on_plain(plain: Plain, advise: Advise) -> tuple[Advice, ...]:
    if advise is no_advice:
        return ()
    kind = plain.header.message_type
    advice = advise(kind, declared_in_plain(plain.text, kind))
    return on_lines(advice, etree.fromstring(plain.body)) if advice else ()


def _advice(document: etree._Element, header: Header, advise: Advise) -> tuple[Advice, ...]:
    if advise is no_advice:
        return ()
    kind = header.message_type
    return on_lines(advise(kind, declared_in_tree(document, kind)), document)


def _examine_document(
    document: etree._Element,
    body: bytes,
    caller: Enterprise,
    rules: Rules,
    *,
    view: View,
    trust: Trust,
    local_receivers: LocalReceivers,
) -> Header:
    header = identify(document, rules.catalogue, rules.schemas.edition)
    authorise(header, caller, local_receivers)
    alone = header.dxp_id not in local_receivers.crowded
    _all_in_order(
        "invalid-message",
        _faults(document, header, rules, view, alone=alone),
        contradictions(document, header),
    )
    check_signature(body, header, trust)
    return header


def _examine_wrapped(
    root: etree._Element,
    body: bytes,
    caller: Enterprise,
    rules: Rules,
    limits: LimitsConfig,
    *,
    trust: Trust,
    local_receivers: LocalReceivers,
) -> tuple[Message, etree._Element]:
    """Return the message and the document in its envelope."""
    unwrapped = _unwrap(root, body)
    authorise_envelope(unwrapped.envelope, caller)
    document = decode(unwrapped.business, limits)
    header = identify(document, rules.catalogue, rules.schemas.edition)
    authorise(header, caller, local_receivers, sender_id=unwrapped.envelope.sender_id)
    outside = [*validate(root, rules.schemas, View.SENDABLE), *_says_otherwise(unwrapped, header)]
    alone = local_receivers.crowded.isdisjoint((header.dxp_id, unwrapped.envelope.sender_id))
    inside = _faults(document, header, rules, View.SENDABLE, alone=alone)
    problem = "invalid-message" if inside else "invalid-envelope"
    _all_in_order(problem, [*outside, *inside], contradictions(document, header))
    check_signature(unwrapped.business, header, trust)
    message = Message(body=unwrapped.business, header=header, envelope=unwrapped.envelope, wrapped=body)
    return message, document


def _faults(
    document: etree._Element, header: Header, rules: Rules, view: View, *, alone: bool
) -> list[Fault]:
    """Return everything wrong with the document itself; `alone`: its answers go to an address that no other shares."""
    nameless = uncorrelatable(header, by_number=alone)
    return [*validate(document, rules.schemas, view), *nameless] or _anonymous(header)


def _all_in_order(problem: str, faults: Sequence[Fault], contradicting: Sequence[Fault] = ()) -> None:
    """Raise Refused if there are faults; a sound message with contradictions only is `conflicting-version`."""
    if faults or contradicting:
        raise Refused(problem if faults else "conflicting-version", shown_of((*faults, *contradicting)))


def _anonymous(header: Header) -> list[Fault]:
    """Return faults for fields that identify the sender, should a schema ever make them optional."""
    named = {"copCode": header.cop_code, "dxpId": header.dxp_id}
    return [
        Fault(
            path=f"/{header.message_type.name}/BaseTransfer/{element}",
            element=element,
            rule="missing",
            message=f"BaseTransfer/{element} must not be blank",
            message_zh=f"BaseTransfer/{element}不能为空",
            fix=f"put your own code in {element}",
        )
        for element, value in named.items()
        if not value
    ]


def _unwrap(root: etree._Element, body: bytes) -> Unwrapped:
    name = etree.QName(root).localname
    if name != "DxpMsg":
        raise _bad_envelope(
            f"/{name[:100]}", "unknown_root", f"{name[:100]} is not for enterprises to hand in",
            f"企业只能提交DxpMsg或CEB报文，不能提交{name[:100]}", "hand in a DxpMsg, or the CEB document alone",
        )  # fmt: skip
    try:
        return unwrap_tree(root, body)
    except EnvelopeError as error:
        raise _bad_envelope(
            "/DxpMsg/Data", "envelope", error.what, f"DxpMsg的Data无法解开：{error.what}", error.fix
        ) from error


def _says_otherwise(unwrapped: Unwrapped, header: Header) -> tuple[Fault, ...]:
    """MsgType may be empty, but not say another type than the document inside (docs/spec/dxp.md, MsgType)."""
    said, is_ = unwrapped.envelope.msg_type, header.message_type.name
    if said in ("", is_):
        return ()
    return _bad_envelope(
        "/DxpMsg/TransInfo/MsgType", "type_mismatch", f"MsgType says {said[:100]}, but Data holds {is_}",
        f"MsgType为{said[:100]}，而Data中是{is_}", f"write {is_}, or leave MsgType empty",
    ).faults  # fmt: skip


def _bad_envelope(path: str, rule: str, message: str, message_zh: str, fix: str) -> Refused:
    element = path.rpartition("/")[2]
    fault = Fault(path=path, element=element, rule=rule, message=message, message_zh=message_zh, fix=fix)
    return Refused("invalid-envelope", [fault])
