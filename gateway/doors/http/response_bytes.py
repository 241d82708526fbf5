"""Serialises an answer for the connection, as one write."""

from http import HTTPStatus
from typing import Final

from gateway.doors.http.services import HttpResponse

_STATUS: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode("ascii") for status in HTTPStatus
}


def answer_bytes(answer: HttpResponse, common: bytes, *, keep_alive: bool, bodiless: bool) -> bytes:
    """Write status, headers and body; `common`: headers of every answer; `bodiless`: answer to a HEAD."""
    text = "".join([f"{name.lower()}: {value}\r\n" for name, value in answer.headers.items()])
    text += f"content-length: {len(answer.body)}\r\ncontent-type: {answer.media_type}\r\n"
    if not keep_alive and "Connection" not in answer.headers:
        text += "connection: close\r\n"
    text += "\r\n"
    return b"".join(
        (_STATUS[answer.status], common, text.encode("latin-1"), b"" if bodiless else answer.body)
    )
