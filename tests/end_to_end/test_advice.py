"""Advice wherever people look, from a running gateway; and a change of rules while messages flow."""

import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import pytest
from rich.cells import cell_len

from gateway.client import GatewayClient, ProblemView
from gateway.judges.judge import AT_ONCE_BYTES
from gateway.views.api import AcceptedView
from tests.advice_rules import BUYER, NAMED, PAID, about_the_buyer, paid, rule, write_rules
from tests.advice_site import advise_at, block_at
from tests.command_line import invoke, lines
from tests.documents import order
from tests.door_node import ANN, BOB, DoorNode, FolderPlace
from tests.platforms import Reply
from tests.unit.mapping_examples import example
from tests.waiting import until

TYPE: Final = "CEB311Message"
DATED: Final = "own-dated"
FIRST_DAY: Final = "20260901000000"
CALLERS: Final = 3
EACH: Final = int(os.environ.get("ADVICE_MESSAGES", "480")) // 4
"""Messages between two changes of the rules, and after the last, at least."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> FolderPlace:
    return FolderPlace.make(tmp_path_factory.mktemp("ann"))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, place: FolderPlace) -> Iterator[DoorNode]:
    node = DoorNode(tmp_path_factory.mktemp("node"), {"ann": place.toml()})
    dated = rule(DATED, holds='"acturalPaid < 0"', **{"from": "2026-09-01"})
    advise_at(node.site, rule(PAID), about_the_buyer(), dated)
    block_at(node.site, BOB.id, f'["rule:{PAID}"]')
    with node.running():
        yield node
        failures = node.events("role.restarted", "role.failed", "request.failed")
    assert failures == []
    assert BUYER.encode() not in node.log.read_bytes(), "nobody is named in the log"


def by(owner: Any, *numbers: str, amount: str = "200", app_time: str = "20250102030405") -> bytes:
    body = order(*numbers, cop_code=owner.cop_codes[0], dxp_id=owner.dxp_ids[0], app_time=app_time)
    return paid(body, amount)


def ask(node: DoorNode, owner: Any, method: str, path: str, body: bytes | None = None) -> Reply:
    with closing(node.platform(owner.id)) as platform:
        return platform.ask(method, path, body)


def own(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Leave out what shipped rules say."""
    return [one for one in told["advice"] if one["rule"].startswith("own-")]


def timeline(node: DoorNode, number: str) -> dict[str, Any]:
    key = f"ebpCode=4400000002 ebcCode=4400000003 orderNo={number}".replace(" ", "%20").replace("=", "%3D")
    told: dict[str, Any] = ask(node, ANN, "GET", f"/v1/declarations?type={TYPE}&key={key}").json()
    return told


def test_one_message_is_advised_on_in_every_answer_about_it(node: DoorNode) -> None:
    body = by(ANN, "ONE-1")
    rehearsed = ask(node, ANN, "POST", "/v1/messages?dry_run=true", body)
    first, again = (ask(node, ANN, "POST", "/v1/messages", body) for _ in range(2))
    assert (rehearsed.status, first.status, again.status) == (200, 202, 200)
    assert first.json() == again.json()
    told = first.json()["advice"]
    assert {one["rule"] for one in own(first.json())} == {PAID, NAMED}
    uid = first.json()["id"]
    stands = ask(node, ANN, "GET", f"/v1/messages/{uid}").json()
    (declared,) = timeline(node, "ONE-1")["declarations"]
    assert rehearsed.json()["advice"] == stands["advice"] == declared["advice"] == told
    (traced,) = lines(invoke("trace", uid, "-c", node.site.config, "--json"))
    assert traced["advice"] == told
    assert BUYER not in json.dumps([told, stands, traced["advice"]], ensure_ascii=False)


def test_a_persons_trace_fits_into_eighty_columns(node: DoorNode) -> None:
    uid = ask(node, ANN, "POST", "/v1/messages", by(ANN, "PRINT-1")).json()["id"]
    said = invoke("trace", uid, "-c", node.site.config).stdout
    assert f"error  {PAID}  line 2" in said
    assert "处理：核对实付金额" in said
    after = said.partition("  advice: ")[2].partition("\n  CEB311Message ")[0]
    assert max(cell_len(line) for line in after.splitlines()) <= 80


