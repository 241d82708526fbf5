"""Evidence from a running node: asked for over HTTP by whoever submitted, verified with the public key alone."""

from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from gateway.evidence.bundle import decode
from gateway.evidence.verification import FindingMark, verify_bundle
from gateway.simulator.world import LocalWorld
from spool.note import read, verifier_key
from tests import documents as make
from tests.command_line import invoke
from tests.platforms import Platform, enterprises

OURS, THEIRS = enterprises(2)


def grew(size: int, line: Mapping[str, Any]) -> bool:
    return line.get("event") == "journal.sealed" and int(line["size"]) > size


def test_platform_gets_the_evidence_of_its_own_message_and_anybody_can_verify_it(tmp_path: Path) -> None:
    world = LocalWorld(tmp_path, enterprises=(OURS, THEIRS))
    text = world.site.config.read_text("utf-8")
    world.site.config.write_text(text.replace("[journal]\n", "[journal]\nevery_s = 0.1\n"), "utf-8")
    (own,) = OURS.cop_codes
    body = make.order("ORDER-1", ebc_code=own, cop_code=own, dxp_id=OURS.dxp_ids[0])
    with (
        world,
        closing(Platform(world.address, world.site.tokens[OURS.id])) as ours,  # type: ignore[index]
        closing(Platform(world.address, world.site.tokens[THEIRS.id])) as theirs,  # type: ignore[index]
    ):
        uid = ours.submit(body).json()["id"]
        assert next(iter(ours.receipts(wait_s=30)))
        key = verifier_key(invoke("journal", "key", "-c", world.site.config).stdout)
        reply = ours.ask("GET", f"/v1/messages/{uid}/evidence")
        while not decode(reply.body).receipts:  # the next checkpoint covers more
            assert world.gateway is not None
            size = read(decode(reply.body).checkpoint).size
            world.gateway.wait_for(partial(grew, size))
            reply = ours.ask("GET", f"/v1/messages/{uid}/evidence")
        hidden = theirs.ask("GET", f"/v1/messages/{uid}/evidence")
        redacted = ours.ask("GET", f"/v1/messages/{uid}/evidence?redact=true")
        audit = invoke("journal", "verify", "-c", world.site.config)

    assert (reply.status, hidden.status) == (200, 404)
    for one in (reply.body, redacted.body):
        findings = verify_bundle(one, [key])
        assert not [finding.text for finding in findings if finding.mark is FindingMark.BROKEN]
    assert any(
        "gives back exactly what was handed in" in one.text for one in verify_bundle(reply.body, [key])
    )
    assert decode(reply.body).accepted.body == body
    assert decode(redacted.body).accepted.body is None
    assert audit.exit_code == 0, audit.output
