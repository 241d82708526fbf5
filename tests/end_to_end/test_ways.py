"""Every declaration type over every transport and envelope, and all three layers of answers."""

import base64
import hashlib
import random
import re
from collections import defaultdict
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import pytest

from gateway.samples.compose import Style, compose
from gateway.simulator.world import LocalWorld
from gateway.xml.envelope import unwrap
from signing.xml.splice import strip
from signing.xml.verify import verify
from tests.platforms import Platform, enterprises
from tests.shipped_rules import shipped

OURS, THEIRS = enterprises(2)
SCRIPT = {
    "seed": 3,
    "ceb900": 0.2,
    "dxprep": 0.2,
    "negative": 0.2,
    "refuse": 0.2,
    "duplicates": 0.3,
    "batch": 10,
}


@pytest.mark.parametrize(("transport", "envelope"), [("sftp", "DxpMsgSv"), ("amqp", "DxpMsg")])
def test_every_type_goes_out_untouched_and_all_layers_come_home(
    tmp_path: Path, transport: Literal["sftp", "amqp"], envelope: Literal["DxpMsg", "DxpMsgSv"]
) -> None:
    rng = random.Random(3)
    kinds = [kind.name for kind in shipped().catalogue.declarations()]
    with (
        LocalWorld(
            tmp_path, transport=transport, envelope=envelope, script=SCRIPT, enterprises=(OURS, THEIRS)
        ) as world,
        closing(Platform(world.address, world.site.tokens[OURS.id])) as ours,  # type: ignore[index]
        closing(Platform(world.address, world.site.tokens[THEIRS.id])) as theirs,  # type: ignore[index]
    ):
        bodies: dict[str, bytes] = {}
        for kind in kinds:
            for extend in (False, True):
                composed = compose(
                    kind,
                    cop_code=OURS.cop_codes[0],
                    dxp_id=OURS.dxp_ids[0],
                    rng=rng,
                    style=Style(extend=extend),
                )
                reply = ours.submit(composed.body)
                assert reply.status == 202, (kind, reply.body)
                bodies[reply.json()["id"]] = composed.body
        told = everything_customs_says(world, ours, bodies)

        for line in world.customs_saw():
            body = bodies[line["cop_msg_id"]]
            assert line["original_sha256"] == hashlib.sha256(body).hexdigest()
            assert line["sender_id"] == OURS.dxp_ids[0]
        assert {line["cop_msg_id"] for line in world.customs_saw()} == set(bodies)
        assert list(theirs.receipts()) == [], "nothing of this is theirs"

        layers = defaultdict(set)
        for receipt in told:
            for body in receipt["bodies"]:
                layers[body["layer"]].add(body["message_type"])
                assert body["meaning"]["zh"]
                assert body["meaning"]["en"]
        assert layers["transport"] == {"DxpRep"}
        assert layers["format"] == {"CEB900Message"}
        assert len(layers["business"]) > 10
        assert_raw_receipts_are_ours_alone(ours, theirs, told)
        assert_nothing_personal_in((tmp_path / "run.log").read_text("utf-8"), bodies)
        if transport == "sftp":
            assert_envelopes_verify(tmp_path / "customs" / "files" / "in", bodies)


def everything_customs_says(
    world: LocalWorld, platform: Platform, messages: Collection[str]
) -> list[dict[str, Any]]:
    """Pull until customs has seen and answered every message, and everything it said is at home.

    A message may have two answers that end it, so their number alone does not say that all have come.
    """
    told: list[dict[str, Any]] = []
    for _ in range(120):
        told += platform.receipts(wait_s=1)
        home = {
            (body["message_type"], body["status"], frozenset(one["key"].items()))
            for receipt in told
            for body in receipt["bodies"]
            for one in body["declarations"]
        }
        sent = [line for line in world.customs_sent() if line["owner"]]
        wanted = {
            (line["receipt"], line["status"], frozenset(line["key"].items())) for line in sent if line["key"]
        }
        about = {line["about"] for line in sent if line["about"]}
        answered = {
            body["fields"].get("oriCopMsgId") or body["fields"].get("OriHead[1]/CopMsgId")
            for receipt in told
            for body in receipt["bodies"]
            if body["layer"] != "business"
        }
        ends = sum(line["status"].startswith("-") or line["status"] in FINAL for line in sent if line["key"])
        seen = {line["cop_msg_id"] for line in world.customs_saw()}
        all_answered = seen.issuperset(messages) and ends + len(about) >= len(messages)
        if all_answered and wanted <= home and about <= answered:
            return told
    raise AssertionError((len(told), sorted(map(str, wanted - home))[:5], about - answered, ends, messages))


FINAL = ("100", "120", "399", "800")


PERSONAL = re.compile(
    r"<ceb:(buyer\w+|consignee\w*|payerIdNumber|payerName|telephone|\w*Telephone)>([^<]{2,})<", re.IGNORECASE
)


def assert_nothing_personal_in(log: str, bodies: dict[str, bytes]) -> None:
    """Names, identity and telephone numbers of the declarations stand nowhere in the log."""
    values = {value for body in bodies.values() for _, value in PERSONAL.findall(body.decode())}
    assert len(values) > 20
    assert [value for value in values if value in log and not value.isdigit()] == []
    assert [
        value for value in values if re.search(rf"(?<!\d){re.escape(value)}(?!\d)", log) and len(value) > 8
    ] == []


def assert_raw_receipts_are_ours_alone(ours: Platform, theirs: Platform, told: list[dict[str, Any]]) -> None:
    for receipt in told[:20]:
        raw = ours.ask("GET", receipt["content"])
        assert raw.status == 200
        for body in receipt["bodies"]:
            assert body["status"].encode() in raw.body
        assert theirs.ask("GET", receipt["content"]).status == 404


def assert_envelopes_verify(folder: Path, bodies: dict[str, bytes]) -> None:
    """What lies at customs verifies, and cutting the Signature out gives the accepted bytes."""
    files = list(folder.glob("CEB*.xml"))
    assert len(files) == len(bodies)
    for file in files:
        raw = file.read_bytes()
        unsealed = unwrap(raw)
        assert unsealed.transfer is not None
        assert base64.b64encode(unsealed.business) in raw
        verdict = verify(unsealed.business)
        assert verdict.valid, (file.name, verdict)
        assert strip(unsealed.business)[0] == bodies[unsealed.envelope.cop_msg_id]
