"""The shape of a text has words that are known beforehand, and nothing of anybody."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.receipts.learning.text_shape import SHAPE_CHARACTERS, text_shape, vocabulary_of
from tests.shipped_rules import shipped

WORDS = vocabulary_of(shipped())
HAN = st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF)


def shape(text: str, *values: str) -> str:
    return text_shape(text, WORDS, values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("订购人张三的身份证号码[110101199001011234]有误", "订购人*身份证号码*有误"),
        ("订购人欧阳娜娜与支付人李四不一致", "订购人*与支付人*不一致"),
        ("电话：13000000000", "电话，*"),
        ("超过年度限额totalPrice：26,114.44 > limitPrice: 26,000", "超过年度限额totalPrice，*"),
        ("cvc-complex-type.2.4.a: Invalid content 'ceb:orderNo'", "cvc-complex-type*"),
        ("cvc-zhangsan: x", "*"),
        ("", "*"),
        ("张三", "*"),
        ("[张三", "*"),
    ],
)
def test_known_words_stay_and_everything_else_goes(text: str, expected: str) -> None:
    assert shape(text) == expected


def test_texts_that_differ_in_names_and_numbers_have_one_shape() -> None:
    texts = {shape(f"运单{number}的收件人{name}信息不存在") for number, name in ((1, "王五"), (22, "诸葛三"))}
    assert len(texts) == 1


def test_a_value_of_the_declaration_goes_even_if_its_words_are_known() -> None:
    assert "海关" in shape("海关放行")
    assert "海关" not in shape("海关放行", "海关")


@settings(max_examples=300)
@given(st.text(max_size=80) | st.text(alphabet=HAN, max_size=40))
def test_no_character_gets_in_that_is_not_in_a_known_word(text: str) -> None:
    made = shape(text)
    assert len(made) <= SHAPE_CHARACTERS
    assert made.isprintable()
    known = {char for pair in WORDS.pairs for char in pair}
    plain = re.sub(r"cvc-[a-zA-Z-]+", "", made)
    for name in re.findall(r"[A-Za-z0-9_]+", plain):
        assert name in WORDS.names
    for char in re.sub(r"[A-Za-z0-9_]+", "", plain):
        assert char in known or char in "*，"


@given(st.text(alphabet="0123456789Xx", min_size=3, max_size=18))
def test_no_digits_get_in(number: str) -> None:
    assert not re.search(r"\d", shape(f"身份证号码{number}有误"))


def test_a_long_text_costs_little_and_is_cut() -> None:
    assert len(shape("订单不存在，" * 10_000)) <= SHAPE_CHARACTERS
    assert shape("(" * 100_000) == "*"
