"""One request handled by the application (ASGI): passes its body in, and its complete answer out."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from types import MappingProxyType
from typing import Any, Final

from gateway.doors.http.credentials import Peer
from gateway.doors.http.request_head import RequestHead
from gateway.doors.http.services import HttpResponse

AsgiEvent = MutableMapping[str, Any]
AsgiApp = Callable[
    [AsgiEvent, Callable[[], Awaitable[AsgiEvent]], Callable[[AsgiEvent], Awaitable[None]]], Awaitable[None]
]

UNREAD_BYTES: Final = 64 * 1024
"""Unread bytes of a body, beyond which the connection is not read."""


class AppRequest:
    """Runs the application for one request, in its own task."""

    def __init__(
        self,
        head: RequestHead,
        peer: Peer,
        *,
        tell: Callable[[HttpResponse], None],
        failed: Callable[[Exception, str], HttpResponse],
        known: Callable[[str], None],
        flow: Callable[[bool], None],
        proceed: Callable[[], None],
    ) -> None:
        """Store the callbacks.

        `tell` gets the answer, `failed` makes one from an exception, `known` gets the id of the calling enterprise.
        `flow` is called with whether more may be read, `proceed` when the body is requested: the caller may wait for
        that.
        """
        self._head = head
        self._peer = peer
        self._tell = tell
        self._failed = failed
        self._known = known
        self._flow = flow
        self._proceed = proceed
        self._parts: list[bytes] = []
        self._unread = 0
        self._whole = False
        self._come = asyncio.Event()
        self._status = 0
        self._headers: dict[str, str] = {}
        self._sent: list[bytes] = []
        self._task: asyncio.Task[None] | None = None

    def start(self, app: AsgiApp) -> None:
        """Start the task."""
        self._task = asyncio.get_running_loop().create_task(self._run(app))

    def more(self, part: bytes, *, last: bool) -> None:
        """Add a part of the body."""
        if part:
            self._parts.append(part)
            self._unread += len(part)
        self._whole = last
        if self._unread > UNREAD_BYTES:
            self._flow(False)
        self._come.set()

    def gone(self) -> None:
        """Cancel the task: the caller has gone."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self, app: AsgiApp) -> None:
        try:
            await app(self._scope(), self._receive, self._send)
        except Exception as error:  # noqa: BLE001 (the caller gets an answer, the log the reason)
            self._tell(self._failed(error, self._head.path))

    def _scope(self) -> AsgiEvent:
        head = self._head
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": head.version,
            "method": head.method,
            "scheme": "http",
            "path": head.path,
            "raw_path": head.raw_path,
            "query_string": head.query,
            "root_path": "",
            "headers": head.headers,
            "client": (self._peer.address, 0) if self._peer.address else None,
            "server": None,
            "state": {"peer": self._peer, "known": self._known},
        }

    async def _receive(self) -> AsgiEvent:
        if not self._whole and not self._parts:
            self._proceed()
            self._come.clear()
            await self._come.wait()
        body = b"".join(self._parts)
        self._parts.clear()
        self._unread = 0
        if not self._whole:
            self._flow(True)
        return {"type": "http.request", "body": body, "more_body": not self._whole}

    async def _send(self, event: AsgiEvent) -> None:
        if event["type"] == "http.response.start":
            self._status = event["status"]
            self._headers = {str(name, "latin-1"): str(value, "latin-1") for name, value in event["headers"]}
            return
        self._sent.append(event.get("body", b""))
        if event.get("more_body", False):
            return
        self._headers.pop("content-length", None)
        media_type = self._headers.pop("content-type", "application/octet-stream")
        self._tell(
            HttpResponse(self._status, b"".join(self._sent), media_type, MappingProxyType(self._headers))
        )
