"""What status and error codes mean, and that looking one up never fails."""

import csv
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import RulesError
from gateway.model import Actor, Code, CodeClass
from gateway.rules.catalogue import load_catalogue
from gateway.rules.codes import READ_CHARACTERS
from gateway.rules.codes_file import load_codes
from gateway.rules.loading import RULES
from tests.spec import SPEC, needs_spec

CATALOGUE = load_catalogue(RULES / "mappings" / "catalogue.toml")
CODES = load_codes(RULES / "mappings" / "codes.toml", CATALOGUE)
RECEIPTS = [kind.name for kind in CATALOGUE.receipts()]


ABOUT_A_DELIVERY = (
    "-301010", "-301014", "-304001", "-401007", "-401012", "-504012", "-504015", "-505012", "-505016", "-621004",
    "-623009", "-625022", "-625033", "-800003", "-800005",
)  # fmt: skip


@pytest.mark.parametrize("code", ABOUT_A_DELIVERY)
def test_refusal_of_a_duplicate_or_an_older_version_decides_nothing(code: str) -> None:
    assert CODES.business(code).kind is CodeClass.UNKNOWN


@pytest.mark.parametrize("text", ["重复", "已存在", "申报过", "旧报文"])
def test_codes_that_say_so_are_all_of_that_kind(text: str) -> None:
    told = {code for code, one in CODES.errors.items() if text in one.zh and one.retry == "never"}
    assert told
    assert told <= set(ABOUT_A_DELIVERY)


def test_return_that_says_it_was_sent_twice_decides_nothing() -> None:
    twice = CODES.said("CEB412Message", "100", "[Code:1301;Desc:支付单重复发送]")
    assert (twice.kind, twice.retry, twice.zh) == (CodeClass.UNKNOWN, "never", "海关退单")
    assert CODES.said("CEB412Message", "100", "收件地址不详").kind is CodeClass.REFUSED
    assert CODES.said("CEB412Message", "120", "重复发送").kind is CodeClass.ACCEPTED


# ---- status codes ----


@pytest.mark.parametrize("number", [304, 312, 404, 412, 512, 514, 608])
def test_120_is_the_good_end_of_orders_payments_and_waybills(number: int) -> None:
    assert CODES.status(f"CEB{number}Message", "120").kind is CodeClass.ACCEPTED


@pytest.mark.parametrize("number", [604, 622, 624, 626, 712, 214])
def test_120_is_progress_for_inventories_cancels_and_returns(number: int) -> None:
    assert CODES.status(f"CEB{number}Message", "120").kind is CodeClass.PROGRESS


@pytest.mark.parametrize("number", [506, 508, 510, 606, 702, 624, 626, 712, 216])
def test_399_is_the_good_end_where_no_release_follows(number: int) -> None:
    assert CODES.status(f"CEB{number}Message", "399").kind is CodeClass.ACCEPTED


@pytest.mark.parametrize("number", [604, 622])
def test_399_is_progress_where_release_follows(number: int) -> None:
    assert CODES.status(f"CEB{number}Message", "399").kind is CodeClass.PROGRESS


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("1", CodeClass.PROGRESS),
        ("2", CodeClass.PROGRESS),
        ("3", CodeClass.PROGRESS),
        ("4", CodeClass.REFUSED),
        ("99", CodeClass.REFUSED),
        ("100", CodeClass.REFUSED),
        ("400", CodeClass.PROGRESS),
        ("300", CodeClass.PROGRESS),
        ("500", CodeClass.PROGRESS),
        ("501", CodeClass.HOLD),
        ("502", CodeClass.HOLD),
        ("503", CodeClass.HOLD),
        ("505", CodeClass.HOLD),
        ("599", CodeClass.HOLD),
        ("600", CodeClass.HOLD),
        ("700", CodeClass.REFUSED),
        ("800", CodeClass.ACCEPTED),
        ("899", CodeClass.FINAL),
    ],
)
def test_status_of_an_inventory_receipt_has_its_class(code: str, kind: CodeClass) -> None:
    meaning = CODES.status("CEB622Message", code)
    assert (meaning.code, meaning.kind) == (code, kind)
    assert meaning.zh
    assert meaning.en
    assert meaning.source


def test_refusal_by_customs_is_to_be_fixed_and_sent_again() -> None:
    meaning = CODES.status("CEB622Message", "100")
    assert meaning.retry == "fix"
    assert meaning.advice_zh
    assert meaning.advice_en


