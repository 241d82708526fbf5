import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from spool.signals import Signals
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
LISTENER = """
import sys
from pathlib import Path
from spool.signals import Signals
with Signals(Path(sys.argv[1])).listen("entries") as waiter:
    print("listening", flush=True)
    print(waiter.wait(60), flush=True)
"""


@pytest.fixture(params=["short", "long"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a folder whose path fits into a socket address, and one whose path does not."""
    return tmp_path / "wake" if request.param == "short" else tmp_path.joinpath(*["deep" * 12] * 5)


def listener(folder: Path) -> "subprocess.Popen[str]":
    child = subprocess.Popen(
        [sys.executable, "-c", LISTENER, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "listening\n"
    return child


def test_waiter_in_another_process_is_woken(folder: Path) -> None:
    signals = Signals(folder)
    with listener(folder) as child:
        signals.wake("entries")
        assert child.communicate(timeout=60)[0] == "True\n"
    signals.close()


def test_sockets_of_the_dead_are_swept(folder: Path) -> None:
    signals = Signals(folder)
    with listener(folder) as child:
        child.kill()
        child.communicate()
        assert len(list(folder.iterdir())) == 1
        signals.wake("entries")
        assert list(folder.iterdir()) == []
    signals.close()


def test_listener_leaves_nothing_behind(folder: Path) -> None:
    signals = Signals(folder)
    with signals.listen("entries"):
        assert len(list(folder.iterdir())) == 1
    assert list(folder.iterdir()) == []
    signals.close()


def test_topics_are_told_apart(tmp_path: Path) -> None:
    signals = Signals(tmp_path)
    with signals.listen("entries") as entries, signals.listen("notices") as notices:
        signals.wake("notices")
        assert notices.wait(PATIENCE_S)
        assert not entries.wait(0)
    signals.close()


def test_every_listener_hears_and_forgets(tmp_path: Path) -> None:
    signals = Signals(tmp_path)
    with signals.listen("entries") as one, signals.listen("entries") as other:
        signals.wake("entries")
        signals.wake("entries")
        for waiter in (one, other):
            assert waiter.wait(PATIENCE_S)
            assert not waiter.wait(0)
    signals.close()


def test_listener_that_never_looks_does_not_block_the_others(tmp_path: Path) -> None:
    signals = Signals(tmp_path)
    with signals.listen("entries") as waiter:
        for _ in range(5000):
            signals.wake("entries")
        assert waiter.wait(0)
        assert not waiter.wait(0)
    signals.close()


def test_waking_is_no_error_when_the_folder_is_gone_or_holds_other_things(tmp_path: Path) -> None:
    folder = tmp_path / "wake"
    signals = Signals(folder)
    (folder / "entries-1.s").write_bytes(b"not a socket")
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stream.bind(str(folder / "entries-2.s"))
    signals.wake("entries")
    stream.close()
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    signals.wake("entries")
    signals.close()


def test_closing_twice_leaves_other_files_open(tmp_path: Path) -> None:
    signals = Signals(tmp_path)
    signals.close()
    with (tmp_path / "file").open("wb") as file:
        signals.close()
        os.fstat(file.fileno())
