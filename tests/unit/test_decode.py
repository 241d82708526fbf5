import tracemalloc

import pytest

from gateway.config.gateway_toml import LimitsConfig
from gateway.errors import Refused
from gateway.model import Fault
from gateway.xml.decode import decode
from gateway.xml.syntax_errors import variant_of
from tests.documents import HEAD, order
from tests.two_languages import in_two_languages

LIMITS = LimitsConfig(size_bytes=100_000, depth=8, elements=1000)


def refused(body: bytes, limits: LimitsConfig = LIMITS) -> tuple[str, Fault]:
    with pytest.raises(Refused) as caught:
        decode(body, limits)
    (fault,) = caught.value.faults
    assert in_two_languages(fault)
    return caught.value.problem, fault


def test_gives_the_root_of_a_sound_document() -> None:
    assert decode(order("ORDER-1"), LIMITS).tag.endswith("CEB311Message")


def test_byte_order_mark_and_crlf_are_fine() -> None:
    body = b"\xef\xbb\xbf" + order("ORDER-1").replace(b"><", b">\r\n<")
    assert decode(body, LIMITS).tag.endswith("CEB311Message")


@pytest.mark.parametrize("encoding", ["GB18030", "gbk", "GB2312", "utf-8"])
def test_declared_chinese_encodings_are_read(encoding: str) -> None:
    body = f"<?xml version='1.0' encoding='{encoding}'?><a>中文名称</a>".encode(encoding)
    assert decode(body, LIMITS).text == "中文名称"


@pytest.mark.parametrize("encoding", ["UTF-16", "ISO-8859-1", "Big5", "EBCDIC-CP-US", ""])
def test_any_other_declared_encoding_is_refused(encoding: str) -> None:
    problem, fault = refused(f'<?xml version="1.0" encoding="{encoding}"?><a/>'.encode())
    assert (problem, fault.rule) == ("wrong-encoding", "encoding")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
def test_wide_characters_are_refused_by_name(encoding: str) -> None:
    problem, fault = refused("<a>文</a>".encode(encoding))
    assert problem == "wrong-encoding"
    assert "UTF-16" in fault.message


def test_byte_order_mark_that_contradicts_the_declaration_is_refused() -> None:
    problem, _ = refused(b'\xef\xbb\xbf<?xml version="1.0" encoding="GBK"?><a/>')
    assert problem == "wrong-encoding"


def test_bytes_outside_the_declared_encoding_are_refused_with_their_place() -> None:
    body = HEAD.encode() + "<a>\n  <名>值".encode() + "中".encode("gbk") + "</名></a>".encode()
    problem, fault = refused(body)
    assert (problem, fault.rule, fault.line, fault.column) == ("wrong-encoding", "encoding", 3, 7)


@pytest.mark.parametrize("bad", [b"\x80", b"\xff\xff"])
def test_bytes_that_are_not_gbk_are_refused(bad: bytes) -> None:
    problem, fault = refused(b'<?xml version="1.0" encoding="GBK"?>\n<a>' + bad + b"</a>")
    assert (problem, fault.line, fault.column) == ("wrong-encoding", 2, 4)


@pytest.mark.parametrize(
    "body",
    [
        b"hello",
        b'{"orderNo": 1}',
        b"<a><b></a>",
        b"<a>",
        b"<a/><b/>",
        b" <?xml version='1.0'?><a/>",
        b"<a>&nbsp;</a>",
        b"<a>\x01</a>",
        b"\x00<a/>x",
        b"<a>\x00</a>",
        b"<!-- never closed <a/>",
        b"PK\x03\x04",
        b"\x1f\x8b\x08",
        b"<p:a/>",
        b"   ",
        b"",
    ],
)
def test_what_is_not_xml_is_refused(body: bytes) -> None:
    problem, fault = refused(body)
    assert (problem, fault.rule) == ("not-xml", "not_xml")


