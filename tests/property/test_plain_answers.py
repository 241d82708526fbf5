"""Read with a tree or without: the same answers, the same digests, the same refusals."""

import random
import re
from functools import cache

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import EnvelopeError
from gateway.model import Envelope, Opened
from gateway.receipts.opened import open_by_tree, open_collected
from gateway.receipts.plain_answers import read_document, read_envelope
from gateway.rules.catalogue import Catalogue
from gateway.xml.envelope import TransferHead, wrap, wrap_transfer
from tests.documents import CEB, HEAD, RETURNS
from tests.shipped_rules import shipped

ENVELOPE = Envelope(
    cop_msg_id="0A1B2C3D-0000-4000-8000-000000000001",
    sender_id="DXPEDCCEB0000002",
    receiver_ids=("DXPENT0000000001", "DXPENT0000000002"),
    creat_time="2025-01-02T12:05:06",
    msg_type="CEB622Message",
)
TRANSFER = TransferHead(
    msg_id="1" * 32, sub_msg_id="1", send_time="2025-01-02T12:05:06", end_node="2", sta_node="3"
)
NAMES = ("guid", "agentCode", "copNo", "preNo", "invtNo", "returnStatus", "returnTime", "returnInfo")
ODD_NAMES = ("oriBizMessage", "oriCopMsgId", "Signature", "BaseTransfer", "a-b", "甲", "_x", "xmlns")
TEXTS = st.one_of(
    st.sampled_from(
        ["", "2", "20250102030405678", "清单新增申报成功[电商企业编码：1]", " padded\n", "\u3000"]
    ),
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="<&>\r"),
        max_size=12,
    ),
)
PIECES = (
    "<!-- -->", "<![CDATA[x]]>", "&amp;", "&#10;", "&lt;", "<?x y?>", "\r", "\0", "\x0b", "\ufffe", "\uffff", ">", "<",
    "</", "/>", "]]>", '"', "'", " ", "\n", "\t", "xmlns=''", ' a="b"', ' guid="x"', ' xmlns:p="u:v"', "p:", "<a/>",
    "<a>b</a>", "\ufeff", "=", "==", "===", "A", "&", "0", "é", "\u2028", '<?xml version="1.0"?>', "Message",
)  # fmt: skip


HEADS = {"CEB816Message": "TaxHeadRd", "CEB818Message": "TaxHeadStatus", "CEB792Message": "SummaryResultHead"}
LISTS = ("TaxListRd", "SummaryResultList", "invtNo", "guid")
"""Names of rows; the last two are names of leaves too."""


@cache
def catalogue() -> Catalogue:
    return shipped().catalogue


@st.composite
def documents(draw: st.DrawFn) -> str:
    """A receipt as it comes, or nearly so."""
    kind = draw(st.sampled_from([*RETURNS, "CEB998Message", "CEB621Message", "CEB816Message", "CEB312"]))
    blank = draw(st.sampled_from(["", "\n    ", "\t", " "]))
    given_names = st.sampled_from(NAMES if draw(st.integers(0, 4)) else NAMES + ODD_NAMES)
    bodies = ""
    for _ in range(draw(st.integers(0, 3))):
        leaves = draw(st.lists(st.tuples(given_names, TEXTS), max_size=6))
        inner = "".join(f"{blank}<{name}>{text}</{name}>" for name, text in leaves)
        name = draw(
            st.sampled_from([RETURNS.get(kind, "Tax"), "Tax"] if draw(st.booleans()) else [*ODD_NAMES])
        )
        bodies += f"{blank}<{name}>{inner}{blank}</{name}>"
    attributes = [f'xmlns="{CEB}"', 'guid="G-1"', 'version="1.0"']
    if draw(st.booleans()):
        attributes = draw(st.permutations(attributes))
    declaration = draw(
        st.sampled_from([HEAD, HEAD.strip(), "", '<?xml version="1.0" encoding="utf-8" standalone="yes"?>'])
    )
    return f"{declaration}<{kind} {' '.join(attributes)}>{bodies}{blank}</{kind}>{blank}"


@st.composite
def nested_documents(draw: st.DrawFn) -> str:
    """A tax bill or a summary result, or nearly so: heads, lists, leaves beside them, sometimes a level too many."""
    kind = draw(st.sampled_from([*HEADS, "CEB622Message"]))
    blank = draw(st.sampled_from(["", "\n    ", "\t"]))
    leaves = st.lists(st.tuples(st.sampled_from((*NAMES, "taxNo", "sumNo", "gnum")), TEXTS), max_size=4)

    def row(name: str) -> str:
        inner = "".join(f"{blank}<{leaf}>{text}</{leaf}>" for leaf, text in draw(leaves))
        if draw(st.integers(0, 9)) == 0:
            inner += f"<{name}>{inner}</{name}>"
        return f"{blank}<{name}>{inner}{blank}</{name}>"

    bodies = ""
    for _ in range(draw(st.integers(0, 3))):
        names = draw(st.lists(st.sampled_from((HEADS.get(kind, "Head"), *LISTS)), max_size=4))
        bodies += f"{blank}<Tax>{''.join(map(row, names))}{blank}</Tax>"
    return f'{HEAD}<{kind} xmlns="{CEB}" guid="G-1" version="1.0">{bodies}{blank}</{kind}>'


