"""Child processes of the spool's crash tests: each prints a line for what the spool has confirmed to it."""

import resource
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

from spool.entry import Accepted, Fate
from spool.errors import SpoolError
from spool.sqlite import SqliteSpool
from tests.spool_samples import new_message, settled

BODY = bytes(range(256)) * 14
BATCH = 4


def body_of(uid: str) -> bytes:
    """Return the bytes that a message of this uid must have, some kilobytes."""
    return uid.encode() + BODY


def say(*words: str) -> None:
    print(*words, flush=True)


def put(spool: SqliteSpool, name: str, number: int, batch: int = BATCH) -> None:
    """Put a batch of messages, each pair about one declaration, and say which were taken."""
    group = [f"{name}-{number}-{place}" for place in range(batch)]
    replies = spool.put(
        [
            new_message(uid, f"d={name}-{number}-{place // 2}", body=body_of(uid))
            for place, uid in enumerate(group)
        ]
    )
    for reply in replies:
        assert isinstance(reply, Accepted)
        say("taken", reply.uid)


def work(spool: SqliteSpool, name: str, rounds: int) -> None:
    """Put, claim and settle in turn; for ever when `rounds` is 0."""
    for number in range(rounds) if rounds else count():
        put(spool, name, number)
        claimed = spool.claim(name, "port", limit=BATCH - 1, lease_s=60)
        for one in claimed:
            say("claimed", one.uid, str(one.claim))
        fate = Fate.DEFERRED if number % 5 == 4 else Fate.DELIVERED
        assert spool.settle(settled(claimed, fate)) == len(claimed)
        for one in claimed:
            say(fate.value, one.uid)


def fill(spool: SqliteSpool, name: str, limit_bytes: int) -> None:
    """Put until there is no room; with a limit, files of this process may not grow beyond it."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        for number in count():
            put(spool, name, number)
    except SpoolError as error:
        say("full", str(error.temporary))
    if limit_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        put(spool, f"{name}-after", 0)


DEEDS: dict[str, Callable[[SqliteSpool, str, int], None]] = {"work": work, "fill": fill}

if __name__ == "__main__":
    folder, deed, own_name, figure = sys.argv[1:]
    DEEDS[deed](SqliteSpool(Path(folder)), own_name, int(figure))