def test_log_and_metrics_name_rules_and_never_a_value(node: DoorNode) -> None:
    before = figures(node)
    uid = ask(node, ANN, "POST", "/v1/messages", by(ANN, "LOG-1", "LOG-2")).json()["id"]
    line = node.event("advice.given", message_id=uid)
    assert (line["enterprise"], line["message_type"]) == ("ann", TYPE)
    assert (line["rules"][PAID], line["rules"][NAMED], line["severities"]["hint"] >= 2) == (2, 2, True)
    assert set(line) == {
        "event", "level", "time", "message_id", "enterprise", "message_type", "rules", "severities",
    }  # fmt: skip
    after = figures(node)
    assert after[PAID, "error"] - before.get((PAID, "error"), 0) == 2
    assert after[NAMED, "hint"] - before.get((NAMED, "hint"), 0) == 2


def figures(node: DoorNode) -> dict[tuple[str, str], float]:
    """Rule and severity → how often."""
    text = ask(node, ANN, "GET", "/metrics").body.decode()
    found = re.findall(r'gateway_advice_total\{rule="([^"]+)",severity="([^"]+)"\} (\S+)', text)
    return {(name, severity): float(value) for name, severity, value in found}


def test_a_large_message_is_judged_elsewhere_and_a_timeline_shows_its_declaration_alone(
    node: DoorNode,
) -> None:
    numbers = [f"LARGE-{number}-{'x' * 40}" for number in range(100)]
    body = by(ANN, *numbers).replace(b"<ceb:gmodel>1kg<", b"<ceb:gmodel>" + b"1kg " * 100 + b"<")
    assert len(body) > AT_ONCE_BYTES
    first = ask(node, ANN, "POST", "/v1/messages", body)
    assert first.status == 202, first.body
    stands = ask(node, ANN, "GET", f"/v1/messages/{first.json()['id']}").json()
    assert stands["advice"] == first.json()["advice"]
    assert len(stands["advice"]) == 100
    (declared,) = timeline(node, numbers[90])["declarations"]
    assert {one["key"]["orderNo"] for one in declared["advice"]} == {numbers[90]}
    assert {PAID, NAMED} <= {one["rule"] for one in declared["advice"]}


def test_a_changed_declaration_shows_the_advice_of_the_newest_message(node: DoorNode) -> None:
    ask(node, ANN, "POST", "/v1/messages", by(ANN, "MEND-1"))
    mended = order("MEND-1", app_type="2", app_time="20250103030405")
    assert ask(node, ANN, "POST", "/v1/messages", mended).status == 202
    (declared,) = timeline(node, "MEND-1")["declarations"]
    assert {one["rule"] for one in own(declared)} == {NAMED}


def test_an_enterprise_that_blocks_is_answered_422_and_nobody_else(node: DoorNode) -> None:
    body = by(BOB, "BLOCK-1")
    for path in ("/v1/messages", "/v1/messages?dry_run=true"):
        refused = ask(node, BOB, "POST", path, body)
        assert (refused.status, refused.json()["code"]) == (422, "advice-blocks")
        (fault,) = refused.json()["faults"]
        assert (fault["rule"], fault["value"], fault["line"]) == (PAID, "200", 2)
        assert (fault["message_zh"], fault["fix"]) == ("实付金额200过大", "check acturalPaid")
    line = node.event("message.refused", problem="advice-blocks")
    assert (line["enterprise"], line["rules"]) == ("bob", [PAID])
    assert ask(node, BOB, "POST", "/v1/messages", by(BOB, "BLOCK-2", amount="109.1")).status == 202
    assert ask(node, ANN, "POST", "/v1/messages", by(ANN, "BLOCK-3")).status == 202
    checked = lines(invoke("check", "-c", node.site.config, "--json"))
    assert [one["detail"] for one in checked if one["name"] == "enterprise bob"] == [f"blocks on rule:{PAID}"]
    (advice,) = [one for one in checked if one["name"] == "advice"]
    assert advice["grade"] == "ok"
    assert "advice included" in advice["detail"]


