"""The examples beside the shipped mappings (`mappings/translations/NAME/`), in every form that says the same.

`python -m tests.golden.mapping_sources` writes what becomes of them anew: STEM.xml and STEM.trace; look at what changed.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import openpyxl

from gateway.mapping.language import SourceKind, SourceMapping
from gateway.mapping.loading import load_mappings
from gateway.mapping.sources.opening import open_table
from gateway.mapping.sources.table import SUFFIXES, Form, SourceLimits
from gateway.mapping.translated import Translated
from gateway.mapping.translation import Source, open_translation
from gateway.rules.loading import RULES, load_rules

APP_TIME: Final = "20260102030405"
FOLDER: Final = RULES / "mappings" / "translations"


@dataclass(frozen=True, kw_only=True)
class Written:
    """The same values, written in some way."""

    how: str
    content: bytes
    form: Form
    charset: str = ""


@dataclass(frozen=True, kw_only=True)
class MappingExample:
    """A source beside a mapping."""

    mapping: SourceMapping
    file: Path

    @property
    def name(self) -> str:
        return f"{self.mapping.name}/{self.file.name}"

    @property
    def written(self) -> Written:
        """As it stands in its file."""
        return Written(how="file", content=self.file.read_bytes(), form=SUFFIXES[self.file.suffix])

    def translated(self, written: Written) -> Translated:
        source = Source(
            content=written.content, form=written.form, charset=written.charset, app_time=APP_TIME
        )
        return open_translation(self.mapping, source).whole()

    def beside(self, suffix: str) -> Path:
        return self.file.with_suffix(suffix)

    def ways(self) -> Iterator[Written]:
        """The same in every form and encoding that can say it."""
        if self.mapping.source is SourceKind.JSON:
            yield from _trees(self.written)
        else:
            yield from _tables(self.written)


def mapping_examples() -> list[MappingExample]:
    mappings = load_mappings(load_rules())
    return [
        MappingExample(mapping=mapping, file=file)
        for name, mapping in mappings.items()
        for file in sorted((FOLDER / name).glob("*"))
        if file.suffix in SUFFIXES and file.with_suffix(".xml").exists()
    ]


def trace_of(made: Translated) -> str:
    """A line for each field: where it stands, what is in it, where it comes from."""
    return "".join(
        f"{one.target}\t{one.value if one.value is not None else '–'}\t{one.source or 'the mapping'}\t{one.function}\n"
        for one in made.steps()
    )


def _trees(written: Written) -> Iterator[Written]:
    value = json.loads(written.content)
    dense = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    wide = json.dumps(value, ensure_ascii=False, indent=3).replace("\n", "\r\n")
    yield Written(how="dense", content=dense.encode(), form=Form.JSON)
    yield Written(how="wide", content=wide.encode(), form=Form.JSON)
    yield Written(how="escaped", content=json.dumps(value).encode(), form=Form.JSON)
    yield Written(how="ndjson", content=f"\n{dense}\n".encode(), form=Form.NDJSON)


def _tables(written: Written) -> Iterator[Written]:
    book = open_table(written.content, written.form, limits=SourceLimits())
    tables = {sheet.name: [list(row.cells) for row in sheet.rows()] for sheet in book.sheets}
    if len(tables) == 1:
        (rows,) = tables.values()
        yield Written(how="utf-8", content=_csv(rows).encode(), form=Form.CSV)
        yield Written(how="mark", content=_csv(rows, "\r\n").encode("utf-8-sig"), form=Form.CSV)
        yield Written(how="gb18030", content=_csv(rows).encode("gb18030"), form=Form.CSV, charset="gb18030")
        yield Written(how="utf-16", content=_csv(rows, delimiter="\t").encode("utf-16"), form=Form.CSV)
        yield Written(how="semicolon", content=_csv(rows, delimiter=";").encode(), form=Form.CSV)
        objects = _objects(rows)
        lines = "\n".join(json.dumps(one, ensure_ascii=False) for one in objects)
        yield Written(how="json", content=json.dumps(objects).encode(), form=Form.JSON)
        yield Written(how="ndjson", content=lines.encode(), form=Form.NDJSON)
    else:
        sheets = {name: _objects(rows) for name, rows in tables.items()}
        yield Written(how="json", content=json.dumps(sheets).encode(), form=Form.JSON)
    yield Written(how="xlsx", content=_xlsx(tables), form=Form.XLSX)


def _csv(rows: Sequence[Sequence[str]], end: str = "\n", delimiter: str = ",") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=end).writerows(rows)
    return out.getvalue()


def _objects(rows: Sequence[Sequence[str]]) -> list[dict[str, str]]:
    head, *others = rows
    return [dict(zip(head, row, strict=True)) for row in others]


def _xlsx(tables: Mapping[str, Sequence[Sequence[str]]]) -> bytes:
    book = openpyxl.Workbook(write_only=True)
    for name, rows in tables.items():
        sheet = book.create_sheet(name or "Sheet1")
        for row in rows:
            sheet.append(list(row))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def write_anew() -> None:
    for one in mapping_examples():
        made = one.translated(one.written)
        one.beside(".xml").write_bytes(made.document)
        one.beside(".trace").write_text(trace_of(made), "utf-8")


if __name__ == "__main__":
    write_anew()
