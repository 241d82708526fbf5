"""Rows that a pattern reads and rows that a parser reads are the same, whatever is in a file."""

from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Refused
from gateway.mapping.sources.opening import open_table
from gateway.mapping.sources.table import Bare, Form, SourceLimits
from gateway.mapping.sources.xlsx import rows as reading
from tests.unit.xlsx_files import SHEET, packed, parts, sheet_xml

_LIMITS = SourceLimits(columns=20, cell_chars=100)
_PIECES = (
    "<c", "</c>", "/>", ">", "<v>", "</v>", "<f>", "</f>", "<is>", "</is>", "<t>", "</t>", '<t xml:space="preserve">', "<row", "</row>",
    ' r="A1"', ' r="B1"', ' r="C2"', ' s="1"', ' t="s"', ' t="inlineStr"', ' t="str"', ' t="b"', ' hidden="1"', ' x14ac:dyDescent="0.2"',
    ' x:y="1"', "0", "1", "12.30", "1E5", "x", " ", "\n", "\r", "&amp;", "&#21517;", "&#1;", "&nbsp;", "]]>", "<![CDATA[", "<!--", "-->",
    "<rPh>", "</rPh>", "<r>", "</r>", "\x01", "\ufffe", "名", "</sheetData>",
)  # fmt: skip
_cell = st.builds(
    '<c r="{}{}"{}>{}</c>'.format,
    st.sampled_from("ABCDEZ"),
    st.integers(1, 9),
    st.sampled_from(["", ' s="1"', ' t="s"', ' s="0" t="inlineStr"', ' t="inlineStr" s="1"', ' t="e"']),
    st.sampled_from(
        ["<v>1</v>", "<v>0.10</v>", "<is><t>a b </t></is>", "<is><t>&lt;</t></is>", "<f>A1</f><v>3</v>", "", "<v></v>", "<f>A</f>"]
    ),
)  # fmt: skip
_row = st.builds(
    "<row{}>{}</row>".format,
    st.sampled_from(["", ' r="3"', ' hidden="1"']),
    st.lists(_cell, max_size=5).map("".join),
)
_rows = st.lists(st.one_of(_row, st.sampled_from(_PIECES)), max_size=8).map("".join)


def _read(rows: str) -> list[tuple[int, list[tuple[str, bool]]]] | str:
    made = parts(strings="<si><t>zero</t></si><si><t>one</t></si>", styles=(0, 14))
    body = packed({**made, SHEET: sheet_xml(rows).encode("utf-8", "surrogatepass")})
    try:
        (sheet,) = open_table(body, Form.XLSX, limits=_LIMITS).sheets
        found = [(row.number, [(str(one), type(one) is Bare) for one in row.cells]) for row in sheet.rows()]
    except Refused as refused:
        return refused.problem
    return [*found, (0, [(note.message, False) for note in sheet.notes])]


@settings(max_examples=400, deadline=None)
@given(st.one_of(_rows, st.lists(st.sampled_from(_PIECES), max_size=12).map("".join)))
def test_pattern_and_parser_read_the_same(rows: str) -> None:
    with mock.patch.object(reading, "is_utf8", return_value=False):
        parsed = _read(rows)
    assert _read(rows) == parsed
