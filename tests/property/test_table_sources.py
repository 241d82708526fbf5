"""Tables that the standard library writes are read as they are, in pieces of any size; no bytes make reading fail."""

import csv
import io
import json
from typing import Final, Literal
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Refused
from gateway.mapping.sources import text
from gateway.mapping.sources.opening import open_documents, open_table
from gateway.mapping.sources.table import Form, SourceLimits
from gateway.model import Fault

_SURROGATES: Final[tuple[Literal["Cs"]]] = ("Cs",)
_LIMITS = SourceLimits(columns=30, document_bytes=4000)
_cells = st.text(
    st.one_of(
        st.sampled_from('",;\t\r\n \'"名é'),
        st.characters(exclude_categories=_SURROGATES, exclude_characters="\0"),
    ),
    max_size=6,
)
_tables = st.lists(
    st.lists(_cells, min_size=2, max_size=4).filter(lambda row: any(map(str.strip, row))),
    min_size=1,
    max_size=6,
)
_pieces = st.integers(1, 40)


def _rows(body: bytes, form: Form, charset: str = "", delimiter: str = "") -> list[list[str]]:
    (sheet,) = open_table(body, form, charset=charset, delimiter=delimiter, limits=_LIMITS).sheets
    rows = list(sheet.rows())
    for row in rows:
        places = [row.place(at) for at in range(len(row.cells))]
        assert places == sorted(places) or form is not Form.CSV
    return [list(map(str, row.cells)) for row in rows]


@settings(max_examples=300, deadline=None)
@given(
    table=_tables,
    delimiter=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    charset=st.sampled_from(["utf-8", "gb18030", "utf-16"]),
    piece=_pieces,
)
def test_csv_is_read_as_it_was_written(
    table: list[list[str]], delimiter: str, end: str, charset: str, piece: int
) -> None:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(table)
    with mock.patch.object(text, "_CHUNK_BYTES", piece):
        assert _rows(out.getvalue().encode(charset), Form.CSV, charset, delimiter) == table


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(
        st.dictionaries(_cells, _cells.filter(str.strip), min_size=1, max_size=4), min_size=1, max_size=5
    ),
    indent=st.sampled_from([None, 1]),
    piece=_pieces,
)
def test_json_is_read_as_it_was_written(values: list[dict[str, str]], indent: int | None, piece: int) -> None:
    heads = list(dict.fromkeys(key for one in values for key in one))
    if not any(map(str.strip, heads)):
        heads = ["x", *heads]
        values = [{"x": "1", **one} for one in values]
    expected = [heads, *([one.get(head, "") for head in heads] for one in values)]
    whole = json.dumps(values, indent=indent, ensure_ascii=bool(indent)).encode()
    lines = "\n".join(map(json.dumps, values)).encode()
    with mock.patch.object(text, "_CHUNK_BYTES", piece):
        assert _rows(whole, Form.JSON) == expected
        assert _rows(lines, Form.NDJSON) == expected


@settings(max_examples=400, deadline=None)
@given(
    body=st.one_of(
        st.binary(max_size=60),
        st.lists(
            st.sampled_from([*'[]{}:,"\\ \n\r\t;a1-', "null", "1e9", '{"a":1}', "\xff", "\0", '""']),
            max_size=20,
        ).map(lambda parts: "".join(parts).encode("latin-1")),
    ),
    form=st.sampled_from([Form.CSV, Form.JSON, Form.NDJSON, Form.XLSX]),
    piece=_pieces,
)
def test_no_bytes_make_reading_fail(body: bytes, form: Form, piece: int) -> None:
    with mock.patch.object(text, "_CHUNK_BYTES", piece):
        faults = _read(body, form)
    assert all(one.message and one.message_zh and one.fix and one.fix_zh for one in faults)


def _read(body: bytes, form: Form) -> tuple[Fault, ...]:
    """Read a source in every way that its form allows; returns why it was refused, nothing if it was not."""
    try:
        for sheet in open_table(body, form, limits=_LIMITS).sheets:
            for row in sheet.rows():
                row.place(len(row.cells) - 1)
        if form in (Form.JSON, Form.NDJSON):
            list(open_documents(body, form, limits=_LIMITS))
    except Refused as refused:
        return refused.faults
    return ()
