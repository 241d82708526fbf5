"""Each small input that failed once has its right value: as it is invented here, and as it lies beside a checkout."""

import os
import re
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from lxml import etree

from gateway.config.gateway_toml import LimitsConfig
from gateway.config.site import DEMO, NewEnterprise, write_site
from gateway.mapping.translate import translate
from gateway.model import EnterpriseId, Message
from gateway.receipts.content import content_for
from gateway.submission.pipeline import Refusal, examine
from gateway.xml.envelope import unwrap
from signing.keys.suite import RSA_SHA1, Suite
from signing.xml import splice
from spool.entry import Fate
from tests import documents as make
from tests.command_line import Node, invoke, lines, node_at
from tests.contract import test_sftp_quirks
from tests.small_cases import FIRST, OURS, SECOND, beside, ours
from tests.spec import CASES
from tests.unit.mapping_examples import mappings

OTHER = NewEnterprise(id="other", name="Other", cop_codes=("4400000009",), dxp_ids=("DXPENT0000000002",))
Bytes = Callable[[str], bytes]


@dataclass(frozen=True, kw_only=True)
class Given:
    """One input, the others beside it, and a node that is told of them."""

    name: str
    bytes_of: Bytes
    node: Node

    @property
    def body(self) -> bytes:
        return self.bytes_of(self.name)

    def examined(self, suite: Suite | None = None) -> Message | Refusal:
        """Judge the input as the door does."""
        caller = self.node.app.enterprises[EnterpriseId("demo")]
        return examine(self.body, caller, self.node.app.rules, LimitsConfig(), suite=suite)

    def refused(self) -> Refusal:
        """Judge the input, and see it refused."""
        outcome = self.examined()
        assert isinstance(outcome, Refusal)
        return outcome

    def told(self, *receipts: str) -> dict[str, Any]:
        """Hand in the payment and lay these receipts one after the other; what is known of the payment."""
        (uid,) = self.node.accept(self.bytes_of("01-payment.xml"))
        self.node.settle(Fate.DELIVERED)
        for name in receipts:
            self.node.collect(self.bytes_of(name))
        (life,) = lines(self.node.run("trace", uid, "--json"))
        return life


def is_accepted(given: Given) -> None:
    (declaration,) = given.told()["declarations"]
    assert (declaration["standing"]["outcome"], declaration["answers"]) == ("open", [])


def is_taken(given: Given) -> None:
    (declaration,) = given.told(given.name)["declarations"]
    (answer,) = declaration["answers"]
    assert (answer["status"], declaration["standing"]["outcome"]) == ("120", "accepted")


def decides_nothing_after_120(given: Given) -> None:
    (declaration,) = given.told("01-receipt-120.xml", given.name)["declarations"]
    first, later = declaration["answers"]
    assert (first["status"], declaration["standing"]["outcome"]) == ("120", "accepted")
    assert declaration["standing"]["business"] == later["status"], "it is told all the same"


def is_read_in_the_encoding_it_is_in(given: Given) -> None:
    (declaration,) = given.told(given.name)["declarations"]
    (answer,) = declaration["answers"]
    assert (answer["status"], declaration["standing"]["outcome"]) == ("120", "accepted")
    assert re.search("[\u4e00-\u9fff]", answer["info"])
    assert "\ufffd" not in answer["info"]


def is_read_with_every_character(given: Given) -> None:
    is_read_in_the_encoding_it_is_in(given)
    (life,) = lines(given.node.run("spool", "list", "--json", "--state", "sent"))
    (shown,) = lines(given.node.run("trace", life["id"], "--json"))
    assert "喆" in shown["declarations"][0]["answers"][0]["info"]


def is_kept_as_unreadable_and_shown_to_whom_it_is_addressed(given: Given) -> None:
    (declaration,) = given.told(given.name)["declarations"]
    assert declaration["answers"] == []
    (orphan,) = lines(given.node.run("receipts", "orphans", "--json"))
    assert orphan["message_type"] == "unreadable"
    (shown,) = lines(given.node.run("receipts", "list", "--json"))
    assert (shown["enterprise"], shown["message_type"]) == ("demo", "unreadable")
    assert given.node.run("receipts", "show", 1, "--content").stdout_bytes == given.body


def is_refused_because_it_cannot_be_signed(given: Given) -> None:
    refusal = given.refused()
    assert refusal.problem == "invalid-message"
    assert [fault.rule for fault in refusal.faults] == ["relative_namespace"]


def is_refused_because_one_declaration_stands_there_twice(given: Given) -> None:
    refusal = given.refused()
    assert any("payTransactionId" in f"{fault.path} {fault.message}" for fault in refusal.faults)


def is_no_text(given: Given, *, mapping: str, element: str, place: str) -> None:
    done = translate(given.body, mappings()[mapping], LimitsConfig())
    found = [fault for fault in done.faults if fault.element == element]
    assert found == list(done.faults)
    assert {fault.rule for fault in found} == {"exponent_form"}
    assert place in found[0].source
    assert (
        f"<ceb:{element}>".encode()
        not in done.document.partition(b"</ceb:Inventory>")[0].partition(b"</ceb:Payment>")[0]
    )
    file = given.node.app.file.parent / given.name
    file.write_bytes(given.body)
    shown = invoke("translate", file, "--mapping", mapping)
    assert (shown.exit_code, shown.stdout) == (1, "")
    for text in (place, "digits are lost", "科学计数法", "text"):
        assert text in shown.stderr


