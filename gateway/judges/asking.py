"""A blocking client of judges, for roles with a plain loop."""

import select
import socket
import time
from typing import Final

from gateway.errors import EnvelopeError, TooExpensive
from gateway.goods.register import OwnTables
from gateway.judges.advising import case_of, on_advice
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
from gateway.model import Advice, Enterprise, EnterpriseId, Opened
from gateway.processes.heartbeat import beat
from gateway.receipts.opened import open_plain
from gateway.submission.intake import ExaminedSubmission
from gateway.submission.pipeline import Refusal
from spool.entry import MessageView
from spool.store import Spool

_BEAT_S: Final = 1.0
_AGAIN_S: Final = 0.05


class Asking:
    """Has cases judged, one at a time; for one thread. Sends heartbeats while it waits: the judge has time limits."""

    def __init__(self, line: socket.socket, judge: Judge) -> None:
        """`line`: the socket for requesting judges; `judge` judges quick cases in this process."""
        self.line = line
        self._judge = judge
        self._connection: socket.socket | None = None

    def examine(
        self,
        body: bytes,
        caller: Enterprise,
        full: tuple[EnterpriseId, ...] = (),
        own: OwnTables | None = None,
    ) -> ExaminedSubmission | Refusal:
        """Judge a message; blocks. `full`, `own`: as in `Examine`."""
        judged = self._judge.at_once(body, caller, full, own)
        if judged is not None:
            return judged
        return on_message(self._verdict(Examine(body=body, caller=caller.id, full=full, own=own)))

    def advise(
        self, view: MessageView, spool: Spool, own: OwnTables | None = None
    ) -> tuple[Advice, ...] | None:
        """Give advice on an accepted message; blocks. None: it takes too much, or cannot be read any more.

        `own`: as in `Examine`.
        """
        case = case_of(view, self._judge, spool, own=own)
        if case is None:
            return ()
        advice = self._judge.advise_at_once(case)
        return on_advice(self._verdict(case)) if advice is None else advice

    def open(self, body: bytes) -> Opened:
        """Open a message from customs; blocks. Raises EnvelopeError and TooExpensive."""
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
        """Close the connection to the judge, which ends it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _ask(connection: socket.socket, case: JudgeCase) -> JudgeVerdict:
    """Send a case and wait for its verdict. Raises JudgeEnded."""
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
