"""A pool of judges for one event loop, which is not blocked while they work, and survives when one dies."""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from gateway.judges.judge import (
    TOO_EXPENSIVE,
    AdviseOn,
    Examine,
    JudgeVerdict,
    ReadRegister,
    Retranslate,
    Translate,
    completed,
)
from gateway.judges.link import BEGUN, LENGTH, NONE_TO_BE_HAD, TRIES, JudgeEnded, frame, knock, opened
from gateway.judges.turns import Turns

JudgeQuestion = Examine | Translate | Retranslate | ReadRegister | AdviseOn
OnVerdict = Callable[[JudgeVerdict | Exception], None]
_AT_MOST: Final = 1024
"""Waiting cases of all callers at most."""
_AGAIN_S: Final = 0.05
"""Seconds until a judge is requested again when the host is overloaded."""


class Pool:
    """Has cases judged; for one event loop."""

    def __init__(self, line: socket.socket, *, judges: int, waiting_bytes: int) -> None:
        """`line`: the socket for requesting judges; `judges`: at a time; `waiting_bytes`: of waiting cases at most."""
        self._line = line
        self.room_bytes = waiting_bytes
        """Larger cases are never taken."""
        self._turns: Turns[tuple[JudgeQuestion, OnVerdict]] = Turns(
            judges=judges, room_bytes=waiting_bytes, room=_AT_MOST
        )
        self._idle: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def judge(self, case: JudgeQuestion, on_done: OnVerdict) -> bool:
        """Queue a case; `on_done` gets the verdict later, in the loop. False: too much of this caller waits already."""
        taken = self._turns.enter(case.caller, len(case.body), (case, on_done))
        self._go_on()
        return taken

    def _go_on(self) -> None:
        while (turn := self._turns.next()) is not None:
            case, on_done = turn.case
            task = asyncio.get_running_loop().create_task(self._see_to(turn.owner, case, on_done))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _see_to(self, owner: str, case: JudgeQuestion, on_done: OnVerdict) -> None:
        verdict: JudgeVerdict | Exception
        try:
            verdict = await self._verdict(case)
        except Exception as error:  # noqa: BLE001 (whoever waits for it answers for it)
            verdict = error
        self._turns.done(owner)
        self._go_on()
        on_done(verdict)

    async def _verdict(self, case: JudgeQuestion) -> JudgeVerdict:
        for _ in range(TRIES):
            connection = self._idle.pop() if self._idle else await self._knock()
            try:
                verdict = await _ask(connection, case)
            except JudgeEnded as ended:
                connection.close()
                if ended.begun:
                    return TOO_EXPENSIVE
            except BaseException:
                connection.close()
                raise
            else:
                self._idle.append(connection)
                return completed(verdict, case)
        raise RuntimeError(NONE_TO_BE_HAD)

    def close(self) -> None:
        """Close the connections to idle judges, which ends them."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def _knock(self) -> socket.socket:
        while True:
            try:
                connection = knock(self._line)
            except BlockingIOError:
                await asyncio.sleep(_AGAIN_S)
            else:
                connection.setblocking(False)
                return connection


async def _ask(connection: socket.socket, case: JudgeQuestion) -> JudgeVerdict:
    """Send a case and wait for its verdict. Raises JudgeEnded."""
    loop = asyncio.get_running_loop()
    begun = False
    try:
        await loop.sock_sendall(connection, frame(case))
        begun = await _exactly(connection, len(BEGUN)) == BEGUN
        (size,) = LENGTH.unpack(await _exactly(connection, LENGTH.size))
        verdict: JudgeVerdict = opened(await _exactly(connection, size))
    except (ConnectionError, EOFError) as error:
        raise JudgeEnded(begun=begun) from error
    return verdict


async def _exactly(connection: socket.socket, size: int) -> bytearray:
    loop = asyncio.get_running_loop()
    buffer = bytearray(size)
    view, at = memoryview(buffer), 0
    while at < size:
        count = await loop.sock_recv_into(connection, view[at:])
        if not count:
            raise EOFError
        at += count
    return buffer
