"""Webhook receivers that are slow, dead, broken, gone, elsewhere or never end: all others keep their pace.

Every enterprise of a real gateway has a receiver of its own. While all the bad ones are bad, the good ones must have
everything; then each gets well and everything arrives, in the order of each declaration.
"""

import json
import random
import signal
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final

from gateway.app.open_spool import build_spool
from gateway.config.gateway_toml import load_config
from gateway.config.site import NewEnterprise
from gateway.samples.compose import compose
from gateway.simulator.world import LocalWorld
from spool.entry import Wanted
from spool.lifecycle import State
from tests.channel_node import QUICK
from tests.platforms import Platform, bodies_of, enterprises
from tests.servers.receiver import Handler, Receiver, answers, hangs, takes_but_never_ends, trickles
from tests.waiting import until

MESSAGES = 12
BAD: Final = ("slow", "dies", "answers_500", "answers_410", "redirects", "hangs", "trickles", "never_ends")
GOOD: Final = ("good_1", "good_2")
TIMEOUT_S = 1.0


def behaviours(release: threading.Event, elsewhere: str) -> dict[str, Callable[[Handler], None]]:
    def slow(handler: Handler) -> None:
        release.wait(TIMEOUT_S * 0.8)
        handler.take()

    return {
        "slow": slow,
        "answers_500": answers(500),
        "answers_410": answers(410),
        "redirects": answers(302, Location=elsewhere),
        "hangs": hangs(release),
        "trickles": trickles(release),
        "never_ends": takes_but_never_ends(release),
    }


def submit_all(world: LocalWorld, owners: Mapping[str, NewEnterprise]) -> None:
    rng = random.Random(11)
    for name, one in owners.items():
        with closing(Platform(world.address, world.site.tokens[one.id])) as platform:  # type: ignore[index]
            for _ in range(MESSAGES):
                body = compose(
                    "CEB311Message", cop_code=one.cop_codes[0], dxp_id=one.dxp_ids[0], rng=rng
                ).body
                assert platform.submit(body).status == 202, name


def told(receiver: Receiver) -> dict[str, Any]:
    """Deliveries by their id; one that came twice is the same both times."""
    found: dict[str, Any] = {}
    for one in receiver.taken:
        assert receiver.verifies(one)
        form = one.json()
        assert form == found.setdefault(one.id, form)
    return found


def bodies_at(receiver: Receiver) -> set[tuple[str, str, str, frozenset[tuple[str, str]]]]:
    return {body for form in told(receiver).values() for body in bodies_of(form["receipt"])}


def assert_ordered(receiver: Receiver) -> None:
    """The first time that each delivery was taken: cursors of one declaration only rise."""
    last: dict[str, int] = defaultdict(int)
    seen: set[str] = set()
    for one in receiver.taken:
        if one.id in seen:
            continue
        seen.add(one.id)
        receipt = one.json()["receipt"]
        for body in receipt["bodies"]:
            for declaration in body["declarations"]:
                name = json.dumps(declaration, sort_keys=True)
                assert receipt["cursor"] >= last[name], (one.id, name)
                last[name] = receipt["cursor"]


def test_bad_receivers_hold_up_nobody_and_get_everything_in_the_end(tmp_path: Path) -> None:
    release = threading.Event()
    names = (*GOOD, *BAD)
    owners = dict(zip(names, enterprises(len(names)), strict=True))
    world = LocalWorld(
        tmp_path, script={"seed": 3, "delay_s": [0.0, 0.1]}, enterprises=tuple(owners.values())
    )
    with ExitStack() as stack:
        stack.callback(release.set)
        elsewhere = stack.enter_context(Receiver(tmp_path))
        receivers = {name: stack.enter_context(Receiver(tmp_path)) for name in names}
        for name, behaviour in behaviours(release, elsewhere.url).items():
            receivers[name].behaviour = behaviour
        receivers["dies"].stop()
        settings = {**QUICK, "[notify]\n": "[notify]\nparallel = 16\n"}
        text = world.site.config.read_text("utf-8")
        for old, new in settings.items():
            text = text.replace(old, new)
        world.site.config.write_text(text, "utf-8")
        for name, one in owners.items():
            with (world.site.enterprises / f"{one.id}.toml").open("a", encoding="utf-8") as file:
                file.write(receivers[name].toml(timeout_s=TIMEOUT_S))
        stack.enter_context(world)
        submit_all(world, owners)
        expected = _expected(world, owners)

        for name in GOOD:  # the others are as bad as they can be all the while
            receivers[name].wait_until(lambda one, name=name: bodies_at(one) == expected[name])  # type: ignore[misc]
        for name in ("answers_500", "answers_410", "redirects", "hangs", "trickles"):
            assert receivers[name].taken == []
            receivers[name].wait_until(lambda one: bool(one.requests))

        _deliveries_are_not_counted_as_messages(world, owners)
        release.set()
        for receiver in receivers.values():
            receiver.behaviour = Handler.take
        receivers["dies"].start()
        assert world.gateway is not None
        world.gateway.wait_for_event("channel.gone")
        world.gateway.process.send_signal(signal.SIGHUP)

        for name, receiver in receivers.items():
            receiver.wait_until(lambda one, name=name: bodies_at(one) == expected[name])  # type: ignore[misc]
            assert_ordered(receiver)
        with closing(build_spool(load_config(world.site.config))) as spool:
            until(lambda: not spool.depths())
            until(lambda: not any(spool.outstanding().unacknowledged.values()))
            dead = spool.entries(Wanted(states=(State.DEAD,)))
        for name, one in owners.items():
            _deliveries_are_hidden(world, one, receivers[name])
    assert dead == []
    assert elsewhere.requests == []


def _expected(
    world: LocalWorld, owners: Mapping[str, NewEnterprise]
) -> dict[str, set[tuple[str, str, str, frozenset[tuple[str, str]]]]]:
    """Wait until customs has said its last word about every message; returns what each enterprise must hear."""
    codes = {one.cop_codes[0]: name for name, one in owners.items()}

    def all_said() -> bool:
        final = {
            (line["owner"], frozenset(line["key"].items()))
            for line in world.customs_sent()
            if line["owner"] and line["status"] not in {"2", "3"}
        }
        return len(final) == MESSAGES * len(owners)

    until(all_said)
    wanted = defaultdict(set)
    for line in world.customs_sent():
        if line["owner"] and line["message_type"]:
            key = frozenset(line["key"].items())
            wanted[codes[line["owner"]]].add((line["receipt"], line["status"], line["time"], key))
    return dict(wanted)


def _deliveries_are_hidden(world: LocalWorld, owner: NewEnterprise, receiver: Receiver) -> None:
    """What brings a receipt home is no message of the enterprise, whatever it asks."""
    delivery = receiver.taken[0].id
    with closing(Platform(world.address, world.site.tokens[owner.id])) as platform:  # type: ignore[index]
        for name in (f"@home/{delivery}", f"%40home%2F{delivery.replace('/', '%2F')}", delivery):
            for ending in ("", "/content", "/evidence"):
                assert platform.ask("GET", f"/v1/messages/{name}{ending}").status == 404


def _deliveries_are_not_counted_as_messages(world: LocalWorld, owners: Mapping[str, NewEnterprise]) -> None:
    one = owners["good_1"]
    with closing(Platform(world.address, world.site.tokens[one.id])) as platform:  # type: ignore[index]
        figures = platform.ask("GET", "/metrics").body.decode()
    assert f'gateway_messages_accepted_total{{enterprise="{one.id}"}} {MESSAGES}.0' in figures
    assert f'destination="@home/{owners["dies"].id}/erp"' in figures
