"""The role that makes imports is killed ten times in the middle of one: every sound row is in exactly one message.

A larger source: `IMPORT_ROWS=200000 .venv/bin/python -m pytest tests/crash/test_kill_imports.py`.
"""

import os
import random
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from gateway.config.site import NewEnterprise, write_site
from gateway.facts import message_facts
from gateway.imports.facts import PartFacts, RefusedBody, decoded
from gateway.simulator.world import free_port
from spool.imports import ImportJob, JobState
from spool.sqlite import SqliteSpool
from tests.import_sources import CSV, inventories
from tests.nodes import Node
from tests.waiting import until

ROWS = int(os.environ.get("IMPORT_ROWS", "3000"))
KILLS = 10
PATIENCE_S = 60 + ROWS / 200
OURS = NewEnterprise(id="ours", name="Ours", cop_codes=("4400000001",), dxp_ids=("DXPENT0000000001",))
UNBOUNDED = "[quota]\nmessages_per_minute = 0\ndeclarations_per_minute = 0\nbytes_per_minute = 0\n"


def _has_made(bodies: int) -> Callable[[ImportJob], bool]:
    return lambda now: now.bodies >= bodies or now.state is JobState.DONE


def test_every_sound_row_is_in_exactly_one_message_however_often_the_role_is_killed(tmp_path: Path) -> None:
    chance = random.Random(20261111)
    unwritable = set(chance.sample(range(1, ROWS + 1), ROWS // 200))
    wrong = set(chance.sample(range(1, ROWS + 1), ROWS // 200)) - unwritable
    site = write_site(tmp_path / "site", enterprises=(OURS,), port=free_port())
    site.config.write_text(f"{site.config.read_text('utf-8')}\n{UNBOUNDED}", "utf-8")
    node = Node(site, tmp_path / "run.log")
    with (
        node.running(),
        closing(SqliteSpool(site.state)) as spool,
        closing(node.platform("ours")) as platform,
    ):
        reply = platform.ask(
            "POST",
            "/v1/imports?mapping=inventories",
            inventories(ROWS, wrong=wrong, unwritable=unwritable),
            CSV,
        )
        uid = reply.json()["id"]

        def job() -> ImportJob:
            found = spool.import_job(uid)
            assert found is not None
            return found

        share = ROWS // (KILLS + 1)
        for kill in range(1, KILLS + 1):
            seen = until(job, _has_made(kill * share), seconds=PATIENCE_S)
            assert seen.state is JobState.WORKING, "it was to be killed in the middle"
            node.kill("import")
        done = until(
            job, lambda now: now.state not in {JobState.WAITING, JobState.WORKING}, seconds=PATIENCE_S
        )

        assert (done.state, done.bodies, done.refused) == (
            JobState.DONE, ROWS - len(wrong | unwritable), len(wrong | unwritable),
        )  # fmt: skip
        made: Counter[str] = Counter()
        after = 0
        while page := spool.import_parts(done.number, after=after, limit=500):
            for part in page:
                view = spool.message(part.uid, owner="ours")
                assert view is not None
                keys = [one.key["copNo"] for one in message_facts(view.facts).declarations]
                rows = [body.rows[0][1] for body in decoded(part.facts, PartFacts).bodies]
                assert keys == [f"C-{row - 1:07}" for row in rows]
                made.update(keys)
            after = page[-1].number
        assert set(made.values()) == {1}
        assert set(made) == {
            f"C-{number:07}" for number in range(1, ROWS + 1) if number not in wrong | unwritable
        }
        refused = [
            decoded(one.facts, RefusedBody).body.rows[0][1] - 1
            for one in spool.import_refusals(done.number, limit=ROWS)
        ]
        assert sorted(refused) == sorted(wrong | unwritable)
        assert len(spool.entries(limit=10_000_000)) == done.messages