def test_negative_status_is_explained_as_business_error() -> None:
    assert CODES.status("CEB622Message", "-621029") == CODES.business("-621029")


def test_negative_status_of_unknown_number_is_refused() -> None:
    meaning = CODES.status("CEB622Message", "-777777")
    assert (meaning.code, meaning.kind) == ("-777777", CodeClass.REFUSED)


def test_format_check_failure_is_refused_and_says_so() -> None:
    meaning = CODES.status("CEB900Message", "-999999")
    assert (meaning.kind, meaning.retry) == (CodeClass.REFUSED, "fix")
    assert "format" in meaning.en


@pytest.mark.parametrize("receipt", ["CEB816Message", "CEB818Message"])
def test_status_of_a_tax_bill_is_not_the_status_of_an_inventory(receipt: str) -> None:
    assert CODES.status(receipt, "1").zh == "税单已生成"
    assert CODES.status(receipt, "3").kind is CodeClass.FINAL
    assert CODES.status(receipt, "100").kind is CodeClass.UNKNOWN


def test_state_of_a_summary_declaration_is_unknown_but_kept() -> None:
    meaning = CODES.status("CEB792Message", "100")
    assert (meaning.code, meaning.kind) == ("100", CodeClass.UNKNOWN)


@settings(max_examples=200)
@given(receipt=st.sampled_from([*RECEIPTS, "DxpRep", ""]), code=st.text(max_size=12) | st.integers().map(str))
def test_no_code_is_too_strange_to_be_explained(receipt: str, code: str) -> None:
    for meaning in (CODES.status(receipt, code), CODES.dxp(code), CODES.business(code)):
        assert meaning.kind in CodeClass
        assert meaning.zh
        assert meaning.en
    CODES.in_text(code, code)


@settings(max_examples=100)
@given(code=st.integers(min_value=-(10**9), max_value=-1).map(str))
def test_a_negative_business_status_is_never_good_news(code: str) -> None:
    assert CODES.status("CEB622Message", code).kind in {CodeClass.REFUSED, CodeClass.UNKNOWN}


# ---- platform errors ----


@pytest.mark.parametrize(
    ("code", "retry"),
    [
        ("0002", "fix"),
        ("1001", "fix"),
        ("2001", "fix"),
        ("3001", "retry"),
        ("3003", "retry"),
        ("3999", "retry"),
    ],
)
def test_platform_error_says_whether_sending_again_helps(code: str, retry: str) -> None:
    meaning = CODES.dxp(code)
    assert (meaning.kind, meaning.retry) == (CodeClass.REFUSED, retry)


@pytest.mark.parametrize(
    ("code", "english"),
    [
        ("0500", "message format error"),
        ("1500", "security error"),
        ("2500", "business logic error"),
        ("3500", "system error"),
        ("4000", "response code defined by a node"),
        ("9999", "response code defined by a node"),
    ],
)
def test_unlisted_platform_error_is_explained_by_its_range(code: str, english: str) -> None:
    meaning = CODES.dxp(code)
    assert (meaning.code, meaning.en) == (code, english)


def test_platform_error_without_leading_zeros_is_the_same() -> None:
    assert CODES.dxp("2") == CODES.dxp("0002")


def test_other_platform_codes_are_unknown() -> None:
    assert CODES.dxp("123456789").kind is CodeClass.UNKNOWN
    assert CODES.dxp("OK").kind is CodeClass.UNKNOWN


# ---- business errors ----


@pytest.mark.parametrize(
    ("code", "retry"),
    [
        ("-621029", "fix"),
        ("-621030", "fix"),
        ("-301014", "never"),
        ("-301010", "never"),
        ("-621004", "never"),
        ("-621018", "never"),
        ("-301013", "retry"),
        ("-625110", "retry"),
    ],
)
def test_business_error_says_whether_sending_again_helps(code: str, retry: str) -> None:
    assert CODES.business(code).retry == retry


def test_failed_update_after_customs_took_it_is_not_a_refusal() -> None:
    meaning = CODES.business("-621008")
    assert (meaning.kind, meaning.retry) == (CodeClass.UNKNOWN, "never")


@pytest.mark.parametrize("code", ["-621027", "-625022"])
def test_code_that_is_listed_twice_keeps_both_texts(code: str) -> None:
    meaning = CODES.business(code)
    assert meaning.zh.count(" / ") == 1
    assert meaning.en.count(" / ") == 1


