"""Reads request parameters as strictly as the contract says: a value out of bounds is refused, not corrected.

A wrong guess would be worse than an error: `?dry_run=yes` must not submit a declaration (ADR 0024).
"""

import re
from collections.abc import Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct
from starlette.requests import Request

from gateway.doors.http.operations import (
    IDEMPOTENCY_KEY_AT_MOST,
    KEY_AT_MOST,
    PARCEL_NUMBER_AT_MOST,
    PARCEL_NUMBERS,
    QUERIES,
)
from gateway.doors.http.services import ProblemError
from gateway.mapping.sources.item import shortened
from gateway.model import Fault
from gateway.rules.catalogue import Catalogue
from gateway.views.api import CURSOR_AT_MOST

_UID: Final = re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}", re.ASCII)
_ARRIVAL: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
_FOURTEEN: Final = re.compile(r"[0-9]{14}", re.ASCII)
_NAME_LOOKED_AT: Final = 50
"""Most characters of an unknown name that are compared with the known ones."""
_NEAR: Final = 0.5
ITEM_AT_MOST: Final = 30
"""Characters of an item number (docs/spec/messages.md)."""
_TEXTS: Final = {
    "type": (
        re.compile(r"CEB[0-9]{3}Message", re.ASCII),
        "write it as CEB621Message",
        "请写成CEB621Message的形式",
    ),
    "key": (
        re.compile(rf"[^\x00-\x1f\x7f]{{1,{KEY_AT_MOST}}}"),
        "write the key fields as the submission answered them, agentCode=… copNo=…",
        "请按提交时应答的主键字段填写：agentCode=… copNo=…",
    ),
    "item_no": (
        re.compile(rf"[^\x00-\x1f\x7f]{{1,{ITEM_AT_MOST}}}"),
        f"write an item number of at most {ITEM_AT_MOST} characters",
        f"请填写不超过{ITEM_AT_MOST}个字符的货号",
    ),
    **{
        name: (
            re.compile(rf"[^\x00-\x1f\x7f]{{1,{PARCEL_NUMBER_AT_MOST}}}"),
            f"write the number as declared, at most {PARCEL_NUMBER_AT_MOST} characters",
            f"请按申报时的编号填写，不超过{PARCEL_NUMBER_AT_MOST}个字符",
        )
        for name in PARCEL_NUMBERS
    },
}


def number(request: Request, name: str, *, least: int, most: int) -> int | None:
    """Read a whole number of the query; None when it is missing. Raises ProblemError when it is out of bounds."""
    text = request.query_params.get(name)
    if text is None:
        return None
    if not _ARRIVAL.fullmatch(text) or not least <= int(text) <= most:
        raise _bad(
            name,
            "not_a_number",
            f"{name} must be a whole number, {least} to {most}",
            f"{name} 必须是 {least} 至 {most} 的整数",
        )
    return int(text)


def in_query(query: str, name: str) -> str | None:
    """Return the value of a parameter, the last if it is there twice; None when it is missing."""
    return dict(parse_qsl(query, keep_blank_values=True)).get(name)


def check_query(query: str, operation: str) -> None:
    """Refuse a parameter that an operation (`POST /v1/messages`) lacks, suggesting the nearest. Raises ProblemError."""
    known = QUERIES[operation]
    for name, _ in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            near = get_close_matches(name[:_NAME_LOOKED_AT].lower(), known, n=1, cutoff=_NEAR)
            raise _bad(
                shortened(name),
                "unknown_parameter",
                f"{operation} has no query parameter of this name",
                "该接口没有此查询参数",
                (
                    f"did you mean {near[0]}?" if near else f"it has: {', '.join(known) or 'none'}",
                    f"是否应为{near[0]}？" if near else f"可用的参数：{'、'.join(known) or '无'}",
                ),
            )


def flag(name: str, text: str | None) -> bool:
    """Read `true` or `false`; a missing value is false. Raises ProblemError for anything else."""
    if text is None or text == "false":
        return False
    if text != "true":
        raise _bad(name, "not_a_boolean", f"{name} must be true or false", f"{name} 只能是 true 或 false")
    return True


def time_given(name: str, text: str | None) -> str:
    """Read a time of 14 digits; empty when it is missing. Raises ProblemError for anything else."""
    if text and not _is_time(text):
        raise _bad(
            name,
            "not_a_time",
            f"{name} must be an existing time, YYYYMMDDhhmmss",
            f"{name} 必须是实际存在的时间，格式为YYYYMMDDhhmmss",
        )
    return text or ""


def _is_time(text: str) -> bool:
    try:
        return bool(_FOURTEEN.fullmatch(text)) and bool(datetime.strptime(text, "%Y%m%d%H%M%S"))  # noqa: DTZ007 (only looked at)
    except ValueError:
        return False


def text(request: Request, name: str) -> str:
    """Read a required text. Raises ProblemError when it is missing, or not of its form."""
    found = request.query_params.get(name)
    form, fix, fix_zh = _TEXTS[name]
    if found is None:
        raise _bad(name, "missing", f"{name} is missing", f"缺少参数 {name}", (fix, fix_zh))
    if not form.fullmatch(found):
        raise _bad(name, "bad_form", f"{name} is not of its form", f"参数 {name} 格式错误", (fix, fix_zh))
    return found


def text_if_there(request: Request, name: str) -> str | None:
    """Read a text that may be missing: None. Raises ProblemError when it is not of its form."""
    return text(request, name) if name in request.query_params else None


