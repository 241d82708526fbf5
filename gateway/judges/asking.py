"""A judge of a plain loop: asked and waited for."""

import select
import socket
import time
from typing import Final

from gateway.errors import EnvelopeError, TooExpensive
from gateway.judges.judge import (
    TOO_EXPENSIVE,
    Examine,
    Judge,
    JudgeCase,
    JudgeVerdict,
    Open,
    UnreadableAnswer,
    completed,
    on_message,
)
from gateway.judges.link import (
    BEGUN,
    LENGTH,
    NONE_TO_BE_HAD,
    TRIES,
    JudgeEnded,
    frame,
    knock,
    opened,
    receive_exactly,
)
from gateway.model import Enterprise, EnterpriseId, Opened
from gateway.processes.heartbeat import beat
from gateway.receipts.opened import open_plain
from gateway.submission.intake import ExaminedSubmission
from gateway.submission.pipeline import Refusal

_BEAT_S: Final = 1.0
_AGAIN_S: Final = 0.05


class Asking:
    """Has one case after the other judged; for one thread. Whoever waits here is alive: the judge has limits."""

    def __init__(self, line: socket.socket, judge: Judge) -> None:
        """`line`: where judges are asked for; `judge` judges here what takes a moment."""
        self.line = line
        self._judge = judge
        self._connection: socket.socket | None = None

    def examine(
        self, body: bytes, caller: Enterprise, full: tuple[EnterpriseId, ...] = ()
    ) -> ExaminedSubmission | Refusal:
        """Judge a message. `full`: who takes no more mail of the caller's."""
        judged = self._judge.at_once(body, caller, full)
        if judged is not None:
            return judged
        return on_message(self._verdict(Examine(body=body, caller=caller.id, full=full)))

    def open(self, body: bytes) -> Opened:
        """Open what customs sent. Raises EnvelopeError and TooExpensive."""
        plain = open_plain(body, self._judge.rules.catalogue)
        if plain is not None:
            return plain
        verdict = self._verdict(Open(body=body))
        match verdict:
            case Opened():
                return verdict
            case UnreadableAnswer():
                raise EnvelopeError(verdict.what, where=verdict.where, fix=verdict.fix)
            case Refusal():  # TOO_EXPENSIVE
                raise TooExpensive(verdict.faults[0].message, where="collected message")
            case _:
                raise RuntimeError(f"a judge has failed: {verdict}")

    def _verdict(self, case: JudgeCase) -> JudgeVerdict:
        for _ in range(TRIES):
            connection = self._connection or self._knock()
            try:
                verdict = _ask(connection, case)
            except JudgeEnded as ended:
                connection.close()
                self._connection = None
                if ended.begun:
                    return TOO_EXPENSIVE
            else:
                self._connection = connection
                return completed(verdict, case)
        raise RuntimeError(NONE_TO_BE_HAD)

    def _knock(self) -> socket.socket:
        while True:
            beat()
            try:
                return knock(self.line)
            except BlockingIOError:
                time.sleep(_AGAIN_S)

    def close(self) -> None:
        """Let go of the judge."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _ask(connection: socket.socket, case: JudgeCase) -> JudgeVerdict:
    """Have a case judged over a connection. Raises Ended."""
    try:
        connection.sendall(frame(case))
    except ConnectionError as error:
        raise JudgeEnded(begun=False) from error
    if receive_exactly(connection, len(BEGUN)) is None:
        raise JudgeEnded(begun=False)
    while not select.select([connection], [], [], _BEAT_S)[0]:
        beat()
    head = receive_exactly(connection, LENGTH.size)
    body = None if head is None else receive_exactly(connection, LENGTH.unpack(head)[0])
    if body is None:
        raise JudgeEnded(begun=True)
    verdict: JudgeVerdict = opened(body)
    return verdict