def test_truncated_document_is_refused_with_line_and_column() -> None:
    problem, fault = refused(order("ORDER-1")[:-40])
    assert problem == "not-xml"
    assert fault.line == 2
    assert fault.column > 100


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE a><a/>",
        b'<?xml version="1.0"?>\n<!-- c --><?pi x?>\n<!DOCTYPE a SYSTEM "http://127.0.0.1/x.dtd"><a/>',
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        b'\xef\xbb\xbf<!DOCTYPE a [<!ENTITY a "1"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><a>&b;</a>',
    ],
)
def test_doctype_is_refused_before_anything_is_read(body: bytes) -> None:
    problem, fault = refused(body)
    assert (problem, fault.rule) == ("unsafe-xml", "doctype")
    assert fault.line >= 1


def test_the_word_doctype_inside_a_value_is_no_doctype() -> None:
    assert decode(b"<a><![CDATA[<!DOCTYPE html>]]><!-- <!DOCTYPE x> --></a>", LIMITS).tag == "a"


def test_too_many_bytes_are_refused() -> None:
    problem, fault = refused(b"<a>" + b"x" * 100_000 + b"</a>")
    assert (problem, fault.rule) == ("too-large", "size")


def test_nesting_is_allowed_up_to_the_limit() -> None:
    assert decode(b"<a>" * 8 + b"</a>" * 8, LIMITS).tag == "a"


@pytest.mark.parametrize("depth", [9, 255])
def test_deeper_nesting_is_refused(depth: int) -> None:
    problem, fault = refused(b"<a>" * depth + b"</a>" * depth)
    assert (problem, fault.rule) == ("unsafe-xml", "depth")


def test_nesting_beyond_what_the_parser_bears_is_refused() -> None:
    problem, fault = refused(b"<a>" * 5000 + b"</a>" * 5000)
    assert (problem, fault.rule) == ("unsafe-xml", "elements")
    problem, fault = refused(b"<a>" * 900 + b"</a>" * 900)
    assert (problem, fault.rule) == ("unsafe-xml", "depth")


def test_too_many_elements_are_refused_before_the_tree_exists() -> None:
    problem, fault = refused(b"<a>" + b"<b/>" * 1001 + b"</a>")
    assert (problem, fault.rule) == ("unsafe-xml", "elements")


def test_memory_stays_flat_for_a_hundred_megabytes_and_for_a_billion_laughs() -> None:
    large = b"<a>" + b"<b/>" * 25_000_000 + b"</a>"
    laughs = b'<!DOCTYPE l [<!ENTITY a "ha">' + b'<!ENTITY b "&a;&a;&a;&a;">' * 1000 + b"]><l>&b;</l>"
    tracemalloc.start()
    try:
        assert refused(large)[0] == "too-large"
        assert refused(large, LimitsConfig(size_bytes=1 << 30, elements=1000))[0] == "unsafe-xml"
        assert refused(laughs)[0] == "unsafe-xml"
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("body", "column", "about"),
    [
        ("<a>中文 & b</a>", 8, "&未转义"),
        ("<a><b></a>", 11, "结束标签"),
        ("<a>", 4, "未关闭"),
        ("<a b='", 7, "未关闭"),
        ("<a/><b/>", 5, "根元素结束之后"),
        ("<a>&nbsp;</a>", 10, "实体"),
        ("<a>\x01</a>", 4, "字符"),
        ("<a>&#xZZ;</a>", 7, "字符引用"),
        ("<a b=1/>", 6, "属性书写"),
        ("<a b='1' b='2'/>", 15, "属性重复"),
        ("<a><!-- a -- b --></a>", 11, "注释"),
        ("<a>]]></a>", 4, "CDATA"),
        ("<a><?pi x</a>", 14, "处理指令"),
        ("<p:a/>", 5, "前缀"),
        ("<a xmlns:x=''/>", 14, "命名空间声明"),
        ("<!-- c -->", 11, "没有根元素"),
        ("<a><1/></a>", 5, "标签书写"),
        (" <?xml version='1.0'?><a/>", 7, "XML声明"),
    ],
)
def test_what_is_no_xml_is_told_in_words_of_ours_with_its_place(body: str, column: int, about: str) -> None:
    _, fault = refused(body.encode())
    assert (fault.line, fault.column) == (1, column)
    assert about in fault.message_zh
    assert f"第1行第{column}列" in fault.message_zh


def test_error_without_a_text_of_its_own_is_told_in_general() -> None:
    assert variant_of(-1, "said in English") == ""
