"""What every answer says to browsers and caches, and to whom the figures are shown."""

import json
from pathlib import Path

import pytest

from tests.command_line import invoke, lines
from tests.documents import order
from tests.door_node import ANN, DoorNode
from tests.raw_http import Answer, Line, configure, request


def ask(node: DoorNode, path: str, *headers: str, host: str = "127.0.0.1") -> Answer:
    with Line(node.port) as line:
        line.send(request("GET", path, *headers, host=host))
        return line.answer()


@pytest.mark.parametrize(
    "path", ["/docs", "/import", "/openapi.json", "/healthz", "/readyz", "/metrics", "/nowhere", "/v1/receipts", "/v1/messages"]
)  # fmt: skip
def test_no_answer_is_guessed_at_or_kept(door: DoorNode, path: str) -> None:
    for headers in ([], [f"Authorization: Bearer {door.token(ANN.id)}"]):
        answer = ask(door, path, *headers)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "strict-transport-security" not in answer.headers, "there is no TLS"
        assert "server" not in answer.headers


def test_answers_to_submissions_and_to_garbage_are_no_exception(door: DoorNode) -> None:
    body = order("HEADERS-1", cop_code=ANN.cop_codes[0], dxp_id=ANN.dxp_ids[0])
    token = f"Authorization: Bearer {door.token(ANN.id)}"
    for sent in (
        request("POST", "/v1/messages", token, body=body),
        request("POST", "/v1/messages"),
        b"\x16\x03",
    ):
        with Line(door.port) as line:
            line.send(sent)
            answer = line.answer()
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("page", ["/docs", "/import"])
def test_page_may_load_nothing_and_be_framed_by_nobody(door: DoorNode, page: str) -> None:
    policy = ask(door, page).headers["content-security-policy"]
    for part in ("default-src 'none'", "style-src 'sha256-", "frame-ancestors 'none'", "base-uri 'none'"):
        assert part in policy
    assert "unsafe" not in policy


def test_figures_are_shown_without_a_token_on_loopback_alone(door: DoorNode, folder: Path) -> None:
    assert ask(door, "/metrics").status == 200
    passed_on = ask(door, "/metrics", "X-Forwarded-For: 192.0.2.1")
    assert passed_on.status == 401, "a proxy has passed it on"
    open_to_all = DoorNode(folder, {})
    text = open_to_all.site.config.read_text("utf-8")
    open_to_all.site.config.write_text(text.replace('host = "127.0.0.1"', 'host = "0.0.0.0"'), "utf-8")
    checked = {line["name"]: line for line in lines(invoke("check", "-c", open_to_all.site.config, "--json"))}
    assert checked["metrics"]["grade"] == "warn"
    assert "token_file" in checked["metrics"]["fix"]
    with open_to_all.running():
        refused = ask(open_to_all, "/metrics")
        assert (refused.status, refused.headers["www-authenticate"]) == (401, 'Bearer realm="metrics"')
        (fault,) = json.loads(refused.body)["faults"]
        assert "token_file" in fault["fix"]
        assert fault["message_zh"]
        assert b"gateway_" not in refused.body


def test_figures_ask_for_the_token_wherever_there_is_one(folder: Path) -> None:
    node = DoorNode(folder, {})
    (node.site.folder / "metrics.token").write_text("for the monitor alone\n", "utf-8")
    text = node.site.config.read_text("utf-8")
    node.site.config.write_text(
        text.replace("\n[metrics]\n", '\n[metrics]\ntoken_file = "metrics.token"\n'), "utf-8"
    )
    configure(node.site, 'trusted_proxies = ["127.0.0.1"]')
    with node.running():
        assert ask(node, "/metrics").status == 401
        assert ask(node, "/metrics", "Authorization: Bearer for the monitor alone").status == 200
