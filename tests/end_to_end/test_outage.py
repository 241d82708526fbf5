"""Customs goes away for a while: nothing is lost, nothing else waits, and everything drains by itself."""

import random
from contextlib import closing
from pathlib import Path

from gateway.samples.compose import compose
from gateway.simulator.world import LocalWorld, WatchedProcess
from tests.platforms import Platform, enterprises

OURS, THEIRS = enterprises(2)


def sent(gateway: WatchedProcess, uid: str) -> None:
    gateway.wait_for(lambda line: line.get("event") == "entry.sent" and line["message_id"] == uid)


def test_an_outage_holds_up_its_own_destination_only_and_drains_by_itself(tmp_path: Path) -> None:
    rng = random.Random(5)
    other = tmp_path / "other"
    more = (
        f'[[destination]]\nname = "export"\nfamilies = ["export"]\n[destination.folder]\n'
        f'send_dir = "{other / "out"}"\nreceive_dir = "{other / "in"}"\n'
    )
    for name in ("out", "in"):
        (other / name).mkdir(parents=True)
    with (
        LocalWorld(
            tmp_path,
            script={"final_only": True},
            enterprises=(OURS, THEIRS),
            families=["import"],
            more_config=more,
        ) as world,
        closing(Platform(world.address, world.site.tokens[OURS.id])) as ours,  # type: ignore[index]
        closing(Platform(world.address, world.site.tokens[THEIRS.id])) as theirs,  # type: ignore[index]
    ):
        assert world.gateway is not None
        assert world.customs is not None
        world.customs.stop()
        waiting = []
        for _ in range(60):
            body = compose("CEB311Message", cop_code=OURS.cop_codes[0], dxp_id=OURS.dxp_ids[0], rng=rng).body
            reply = ours.submit(body)
            assert reply.status == 202
            waiting.append(reply.json()["id"])
        down = world.gateway.wait_for_event("destination.down")
        told = [line["error"] for line in list(world.gateway.events) if line.get("event") == "entry.deferred"]
        assert down["error"] in told, "the cause"
        body = compose("CEB303Message", cop_code=THEIRS.cop_codes[0], dxp_id=THEIRS.dxp_ids[0], rng=rng).body
        export = theirs.submit(body).json()["id"]
        sent(world.gateway, export)
        assert {ours.ask("GET", f"/v1/messages/{uid}").json()["state"] for uid in waiting} <= {
            "ready",
            "sending",
        }

        world.start_customs()
        world.gateway.wait_for_event("destination.up", 60)
        for uid in waiting:
            sent(world.gateway, uid)
        home: set[str] = set()
        for _ in range(60):
            if len(home) == len(waiting):
                break
            home |= {
                body["declarations"][0]["key"]["orderNo"]
                for receipt in ours.receipts(wait_s=2)
                for body in receipt["bodies"]
            }
        assert len(home) == len(waiting)
        attempts = [ours.ask("GET", f"/v1/messages/{uid}").json()["attempts"] for uid in waiting]
    assert sum(attempts) < 60, "most entries never saw the outage: nothing was claimed while it lasted"
    arrived = {line["cop_msg_id"] for line in world.customs_saw()}
    assert arrived == set(waiting)
