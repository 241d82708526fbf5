"""Turns an entry into the parcel to send: signed, checked that nothing else changed, wrapped, and recorded."""

import hashlib
from collections.abc import Mapping

from gateway.config.gateway_toml import LOCAL, Config, Destination
from gateway.errors import DeliveryError
from gateway.facts import TravelFacts, WayFacts, travel_facts, way_facts
from gateway.model import DXP_REP, Envelope
from gateway.ports import Parcel
from gateway.sending.device_signing import Prepared
from gateway.sending.no_receiver import NO_RECEIVER_FOR_YOU, no_receiver
from gateway.sending.records import SignatureRecord, carrier, record_of
from gateway.xml.divide import copy_for
from gateway.xml.envelope import (
    TransferHead,
    creat_time,
    file_name,
    transfer_msg_id,
    unwrap,
    wrap,
    wrap_transfer,
)
from signing.keys.files import Signer
from signing.xml.splice import Signed, finish, sign
from spool.entry import Claimed


class EnvelopeBuilder:
    """Builds the parcels of one destination."""

    def __init__(self, destination: Destination, config: Config) -> None:
        self._destination = destination
        self._config = config
        self._by = carrier(destination)

    def prepare(self, entry: Claimed, signers: Mapping[str, Signer]) -> Prepared:
        """Build the parcel of an entry, the SHA-256 of its business bytes, and the record of both.

        The same entry gives the same envelope each time, except for an SM2 signature, which differs each
        time (docs/adr/0003). Raises SigningError, EnvelopeError, and DeliveryError when the self-check fails.
        """
        facts = travel_facts(entry.facts)
        body, signature = entry.body, None
        if not facts.wrapped and not facts.signed and self._destination.name != LOCAL:
            signer = _signer(entry, facts, signers, self._config)
            signed = _signed(entry, facts, signer)
            body, signature = signed.body, SignatureRecord(signed.span, signer.key_info)
        parcel, business = enclose(entry, facts, body, self._destination, self._config)
        digest = hashlib.sha256(business)
        record = record_of(
            parcel,
            business,
            sha256=digest.hexdigest(),
            signature=signature,
            to=self._destination.name,
            by=self._by,
        )
        return Prepared(parcel, digest.digest(), record)


def enclose(
    entry: Claimed, facts: TravelFacts, business: bytes, destination: Destination, config: Config
) -> tuple[Parcel, bytes]:
    """Wrap signed business bytes, or use the sender's own envelope; also returns the business bytes."""
    way = way_facts(entry.way)
    name = file_name(entry.kind, entry.uid, way.sub_msg_id)  # two senders may use one CopMsgId
    if facts.wrapped:
        business, dxp_msg = _own(entry, way, destination, config)
    else:
        dxp_msg = wrap(business, _envelope(entry, facts, way), file_name=name)
    if destination.envelope == "DxpMsgSv" and entry.kind != DXP_REP:
        dxp_msg = wrap_transfer(dxp_msg, _transfer_head(entry, way, destination, config))
    parcel = Parcel(
        entry=entry.entry,
        cop_msg_id=entry.cop_msg_id,
        message_type=entry.kind,
        body=b"\0" + dxp_msg if destination.leading_zero else dxp_msg,
        file_name=name,
        sender_id=facts.sender,
        receiver_id=way.receivers[0] if facts.wrapped and way.receivers else facts.receiver,
        lease=entry.lease,
    )
    return parcel, business


def _own(entry: Claimed, way: WayFacts, destination: Destination, config: Config) -> tuple[bytes, bytes]:
    """Return the business bytes and the envelope of a message that came in one, unchanged wherever possible.

    A link gets a copy that names only its receivers; for unreachable receivers a DxpRep is returned.
    """
    if entry.kind == DXP_REP:
        return entry.body, entry.body
    opened = unwrap(entry.body)
    if way.response_code:
        answer = no_receiver(
            opened.envelope,
            way.receivers,
            node=config.node,
            at=entry.accepted_at,
            what=NO_RECEIVER_FOR_YOU,
        )
        return answer, answer
    if way.copy:
        head = _envelope(entry, travel_facts(entry.facts), way)
        return opened.business, wrap(opened.business, head)
    if not way.receivers or (destination.name == LOCAL and not way.cut):
        return opened.business, entry.body
    copy = copy_for(entry.body, way.receivers)
    if unwrap(copy).business != opened.business:
        raise DeliveryError(
            "dividing changed the message: it will not be sent like this",
            where=f"message {entry.uid}",
            fix="keep the message and report the defect",
        )
    return opened.business, copy


def _signer(entry: Claimed, facts: TravelFacts, signers: Mapping[str, Signer], config: Config) -> Signer:
    name = facts.key_name or config.signing.default_key
    signer = signers.get(name)
    if signer is None:
        raise DeliveryError(
            f"there is no signing key {name}",
            where=f"enterprise {entry.owner}",
            fix="add it as a [[key]], or name another in the enterprise's file",
        )
    return signer


def _signed(entry: Claimed, facts: TravelFacts, signer: Signer) -> Signed:
    if facts.draft is not None and facts.draft.suite == signer.suite.name:
        signed = finish(entry.body, facts.draft, signer)
    else:
        signed = sign(entry.body, signer, before=facts.signature_before)
    if not _only_inserted(entry.body, signed):
        raise DeliveryError(
            "signing changed the message: it will not be sent like this",
            where=f"message {entry.uid}",
            fix="keep the message and report the defect",
        )
    return signed


def _only_inserted(accepted: bytes, signed: Signed) -> bool:
    """Say whether removing the span gives back the accepted bytes (as `xmldsig.cut`, without copying them)."""
    start, end = signed.span
    rest = memoryview(accepted)
    return (
        0 <= start < end <= len(signed.body)
        and len(signed.body) - (end - start) == len(accepted)
        and signed.body.startswith(rest[:start])
        and signed.body.endswith(rest[start:])
    )


def _envelope(entry: Claimed, facts: TravelFacts, way: WayFacts) -> Envelope:
    return Envelope(
        cop_msg_id=entry.cop_msg_id,
        sender_id=facts.sender,
        receiver_ids=way.receivers or (facts.receiver,),
        creat_time=creat_time(entry.accepted_at),
        msg_type=entry.kind,
    )


def _transfer_head(entry: Claimed, way: WayFacts, destination: Destination, config: Config) -> TransferHead:
    """Return the head of a DxpMsgSv; its MsgId is made from the entry's number, so each copy has its own."""
    return TransferHead(
        msg_id=transfer_msg_id(config.node.node_id, entry.accepted_at, entry.entry),
        sub_msg_id=way.sub_msg_id,
        send_time=creat_time(entry.accepted_at),
        end_node=destination.end_node,
        sta_node=config.node.node_id,
    )
