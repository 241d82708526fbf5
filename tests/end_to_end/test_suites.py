"""Enterprises with keys of every kind at one node: each is signed for with its own, and customs accepts them all."""

import hashlib
import random
from contextlib import closing
from pathlib import Path

from gateway.config.site import NewEnterprise
from gateway.samples.compose import compose
from gateway.simulator.world import LocalWorld
from gateway.xml.envelope import unwrap
from signing.keys.suite import SUITES
from signing.xml.splice import strip
from signing.xml.verify import verify
from tests.platforms import Platform
from tests.signing_documents import write_keys


def test_each_enterprise_is_signed_for_with_its_own_suite_and_customs_accepts_it(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    write_keys(tmp_path / "keys")
    tables = "".join(
        f'[[key]]\nname = "{suite.name}"\nkind = "pem"\nsuite = "{suite.name}"\n'
        f'file = "{tmp_path}/keys/{suite.name}/key.pem"\n'
        f'certificate = "{tmp_path}/keys/{suite.name}/certificate.pem"\n'
        for suite in SUITES
    )
    enterprises = [
        NewEnterprise(
            id=suite.name,
            name=suite.name,
            cop_codes=(f"440000000{number}",),
            dxp_ids=(f"DXPENT000000000{number}",),
            key=suite.name,
        )
        for number, suite in enumerate(SUITES, start=1)
    ]
    rng = random.Random(4)
    with LocalWorld(tmp_path / "world", enterprises=enterprises, more_config=tables) as world:
        accepted: dict[str, tuple[str, bytes]] = {}
        for one in enterprises:
            body = compose("CEB621Message", cop_code=one.cop_codes[0], dxp_id=one.dxp_ids[0], rng=rng).body
            with closing(Platform(world.address, world.site.tokens[one.id])) as platform:  # type: ignore[index]
                reply = platform.submit(body)
                assert reply.status == 202, reply.body
                accepted[reply.json()["id"]] = (one.id, body)
                first = next(platform.receipts(wait_s=60))
                statuses = {answer["status"] for answer in first["bodies"]}
                assert not any(status.startswith("-") for status in statuses), statuses
        for line in world.customs_saw():
            assert line["original_sha256"] == hashlib.sha256(accepted[line["cop_msg_id"]][1]).hexdigest()
    suites = {}
    for file in (tmp_path / "world" / "customs" / "files" / "in").iterdir():
        opened = unwrap(file.read_bytes())
        verdict = verify(opened.business)
        assert verdict.valid, verdict.reasons
        assert verdict.suite is not None
        owner, body = accepted[opened.envelope.cop_msg_id]
        assert strip(opened.business)[0] == body
        suites[owner] = verdict.suite.name
    assert suites == {suite.name: suite.name for suite in SUITES}
