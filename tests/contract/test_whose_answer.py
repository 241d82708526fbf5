"""The rule of whose an answer is, as a table of cases, in every spool (docs/adr/0029)."""

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pytest

from gateway.samples.compose import compose
from spool.entry import NewMessage, Subject, Way
from spool.store import Spool
from tests.documents import document, element, inventory, order, receipt, tax
from tests.ownership_node import Node, envelope, tenant
from tests.shipped_rules import shipped

RULES = shipped()
HERS, HIS, BOTHS, NODES = "DXPENT0000000001", "DXPENT0000000002", "DXPENT0000000003", "DXPNODE000000001"
ANN, BOB, NOBODYS = "4400000001", "4400000002", "4400000009"
TENANTS = (tenant("ann", HERS, BOTHS, cop_code=ANN), tenant("bob", HIS, BOTHS, cop_code=BOB))
PRE_NO, INVT_NO = "B20250102000000001", "51002025I000000001"
CODES = {"ann": ANN, "bob": BOB}


@pytest.fixture
def node(spool: Spool) -> Node:
    return Node.of(spool, RULES, TENANTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class By:
    """Who declares the inventory, at which DXP id, with which codes."""

    who: str
    at: str
    agent: str = ""
    cop_no: str | None = "COP-1"
    ebc: str = "4400000003"
    again: str = ""
    """ebcCode of a change that follows."""
    pre_no: str | None = None
    refused: str = ""
    judged: bool = True

    @property
    def code(self) -> str:
        return self.agent or CODES[self.who]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    declared: Sequence[By]
    says: Mapping[str, str]
    to: Sequence[str] = ()
    gets: str = ""
    """Who; empty: nobody."""
    times: int = 1
    """Declarations that hear of it."""


WHOLE = {"agentCode": ANN, "copNo": "COP-1", "preNo": PRE_NO}
FREE = {"agentCode": NOBODYS, "copNo": "COP-1", "preNo": PRE_NO}
HANDLE = {"copNo": "COP-1", "preNo": PRE_NO}
CASES = {
    # 1 to whom customs addressed it
    "a whole key at its address": Case(declared=[By(who="ann", at=HERS)], says=WHOLE, to=[HERS], gets="ann"),
    "a whole key in no envelope": Case(declared=[By(who="ann", at=HERS)], says=WHOLE, gets="ann"),
    "the node's own id says nothing": Case(
        declared=[By(who="ann", at=HERS)], says=WHOLE, to=[NODES], gets="ann"
    ),
    "an id of nobody here says nothing": Case(
        declared=[By(who="ann", at=HERS)], says=WHOLE, to=["DXPENT0000000999"], gets="ann"
    ),
    "the only one that fits lives elsewhere": Case(
        declared=[By(who="bob", at=HIS, agent=NOBODYS)], says=FREE, to=[HERS]
    ),
    "another's key, declared by both, at her address": Case(
        declared=[By(who="bob", at=HIS, agent=NOBODYS), By(who="ann", at=HERS, agent=NOBODYS)],
        says=FREE, to=[HERS], gets="ann",
    ),
    "of several receivers one is ours": Case(
        declared=[By(who="bob", at=HIS, agent=NOBODYS), By(who="ann", at=HERS, agent=NOBODYS)],
        says=FREE, to=["DXPENT0000000999", HERS], gets="ann",
    ),
    "both at their own ids, in no envelope": Case(
        declared=[By(who="bob", at=HIS, agent=NOBODYS), By(who="ann", at=HERS, agent=NOBODYS)], says=FREE
    ),
    "a handle alone, at her address": Case(
        declared=[By(who="bob", at=HIS), By(who="ann", at=HERS)], says=HANDLE, to=[HERS], gets="ann"
    ),
    # 2 under a shared DXP id a key has one owner
    "a code that is another's": Case(
        declared=[By(who="ann", at=BOTHS), By(who="bob", at=BOTHS, agent=ANN, refused="code_of_another")],
        says=WHOLE, to=[BOTHS], gets="ann",
    ),
    "a code that is another's, at his own id": Case(
        declared=[By(who="ann", at=BOTHS), By(who="bob", at=HIS, agent=ANN, refused="code_of_another")],
        says=WHOLE, gets="ann",
    ),
    "a code that is nobody's": Case(
        declared=[By(who="bob", at=BOTHS, agent=NOBODYS, refused="code_not_bound")], says=FREE, to=[BOTHS]
    ),
    "declared before the code was bound": Case(
        declared=[By(who="bob", at=BOTHS, agent=ANN, judged=False), By(who="ann", at=BOTHS)],
        says=WHOLE, to=[BOTHS], gets="ann",
    ),
    "a handle alone that two have at one id": Case(
        declared=[By(who="bob", at=BOTHS), By(who="ann", at=BOTHS)], says=HANDLE, to=[BOTHS]
    ),
    # 4 a whole key goes first, and all versions count
    "the code of an earlier version": Case(
        declared=[By(who="ann", at=HERS, ebc="4400000011", again="4400000012")],
        says={**WHOLE, "ebcCode": "4400000011"}, to=[HERS], gets="ann",
    ),
    "a handle with the code of an earlier version": Case(
        declared=[By(who="ann", at=HERS, ebc="4400000011", again="4400000012")],
        says={**HANDLE, "ebcCode": "4400000011"}, to=[HERS], gets="ann",
    ),
    "a handle with the code of the newest version": Case(
        declared=[By(who="ann", at=HERS, ebc="4400000011", again="4400000012")],
        says={**HANDLE, "ebcCode": "4400000012"}, to=[HERS], gets="ann",
    ),
    "a handle with a code of no version": Case(
        declared=[By(who="ann", at=HERS, ebc="4400000011", again="4400000012")],
        says={**HANDLE, "ebcCode": "4400000013"}, to=[HERS],
    ),
    "a whole key with a code of no version": Case(
        declared=[By(who="ann", at=HERS)], says={**WHOLE, "ebcCode": "4400000013"}, to=[HERS], gets="ann"
    ),
    "one copNo under two agents of one owner": Case(
        declared=[By(who="ann", at=HERS), By(who="ann", at=HERS, agent=NOBODYS)],
        says=HANDLE, to=[HERS], gets="ann", times=2,
    ),
    "a claimed number at its own address": Case(
        declared=[By(who="ann", at=HERS, cop_no=None, pre_no=PRE_NO)], says=HANDLE, to=[HERS], gets="ann"
    ),
    "a claimed number at another's address": Case(
        declared=[By(who="bob", at=HIS, cop_no=None, pre_no=PRE_NO)], says=HANDLE, to=[HERS]
    ),
}  # fmt: skip


def written(by: By, ebc_code: str, app_type: str, app_time: str) -> bytes:
    return inventory(
        by.cop_no,
        agent_code=by.code,
        ebc_code=ebc_code,
        pre_no=by.pre_no,
        app_type=app_type,
        app_time=app_time,
        cop_code=CODES[by.who],
        dxp_id=by.at,
    )


def declare(node: Node, by: By) -> None:
    faults = node.declare(by.who, written(by, by.ebc, "1", "20250102030405"), judged=by.judged)
    assert faults == ([by.refused] if by.refused else [])
    if by.again:
        assert node.declare(by.who, written(by, by.again, "2", "20250102040000")) == []


def expect(node: Node, case: Case) -> None:
    heard = {name: len(node.told(name)) for name in node.tenants}
    assert heard == {name: case.times if name == case.gets else 0 for name in node.tenants}
    assert len(node.orphans()) == (0 if case.gets else 1)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_whose(node: Node, case: Case) -> None:
    for by in case.declared:
        declare(node, by)
    node.come(envelope(receipt("CEB622Message", case.says), case.to))
    expect(node, case)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_whose_when_the_answer_came_first(node: Node, case: Case) -> None:
    """What is among strangers then goes to a whole key with a code that is the owner's, or to who lives alone there."""
    node.come(envelope(receipt("CEB622Message", case.says), case.to))
    for by in case.declared:
        declare(node, by)
    node.rematching.look()
    alone = any(one in {HERS, HIS} for one in case.to)
    if not alone and case.says.get("agentCode") != ANN:
        case = Case(declared=case.declared, says=case.says, to=case.to)
    expect(node, case)


@pytest.mark.parametrize("to", [[HERS], [BOTHS], []], ids=["her id", "a shared id", "no envelope"])
def test_hundreds_of_one_copno_push_nobody_out(node: Node, to: list[str]) -> None:
    at = BOTHS if BOTHS in to else HERS
    others = [f"AGENT-{number}" for number in range(100)]
    for first in range(0, 600, 100):
        bodies = b"".join(
            one[one.index(b"<ceb:Inventory>") : one.index(b"<ceb:BaseTransfer>")]
            for one in (inventory("COP-1", agent_code=f"{name}-{first}") for name in others)
        )
        whole = inventory("COP-1", cop_code=BOB, dxp_id=HIS)
        start, end = whole.index(b"<ceb:Inventory>"), whole.index(b"<ceb:BaseTransfer>")
        assert node.declare("bob", whole[:start] + bodies + whole[end:]) == []
    declare(node, By(who="ann", at=at))

    node.come(envelope(receipt("CEB622Message", HANDLE if to else WHOLE), to))

    assert [row[0] for row in node.told("ann")] == [f"CEB621Message agentCode={ANN} copNo=COP-1"]
    assert node.told("bob") == []


def claim_of_bob(at: str, number: int) -> bytes:
    return inventory(
        None, agent_code=BOB, cop_code=BOB, dxp_id=at, invt_no=INVT_NO, pre_no=f"B2025010300{number:07d}"
    )


def test_hundreds_of_claims_do_not_displace_a_number_that_customs_gave(node: Node) -> None:
    declare(node, By(who="ann", at=BOTHS))
    node.come(envelope(receipt("CEB622Message", {**WHOLE, "invtNo": INVT_NO}), [BOTHS]))
    assert node.declare("bob", claim_of_bob(BOTHS, 0)) == ["no_business_key"]
    for number in range(510):
        assert node.declare("bob", claim_of_bob(HIS, number)) == []

    node.come(tax(invtNo=INVT_NO))

    assert [kind for _, kind, _ in node.told("ann")] == ["CEB622Message", "CEB816Message"]
    assert node.told("bob") == []
    assert node.orphans() == []


def test_more_declarations_than_an_answer_can_be_about_are_nobody_s(node: Node) -> None:
    for number in range(201):
        declare(node, By(who="ann", at=HERS, agent=f"AGENT-{number}"))
    node.come(envelope(receipt("CEB622Message", HANDLE), [HERS]))
    assert node.told("ann") == []
    assert node.orphans() == ["ambiguous"]


def test_a_number_that_customs_gave_decides_where_two_have_one_handle(node: Node) -> None:
    """The answer that says only the copNo waits until another one has said whose its preNo is."""
    declare(node, By(who="ann", at=BOTHS))
    declare(node, By(who="bob", at=BOTHS))
    node.come(envelope(receipt("CEB622Message", HANDLE), [BOTHS]))
    assert node.orphans() == ["ambiguous"]
    node.come(envelope(receipt("CEB622Message", {**WHOLE, "returnStatus": "120"}), [BOTHS]))
    assert (len(node.told("ann")), node.told("bob"), node.orphans()) == (2, [], [])


def test_a_result_goes_to_all_parts_of_an_application_by_the_sum_no_they_learned(node: Node) -> None:
    keys: list[Mapping[str, str]] = []
    for part in ("1", "2"):
        made = compose(
            "CEB701Message", cop_code=ANN, dxp_id=HERS, rng=random.Random(4), overrides={"msgSeqNo": part}
        )
        assert node.declare("ann", made.body) == []
        keys += made.keys
    node.come(
        *[envelope(receipt("CEB702Message", {**key, "preNo": "B1", "sumNo": "S1"}), [HERS]) for key in keys]
    )
    result = element(
        "SummaryResult", element("SummaryResultHead", sumNo="S1", decState="1", opDate="20250103")
    )
    node.come(envelope(document("CEB792Message", result), [HERS]))
    assert sorted(kind for _, kind, _ in node.told("ann")) == ["CEB702Message"] * 2 + ["CEB792Message"] * 2
    assert node.orphans() == []


@pytest.mark.parametrize(("declared", "said"), [("01", "1"), ("1", "01"), ("007", "07"), ("+1", "1")])
def test_part_numbers_are_compared_by_value(node: Node, declared: str, said: str) -> None:
    made = compose(
        "CEB607Message", cop_code=ANN, dxp_id=HERS, rng=random.Random(4), overrides={"msgSeqNo": declared}
    )
    assert node.declare("ann", made.body) == []
    node.come(envelope(receipt("CEB608Message", {**made.keys[0], "msgSeqNo": said}), [HERS]))
    ((identity, kind, _),) = node.told("ann")
    assert kind == "CEB608Message"
    assert identity.endswith(f" msgSeqNo={int(declared)}")


def test_a_part_number_that_an_earlier_version_kept_as_written_is_found_still(node: Node) -> None:
    made = compose(
        "CEB607Message", cop_code=ANN, dxp_id=HERS, rng=random.Random(4), overrides={"msgSeqNo": "1"}
    )
    assert node.declare("ann", made.body) == []
    (new,) = [found.identity for found in node.spool.find([_named("CEB607Message", made.keys[0])])]
    old = spelled_as_before(node, new.replace("msgSeqNo=1", "msgSeqNo=01"))
    node.come(envelope(receipt("CEB608Message", {**made.keys[0], "msgSeqNo": "01"}), [HERS]))
    assert {identity for identity, _, _ in node.told("ann")} == {new, old}


def _named(kind: str, key: Mapping[str, str]) -> str:
    return " ".join([kind, *(f"{name}={text}" for name, text in key.items())])


def spelled_as_before(node: Node, identity: str) -> str:
    """Put the declaration in as a version did that compared characters."""
    (found,) = node.spool.find([identity.replace("msgSeqNo=01", "msgSeqNo=1")])
    template = compose("CEB607Message", cop_code=ANN, dxp_id=HERS, rng=random.Random(5))
    assert node.declare("ann", template.body) == []
    (view,) = node.spool.about("ann", _named("CEB607Message", template.keys[0]), limit=1)
    body = node.spool.body(view.uid) or b""
    new = NewMessage(
        uid="OLD",
        owner="ann",
        kind="CEB607Message",
        sha256=hashlib.sha256(b"old" + body).digest(),
        body=body,
        facts=view.facts,
        ways=(Way(destination="customs", cop_msg_id="OLD"),),
        subjects=(
            Subject(identity=identity, facts=found.facts.replace(b'"msgSeqNo":"1"', b'"msgSeqNo":"01"')),
        ),
    )
    node.spool.put([new])
    return identity


def test_by_hand_nobody_gets_what_is_addressed_to_another(node: Node) -> None:
    declare(node, By(who="bob", at=HIS, agent=NOBODYS))
    node.come(envelope(receipt("CEB622Message", FREE), [HERS]))
    assert node.filer.rematch(node.spool.orphans(), only="bob") == 0
    assert node.told("bob") == []


def test_by_hand_one_of_those_who_share_the_address_gets_it(node: Node) -> None:
    declare(node, By(who="ann", at=BOTHS))
    declare(node, By(who="bob", at=BOTHS))
    node.come(envelope(receipt("CEB622Message", HANDLE), [BOTHS]))
    assert node.rematching.look() == 0
    assert node.filer.rematch(node.spool.orphans(), only="ann") == 1
    assert (len(node.told("ann")), node.told("bob")) == (1, [])


def test_the_sender_on_an_envelope_of_its_own_is_an_address_too(spool: Spool) -> None:
    node = Node.of(spool, RULES, [tenant("ann", HERS, "DXPENT0000000004", cop_code=ANN), TENANTS[1]])
    signed = envelope(
        order("ORDER-1", ebp_code=NOBODYS, ebc_code=ANN, dxp_id=HERS), [NODES], sender="DXPENT0000000004"
    )
    assert node.declare("ann", signed) == []
    key = {"ebpCode": NOBODYS, "ebcCode": ANN, "orderNo": "ORDER-1"}
    node.come(envelope(receipt("CEB312Message", key), ["DXPENT0000000004"]))
    assert len(node.told("ann")) == 1


def test_whoever_is_disabled_keeps_its_codes_and_its_answers(spool: Spool) -> None:
    declaring = Node.of(spool, RULES, TENANTS)
    declare(declaring, By(who="ann", at=BOTHS))
    node = Node.of(spool, RULES, [replace(TENANTS[0], disabled=True), TENANTS[1]])
    declare(node, By(who="bob", at=BOTHS, agent=ANN, refused="code_of_another"))
    declare(node, By(who="bob", at=BOTHS, agent=NOBODYS))  # the id is his alone by now
    node.come(envelope(receipt("CEB622Message", WHOLE), [BOTHS]))
    assert (len(node.told("ann")), node.told("bob")) == (1, [])
