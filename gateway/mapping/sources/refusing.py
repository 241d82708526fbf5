"""Why a source cannot be read, and what to do: in English and in Chinese."""

from collections.abc import Mapping
from typing import Final

from gateway.errors import Refused
from gateway.mapping.sources.item import shortened
from gateway.model import Fault

_SPLIT: Final = ("split it into several files", "请分成多个文件提交")
_QUOTES: Final = (
    'put cells that hold a comma, a line break or " in double quotes, and write " inside them twice',
    '含有逗号、换行或"的单元格须用双引号括起，其中的"须写两次',
)
_SAVE_XLSX: Final = (
    "open it in a spreadsheet program and save it as .xlsx (Excel workbook)", "请用电子表格软件打开，另存为.xlsx（Excel工作簿）"
)  # fmt: skip
_TEXTS: Final[Mapping[str, tuple[str, str, str, str]]] = {
    # any form
    "size": ("{size} bytes are more than the {limit} allowed", "共{size}字节，超过上限{limit}字节", *_SPLIT),
    "rows": ("more than {limit} rows", "超过{limit}行", *_SPLIT),
    "columns": (
        "row {row} has more than {limit} columns", "第{row}行超过{limit}列", "leave out columns that are not needed",
        "请删去不需要的列",
    ),
    "cell": ("a cell of more than {limit} characters", "单元格超过{limit}个字符", "shorten it", "请缩短内容"),
    "other_form": (
        "this is {found}, not {form}", "内容为{found}，不是{form}", "say what it is (Content-Type, or the suffix of the file), or save it as {form}",
        "请按实际格式提交（Content-Type或文件扩展名），或另存为{form}",
    ),
    "encoding": (
        "the charset {codec} is not supported", "不支持字符集{codec}",
        "write it in UTF-8; CSV may be UTF-16 with its mark, or GB18030 (also GBK, GB2312) when charset=gb18030 says so",
        "请使用UTF-8编码；CSV可用带标记的UTF-16，或以charset=gb18030声明的GB18030（含GBK、GB2312）",
    ),
    "encoding_bytes": (
        "bytes that are not {codec}", "含有不属于{codec}的字节",
        "write it in UTF-8; CSV may be UTF-16 with its mark, or GB18030 (also GBK, GB2312) when charset=gb18030 says so",
        "请使用UTF-8编码；CSV可用带标记的UTF-16，或以charset=gb18030声明的GB18030（含GBK、GB2312）",
    ),
    "encoding_mark": (
        "it begins with the mark of {found}, but is said to be {codec}", "文件带有{found}标记，却声明为{codec}",
        "leave the charset out: the mark says what it is", "请勿另行声明字符集：标记已说明编码",
    ),
    "encoding_json": (
        "JSON is UTF-8 (RFC 8259), not {codec}", "JSON必须使用UTF-8编码（RFC 8259），不能使用{codec}", "send it in UTF-8",
        "请用UTF-8编码提交",
    ),
    "empty": ("there is nothing in it", "内容为空", "send a table with its heads", "请提交带标题行的表格"),
    # CSV
    "quote": (
        "a double quote inside a cell, or text behind one", "单元格中的双引号使用不正确", *_QUOTES,
    ),
    "quote_open": ("a cell in double quotes that never ends", "双引号没有结束", *_QUOTES),
    "ragged": (
        "row {row} has {have} cells, the head row has {width}", "第{row}行有{have}列，标题行有{width}列", *_QUOTES,
    ),
    "long_row": ("a row of more than {limit} bytes", "一行超过{limit}字节", *_QUOTES),
    # JSON
    "document_size": (
        "one document of more than {limit} bytes", "单个文档超过{limit}字节",
        "send NDJSON: one document a line, each of at most that size", "请使用NDJSON：每行一个文档，且每个文档不超过该上限",
    ),
    "no_table": (
        "this is no table", "不是表格",
        'send an array of flat objects, [{{"订单编号": "…"}}, …], or one such array for each sheet, {{"sheet": […]}}',
        '请提交由单层对象组成的数组，如[{{"订单编号": "…"}}, …]；多个工作表时为{{"工作表名": […]}}',
    ),
    "not_flat": (
        "{name} is an array or an object, not one value", "{name}是数组或对象，不是单个值", "a cell of a table is one value: send a text",
        "表格的单元格只能有一个值，请填写文本",
    ),
    "not_json": (
        "not JSON: {expected} was expected, {found}", "不是有效的JSON：此处应为{expected_zh}，{found_zh}",
        "send complete JSON (RFC 8259)", "请发送完整的JSON（RFC 8259）",
    ),
    "duplicate_sheet": ("the sheet {name} is there twice", "工作表“{name}”重复", "keep one of them", "请只保留其中一个"),
    # XLSX
    "damaged": (
        "the file is damaged or cut off ({part})", "文件已损坏或不完整（{part}）",
        "open it in a spreadsheet program, save it again as .xlsx, and send all of it", "请用电子表格软件打开后重新另存为.xlsx，并完整提交",
    ),
    "missing_part": ("this is no workbook: {part} is missing in it", "不是工作簿：缺少{part}", *_SAVE_XLSX),
    "doubled_part": ("the archive holds {part} twice", "压缩包中{part}重复", *_SAVE_XLSX),
    "compression": ("{part} is compressed in a way that spreadsheets do not use", "{part}的压缩方式不受支持", *_SAVE_XLSX),
    "doctype": ("{part} holds a document type declaration", "{part}含有文档类型声明", *_SAVE_XLSX),
    "password": (
        "the workbook is protected by a password", "工作簿已加密", "remove the password (File, Info, Protect Workbook) and save it again",
        "请取消打开密码（文件－信息－保护工作簿）后重新保存",
    ),
    "old_workbook": ("this is a workbook of the old form .xls", "这是旧格式.xls工作簿", *_SAVE_XLSX),
    "macros": ("the workbook holds macros (.xlsm)", "工作簿含有宏（.xlsm）", *_SAVE_XLSX),
    "binary_workbook": ("this is a binary workbook (.xlsb)", "这是二进制工作簿（.xlsb）", *_SAVE_XLSX),
    "open_document": ("this is an OpenDocument sheet (.ods)", "这是OpenDocument表格（.ods）", *_SAVE_XLSX),
    "numbers_document": ("this is a sheet of Numbers (.numbers)", "这是Numbers表格（.numbers）", *_SAVE_XLSX),
    "other_office": ("this is a document or slides, no workbook", "这是文档或演示文稿，不是工作簿", *_SAVE_XLSX),
    "members": ("{count} files in the archive, at most {limit} are allowed", "压缩包含{count}个文件，最多允许{limit}个", *_SAVE_XLSX),
    "inflated": ("{size} bytes when unpacked, at most {limit} are allowed", "解压后共{size}字节，超过上限{limit}字节", *_SPLIT),
    "ratio": (
        "{size} bytes would become {inflated}: no sheet is compressed that far", "{size}字节解压后达{inflated}字节，压缩比异常", *_SAVE_XLSX,
    ),
    "part_size": ("{part} has more than {limit} bytes", "{part}超过{limit}字节", *_SAVE_XLSX),
    "sheets": ("more than {limit} sheets", "超过{limit}个工作表", *_SPLIT),
    "merged": (
        "cells are merged in the sheet {sheet}: {range}", "工作表“{sheet}”中有合并单元格：{range}",
        "unmerge them and write the value into each row; only titles above the heads may be merged",
        "请取消合并并在每一行填写内容；只有标题行以上的大标题可以合并",
    ),
    "long_cell": (
        "the cell {cell} of the sheet {sheet} has more than {limit} characters", "工作表“{sheet}”的单元格{cell}超过{limit}个字符",
        "shorten it", "请缩短内容",
    ),
    "wrong_cell": (
        "the cell {cell} of the sheet {sheet} is not written as spreadsheets write it", "工作表“{sheet}”的单元格{cell}内容无法识别",
        "open the file in a spreadsheet program, correct the cell and save it again", "请用电子表格软件打开文件，更正该单元格后重新保存",
    ),
}  # fmt: skip


def refused(problem: str, rule: str, *, line: int = 0, column: int = 0, **facts: object) -> Refused:
    """Make the refusal of a source, with one fault; `line` and `column`: from 1, 0: it has no place."""
    said = {name: shortened(str(one)) for name, one in facts.items()}
    message, message_zh, fix, fix_zh = (text.format(**said) for text in _TEXTS[rule])
    where, where_zh = (
        (f" (line {line}, column {column})", f"（第{line}行第{column}列）") if line else ("", "")
    )
    fault = Fault(
        line=line,
        column=column,
        rule=rule,
        message=message + where,
        message_zh=message_zh + where_zh,
        fix=fix,
        fix_zh=fix_zh,
    )
    return Refused(problem, [fault])
