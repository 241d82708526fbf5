"""The texts of each rule code of a schema fault, in English and in Chinese, and how to fix the fault.

The codes are stable: programs of platforms depend on them, so a code is never renamed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gateway.errors import FAULTS_COUNTED, FAULTS_SHOWN
from gateway.model import Fault
from gateway.rules.schema_model import ElementDecl

VALUE_SHOWN: Final = 100
"""Most characters of a wrong value, or of a name from an unauthenticated caller, that a fault shows."""
MORE: Final = "more_faults"
"""Rule of the fault that represents those that are not shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlace:
    """Where a fault is, and the Chinese name of the field."""

    path: str
    line: int
    element: str
    name_zh: str
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Text:
    en: str
    zh: str
    fix: str


_TEXTS: Final[dict[str, _Text]] = {
    "unknown_root": _Text(
        en="{name} is not a message of edition {edition}",
        zh="{name}不是{edition}版报文类型",
        fix="Name the root element after the message type, for instance CEB311Message{hint}.",
    ),
    "wrong_namespace": _Text(
        en="{label} is in the namespace '{actual}' instead of '{expected}'",
        zh="{label}的命名空间为“{actual}”，应为“{expected}”",
        fix="Declare xmlns (or the prefix used) as {expected}.",
    ),
    "missing": _Text(
        en="{label} is missing in {parent}",
        zh="{parent}缺少{label}",
        fix="Add the element {name} {position}.",
    ),
    "unexpected": _Text(
        en="{label} is not expected in {parent}",
        zh="{parent}中不允许出现{label}",
        fix="Remove the element {name}{hint}.",
    ),
    "out_of_order": _Text(
        en="{label} stands in the wrong place in {parent}",
        zh="{parent}中{label}的顺序不正确",
        fix="Move the element {name} {position}.",
    ),
    "too_many": _Text(
        en="{label} occurs {count} times in {parent}, at most {limit} allowed",
        zh="{parent}中{label}出现{count}次，最多允许{limit}次",
        fix="Keep at most {limit} of the element {name}; send the rest in another message if they are needed.",
    ),
    "text_not_allowed": _Text(
        en="{label} holds text between its elements",
        zh="{label}中不允许直接包含文本",
        fix="Remove the text; only elements may stand in {name}.",
    ),
    "attribute_missing": _Text(
        en="the attribute {label} is missing on {parent}",
        zh="{parent}缺少属性{label}",
        fix="Add the attribute {name}.",
    ),
    "attribute_unexpected": _Text(
        en="the attribute {label} is not allowed on {parent}",
        zh="{parent}不允许有属性{label}",
        fix="Remove the attribute {name}{hint}.",
    ),
    "too_long": _Text(
        en="{label} has {length} characters, at most {limit} allowed",
        zh="{label}长度为{length}个字符，最多允许{limit}个",
        fix="Shorten it to {limit} characters.",
    ),
    "too_short": _Text(
        en="{label} has {length} characters, at least {limit} needed",
        zh="{label}长度为{length}个字符，至少需要{limit}个",
        fix="Fill it with at least {limit} characters, or leave the element out where it is optional.",
    ),
    "wrong_length": _Text(
        en="{label} has {length} characters, exactly {limit} needed",
        zh="{label}长度为{length}个字符，必须正好为{limit}个",
        fix="Write exactly {limit} characters, or leave the element out where it is optional.",
    ),
    "not_decimal": _Text(
        en="{label} is not a decimal number",
        zh="{label}不是有效的数值",
        fix="Write digits with at most one point, for instance 12.50; or leave the element out where it is optional.",
    ),
    "not_integer": _Text(
        en="{label} is not a whole number",
        zh="{label}不是有效的整数",
        fix="Write digits only, for instance 1.",
    ),
    "out_of_range": _Text(
        en="{label} is outside -2147483648 to 2147483647",
        zh="{label}超出整数范围（-2147483648至2147483647）",
        fix="Write a smaller whole number.",
    ),
    "too_many_digits": _Text(
        en="{label} has {length} digits, at most {limit} allowed",
        zh="{label}共有{length}位数字，最多允许{limit}位",
        fix="Write at most {limit} digits, those after the point included.",
    ),
    "too_many_decimals": _Text(
        en="{label} has {length} digits after the point, at most {limit} allowed",
        zh="{label}小数位为{length}位，最多允许{limit}位",
        fix="Round it to {limit} digits after the point.",
    ),
    "fixed_value": _Text(
        en="{label} must be '{expected}'",
        zh="{label}必须为“{expected}”",
        fix="Write {expected}, or leave it empty where the element must stand.",
    ),
    "not_base64": _Text(
        en="{label} is not Base64",
        zh="{label}不是有效的Base64编码",
        fix="Encode the bytes in Base64 with padding.",
    ),
    "not_datetime": _Text(
        en="{label} is not a date and time",
        zh="{label}不是有效的日期时间",
        fix="Write it as 2024-11-11T08:00:00, with T between date and time.",
    ),
    "not_date": _Text(
        en="{label} is not a date",
        zh="{label}不是有效的日期",
        fix="Write it as 2024-11-11.",
    ),
    "not_id": _Text(
        en="{label} is not an identifier",
        zh="{label}不是有效的标识符",
        fix="Begin with a letter or underscore; then letters, digits, point, hyphen or underscore.",
    ),
    "schema": _Text(
        en="{label} does not agree with the schema: {reason}",
        zh="{label}不符合报文格式：{reason}",
        fix="Compare it with the message specification of edition {edition}.",
    ),
}

RULES: Final = frozenset(_TEXTS)
"""Every rule code that schema validation can report."""


def fault(rule: str, place: FaultPlace, within: ElementDecl | None = None, /, **facts: str | int) -> Fault:
    """Make one fault; `within` is the element around the place, `facts` fill in the texts of `rule`."""
    text = _TEXTS[rule]
    parent, parent_zh = (within.name, within.name_zh) if within is not None else ("", "")
    words = {"hint": "", **facts, "name": place.element}
    en = {**words, "label": _en(place.element, place.name_zh), "parent": _en(parent, parent_zh)}
    zh = {**words, "label": _zh(place.element, place.name_zh), "parent": _zh(parent, parent_zh)}
    return Fault(
        path=place.path,
        line=place.line,
        element=place.element,
        name_zh=place.name_zh,
        value=place.value[:VALUE_SHOWN],
        rule=rule,
        message=text.en.format(**en),
        message_zh=text.zh.format(**zh),
        fix=text.fix.format(**words),
    )


def shown_of(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Return the first `FAULTS_SHOWN` faults of a document, then one fault with the number of the others.

    Validation stops at `FAULTS_COUNTED`: from there on the number is given as "at least".
    """
    given = tuple(faults)
    found = tuple(fault for fault in given if fault.rule != MORE)
    if len(given) <= FAULTS_SHOWN:
        return given
    more = len(found) - FAULTS_SHOWN
    at_least = len(found) >= FAULTS_COUNTED or len(found) < len(given)
    return (*found[:FAULTS_SHOWN], _more(more, at_least=at_least)) if more > 0 else given


def _more(count: int, *, at_least: bool) -> Fault:
    return Fault(
        rule=MORE,
        message=f"there are {'at least ' if at_least else ''}{count} more faults that are not shown",
        message_zh=f"另有{'至少' if at_least else ''}{count}处错误未列出",
        fix="mend those that are shown, and send it again",
    )


def _en(name: str, name_zh: str) -> str:
    return f"{name} ({name_zh})" if name_zh else name


def _zh(name: str, name_zh: str) -> str:
    return f"{name_zh}（{name}）" if name_zh else name
