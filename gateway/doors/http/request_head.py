"""The head of a request: parses bytes into a RequestHead, or refuses the request.

llhttp parses the grammar; what it accepts and this door does not is checked here: other versions, a missing or
repeated Host, a target that is not a path. A head is parsed once it is complete, and alone, so that nothing that
comes after it, such as the fields after a chunked body, can ever count as part of it (RFC 9112; ADR 0026).
"""

import re
from typing import Final
from urllib.parse import unquote

import httptools
from msgspec import Struct

HEAD_BYTES: Final = 64 * 1024
"""Request line and headers together."""
HEADERS: Final = 100
TARGET_BYTES: Final = 8 * 1024
END: Final = b"\r\n\r\n"

_METHOD_BYTES: Final = 20
_LINE: Final = re.compile(rb"([A-Z]{1,%d}) ([^\s]+) HTTP/([0-9])\.([0-9])" % _METHOD_BYTES)
_HOST: Final = re.compile(rb"[A-Za-z0-9._~!$&'*+(),;=:%\[\]-]*")
_ABSOLUTE: Final = re.compile(rb"https?://[^/?#]+", re.IGNORECASE)
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
_ONCE: Final = frozenset({b"host", b"content-length", b"transfer-encoding", b"authorization", b"expect"})
"""Headers that two readers could understand differently if they were repeated."""


class MalformedHead(Exception):  # noqa: N818 (it is an answer)
    """A request that is answered without being read to its end; its connection is closed after the answer."""

    def __init__(self, problem: str, message: str, message_zh: str, fix: str, fix_zh: str) -> None:
        super().__init__(message)
        self.problem = problem
        self.message = message
        self.message_zh = message_zh
        self.fix = fix
        self.fix_zh = fix_zh


class RequestHead(Struct, frozen=True, kw_only=True):
    """Everything before the body."""

    method: str
    target: bytes
    """As received."""
    path: str
    """Percent-decoded, without the query."""
    raw_path: bytes
    query: bytes
    headers: list[tuple[bytes, bytes]]
    """In their order, names in lower case."""
    first: dict[bytes, bytes]
    """The first header of each name."""
    length: int | None
    """Bytes of the body; None: it comes in chunks."""
    keep_alive: bool
    expects: bool
    """The caller waits for `100 Continue` before it sends the body."""
    version: str


def look_at_beginning(begun: bytes) -> None:
    """Check an incomplete head, refusing early what cannot become a valid one. Raises MalformedHead."""
    line, found, _ = begun.partition(b"\r\n")
    if found:
        _read_line(line)
    elif b"\n" in begun or not begun[:1].isupper():
        raise _no_http()
    elif len(begun) > TARGET_BYTES + _METHOD_BYTES + len(b"  HTTP/1.1\r"):
        raise _target_too_long()
    if len(begun) > HEAD_BYTES:
        raise _head_too_large()
    if found and b"\n\n" in begun:
        raise _no_http()


def read_head(head: bytes) -> RequestHead:
    """Parse a head including its closing empty line. Raises MalformedHead."""
    if len(head) > HEAD_BYTES:
        look_at_beginning(head)
    method, target, minor = _read_line(head[: head.index(b"\r\n")])
    fields = _Fields()
    parser = httptools.HttpRequestParser(fields)
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        pass  # upgrades are ignored: the request is answered as if none had been asked for (RFC 9110, 7.8)
    except httptools.HttpParserError as error:
        raise fields.refusal or _no_http() from error
    headers = fields.headers
    if not fields.whole:
        raise _no_http()
    first = dict(reversed(headers))
    if len(first) != len(headers):
        _refuse_doubles(headers)
    _check_host(first, minor)
    path, query = _split(target, method)
    return RequestHead(
        method=method.decode("ascii"),
        target=target,
        path=unquote(path.decode("ascii")) if b"%" in path else path.decode("ascii"),
        raw_path=path,
        query=query,
        headers=headers,
        first=first,
        length=_length(first, minor),
        keep_alive=minor == b"1" and not (b"connection" in first and _closes(headers)),
        expects=minor == b"1" and first.get(b"expect", b"").lower() == b"100-continue",
        version="1.1" if minor == b"1" else "1.0",
    )


class _Fields:
    """Callbacks of llhttp while it parses one head."""

    __slots__ = ("headers", "refusal", "whole")

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.refusal: MalformedHead | None = None
        self.whole = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) == HEADERS:
            self.refusal = _head_too_large()
            raise self.refusal
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.whole = True


def _closes(headers: list[tuple[bytes, bytes]]) -> bool:
    options = b",".join(value for name, value in headers if name == b"connection").lower().split(b",")
    return b"close" in [option.strip() for option in options]


