"""Runs the stages in order: the bytes of one caller become a checked message, or a list of everything wrong."""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from lxml import etree

from gateway.advice.adviser import Adviser
from gateway.advice.declared import DeclaredFields, declared_in_plain, declared_in_tree
from gateway.advice.places import on_lines, on_lines_of_plain
from gateway.config.gateway_toml import LimitsConfig
from gateway.config.local_receivers import NOBODY, LocalReceivers
from gateway.errors import EnvelopeError, Refused
from gateway.goods.register import OwnTables
from gateway.model import (
    BEIJING,
    SECOND,
    Advice,
    DocumentLink,
    Enterprise,
    Envelope,
    Fault,
    Header,
    Message,
    MessageType,
)
from gateway.rules.fault_texts import shown_of
from gateway.rules.fields import customs_code
from gateway.rules.loading import Rules
from gateway.rules.schemas import View
from gateway.rules.texts import fault_of
from gateway.submission.authorise import authorise, authorise_envelope
from gateway.submission.edition import EditionRoutes
from gateway.submission.identify import beside, identify, uncorrelatable
from gateway.submission.placed import Parsed, placed
from gateway.submission.plain import Plain, read_plain
from gateway.submission.repeated import contradictions
from gateway.submission.signable import drafted
from gateway.submission.signature import ANYONE, Trust, check_signature
from gateway.submission.validate import validate
from gateway.xml.decode import decode, parse
from gateway.xml.envelope import DXP, Unwrapped, unwrap_tree
from signing.keys.suite import RSA_SHA1, Suite

Advise = Callable[[MessageType, Sequence[DeclaredFields]], tuple[Advice, ...]]
"""Gives advice on the declarations of a valid message, without lines."""


Link = Callable[[MessageType, Sequence[DeclaredFields]], tuple[DocumentLink, ...]]
"""Links the declarations of a valid message to the other documents of their parcels; one for each, or none at all."""


def no_links(_kind: MessageType, _declared: Sequence[DeclaredFields]) -> tuple[DocumentLink, ...]:
    """Link nothing."""
    return ()


def no_advice(_kind: MessageType, _declared: Sequence[DeclaredFields]) -> tuple[Advice, ...]:
    """Give no advice; whoever is given this reads no fields either."""
    return ()


def advising(
    adviser: Adviser,
    received: datetime,
    numbers: Container[int] | None = None,
    own: OwnTables | None = None,
) -> Advise:
    """Return what gives advice on a message that came at this time; `numbers`, `own`: as in `Adviser.advise`."""
    second = received.astimezone(BEIJING).strftime(SECOND)
    return partial(adviser.advise, received=second, numbers=numbers, own=own)


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
    routes: EditionRoutes | None = None,
    advise: Advise = no_advice,
    link: Link = no_links,
) -> Message | Refusal:
    """Turn a CEB document or a DxpMsg into a message, or report everything wrong with it. Never raises Refused.

    A bare document may come unsigned (view `declared`), because the gateway signs it; the content of a DxpMsg
    is sent as it is, so it must have all that customs demands (view `sendable`). With the suite that will
    sign it, an unsigned document also gets its draft. `trust` is required of a signed document's certificate;
    `local_receivers` says to whom the codes in the keys of declarations are bound. `rules` are those of the edition
    that judges, unless one of the `routes` names another.
    """
    plain = examine_plain(
        body,
        caller,
        rules,
        limits,
        suite=suite,
        local_receivers=local_receivers,
        routes=routes,
        advise=advise,
        link=link,
    )
    if plain is not None:
        return plain
    read: list[Parsed] = []
    try:
        document = decode(body, limits)
        read.append((document, body))
        if etree.QName(document).namespace == DXP:
            message, document = _examine_wrapped(
                document,
                body,
                caller,
                rules,
                limits,
                read=read,
                trust=trust,
                local_receivers=local_receivers,
                routes=routes,
            )
            return _completed(message, document, advise, link)
        header = _examine_document(
            document,
            body,
            caller,
            rules,
            view=View.DECLARED,
            trust=trust,
            local_receivers=local_receivers,
            routes=routes,
        )
        made = None if header.signed else drafted(body, document, header, suite or RSA_SHA1)
    except Refused as refused:
        return Refusal(problem=refused.problem, faults=placed(refused.faults, *read))
    message = Message(body=body, header=header, draft=None if suite is None else made)
    return _completed(message, document, advise, link)


