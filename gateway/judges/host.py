"""The role `judges`, which only forks judges: one for each requested connection.

It is forked from the supervisor, so a judge shares the rules in memory with all roles, and has none of a door's
connections, spools or bodies. A judge ends with its connection, with this process, or by its limits.
"""

import ctypes
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Final, NoReturn

from gateway.config.gateway_toml import Judges
from gateway.judges.judge import Broken, JudgeCase, JudgeVerdict, lightened
from gateway.judges.limits import JudgeLimits
from gateway.judges.link import BEGUN, frame, opened, receive
from gateway.observe.defects import defect
from gateway.observe.log import log
from gateway.processes.heartbeat import beat
from gateway.processes.stop import Stop

_BEAT_S: Final = 1.0
_PR_SET_PDEATHSIG: Final = 1
_OUT_OF_MEMORY: Final = 3
"""Exit status of a judge whose case exceeded its memory limit."""
_REASONS: Final = {signal.SIGPROF: "processor", signal.SIGALRM: "time"}


def host(line: socket.socket, judge: Callable[[JudgeCase], JudgeVerdict], settings: Judges) -> None:
    """Fork judges until asked to stop; blocks. `line`: the socket on which judges are requested."""
    stop = Stop().on_sigterm()
    line.setblocking(False)  # because recv_fds of Python 3.11 ignores its flags
    _keep_only(line.fileno(), stop.fileno())
    gc.collect()
    gc.freeze()  # keeps memory shared with the forked judges
    while not stop():
        stop.pause(_BEAT_S, [line.fileno()])
        beat()
        _reap()
        try:
            _, descriptors, _, _ = socket.recv_fds(line, 16, 1)
        except BlockingIOError:
            continue
        for descriptor in descriptors:
            _fork(socket.socket(fileno=descriptor), judge, settings)


def _fork(connection: socket.socket, judge: Callable[[JudgeCase], JudgeVerdict], settings: Judges) -> None:
    with connection:
        sys.stdout.flush()
        parent = os.getpid()
        if os.fork() == 0:
            _be_judge(connection, judge, settings, parent)


def _be_judge(
    connection: socket.socket, judge: Callable[[JudgeCase], JudgeVerdict], settings: Judges, parent: int
) -> NoReturn:
    code = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent died before prctl took effect
            os._exit(1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _keep_only(connection.fileno())
        serve(connection, judge, JudgeLimits(cpu_s=settings.cpu_s, memory_mb=settings.memory_mb))
        code = 0
    except MemoryError:
        code = _OUT_OF_MEMORY
    except BaseException as error:  # noqa: BLE001 (the last place that can say why)
        defect("role.failed", error, role="judge")
    finally:
        os._exit(code)


def serve(connection: socket.socket, judge: Callable[[JudgeCase], JudgeVerdict], limits: JudgeLimits) -> None:
    """Judge the cases that come over a connection until it ends. Raises MemoryError for a case over its limit."""
    while (body := receive(connection)) is not None:
        try:
            connection.sendall(BEGUN)
            with limits.held():
                answer = _answer(opened(body), judge)
            if limits.exceeded:
                raise MemoryError
            connection.sendall(answer)
        except ConnectionError:  # the client is gone
            return
        if limits.swollen:
            return


def _answer(case: JudgeCase, judge: Callable[[JudgeCase], JudgeVerdict]) -> bytes:
    try:
        return frame(lightened(judge(case), case))
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 (a defect is told to whoever waits)
        defect("request.failed", error)
        return frame(Broken(error=f"{type(error).__name__}: {error}"))


def _keep_only(*descriptors: int) -> None:
    """Close all descriptors except these and the three standard ones."""
    low = 3
    for kept in sorted(descriptors):
        os.closerange(low, kept)
        low = kept + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))


def _reap() -> None:
    """Reap ended judges, and log why if one did not end by itself; does not block."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        code = os.waitstatus_to_exitcode(status)
        if code:
            log("judge.killed", pid=pid, reason=_reason(code))


def _reason(code: int) -> str:
    if code == _OUT_OF_MEMORY:
        return "memory"
    if code > 0:
        return "a defect"
    return _REASONS.get(signal.Signals(-code), signal.Signals(-code).name)
