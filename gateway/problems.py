"""Every problem the gateway reports over HTTP: its stable code, status and title, and its document.

| code | status | when |
|---|---|---|
| `bad-request` | 400 | a parameter or header of the request is wrong |
| `unauthorised` | 401 | no token, certificate or signature, or one that does not hold |
| `not-your-identity` | 403 | copCode, dxpId, SenderId, message type or address is not the caller's, or it is disabled |
| `not-found` | 404 | nothing of that name, or it belongs to somebody else |
| `method-not-allowed` | 405 | the address knows other methods |
| `too-slow` | 408 | the request did not come within the time that there is for it |
| `conflicting-version` | 409 | the same version of a declaration came before, or stands in the message twice, with other content |
| `cop-msg-id-taken` | 409 | the CopMsgId of the sender's own DxpMsg belongs to another message |
| `idempotency-key-taken` | 409 | the Idempotency-Key came before with other bytes |
| `not-yet` | 409 | it comes into being by itself, soon; `Retry-After` |
| `too-large` | 413 | more bytes than a message may have |
| `target-too-long` | 414 | the address has more than 8 KB |
| `unsupported-media-type` | 415 | neither XML nor anything else that is understood, or JSON or CSV without a mapping |
| `unknown-mapping` | 422 | `mapping=` names none that this gateway has |
| `not-json` | 422 | cut off, a key twice, nested too deep, or no JSON at all |
| `not-csv` | 422 | quotes that do not match, a row too short or too long, a column that the mapping needs |
| `not-xlsx` | 422 | damaged, protected by a password, another kind of workbook, merged data cells, macros |
| `invalid-register` | 422 | rows of the goods, or of the switches of books, are wrong; what was there before stays in force |
| `untranslatable` | 422 | the mapping finds something else in the source than it can write |
| `not-xml` | 422 | empty, cut off, or not well-formed |
| `unsafe-xml` | 422 | a DOCTYPE, too many elements, nested too deep |
| `wrong-encoding` | 422 | an encoding not in use here, or bytes that are not in it |
| `unknown-message` | 422 | the root element is no declaration of customs |
| `invalid-envelope` | 422 | a DxpMsg that cannot be opened or says other things than its content |
| `invalid-message` | 422 | the document breaks the schema, or no answer could find back to it |
| `invalid-signature` | 422 | it came signed and the signature does not hold |
| `advice-blocks` | 422 | customs is likely to object, and the enterprise wants such messages refused (`block_on`) |
| `too-expensive` | 422 | judging it took more time or memory than one message may |
| `no-route` | 422 | the gateway is not set up to send such a message anywhere |
| `quota-exceeded` | 429 | the caller hands in more than agreed; `Retry-After` |
| `head-too-large` | 431 | more than 100 headers or 64 KB of them |
| `internal-error` | 500 | a mistake of ours; nothing was taken |
| `unavailable` | 503 | the gateway cannot take anything now; `Retry-After` |
| `version-not-supported` | 505 | neither HTTP/1.1 nor HTTP/1.0 |

Documents are those of RFC 9457; `faults` is our extension member (docs/http-api.md, Problems).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

from gateway.model import Fault

MEDIA_TYPE: Final = "application/problem+json"
TYPE_BASE: Final = "urn:customs-exchange-gateway:problem:"
"""What stands before the code in `type`: a name, not an address to fetch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemType:
    """One kind of problem."""

    status: HTTPStatus
    title: str
    title_zh: str


def _problem(status: HTTPStatus, title: str, title_zh: str) -> ProblemType:
    return ProblemType(status=status, title=title, title_zh=title_zh)


