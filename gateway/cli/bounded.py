"""Runs one function in a process of its own that the kernel ends when it takes too much: for files of others."""

import os
import pickle
import signal
from collections.abc import Callable
from typing import NoReturn, TypeVar

from gateway.judges.limits import JudgeLimits

T = TypeVar("T")
_OUT_OF_MEMORY = 3
"""Exit status of a process that was refused memory."""


class TookTooMuchError(Exception):
    """The process was ended; says by what."""


def bounded(work: Callable[[], T], *, cpu_s: float, memory_mb: int) -> T:
    """Run `work` in a forked process and return what it returns; blocks. Raises TookTooMuchError."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        _work(work, write, cpu_s=cpu_s, memory_mb=memory_mb)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        answer = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == 0:
        return pickle.loads(answer)  # type: ignore[no-any-return]  # noqa: S301 (from our own process)
    if code == _OUT_OF_MEMORY:
        raise TookTooMuchError(f"more than {memory_mb} MB of memory")
    if code in (-signal.SIGPROF, -signal.SIGALRM):
        raise TookTooMuchError(f"more than {cpu_s:g} s")
    raise TookTooMuchError(f"the process ended with {code}")


def _work(work: Callable[[], T], write: int, *, cpu_s: float, memory_mb: int) -> NoReturn:
    code = 1
    try:
        limits = JudgeLimits(cpu_s=cpu_s, memory_mb=memory_mb)
        with limits.held(), os.fdopen(write, "wb") as pipe:
            pickle.dump(work(), pipe)
        code = 0
    except MemoryError:
        code = _OUT_OF_MEMORY
    finally:
        os._exit(code)
