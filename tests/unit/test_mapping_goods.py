"""Mappings that look things up in registered goods."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from gateway.config.gateway_toml import LimitsConfig
from gateway.errors import RulesError
from gateway.goods.form import CSV, read_goods
from gateway.goods.register import GoodsOfDay
from gateway.mapping.compile import load_mapping
from gateway.mapping.language import SourceMapping
from gateway.mapping.translate import translate
from gateway.rules.loading import RULES
from tests.unit.mapping_examples import example, shipped

ROWS = b"itemNo,gcode,unit1,unit\nSKU-1,1111111111,,007\nSKU-2,2222222222,011,007\n"


@pytest.fixture
def mapping(tmp_path: Path) -> SourceMapping:
    return changed(tmp_path, gcode='{ from = "sku", goods = "gcode" }')


def changed(folder: Path, **origins: str) -> SourceMapping:
    """The shipped mapping of import inventories, with other origins for fields of its lines."""
    text = (RULES / "mappings" / "translations" / "inventories.toml").read_text("utf-8")
    lines = text.splitlines()
    for name, origin in origins.items():
        (*_, at) = [number for number, line in enumerate(lines) if line.startswith(f"{name} = ")]
        lines[at] = f"{name} = {origin}"
    file = folder / "mine.toml"
    file.write_text("\n".join(lines), "utf-8")
    return load_mapping(file, shipped())


def source(*skus: str) -> bytes:
    """The example of the page with these item numbers, one for each of its rows."""
    head, *rows = csv.reader(io.StringIO(example("inventories").decode()))
    at, text = head.index("sku"), io.StringIO()
    writer = csv.writer(text)
    writer.writerow(head)
    for row, sku in zip(rows, skus, strict=False):
        writer.writerow([*row[:at], sku, *row[at + 1 :]])
    return text.getvalue().encode()


def made(mapping: SourceMapping, body: bytes, rows: bytes | None = ROWS, day: str = "20260601") -> Any:
    goods = None if rows is None else GoodsOfDay(read_goods(rows, CSV), day)
    return translate(body, mapping, LimitsConfig(), goods=goods)


def test_code_is_filled_in_from_the_register_and_the_trace_says_so(mapping: SourceMapping) -> None:
    done = made(mapping, source("SKU-1", "SKU-2"))
    assert done.faults == ()
    assert b"<ceb:gcode>1111111111</ceb:gcode>" in done.document
    assert b"<ceb:gcode>2222222222</ceb:gcode>" in done.document
    steps = [one for one in done.steps() if one.target.endswith("/gcode")]
    digest = read_goods(ROWS, CSV).sha256
    assert [one.function for one in steps] == [f"goods gcode, version 0 ({digest[:12]})"] * 2
    assert [one.source for one in steps] == ["row 2, column sku", "row 3, column sku"]
    assert done.origin["goods_sha256"] == digest


@pytest.mark.parametrize(
    ("rows", "rule"),
    [
        (ROWS, "not_in_goods"),
        (ROWS + b"MISSING,,,\n", "goods_empty"),
        (b"itemNo,gcode,until\nMISSING,1111111111,2026-05-31\nSKU-1,1111111111,\n", "not_in_goods"),
        (None, "no_goods"),
    ],
)
def test_missing_item_is_a_fault_of_its_row_that_names_the_item(
    mapping: SourceMapping, rows: bytes | None, rule: str
) -> None:
    done = made(mapping, source("MISSING"), rows)
    (fault,) = done.faults
    assert (fault.rule, fault.element, fault.value, fault.source) == (
        rule,
        "gcode",
        "MISSING",
        "row 2, column sku",
    )
    assert "MISSING" in fault.message
    assert "MISSING" in fault.message_zh
    assert fault.fix
    assert b"<ceb:gcode>" not in done.document, "nothing is guessed"


def test_what_is_looked_up_goes_through_the_functions_after_it(tmp_path: Path) -> None:
    mapping = changed(tmp_path, unit='{ from = "sku", goods = "unit", map = { 007 = "011" } }')
    assert made(mapping, source("SKU-1")).document.count(b"<ceb:unit>011</ceb:unit>") == 1


def test_mapping_that_looks_nothing_up_does_not_name_the_register(tmp_path: Path) -> None:
    plain = changed(tmp_path)
    assert "goods_sha256" not in made(plain, example("inventories")).origin


@pytest.mark.parametrize(
    "origin",
    ['{ from = "sku", goods = "nosuch" }', '{ constant = "1", goods = "gcode" }', '{ goods = "gcode" }'],
)
def test_look_up_that_is_mis_written_is_told(tmp_path: Path, origin: str) -> None:
    with pytest.raises(RulesError, match=r"goods|no source"):
        changed(tmp_path, gcode=origin)
