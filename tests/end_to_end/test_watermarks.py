"""A node that runs out of room: it refuses new work, says why, goes on with the rest, and comes back by itself."""

import http.client
import json
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.config.site import write_site
from gateway.model import EnterpriseId
from gateway.samples.compose import compose
from gateway.simulator.world import LocalWorld, free_port
from tests.nodes import Node
from tests.platforms import Platform, Reply, enterprises
from tests.servers.small_disk import fill, mounted
from tests.waiting import PATIENCE_S, until

OURS = enterprises(1)[0]
TOKEN = "a-token-for-the-monitor"


def body(seed: int) -> bytes:
    rng = random.Random(seed)
    return compose("CEB311Message", cop_code=OURS.cop_codes[0], dxp_id=OURS.dxp_ids[0], rng=rng).body


def configure(config: Path, **tables: str) -> None:
    """Put keys under the tables of a written site."""
    text = config.read_text(encoding="utf-8")
    for name, keys in tables.items():
        assert f"\n[{name}]\n" in text
        text = text.replace(f"\n[{name}]\n", f"\n[{name}]\n{keys}\n")
    config.write_text(text, encoding="utf-8")


def get(address: str, path: str, **headers: str) -> Reply:
    with closing(
        http.client.HTTPConnection(address.removeprefix("http://"), timeout=PATIENCE_S)
    ) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return Reply(status=answer.status, body=answer.read(), headers=dict(answer.getheaders()))


