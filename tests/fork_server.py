"""Commands as forks of one process that has loaded the gateway: what is the same for all nodes is loaded once a worker.

That is more than half of a node's start. A fork has the session, environment, folder, output, arguments and exit code
of a process begun by itself, and runs the same module as `__main__`; nothing loaded here belongs to a site.
"""

import gc
import json
import os
import runpy
import selectors
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from select import select
from typing import Any, Final

_LOADED: Final = (
    "gateway.app.build", "gateway.cli.run", "gateway.cli.simulate", "gateway.doors.http.server", "tests.crash.points",
)  # fmt: skip
_NUMBER: Final = struct.Struct("i")
_LONGEST: Final = 128 * 1024
"""Most bytes of a request: arguments and environment."""


class ForkServer:
    """The process that is forked, of one worker; it is started when first needed."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._line, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def begin(self, command: Sequence[str]) -> "subprocess.Popen[bytes]":
        """Start a command in a session of its own, stdout and stderr in one pipe: forked if it is a module of Python."""
        if [*command[:2]] == [sys.executable, "-m"]:
            return Forked(command, self)
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )

    def fork(self, command: Sequence[str], status: socket.socket, output: int) -> None:
        """Ask for a process, which says its number on `status`, where its exit code comes, too."""
        asked = {"arguments": command[2:], "environment": dict(os.environ), "folder": str(Path.cwd())}
        with self._turn:
            if self._process is None:
                self._process = self._started()
            socket.send_fds(self._line, [json.dumps(asked).encode()], [status.fileno(), output])

    def _started(self) -> "subprocess.Popen[bytes]":
        with self._theirs as line:
            return subprocess.Popen(
                [sys.executable, "-m", __name__, str(line.fileno())],
                cwd=Path(__file__).parents[1],
                stdin=subprocess.DEVNULL,
                pass_fds=[line.fileno()],
            )

    def close(self) -> None:
        """End the server; what it has forked lives on."""
        self._theirs.close()
        self._line.close()
        if self._process is not None:
            self._process.wait()


class Forked(subprocess.Popen[bytes]):
    """A process that the server has forked."""

    _child_created = False  # not by us: nobody but the server can wait for it

    def __init__(self, command: Sequence[str], server: ForkServer) -> None:
        """Return when it has its own session."""
        self.args, self.stdin, self.stderr, self.returncode = command, None, None, None
        self._turn = threading.Lock()
        self._status, theirs = socket.socketpair()
        read, write = os.pipe()
        with theirs, os.fdopen(write, "wb"):
            server.fork(command, theirs, write)
        self.stdout = os.fdopen(read, "rb")
        self.pid = self._number()

    def __del__(self) -> None:
        self._status.close()

    def _number(self) -> int:
        (number,) = _NUMBER.unpack(self._status.recv(_NUMBER.size))
        return int(number)

    def poll(self) -> int | None:
        """Return the exit code; None while it runs."""
        with self._turn:
            if self.returncode is None and select([self._status], [], [], 0)[0]:
                self.returncode = self._number()
                self._status.shutdown(socket.SHUT_WR)  # that it was heard
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Block until it has ended."""
        select([self._status], [], [], timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return code


class _Forks:
    """The server's side. What has ended keeps its number until its exit code was heard, as any child not waited for does."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._told: dict[int, socket.socket] = {}
        """Process → where its exit code is told."""
        self._selector = selectors.DefaultSelector()
        self._selector.register(line, selectors.EVENT_READ)

    def serve(self) -> bytes | None:
        """Fork at each request; returns the request in the fork, None when nobody asks any more."""
        while True:
            for key, _ in self._selector.select():
                if isinstance(key.fileobj, int):
                    self._ended(key.fileobj, key.data)
                elif key.data is not None:
                    self._heard(key.data)
                else:
                    asked, fds, _, _ = socket.recv_fds(self._line, _LONGEST, 2)
                    if not asked:
                        return None
                    if self._fork(socket.socket(fileno=fds[0]), fds[1]) == 0:
                        return asked

    def _fork(self, status: socket.socket, output: int) -> int:
        pid = os.fork()
        if pid == 0:
            self._be_fork(status, output)
        else:
            os.close(output)
            self._told[pid] = status
            self._selector.register(os.pidfd_open(pid), selectors.EVENT_READ, pid)
        return pid

    def _be_fork(self, status: socket.socket, output: int) -> None:
        os.setsid()
        os.dup2(output, sys.stdout.fileno())
        os.dup2(output, sys.stderr.fileno())
        os.close(output)
        _tell(status, os.getpid())
        for one in self._selector.get_map().values():
            if isinstance(one.fileobj, int):
                os.close(one.fileobj)
        self._selector.close()
        for other in (self._line, status, *self._told.values()):
            other.close()

    def _ended(self, watched: int, pid: int) -> None:
        self._selector.unregister(watched)
        os.close(watched)
        _tell(self._told[pid], _exit_code(pid))
        self._selector.register(self._told[pid], selectors.EVENT_READ, pid)

    def _heard(self, pid: int) -> None:
        status = self._told.pop(pid)
        self._selector.unregister(status)
        status.close()
        os.waitpid(pid, 0)


def _exit_code(pid: int) -> int:
    found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert found is not None
    return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status


def _tell(status: socket.socket, number: int) -> None:
    try:
        status.send(_NUMBER.pack(number), socket.MSG_NOSIGNAL)
    except BrokenPipeError:
        return  # whoever asked is gone


def _load() -> None:
    """Import what commands import, and let Python keep the expressions of the rules that it has compiled."""
    for name in _LOADED:
        import_module(name)
    rules = import_module("gateway.rules.loading").load_rules()
    for kind in rules.catalogue.declarations():
        for prefix in import_module("gateway.rules.plain_form").PREFIXES:
            rules.plain.form(kind.name, prefix)
    del rules
    gc.collect()
    gc.freeze()  # keeps the memory shared with the forks


if __name__ == "__main__":
    _load()
    asked = _Forks(socket.socket(fileno=int(sys.argv[1]))).serve()
    if asked is not None:
        request: dict[str, Any] = json.loads(asked)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        module, *sys.argv[1:] = request["arguments"]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
