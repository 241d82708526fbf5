"""Whose is an answer? From the accepted message to the timeline, in every spool (docs/spec/messages.md, Correlating)."""

import hashlib
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

import pytest

from bench.correlating import World, filer_of
from gateway.config.gateway_toml import LimitsConfig
from gateway.model import Enterprise, EnterpriseId, Envelope, Message
from gateway.receipts.filing import ReceiptFiler
from gateway.receipts.rematching import Rematching
from gateway.rules.catalogue import load_catalogue
from gateway.rules.loading import RULES
from gateway.samples.compose import compose
from gateway.submission.new_messages import new_message_id, new_message_of
from gateway.submission.pipeline import examine
from gateway.xml.envelope import wrap, wrap_response
from spool.entry import Accepted, Collected, Orphan
from spool.store import Spool
from tests.documents import COP_CODE, DXP_ID, document, element, inventory, order, receipt, tax
from tests.shipped_rules import shipped
from tests.spool_samples import settled
from tests.unit.test_new_messages import config

RULES_NOW = shipped()
OTHER_DXP_ID = "DXPENT0000000002"
PRE_NO, INVT_NO = "B20250102000000001", "51002025I000000001"
CATALOGUE = load_catalogue(RULES / "mappings" / "catalogue.toml")


def enterprise(name: str = "one", *dxp_ids: str) -> Enterprise:
    return Enterprise(
        id=EnterpriseId(name),
        name=name,
        cop_codes=frozenset({COP_CODE}),
        dxp_ids=frozenset(dxp_ids or {DXP_ID}),
        token_sha256=("0" * 64,),
    )


ONE = enterprise()


@pytest.fixture
def filer(spool: Spool) -> ReceiptFiler:
    return filer_of(spool, RULES_NOW)


def accept(spool: Spool, body: bytes, caller: Enterprise = ONE, *, send: bool = True) -> str:
    message = examine(body, caller, RULES_NOW, LimitsConfig())
    assert isinstance(message, Message), message
    new = new_message_of(message, caller, uid=new_message_id(datetime.now(UTC)), config=config())
    assert spool.put([new]) == [Accepted(uid=new.uid)]
    if send:
        spool.settle(settled(spool.claim("one", "customs", limit=9, lease_s=60)))
    return new.uid


def collect(spool: Spool, filer: ReceiptFiler, *bodies: bytes) -> None:
    """Let these come in one batch."""
    spool.keep(
        [
            Collected(feed="customs", name=f"{place}", body=body, sha256=hashlib.sha256(body).digest())
            for place, body in enumerate(bodies)
        ]
    )
    filer.file_waiting()


def addressed(business: bytes, receiver: str = DXP_ID) -> bytes:
    envelope = Envelope(
        cop_msg_id=hashlib.sha256(business).hexdigest(),
        sender_id="DXPEDCCEB0000002",
        receiver_ids=(receiver,),
        creat_time="2025-01-02T12:05:06",
    )
    return wrap(business, envelope)


def told(spool: Spool, owner: str = "one", text: str = "CEB621Message copNo=COP-1") -> list[tuple[str, str]]:
    return [(row.kind, row.status) for row in spool.timeline(owner, text)]


SAVED = receipt("CEB622Message", {"copNo": "COP-1", "preNo": PRE_NO})
RELEASED = receipt(
    "CEB622Message",
    {
        "copNo": "COP-1",
        "preNo": PRE_NO,
        "invtNo": INVT_NO,
        "returnStatus": "800",
        "returnTime": "20250102030406000",
    },
)
BILL = tax(returnTime="20250102030407000")
BILL_STATUS = tax("CEB818Message", returnTime="20250102030408000", status="2")
WHOLE = [("CEB622Message", "2"), ("CEB622Message", "800"), ("CEB816Message", "1"), ("CEB818Message", "2")]


@pytest.mark.parametrize("kind", [one.name for one in CATALOGUE.declarations()])
def test_every_type_of_declaration_is_found_by_the_key_its_receipt_repeats(
    spool: Spool, filer: ReceiptFiler, kind: str
) -> None:
    rng = random.Random(4)
    keys: list[Mapping[str, str]] = []
    for _ in range(2):
        made = compose(kind, cop_code=COP_CODE, dxp_id=DXP_ID, rng=rng)
        accept(spool, made.body)
        keys += made.keys
    answers = CATALOGUE.types[kind].answered_by[0]

    collect(spool, filer, receipt(answers, keys[1]))

    names = [_named(kind, key) for key in keys]
    assert [told(spool, "one", name) for name in names] == [[], [(answers, "2")]]
    assert spool.orphans() == []


