"""What answers teach about codes: how often they come, and which fields cured them.

A longer run: `LEARNED_DECLARATIONS=50000 .venv/bin/python -m pytest tests/unit/test_code_learning.py`.
"""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.correlating import filer_of
from gateway.config.gateway_toml import LimitsConfig
from gateway.model import CodeClass
from gateway.receipts.filing import ReceiptFiler
from gateway.receipts.learning.code_scan import CodeScan, passing_answers
from gateway.receipts.learning.learned_codes import CURED, DECLARATIONS, FIELD, OTHER, SEEN, is_text, ranked
from spool.entry import TimelineEntry
from spool.sqlite import SqliteSpool
from spool.store import Spool
from tests.contract.test_correlation import RELEASED, RULES_NOW, accept, collect
from tests.documents import inventory, receipt, tax
from tests.secret_customs import PEOPLE, TEXTS, SecretCustoms, batches, inventories
from tests.spool_samples import Clock

DECLARED = int(os.environ.get("LEARNED_DECLARATIONS", "2000"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def spool(tmp_path: Path, clock: Clock) -> Iterator[SqliteSpool]:
    opened = SqliteSpool(tmp_path / "state", clock)
    yield opened
    opened.close()


@pytest.fixture
def filer(spool: SqliteSpool) -> ReceiptFiler:
    return filer_of(spool, RULES_NOW)


def scan(spool: Spool, *, codes_at_most: int = 2000) -> CodeScan:
    return CodeScan(spool, RULES_NOW, LimitsConfig(), ["one"], codes_at_most=codes_at_most)


def learn(spool: Spool, **bounds: int) -> None:
    found = scan(spool, **bounds)
    while found.look():
        pass


def counts(spool: Spool, name: str) -> dict[str, int]:
    return {f"{one.subject} {one.key}".strip(): one.n for one in spool.tallies(name)}


def told(cop_no: str, status: str, info: str, at: str = "20250102030405678") -> bytes:
    return receipt(
        "CEB622Message", {"copNo": cop_no, "returnStatus": status, "returnInfo": info, "returnTime": at}
    )


def declare(spool: Spool, clock: Clock, cop_no: str, version: int, body: bytes | None = None) -> None:
    clock.move(1)
    accept(spool, body or inventory(cop_no, app_time=f"2025010203{version:04}"))
    clock.move(1)


def corrected(cop_no: str, version: int, *changes: tuple[str, str]) -> bytes:
    body = inventory(cop_no, app_time=f"2025010203{version:04}", app_type="2").decode()
    for old, new in changes:
        assert old in body
        body = body.replace(old, new)
    return body.encode()


BUYER = ("<ceb:buyerName>张三<", "<ceb:buyerName>李四<")
PRICE = ("<ceb:price>100<", "<ceb:price>90<")


def test_a_field_that_changed_before_the_code_was_gone_is_counted_by_name(
    spool: SqliteSpool, clock: Clock, filer: ReceiptFiler
) -> None:
    declare(spool, clock, "COP-1", 1)
    collect(spool, filer, told("COP-1", "100", "[Code:13127;Desc:清单与订单的订购人姓名[张三]不一致]"))
    declare(spool, clock, "COP-1", 2, corrected("COP-1", 2, BUYER, PRICE))
    collect(spool, filer, told("COP-1", "800", "[Code:2600;Desc:放行]", "20250102040405678"))
    learn(spool)

    assert counts(spool, SEEN) == {"13127": 1, "2600": 1}
    assert counts(spool, DECLARATIONS) == {"13127": 1}
    assert counts(spool, CURED) == {"13127": 1}
    assert counts(spool, FIELD) == {"13127 InventoryHead/buyerName": 1, "13127 InventoryList/price": 1}


def test_what_is_accepted_unchanged_or_stays_refused_was_cured_by_nothing(
    spool: SqliteSpool, clock: Clock, filer: ReceiptFiler
) -> None:
    declare(spool, clock, "COP-1", 1)
    collect(
        spool,
        filer,
        told("COP-1", "100", "[Code:1300;Desc:x]"),
        told("COP-1", "800", "", "20250102040405678"),
    )
    declare(spool, clock, "COP-2", 1)
    collect(spool, filer, told("COP-2", "100", "[Code:1300;Desc:x]"))
    declare(spool, clock, "COP-2", 2, corrected("COP-2", 2, BUYER))
    collect(spool, filer, told("COP-2", "100", "[Code:1322;Desc:x]", "20250102040405678"))
    learn(spool)
    assert counts(spool, CURED) == {}
    assert counts(spool, DECLARATIONS) == {"1300": 2, "1322": 1}


def test_a_cure_counts_once_however_often_it_is_confirmed(
    spool: SqliteSpool, clock: Clock, filer: ReceiptFiler
) -> None:
    declare(spool, clock, "COP-1", 1)
    for second in range(3):
        collect(spool, filer, told("COP-1", "100", "[Code:1300;Desc:x]", f"202501020304{second:02}678"))
        learn(spool)
    declare(spool, clock, "COP-1", 2, corrected("COP-1", 2, BUYER))
    for second in range(3):
        collect(spool, filer, told("COP-1", "800", "", f"202501020404{second:02}678"))
        learn(spool)
    assert (counts(spool, SEEN)["1300"], counts(spool, DECLARATIONS)["1300"]) == (3, 1)
    assert (counts(spool, CURED), counts(spool, FIELD)) == ({"1300": 1}, {"1300 InventoryHead/buyerName": 1})


def test_timelines_are_read_of_what_was_refused_alone(
    spool: SqliteSpool, clock: Clock, filer: ReceiptFiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cop_no in ("COP-1", "COP-2"):
        declare(spool, clock, cop_no, 1)
    collect(spool, filer, told("COP-1", "2", ""), told("COP-2", "100", "[Code:1300;Desc:x]"))
    declare(spool, clock, "COP-2", 2, corrected("COP-2", 2, BUYER))
    collect(
        spool,
        filer,
        *(told(one, "800", "[Code:2600;Desc:放行]", "20250102040405678") for one in ("COP-1", "COP-2")),
    )
    read, timeline = list[str](), spool.timeline

    def noted(owner: str | None, text: str) -> list[TimelineEntry]:
        read.append(text)
        return timeline(owner, text)

    monkeypatch.setattr(spool, "timeline", noted)
    learn(spool)
    assert {one.split("copNo=")[1] for one in read} == {"COP-2"}
    assert counts(spool, CURED) == {"1300": 1}


def test_no_answer_that_passes_can_be_a_refusal() -> None:
    codes, passing = RULES_NOW.codes, passing_answers(RULES_NOW)
    assert {"CEB622Message 800", "CEB622Message 2", "CEB818Message 3"} <= passing
    for one in passing:
        kind, status = one.split()
        texts = ("", *codes.repeat.texts, *(text for each in codes.patterns for text in each.texts))
        assert all(codes.said(kind, status, text).kind is not CodeClass.REFUSED for text in texts)
    assert not any(one.startswith("DxpRep ") for one in passing)
    assert passing.isdisjoint(f"CEB622Message {status}" for status in ("4", "99", "100", "700", "-1"))


def test_another_number_of_items_is_counted_as_that(
    spool: SqliteSpool, clock: Clock, filer: ReceiptFiler
) -> None:
    declare(spool, clock, "COP-1", 1)
    collect(spool, filer, told("COP-1", "100", "[Code:1320;Desc:x]"))
    body = inventory("COP-1", app_time="20250102030406", app_type="2").decode()
    item = body[
        body.index("<ceb:InventoryList>") : body.index("</ceb:InventoryList>") + len("</ceb:InventoryList>")
    ]
    more = item.replace("<ceb:gnum>1<", "<ceb:gnum>2<")
    declare(spool, clock, "COP-1", 2, body.replace(item, item + more).encode())
    collect(spool, filer, told("COP-1", "800", "", "20250102040405678"))
    learn(spool)
    assert counts(spool, FIELD) == {"1320 InventoryList": 1}


def test_good_status_with_bad_news_and_refusals_by_status_are_counted(
    spool: SqliteSpool, clock: Clock, filer: ReceiptFiler
) -> None:
    declare(spool, clock, "COP-1", 1)
    collect(spool, filer, told("COP-1", "2", "对应电商平台为[4400000002]订单号为[ORDER-1]支付信息不存在"))
    collect(spool, filer, told("COP-1", "-621029", "验签失败！", "20250102030406678"))
    collect(spool, filer, told("COP-1", "501", "", "20250102030407678"))
    learn(spool)
    assert counts(spool, SEEN) == {"payment_missing": 1, "-621029": 1, "501": 1}


def test_no_name_number_or_address_gets_into_what_is_counted(
    spool: SqliteSpool, clock: Clock, filer: ReceiptFiler
) -> None:
    texts = [
        "订购人张三的身份证号码110000000000000000有误，电话13000000000",
        "订购人张三与支付人欧阳娜娜不一致",
        "收货地址示例市示例路1号不存在，[张三]",
        "[Code:13000000000;Desc:张三]",
        "[Code:张三;Desc:x]",
    ]
    declare(spool, clock, "COP-1", 1)
    for second, text in enumerate(texts):
        collect(spool, filer, told("COP-1", "100", text, f"202501020304{second:02}678"))
    learn(spool)
    everything = " ".join(
        f"{one.subject} {one.key}" for name in (SEEN, DECLARATIONS) for one in spool.tallies(name)
    )
    for secret in ("张三", "欧阳", "娜", "110000", "13000000000", "示例", "1号", "COP-1", "ORDER-1"):
        assert secret not in everything
    assert counts(spool, SEEN) == {
        "100: 订购人*身份证号码*有误，电话*": 1, "100: 订购人*与支付人*不一致": 1, "100: 收货地址*不存在，*": 1, OTHER: 2,
    }  # fmt: skip


def test_codes_that_nobody_knows_are_bounded_and_the_rest_is_other(
    spool: SqliteSpool, clock: Clock, filer: ReceiptFiler
) -> None:
    declare(spool, clock, "COP-1", 1)
    for number in range(9):
        info = f"[Code:9{number};Desc:x][Code:1300;Desc:x]"
        collect(spool, filer, told("COP-1", "100", info, f"202501020304{number:02}678"))
        learn(spool, codes_at_most=3)
    assert counts(spool, SEEN) == {"90": 1, "91": 1, "92": 1, OTHER: 6, "1300": 9}


def test_a_tax_bill_cures_nothing(spool: SqliteSpool, clock: Clock, filer: ReceiptFiler) -> None:
    declare(spool, clock, "COP-1", 1)
    collect(spool, filer, RELEASED.replace(b"<returnStatus>800<", b"<returnStatus>300<"))
    collect(spool, filer, told("COP-1", "100", "[Code:1300;Desc:x]", "20250102030407678"))
    declare(spool, clock, "COP-1", 2, corrected("COP-1", 2, BUYER))
    collect(spool, filer, tax("CEB818Message", returnTime="20250102030409000", status="3"))
    assert "CEB818Message" in {row.kind for row in spool.timeline("one", "CEB621Message copNo=COP-1")}
    learn(spool)
    assert counts(spool, CURED) == {}
    collect(spool, filer, told("COP-1", "800", "", "20250102040405678"))
    learn(spool)
    assert counts(spool, CURED) == {"1300": 1}


def test_the_right_field_stands_first_for_nearly_every_code(
    spool: SqliteSpool, clock: Clock, filer: ReceiptFiler
) -> None:
    rng = random.Random(40)
    customs = SecretCustoms(rng, rules=40)
    declared = [
        customs.declare(f"COP-{number}", mistakes=rng.choice((1, 1, 2, 3))) for number in range(DECLARED)
    ]
    open_ones, at = declared, 0
    while open_ones:
        for batch in batches(open_ones):
            clock.move(1)
            at += 1
            accept(spool, inventories(batch, at=at))
            clock.move(1)
            time = f"20250102{at // 3600:02}{at // 60 % 60:02}{at % 60:02}000"
            answers = [customs.answer(one) for one in batch]
            collect(spool, filer, receipt("CEB622Message", *({**one, "returnTime": time} for one in answers)))
        open_ones = [one for one in open_ones if one.wrong]
        for one in open_ones:
            customs.correct(one, noise=3)
    learn(spool)

    fields: dict[str, list[tuple[str, int]]] = {}
    overall: dict[str, int] = {}
    for tally in spool.tallies(FIELD):
        fields.setdefault(tally.subject, []).append((tally.key, tally.n))
        overall[tally.key] = overall.get(tally.key, 0) + tally.n
    first = {code: ranked(found, overall)[0][0] for code, found in fields.items()}
    texts = {code for code in first if is_text(code)}
    assert len(texts) == len(TEXTS)
    assert not any(name in code for code in first for name in PEOPLE)
    right = [first.get(code) == name for name, code in customs.codes.items() if not code.startswith("text")]
    right += [first[code] in customs.fields[: len(TEXTS)] for code in texts]
    assert len(right) == 40
    assert sum(right) >= 36, first
