"""Sources that never came whole, and imports that are over for as long as messages are kept, are deleted."""

from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.upkeep.stale_imports import StaleImports
from spool.imports import ImportStep, JobState, NewImport
from spool.sqlite import SqliteSpool
from tests.spool_samples import START, Clock


@pytest.mark.parametrize(("days", "left"), [(0, ["done", "waiting"]), (7, ["waiting"])])
def test_only_what_is_over_or_never_came_whole_goes(tmp_path: Path, days: int, left: list[str]) -> None:
    clock = Clock()
    with closing(SqliteSpool(tmp_path, clock)) as spool:
        for uid in ("waiting", "done", "half"):
            job = spool.begin_import(uid, uid)
            spool.add_import_chunk(job, 0, b"x")
            if uid != "half":
                spool.finish_import(job, NewImport(request=uid, sha256=b"", size_bytes=1, facts=b"", at=""))
        claimed = spool.claim_import("one", lease_s=60, besides=("waiting",))
        assert claimed is not None
        spool.put([], step=ImportStep(job=claimed.job, claim=claimed.claim, at="", state=JobState.DONE))
        stale = StaleImports(spool, days=days)

        assert stale.look(START + timedelta(minutes=59)) == 0
        assert stale.look(START + timedelta(minutes=61)) == 1
        stale.look(START + timedelta(days=6))
        assert sorted(one.uid for one in spool.imports(limit=9)) == ["done", "waiting"]
        stale.look(START + timedelta(days=8))
        assert sorted(one.uid for one in spool.imports(limit=9)) == left
