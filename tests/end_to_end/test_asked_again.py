"""The exchange asks to have messages sent again: they go, as they were, until it takes them or the bound is reached."""

import random
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.samples.compose import compose
from gateway.simulator.world import LocalWorld, TransportName
from tests.platforms import Platform, enterprises

(OURS,) = enterprises(1)
QUICK = "[destination.retry]\nfirst_s = 0.05\nceiling_s = 0.4\nattempts = {attempts}\n"


def submit(platform: Platform, count: int) -> list[str]:
    rng = random.Random(14)
    uids = []
    for _ in range(count):
        composed = compose("CEB311Message", cop_code=OURS.cop_codes[0], dxp_id=OURS.dxp_ids[0], rng=rng)
        reply = platform.submit(composed.body)
        assert reply.status == 202, reply.body
        uids.append(reply.json()["id"])
    return uids


def arrivals(world: LocalWorld) -> dict[str, list[dict[str, Any]]]:
    seen: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in world.customs_saw():
        seen[line["cop_msg_id"]].append(line)
    return seen


@pytest.mark.parametrize("transport", ["sftp", "amqp"])
def test_everything_comes_home_under_its_own_id_when_the_exchange_fails_for_a_while(
    tmp_path: Path, transport: TransportName
) -> None:
    script = {"bounce": 0.6, "bounces": 3, "final_only": True}
    with (
        LocalWorld(
            tmp_path,
            transport=transport,
            script=script,
            enterprises=(OURS,),
            more_config=QUICK.format(attempts=20),
        ) as world,
        closing(Platform(world.address, world.site.tokens[OURS.id])) as platform,  # type: ignore[index]
    ):
        uids = submit(platform, 40)
        decided: set[str] = set()
        for _ in range(60):
            decided |= {
                body["declarations"][0]["key"]["orderNo"]
                for receipt in platform.receipts(wait_s=2)
                for body in receipt["bodies"]
                if body["message_type"] == "CEB312Message" and body["status"] == "120"
            }
            if len(decided) == len(uids):
                break
        assert len(decided) == len(uids)
        states = [platform.ask("GET", f"/v1/messages/{uid}").json() for uid in uids]
        assert world.gateway is not None
        logged = [line for line in world.gateway.events if line["event"] == "entry.bounced"]
    seen = arrivals(world)
    assert set(seen) == set(uids)
    bounced = {uid for uid in uids if seen[uid][0]["verdict"] == "bounced"}
    assert 10 < len(bounced) < 35
    for uid in uids:
        expected = ["bounced"] * 3 + ["processed"] if uid in bounced else ["processed"]
        assert [line["verdict"] for line in seen[uid]] == expected, "as often as asked for, and not once more"
        assert len({line["envelope_sha256"] for line in seen[uid]}) == 1, "the same to the byte"
    for one in states:
        assert one["state"] == "sent"
        assert one["attempts"] == (3 if one["id"] in bounced else 0)
    assert sorted(line["message_id"] for line in logged) == sorted(list(bounced) * 3)
    assert all("next_attempt_at" in line and "DxpRep 300" in line["error"] for line in logged)


def test_attempts_are_bounded_and_the_last_answer_is_the_reason(tmp_path: Path) -> None:
    with (
        LocalWorld(
            tmp_path,
            script={"bounce": 1.0, "bounces": 1000},
            enterprises=(OURS,),
            more_config=QUICK.format(attempts=4),
        ) as world,
        closing(Platform(world.address, world.site.tokens[OURS.id])) as platform,  # type: ignore[index]
    ):
        (uid,) = submit(platform, 1)
        assert world.gateway is not None
        dead = world.gateway.wait_for_event("entry.dead", 60)
        state = platform.ask("GET", f"/v1/messages/{uid}").json()
    assert (dead["message_id"], dead["attempt"], state["state"], state["attempts"]) == (uid, 4, "dead", 4)
    assert "no attempt is left after 4" in dead["error"]
    assert [line["verdict"] for line in arrivals(world)[uid]] == ["bounced"] * 4


def test_nothing_is_sent_again_where_that_is_not_wanted(tmp_path: Path) -> None:
    with (
        LocalWorld(tmp_path, script={"bounce": 1.0, "bounces": 1}, enterprises=(OURS,)) as world,
    ):
        config = world.site.config
        assert world.gateway is not None
        world.gateway.stop()
        text = config.read_text("utf-8")
        config.write_text(text.replace('name = "customs"\n', 'name = "customs"\nretry_on_answer = false\n'))
        world.start_gateway()
        with closing(Platform(world.address, world.site.tokens[OURS.id])) as platform:  # type: ignore[index]
            (uid,) = submit(platform, 1)
            told = next(body for receipt in platform.receipts(wait_s=30) for body in receipt["bodies"])
            state = platform.ask("GET", f"/v1/messages/{uid}").json()
    assert (told["message_type"], told["meaning"]["retry"]) == ("DxpRep", "retry")
    assert (state["state"], state["attempts"]) == ("sent", 0)
    assert len(arrivals(world)[uid]) == 1