def test_a_file_laid_in_a_folder_gets_the_same_advice(node: DoorNode, place: FolderPlace) -> None:
    body = by(ANN, "FOLDER-1")
    place.lay("one.xml", body)
    report = place.root / "reports" / "one.xml.accepted.json"
    until(report.exists)
    told = json.loads(report.read_bytes())
    assert {one["rule"] for one in own(told)} == {PAID, NAMED}
    assert ask(node, ANN, "POST", "/v1/messages", body).json() == told


def test_advice_on_a_source_points_into_the_source(node: DoorNode) -> None:
    text = json.dumps(json.loads(example("orders")))
    with closing(node.platform("ann")) as ann:
        told = ann.ask(
            "POST",
            "/v1/messages?mapping=orders&dry_run=true",
            text.encode(),
            {"Content-Type": "application/json"},
        ).json()
    advice = [one for one in told["advice"] if one["rule"] == NAMED]
    assert advice[0]["source_place"].startswith("/orders/0/")
    assert (advice[0]["line"], advice[0]["column"] > 1) == (1, True)


def test_client_and_commands_tell_it(node: DoorNode, tmp_path: Path) -> None:
    file = tmp_path / "order.xml"
    file.write_bytes(by(ANN, "COMMAND-1"))
    with closing(GatewayClient(node.address, node.token("ann"))) as client:
        rehearsed = client.dry_run(file.read_bytes())
        assert isinstance(rehearsed, AcceptedView)
        assert rehearsed.advice
        assert PAID in {one.rule for one in rehearsed.advice}
    with closing(GatewayClient(node.address, node.token("bob"))) as client:
        refused = client.dry_run(by(BOB, "COMMAND-2"))
        assert isinstance(refused, ProblemView)
        assert refused.code == "advice-blocks"
    said = invoke("submit", file, "--to", node.address, "--token", node.token("ann"))
    assert said.exit_code == 0
    assert f"error  {PAID}  line 2" in said.stdout
    (line,) = lines(invoke("submit", file, "--to", node.address, "--token", node.token("ann"), "--json"))
    assert line["state"] == "known"
    assert {one["rule"] for one in own(line)} == {PAID, NAMED}