PROBLEMS: Final[Mapping[str, ProblemType]] = MappingProxyType(
    {
        "bad-request": _problem(HTTPStatus.BAD_REQUEST, "The request cannot be understood", "请求无法识别"),
        "unauthorised": _problem(HTTPStatus.UNAUTHORIZED, "Unknown caller", "身份未通过验证"),
        "not-your-identity": _problem(
            HTTPStatus.FORBIDDEN, "This is not registered for the caller", "未为调用方登记"
        ),
        "not-found": _problem(HTTPStatus.NOT_FOUND, "There is no such thing", "未找到"),
        "method-not-allowed": _problem(
            HTTPStatus.METHOD_NOT_ALLOWED, "This address knows other methods", "不支持的请求方法"
        ),
        "too-slow": _problem(HTTPStatus.REQUEST_TIMEOUT, "The request came too slowly", "请求传输过慢"),
        "conflicting-version": _problem(
            HTTPStatus.CONFLICT,
            "The same version of a declaration was handed in with other content",
            "同一版本的单证重复提交，且内容不同",
        ),
        "cop-msg-id-taken": _problem(
            HTTPStatus.CONFLICT,
            "The CopMsgId belongs to another message",
            "该 CopMsgId 已被其他报文使用",
        ),
        "idempotency-key-taken": _problem(
            HTTPStatus.CONFLICT,
            "The Idempotency-Key belongs to another message",
            "该 Idempotency-Key 已用于其他报文",
        ),
        "not-yet": _problem(
            HTTPStatus.CONFLICT, "It is not there yet; ask again later", "尚未就绪，请稍后再试"
        ),
        "too-large": _problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The message is too large", "报文过大"),
        "target-too-long": _problem(
            HTTPStatus.REQUEST_URI_TOO_LONG, "The address of the request is too long", "请求地址过长"
        ),
        "unsupported-media-type": _problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "This kind of content is not understood", "不支持的内容类型"
        ),
        "unknown-mapping": _problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "There is no such mapping here", "没有该映射"
        ),
        "not-json": _problem(HTTPStatus.UNPROCESSABLE_ENTITY, "The body is not JSON", "内容不是有效的JSON"),
        "not-csv": _problem(HTTPStatus.UNPROCESSABLE_ENTITY, "The body is not CSV", "内容不是有效的CSV"),
        "not-xlsx": _problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "The body is not XLSX", "内容不是有效的XLSX工作簿"
        ),
        "invalid-register": _problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "Rows of the register are not in order; the earlier one stays in force",
            "备案数据有误，原备案继续有效",
        ),
        "untranslatable": _problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "The source cannot be written as a message of customs",
            "源数据无法转换为海关报文",
        ),
        "not-xml": _problem(HTTPStatus.UNPROCESSABLE_ENTITY, "The message is not XML", "报文不是XML"),
        "unsafe-xml": _problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "The message uses XML in a way that is not allowed",
            "报文使用了不允许的XML结构",
        ),
        "wrong-encoding": _problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "The encoding is wrong or not supported", "编码错误或不支持"
        ),
        "unknown-message": _problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "This is no declaration of customs", "不是海关申报报文"
        ),
        "invalid-envelope": _problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "The DxpMsg is not in order", "DxpMsg传输报文有误"
        ),
        "invalid-message": _problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "The message breaks the rules of customs", "报文不符合海关规范"
        ),
        "invalid-signature": _problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "The signature does not hold", "签名验证失败"
        ),
        "advice-blocks": _problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "Customs is likely to object, and such messages of this enterprise are refused on its own request",
            "海关很可能提出异议；按企业要求，此类报文不予接收",
        ),
        "too-expensive": _problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "The message takes more time or memory to judge than one may",
            "检查报文所需的时间或内存超过上限",
        ),
        "no-route": _problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "The gateway has no way out for this message",
            "网关没有适用于该报文的发送路由",
        ),
        "quota-exceeded": _problem(HTTPStatus.TOO_MANY_REQUESTS, "Too much at once", "请求过于频繁"),
        "head-too-large": _problem(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The head of the request is too large", "请求头过大"
        ),
        "internal-error": _problem(
            HTTPStatus.INTERNAL_SERVER_ERROR, "The gateway made a mistake; nothing was taken", "网关内部错误"
        ),
        "unavailable": _problem(
            HTTPStatus.SERVICE_UNAVAILABLE, "The gateway cannot take messages now", "网关暂时无法接收报文"
        ),
        "version-not-supported": _problem(
            HTTPStatus.HTTP_VERSION_NOT_SUPPORTED,
            "This version of HTTP is not spoken here",
            "不支持该HTTP版本",
        ),
    }
)


def problem_document(problem: str, faults: Sequence[Fault], instance: str = "") -> dict[str, Any]:
    """Build the RFC 9457 document, ready for JSON; KeyError for a code that is not in the table.

    `detail` and `detail_zh` say the first fault in one sentence; `faults` gives them all. A fault's members
    are those that `gateway validate --json` prints (docs/cli.md, gateway validate).
    """
    known = PROBLEMS[problem]
    document: dict[str, Any] = {
        "type": TYPE_BASE + problem,
        "code": problem,
        "title": known.title,
        "title_zh": known.title_zh,
        "status": known.status.value,
        "faults": [asdict(fault) for fault in faults],
    }
    if faults:
        document["detail"] = _sentence(faults[0].message, len(faults))
        document["detail_zh"] = faults[0].message_zh + (f"（共{len(faults)}处）" if len(faults) > 1 else "")
    if instance:
        document["instance"] = instance
    return document


def _sentence(message: str, count: int) -> str:
    return f"{message} (and {count - 1} more)" if count > 1 else message
