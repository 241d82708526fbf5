"""translate_rows_s: how fast a large table becomes valid messages, and in how much memory."""

import csv
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import openpyxl

from bench.figure import Figure
from bench.sheets import measured
from gateway.config.gateway_toml import LimitsConfig
from gateway.mapping.loading import load_mappings
from gateway.mapping.sources.table import Form
from gateway.mapping.translation import Source, open_translation
from gateway.rules.loading import RULES, load_rules
from gateway.submission.plain import read_plain

_MAPPING: Final = "inventories"
_EXAMPLE: Final = RULES / "mappings" / "translations" / _MAPPING / "page.csv"
_BAD: Final = 100
"""One row of so many has a quantity that is no number."""


def translating(*, rows: int) -> Figure:
    """Measure rows a second of processor time and peak memory, each in a process of its own: inventories of one line.

    It is read, grouped, written to messages of 100 and each message checked against the schema; one row of 100 is refused.
    """
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
        text, book = Path(folder, "table.csv"), Path(folder, "table.xlsx")
        with text.open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows(_table(rows))
        _write_book(book, rows)
        seconds, mb = measured(_translated, text, Form.CSV)
        book_seconds, book_mb = measured(_translated, book, Form.XLSX)
    return Figure(
        measure="translate_rows_s",
        value=round(rows / seconds),
        unit="rows/s",
        n=rows,
        detail={"mb": mb, "xlsx_rows_s": round(rows / book_seconds), "xlsx_mb": book_mb},
    )


def _table(rows: int) -> Iterator[list[str]]:
    with _EXAMPLE.open(encoding="utf-8", newline="") as file:
        head, row, *_ = csv.reader(file)
    yield head
    numbers = {name: head.index(name) for name in ("cop_no", "order_no", "waybill_no", "quantity")}
    for count in range(rows):
        made = list(row)
        for name, at in numbers.items():
            made[at] = f"{name[0].upper()}-{count:07}" if name != "quantity" else "2"
        if count % _BAD == 0:
            made[numbers["quantity"]] = "two"
        yield made


def _write_book(path: Path, rows: int) -> None:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("清单")
    for row in _table(rows):
        sheet.append(row)
    book.save(path)


def _translated(path: Path, form: Form) -> Iterable[object]:
    """Translate the file and check what comes of it; raises ValueError when something else than expected is refused."""
    rules, limits = load_rules(), LimitsConfig()
    taken = refused = 0
    with path.open("rb") as file:
        mapping = load_mappings(rules)[_MAPPING]
        with open_translation(mapping, Source(content=file, form=form)) as translation:
            for portion in translation.portions():
                document = translation.message(portion.bodies).document
                if read_plain(document, rules.plain, limits) is None:
                    raise ValueError(f"the message from body {portion.start} on is not valid")
                taken += len(portion.bodies)
                refused += len(portion.refused)
                yield document
            if translation.rows != taken + refused or refused != -(-translation.rows // _BAD):
                raise ValueError(f"{taken} taken and {refused} refused of {translation.rows}")