def examine_plain(
    body: bytes,
    caller: Enterprise,
    rules: Rules,
    limits: LimitsConfig,
    *,
    suite: Suite | None = None,
    local_receivers: LocalReceivers = NOBODY,
    routes: EditionRoutes | None = None,
    advise: Advise = no_advice,
    link: Link = no_links,
) -> Message | Refusal | None:
    """Do as `examine`, in time bounded by the size of the body; None: it is not in plain form, or not valid."""
    if routes is None:
        plain = read_plain(body, rules.plain, limits)
    else:
        plain = _read_by_route(body, rules, limits, routes)
    try:
        return (
            None
            if plain is None
            else _examine_plain(plain, caller, suite, local_receivers, advise=advise, link=link)
        )
    except Refused as refused:
        return Refusal(problem=refused.problem, faults=placed(refused.faults, (parse(body), body)))


def _read_by_route(body: bytes, rules: Rules, limits: LimitsConfig, routes: EditionRoutes) -> Plain | None:
    """Read a document by the edition of its route; that shows only once some edition has read it."""
    for name in dict.fromkeys((rules.schemas.edition, *routes.editions)):
        plain = read_plain(body, rules.for_edition(name).plain, limits)
        if plain is not None and (routes.of(plain.header) or rules.schemas.edition) == name:
            return plain
    return None


def _examine_plain(
    plain: Plain,
    caller: Enterprise,
    suite: Suite | None,
    local_receivers: LocalReceivers,
    *,
    advise: Advise,
    link: Link,
) -> Message:
    """Check the rest of a document that is known to be valid. Raises Refused."""
    header = plain.header
    authorise(header, caller, local_receivers)
    alone = header.dxp_id not in local_receivers.crowded
    _all_in_order("invalid-message", uncorrelatable(header, by_number=alone) or _anonymous(header))
    kind = header.message_type
    wanted = advise is not no_advice or link is not no_links
    declared = declared_in_plain(plain.form, plain.declarations) if wanted else ()
    advice = advise(kind, declared)
    return Message(
        body=plain.body,
        header=header,
        draft=None if suite is None else plain.draft(suite),
        advice=on_lines_of_plain(advice, plain.form, plain.declarations) if advice else (),
        links=link(kind, declared),
    )


def advice_in_plain(plain: Plain, advise: Advise) -> tuple[Advice, ...]:
    """Return the advice on a document in plain form, with lines."""
    declared = declared_in_plain(plain.form, plain.declarations)
    return on_lines_of_plain(advise(plain.header.message_type, declared), plain.form, plain.declarations)


def advice_on(body: bytes, kind: MessageType, limits: LimitsConfig, advise: Advise) -> tuple[Advice, ...]:
    """Return the advice on a message that was accepted before, a document or a DxpMsg, with lines.

    It is not checked again. Raises Refused when it cannot be read, for instance because limits are lower now.
    """
    document = decode(body, limits)
    if etree.QName(document).namespace == DXP:
        body = _unwrap(document, body).business
        document = decode(body, limits)
    return on_lines(advise(kind, declared_in_tree(document, kind)), body, document)


def _completed(message: Message, document: etree._Element, advise: Advise, link: Link) -> Message:
    """Add what is said of the declarations of a valid document."""
    if advise is no_advice and link is no_links:
        return message
    kind = message.header.message_type
    declared = declared_in_tree(document, kind)
    advice = on_lines(advise(kind, declared), message.body, document)
    return replace(message, advice=advice, links=link(kind, declared))


def _examine_document(
    document: etree._Element,
    body: bytes,
    caller: Enterprise,
    rules: Rules,
    *,
    view: View,
    trust: Trust,
    local_receivers: LocalReceivers,
    routes: EditionRoutes | None,
) -> Header:
    header, rules = _by_edition(document, rules, routes)
    authorise(header, caller, local_receivers)
    alone = header.dxp_id not in local_receivers.crowded
    faults = _faults(document, body, header, rules, view, alone=alone)
    _all_in_order("invalid-message", faults, _contradicting(document, header, body, faults))
    check_signature(body, header, trust)
    return header


