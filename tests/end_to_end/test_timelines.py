"""1,000 declarations of 20 enterprises that share order numbers: each timeline is exactly right."""

import random
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gateway.config.site import NewEnterprise
from gateway.samples.compose import compose
from gateway.simulator.world import LocalWorld
from tests.platforms import Platform, enterprises

ENTERPRISES = enterprises(20, dxp_ids=2)
ORDERS_EACH = 25
SEED = 7
SCRIPT = {
    "seed": SEED, "delay_s": [0.0, 0.4], "duplicates": 1.0, "reorder": 0.5, "refuse": 0.1, "bare": 0.5,
    "batch": 100, "inspect": 0.2, "unmatched": 0.02, "garbage": 0.01,
}  # fmt: skip

Told = tuple[str, str, str]
"""Receipt type, status, returnTime."""
Declared = tuple[str, str, frozenset[tuple[str, str]]]
"""copCode, message type, business key."""


def submit_all(platform: Platform, one: NewEnterprise, rng: random.Random) -> list[Declared]:
    """Orders and inventories in messages of five; every enterprise uses the same order numbers."""
    declared: list[Declared] = []
    for kind in ("CEB311Message", "CEB621Message"):
        for first in range(0, ORDERS_EACH, 5):
            bodies = []
            for number in range(first, first + 5):
                composed = compose(
                    kind, cop_code=one.cop_codes[0], dxp_id=one.dxp_ids[0], rng=rng,
                    overrides={"orderNo": f"SHARED{number:04d}"},
                )  # fmt: skip
                bodies.append(composed)
            for composed in bodies:
                reply = platform.submit(composed.body)
                assert reply.status == 202, reply.body
                declared += [(one.cop_codes[0], kind, frozenset(key.items())) for key in composed.keys]
    return declared


def told_by_customs(world: LocalWorld) -> dict[Declared, set[Told]]:
    told: dict[Declared, set[Told]] = defaultdict(set)
    for line in world.customs_sent():
        if line["owner"]:
            about = (line["owner"], line["message_type"], frozenset(line["key"].items()))
            told[about].add((line["receipt"], line["status"], line["time"]))
    return told


def timeline(platform: Platform, kind: str, key: str) -> list[dict[str, Any]]:
    reply = platform.ask("GET", f"/v1/declarations?type={kind}&key={quote(key)}")
    assert reply.status == 200, (kind, key, reply.body)
    answers: list[dict[str, Any]] = reply.json()["answers"]
    (standing,) = reply.json()["declarations"]
    assert standing["answers"] == standing["delivered"] == len(answers)
    assert (standing["transport"], standing["format"]) == ("ok", "ok")
    assert [one["state"] for one in standing["messages"]] == ["sent"]
    refused = any(one["status"] == "100" for one in answers)
    assert standing["outcome"] == ("refused" if refused else "accepted")
    assert standing["waits_for"]["who"] in ({"enterprise"} if refused else {"enterprise", "nobody"})
    assert standing["overdue_since"] is None
    return answers


def test_every_timeline_is_exactly_right_when_enterprises_share_order_numbers(tmp_path: Path) -> None:
    with (
        LocalWorld(tmp_path, transport="amqp", script=SCRIPT, enterprises=ENTERPRISES) as world,
        ExitStack() as stack,
    ):
        platforms = {one.id: Platform(world.address, world.site.tokens[one.id]) for one in ENTERPRISES}  # type: ignore[index]
        for platform in platforms.values():
            stack.callback(platform.close)
        declared = [
            about
            for number, one in enumerate(ENTERPRISES)
            for about in submit_all(platforms[one.id], one, random.Random(number))
        ]
        assert len(declared) == len(set(declared)) == 1000
        home: dict[str, set[tuple[str, str, str, frozenset[tuple[str, str]]]]] = defaultdict(set)
        twice: list[str] = []
        told = bring_home(world, platforms, home, twice)

        refused = 0
        owners = {one.cop_codes[0]: one.id for one in ENTERPRISES}
        order = ("ebpCode", "ebcCode", "orderNo", "agentCode", "copNo")
        for code, kind, key in declared:
            fields = dict(key)
            text = " ".join(f"{name}={fields[name]}" for name in order if name in fields)
            answers = timeline(platforms[owners[code]], kind, text)
            seen = [(one["message_type"], one["status"], one["time"]) for one in answers]
            assert sorted(seen, key=lambda one: one[2]) == seen, "ordered by returnTime"
            assert len(seen) == len(set(seen)), "no answer twice"
            assert set(seen) == told[code, kind, key]
            refused += any(status == "100" for _, status, _ in seen)
            stranger = platforms[owners[code][:1] + ("01" if owners[code] != "e01" else "02")]
            path = f"/v1/declarations?type={kind}&key={quote(text)}"
            assert stranger.ask("GET", path).status == 404
        assert 50 <= refused <= 150, f"about one in ten of 1,000 is refused, here {refused}"
        assert twice == []
        log = world.gateway.events if world.gateway else []
        assert any(line["event"] == "receipt.orphaned" for line in log), (
            "strays and garbage are kept as orphans"
        )


def bring_home(
    world: LocalWorld,
    platforms: dict[str, Platform],
    home: dict[str, set[tuple[str, str, str, frozenset[tuple[str, str]]]]],
    twice: list[str],
) -> dict[Declared, set[Told]]:
    """Pull until every enterprise has exactly what customs said to it, and customs says no more."""
    owners = {one.cop_codes[0]: one.id for one in ENTERPRISES}
    for _ in range(200):
        told = told_by_customs(world)
        wanted: dict[str, set[Any]] = defaultdict(set)
        for (code, _kind, key), answers in told.items():
            wanted[owners[code]] |= {(*answer, key) for answer in answers}
        for owner, platform in platforms.items():
            if home[owner] == wanted[owner]:
                continue
            for receipt in platform.receipts(wait_s=1):
                for body in receipt["bodies"]:
                    for declaration in body["declarations"]:
                        key = frozenset(declaration["key"].items())
                        fact = (body["message_type"], body["status"], body["time"], key)
                        if fact in home[owner]:
                            twice.append(f"{owner}: {fact}")
                        home[owner].add(fact)
        finished = sum(_ended(answers) for answers in told.values())
        if all(home[owner] == wanted[owner] for owner in platforms) and finished == 1000:
            return told
    raise AssertionError({owner: len(wanted[owner] ^ home[owner]) for owner in platforms})


def _ended(answers: set[Told]) -> bool:
    """An order ends with 120 or 100, an inventory with its tax bill or 100."""
    return any(
        status == "100" or receipt == "CEB816Message" or (receipt == "CEB312Message" and status == "120")
        for receipt, status, _ in answers
    )