def _read_line(line: bytes) -> tuple[bytes, bytes, bytes]:
    """Return method, target and minor version."""
    if len(line) > HEAD_BYTES or len(line) > TARGET_BYTES + _METHOD_BYTES + len(b"  HTTP/1.1"):
        raise _target_too_long()
    found = _LINE.fullmatch(line)
    if found is None:
        raise _no_http()
    method, target, major, minor = found.groups()
    if major != b"1" or minor not in b"01":
        raise MalformedHead(
            "version-not-supported",
            "this is no HTTP/1.1",
            "不支持该 HTTP 版本",
            "speak HTTP/1.1 (or 1.0) here",
            "请使用HTTP/1.1（或1.0）",
        )
    if len(target) > TARGET_BYTES:
        raise _target_too_long()
    return method, target, minor


def _refuse_doubles(headers: list[tuple[bytes, bytes]]) -> None:
    names = [name for name, _ in headers]
    for name in _ONCE:
        if names.count(name) > 1:
            text = name.decode("ascii")
            raise _bad(
                f"{text} stands there more than once",
                f"请求头 {text} 重复",
                "send it once",
                "该请求头只能发送一次",
            )


def _check_host(first: dict[bytes, bytes], minor: bytes) -> None:
    host = first.get(b"host")
    if host is None:
        if minor == b"1":
            raise _bad(
                "the header Host is missing",
                "缺少请求头 Host",
                "name the host that you call",
                "请写明所访问的主机名",
            )
    elif not _HOST.fullmatch(host):
        raise _bad(
            "the header Host is no name of a host",
            "请求头 Host 无效",
            "name the host that you call",
            "请写明所访问的主机名",
        )


def _split(target: bytes, method: bytes) -> tuple[bytes, bytes]:
    """Return path and query of a target in origin form or, as to a proxy, absolute form (RFC 9112, 3.2)."""
    if not target.startswith(b"/"):
        absolute = _ABSOLUTE.match(target)
        if absolute is not None and method != b"CONNECT":
            target = target[absolute.end() :]
            target = target if target.startswith(b"/") else b"/" + target
        elif not (target == b"*" and method == b"OPTIONS"):
            raise _bad(
                "this is no path of this server",
                "请求目标不是本服务器的路径",
                "ask for a path, /v1/messages",
                "请使用路径，例如/v1/messages",
            )
    path, _, query = target.partition(b"?")
    if not target.isascii() or b"#" in target:
        raise _bad(
            "the path is not of its form",
            "请求路径格式错误",
            "percent-encode what is not ASCII",
            "非ASCII字符须按百分号编码",
        )
    return path, query


def _length(first: dict[bytes, bytes], minor: bytes) -> int | None:
    coding, announced = first.get(b"transfer-encoding"), first.get(b"content-length")
    if coding is not None:
        if minor != b"1" or announced is not None or coding.lower() != b"chunked":
            raise _bad(
                "Transfer-Encoding is understood as chunked alone, in HTTP/1.1 and without Content-Length",
                "Transfer-Encoding 只能是 chunked，且不能与 Content-Length 同时使用",
                "send Content-Length alone, or Transfer-Encoding: chunked alone",
                "请只发送Content-Length，或只发送Transfer-Encoding: chunked",
            )
        return None
    if announced is None:
        return 0
    if not _LENGTH.fullmatch(announced):
        raise _bad(
            "Content-Length is no number",
            "Content-Length 不是数字",
            "send the number of bytes of the body",
            "请填写请求正文的字节数",
        )
    return int(announced)


def _bad(message: str, message_zh: str, fix: str, fix_zh: str) -> MalformedHead:
    return MalformedHead("bad-request", message, message_zh, fix, fix_zh)


def _no_http() -> MalformedHead:
    return _bad(
        "this is no request of HTTP",
        "不是有效的 HTTP 请求",
        "speak HTTP/1.1 to this port, and TLS only where the door has it ([accept.tls])",
        "请使用HTTP/1.1访问该端口；只有配置了[accept.tls]时才可使用TLS",
    )


def _target_too_long() -> MalformedHead:
    return MalformedHead(
        "target-too-long",
        f"the address of the request has more than {TARGET_BYTES} bytes",
        f"请求地址超过 {TARGET_BYTES} 字节",
        "ask for less at once",
        "请缩短请求地址，分多次查询",
    )


def _head_too_large() -> MalformedHead:
    return MalformedHead(
        "head-too-large",
        f"the head of the request has more than {HEADERS} headers or {HEAD_BYTES} bytes",
        f"请求头超过 {HEADERS} 个或 {HEAD_BYTES} 字节",
        "leave out headers that nobody asks for",
        "请去掉不需要的请求头",
    )
