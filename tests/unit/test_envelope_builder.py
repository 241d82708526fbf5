"""What the forward role makes of an entry: valid envelopes, the right receivers, nothing changed inside."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from lxml import etree

from gateway import facts
from gateway.config.gateway_toml import LOCAL, Config, Destination, RouteConfig
from gateway.config.local_receivers import NOBODY, LocalReceivers
from gateway.errors import Refused
from gateway.model import EnterpriseId, Envelope, Mailbox, Message
from gateway.ports import Parcel
from gateway.receipts.opened import open_collected
from gateway.rules.loading import Rules
from gateway.rules.schemas import View
from gateway.sending.envelope_builder import EnvelopeBuilder
from gateway.submission.new_messages import new_message_of
from gateway.submission.pipeline import examine
from gateway.submission.validate import validate
from gateway.xml.envelope import unwrap, wrap
from signing.keys.files import Signer
from signing.xml.splice import sign, strip
from signing.xml.verify import verify
from spool.entry import Claimed, Way
from tests.documents import DXP_ID, inventory
from tests.shipped_rules import shipped
from tests.signing_documents import write_key, write_sm2_key
from tests.unit.test_new_messages import ME, NOW, UID, config, destination

RECEIVERS = ("DXPEDCCEB0000002", "DXPEDC0000000001", "DXPLGS0000000001")


@pytest.fixture(scope="module")
def rules() -> Rules:
    return shipped()


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Signer]:
    return {"mine": write_key(tmp_path_factory.mktemp("key"))}


def place(**changes: Any) -> Destination:
    return msgspec.structs.replace(destination("customs", "import"), **changes)


def routed(to: Destination, **changes: Any) -> Config:
    return msgspec.structs.replace(config(to), route=(RouteConfig(to=(to.name,), **changes),))


def parcels(
    body: bytes,
    config: Config,
    rules: Rules,
    signers: Mapping[str, Signer],
    local_receivers: LocalReceivers = NOBODY,
) -> list[tuple[Parcel, bytes]]:
    """Take a body in and prepare each of its entries, as the spool would hand them out."""
    message = examine(body, ME, rules, config.accept.limits)
    assert isinstance(message, Message), message
    new = new_message_of(message, ME, uid=UID, config=config, local_receivers=local_receivers)

    def claimed(number: int, way: Way) -> Claimed:
        return Claimed(
            entry=number,
            claim=1,
            uid=new.uid,
            owner=new.owner,
            kind=new.kind,
            destination=way.destination,
            cop_msg_id=way.cop_msg_id,
            attempts=0,
            accepted_at=NOW,
            facts=new.facts,
            way=way.facts,
            body=new.body,
        )

    return [
        EnvelopeBuilder(
            Destination(name=LOCAL) if way.destination == LOCAL else config.destination[0], config
        ).prepare(claimed(number, way), signers)[:2]
        for number, way in enumerate(new.ways, start=7)
    ]


def faults(body: bytes, rules: Rules) -> list[str]:
    return [fault.message for fault in validate(etree.fromstring(body), rules.schemas, View.SENDABLE)]


@pytest.mark.parametrize("envelope", ["DxpMsg", "DxpMsgSv"])
def test_one_envelope_names_every_receiver(
    envelope: str, rules: Rules, signers: Mapping[str, Signer]
) -> None:
    routes = routed(place(envelope=envelope), receivers=RECEIVERS)
    ((parcel, digest),) = parcels(inventory(), routes, rules, signers)
    opened = unwrap(parcel.body)
    assert faults(parcel.body, rules) == []
    assert opened.envelope.receiver_ids == RECEIVERS
    assert (opened.transfer and opened.transfer.sub_msg_id) == {"DxpMsg": None, "DxpMsgSv": ""}[envelope]
    assert digest == hashlib.sha256(opened.business).digest()


@pytest.mark.parametrize("suite", ["sm2-sm3", "sm2-sha1"])
def test_what_was_accepted_is_signed_with_sm2_and_otherwise_untouched(
    suite: str, rules: Rules, tmp_path: Path
) -> None:
    sm2 = {"mine": write_sm2_key(tmp_path, suite)}
    ((parcel, digest),) = parcels(inventory(), routed(place()), rules, sm2)
    business = unwrap(parcel.body).business
    assert faults(business, rules) == []
    assert strip(business)[0] == inventory()
    assert verify(business).valid
    assert digest == hashlib.sha256(business).digest()


def test_each_receiver_gets_a_copy_with_its_own_sub_msg_id(
    rules: Rules, signers: Mapping[str, Signer]
) -> None:
    routes = routed(place(envelope="DxpMsgSv"), receivers=RECEIVERS, split=True)
    made = parcels(inventory(), routes, rules, signers)
    opened = [unwrap(parcel.body) for parcel, _ in made]
    assert [faults(parcel.body, rules) for parcel, _ in made] == [[], [], []]
    assert [one.envelope.receiver_ids for one in opened] == [(receiver,) for receiver in RECEIVERS]
    assert [one.transfer.sub_msg_id for one in opened if one.transfer] == ["1", "2", "3"]
    assert {one.envelope.cop_msg_id for one in opened} == {UID} == {parcel.cop_msg_id for parcel, _ in made}
    assert len({one.business for one in opened}) == 1, "the same signed document for all"
    assert len({digest for _, digest in made}) == 1
    assert len({parcel.file_name for parcel, _ in made}) == 3, "no copy replaces another in a folder"


def test_copies_in_plain_envelopes_name_one_receiver_each(
    rules: Rules, signers: Mapping[str, Signer]
) -> None:
    made = parcels(inventory(), routed(place(), receivers=RECEIVERS, split=True), rules, signers)
    opened = [unwrap(parcel.body) for parcel, _ in made]
    assert [one.envelope.receiver_ids for one in opened] == [(receiver,) for receiver in RECEIVERS]
    assert [faults(parcel.body, rules) for parcel, _ in made] == [[], [], []]


def test_without_receivers_of_its_own_a_way_has_that_of_the_catalogue(
    rules: Rules, signers: Mapping[str, Signer]
) -> None:
    ((parcel, _),) = parcels(inventory(), config(place()), rules, signers)
    assert unwrap(parcel.body).envelope.receiver_ids == ("DXPEDCCEB0000002",)


def test_the_same_entry_gives_the_same_bytes_each_time(rules: Rules, signers: Mapping[str, Signer]) -> None:
    routes = routed(place(envelope="DxpMsgSv", leading_zero=True), receivers=RECEIVERS, split=True)
    assert parcels(inventory(), routes, rules, signers) == parcels(inventory(), routes, rules, signers)


@pytest.mark.parametrize("envelope", ["DxpMsg", "DxpMsgSv"])
def test_leading_zero_is_one_byte_before_the_same_envelope_and_is_skipped_on_the_way_in(
    envelope: str, rules: Rules, signers: Mapping[str, Signer]
) -> None:
    ((plain, digest),) = parcels(inventory(), config(place(envelope=envelope)), rules, signers)
    ((zero, same),) = parcels(
        inventory(), config(place(envelope=envelope, leading_zero=True)), rules, signers
    )
    assert type(zero.body) is bytes
    assert zero.body == b"\x00" + plain.body
    assert same == digest
    assert open_collected(zero.body, rules.catalogue).business == unwrap(plain.body).business


def test_envelope_of_the_sender_goes_out_byte_for_byte_whatever_receivers_the_route_names(
    rules: Rules, signers: Mapping[str, Signer]
) -> None:
    own = Envelope(
        cop_msg_id="MY-OWN-ID-1",
        sender_id=DXP_ID,
        receiver_ids=RECEIVERS[:2],
        creat_time="2025-01-02T12:05:06",
        msg_type="CEB621Message",
    )
    wrapped = wrap(sign(inventory(), signers["mine"]).body, own)
    routes = routed(place(envelope="DxpMsgSv"), receivers=RECEIVERS, split=True)
    ((parcel, _),) = parcels(wrapped, routes, rules, signers)
    opened = unwrap(parcel.body)
    assert opened.envelope == own
    assert opened.transfer is not None
    assert opened.transfer.sub_msg_id == ""
    assert unwrap(opened.dxp_msg).business == unwrap(wrapped).business
    assert wrapped[wrapped.index(b"<DxpMsg") :] in parcel.body


TWO = EnterpriseId("two")
HOMES = LocalReceivers(
    holders={"DXPENT0000000002": (TWO,)}, mailboxes={TWO: Mailbox(senders=frozenset({ME.id}))}
)
MIXED = ("DXPEDCCEB0000002", "DXPENT0000000002", "DXPENT0000000099")


def mixed(signers: Mapping[str, Signer]) -> bytes:
    own = Envelope(
        cop_msg_id="MY-OWN-ID-1", sender_id=DXP_ID, receiver_ids=MIXED, creat_time="2025-01-02T12:05:06"
    )
    return wrap(sign(inventory(), signers["mine"]).body, own)


@pytest.mark.parametrize("envelope", ["DxpMsg", "DxpMsgSv"])
def test_receivers_that_go_different_ways_get_a_copy_the_original_and_an_answer(
    envelope: str, rules: Rules, signers: Mapping[str, Signer]
) -> None:
    wrapped = mixed(signers)
    routes = routed(place(envelope=envelope), receiver=MIXED[0])
    (away, _), (home, _), (answer, digest) = parcels(wrapped, routes, rules, signers, HOMES)
    copy = unwrap(away.body)
    assert faults(away.body, rules) == []
    assert copy.envelope.receiver_ids == MIXED[:1]
    assert (away.receiver_id, copy.business) == (MIXED[0], unwrap(wrapped).business)
    assert (copy.transfer and copy.transfer.sub_msg_id) == {"DxpMsg": None, "DxpMsgSv": "1"}[envelope]
    assert home.body is wrapped
    assert faults(answer.body, rules) == []
    assert digest == hashlib.sha256(answer.body).digest()
    (told,) = open_collected(answer.body, rules.catalogue).answers
    assert (told.status, told.cop_msg_id, told.fields["Results[1]/Result[1]/RecId"]) == (
        "2001",
        "MY-OWN-ID-1",
        MIXED[2],
    )


def test_signed_envelope_whose_receivers_go_different_ways_is_refused(
    rules: Rules, signers: Mapping[str, Signer]
) -> None:
    signature = b'<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"/></DxpMsg>'
    message = examine(mixed(signers), ME, rules, config().accept.limits)
    assert isinstance(message, Message), message
    signed = replace(message, wrapped=message.wrapped.replace(b"</DxpMsg>", signature))
    with pytest.raises(Refused) as caught:
        new_message_of(signed, ME, uid=UID, config=routed(place(), receiver=MIXED[0]), local_receivers=HOMES)
    assert [fault.rule for fault in caught.value.faults] == ["signed_envelope"]
    assert len(new_message_of(signed, ME, uid=UID, config=config(), local_receivers=NOBODY).ways) == 1, (
        "undivided it may go"
    )


def test_entry_of_an_earlier_version_has_no_facts_of_its_way() -> None:
    assert facts.way_facts(b"") == facts.WayFacts()
