"""Serves the HTTP door on a listening socket until SIGTERM, then finishes the requests begun."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from ssl import SSLContext

from gateway.doors.http.handover import OpenDoor
from gateway.doors.http.listener import Listener
from gateway.doors.http.long_poll import LongPoll
from gateway.doors.http.service import Service
from gateway.processes.heartbeat import beat

_DRAIN_S = 10.0
_BEAT_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpDoor:
    """What is served."""

    service: Service
    long_poll: LongPoll


def serve(
    door: OpenDoor, build: Callable[[], AbstractContextManager[HttpDoor]], *, tls: SSLContext | None = None
) -> None:
    """Serve until SIGTERM; returns when every request that was begun has its answer.

    `build` is called once, in the running event loop; its result is closed when all connections are gone.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # until there is a loop to handle it
    asyncio.run(_serve(door, build, tls))


async def _serve(
    door: OpenDoor, build: Callable[[], AbstractContextManager[HttpDoor]], tls: SSLContext | None
) -> None:
    with build() as served:
        async with served.long_poll.ringing():
            beating = asyncio.create_task(_beat())
            await _until_asked_to_stop(door, served, tls)
            beating.cancel()


async def _beat() -> None:
    """Send the supervisor heartbeats while the loop runs."""
    while True:
        beat()
        await asyncio.sleep(_BEAT_S)


async def _until_asked_to_stop(door: OpenDoor, served: HttpDoor, tls: SSLContext | None) -> None:
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    listener = Listener(door, served.service, tls)
    listener.open()
    await asked.wait()
    served.long_poll.dismiss()  # waiting long polls would keep the door open
    await listener.drain(_DRAIN_S)
