"""Lines and columns found in the bytes are those at which the document was written."""

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from gateway.config.gateway_toml import LimitsConfig
from gateway.xml.decode import decode, positions_of
from gateway.xml.positions import TextPosition

BREAKS = ("\n", "\r\n", "\n\n", "\r\n\t", "")
TEXTS = ("x", "订购人姓名", "𠮷", "&lt;a&gt;", "=&amp;", ">", " ", "]", "-")
ASIDES = (
    "<!-- <b> & \n<!D -->",
    "<![CDATA[<a>\r\n</a> ]] > ]]>",
    "<?pi <a>?>",
    "<!---->",
    "<![CDATA[]]>",
    "<!-- 名 -->",
)
ATTRIBUTES = ("", ' a="1"', " a='>'", '\n b="中文"', ' a="/>" b="--&gt;"', ' xmlns:q="urn:q"')
CODECS = ("utf-8", "utf-8-sig", "gb18030", "gbk")
LIMITS = LimitsConfig(depth=50)


class Written:
    """Writes a document and keeps where each start tag begins."""

    def __init__(self, random: Random, head: str) -> None:
        self._random = random
        self.text = ""
        self.places: list[TextPosition] = []
        self._line, self._column = 1, 1
        self._put(head)

    def element(self, depth: int) -> None:
        name = self._random.choice(("a", "b", "名称", "c.d-e"))
        self.places.append(TextPosition(line=self._line, column=self._column))
        self._put("<" + name + self._random.choice(ATTRIBUTES))
        inside = self._random.randint(0, 4) if depth else 0
        if not inside and self._random.random() < 0.3:
            self._put("/>")
            return
        self._put(">")
        for _ in range(inside):
            self._between()
            self.element(depth - 1)
        self._between()
        self._put(f"</{name}>")

    def _between(self) -> None:
        for choices in (BREAKS, TEXTS, ASIDES):
            if self._random.random() < 0.6:
                self._put(self._random.choice(choices))

    def _put(self, text: str) -> None:
        for character in text:
            self._column += 1
            if character == "\n":
                self._line, self._column = self._line + 1, 1
        self.text += text


def encodable(text: str, codec: str) -> str:
    return text if codec != "gbk" else text.replace("𠮷", "吉")


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(CODECS))
def test_every_element_is_found_where_it_was_written(seed: int, codec: str) -> None:
    declared = codec.removesuffix("-sig")
    written = Written(Random(seed), f"<?xml version='1.0' encoding='{declared}'?>\n<!-- <x> -->")
    written.element(4)
    body = encodable(written.text, codec).encode(codec)
    root = decode(body, LIMITS)
    nodes = list(root.iter("*"))
    found = positions_of(body, root, nodes)
    assert [found[node] for node in nodes] == written.places


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_mark_at_the_beginning_is_no_column(mark: str) -> None:
    body = f"{mark}<a><b/></a>".encode()
    root = decode(body, LIMITS)
    assert positions_of(body, root, [root, root[0]]) == {
        root: TextPosition(line=1, column=1),
        root[0]: TextPosition(line=1, column=4),
    }


def long_document() -> Iterator[str]:
    yield "<a>"
    yield from ("<b/>\n" for _ in range(70_000))
    yield " <c/></a>"


def test_lines_beyond_those_of_the_parser_are_exact() -> None:
    body = "".join(long_document()).encode()
    root = decode(body, LimitsConfig())
    assert positions_of(body, root, [root[-1]]) == {root[-1]: TextPosition(line=70_001, column=2)}


def test_what_is_not_in_these_bytes_has_no_place() -> None:
    root = etree.fromstring(b"<a><b/><c/></a>")
    assert positions_of(b"<a/>", root, [root[1]]) == {}
    assert positions_of(b"<a/>", root, [etree.Element("x")]) == {}
