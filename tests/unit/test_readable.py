"""Answers in odd forms: what can be read is read as if it were in order, what cannot is an orphan and never mail."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config.local_receivers import local_receivers_of
from gateway.errors import EnvelopeError
from gateway.model import Enterprise, EnterpriseId, Envelope
from gateway.receipts.content import content_for
from gateway.receipts.filing import ReceiptFiler
from gateway.receipts.opened import cut_to, open_collected
from gateway.receipts.rematching import Rematching
from gateway.receipts.transfer import Transfer
from gateway.rules.catalogue import Catalogue
from gateway.rules.loading import Rules
from gateway.xml.envelope import wrap
from gateway.xml.readable import as_utf8
from spool.entry import Collected
from spool.sqlite import SqliteSpool
from tests.documents import order, receipt
from tests.shipped_rules import shipped
from tests.spool_samples import Clock
from tests.unit.test_new_messages import config, destination

DXP_ID = "DXPENT0000000002"
INFO = "示例镕兴"
"""With a character that GBK has and GB2312 has not."""
MARK = "\ufeff"
UTF8 = MARK.encode()
LABELS = {
    "utf-8": ("UTF-8", "UTF8", "utf8", "utf-16", "UTF-16LE"),
    "gb18030": ("GB18030", "GBK", "gbk", "gb2312", "GB2312", "cp936"),
    "utf-16-le": ("UTF-16", "UTF-8", "utf-16le", "GBK"),
    "utf-16-be": ("UTF-16", "UTF-8", "utf-16be", "GBK"),
}
ENDS = {
    "nothing": ("", ""),
    "white space": (" \r\n\t", "\r\n \t"),
    "NUL": ("", "\0"),
    "NULs and white space": ("", "\n\0\0\0"),
    "mark": (MARK, ""),
    "marks": (MARK * 3, ""),
    "mark, white space and mark": (f"{MARK} \n{MARK}", " "),
}


def texts(label: str) -> str:
    """Two bodies, so that one can be cut out."""
    bodies = [{"copNo": f"C{n}", "agentCode": "A", "returnInfo": f"{INFO}{n}"} for n in (1, 2)]
    return receipt("CEB622Message", *bodies).decode().replace('encoding="UTF-8"', f'encoding="{label}"')


def forms() -> Iterator[tuple[str, bytes]]:
    for codec, labels in LABELS.items():
        for label in labels:
            for name, (before, behind) in ENDS.items():
                if codec == "gb18030" and MARK in before:
                    continue  # GB18030's own mark is in use nowhere
                yield f"{label} in {codec}, {name}", f"{before}{texts(label)}{behind}".encode(codec)
    yield "no declaration", texts("x").partition("?>")[2].encode()
    yield "a NUL before", b"\0" + texts("UTF-8").encode()
    yield "half a character behind", texts("UTF-16").encode("utf-16-le") + b"\0"
    yield "GBK with the mark of UTF-8", UTF8 + texts("GBK").encode()


FORMS = dict(forms())
UNREADABLE = {
    "an ampersand": texts("UTF-8").replace(INFO, "A&B", 1).encode(),
    "bytes of another encoding": texts("UTF-8").encode("gb18030"),
    "a label that nobody knows": texts("x-nowhere").encode("gb18030"),
    "cut off": texts("UTF-8").encode()[:-20],
    "cut off in UTF-16": texts("UTF-16").encode("utf-16")[:-21],
    "nothing but NUL": b"\0" * 40,
    "a NUL inside": texts("UTF-8").replace(INFO, "\0", 1).encode(),
    "a document type": texts("UTF-8").replace("?>", "?><!DOCTYPE x>", 1).encode(),
}


@pytest.fixture(scope="module")
def rules() -> Rules:
    return shipped()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[SqliteSpool]:
    opened = SqliteSpool(tmp_path / "state", Clock())
    yield opened
    opened.close()


def in_envelope(business: bytes, message_type: str = "CEB622Message", cop_msg_id: str = "ID-1") -> bytes:
    head = Envelope(
        cop_msg_id=cop_msg_id,
        sender_id="DXPEDCCEB0000002",
        receiver_ids=(DXP_ID,),
        creat_time="2025-01-02T12:05:06",
        msg_type=message_type,
    )
    return wrap(business, head)


def filer(spool: SqliteSpool, rules: Rules) -> ReceiptFiler:
    bob = Enterprise(
        id=EnterpriseId("bob"), name="Bob", cop_codes=frozenset({"A"}), dxp_ids=frozenset({DXP_ID})
    )
    settings = config(destination("customs", "import"))
    return ReceiptFiler(
        spool=spool,
        rules=rules,
        config=settings,
        transfer=Transfer(local_receivers=local_receivers_of([bob]), config=settings),
    )


def bring(spool: SqliteSpool, rules: Rules, raw: bytes) -> None:
    spool.keep([Collected(feed="customs", name="1", body=raw, sha256=hashlib.sha256(raw).digest())])
    filer(spool, rules).file_waiting()


def plain_answers(catalogue: Catalogue) -> list[tuple[str, str]]:
    return [(one.digest, one.info) for one in open_collected(texts("UTF-8").encode(), catalogue).answers]


@pytest.mark.parametrize("form", FORMS)
def test_answer_in_an_odd_form_is_read_and_cut_as_one_that_is_in_order(rules: Rules, form: str) -> None:
    document = FORMS[form]
    wanted = plain_answers(rules.catalogue)
    opened = open_collected(in_envelope(document), rules.catalogue)
    assert opened.business == document, "as it came"
    assert [(one.digest, one.info) for one in opened.answers] == wanted
    assert cut_to(document, [0, 1]) is document
    for index in (0, 1):
        cut = cut_to(document, [index])
        (left,) = open_collected(cut, rules.catalogue).answers
        assert (left.digest, left.info) == wanted[index]
        assert f"C{2 - index}".encode() not in cut.replace(b"\0", b"")


@pytest.mark.parametrize("form", [form for form in FORMS if " in " in form])
def test_envelope_in_an_odd_form_is_opened_too(rules: Rules, form: str) -> None:
    _, _, where = form.partition(" in ")
    codec, _, end = where.partition(", ")
    before, behind = ENDS[end]
    sealed = in_envelope(order()).decode().replace("UTF-8", form.partition(" in ")[0])
    opened = open_collected(f"{before}{sealed}{behind}".encode(codec), rules.catalogue)
    assert (opened.business, opened.message_type) == (order(), "CEB311Message")


@pytest.mark.parametrize("form", UNREADABLE)
def test_answer_that_cannot_be_read_is_an_orphan_and_shown_as_unreadable_to_whom_it_is_addressed(
    spool: SqliteSpool, rules: Rules, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = in_envelope(UNREADABLE[form])
    with pytest.raises(EnvelopeError):
        open_collected(raw, rules.catalogue)
    bring(spool, rules, raw)
    (orphan,) = spool.orphans()
    assert "cannot be read" in orphan.reason
    (notice,) = spool.notices("bob", after=0, limit=10)
    assert (notice.kind, notice.rows) == ("unreadable", ())
    assert content_for("bob", notice.arrival, spool, rules.catalogue) == raw
    said = capsys.readouterr().out
    assert "receipt.orphaned" in said
    assert "message.delivered" not in said

    assert Rematching(spool, filer(spool, rules)).look_at_mail() == 0, "it does not become mail later"
    assert len(spool.orphans()) == 1
    assert len(spool.notices("bob", after=0, limit=10)) == 1


@pytest.mark.parametrize("message_type", ["CEB311Message", "", "ORDERS"])
def test_mail_whose_inside_cannot_be_read_is_delivered_as_mail(
    spool: SqliteSpool, rules: Rules, message_type: str
) -> None:
    bring(spool, rules, in_envelope(b"<a>another line of business & more", message_type))
    assert spool.orphans() == []
    assert len(spool.notices("bob", after=0, limit=10)) == 1


def test_answer_that_says_so_inside_alone_is_no_mail_either(spool: SqliteSpool, rules: Rules) -> None:
    bring(spool, rules, in_envelope(UNREADABLE["an ampersand"], "ORDERS"))
    (orphan,) = spool.orphans()
    assert "cannot be read" in orphan.reason


@pytest.mark.parametrize(
    ("document", "form"),
    [
        (b"", b""),
        (b"\0", b""),
        (b"<", b"<"),
        (b"<a/>", b"<a/>"),
        (b"\xff\xfe", b""),
        (b"\xff\xfe<", b"\xff\xfe<"),
        (b"<\0a\0\xd8", b"<\0a\0\xd8"),
    ],
)
def test_hardly_any_bytes_are_no_obstacle(document: bytes, form: bytes) -> None:
    assert as_utf8(document) == form