def one_number(request: Request) -> dict[str, str]:
    """Read the one number of a parcel that is asked for, by the name of its parameter. Raises ProblemError."""
    named = [name for name in PARCEL_NUMBERS if name in request.query_params]
    if len(named) != 1:
        raise _bad(
            named[1] if named else PARCEL_NUMBERS[0],
            "one_number",
            f"exactly one of {', '.join(PARCEL_NUMBERS)} must be given",
            f"{'、'.join(PARCEL_NUMBERS)} 三个参数必须且只能填写一个",
            (
                "ask for order_no=…, waybill_no=… or invt_no=…",
                "请使用order_no=…、waybill_no=…或invt_no=…中的一个",
            ),
        )
    return {named[0]: text(request, named[0])}


def message_id(request: Request) -> str:
    """Read the id of a message from the path. Raises ProblemError, without a look-up, for what cannot be an id."""
    found = str(request.path_params["id"]).upper()
    if not _UID.fullmatch(found):
        raise ProblemError("not-found")
    return found


def receipt_id(request: Request) -> int:
    """Read the id of a receipt from the path. Raises ProblemError, without a look-up, for what cannot be an id."""
    found = str(request.path_params["id"])
    if not _ARRIVAL.fullmatch(found):
        raise ProblemError("not-found")
    return int(found)


class _Acknowledgement(Struct, frozen=True, forbid_unknown_fields=True):
    """AcknowledgementView with the number types that JSON allows."""

    cursor: int | float


def cursor_in(body: bytes) -> int:
    """Read `{"cursor": N}`; `3.0` is a whole number in JSON too. Raises ProblemError."""
    fix = ('send {"cursor": 42}', '请发送{"cursor": 42}')
    try:
        found = msgspec.json.decode(body, type=_Acknowledgement).cursor
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _bad("", "bad_json", str(error), "请求正文无效", fix) from error
    if not 0 <= found <= CURSOR_AT_MOST or found != int(found):
        told = f"cursor must be a whole number, 0 to {CURSOR_AT_MOST}"
        raise _bad("/cursor", "not_a_number", told, f"cursor 必须是 0 至 {CURSOR_AT_MOST} 的整数", fix)
    return int(found)


def beyond(newest: int) -> ProblemError:
    """Return the problem of a cursor beyond the newest receipt."""
    return _bad(
        "/cursor",
        "beyond_the_newest",
        f"your newest receipt is {newest}; nothing was acknowledged",
        f"最新回执的游标为{newest}，未作任何确认",
        (
            "send the cursor of the last page whose receipts you have stored",
            "请发送已保存回执的最后一页的游标",
        ),
    )


def check_key(message_type: str, key: str, catalogue: Catalogue) -> None:
    """Refuse a type or a key that cannot name a declaration. Raises ProblemError.

    Call it only after nothing was found: some older declarations are named by less than a whole key.
    """
    kinds = {kind.name: kind for kind in catalogue.declarations()}
    kind = kinds.get(message_type)
    if kind is None:
        near = get_close_matches(message_type, kinds, n=1, cutoff=_NEAR)
        told = f"{message_type} is not declared to customs"
        fix = f"did you mean {near[0]}?" if near else f"one of: {', '.join(kinds)}"
        fix_zh = f"是否应为{near[0]}？" if near else f"可用的报文类型：{'、'.join(kinds)}"
        raise _bad("type", "bad_form", told, f"{message_type}不是申报报文类型", (fix, fix_zh))
    parts = [one.partition("=") for one in key.removeprefix(f"{message_type} ").split(" ")]
    names = tuple([name for name, _, _ in parts])
    alone = tuple(dict.fromkeys(name for name in (kind.handle, *kind.numbers) if name))
    if not all(value for _, _, value in parts) or names not in {kind.key, *((name,) for name in alone)}:
        whole = " ".join(f"{name}=…" for name in kind.key)
        forms = (whole, *(f"{name}=…" for name in alone))
        told = f"key is not of the form that names a {message_type}"
        fix, fix_zh = f"write key={' or '.join(forms)}", f"请写成key={'或'.join(forms)}"
        raise _bad("key", "bad_form", told, f"参数 key 不是{message_type}的主键格式", (fix, fix_zh))


def request_name(text: str) -> str:
    """Check an Idempotency-Key, empty: none. Raises ProblemError instead of cutting: two keys could become one."""
    if text and (len(text) > IDEMPOTENCY_KEY_AT_MOST or not (text.isascii() and text.isprintable())):
        raise _bad(
            "Idempotency-Key",
            "bad_form",
            f"Idempotency-Key must be printable ASCII, {IDEMPOTENCY_KEY_AT_MOST} characters at most",
            f"Idempotency-Key 只能是可打印的 ASCII 字符，最多 {IDEMPOTENCY_KEY_AT_MOST} 个",
        )
    return text


def check_media_type(content_type: str, known: Sequence[str], *better: Fault) -> None:
    """Check a Content-Type; a missing one is accepted. Raises ProblemError, with the `better` fault if given."""
    form = content_type.partition(";")[0].strip().lower()
    if form and form not in known:
        raise ProblemError(
            "unsupported-media-type",
            *better,
            *(
                []
                if better
                else [
                    Fault(
                        rule="media_type",
                        value=form[:100],
                        message="the Content-Type is none that is understood here",
                        message_zh="不支持该 Content-Type",
                        fix=f"send Content-Type: {known[0]}",
                        fix_zh=f"请发送Content-Type: {known[0]}",
                    )
                ]
            ),
        )


def _bad(
    name: str,
    rule: str,
    message: str,
    message_zh: str,
    fix: tuple[str, str] = ("see /docs", "请参阅/docs"),
) -> ProblemError:
    return ProblemError(
        "bad-request",
        Fault(path=name, rule=rule, message=message, message_zh=message_zh, fix=fix[0], fix_zh=fix[1]),
    )
