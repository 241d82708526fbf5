"""HTTP as bytes on a socket, for callers that no library would play."""

import re
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from gateway.config.site import Site

PATIENCE_S = 60


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Line:
    """One connection."""

    def __init__(
        self, port: int, *, source: str = "127.0.0.1", context: ssl.SSLContext | None = None
    ) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S, source_address=(source, 0))
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self._read = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *parts: bytes) -> None:
        self.socket.sendall(b"".join(parts))

    def answer(self, *, bodiless: bool = False) -> Answer:
        """Wait for the next answer. Raises ConnectionError when there is none."""
        while b"\r\n\r\n" not in self._read:
            self._more()
        head, _, rest = self._read.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        found = re.fullmatch(r"HTTP/1\.1 ([0-9]{3}) .*", first)
        assert found is not None, first
        headers = dict(line.split(": ", 1) for line in lines)
        length = 0 if bodiless else int(headers.get("content-length", "0"))
        self._read = rest
        while len(self._read) < length:
            self._more()
        body, self._read = self._read[:length], self._read[length:]
        return Answer(status=int(found[1]), headers=headers, body=body)

    def ended(self) -> bool:
        """Wait for what comes next; say whether that is the end of the connection."""
        try:
            return not self._read and not self.socket.recv(1)
        except ConnectionError:
            return True

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the door closed the connection")
        self._read += data


def request(method: str, path: str, *headers: str, body: bytes = b"", host: str = "x") -> bytes:
    """A request with Host, and Content-Length where there is a body or a POST."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode("latin-1") + body


def configure(site: Site, *accept: str, rest: Sequence[str] = ()) -> None:
    """Put lines into `[accept]` and tables after it."""
    text = site.config.read_text("utf-8")
    assert text.count("\n[accept.limits]\n") == 1
    lines = "\n".join((*accept, *rest))
    site.config.write_text(text.replace("\n[accept.limits]\n", f"\n{lines}\n[accept.limits]\n"), "utf-8")


def resident_mb(pid: int) -> float:
    """What a process holds in memory of its own, in MB: not what it shares with those it was forked from."""
    fields: dict[str, Any] = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()[1:]
    )
    return int(fields["Rss"].split()[0]) / 1024
