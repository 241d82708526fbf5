"""A host of judges beside a test: real processes with real limits."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from socket import socket

from gateway.config.gateway_toml import Judges
from gateway.judges.host import host
from gateway.judges.judge import JudgeCase, JudgeVerdict
from gateway.judges.link import JudgeLink
from tests.waiting import until


@contextmanager
def hosted(judge: Callable[[JudgeCase], JudgeVerdict], settings: Judges | None = None) -> Iterator[socket]:
    """Fork a host, and give the line on which its judges are asked for."""
    line = JudgeLink()
    pid = os.fork()
    if pid == 0:
        try:
            sys.stdout = sys.stderr = os.fdopen(
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2), "w", closefd=False
            )
            host(line.hosting, judge, settings or Judges())
        finally:
            os._exit(0)
    try:
        with closing(line):
            yield line.asking
    finally:
        os.kill(pid, signal.SIGTERM)  # it hears of it whether somebody asks for judges or not
        until(lambda: os.waitpid(pid, os.WNOHANG)[0])