@st.composite
def mutated(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> str:
    """One of these with something put in, taken out or doubled somewhere."""
    text = draw(texts)
    for _ in range(draw(st.integers(0, 2))):
        places = [found.start() for found in re.finditer(r"(?=[<>/=\" ])|$|\b", text)]
        at, end = sorted(draw(st.tuples(st.sampled_from(places), st.sampled_from(places))))
        piece = draw(st.sampled_from(["", text[at:end], *PIECES]))
        text = text[:at] + piece + text[at if draw(st.booleans()) else min(end, at + 8) :]
    return text


def outcome(read: object, raw: bytes) -> Opened | str:
    try:
        return read(raw, catalogue())  # type: ignore[operator, no-any-return]
    except EnvelopeError as error:
        return str(error)


def same(raw: bytes) -> None:
    assert outcome(open_collected, raw) == outcome(open_by_tree, raw.removeprefix(b"\0"))


@given(mutated(documents()))
@example(f'{HEAD}<CEB622Message xmlns="{CEB}" guid="" version=""><Tax>x</Tax></CEB622Message>')
@example(f'{HEAD}<CEB622Message xmlns="{CEB}" guid="" version=""></CEB622Message><a/>')
@example(f'{HEAD}<CEB622Message xmlns="{CEB.replace(".", "-")}" guid="" version=""><A></A></CEB622Message>')
def test_a_document_is_read_the_same_with_a_tree_and_without(text: str) -> None:
    same(text.encode())


@given(mutated(nested_documents()))
@example(
    f'{HEAD}<CEB816Message xmlns="{CEB}" guid="" version=""><Tax><a><a>x</a></a><a>y</a></Tax></CEB816Message>'
)
@example(f'{HEAD}<CEB816Message xmlns="{CEB}" guid="" version=""><Tax><a>x<b>y</b></a></Tax></CEB816Message>')
def test_heads_and_lists_are_read_the_same_with_a_tree_and_without(text: str) -> None:
    same(text.encode())


@given(documents(), st.booleans(), st.data())
def test_an_envelope_is_read_the_same_with_a_tree_and_without(
    text: str, transfer: bool, data: st.DataObject
) -> None:
    sealed = wrap(text.encode(), ENVELOPE, file_name=data.draw(st.sampled_from(["", "a.xml"])))
    if transfer:
        sealed = wrap_transfer(sealed, TRANSFER)
    if data.draw(st.booleans()):
        sealed = sealed.replace(b"><", b">\n\t<")
    same(data.draw(mutated(st.just(sealed.decode()))).encode())


@given(st.binary(max_size=8), st.integers(0, 2**32))
def test_bytes_that_are_changed_anywhere_are_read_the_same(piece: bytes, seed: int) -> None:
    chance = random.Random(seed)
    raw = wrap(
        f'{HEAD}<CEB622Message xmlns="{CEB}" guid="" version=""><InventoryReturn><copNo>甲</copNo>'
        "</InventoryReturn></CEB622Message>".encode(),
        ENVELOPE,
    )
    at = chance.randrange(len(raw))
    same(raw[:at] + piece + raw[at + chance.randrange(3) :])


@pytest.mark.parametrize(
    "attributes", ['guid="1" version="1.0" X', 'X guid="1" version="1.0"', 'X  version="1.0" guid="1"']
)
def test_what_comes_every_day_needs_no_tree(attributes: str) -> None:
    own = attributes.replace("X", f'xmlns="{CEB}"')
    text = f"{HEAD}<CEB622Message {own}><InventoryReturn>\n\t<copNo>甲</copNo></InventoryReturn></CEB622Message>\n"
    document = read_document(text.encode())
    assert document is not None
    assert document.bodies[0].leaves == [("copNo", "甲")]
    for sealed in (wrap(text.encode(), ENVELOPE), wrap_transfer(wrap(text.encode(), ENVELOPE), TRANSFER)):
        assert read_envelope(sealed) == (ENVELOPE, text.encode())
        assert read_envelope(sealed.replace(b"><", b">\n  <")) == (ENVELOPE, text.encode())


def test_a_tax_bill_needs_no_tree() -> None:
    text = (
        f'{HEAD}<CEB816Message xmlns="{CEB}" guid="" version="">\n<Tax>\n <TaxHeadRd><invtNo>I1</invtNo>'
        "<status>1</status></TaxHeadRd>\n <TaxListRd><gnum>1</gnum></TaxListRd><TaxListRd><gnum>2</gnum></TaxListRd>"
        "</Tax>\n</CEB816Message>"
    ).encode()
    assert read_document(text) is not None
    (answer,) = open_collected(text, catalogue()).answers
    assert answer.fields == {
        "invtNo": "I1",
        "status": "1",
        "TaxListRd[1]/gnum": "1",
        "TaxListRd[2]/gnum": "2",
    }
    assert (answer.status, answer.numbers) == ("1", {"invtNo": "I1"})
    same(text)