@pytest.mark.parametrize("code", ["-301020", "-304001", "-451"])
def test_code_seen_only_in_use_is_marked_unverified(code: str) -> None:
    assert "unverified" in CODES.business(code).source


def test_every_business_error_has_text_in_both_languages_and_advice() -> None:
    for meaning in CODES.errors.values():
        assert meaning.retry in {"retry", "fix", "never"}
        assert meaning.advice_zh
        assert meaning.advice_en.isascii()
        assert meaning.en.isascii()


@needs_spec
def test_every_row_of_the_specification_is_in_the_table() -> None:
    with (SPEC / "ceb" / "codes" / "business_error_codes.csv").open(encoding="utf-8-sig") as lines:
        rows = [(row["code"], row["text_cn"]) for row in csv.DictReader(lines)]
    assert [row for row in rows if row[1] not in CODES.business(row[0]).zh.split(" / ")] == []
    assert len(CODES.errors) == len({code for code, _ in rows}) + 3


# ---- advice ----


def every_code() -> list[Code]:
    """Return each meaning of the tables once."""
    listed = [
        *CODES.statuses.values(),
        *CODES.errors.values(),
        *CODES.platform.values(),
        *CODES.brackets.values(),
    ]
    fallbacks = [
        one for few in (CODES.unknown, *CODES.own_sets.values()) for one in (few.below_zero, few.otherwise)
    ]
    spans, patterns = [one.meaning for one in CODES.spans], [one.meaning for one in CODES.patterns]
    return [*listed, *fallbacks, *spans, *patterns]


def test_every_code_has_a_text_in_both_languages() -> None:
    assert len(every_code()) > 250
    for one in every_code():
        assert re.search(r"[\u4e00-\u9fff]", one.zh)
        assert one.en.isascii()
        assert bool(one.advice_zh) == bool(one.advice_en)


def test_every_refusal_and_every_hold_says_what_to_do_and_who_has_to() -> None:
    bad = [one for one in every_code() if one.kind in {CodeClass.REFUSED, CodeClass.HOLD}]
    assert len(bad) > 150
    assert [one.code for one in bad if not (one.advice_zh and one.advice_en and one.retry and one.who)] == []


@pytest.mark.parametrize(
    ("code", "who"),
    [
        ("1300", [Actor.PLATFORM]),
        ("1313", [Actor.NOBODY]),
        ("1320", [Actor.BROKER, Actor.PLATFORM]),
        ("1327", [Actor.PAYMENT_FIRM, Actor.PLATFORM]),
        ("1332", [Actor.PAYMENT_FIRM, Actor.PLATFORM]),
        ("13035", [Actor.PAYMENT_FIRM, Actor.PLATFORM]),
        ("130126", [Actor.BROKER, Actor.PLATFORM]),
        ("400", [Actor.LOGISTICS_FIRM]),
        ("99", [Actor.PLATFORM]),
        ("501", [Actor.CUSTOMS]),
        ("-451", [Actor.BROKER]),
        ("2600", []),
    ],
)
def test_a_code_says_who_has_to_act(code: str, who: list[Actor]) -> None:
    assert list(CODES.any_of(code).who) == who


# ---- [Code:n;Desc:t], and what else a text says ----


@pytest.mark.parametrize(
    ("info", "code", "kind"),
    [
        ("[Code:1800;Desc:逻辑校验通过]", "1800", CodeClass.PROGRESS),
        ("[Code:2600;Desc:放行]null", "2600", CodeClass.ACCEPTED),
        ("[Code:1313;Desc:订购人购买超过年度限额,limitPrice: 26,000;]", "1313", CodeClass.REFUSED),
    ],
)
def test_customs_code_in_the_text_is_explained(info: str, code: str, kind: CodeClass) -> None:
    (meaning,) = CODES.in_text("100", info)
    assert (meaning.code, meaning.kind) == (code, kind)


def test_each_of_several_customs_codes_is_explained_once() -> None:
    info = "[Code:1322;Desc:甲][Code:1332;Desc:乙[OrderHead.acturalPaid:1]][Code:1322;Desc:丙]"
    assert [one.code for one in CODES.in_text("100", info)] == ["1322", "1332"]
    assert len(CODES.in_text("100", "".join(f"[Code:{number};Desc:x]" for number in range(50)))) == 8


