"""What the accept role makes of an examined message: everything about its way is fixed here."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from gateway import facts
from gateway.config.gateway_toml import Config, Destination, Node, RouteConfig, Signing
from gateway.config.keys import KeyConfig
from gateway.config.links import Folder
from gateway.errors import Refused
from gateway.model import Enterprise, EnterpriseId, Envelope, Message, MessageId
from gateway.rules.loading import Rules
from gateway.submission.new_messages import new_message_id, new_message_of
from gateway.submission.pipeline import examine
from gateway.xml.envelope import wrap
from tests.documents import COP_CODE, DXP_ID, export_order, order
from tests.shipped_rules import shipped

NOW = datetime(2025, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
UID = MessageId("01942505-9B2E-7000-8000-000000000001")
ME = Enterprise(
    id=EnterpriseId("one"),
    name="示例企业",
    cop_codes=frozenset({COP_CODE}),
    dxp_ids=frozenset({DXP_ID, "D" * 17}),
    token_sha256=("0" * 64,),
    key="mine",
)


def destination(name: str, *families: str) -> Destination:
    fits = tuple(family for family in ("import", "export") if family in families)
    return Destination(name=name, families=fits, folder=Folder(send_dir=Path("o"), receive_dir=Path("i")))


def config(*destinations: Destination) -> Config:
    return Config(
        node=Node(name="one", state_dir=Path("state"), dxp_id="DXPNODE000000001"),
        signing=Signing(default_key="node"),
        key=(KeyConfig(name="node", kind="pem", file=Path("node.key")),),
        destination=destinations or (destination("customs", "import", "export"),),
    )


@pytest.fixture(scope="module")
def rules() -> Rules:
    return shipped()


def accepted(body: bytes, rules: Rules) -> Message:
    message = examine(body, ME, rules, config().accept.limits)
    assert isinstance(message, Message), message
    return message


def test_message_id_is_an_upper_case_uuid_of_version_7_with_the_time_in_it() -> None:
    made = new_message_id(NOW)
    assert made == made.upper()
    value = UUID(made)
    assert (value.version, value.variant) == (7, "specified in RFC 4122")
    assert value.int >> 80 == int(NOW.timestamp() * 1000)


def test_message_ids_of_one_instant_are_all_different() -> None:
    assert len({new_message_id(NOW) for _ in range(10_000)}) == 10_000


def test_message_ids_are_ordered_by_the_millisecond() -> None:
    made = [new_message_id(NOW + timedelta(milliseconds=one)) for one in range(2000)]
    assert all(earlier < later for earlier, later in pairwise(made))


def test_bare_document_travels_under_the_id_that_we_gave_it(rules: Rules) -> None:
    body = order("ORDER-1", "ORDER-2")
    new = new_message_of(accepted(body, rules), ME, uid=UID, config=config(), request_key="R-1")
    assert (new.uid, new.ways[0].cop_msg_id, new.request_key) == (UID, UID, "R-1")
    assert (new.owner, new.kind, new.ways[0].destination) == ("one", "CEB311Message", "customs")
    assert new.body is body
    assert new.sha256 == hashlib.sha256(body).digest()


def test_each_declaration_is_named_with_its_version_and_the_ways_back_to_it(rules: Rules) -> None:
    new = new_message_of(accepted(order("ORDER-1", "ORDER-2"), rules), ME, uid=UID, config=config())
    assert [one.identity for one in new.subjects] == [
        f"CEB311Message ebpCode=4400000002 ebcCode=4400000003 orderNo=ORDER-{number}" for number in (1, 2)
    ]
    assert {one.version for one in new.subjects} == {"20250102030405 1"}
    assert facts.declaration_facts(new.subjects[1].facts).key["orderNo"] == "ORDER-2"


def test_facts_say_what_the_way_out_needs(rules: Rules) -> None:
    told = facts.message_facts(new_message_of(accepted(order(), rules), ME, uid=UID, config=config()).facts)
    assert (told.sender, told.key_name, told.family, told.wrapped) == (DXP_ID, "mine", "import", False)


def test_dxp_msg_of_the_sender_travels_as_it_is_under_its_own_id(rules: Rules) -> None:
    envelope = Envelope(
        cop_msg_id="MY-OWN-ID-1",
        sender_id=DXP_ID,
        receiver_ids=("DXPEDCCEB0000002",),
        creat_time="2025-01-02T12:05:06",
        msg_type="CEB311Message",
    )
    business = order()
    wrapped = wrap(business, envelope)
    new = new_message_of(accepted(wrapped, rules), ME, uid=UID, config=config())
    assert (new.uid, new.ways[0].cop_msg_id) == (UID, "MY-OWN-ID-1")
    assert new.body is wrapped
    assert new.sha256 == hashlib.sha256(wrapped).digest()
    assert facts.message_facts(new.facts).wrapped


@pytest.mark.parametrize(
    ("dxp_id", "sender"), [("D" * 16, "D" * 16), ("D" * 17, "DXPNODE000000001"), ("", "DXPNODE000000001")]
)
def test_sender_that_no_envelope_can_hold_gives_way_to_the_nodes_own(
    dxp_id: str, sender: str, rules: Rules
) -> None:
    message = accepted(order(), rules)
    message = replace(message, header=replace(message.header, dxp_id=dxp_id))
    assert facts.message_facts(new_message_of(message, ME, uid=UID, config=config()).facts).sender == sender


def test_each_family_goes_to_the_first_destination_that_carries_it(rules: Rules) -> None:
    parted = config(
        destination("in", "import"), destination("out", "export"), destination("both", "import", "export")
    )
    for body, name in ((order(), "in"), (export_order(), "out")):
        assert new_message_of(accepted(body, rules), ME, uid=UID, config=parted).ways[0].destination == name


def test_message_that_nobody_carries_is_refused_with_a_clear_text(rules: Rules) -> None:
    with pytest.raises(Refused) as caught:
        new_message_of(
            accepted(export_order(), rules), ME, uid=UID, config=config(destination("in", "import"))
        )
    assert caught.value.problem == "no-route"
    (fault,) = caught.value.faults
    assert "no way out for this CEB303Message" in fault.message
    assert fault.message_zh
    assert fault.fix


def test_each_way_is_an_entry_under_one_id_with_its_own_receiver(rules: Rules) -> None:
    places = config(destination("customs", "import"), destination("tax", "import"))
    route = RouteConfig(to=("customs", "tax"), receivers=("RECEIVER-A", "RECEIVER-B"), split=True)
    routed = msgspec.structs.replace(places, route=(route,))
    ways = new_message_of(accepted(order(), rules), ME, uid=UID, config=routed).ways
    assert {way.cop_msg_id for way in ways} == {UID}
    assert [(way.destination, way.part, facts.way_facts(way.facts).receivers) for way in ways] == [
        ("customs", "1", ("RECEIVER-A",)),
        ("customs", "2", ("RECEIVER-B",)),
        ("tax", "1", ("RECEIVER-A",)),
        ("tax", "2", ("RECEIVER-B",)),
    ]
    assert [facts.way_facts(way.facts).sub_msg_id for way in ways] == ["1", "2", "1", "2"]


def test_way_with_nothing_of_its_own_is_written_as_nothing(rules: Rules) -> None:
    (way,) = new_message_of(accepted(order(), rules), ME, uid=UID, config=config()).ways
    assert (way.part, way.facts) == ("", b"")
    assert facts.way_facts(b"") == facts.WayFacts()