def is_no_cell(given: Given) -> None:
    is_no_text(given, mapping="inventories", element="buyerIdNumber", place="column buyer_id_number")


def is_no_order_number(given: Given) -> None:
    is_no_text(given, mapping="payments", element="orderNo", place="/payments/0/order_no")


def is_signed_where_the_schema_has_the_signature(given: Given) -> None:
    (uid,) = given.node.accept(given.body)
    app = given.node.app
    (destination,) = app.config.destination
    with closing(app.forward(destination, 1)) as forward, closing(forward._spool):
        assert forward.step() == 1
    (sent,) = (app.config.node.state_dir / "outbox").iterdir()
    signed = unwrap(sent.read_bytes()).business
    file = app.file.parent / "signed.xml"
    file.write_bytes(signed)
    names = [etree.QName(one).localname for one in etree.fromstring(signed)]
    assert names[-2:] == ["Signature", "ExtendMessage"]
    assert invoke("validate", file, "--sendable").exit_code == 0
    (verified,) = lines(invoke("verify", file, "--json"))
    assert verified["digest_ok"]
    assert verified["signature_ok"]
    unsigned, span = splice.strip(signed)
    assert unsigned == given.body
    outcome = given.examined(suite=RSA_SHA1)
    assert isinstance(outcome, Message)
    assert outcome.draft is not None
    assert outcome.draft.place == span[0], "the door says the same when it drafts"
    assert uid in sent.name


def is_shown_to_each_owner_in_its_own_part(given: Given) -> None:
    (first,) = given.node.accept(make.order("A"))
    (second,) = given.node.accept(
        make.order("B", cop_code="4400000009", dxp_id="DXPENT0000000002"), owner="other"
    )
    given.node.settle(Fate.DELIVERED)
    whole = given.body.replace(FIRST.encode(), first.encode()).replace(SECOND.encode(), second.encode())
    given.node.collect(whole)
    with closing(given.node.app.spool()) as spool:
        for owner, own, others in (("demo", first, second), ("other", second, first)):
            (notice,) = spool.notices(owner, after=0, limit=10)
            content = content_for(owner, notice.arrival, spool, given.node.app.rules.catalogue)
            assert content is not None
            (response,) = re.findall(rb"<Response>.*?</Response>", content, re.DOTALL)
            assert own.encode() in response
            assert others.encode() not in content
            assert response in whole, "whole, and as it came"


EXPECTED: Mapping[str, Callable[[Given], None]] = {
    "01-payment.xml": is_accepted,
    "01-receipt-120.xml": is_taken,
    "01-receipt-duplicate-later.xml": decides_nothing_after_120,
    "01-receipt-older-later.xml": decides_nothing_after_120,
    "03-receipt-declared-UTF8.xml": is_read_in_the_encoding_it_is_in,
    "03-receipt-declared-utf-16.xml": is_read_in_the_encoding_it_is_in,
    "03-receipt-gb2312-with-gbk-character.xml": is_read_with_every_character,
    "03-receipt-raw-ampersand.xml": is_kept_as_unreadable_and_shown_to_whom_it_is_addressed,
    "09-relative-namespace.xml": is_refused_because_it_cannot_be_signed,
    "10-two-versions-in-one-message.xml": is_refused_because_one_declaration_stands_there_twice,
    "11-inventory-id-in-exponent-form.csv": is_no_cell,
    "11-payment-orderno-exponent.json": is_no_order_number,
    "12-extend-505.xml": is_signed_where_the_schema_has_the_signature,
    "13-dxprep-two-owners.xml": is_shown_to_each_owner_in_its_own_part,
}
HELD_ELSEWHERE = {test_sftp_quirks.SHARED_SERVER.name}
"""A server, which has a suite of its own."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_site(tmp_path_factory.mktemp("site") / "s", enterprises=(DEMO, OTHER), port=0).folder


@pytest.fixture
def node(template: Path, tmp_path: Path) -> Node:
    return node_at(Path(copytree(template, tmp_path / "site")))


@pytest.mark.parametrize("source", [ours, beside])
@pytest.mark.parametrize("name", EXPECTED)
def test_small_input_has_its_right_value(name: str, source: Bytes, node: Node) -> None:
    if source is beside and not CASES.is_dir():
        pytest.skip("the small inputs are not beside this checkout")
    EXPECTED[name](Given(name=name, bytes_of=source, node=node))


@pytest.mark.parametrize("source", [ours, beside])
def test_receipt_is_collected_whatever_its_file_is_called(source: Bytes, node: Node) -> None:
    if source is beside and not CASES.is_dir():
        pytest.skip("the small inputs are not beside this checkout")
    given = Given(name="01-receipt-120.xml", bytes_of=source, node=node)
    given.told()
    app = node.app
    (destination,) = app.config.destination
    in_gbk = b"\xb6\xa9\xb5\xa5.xml"
    (app.config.node.state_dir / "inbox" / os.fsdecode(in_gbk)).write_bytes(given.body)
    with closing(app.collect(destination)) as collect, closing(collect._spool):
        assert collect.step() == 1
    (shown,) = lines(node.run("receipts", "list", "--json"))
    assert [one["status"] for one in shown["bodies"]] == ["120"]


def test_no_small_input_is_without_its_right_value() -> None:
    assert EXPECTED.keys() == OURS.keys()
    if not CASES.is_dir():
        pytest.skip("the small inputs are not beside this checkout")
    found = {file.name for file in CASES.iterdir()} - {"README.md"}
    assert found == EXPECTED.keys() | HELD_ELSEWHERE
