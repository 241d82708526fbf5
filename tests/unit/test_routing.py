"""Which ways a message goes: every condition alone, their order, shares, receivers, and what a file may not say."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.config.gateway_toml import LOCAL, Config, Destination, Node, RouteConfig, Signing, load_config
from gateway.config.keys import KeyConfig
from gateway.config.links import Folder
from gateway.config.local_receivers import LocalReceivers
from gateway.config.site import write_site
from gateway.errors import ConfigError
from gateway.model import ANYBODY, Declaration, Enterprise, EnterpriseId, Envelope, Mailbox, Message
from gateway.rules.loading import Rules
from gateway.submission.new_messages import new_message_id
from gateway.submission.pipeline import examine
from gateway.submission.routing import RECEIVER_UNKNOWN, Leg, Traits, legs, traits_of
from gateway.xml.envelope import wrap
from tests.documents import COP_CODE, DXP_ID, export_order, inventory, order
from tests.shipped_rules import shipped
from tests.unit.test_gateway_toml import HEAD, KEY
from tests.unit.test_new_messages import NOW

FOLDER = Folder(send_dir=Path("out"), receive_dir=Path("in"))
CUSTOMS, TAX = "DXPEDCCEB0000002", "DXPEDC0000000001"
TRAITS = Traits(
    cop_msg_id="01942505-9B2E-7000-8000-000000000001",
    enterprise=EnterpriseId("one"),
    sender=DXP_ID,
    receivers=(CUSTOMS,),
    message_type="CEB621Message",
    family="import",
    customs_codes=frozenset({"5100"}),
    wrapped=False,
)
ELSE = RouteConfig(to=("customs",))


def config(*routes: RouteConfig, **families: tuple[Any, ...]) -> Config:
    return Config(
        node=Node(name="one", state_dir=Path("state"), dxp_id=DXP_ID),
        signing=Signing(default_key="node"),
        key=(KeyConfig(name="node", kind="pem", file=Path("node.key")),),
        destination=tuple(
            Destination(name=name, folder=FOLDER, families=families.get(name, ("import", "export")))
            for name in ("customs", "tax", "trial")
        ),
        route=routes,
    )


def names(traits: Traits, *routes: RouteConfig) -> list[str]:
    return [leg.destination for leg in legs(traits, config(*routes))]


@pytest.mark.parametrize(
    ("condition", "other"),
    [
        ({"receiver": CUSTOMS}, {"receivers": (TAX,)}),
        ({"receiver": (TAX, CUSTOMS)}, {"receivers": ("DXPEDCCEB0000003",)}),
        ({"sender": DXP_ID}, {"sender": "DXPENT0000000009"}),
        ({"enterprise": "one"}, {"enterprise": EnterpriseId("two")}),
        ({"enterprise": ("one", "three")}, {"enterprise": EnterpriseId("two")}),
        ({"message_type": ("CEB311Message", "CEB621Message")}, {"message_type": "CEB411Message"}),
        ({"family": "import"}, {"family": "export"}),
        ({"customs_code": "5100"}, {"customs_codes": frozenset({"5200"})}),
        ({"customs_code": "5100"}, {"customs_codes": frozenset({"5100", "5200"})}),
        ({"customs_code": ("5100", "5200")}, {"customs_codes": frozenset()}),
    ],
)
def test_condition_decides_whether_a_route_fits(condition: dict[str, Any], other: dict[str, Any]) -> None:
    special = RouteConfig(to=("trial",), **condition)
    assert names(TRAITS, special, ELSE) == ["trial"]
    assert names(replace(TRAITS, **other), special, ELSE) == ["customs"]


def test_one_of_several_receivers_is_enough() -> None:
    several = replace(TRAITS, receivers=("DXPEDCCEB0000003", CUSTOMS))
    assert names(several, RouteConfig(to=("trial",), receiver=CUSTOMS), ELSE) == ["trial"]


def test_all_conditions_must_hold() -> None:
    both = RouteConfig(to=("trial",), enterprise="one", customs_code="5200")
    assert names(TRAITS, both, ELSE) == ["customs"]
    assert names(replace(TRAITS, customs_codes=frozenset({"5200"})), both, ELSE) == ["trial"]


def test_the_first_route_that_fits_decides_alone() -> None:
    first, second = RouteConfig(to=("trial",), family="import"), RouteConfig(to=("tax",), enterprise="one")
    assert names(TRAITS, first, second, ELSE) == ["trial"]
    assert names(TRAITS, second, first, ELSE) == ["tax"]


def test_a_route_may_name_several_destinations() -> None:
    assert names(TRAITS, RouteConfig(to=("customs", "tax"))) == ["customs", "tax"]


def test_what_fits_no_route_has_no_way() -> None:
    assert names(TRAITS, RouteConfig(to=("trial",), enterprise="two")) == []


def test_without_routes_the_first_destination_that_carries_the_family_is_taken() -> None:
    parted = config(customs=("export",), tax=("import",), trial=("import", "export"))
    assert legs(TRAITS, parted) == (Leg(destination="tax"),)
    assert legs(replace(TRAITS, family="export"), parted) == (Leg(destination="customs"),)
    assert legs(TRAITS, config(customs=("export",), tax=("export",), trial=())) == ()


def test_no_route_leads_a_message_to_a_destination_that_does_not_carry_its_family() -> None:
    parted = config(RouteConfig(to=("customs", "tax")), RouteConfig(to=("trial",)), tax=("export",))
    assert [leg.destination for leg in legs(TRAITS, parted)] == ["trial"]
    exported = legs(replace(TRAITS, family="export"), parted)
    assert [leg.destination for leg in exported] == ["customs", "tax"]


# shares

IDS = [new_message_id(NOW) for _ in range(10_000)]


def chosen(share: float, *before: RouteConfig) -> set[str]:
    routes = config(*before, RouteConfig(to=("trial",), share=share), ELSE)
    return {one for one in IDS if legs(replace(TRAITS, cop_msg_id=one), routes)[0].destination == "trial"}


@pytest.mark.parametrize(
    ("share", "least", "most"), [(0, 0, 0), (1, 50, 150), (30, 2750, 3250), (100, 10_000, 10_000)]
)
def test_share_is_about_right(share: float, least: int, most: int) -> None:
    assert least <= len(chosen(share)) <= most


def test_share_always_chooses_the_same_messages_and_a_greater_one_keeps_them() -> None:
    assert chosen(1) == chosen(1)
    assert chosen(1) <= chosen(5) <= chosen(50)


def test_share_is_of_what_comes_to_the_route() -> None:
    assert 2200 <= len(chosen(50, RouteConfig(to=("tax",), share=50))) <= 2800


# receivers


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        (RouteConfig(to=("customs",)), (Leg(destination="customs"),)),
        (
            RouteConfig(to=("customs",), receivers=(CUSTOMS, TAX)),
            (Leg(destination="customs", receivers=(CUSTOMS, TAX)),),
        ),
        (
            RouteConfig(to=("customs",), receivers=(CUSTOMS,), split=True),
            (Leg(destination="customs", receivers=(CUSTOMS,)),),
        ),
        (
            RouteConfig(to=("customs", "tax"), receivers=(CUSTOMS, TAX), split=True),
            (
                Leg(destination="customs", part="1", receivers=(CUSTOMS,)),
                Leg(destination="customs", part="2", receivers=(TAX,)),
                Leg(destination="tax", part="1", receivers=(CUSTOMS,)),
                Leg(destination="tax", part="2", receivers=(TAX,)),
            ),
        ),
    ],
)
def test_receivers_share_one_envelope_or_get_a_copy_each(
    route: RouteConfig, expected: tuple[Leg, ...]
) -> None:
    assert legs(TRAITS, config(route)) == expected


def test_envelope_of_the_sender_keeps_its_receivers_and_is_never_split() -> None:
    split = config(RouteConfig(to=("customs", "tax"), receivers=(CUSTOMS, TAX), split=True))
    own = replace(TRAITS, wrapped=True)
    assert legs(own, split) == (Leg(destination="customs"), Leg(destination="tax"))


# the sender's own DxpMsg at a transfer node

HERE, THERE, NOWHERE = "DXPENT0000000002", "DXPENT0000000003", "DXPENT0000000099"
HOMES = LocalReceivers(
    holders={HERE: (EnterpriseId("two"),), THERE: (EnterpriseId("three"),)},
    mailboxes={EnterpriseId(one): Mailbox(senders=frozenset({ANYBODY})) for one in ("two", "three")},
)
BY_RECEIVER = (RouteConfig(to=("customs",), receiver=CUSTOMS), RouteConfig(to=("tax", "trial"), receiver=TAX))


def served(*receivers: str, routes: tuple[RouteConfig, ...] = BY_RECEIVER) -> tuple[Leg, ...]:
    return legs(replace(TRAITS, wrapped=True, receivers=receivers), config(*routes), HOMES)


def test_own_enterprises_are_served_here_by_one_entry_whatever_the_routes() -> None:
    assert served(HERE) == (Leg(destination=LOCAL, receivers=(HERE,)),)
    assert served(HERE, THERE, routes=(ELSE,)) == (Leg(destination=LOCAL, part="1", receivers=(HERE, THERE)),)


def test_receiver_that_no_route_takes_is_answered() -> None:
    assert served(NOWHERE) == (Leg(destination=LOCAL, receivers=(NOWHERE,), response_code=RECEIVER_UNKNOWN),)
    assert served(NOWHERE, routes=(ELSE,)) == (Leg(destination="customs"),), "another node may know it"


def test_each_receiver_has_a_fate_of_its_own_and_the_number_of_its_place() -> None:
    assert served(TAX, HERE, NOWHERE, CUSTOMS, "X") == (
        Leg(destination="tax", part="1", receivers=(TAX,)),
        Leg(destination="trial", part="1", receivers=(TAX,)),
        Leg(destination="customs", part="4", receivers=(CUSTOMS,)),
        Leg(destination=LOCAL, part="2", receivers=(HERE,)),
        Leg(destination=LOCAL, part="3", receivers=(NOWHERE,), response_code=RECEIVER_UNKNOWN),
        Leg(destination=LOCAL, part="5", receivers=("X",), response_code=RECEIVER_UNKNOWN),
    )


def test_receivers_that_all_go_the_same_way_are_not_divided() -> None:
    both = (RouteConfig(to=("customs", "tax"), receiver=(CUSTOMS, TAX)),)
    assert served(CUSTOMS, TAX, routes=both) == (Leg(destination="customs"), Leg(destination="tax"))
    assert served(CUSTOMS, CUSTOMS) == (Leg(destination="customs"),)


def test_document_without_an_envelope_is_never_for_an_enterprise_of_ours() -> None:
    bare = replace(TRAITS, receivers=(HERE,))
    assert legs(bare, config(ELSE), HOMES) == (Leg(destination="customs"),)
    assert legs(bare, config(*BY_RECEIVER), HOMES) == ()


# what a message is to the routes


@pytest.fixture(scope="module")
def rules() -> Rules:
    return shipped()


def traits(body: bytes, rules: Rules) -> Traits:
    me = Enterprise(
        id=EnterpriseId("one"),
        name="示例企业",
        cop_codes=frozenset({COP_CODE}),
        dxp_ids=frozenset({DXP_ID}),
        token_sha256=("0" * 64,),
    )
    message = examine(body, me, rules, config().accept.limits)
    assert isinstance(message, Message), message
    return traits_of(message.header, message.envelope, me.id, config=config(), uid="COP-1")


def test_bare_document_has_the_receiver_of_the_catalogue_and_its_customs_code(rules: Rules) -> None:
    told = traits(inventory("A", "B"), rules)
    assert (told.message_type, told.family, told.receivers) == ("CEB621Message", "import", (CUSTOMS,))
    assert told.customs_codes == {"5100"}
    assert (told.sender, told.wrapped) == (DXP_ID, False)
    assert traits(export_order(), rules).receivers == ("DXPEDCCEB0000003",)


def test_document_without_a_customs_code_has_none(rules: Rules) -> None:
    assert traits(order(), rules).customs_codes == frozenset()


def test_one_declaration_without_a_customs_code_leaves_the_message_without(rules: Rules) -> None:
    me = Enterprise(
        id=EnterpriseId("one"),
        name="示例企业",
        cop_codes=frozenset({COP_CODE}),
        dxp_ids=frozenset({DXP_ID}),
        token_sha256=("0" * 64,),
    )
    message = examine(inventory("A"), me, rules, config().accept.limits)
    assert isinstance(message, Message)
    bare = Declaration(message_type="CEB621Message", key={})
    mixed = replace(message.header, declarations=(*message.header.declarations, bare))
    told = traits_of(mixed, message.envelope, me.id, config=config(), uid="COP-1")
    assert told.customs_codes == frozenset()


def test_envelope_of_the_sender_says_who_sends_and_who_receives(rules: Rules) -> None:
    envelope = Envelope(
        cop_msg_id="COP-1",
        sender_id=DXP_ID,
        receiver_ids=(TAX, CUSTOMS),
        creat_time="2025-01-02T12:05:06",
        msg_type="CEB311Message",
    )
    told = traits(wrap(order(), envelope), rules)
    assert (told.sender, told.receivers, told.wrapped) == (DXP_ID, (TAX, CUSTOMS), True)


# the file


def destinations(**families: str) -> str:
    return "".join(
        f'[[destination]]\nname = "{name}"\nfamilies = [{carries}]\n'
        f'[destination.folder]\nsend_dir = "{name}"\nreceive_dir = "in"\n'
        for name, carries in families.items()
    )


BOTH = destinations(customs='"import", "export"', tax='"import"')


def load(tmp_path: Path, routes: str, places: str = BOTH) -> Config:
    file = tmp_path / "gateway.toml"
    file.write_text(f"{HEAD}{KEY}{places}{routes}", encoding="utf-8")
    return load_config(file)


def test_routes_are_read_from_the_file(tmp_path: Path) -> None:
    read = load(
        tmp_path,
        '[[route]]\nreceiver = "DXPEDCCEB0000002"\nenterprise = ["one", "two"]\nfamily = "import"\nshare = 1\n'
        'to = ["tax"]\nreceivers = ["A", "B"]\nsplit = true\n[[route]]\nto = ["customs"]\n',
    )
    assert read.route == (
        RouteConfig(
            receiver="DXPEDCCEB0000002",
            enterprise=("one", "two"),
            family="import",
            share=1.0,
            to=("tax",),
            receivers=("A", "B"),
            split=True,
        ),
        RouteConfig(to=("customs",)),
    )


@pytest.mark.parametrize(
    ("routes", "what"),
    [
        ('[[route]]\nto = ["custom"]\n', "there is no destination custom"),
        ('[[route]]\nto = ["customs", "customs"]\n', "to names one twice"),
        ('[[route]]\nto = ["customs"]\nreceivers = ["A", "A"]\n', "receivers names one twice"),
        ('[[route]]\nto = ["customs"]\nsplit = true\n', "split needs receivers"),
        ('[[route]]\nto = ["tax"]\nfamily = "export"\n', "no message can take this way"),
        ('[[route]]\nto = ["customs"]\n[[route]]\nto = ["tax"]\n', "never reached"),
        ('[[route]]\nto = ["tax"]\n', "no [[route]] takes export messages"),
        ('[[route]]\nto = ["customs"]\nfamily = "export"\n', "no [[route]] takes import messages"),
        ('[[route]]\nto = ["customs"]\nshare = 0\n', "no [[route]] takes import messages"),
    ],
)
def test_what_can_be_known_from_the_file_is_told_at_load(tmp_path: Path, routes: str, what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, routes)
    assert what in caught.value.what
    assert "gateway.toml" in caught.value.where
    assert caught.value.fix


@pytest.mark.parametrize(
    "line",
    [
        "to = []",
        "share = 101",
        "share = -1",
        'message_type = "CEB31Message"',
        'customs_code = "51"',
        'family = "both"',
        'receivers = ["A", "B", "C", "D", "E", "F"]',
        'receivers = ["12345678901234567"]',
        'receiver = ""',
        'color = "red"',
    ],
)
def test_values_out_of_bounds_are_told_with_their_place(tmp_path: Path, line: str) -> None:
    routes = f"[[route]]\n{line}\n" if line.startswith("to") else f'[[route]]\nto = ["customs"]\n{line}\n'
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, routes)
    assert "route[0]" in caught.value.where


def test_the_example_in_a_fresh_site_can_be_used_as_it_stands(tmp_path: Path) -> None:
    file = write_site(tmp_path / "site").config
    before, mark, example = file.read_text(encoding="utf-8").partition("# [[route]]\n")
    text = (
        (mark + example).replace("\n# ", "\n").removeprefix("# ").replace('["customs", "tax"]', '["customs"]')
    )
    file.write_text(before + text, encoding="utf-8")
    first, last = load_config(file).route
    assert (first.customs_code, first.share, first.split, last) == ("5100", 1.0, True, ELSE)


def test_families_that_no_destination_carries_need_no_route(tmp_path: Path) -> None:
    only = destinations(tax='"import"')
    assert load(tmp_path, '[[route]]\nto = ["tax"]\n', only).route