def test_unknown_customs_code_keeps_the_text_given() -> None:
    (meaning,) = CODES.in_text("100", "前文[Code:4711;Desc:另有说明]")
    assert (meaning.code, meaning.kind, meaning.zh) == ("4711", CodeClass.UNKNOWN, "另有说明")


def test_plain_text_says_nothing_beside_the_status() -> None:
    assert CODES.in_text("100", "收件地址不详") == ()


@pytest.mark.parametrize(
    ("text", "name", "act"),
    [
        ("支付信息不存在", "payment_missing", Actor.PAYMENT_FIRM),
        ("订单信息不存在", "order_missing", Actor.PLATFORM),
        ("运单信息不存在", "waybill_missing", Actor.LOGISTICS_FIRM),
    ],
)
def test_success_that_carries_bad_news_says_who_has_to_act(text: str, name: str, act: Actor) -> None:
    (news,) = CODES.in_text("2", f"清单新增申报成功;对应电商平台为[4400000002]订单号为[ORDER-1]{text}")
    assert (news.code, news.kind) == (name, CodeClass.HOLD)
    assert act in news.who
    assert CODES.in_text("800", text) == (), "not in a status that it does not go with"


def test_advice_for_a_missing_payment_names_the_calls_of_the_payment_firms() -> None:
    (news,) = CODES.in_text("2", "支付信息不存在")
    for call in ("WeChat Pay", "Alipay", "declarationRequestId"):
        assert call in news.advice_en
    for call in ("微信支付", "支付宝", "declarationRequestId"):
        assert call in news.advice_zh


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ("支付企业未备案", (Actor.PAYMENT_FIRM,)),
        ("调用加签接口失败", (Actor.OPERATOR,)),
        ("其他", (Actor.DECLARANT, Actor.OPERATOR)),
    ],
)
def test_code_of_two_meanings_is_read_by_its_text(text: str, who: tuple[Actor, ...]) -> None:
    (news,) = CODES.in_text("-1", f"[Code:22001;Desc:{text}]")
    assert (news.code, news.who, news.regional) == ("22001", who, True)


@pytest.mark.parametrize("code", ["22002", "22007"])
def test_code_of_some_regions_is_marked(code: str) -> None:
    assert CODES.brackets[code].regional
    assert not CODES.brackets["1300"].regional


@given(receipt=st.sampled_from(RECEIPTS), code=st.sampled_from(["1", "2", "3", "100", "120", "800", "-451"]),
       text=st.sampled_from([text for one in CODES.patterns for text in one.texts]))  # fmt: skip
def test_a_text_never_changes_the_class_of_a_status(receipt: str, code: str, text: str) -> None:
    assert CODES.said(receipt, code, text) == CODES.status(receipt, code)


def test_text_is_read_to_a_bound_only() -> None:
    assert CODES.in_text("2", f"{'。' * READ_CHARACTERS}支付信息不存在") == ()
    assert CODES.in_text("2", "[Code:" * 100_000) == ()


@pytest.mark.parametrize(
    ("row", "key"),
    [
        ('texts = ["支"]\nstatuses = ["2"]', "texts"),
        ("texts = []\nstatuses = ['2']", "texts"),
        ('texts = ["支付"]', "statuses"),
        ('texts = ["支付"]\nstatuses = ["2"]\ncodes = ["1"]', "statuses"),
        ('texts = ["支付"]\nstatuses = ["2"]\nwho = ["somebody"]', "who"),
    ],
)
def test_a_pattern_that_cannot_be_meant_is_an_error_that_names_it(tmp_path: Path, row: str, key: str) -> None:
    file = tmp_path / "codes.toml"
    whole = (RULES / "mappings" / "codes.toml").read_text("utf-8")
    file.write_text(
        f'{whole}\n[patterns.texts.mine]\nkind = "hold"\nzh = "意"\nen = "meaning"\n{row}\n', "utf-8"
    )
    with pytest.raises(RulesError) as caught:
        load_codes(file, CATALOGUE)
    assert "patterns.texts.mine" in caught.value.where
    assert key in str(caught.value)


def test_a_file_of_an_older_version_knows_no_patterns(tmp_path: Path) -> None:
    file = tmp_path / "codes.toml"
    whole = (RULES / "mappings" / "codes.toml").read_text("utf-8")
    before, _, rest = whole.partition("[patterns]")
    file.write_text(before + rest[rest.index("[business.enterprise]") :], "utf-8")
    assert load_codes(file, CATALOGUE).patterns == ()
