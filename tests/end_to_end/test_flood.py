"""One enterprise floods the gateway; another's single message hardly notices.

GATEWAY_FLOOD messages wait before it (`make soak`: 100,000). What a claim costs at any depth: tests/contract/test_depth.py.
"""

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import structs

from gateway.app.open_spool import build_spool
from gateway.config.enterprises import load_enterprises
from gateway.config.gateway_toml import load_config
from gateway.config.site import Site, write_site
from gateway.model import EnterpriseId, Message
from gateway.samples.compose import compose
from gateway.simulator.world import free_port
from gateway.submission.new_messages import new_message_id, new_message_of
from gateway.submission.pipeline import examine
from spool.entry import NewMessage
from spool.store import Spool
from tests.backends import BACKENDS
from tests.nodes import Node
from tests.platforms import enterprises
from tests.shipped_rules import shipped
from tests.spool_samples import START, Clock, new_message, settled

FLOOD = int(os.environ.get("GATEWAY_FLOOD", "30000"))
COMMIT = 2_000
BATCH = 32
LOUD, QUIET = enterprises(2)


def pour(spool: Spool, make: Callable[[int], NewMessage]) -> None:
    """Put the flood in through the spool's own door."""
    for start in range(0, FLOOD, COMMIT):
        spool.put([make(number) for number in range(start, start + COMMIT)])


@pytest.fixture(params=BACKENDS)
def spool(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Spool]:
    with closing(BACKENDS[request.param](tmp_path / "state", Clock(START))) as opened:
        yield opened


def test_single_message_is_in_the_next_claim_behind_a_flood(spool: Spool) -> None:
    pour(spool, lambda number: new_message(f"FLOOD-{number}", owner=LOUD.id))
    before = spool.claim("one", "port", limit=BATCH, lease_s=60)
    assert {one.owner for one in before} == {LOUD.id}
    spool.put([new_message("single", owner=QUIET.id)])

    claimed = spool.claim("one", "port", limit=BATCH, lease_s=60)

    assert "single" in [one.uid for one in claimed]
    assert len(claimed) == BATCH, "and the flood goes on beside it"
    spool.settle(settled(claimed))


def test_single_message_overtakes_a_flood_through_a_real_forwarder(tmp_path: Path) -> None:
    site = write_site(tmp_path / "site", enterprises=(LOUD, QUIET), port=free_port())
    with closing(build_spool(load_config(site.config))) as spool:
        like = example(site)
        pour(spool, lambda number: another(like, f"FLOOD-{number:06}"))
    node = Node(site, tmp_path / "run.log")
    node.start()
    try:
        node.event("entry.sent", message_id="FLOOD-000100")
        body = compose(
            "CEB311Message", cop_code=QUIET.cop_codes[0], dxp_id=QUIET.dxp_ids[0], rng=random.Random(2)
        ).body
        with closing(node.platform(QUIET.id)) as platform:
            reply = platform.submit(body)
            answered = time.monotonic()
        assert reply.status == 202
        uid = reply.json()["id"]
        node.event("entry.sent", message_id=uid)
        delay_s = time.monotonic() - answered
        with closing(build_spool(load_config(site.config))) as spool:
            (backlog,) = spool.backlog(at_most=FLOOD)
    finally:
        node.process.kill()

    names = [(line["event"], line.get("message_id")) for line in node.process.events]
    meanwhile = names[names.index(("message.accepted", uid)) : names.index(("entry.sent", uid))]
    overtaken = sum(event == "entry.sent" for event, _ in meanwhile)
    print(
        f"\nwith {backlog.entries} messages of another waiting: sent {delay_s * 1000:.0f} ms after its 202,"
        f" {overtaken} of the flood in between"
    )
    assert backlog.entries > FLOOD / 2, "the flood is still there"
    assert overtaken <= 2 * BATCH


def example(site: Site) -> NewMessage:
    """One message of the loud enterprise as the door hands it to the spool."""
    config, rules = load_config(site.config), shipped()
    caller = load_enterprises(config.accept.enterprises_dir)[EnterpriseId(LOUD.id)]
    body = compose(
        "CEB513Message", cop_code=LOUD.cop_codes[0], dxp_id=LOUD.dxp_ids[0], rng=random.Random(1)
    ).body
    message = examine(body, caller, rules, config.accept.limits)
    assert isinstance(message, Message)
    return new_message_of(message, caller, uid=new_message_id(START), config=config)


def another(like: NewMessage, uid: str) -> NewMessage:
    """The same again under its own name, about a declaration of its own that nobody waits for."""
    ways = tuple(structs.replace(way, cop_msg_id=uid) for way in like.ways)
    return structs.replace(like, uid=uid, sha256=uid.encode(), ways=ways, subjects=())
