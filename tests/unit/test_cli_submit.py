"""`gateway submit` and its client against a real HTTP server that plays the gateway from a script."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.client import GatewayClient, ProblemView, Submitted
from gateway.errors import ConfigError, DeliveryError
from tests.command_line import invoke, lines

Say = tuple[int, dict[str, Any], dict[str, str]]
TOKEN = "the-token"


@dataclass
class Asked:
    """One request as the server saw it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    port: int

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}


@dataclass
class Scripted:
    """Answers by function, and remembers what it was asked; a status of 0 hangs up."""

    answer: Callable[[Asked], Say]
    asked: list[Asked] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(answer: Callable[[Asked], Say]) -> Iterator[Scripted]:
    script = Scripted(answer=answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            port = self.client_address[1]
            script.asked.append(Asked(self.command, self.path, dict(self.headers), body, port))
            status, document, headers = script.answer(script.asked[-1])
            if status == 0:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            told = json.dumps(document).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(told))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(told)

        do_GET = do_POST = _answer  # noqa: N815 (the names are http.server's)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    script.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def accepted(asked: Asked, status: int = 202) -> Say:
    number = asked.body.decode()
    document = {
        "id": f"ID-{number}",
        "sha256": sha256(asked.body).hexdigest(),
        "message_type": "CEB311Message",
        "edition": "202205",
        "declarations": [{"key": {"orderNo": number, "ebcCode": "1"}, "guid": "G"}],
        "state": "accepted",
    }
    return status, document, {}


def refused(status: int, code: str, **more: Any) -> Say:
    return status, {"status": status, "code": code, "title": "No", "title_zh": "否", **more}, {}


def answer(number: str, kind: str, *, status: str = "2", time: str = "20250102030405678") -> dict[str, Any]:
    meaning = {"kind": kind, "zh": "意", "en": "meaning", "advice_zh": "", "advice_en": "", "retry": ""}
    return {
        "message_type": "CEB312Message",
        "layer": "business",
        "status": status,
        "meaning": meaning,
        "time": time,
        "info": "",
        "declarations": [{"type": "CEB311Message", "key": {"orderNo": number, "ebcCode": "1"}}],
        "fields": {},
        "receipt": time + status,
        "index": 0,
    }


def page(cursor: int, *bodies: dict[str, Any]) -> Say:
    receipt = {
        "cursor": cursor,
        "id": str(cursor),
        "message_type": "CEB312Message",
        "received_at": "2025-01-02T03:04:05Z",
        "content": "/v1/receipts/1/content",
        "bodies": list(bodies),
    }
    return 200, {"receipts": [receipt] if bodies else [], "cursor": cursor}, {}


def files(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / f"{name}.xml").write_text(name)
    return [folder / f"{name}.xml" for name in names]


def test_files_are_handed_in_as_they_are_over_one_connection(tmp_path: Path) -> None:
    with serving(accepted) as gateway:
        result = invoke(
            "submit", *files(tmp_path, "a", "b", "c"), "--to", gateway.url, "--token", TOKEN, "--json"
        )
    assert result.exit_code == 0
    assert [(line["state"], line["id"]) for line in lines(result)] == [
        ("accepted", "ID-a"),
        ("accepted", "ID-b"),
        ("accepted", "ID-c"),
    ]
    assert [one.body for one in gateway.asked] == [b"a", b"b", b"c"]
    assert len({one.port for one in gateway.asked}) == 1
    assert {one.headers["Authorization"] for one in gateway.asked} == {f"Bearer {TOKEN}"}


def test_idempotency_key_is_that_of_the_content(tmp_path: Path) -> None:
    with serving(lambda asked: accepted(asked, 200)) as gateway:
        for _ in range(2):
            invoke("submit", *files(tmp_path, "a"), "--to", gateway.url, "--token", TOKEN)
    assert {one.headers["Idempotency-Key"] for one in gateway.asked} == {sha256(b"a").hexdigest()}


