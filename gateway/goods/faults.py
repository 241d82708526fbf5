"""What is wrong with a register that is handed in: the row, the column, why, and what to do, in English and in Chinese."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.goods.columns import Column
from gateway.mapping.faults import SourceFault
from gateway.mapping.sources.item import Reference, Spot, shortened
from gateway.model import Fault


@dataclass(frozen=True, slots=True)
class RowFault:
    """One thing wrong with a row, or with a head."""

    rule: str
    """A key of the table of texts."""
    here: Reference | None
    """Where; None: the row as a whole."""
    column: Column | None
    value: str


_ROW: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "unknown_column": (
        "there is no column {value}", "没有名为“{value}”的列",
        "leave it out, or use one of the heads of docs/goods.md{near}", "请删除该列，或改用文档规定的列名{near_zh}",
    ),
    "doubled_column": (
        "the column {label} is there twice", "列{label_zh}重复", "keep one of the two", "请只保留一列",
    ),
    "missing": ("{label} is missing", "缺少{label_zh}", "fill it in", "请填写"),
    "too_long": (
        "{label} has {length} characters, at most {limit} are allowed", "{label_zh}有{length}个字符，最多允许{limit}个",
        "shorten it", "请缩短",
    ),
    "control": (
        "{label} holds a line break, a tab or another character that cannot be seen", "{label_zh}含有换行、制表符等不可见字符",
        "take it out", "请删除该字符",
    ),
    "form": ("{label} is not {form}", "{label_zh}不是{form_zh}", "write {form}", "请填写{form_zh}"),
    "no_day": (
        "{label} is no day of the calendar", "{label_zh}不是有效日期", "write it as 2026-11-11", "请按2026-11-11的格式填写",
    ),
    "exponent_form": (
        "{label} is in exponent form, its digits are lost", "{label_zh}为科学计数法，原有数字已丢失",
        "set the column of the sheet to text and enter it again from where it came", "请将该列设为文本格式后重新填写",
    ),
    "digits_lost": (
        "{label} is a number with more digits than programs keep", "{label_zh}为数值且位数过长，数字可能已改变",
        "send it as a text in double quotes", "请按文本填写并加双引号",
    ),
    "word_for_text": (
        "{label} is true or false, not a text", "{label_zh}是true或false，不是文本", "send a text in double quotes",
        "请按文本填写并加双引号",
    ),
    "error_value": (
        "{label}: the cell shows an error", "{label_zh}的单元格显示错误值", "correct the formula, or write the value itself",
        "请更正公式，或直接填写内容",
    ),
    "no_stored_value": (
        "{label}: the cell holds a formula, and the file does not say its value", "{label_zh}的单元格为公式，文件中没有保存计算结果",
        "open the file in a spreadsheet program and save it, or write the value itself", "请用电子表格软件打开文件并保存，或直接填写内容",
    ),
    "not_a_value": (
        "{label} is an array or an object, not one value", "{label_zh}是数组或对象，不是单个值", "send a text",
        "请填写单个文本值",
    ),
    "no_object": ("this member of the array is no object", "数组中的该成员不是对象", 'send {{"itemNo": "…", …}}', "请改为对象"),
    "ends_early": (
        "the period ends before it begins", "失效日期早于生效日期", "correct from or until", "请更正生效日期或失效日期",
    ),
    "overlap": (
        "item {value} is in force twice at one time, here and in {other}", "货号{value}的有效期与另一处（{other}）重叠",
        "end the earlier row before the later one begins, or keep one of the two", "请使前一行在后一行生效前失效，或只保留一行",
    ),
    "many_periods": (
        "item {value} has more than {most} rows", "货号{value}超过{most}行", "keep the periods that declarations still need",
        "请只保留仍需使用的有效期",
    ),
    "switched_twice": (
        "{value} is switched here and in {other}", "编号{value}在此处和另一处（{other}）均被更换", "keep one of the two",
        "请只保留一行",
    ),
    "same_number": (
        "old and new are the same number", "原编号与新编号相同", "write the number that takes its place", "请填写更换后的编号",
    ),
    "back_in_time": (
        "the number is switched on no later day than the one on which {other} brings it into force",
        "该编号的更换日期不晚于其启用日期（见{other}）", "correct one of the two days", "请更正其中一个日期",
    ),
}  # fmt: skip
_WHOLE: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "size": (
        "{size} bytes are more than the {most} allowed", "共{size}字节，超过上限{most}字节",
        "leave out columns and items that are not needed", "请删去不需要的列和商品",
    ),
    "empty": ("there are no rows", "没有数据行", "to take the register back, ask with DELETE; here send at least one row",
        "撤销备案请用DELETE；此处至少提交一行",
    ),
    "json_charset": (
        "JSON is UTF-8 (RFC 8259), not {charset}", "JSON必须使用UTF-8编码（RFC 8259），不能使用{charset}", "send it in UTF-8", "请用UTF-8编码提交",
    ),
    "no_array": ("the document is no array of objects", "文档不是由对象组成的数组", 'send [{{"itemNo": "…"}}, …]', '请按[{{"itemNo": "…"}}, …]的形式提交'),
    "too_many_rows": ("{count} rows, at most {most} are allowed", "共{count}行，最多允许{most}行", "leave out what is not traded any more",
        "请删去不再交易的商品",
    ),
}  # fmt: skip
RULES_OF_ROWS: Final = frozenset(_ROW)


def row_fault(wrong: RowFault, spot: Spot, *, near: Column | None = None, **facts: str) -> SourceFault:
    """Make the fault; `near`: the column that an unknown head is likely to mean."""
    en, zh, fix, fix_zh = _ROW[wrong.rule]
    column = wrong.column
    said = {
        **facts,
        "value": shortened(wrong.value),
        "length": str(len(wrong.value)),
        "label": column.label if column else "",
        "label_zh": column.label_zh if column else "",
        "limit": str(column.most) if column else "",
        "form": column.form_en if column else "",
        "form_zh": column.form_zh if column else "",
        "near": f"; {near.name} is meant?" if near else "",
        "near_zh": f"（是否为“{near.name_zh}”）" if near else "",
    }
    where, where_zh = f"line {spot.line}, column {spot.column}", f"第{spot.line}行第{spot.column}列"
    return SourceFault(
        source=shortened(spot.text, 200),
        line=spot.line,
        column=spot.column,
        element=column.name if column else "",
        name_zh=column.name_zh if column else "",
        value=said["value"],
        rule=wrong.rule,
        message=f"{en.format(**said)} ({where})",
        message_zh=f"{zh.format(**said)}（{where_zh}）",
        fix=fix.format(**said),
        fix_zh=fix_zh.format(**said),
    )


def whole_fault(rule: str, **facts: str) -> Fault:
    """Make a fault of the document as a whole."""
    message, message_zh, fix, fix_zh = (text.format(**facts) for text in _WHOLE[rule])
    return Fault(rule=rule, message=message, message_zh=message_zh, fix=fix, fix_zh=fix_zh)
