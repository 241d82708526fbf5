"""What a handler reads of its request: headers, credentials, and the body within its bound."""

from starlette.requests import Request

from gateway.doors.http.credentials import Credentials, credentials_of
from gateway.doors.http.services import check_announced, check_promised, too_large


def shown(request: Request) -> Credentials:
    """Return what a request carries to be recognised by."""
    scope = request.scope
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    query: bytes = scope["query_string"]
    return credentials_of(
        dict(reversed(headers)),
        headers,
        scope["state"]["peer"],
        method=request.method,
        url=scope["raw_path"] + (b"?" + query if query else b""),
    )


def header(request: Request, name: bytes) -> str:
    """Return one header, its name in lower case; empty when it is missing."""
    for key, value in request.scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return ""


async def read_body(request: Request, limit: int) -> bytes:
    """Read the body, at most `limit` bytes; refuse one that is not the signed one. Raises ProblemError."""
    check_announced(header(request, b"content-length"), limit)
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise too_large()
        parts.append(part)
    body = b"".join(parts)
    signature = shown(request).signature
    if signature is not None:
        check_promised(body, signature.content_sha256)
    return body
