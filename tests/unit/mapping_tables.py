"""Small mappings and tables for tests: payments (CEB411) of a table, with what a test adds or replaces."""

import json
from pathlib import Path
from typing import Final

from gateway.config.gateway_toml import LimitsConfig
from gateway.mapping.compile import compile_mapping
from gateway.mapping.language import SourceMapping
from gateway.mapping.sources.table import Form
from gateway.mapping.translate import translate
from gateway.mapping.translated import Translated
from gateway.mapping.translation import Source, Translation, open_translation
from tests.unit.mapping_examples import shipped

LIMITS: Final = LimitsConfig()
HEAD: Final = {
    "guid": "{ guid = [] }",
    "appType": '{ constant = "1" }',
    "appTime": '{ from = "时间", time = "sheet", else = { given = "app_time" } }',
    "appStatus": '{ constant = "2" }',
    "payCode": '{ constant = "4400000001" }',
    "payName": '{ constant = "示例支付企业" }',
    "payTransactionId": '"交易号"',
    "orderNo": '"单号"',
    "ebpCode": '{ constant = "4400000002" }',
    "ebpName": '{ constant = "示例平台" }',
    "payerIdType": '{ constant = "1" }',
    "payerIdNumber": '{ from = "证件", default = "990101197001010001" }',
    "payerName": '{ from = "姓名", default = "赵样例" }',
    "amountPaid": '"金额"',
    "currency": '{ constant = "142" }',
    "payTime": '{ constant = "20261111075900" }',
    "note": '"备注"',
}
COLUMNS: Final = {
    "单号": '{ also = ["订单号", "order_no"], required = true }',
    "交易号": "{ required = true }",
    "金额": "{ required = true }",
    "时间": "{}",
    "证件": "{}",
    "姓名": "{}",
    "备注": "{}",
}


def payments(top: str = "", each: str = "[]", columns: dict[str, str] | None = None, **head: str) -> str:
    """A mapping of a table to payments."""
    listed = "\n".join(f'"{name}" = {told}' for name, told in (COLUMNS | (columns or {})).items())
    document = "\n".join(f"{name} = {origin}" for name, origin in (HEAD | head).items())
    money = "" if "money" in top else 'money = "yuan"'
    return f"""
message = "CEB411Message"
source = "table"
{money}
{top}
[columns]
{listed}
[each]
Payment = {each}
[document]
"@guid" = {{ guid = [] }}
"@version" = {{ constant = "1.0" }}
[document.Payment.PaymentHead]
{document}
[document.BaseTransfer]
copCode = {{ constant = "4400000001" }}
copName = {{ constant = "示例支付企业" }}
dxpMode = {{ constant = "DXP" }}
dxpId = {{ constant = "DXPENT0000000001" }}
"""


def compiled(text: str, folder: Path | None = None) -> SourceMapping:
    return compile_mapping(text.encode(), Path("mine.toml"), shipped(), beside=folder)


def opened(
    text: str, table: str | bytes, form: Form = Form.CSV, app_time: str = "20261111080000"
) -> Translation:
    content = table.encode() if isinstance(table, str) else table
    return open_translation(compiled(text), Source(content=content, form=form, app_time=app_time))


def made(
    text: str, table: str, *, folder: Path | None = None, app_time: str = "20261111080000"
) -> Translated:
    return translate(table.encode(), compiled(text, folder), LIMITS, form=Form.CSV, app_time=app_time)


def field(done: Translated, name: str) -> list[str | None]:
    """The texts of a field of every declaration, None where it was left out."""
    return [step.value for step in done.steps() if step.target.rpartition("/")[2] == name]


def sheets(**tables: list[dict[str, str]]) -> bytes:
    return json.dumps(tables, ensure_ascii=False).encode()