@pytest.mark.parametrize("places", [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]])
@pytest.mark.parametrize("together", [True, False])
def test_bills_find_the_declaration_by_a_number_that_another_answer_teaches(
    spool: Spool, filer: ReceiptFiler, places: list[int], together: bool
) -> None:
    accept(spool, inventory("COP-1"))
    accept(spool, inventory("COP-2"))
    answers = [(SAVED, RELEASED, BILL, BILL_STATUS)[place] for place in places]

    for batch in [answers] if together else [[one] for one in answers]:
        collect(spool, filer, *batch)

    assert told(spool) == WHOLE
    assert told(spool, text="CEB621Message copNo=COP-2") == []
    assert spool.orphans() == []
    assert len(spool.notices("one", after=0, limit=99)) == 4


def test_what_a_batch_teaches_itself_never_was_an_orphan(spool: Spool, filer: ReceiptFiler) -> None:
    accept(spool, inventory("COP-1"))
    collect(spool, filer, BILL, RELEASED)
    assert told(spool) == [("CEB622Message", "800"), ("CEB816Message", "1")]
    assert [one for one in spool.history("receipt 1") if "orphaned" in one.detail] == []


def test_summary_result_finds_its_application_by_the_sum_no_learned(
    spool: Spool, filer: ReceiptFiler
) -> None:
    made = compose("CEB701Message", cop_code=COP_CODE, dxp_id=DXP_ID, rng=random.Random(4))
    accept(spool, made.body)
    result = document(
        "CEB792Message",
        element("SummaryResult", element("SummaryResultHead", sumNo="S1", decState="1", opDate="20250103")),
    )
    collect(spool, filer, result)
    assert len(spool.orphans()) == 1

    collect(spool, filer, receipt("CEB702Message", {**made.keys[0], "preNo": "B1", "sumNo": "S1"}))

    assert [row.kind for row in spool.timeline("one", "CEB701Message sumNo=S1")] == [
        "CEB702Message",
        "CEB792Message",
    ]
    assert spool.orphans() == []


def test_an_answer_that_comes_before_the_send_was_confirmed_is_on_the_timeline(
    spool: Spool, filer: ReceiptFiler
) -> None:
    accept(spool, inventory("COP-1"), send=False)
    (claimed,) = spool.claim("one", "customs", limit=1, lease_s=60)
    collect(spool, filer, SAVED)
    spool.settle(settled([claimed]))
    assert told(spool) == [("CEB622Message", "2")]


def test_answers_of_another_edition_and_with_strange_elements_find_their_way(
    spool: Spool, filer: ReceiptFiler
) -> None:
    made = compose("CEB303Message", cop_code=COP_CODE, dxp_id=DXP_ID, rng=random.Random(4))
    accept(spool, made.body)
    older = receipt("CEB304Message", {**made.keys[0], "ofAnotherEdition": "x" * 80}, prefix=True)
    collect(spool, filer, older)
    assert [row.kind for row in spool.timeline("one", _named("CEB303Message", made.keys[0]))] == [
        "CEB304Message"
    ]


def _named(kind: str, key: Mapping[str, str]) -> str:
    return " ".join([kind, *(f"{name}={text}" for name, text in key.items())])


def test_a_body_that_is_doubled_is_one_answer(spool: Spool, filer: ReceiptFiler) -> None:
    accept(spool, inventory("COP-1"))
    body = {"guid": "G", "copNo": "COP-1", "preNo": PRE_NO}
    collect(spool, filer, receipt("CEB622Message", body, body), receipt("CEB622Message", body))
    assert told(spool) == [("CEB622Message", "2")]
    assert len(spool.notices("one", after=0, limit=9)) == 1


def test_a_doubled_body_that_is_an_orphan_is_resolved_whole(spool: Spool, filer: ReceiptFiler) -> None:
    body = {"guid": "G", "copNo": "COP-1", "preNo": PRE_NO}
    collect(spool, filer, receipt("CEB622Message", body, body))
    assert len(spool.orphans()) == 2
    accept(spool, inventory("COP-1"))
    assert Rematching(spool, filer).look() == 2
    assert told(spool) == [("CEB622Message", "2")]
    assert spool.orphans() == []


def test_a_key_declared_anew_changed_and_deleted_is_one_declaration(
    spool: Spool, filer: ReceiptFiler
) -> None:
    uids = []
    for app_type, second in (("1", "01"), ("2", "02"), ("3", "03")):
        body = inventory("COP-1", app_type=app_type, app_time=f"202501020304{second}")
        uids.append(accept(spool, body))
        collect(spool, filer, receipt("CEB622Message", {"copNo": "COP-1", "preNo": PRE_NO, "guid": app_type}))
    assert len(told(spool)) == 3
    assert [one.uid for one in spool.about("one", "CEB621Message copNo=COP-1", limit=9)] == uids[::-1]