def _examine_wrapped(
    root: etree._Element,
    body: bytes,
    caller: Enterprise,
    rules: Rules,
    limits: LimitsConfig,
    *,
    read: list[Parsed],
    trust: Trust,
    local_receivers: LocalReceivers,
    routes: EditionRoutes | None,
) -> tuple[Message, etree._Element]:
    """Check a DxpMsg and the document in it, which is added to `read` for the places of faults. Raises Refused.

    Returns the message and the document.
    """
    unwrapped = _unwrap(root, body)
    authorise_envelope(unwrapped.envelope, caller)
    document = decode(unwrapped.business, limits)
    read.append((document, unwrapped.business))
    header, rules = _by_edition(document, rules, routes, unwrapped.envelope)
    authorise(header, caller, local_receivers, sender_id=unwrapped.envelope.sender_id)
    outside = [*validate(root, rules.schemas, View.SENDABLE, body=body), *_says_otherwise(unwrapped, header)]
    alone = local_receivers.crowded.isdisjoint((header.dxp_id, unwrapped.envelope.sender_id))
    inside = _faults(document, unwrapped.business, header, rules, View.SENDABLE, alone=alone)
    problem = "invalid-message" if inside else "invalid-envelope"
    contradicting = _contradicting(document, header, unwrapped.business, inside)
    _all_in_order(problem, [*outside, *inside], contradicting)
    check_signature(unwrapped.business, header, trust)
    message = Message(body=unwrapped.business, header=header, envelope=unwrapped.envelope, wrapped=body)
    return message, document


def _by_edition(
    document: etree._Element, rules: Rules, routes: EditionRoutes | None, envelope: Envelope | None = None
) -> tuple[Header, Rules]:
    """Identify a document; returns the rules of the edition that its route names, if it names one. Raises Refused."""
    header = identify(document, rules.catalogue, rules.schemas.edition)
    name = "" if routes is None else routes.of(header, envelope)
    return (replace(header, edition=name), rules.for_edition(name)) if name else (header, rules)


def _faults(
    document: etree._Element, body: bytes, header: Header, rules: Rules, view: View, *, alone: bool
) -> list[Fault]:
    """Return everything wrong with the document itself; `alone`: its answers go to an address that no other shares."""
    broken = validate(document, rules.schemas, view, body=body)
    nameless = uncorrelatable(header, by_number=alone)
    return [*broken, *beside(broken, nameless, header.message_type)] or _anonymous(header)


def _contradicting(
    document: etree._Element, header: Header, body: bytes, faults: Sequence[Fault]
) -> list[Fault]:
    """Return contradictions between declarations, but for those whose key is in doubt by the other `faults`."""
    kind = header.message_type
    named = {kind.handle, *kind.key, kind.head, kind.body}
    doubtful = {"/".join(fault.path.split("/")[:3]) for fault in faults if fault.element in named}
    return [fault for fault in contradictions(document, header, body) if fault.path not in doubtful]


def _all_in_order(problem: str, faults: Sequence[Fault], contradicting: Sequence[Fault] = ()) -> None:
    """Raise Refused if there are faults; a sound message with contradictions only is `conflicting-version`."""
    if faults or contradicting:
        raise Refused(problem if faults else "conflicting-version", shown_of((*faults, *contradicting)))


def _anonymous(header: Header) -> list[Fault]:
    """Return faults for fields that identify the sender, should a schema ever make them optional."""
    named = {"copCode": header.cop_code, "dxpId": header.dxp_id}
    return [
        fault_of(
            "submission.missing",
            {"name": element},
            path=f"/{header.message_type.name}/BaseTransfer/{element}",
            element=element,
        )
        for element, value in named.items()
        if not value
    ]


def _unwrap(root: etree._Element, body: bytes) -> Unwrapped:
    name = etree.QName(root).localname
    if name != "DxpMsg":
        raise _bad_envelope(f"/{name[:100]}", "unknown_root.envelope", name=name[:100])
    try:
        return unwrap_tree(root, body)
    except EnvelopeError as error:
        raise _bad_envelope("/DxpMsg/Data", "envelope", reason=error.what, advice=error.fix) from error


def _says_otherwise(unwrapped: Unwrapped, header: Header) -> tuple[Fault, ...]:
    """MsgType may be empty, but not say another type than the document inside (docs/spec/dxp.md, MsgType)."""
    said, is_ = unwrapped.envelope.msg_type, header.message_type.name
    if said in ("", is_):
        return ()
    return _bad_envelope("/DxpMsg/TransInfo/MsgType", "type_mismatch", said=said[:100], is_=is_).faults


def _bad_envelope(path: str, key: str, **facts: str) -> Refused:
    element, code = path.rpartition("/")[2], customs_code(key.partition(".")[0], path)
    return Refused(
        "invalid-envelope", [fault_of(f"submission.{key}", facts, path=path, element=element, code=code)]
    )
