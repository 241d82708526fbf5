"""Checks an arrival as customs would: envelope, format, signature; pure functions, in that order.

A fault is returned as a value whose type says which layer answers it (docs/spec/dxp.md, Three layers of answers).
"""

import re
from dataclasses import dataclass
from typing import Final

from lxml import etree

from gateway.config.gateway_toml import LimitsConfig
from gateway.errors import EnvelopeError, Refused
from gateway.model import Envelope, Fault, Header
from gateway.rules.loading import Rules
from gateway.rules.schemas import View
from gateway.simulator.refusals import SimulatedRefusal, refusals
from gateway.submission.identify import identify
from gateway.submission.validate import validate
from gateway.xml.decode import decode, encoding_of
from gateway.xml.envelope import DXP, Unwrapped, envelope_in, root_name, unwrap_tree
from signing.xml.verify import verify

ENVELOPE_LIMITS: Final = LimitsConfig(size_bytes=64 * 1024 * 1024)
UNKNOWN: Final = "UNKNOWN"
"""Placeholder for a value that a broken envelope does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BadEnvelope:
    """The exchange platform refuses the envelope: answered by DxpRep."""

    refusal: SimulatedRefusal
    envelope: Envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class BadFormat:
    """The format check refuses the message: answered by CEB900."""

    message_type: str
    info: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Readable:
    """A declaration message that passed the format check."""

    root: etree._Element
    header: Header
    refusal: SimulatedRefusal | None = None
    """Set when its signature does not hold: every declaration in it gets this answer."""


def open_envelope(body: bytes, rules: Rules) -> Unwrapped | BadEnvelope:
    """Open a DxpMsg or DxpMsgSv that is valid by schema (platform errors 0001 and 0002)."""
    try:
        root = decode(body, ENVELOPE_LIMITS)
    except Refused as error:
        return BadEnvelope(refusal=SimulatedRefusal(code="0001", info=str(error)), envelope=_named(None))
    envelope = next(root.iter(f"{{{DXP}}}TransInfo"), None)
    try:
        unwrapped = unwrap_tree(root, body)
    except EnvelopeError as error:
        return BadEnvelope(refusal=SimulatedRefusal(code="0002", info=error.what), envelope=_named(envelope))
    faults = validate(root, rules.schemas, View.SENDABLE)
    if faults:
        return BadEnvelope(
            refusal=SimulatedRefusal(code="0002", info=_said(faults)), envelope=_named(envelope)
        )
    return unwrapped


def read_business(
    business: bytes, rules: Rules, *, limits: LimitsConfig, signatures: bool
) -> Readable | BadFormat:
    """Read a declaration message as strictly as customs: schema with Signature where it is required.

    `signatures`: whether to verify them.
    """
    try:
        root = decode(business, limits)
        header = identify(root, rules.catalogue, rules.schemas.edition)
    except Refused as error:
        known = rules.catalogue.by_name(root_name(business))
        return BadFormat(message_type=known.name if known else "Unknown", info=_said(error.faults))
    name = header.message_type.name
    faults = validate(root, rules.schemas, View.SENDABLE)
    if faults:
        return BadFormat(message_type=name, info=f"数据包不能通过schema验证：{_said(faults)}")
    refusal = _signature(business, name) if header.signed and signatures else None
    return Readable(root=root, header=header, refusal=refusal)


def text_of(business: bytes) -> str:
    """Decode any message bytes to text that XML allows (for CEB900)."""
    try:
        codec = encoding_of(business)
    except Refused:
        codec = "utf-8"
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", business.decode(codec, "replace"))


_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _signature(business: bytes, message_type: str) -> SimulatedRefusal | None:
    verdict = verify(business)
    if verdict.valid:
        return None
    codes = refusals(message_type)
    return codes.signature if verdict.digest_ok else codes.digest


def _said(faults: tuple[Fault, ...]) -> str:
    return "；".join(fault.message_zh or fault.message for fault in faults[:20])


def _named(trans_info: etree._Element | None) -> Envelope:
    """Return what a broken envelope says of itself, cut to the lengths that a DxpRep allows."""
    said = None if trans_info is None else envelope_in(trans_info)
    return Envelope(
        cop_msg_id=(said.cop_msg_id[:255] if said else "") or UNKNOWN,
        sender_id=(said.sender_id[:16] if said else "") or UNKNOWN,
        receiver_ids=tuple(id_[:16] for id_ in (said.receiver_ids[:5] if said else ()) if id_) or (UNKNOWN,),
        creat_time=said.creat_time if said and len(said.creat_time) == _SECONDS else "",
        msg_type=said.msg_type[:30] if said else "",
    )


_SECONDS: Final = len("2024-11-11T00:00:00")
