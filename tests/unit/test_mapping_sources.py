"""JSON is read strictly, and every value knows its place."""

import pytest

from gateway.config.gateway_toml import LimitsConfig
from gateway.errors import Refused
from gateway.mapping.sources.item import NoTextError, Reference, decoded
from gateway.mapping.sources.json_source import read_json
from gateway.model import Fault

LIMITS = LimitsConfig(size_bytes=100_000, depth=8, elements=50)


def path(text: str) -> Reference:
    return Reference.of_path(text)


def only(refused: Refused) -> Fault:
    (fault,) = refused.faults
    return fault


# ---- JSON ----


def test_texts_are_found_by_paths_from_the_item_the_one_around_it_and_the_top() -> None:
    whole = read_json('{"a/b": {"~c": " x "}, "list": [{"n": 1, "in": [5, 6]}]}', LIMITS)
    (item,) = whole.each((path("/list"),))
    (_, inner) = item.each((path("in"),))

    assert whole.text(path("a~1b/~0c")) == "x"
    assert inner.text(path(".")) == "6"
    assert inner.text(path("../n")) == "1"
    assert inner.text(path("../in/0")) == "5"
    assert inner.text(path("/a~1b/~0c")) == "x"
    assert (inner.spot().text, inner.spot(path("../n")).text) == ("/list/0/in/1", "/list/0/n")


@pytest.mark.parametrize(
    "text", ["1", "-0.10", "1e5", "123456789012345678901234567890.12345678901234567890", "true"]
)
def test_numbers_and_words_stay_as_they_are_written(text: str) -> None:
    assert read_json(f'{{"a": {text}}}', LIMITS).text(path("a"), as_written=True) == text


@pytest.mark.parametrize("text", ["null", '""', '" \\t\\u3000 "', "{}.missing"])
def test_null_nothing_and_blank_are_no_text(text: str) -> None:
    body = '{"b": 1}' if text == "{}.missing" else f'{{"a": {text}}}'
    assert read_json(body, LIMITS).text(path("a")) is None


def test_escapes_are_read() -> None:
    assert read_json(r'{"\u0061": "x\"\\\/\n\ud83d\ude00y"}', LIMITS).text(path("a")) == 'x"\\/\n\U0001f600y'


@pytest.mark.parametrize("text", ["[1]", "{}"])
def test_array_or_object_is_no_text(text: str) -> None:
    with pytest.raises(NoTextError) as wrong:
        read_json(f'{{"a": {text}}}', LIMITS).text(path("a"))
    assert (wrong.value.rule, wrong.value.spot.text, wrong.value.spot.column) == ("not_a_value", "/a", 7)


@pytest.mark.parametrize(
    ("body", "rule", "line", "place"),
    [
        ("", "not_json", 1, 1),
        ('{"a": 1', "not_json", 1, 8),
        ('{"a": 1,\n "b": tru}', "not_json", 2, 7),
        ('{"a": 1}\n{', "not_json", 2, 1),
        ("{'a': 1}", "not_json", 1, 2),
        ('{"a" 1}', "not_json", 1, 6),
        ("[1,]", "not_json", 1, 4),
        ('{"a": 1,}', "not_json", 1, 9),
        ("[1 2]", "not_json", 1, 4),
        ("[01]", "not_json", 1, 3),
        ("[+1]", "not_json", 1, 2),
        ("[1.]", "not_json", 1, 3),
        ("[NaN]", "not_json", 1, 2),
        ("[-Infinity]", "not_json", 1, 2),
        ('["a\tb"]', "not_json", 1, 4),
        (r'["\x"]', "not_json", 1, 3),
        (r'["\u"]', "not_json", 1, 4),
        ('["ab', "not_json", 1, 2),
        ('{"a": 1,\r\n"a": 2}', "duplicate_key", 2, 1),
        (r'{"a": 1, "\u0061": 2}', "duplicate_key", 1, 10),
        ("[" * 9 + "]" * 9, "depth", 1, 9),
        ("[" * 100_000, "depth", 1, 9),
        ("[" + "1," * 60 + "1]", "elements", 1, 100),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(body: str, rule: str, line: int, place: int) -> None:
    with pytest.raises(Refused) as refused:
        read_json(body, LIMITS)
    fault = only(refused.value)
    assert (refused.value.problem, fault.rule, fault.line, fault.column) == ("not-json", rule, line, place)
    assert fault.message_zh
    assert fault.fix


@pytest.mark.parametrize("text", ["", "a//b", "a/../b", "/", "a/.", "a/"])
def test_path_that_leads_nowhere_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="no path"):
        path(text)


# ---- encodings ----


def test_byte_order_mark_and_gb18030_are_read() -> None:
    assert decoded(b"\xef\xbb\xbfa", "") == "a"
    assert decoded("赵".encode("gb18030"), "GB18030") == "赵"


@pytest.mark.parametrize(("charset", "line", "place"), [("utf-8", 2, 3), ("big5", 0, 0)])
def test_bytes_that_are_not_in_the_encoding_are_placed(charset: str, line: int, place: int) -> None:
    with pytest.raises(Refused) as refused:
        decoded("甲\n乙x".encode() + b"\xff", charset)
    fault = only(refused.value)
    assert (refused.value.problem, fault.line, fault.column) == ("wrong-encoding", line, place)
