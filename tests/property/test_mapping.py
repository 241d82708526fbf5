"""Translating is deterministic, valid sources become valid documents, and no source makes it fail."""

import csv
import io
import json
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cli.document_check import check_document
from gateway.config.gateway_toml import LimitsConfig
from gateway.errors import Refused
from gateway.mapping.sources.item import Reference
from gateway.mapping.sources.json_source import read_json
from gateway.mapping.translate import translate
from gateway.rules.schemas import View
from gateway.samples import values
from tests.unit.mapping_examples import example, mappings, shipped

LIMITS = LimitsConfig(depth=32, elements=20_000)
SENDER = {"code": "4400000001", "name": "示例企业", "dxp_id": "DXPENT0000000001"}
NAMES = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=60
).filter(lambda text: text.strip() == text and not set(text) & {"\ufffe", "\uffff"})
AMOUNTS = st.decimals(0, 10**9, places=3).map(str) | st.integers(0, 10**9)
TIMES = st.datetimes().map(
    lambda moment: moment.replace(year=max(1000, moment.year)).isoformat(timespec="seconds")
)
AMOUNT_NAMES = ("goods", "freight", "discount", "tax", "paid")


@st.composite
def orders(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "sender": SENDER,
        "platform": {"code": draw(NAMES)[:18], "name": draw(NAMES)},
        "shop": {"code": "4400000003", "name": draw(NAMES)},
        "orders": draw(
            st.lists(order(), min_size=1, max_size=4, unique_by=lambda one: one["order_no"].strip())
        ),
    }


@st.composite
def order(draw: st.DrawFn) -> dict[str, Any]:
    person = values.person(Random(draw(st.integers(0, 10**6))))
    return {
        "order_no": draw(NAMES),
        "declared_at": draw(TIMES),
        "action": draw(st.sampled_from(["new", "change", "delete", None, ""])),
        "amounts": {name: draw(AMOUNTS) for name in AMOUNT_NAMES},
        "buyer": {"account": draw(NAMES), "name": person["buyerName"], "phone": "1", "id_number": "990101"},
        "delivery": {"name": draw(NAMES), "phone": "13", "street": draw(NAMES), "district": draw(st.sampled_from([None, "990102"]))},
        "lines": draw(st.lists(line(), min_size=1, max_size=4)),
    }  # fmt: skip


@st.composite
def line(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "name": draw(NAMES), "model": draw(NAMES), "unit": draw(st.from_regex(r"[0-9]{3}", fullmatch=True)),
        "quantity": draw(AMOUNTS), "price": draw(AMOUNTS), "total": draw(AMOUNTS), "origin": "601",
        "sku": draw(st.none() | st.text("abc", max_size=30)),
    }  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(source=orders())
def test_every_order_that_is_whole_becomes_a_valid_message(source: dict[str, Any]) -> None:
    body = json.dumps(source, ensure_ascii=False).encode()
    done = translate(body, mappings()["orders"], LIMITS)
    assert done.faults == ()
    assert check_document(done.document, shipped(), View.DECLARED).faults == ()
    assert translate(body, mappings()["orders"], LIMITS).document == done.document
    assert done.recorded()[0] == done.document, "tracing changes nothing"


@settings(max_examples=100, deadline=None)
@given(
    heads=st.lists(
        st.tuples(NAMES, st.integers(1, 3)), min_size=1, max_size=4, unique_by=lambda head: head[0][:20]
    ),
    seed=st.integers(0, 10**6),
    charset=st.sampled_from(["utf-8", "gb18030"]),
)
def test_every_table_that_is_whole_becomes_a_valid_message(
    heads: list[tuple[str, int]], seed: int, charset: str
) -> None:
    (template, *_) = list(csv.DictReader(io.StringIO(example("inventories").decode())))
    rows = [
        template | {"cop_no": name[:20], "buyer_name": name, "quantity": str(n + 1)}
        for name, count in heads
        for n in range(count)
    ]
    Random(seed).shuffle(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(template))
    writer.writeheader()
    writer.writerows(rows)
    done = translate(text.getvalue().encode(charset), mappings()["inventories"], LIMITS, charset=charset)
    assert done.faults == ()
    assert check_document(done.document, shipped(), View.DECLARED).faults == ()
    assert done.document.count(b"<ceb:Inventory>") == len(heads)


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """The example with something else in some places."""
    source = json.loads(example(draw(st.sampled_from(["orders", "payments"]))))
    for _ in range(draw(st.integers(1, 4))):
        holder: Any = source
        while isinstance(holder, dict | list) and holder:
            key = draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
            if not isinstance(holder[key], dict | list) or not holder[key] or draw(st.booleans()):
                holder[key] = draw(anything)
                break
            holder = holder[key]
    return json.dumps(source, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


@settings(max_examples=400, deadline=None)
@given(
    body=spoiled()
    | anything.map(json.dumps).map(str.encode)
    | st.binary(max_size=60)
    | st.text('{}[]",:1e-.\\u \n', max_size=40).map(str.encode)
)
def test_no_json_makes_translating_fail(body: bytes) -> None:
    for name in ("orders", "payments"):
        unharmed(body, name)


@settings(max_examples=300, deadline=None)
@given(
    start=st.integers(0, 2000), length=st.integers(0, 60), put=st.text('",;\n\rx\x00\ud800 1', max_size=12),
    charset=st.sampled_from(["", "utf-8", "gb18030", "big5", "\x00"]),
)  # fmt: skip
def test_no_csv_makes_translating_fail(start: int, length: int, put: str, charset: str) -> None:
    text = example("inventories").decode()
    body = (text[:start] + put + text[start + length :]).encode("utf-8", "surrogatepass")
    unharmed(body, "inventories", charset)


def unharmed(body: bytes, name: str, charset: str = "") -> None:
    try:
        done = translate(body, mappings()[name], LIMITS, charset=charset)
    except Refused as refused:
        faults = refused.faults
    else:
        faults = done.located(check_document(done.document, shipped(), View.DECLARED).faults)
        assert all(fault.source for fault in faults), faults
        assert not any(fault.rule == "not_xml" for fault in faults), "what is written is XML"
    json.dumps([fault.message for fault in faults], ensure_ascii=False).encode()
    assert all(fault.message and fault.message_zh for fault in faults)


@settings(max_examples=300, deadline=None)
@given(value=anything)
def test_json_that_the_library_reads_is_read_alike(value: object) -> None:
    text = json.dumps(value)
    whole = read_json(text, LIMITS)
    if isinstance(value, str):
        assert whole.text(Reference.of_path(".")) == (value.strip() or None)
    elif isinstance(value, list):
        assert len(whole.each((Reference.of_path("."),))) == len(value)


@settings(max_examples=500, deadline=None)
@given(text=st.text('{}[]",:0123456789eE+-.\\utrfalsn \n', max_size=24))
def test_what_the_library_refuses_is_refused(text: str) -> None:
    try:
        json.loads(text)
    except ValueError:
        try:
            read_json(text, LIMITS)
        except Refused:
            return
        raise AssertionError(text) from None
