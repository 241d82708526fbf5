"""A process that is frozen in mid-batch until its lease is over: what is newer goes first, and it sends nothing old then."""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from spool.lifecycle import State
from spool.sqlite import SqliteSpool
from tests.contract.conftest import AmqpMedium, FolderMedium, OpenSshMedium, RabbitmqMedium
from tests.contract.frozen_child import carry, transport_of
from tests.spool_samples import new_message
from tests.waiting import PATIENCE_S, until

MANY = 32
FILLER = bytes(range(256)) * 1024
"""With it, a batch is more than any buffer on the way takes at once."""

Seen = Callable[[], list[object]]


def in_folder(folder: Path) -> list[object]:
    """List files under their final names: which they are, and since when."""
    return [
        (file.name, facts.st_ino, facts.st_mtime_ns)
        for file in sorted(folder.glob("[!.]*"))
        if (facts := file.stat())
    ]


@pytest.fixture(params=["sftp", "sftp in mid-group", "rabbitmq", "amqp", "folder"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Any, str, Seen]]:
    """Where it goes, where the process is frozen, and what has arrived by now."""
    medium: Any
    match request.param:
        case "rabbitmq":
            medium = RabbitmqMedium(request.getfixturevalue("brokers"), tmp_path)
            yield medium.config, "delivery", medium.arrived
        case "amqp":
            medium = AmqpMedium()
            yield medium.config, "delivery", medium.arrived
        case "folder":
            medium = FolderMedium(tmp_path)
            yield medium.config, "fsync", lambda: in_folder(medium.mount / "in")
        case name:
            medium = OpenSshMedium(tmp_path)
            at = "rename" if name == "sftp in mid-group" else "delivery"
            yield medium.config, at, lambda: in_folder(medium.root / "in")
    medium.stop()


def test_who_was_frozen_beyond_its_lease_sends_nothing_old(
    place: tuple[Any, str, Seen], tmp_path: Path
) -> None:
    config, at, seen = place
    state = tmp_path / "state"
    (tmp_path / "config").write_bytes(pickle.dumps(config))
    with closing(SqliteSpool(state)) as spool, closing(transport_of(config)) as transport:
        spool.put(
            [
                new_message(f"old{number}", f"d={number}", body=b"old%d" % number + FILLER)
                for number in range(MANY)
            ]
        )
        spool.put(
            [new_message(f"new{number}", f"d={number}", body=b"new%d" % number) for number in range(MANY)]
        )
        command = [
            sys.executable,
            "-m",
            "tests.contract.frozen_child",
            str(state),
            str(tmp_path / "config"),
            at,
        ]
        with subprocess.Popen(command) as frozen:
            try:
                _, status = os.waitpid(frozen.pid, os.WUNTRACED)
                assert os.WIFSTOPPED(status), "it was to stop in the middle"
                assert until(spool.recover), "what it had in hand"
                while claimed := spool.claim("other", "port", limit=64, lease_s=600):
                    assert carry(spool, transport, claimed, lambda: None) == len(claimed)
                assert {view.state for view in spool.entries(limit=1000)} == {State.SENT}
                before = seen()
                frozen.send_signal(signal.SIGCONT)
                assert frozen.wait(PATIENCE_S) == 0
            finally:
                frozen.kill()
        assert seen() == before
        assert {view.attempts for view in spool.entries(limit=1000)} == {0}