def post(address: str, token: str, content: bytes) -> Reply:
    with closing(
        http.client.HTTPConnection(address.removeprefix("http://"), timeout=PATIENCE_S)
    ) as connection:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/xml"}
        connection.request("POST", "/v1/messages", content, headers)
        answer = connection.getresponse()
        return Reply(status=answer.status, body=answer.read(), headers=dict(answer.getheaders()))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a small file system; in CI it must be there."""
    with mounted(tmp_path / "world" / "site", mib=48) as disk:
        yield disk


def test_full_disk_is_refused_told_and_healed_and_nothing_accepted_is_lost(small_disk: Path) -> None:
    world = LocalWorld(small_disk.parent, enterprises=(OURS,))
    configure(
        world.site.config,
        watermarks=f"free_bytes_warn = {24 << 20}\nfree_bytes_refuse = {16 << 20}\n",
    )
    token = world.site.tokens[EnterpriseId(OURS.id)]
    accepted: list[str] = []

    def submit(seed: int) -> int:
        reply = post(world.address, token, body(seed))
        if reply.status == 202:
            accepted.append(reply.json()["id"])
        return reply.status

    with world, closing(Platform(world.address, token)) as platform:
        assert world.gateway is not None
        assert [submit(seed) for seed in range(5)] == [202] * 5
        page = Reply(status=0, body=b"{}", headers={})
        while not page.json().get("receipts"):
            page = platform.ask("GET", "/v1/receipts?wait=20")
        first = page.json()["receipts"][0]

        ballast = fill(small_disk)
        seeds = iter(range(100, 10_000))
        until(lambda: submit(next(seeds)) == 503)
        line = world.gateway.wait_for(
            lambda line: line.get("event") == "spool.watermark" and line["refuses"], 30
        )
        assert (line["mark"], line["limit"]) == ("free_bytes_refuse", 16 << 20)

        until(lambda: get(world.address, "/readyz").status == 503)
        refused = post(world.address, token, body(50))
        problem = refused.json()
        assert (refused.status, problem["code"]) == (503, "unavailable")
        assert int(refused.headers["retry-after"]) > 0
        assert problem["faults"][0]["rule"] == "free_bytes_refuse"
        assert problem["detail_zh"]
        reasons = get(world.address, "/readyz").json()
        assert reasons["status"] == "not ready"
        assert "bytes free" in reasons["reasons"][0]

        again = platform.once("GET", f"/v1/receipts?after={first['cursor'] - 1}&limit=1").json()
        assert again["receipts"] == [first]
        assert platform.once("GET", first["content"]).status == 200
        assert platform.once("GET", f"/v1/messages/{accepted[0]}/content").body == body(0)
        assert platform.once("POST", "/v1/messages?dry_run=true", body(51)).status == 200

        ballast.unlink()
        world.gateway.wait_for(
            lambda line: (
                line.get("event") == "spool.watermark_cleared" and line["mark"] == "free_bytes_refuse"
            ),
            60,
        )
        until(lambda: submit(next(seeds)) == 202)
        assert get(world.address, "/readyz").status == 200
        for uid in accepted:
            world.gateway.wait_for(
                lambda line, uid=uid: line.get("event") == "entry.sent" and line["message_id"] == uid,  # type: ignore[misc]
                60,
            )
        crossings = [line for line in world.gateway.events if line["event"] == "spool.watermark"]
        assert sorted(line["mark"] for line in crossings) == ["free_bytes_refuse", "free_bytes_warn"]
        seen = [envelope["cop_msg_id"] for envelope in world.customs_saw()]
    assert set(accepted) <= set(seen)


class JammedNode(Node):
    """A node whose destination is not there."""

    def submit(self, seed: int) -> Reply:
        return post(self.address, self.token(OURS.id), body(seed))

    def figures(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        reply = get(self.address, "/metrics", Authorization=f"Bearer {TOKEN}")
        assert reply.status == 200
        assert reply.headers["content-type"].startswith("text/plain")
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(reply.body.decode())
            for sample in family.samples
        }


@pytest.fixture
def jammed(tmp_path: Path) -> Iterator[JammedNode]:
    """It takes three messages at most meanwhile."""
    site = write_site(tmp_path / "site", enterprises=(OURS,), port=free_port())
    (site.state / "outbox").rename(site.state / "elsewhere")
    (site.folder / "keys" / "metrics.token").write_text(f"{TOKEN}\n")
    configure(
        site.config,
        watermarks="free_bytes_warn = 0\nfree_bytes_refuse = 0\ndepth_warn = 2\ndepth_refuse = 3",
        retry="",
        metrics='token_file = "keys/metrics.token"',
    )
    site.config.write_text(site.config.read_text().replace("first_s = 2.0", "first_s = 0.2"))
    with JammedNode(site, tmp_path / "run.log").running() as made:
        yield made


def test_depth_refuses_new_work_until_the_destination_takes_what_waits(jammed: JammedNode) -> None:
    replies: list[Reply] = []

    def refused() -> bool:
        replies.append(jammed.submit(len(replies)))
        return replies[-1].status == 503

    until(refused)
    taken = [reply.json()["id"] for reply in replies if reply.status == 202]
    assert len(taken) >= 3
    assert replies[-1].json()["faults"][0]["rule"] == "depth_refuse"
    assert get(jammed.address, "/readyz").status == 503

    (jammed.site.state / "elsewhere").rename(jammed.site.state / "outbox")

    until(lambda: get(jammed.address, "/readyz").status == 200)
    assert jammed.submit(5000).status == 202
    for uid in taken:
        jammed.event("entry.sent", message_id=uid)


def test_metrics_tell_the_spool_and_the_door_and_nothing_personal(jammed: JammedNode) -> None:
    assert jammed.submit(1).status == 202
    assert jammed.submit(1).status == 200
    bad: Any = post(jammed.address, "nobody's token", body(2))
    assert bad.status == 401

    assert get(jammed.address, "/metrics").status == 401
    assert get(jammed.address, "/metrics", Authorization="Bearer \xff").json()["code"] == "unauthorised"
    figures = jammed.figures()

    def told(name: str, **labels: str) -> float:
        return figures[name, frozenset(labels.items())]

    assert told("gateway_messages_accepted_total", enterprise=OURS.id) == 1
    assert told("gateway_messages_duplicate_total", enterprise=OURS.id) == 1
    door = "POST /v1/messages"
    assert told("gateway_requests_total", operation=door, problem="none") == 2
    assert told("gateway_requests_total", operation=door, problem="unauthorised") == 1
    assert told("gateway_accept_seconds_count") == 2
    assert told("gateway_commit_batch_sum") >= 2
    entries = sum(value for (name, _), value in figures.items() if name == "gateway_spool_entries")
    assert (entries, told("gateway_spool_readable")) == (1, 1)
    assert told("gateway_spool_free_bytes") > 0
    text = json.dumps([[name, sorted(labels)] for name, labels in figures])
    for secret in (*OURS.cop_codes, *OURS.dxp_ids, TOKEN, jammed.site.tokens[EnterpriseId(OURS.id)]):
        assert secret not in text
