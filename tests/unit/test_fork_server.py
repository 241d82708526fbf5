"""A fork is to whoever asks for it what a process begun by itself is."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from tests.fork_server import Forked, ForkServer


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with closing(ForkServer()) as made:
        yield made


def outcome(process: "subprocess.Popen[bytes]") -> tuple[bytes, int]:
    with process:
        assert process.stdout is not None
        assert os.getsid(process.pid) == process.pid
        return process.stdout.read(), process.wait(60)


@pytest.mark.parametrize(
    "arguments", [("platform",), ("json.tool", "no such file"), ("gateway", "run", "-c", "none")]
)
def test_it_says_the_same_and_ends_the_same(
    server: ForkServer, arguments: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    command = [sys.executable, "-m", *arguments]
    forked = server.begin(command)
    assert isinstance(forked, Forked)
    alone = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert outcome(forked) == (alone.stdout, alone.returncode)


def test_it_can_be_waited_for_and_killed(server: ForkServer) -> None:
    forked = server.begin([sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "0"])
    assert forked.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        forked.wait(0.01)
    forked.kill()
    assert outcome(forked)[1] == forked.poll() == -9


def test_what_is_begun_inside_something_else_is_not_forked(server: ForkServer) -> None:
    inside = server.begin(["env", sys.executable, "-m", "platform"])
    assert not isinstance(inside, Forked)
    assert outcome(inside)[1] == 0
