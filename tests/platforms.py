"""Platforms of the tests: real HTTP clients that do not give up while the gateway is being killed."""

import http.client
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random

from gateway.config.site import NewEnterprise


class NotNow(Exception):  # noqa: N818
    """The gateway asks us to come again, by Retry-After: 503, or evidence that is not sealed yet."""

    def __init__(self, reply: "Reply") -> None:
        super().__init__(reply.body)
        self.reply = reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    status: int
    body: bytes
    headers: dict[str, str]

    def json(self) -> Any:
        return json.loads(self.body)


class Platform:
    """One caller with one connection; not to be shared between threads."""

    def __init__(self, address: str, token: str, *, patience_s: float = 60.0) -> None:
        parts = urlsplit(address)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/xml"}
        self._connection: http.client.HTTPConnection | None = None
        self._patience_s = patience_s
        self.retries = 0

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Reply:
        """One request, repeated until there is an answer that does not ask to come again."""
        attempts = Retrying(
            retry=retry_if_exception_type((OSError, http.client.HTTPException, NotNow)),
            wait=wait_random(0.005, 0.05),
            stop=stop_after_delay(self._patience_s),
            reraise=True,
        )
        for attempt in attempts:
            with attempt:
                self.retries += attempt.retry_state.attempt_number > 1
                return self.once(method, path, body, headers)
        raise AssertionError("unreachable")

    def once(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Reply:
        """One request, one answer."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._host, self._port, timeout=90)
        try:
            self._connection.request(method, path, body, {**self._headers, **(headers or {})})
            answer = self._connection.getresponse()
            reply = Reply(status=answer.status, body=answer.read(), headers=dict(answer.getheaders()))
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        if reply.status == http.HTTPStatus.SERVICE_UNAVAILABLE or "retry-after" in reply.headers:
            raise NotNow(reply)
        return reply

    def submit(self, body: bytes) -> Reply:
        return self.ask("POST", "/v1/messages", body)

    def receipts(self, *, wait_s: int = 0, acknowledge: bool = True) -> Iterator[dict[str, Any]]:
        """All receipts after the acknowledged one, page by page; the first page may be waited for."""
        while True:
            page = self.ask("GET", f"/v1/receipts?wait={wait_s}&limit=500").json()
            yield from page["receipts"]
            if not page["receipts"]:
                return
            if acknowledge:
                self.ask("POST", "/v1/receipts/ack", json.dumps({"cursor": page["cursor"]}).encode())
            wait_s = 0

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def enterprises(count: int, *, dxp_ids: int = 1) -> tuple[NewEnterprise, ...]:
    """Invented enterprises that share a few DXP ids."""
    return tuple(
        NewEnterprise(
            id=f"e{number:02d}",
            name=f"Enterprise {number}",
            cop_codes=(f"4401{number:06d}",),
            dxp_ids=(f"DXPENT{number % dxp_ids:010d}",),
        )
        for number in range(count)
    )


def bodies_of(receipt: dict[str, Any]) -> Iterator[tuple[str, str, str, frozenset[tuple[str, str]]]]:
    """What a receipt tells, comparable with the ledger of customs: type, status, time, key."""
    for body in receipt["bodies"]:
        for declaration in body["declarations"]:
            key = frozenset(declaration["key"].items())
            yield body["message_type"], body["status"], body["time"], key


def rng(seed: int) -> random.Random:
    return random.Random(seed)
