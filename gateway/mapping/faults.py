"""Faults of a source, in English and Chinese, with the place in the source and the XPath of the field."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from gateway.mapping.source import NoTextError, Spot, shortened
from gateway.model import Fault

PLACE_SHOWN: Final = 200
"""Most characters of a place in the source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFault(Fault):
    """A fault of a document that was made from a source; line and column are those in the source."""

    source: str = ""
    """Place in the source: `/orders/3/buyer/name`, `row 17, column consignee`."""


_TEXTS: Final[Mapping[str, tuple[str, str, str]]] = {
    "not_a_value": (
        "there is an array or an object where {label} needs one value",
        "{label}需要单个值，此处却是数组或对象",
        "send a text or a number here, or let the mapping go deeper",
    ),
    "not_an_array": (
        "{label} repeats, but there is no array",
        "{label}可重复，此处却不是数组",
        "send an array, with one member if there is only one",
    ),
    "rows_disagree": (
        "{label} of one declaration is different from row {first}",
        "同一单证的{label}与第{first}行不一致",
        "rows of one declaration must say the same in this column",
    ),
    "exponent_form": (
        "{label} is a text, and this is a number in exponent form: its digits are lost",
        "{label}应为文本，此处却是科学计数法数值，原有数字已丢失；请将该列设为文本格式后重新填写，JSON中请加双引号",
        "set the column of the spreadsheet to text and enter it again from where it came; in JSON send a text in double quotes",
    ),
    "digits_lost": (
        "{label} is a text, and this is a number with more digits than programs keep, or with a decimal point they added",
        "{label}应为文本，此处却是数值，位数过长或被加上小数点，数字可能已改变；请按文本填写并加双引号",
        "send it as a text in double quotes, from where it came: a number keeps 15 digits on its way through programs",
    ),
    "word_for_text": (
        "{label} is a text, and this is true or false",
        "{label}应为文本，此处却是true或false；请按文本填写并加双引号",
        "send a text in double quotes, or give the mapping a `map` with true and false",
    ),
    "not_a_number": (
        "{label} is not a number",
        "{label}不是数值",
        "write digits with at most one point, for instance 12.50, without separators or currency",
    ),
    "not_a_time": (
        "{label} is not a time of the form {forms}",
        "{label}不是有效时间，应为：{forms}",
        "write an existing day and time in that form",
    ),
    "unknown_code": (
        "{label} has a code that the mapping does not know",
        "{label}的代码不在映射表中",
        "one of: {known}",
    ),
    "no_goods": (
        "{label} is looked up in your registered goods, and you have registered none (item {item})",
        "{label}取自已备案商品，但尚未备案任何商品（货号{item}）",
        "hand in your goods with PUT /v1/goods first; `gateway translate` takes a file with --goods",
    ),
    "not_in_goods": (
        "{label} is looked up in your registered goods, and item {item} is not in force there today",
        "{label}取自已备案商品，但货号{item}未备案或当日不在有效期内",
        "register the item, or correct its number or its period",
    ),
    "goods_empty": (
        "{label} is looked up in your registered goods, and {column} of item {item} is empty there",
        "{label}取自已备案商品，但货号{item}的{column}为空",
        "fill in the column and hand in your goods again",
    ),
    "not_in_xml": (
        "{label} holds a character that XML cannot",
        "{label}含有XML不允许的字符",
        "remove control characters and halves of surrogate pairs",
    ),
    "too_many": (
        "{label} would stand {count} times, at most {limit} allowed",
        "{label}共{count}个，最多允许{limit}个",
        "send at most {limit} in one request; `gateway translate --split` makes several messages of a file",
    ),
}  # fmt: skip
RULES: Final = frozenset(_TEXTS)


def source_fault(wrong: NoTextError, *, path: str, name: str, name_zh: str) -> SourceFault:
    """Make the fault for `wrong`; `path` is the XPath of the field that could not be written."""
    en, zh, fix = _TEXTS[wrong.rule]
    element = name.removeprefix("@")
    label = f"{element} ({name_zh})" if name_zh else element
    label_zh = f"{name_zh}（{element}）" if name_zh else element
    return SourceFault(
        source=shortened(wrong.spot.text, PLACE_SHOWN),
        path=path,
        line=wrong.spot.line,
        column=wrong.spot.column,
        element=element,
        name_zh=name_zh,
        value=shortened(wrong.value),
        rule=wrong.rule,
        message=en.format(label=label, **wrong.facts),
        message_zh=zh.format(label=label_zh, **wrong.facts),
        fix=fix.format(**wrong.facts),
    )


def told_of(fault: Fault, spot: Spot) -> SourceFault:
    """Add the place in the source to a fault of the document."""
    return SourceFault(
        **{**asdict(fault), "line": spot.line, "column": spot.column},
        source=shortened(spot.text, PLACE_SHOWN),
    )
