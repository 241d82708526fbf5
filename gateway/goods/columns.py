"""The columns of the two tables that enterprises hand in, with the heads that their sheets use (docs/goods.md, Form).

Lengths are those of the fields that the values are declared in (docs/spec/messages.md).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

GOODS: Final = "goods"
BOOKS: Final = "books"
RegisterName = Literal["goods", "books"]
DIGITS_OF_DAY: Final = re.compile(r"([0-9]{4})[-/.]?([0-9]{2})[-/.]?([0-9]{2})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table."""

    name: str
    name_zh: str
    also: tuple[str, ...] = ()
    """Other heads that sheets have for it."""
    most: int
    """Characters at most."""
    form: re.Pattern[str] | None = None
    """Of the whole value; None: any text."""
    form_en: str = ""
    """The form, in words."""
    form_zh: str = ""
    is_day: bool = False
    """Whether the value is a day; it is kept as YYYYMMDD."""
    required: bool = False

    @property
    def label(self) -> str:
        """Its name for people who read English."""
        return f"{self.name} ({self.name_zh})"

    @property
    def label_zh(self) -> str:
        """Its name for people who read Chinese."""
        return f"{self.name_zh}（{self.name}）"


def _code3(name: str, name_zh: str, *also: str) -> Column:
    return Column(
        name=name, name_zh=name_zh, also=also, most=3, form=re.compile("[0-9A-Za-z]{3}", re.ASCII),
        form_en="a code of three characters, such as 035", form_zh="3位代码，例如035",
    )  # fmt: skip


def _day(name: str, name_zh: str, *also: str, required: bool = False) -> Column:
    return Column(name=name, name_zh=name_zh, also=also, most=10, is_day=True, required=required)


GOODS_COLUMNS: Final[tuple[Column, ...]] = (
    Column(
        name="itemNo", name_zh="企业商品货号", also=("商品货号", "货号", "企业商品编号"), most=30, required=True
    ),
    Column(
        name="gcode", name_zh="商品编码", also=("海关商品编码", "HS编码", "商品税号"), most=10, form=re.compile("[0-9]{10}", re.ASCII),
        form_en="ten digits", form_zh="10位数字",
    ),
    Column(name="itemName", name_zh="企业商品名称", also=("企业商品品名",), most=250),
    Column(name="gname", name_zh="商品名称", most=250),
    Column(name="gmodel", name_zh="商品规格型号", also=("规格型号",), most=510),
    _code3("unit", "计量单位", "申报计量单位"),
    _code3("unit1", "法定计量单位", "第一法定计量单位"),
    _code3("unit2", "第二计量单位", "第二法定计量单位"),
    _code3("country", "原产国（地区）", "原产国", "原产国(地区)"),
    Column(name="barCode", name_zh="条形码", also=("条码", "商品条码", "商品条形码"), most=50),
    Column(name="itemRecordNo", name_zh="账册备案料号", also=("备案料号",), most=30),
    Column(name="emsNo", name_zh="账册编号", also=("账册号",), most=30),
    _day("from", "生效日期", "开始日期"),
    _day("until", "失效日期", "截止日期"),
)  # fmt: skip
"""One item in one period; an item may stand several times if its periods do not overlap."""

BOOKS_COLUMNS: Final[tuple[Column, ...]] = (
    Column(
        name="field", name_zh="字段", most=12, form=re.compile("emsNo|itemRecordNo", re.ASCII), required=True,
        form_en="emsNo or itemRecordNo", form_zh="emsNo或itemRecordNo",
    ),
    Column(name="old", name_zh="原编号", also=("旧编号",), most=30, required=True),
    Column(name="new", name_zh="新编号", most=30, required=True),
    _day("from", "启用日期", "生效日期", required=True),
)  # fmt: skip
"""One number that another takes the place of, from a day on."""

ROWS_AT_MOST: Final = {GOODS: 50_000, BOOKS: 1000}
COLUMNS: Final[dict[str, tuple[Column, ...]]] = {GOODS: GOODS_COLUMNS, BOOKS: BOOKS_COLUMNS}


def heads(columns: Sequence[Column]) -> dict[str, int]:
    """Return every head of these columns, in lower case, → the place of its column."""
    return {head.lower(): at for at, one in enumerate(columns) for head in (one.name, one.name_zh, *one.also)}
