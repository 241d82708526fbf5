"""The last node on a way: mail to our own enterprises, an answer for nobody's, silence to answers."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from gateway.config.local_receivers import LocalReceivers, local_receivers_of
from gateway.model import DXP_REP, NODE_ITSELF, Enterprise, EnterpriseId, Envelope
from gateway.receipts.filing import ReceiptFiler
from gateway.receipts.opened import open_collected
from gateway.receipts.rematching import Rematching
from gateway.receipts.transfer import Transfer
from gateway.rules.loading import Rules
from gateway.sending.envelope_builder import EnvelopeBuilder
from gateway.xml.envelope import TransferHead, wrap, wrap_response, wrap_transfer
from spool.entry import Collected, Notice, Wanted
from spool.lifecycle import State
from spool.sqlite import SqliteSpool
from tests.documents import order, receipt
from tests.shipped_rules import shipped
from tests.spool_samples import Clock
from tests.unit.test_new_messages import config, destination

NODE = "DXPNODE000000001"
"""The DXP id of the node in the configuration of the tests."""
BOB, CAROL, SHARED, NOBODYS = "DXPENT0000000002", "DXPENT0000000003", "DXPENT0000000004", "DXPENT0000000099"
SENDER = "DXPENT0000000077"
HEAD = TransferHead(
    msg_id="46000002202501021205060000000001",
    sub_msg_id="",
    send_time="2025-01-02T12:05:06",
    end_node="00000000",
    sta_node="46000002",
)


def enterprise(name: str, *dxp_ids: str) -> Enterprise:
    return Enterprise(
        id=EnterpriseId(name),
        name=name,
        cop_codes=frozenset({"4400000002"}),
        dxp_ids=frozenset(dxp_ids),
        token_sha256=("0" * 64,),
    )


HOMES = local_receivers_of([enterprise("bob", BOB, SHARED), enterprise("carol", CAROL, SHARED)])
CONFIG = config(
    msgspec.structs.replace(destination("peer", "import"), envelope="DxpMsgSv", leading_zero=True),
    destination("customs", "import", "export"),
)


def letter(*receivers: str, business: bytes = b"", sender: str = SENDER, creat_time: str = "") -> bytes:
    head = Envelope(
        cop_msg_id="THEIR-ID-1",
        sender_id=sender,
        receiver_ids=receivers,
        creat_time=creat_time or "2025-01-02T12:05:06",
        msg_type="CEB311Message",
    )
    return wrap(business or order(), head)


def in_transfer(dxp_msg: bytes, sub_msg_id: str = "") -> bytes:
    head = TransferHead(
        msg_id=HEAD.msg_id,
        sub_msg_id=sub_msg_id,
        send_time=HEAD.send_time,
        end_node=HEAD.end_node,
        sta_node=HEAD.sta_node,
    )
    return wrap_transfer(dxp_msg, head)


@pytest.fixture(scope="module")
def rules() -> Rules:
    return shipped()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[SqliteSpool]:
    opened = SqliteSpool(tmp_path / "state", Clock())
    yield opened
    opened.close()


Collect = Callable[..., list[Notice]]


@pytest.fixture
def collect(spool: SqliteSpool, rules: Rules) -> Collect:
    """Let a link bring something; what bob and carol hear of it."""

    def bring(body: bytes, *, feed: str = "peer", local_receivers: LocalReceivers = HOMES) -> list[Notice]:
        spool.keep([Collected(feed=feed, name="1.xml", body=body, sha256=hashlib.sha256(body).digest())])
        ReceiptFiler(
            spool=spool,
            rules=rules,
            config=CONFIG,
            transfer=Transfer(local_receivers=local_receivers, config=CONFIG),
        ).file_waiting()
        return [one for owner in ("bob", "carol") for one in spool.notices(owner, after=0, limit=10)]

    return bring


def responses(spool: SqliteSpool) -> list[bytes]:
    """What is on its way back to the peer."""
    claimed = spool.claim("test", "peer", limit=10, lease_s=60)
    made = [EnvelopeBuilder(CONFIG.destination[0], CONFIG).prepare(one, {}).parcel.body for one in claimed]
    assert all(one.owner == NODE_ITSELF and one.kind == DXP_REP for one in claimed)
    return [body.removeprefix(b"\0") for body in made]


@pytest.mark.parametrize("feed", ["peer", "customs"])
@pytest.mark.parametrize("wrap", [bytes, in_transfer, lambda body: b"\0" + body])
def test_business_message_for_an_enterprise_of_ours_is_put_in_its_stream(
    feed: str, wrap: Callable[[bytes], bytes], spool: SqliteSpool, collect: Collect
) -> None:
    (notice,) = collect(wrap(letter(BOB)), feed=feed)
    assert (notice.kind, notice.rows) == ("CEB311Message", ())
    assert spool.addressed("bob", notice.arrival)
    assert spool.orphans() == []
    assert responses(spool) == []


def test_what_is_inside_does_not_matter_to_whoever_passes_it_on(spool: SqliteSpool, collect: Collect) -> None:
    (notice,) = collect(letter(BOB, business=b"<DECMSG>another line of business</DECMSG>"))
    assert notice.kind == "CEB311Message", "as the envelope says"
    assert spool.orphans() == []


def test_same_message_again_is_heard_of_once(collect: Collect) -> None:
    for _ in range(2):
        assert len(collect(letter(BOB, CAROL))) == 2


def test_receiver_nobody_knows_is_answered_over_the_link_it_came_from_once(
    spool: SqliteSpool, collect: Collect, rules: Rules
) -> None:
    for feed in ("peer", "customs"):
        assert collect(in_transfer(letter(NOBODYS)), feed=feed) == []
    (body,) = responses(spool)
    opened = open_collected(body, rules.catalogue)
    (answer,) = opened.answers
    assert (answer.status, answer.cop_msg_id) == ("2001", "THEIR-ID-1")
    assert answer.fields["Results[1]/Result[1]/RecId"] == NOBODYS
    assert f"<RecevierId>{SENDER}</RecevierId>".encode() in body
    assert spool.orphans() == []
    assert "answered: no receiver" in next(iter(spool.history("THEIR-ID-1"))).detail


def test_while_somebody_is_left_out_nobody_is_told_that_there_is_no_such_receiver_and_the_mail_waits(
    spool: SqliteSpool, collect: Collect, rules: Rules
) -> None:
    """It may be the one whose file cannot be read."""
    known = local_receivers_of([enterprise("carol", CAROL)])
    assert collect(in_transfer(letter(BOB)), local_receivers=replace(known, incomplete=True)) == []
    (orphan,) = spool.orphans()
    assert responses(spool) == []

    mended = ReceiptFiler(
        spool=spool, rules=rules, config=CONFIG, transfer=Transfer(local_receivers=HOMES, config=CONFIG)
    )
    assert Rematching(spool, mended).look_at_mail() == 1
    assert [one.arrival for one in spool.notices("bob", after=0, limit=10)] == [orphan.arrival]
    assert spool.orphans() == []


def test_answer_is_not_written_again_when_the_crash_came_before_the_filing(
    spool: SqliteSpool, rules: Rules
) -> None:
    body = letter(NOBODYS)
    spool.keep([Collected(feed="peer", name="1", body=body, sha256=hashlib.sha256(body).digest())])
    (raw,) = spool.unfiled(1)
    transfer = Transfer(local_receivers=HOMES, config=CONFIG)
    transfer.answer(raw, transfer.passage(raw, ""), spool)
    ReceiptFiler(spool=spool, rules=rules, config=CONFIG, transfer=transfer).file_waiting()
    assert len(responses(spool)) == 1


def test_known_and_unknown_receivers_each_have_their_fate(
    spool: SqliteSpool, collect: Collect, rules: Rules
) -> None:
    (notice,) = collect(letter(BOB, NOBODYS, "DXPENT0000000098"))
    assert spool.addressed("bob", notice.arrival)
    (body,) = responses(spool)
    (answer,) = open_collected(body, rules.catalogue).answers
    assert [value for name, value in answer.fields.items() if name.endswith("RecId")] == [
        NOBODYS,
        "DXPENT0000000098",
    ]


def test_in_a_copy_of_a_divided_message_the_others_are_somebody_elses(
    spool: SqliteSpool, collect: Collect
) -> None:
    assert len(collect(in_transfer(letter(BOB, NOBODYS), sub_msg_id="1"))) == 1
    assert responses(spool) == []


def test_answers_are_never_answered(spool: SqliteSpool, collect: Collect) -> None:
    original = Envelope(
        cop_msg_id="C", sender_id=SENDER, receiver_ids=("X",), creat_time="2025-01-02T12:05:06"
    )
    rep = wrap_response(
        receiver_id=NOBODYS, code="2001", info="", original=original, notice_date=Clock().now.date()
    )
    empty = b'<DxpRep xmlns="http://www.chinaport.gov.cn/dxp" ver="1.0"/>'
    answers = receipt("CEB312Message", {"orderNo": "O-1", "returnStatus": "2"}), receipt("CEB312Message")
    for body in (rep, empty, *(letter(NOBODYS, business=one) for one in (rep, empty, *answers))):
        assert collect(body) == []
    assert responses(spool) == []
    assert len(spool.orphans()) == 6


def test_receipt_is_no_mail_though_its_envelope_names_an_enterprise(
    spool: SqliteSpool, collect: Collect
) -> None:
    assert (
        collect(letter(BOB, business=receipt("CEB312Message", {"orderNo": "O-1", "returnStatus": "2"}))) == []
    )
    assert [one.reason for one in spool.orphans()] == ["unknown"]


def test_link_on_which_we_are_a_terminal_is_not_answered(spool: SqliteSpool, collect: Collect) -> None:
    assert collect(letter(NOBODYS), feed="customs") == []
    (orphan,) = spool.orphans()
    assert "for no enterprise of ours" in orphan.reason
    assert spool.depths() == []


def test_our_own_node_is_known_and_has_no_stream(spool: SqliteSpool, collect: Collect) -> None:
    assert collect(letter(NODE)) == []
    assert len(spool.orphans()) == 1
    assert responses(spool) == []


def test_sender_that_cannot_be_answered_leaves_an_orphan_that_says_so(
    spool: SqliteSpool, collect: Collect
) -> None:
    body = letter(NOBODYS).replace(SENDER.encode(), b"")
    assert collect(body) == []
    (orphan,) = spool.orphans()
    assert "cannot be answered" in orphan.reason
    assert responses(spool) == []


def test_id_that_two_enterprises_share_is_nobodys_mail_until_one_of_them_has_it_alone(
    spool: SqliteSpool, collect: Collect, rules: Rules
) -> None:
    assert collect(letter(SHARED)) == []
    (orphan,) = spool.orphans()
    assert "several enterprises" in orphan.reason
    assert responses(spool) == []

    settled = local_receivers_of([enterprise("bob", BOB), enterprise("carol", CAROL, SHARED)])
    filer = ReceiptFiler(
        spool=spool, rules=rules, config=CONFIG, transfer=Transfer(local_receivers=settled, config=CONFIG)
    )
    assert filer.rematch(spool.orphans()) == 1
    assert len(spool.notices("carol", after=0, limit=10)) == 1
    assert spool.orphans() == []


def test_answered_entry_belongs_to_the_node_itself(spool: SqliteSpool, collect: Collect) -> None:
    collect(letter(NOBODYS))
    (view,) = spool.entries(Wanted(states=(State.READY,)))
    assert (view.owner, view.kind, view.destination) == (NODE_ITSELF, DXP_REP, "peer")