def test_a_dated_rule_goes_by_the_day_of_each_declaration(node: DoorNode) -> None:
    before = ask(node, ANN, "POST", "/v1/messages", by(ANN, "DATE-1", app_time="20260831235959"))
    after = ask(node, ANN, "POST", "/v1/messages", by(ANN, "DATE-2", app_time=FIRST_DAY))
    assert DATED not in {one["rule"] for one in own(before.json())}
    assert DATED in {one["rule"] for one in own(after.json())}


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A submission, and what it was told."""

    began: float
    ended: float
    id: str
    by_rules: list[str]
    """What each of our own pieces of advice calls the rules that it comes from."""


class Flow:
    """Callers that hand in messages without a pause until they are stopped."""

    def __init__(self, node: DoorNode) -> None:
        self._node = node
        self._enough = threading.Event()
        self.answered: list[Answered] = []
        self.refused: list[Reply] = []
        self._threads = [threading.Thread(target=self._call, args=(number,)) for number in range(CALLERS)]

    def _call(self, caller: int) -> None:
        with closing(self._node.platform("ann")) as platform:
            number = 0
            while not self._enough.is_set():
                number += 1
                began = time.monotonic()
                reply = platform.once("POST", "/v1/messages", by(ANN, f"FLOW-{caller}-{number}"))
                if reply.status != 202:
                    self.refused.append(reply)
                    return
                told = reply.json()
                texts = [one["message"] for one in own(told)]
                self.answered.append(
                    Answered(began=began, ended=time.monotonic(), id=told["id"], by_rules=texts)
                )

    def more(self, messages: int) -> None:
        """Wait until so many more have been answered."""
        wanted = len(self.answered) + messages
        until(lambda: len(self.answered) >= wanted or self.refused, seconds=120)
        assert self.refused == []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def __exit__(self, *error: object) -> None:
        self.stop()


def edition(name: str) -> str:
    return rule("own-edition", holds='"acturalPaid < 0"', en=f'"by rules {name}"')


def reload(node: DoorNode, event: str) -> tuple[float, float]:
    """SIGHUP; when it was sent, and when it had its result."""
    before = len(node.events(event))
    sent = time.monotonic()
    node.process.process.send_signal(signal.SIGHUP)
    until(lambda: len(node.events(event)), lambda count: count > before)
    return sent, time.monotonic()


def test_rules_change_under_load_and_every_message_is_judged_by_those_in_force(tmp_path: Path) -> None:
    node = DoorNode(tmp_path, {}, owners=(ANN,))
    folder = advise_at(node.site, edition("A"))
    with node.running(), Flow(node) as flow:
        flow.more(EACH)
        write_rules(folder, edition("B"))
        to_b = reload(node, "node.reloaded")
        flow.more(EACH)
        write_rules(folder, rule("own-edition", holds='"acturalPayd < 0"', en='"by rules C"'))
        reload(node, "node.reload_failed")
        failed = node.events("node.reload_failed")[-1]["error"]
        assert "own.toml" in failed
        assert "acturalPaid is meant" in failed
        until(lambda: ask(node, ANN, "GET", "/readyz").json()["warnings"])
        assert b"\ngateway_reload_failed 1.0" in ask(node, ANN, "GET", "/metrics").body
        flow.more(EACH)
        write_rules(folder, edition("D"))
        to_d = reload(node, "node.reloaded")
        flow.more(EACH)
        flow.stop()
        assert flow.refused == []
        sent = until(node.at_customs, lambda at: {one.id for one in flow.answered} <= set(at))
    assert len(flow.answered) >= 4 * EACH
    assert len(sent) == len({one.id for one in flow.answered}), "none lost, none sent twice"
    for one in flow.answered:
        allowed = {
            name
            for name, (first, last) in {
                "A": (float("-inf"), to_b[1]), "B": (to_b[0], to_d[1]), "D": (to_d[0], float("inf")),
            }.items()
            if one.ended >= first and one.began <= last
        }  # fmt: skip
        assert len(one.by_rules) == 1, one
        assert one.by_rules[0] in {f"by rules {name}" for name in allowed}, (one, allowed)
    assert {text for one in flow.answered for text in one.by_rules} == {
        "by rules A",
        "by rules B",
        "by rules D",
    }


def test_what_was_accepted_is_answered_as_before_when_its_enterprise_begins_to_block(tmp_path: Path) -> None:
    node = DoorNode(tmp_path, {}, owners=(ANN,))
    advise_at(node.site, rule(PAID), about_the_buyer())
    plain = by(ANN, "KEPT-1")
    elsewhere = by(ANN, "KEPT-2").replace(b"?>", b"?><!-- as it comes -->", 1)
    source = json.dumps(json.loads(example("orders"))).encode()
    asked = [("", plain, "application/xml"), ("", elsewhere, "application/xml"), ("?mapping=orders", source, "application/json")]  # fmt: skip

    def all_of_them() -> list[Reply]:
        with closing(node.platform("ann")) as ann:
            return [
                ann.ask("POST", f"/v1/messages{mapped}", body, {"Content-Type": form})
                for mapped, body, form in asked
            ]

    with node.running():
        first = all_of_them()
        block_at(node.site, ANN.id, '["hint"]')
        reload(node, "node.reloaded")
        again = all_of_them()
        assert ask(node, ANN, "POST", "/v1/messages", by(ANN, "KEPT-3")).status == 422
    assert [one.status for one in (*first, *again)] == [202, 202, 202, 200, 200, 200]
    assert [one.json() for one in first[:2]] == [one.json() for one in again[:2]]
    translated = [one.json() | {"advice": []} for one in (first[2], again[2])]
    assert translated[0] == translated[1], "the same but for the places of advice, now those in the document"
    assert {one["rule"] for one in own(first[2].json())} == {one["rule"] for one in own(again[2].json())}