def test_what_was_known_already_is_in_order_and_told(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    with serving(lambda asked: accepted(asked, 200)) as gateway:
        result = invoke("submit", *files(tmp_path, "a"), "--to", gateway.url, "--token-file", token)
    assert result.exit_code == 0
    assert "known already" in result.stdout
    assert gateway.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"


def test_notice_of_an_edition_to_come_is_told(tmp_path: Path) -> None:
    notice = {
        "edition": "202701",
        "refused_from": "2027-01-01",
        "message": "valid today",
        "message_zh": "目前有效",
        "faults": [
            {"path": "/x", "rule": "too_long", "message": "m", "message_zh": "错", "fix": "f", "fix_zh": "改"}
        ],
    }

    def announced(asked: Asked) -> Say:
        status, document, headers = accepted(asked)
        return status, {**document, "edition_notice": notice}, headers

    with serving(announced) as gateway:
        shown = invoke("submit", *files(tmp_path, "a"), "--to", gateway.url, "--token", TOKEN)
        (line,) = lines(
            invoke("submit", *files(tmp_path, "a"), "--to", gateway.url, "--token", TOKEN, "--json")
        )
    assert "  valid today\n  目前有效\n" in shown.stdout
    assert (line["edition_notice"]["refused_from"], line["edition_notice"]["faults"][0]["rule"]) == (
        "2027-01-01",
        "too_long",
    )


def test_refused_message_is_told_with_its_faults_and_the_rest_goes_on(tmp_path: Path) -> None:
    fault = {"path": "/x/y", "line": 7, "message": "too long", "message_zh": "太长", "fix": "shorten it"}

    def script(asked: Asked) -> Say:
        return refused(422, "invalid-message", faults=[fault]) if asked.body == b"b" else accepted(asked)

    with serving(script) as gateway:
        options = ("--to", gateway.url, "--token", TOKEN)
        result = invoke("submit", *files(tmp_path, "a", "b", "c"), *options)
        as_json = invoke("submit", *files(tmp_path, "a", "b", "c"), *options, "--json")
    assert result.exit_code == as_json.exit_code == 1
    for text in ("REFUSED, 422", "line 7", "too long", "太长", "shorten it", "c.xml: accepted"):
        assert text in result.stdout
    told = lines(as_json)
    assert [one["state"] for one in told] == ["accepted", "refused", "accepted"]
    assert told[1]["problem"]["code"] == "invalid-message"
    assert told[1]["problem"]["faults"] == [fault]


def test_gateway_that_is_busy_or_hangs_up_is_asked_again_with_the_same_key(tmp_path: Path) -> None:
    says: Iterator[Say] = iter([(503, {}, {"Retry-After": "0"}), (0, {}, {}), (429, {}, {})])

    def script(asked: Asked) -> Say:
        return next(says, None) or accepted(asked)

    with serving(script) as gateway:
        result = invoke("submit", *files(tmp_path, "a"), "--to", gateway.url, "--token", TOKEN)
    assert result.exit_code == 0
    assert len(gateway.asked) == 4
    assert len({one.headers["Idempotency-Key"] for one in gateway.asked}) == 1


def test_retry_after_is_heeded_and_longer_than_its_patience_is_too_long() -> None:
    def busy(_: Asked) -> Say:
        return 503, {}, {"Retry-After": "1"}

    with serving(busy) as gateway, closing(GatewayClient(gateway.url, TOKEN, patience_s=0.5)) as client:
        with pytest.raises(DeliveryError, match="503"):
            client.submit(b"a")
        assert len(gateway.asked) == 1
        gateway.answer = lambda asked: busy(asked) if len(gateway.asked) == 2 else accepted(asked)
        patient = GatewayClient(gateway.url, TOKEN, patience_s=10)
        begun = time.monotonic()
        assert isinstance(patient.submit(b"a"), Submitted)
        assert time.monotonic() - begun >= 1
        patient.close()


def test_gateway_out_of_reach_fails_once_for_all_files(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    options = ("--to", f"http://127.0.0.1:{port}", "--token", TOKEN, "--timeout", 0.3)
    result = invoke("submit", *files(tmp_path, "a", "b"), *options, "--json")
    assert result.exit_code == 1
    assert [one["state"] for one in lines(result)] == ["failed", "failed"]
    assert "cannot be reached" in result.stderr
    assert f"where: http://127.0.0.1:{port}" in result.stderr


def test_unknown_token_is_a_usage_error(tmp_path: Path) -> None:
    with serving(lambda _: refused(401, "unauthorised")) as gateway:
        result = invoke("submit", *files(tmp_path, "a", "b"), "--to", gateway.url, "--token", "wrong")
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(gateway.asked) == 1


def test_token_and_address_are_checked_before_anything_is_sent(tmp_path: Path) -> None:
    (file,) = files(tmp_path, "a")
    assert invoke("submit", file, "--to", "http://127.0.0.1:1").exit_code == 2
    assert invoke("submit", file, "--token", TOKEN).exit_code == 2
    for url in ("ftp://x", "127.0.0.1:8080", "http://", "http://a:b@c", "http://x:99999", "http://x?y=1"):
        with pytest.raises(ConfigError):
            GatewayClient(url, TOKEN)
        assert invoke("submit", file, "--to", url, "--token", TOKEN).exit_code == 2


def test_server_that_is_no_gateway_is_named_as_such(tmp_path: Path) -> None:
    with serving(lambda _: (200, {"hello": "world"}, {})) as gateway:
        result = invoke("submit", *files(tmp_path, "a"), "--to", gateway.url, "--token", TOKEN)
    assert result.exit_code == 1
    assert "no gateway gives" in result.stderr


def test_wait_ends_when_customs_has_decided_about_every_declaration(tmp_path: Path) -> None:
    pages = iter([
        page(1, answer("a", "progress")),
        page(2, answer("stranger", "refused", status="100")),
        page(3, answer("a", "accepted", status="800", time="20250102040000000"), answer("b", "final")),
    ])  # fmt: skip

    def script(asked: Asked) -> Say:
        return accepted(asked) if asked.method == "POST" else next(pages)

    with serving(script) as gateway:
        options = ("--to", gateway.url, "--token", TOKEN, "--wait")
        result = invoke("submit", *files(tmp_path, "a", "b"), *options, "--json")
    assert result.exit_code == 0
    first, second = lines(result)
    assert first["declarations"][0]["outcome"] == second["declarations"][0]["outcome"] == "accepted"
    assert [one["status"] for one in first["declarations"][0]["answers"]] == ["2", "800"]
    assert [one.query.get("after") for one in gateway.asked[2:]] == [None, "1", "2"]
    assert not [one for one in gateway.asked if "ack" in one.path]


def test_wait_ends_with_1_when_customs_refuses(tmp_path: Path) -> None:
    def script(asked: Asked) -> Say:
        return accepted(asked) if asked.method == "POST" else page(1, answer("a", "refused", status="100"))

    with serving(script) as gateway:
        options = ("--to", gateway.url, "--token", TOKEN, "--wait")
        result = invoke("submit", *files(tmp_path, "a"), *options)
    assert result.exit_code == 1
    assert "orderNo=a ebcCode=1: refused" in result.stdout
    assert "refused by customs" in result.stderr


def test_wait_ends_with_1_when_the_time_is_over(tmp_path: Path) -> None:
    def script(asked: Asked) -> Say:
        return accepted(asked) if asked.method == "POST" else page(0)

    with serving(script) as gateway:
        options = ("--to", gateway.url, "--token", TOKEN, "--wait", "--timeout", 0.2)
        result = invoke("submit", *files(tmp_path, "a"), *options)
    assert result.exit_code == 1
    assert "not decided yet" in result.stderr


def test_wait_looks_up_answers_of_what_was_accepted_in_an_earlier_run(tmp_path: Path) -> None:
    def script(asked: Asked) -> Say:
        if asked.method == "POST":
            return accepted(asked, 200)
        assert asked.query == {"type": "CEB311Message", "key": "orderNo=a ebcCode=1"}
        return 200, {"type": "CEB311Message", "key": "", "answers": [answer("a", "accepted")]}, {}

    with serving(script) as gateway:
        options = ("--to", gateway.url, "--token", TOKEN, "--wait")
        result = invoke("submit", *files(tmp_path, "a"), *options)
    assert result.exit_code == 0


def test_client_reads_status_timeline_and_acknowledges() -> None:
    def script(asked: Asked) -> Say:
        if asked.path == "/v1/receipts/ack":
            return 200, json.loads(asked.body), {}
        return refused(404, "not-found")

    with serving(script) as gateway:
        client = GatewayClient(gateway.url + "/", TOKEN)
        missing = client.message("../x")
        assert isinstance(missing, ProblemView)
        assert missing.code == "not-found"
        assert gateway.asked[-1].path == "/v1/messages/..%2Fx"
        done = client.acknowledge(7)
        assert not isinstance(done, ProblemView)
        assert done.cursor == 7
        assert not isinstance(client.submit(b"x"), Submitted)
        client.close()