def test_two_enterprises_with_one_key_are_told_apart_by_the_address(
    spool: Spool, filer: ReceiptFiler
) -> None:
    accept(spool, inventory("COP-1"))
    accept(spool, inventory("COP-1", dxp_id=OTHER_DXP_ID), enterprise("two", OTHER_DXP_ID))

    collect(spool, filer, addressed(RELEASED, OTHER_DXP_ID), addressed(SAVED, DXP_ID))

    assert told(spool, "one") == [("CEB622Message", "2")]
    assert told(spool, "two") == [("CEB622Message", "800")]


def test_between_two_enterprises_at_one_address_nobody_gets_it_until_somebody_decides(
    spool: Spool, filer: ReceiptFiler
) -> None:
    accept(spool, inventory("COP-1"))
    accept(spool, inventory("COP-1"), enterprise("two"))
    collect(spool, filer, addressed(RELEASED), addressed(BILL))
    rematching = Rematching(spool, filer)
    assert rematching.look() == 0
    assert [one.reason for one in spool.orphans()] == ["ambiguous", "unknown"]

    (first, _) = spool.orphans()
    assert filer.rematch([first], only="stranger") == 0
    assert filer.rematch([first], only="two") == 2  # the bill waited for what that teaches

    assert told(spool, "one") == []
    assert told(spool, "two") == [("CEB622Message", "800"), ("CEB816Message", "1")]
    (line,) = [one for one in spool.history(hashlib.sha256(RELEASED).hexdigest()) if "by hand" in one.detail]
    assert '"owner":"two"' in line.detail


def test_by_hand_nobody_gets_what_contradicts_the_declaration(spool: Spool, filer: ReceiptFiler) -> None:
    accept(spool, inventory("COP-1"))
    collect(spool, filer, receipt("CEB622Message", {"copNo": "COP-1", "agentCode": "4499999999"}))
    assert filer.rematch(spool.orphans(), only="one") == 0
    assert len(spool.orphans()) == 1


def test_a_declaration_accepted_after_its_answers_came_gets_them_by_itself(
    spool: Spool, filer: ReceiptFiler
) -> None:
    collect(spool, filer, BILL_STATUS, SAVED)
    collect(spool, filer, BILL, RELEASED)
    rematching = Rematching(spool, filer)
    assert rematching.look() == 0
    assert len(spool.orphans()) == 4

    accept(spool, inventory("COP-1"))

    assert rematching.look() == 4
    assert told(spool) == WHOLE
    assert spool.orphans() == []


def test_an_orphan_is_not_opened_again_before_something_more_points_at(
    spool: Spool, filer: ReceiptFiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(spool, inventory("COP-1"))
    accept(spool, inventory("COP-1"), enterprise("two"))
    collect(spool, filer, addressed(SAVED))
    rematching = Rematching(spool, filer)
    tried: list[int] = []
    real = filer.rematch

    def counted(orphans: Sequence[Orphan]) -> int:
        tried.append(len(orphans))
        return real(orphans)

    monkeypatch.setattr(filer, "rematch", counted)

    for _ in range(3):
        rematching.look()
    assert tried == [1]
    accept(spool, inventory("COP-1", dxp_id=OTHER_DXP_ID), enterprise("three", OTHER_DXP_ID))
    rematching.look()
    assert tried == [1, 1]


def test_a_transport_answer_that_comes_before_its_message_waits_for_it(
    spool: Spool, filer: ReceiptFiler
) -> None:
    envelope = Envelope(
        cop_msg_id="MY-OWN-ID-1",
        sender_id=DXP_ID,
        receiver_ids=("DXPEDCCEB0000002",),
        creat_time="2025-01-02T12:05:06",
        msg_type="CEB311Message",
    )
    response = wrap_response(
        receiver_id=DXP_ID,
        code="2001",
        info="no such receiver",
        original=envelope,
        notice_date=date(2025, 1, 2),
    )
    collect(spool, filer, response)
    assert len(spool.orphans(texts=["MY-OWN-ID-1"])) == 1

    accept(spool, wrap(order("ORDER-1"), envelope))

    assert Rematching(spool, filer).look() == 1
    name = "CEB311Message ebpCode=4400000002 ebcCode=4400000003 orderNo=ORDER-1"
    assert told(spool, "one", name) == [("DxpRep", "2001")]


def test_thousands_of_shuffled_answers_each_find_their_declaration(spool: Spool) -> None:
    result = World(receipts=5_000, enterprises=20).run(spool)
    assert (result.receipts, result.wrong, result.left, result.strangers) == (4_960, 0, 0, 0)
    assert result.orphans == result.rematched > 0
