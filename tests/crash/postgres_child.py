"""Child processes of PostgreSQL's crash tests: the deeds of the other spool's child, and patience."""

import sys

from spool.entry import Claimed, Fate
from spool.errors import SpoolError
from spool.postgres import PostgresSpool
from spool.store import Spool
from tests.crash.spool_child import BATCH, body_of, say
from tests.spool_samples import new_message, settled


def put(spool: Spool, name: str, number: int) -> None:
    """Put a batch, each pair about one declaration; again and again until there is an answer."""
    group = [f"{name}-{number}-{place}" for place in range(BATCH)]
    new_messages = [
        new_message(uid, f"d={name}-{number}-{place // 2}", body=body_of(uid))
        for place, uid in enumerate(group)
    ]
    while True:
        try:
            replies = spool.put(new_messages)
        except SpoolError as error:
            bear(error)
            say("refused", name)
        else:
            for reply in replies:  # taken, or known from an attempt whose answer was lost
                say("taken", reply.uid)
            return


def bear(error: SpoolError) -> None:
    """Go on after an error that will pass."""
    if not error.temporary:
        raise error


def claim(spool: Spool, name: str) -> list[Claimed]:
    try:
        claimed = spool.claim(name, "port", limit=BATCH - 1, lease_s=3600)
    except SpoolError as error:
        bear(error)
        return []
    for one in claimed:
        say("claimed", one.uid, str(one.claim))
    return claimed


def settle(spool: Spool, claimed: list[Claimed], fate: Fate) -> None:
    try:
        count = spool.settle(settled(claimed, fate))
    except SpoolError as error:
        bear(error)
        return
    if count == len(claimed):
        for one in claimed:
            say(fate.value, one.uid)


def work(spool: Spool, name: str, rounds: int) -> None:
    """Put, claim and settle in turn; for ever when `rounds` is 0. What an outage leaves in doubt is recovered."""
    number = 0
    while not rounds or number < rounds:
        put(spool, name, number)
        claimed = claim(spool, name)
        if claimed:
            settle(spool, claimed, Fate.DEFERRED if number % 5 == 4 else Fate.DELIVERED)
        number += 1


if __name__ == "__main__":
    dsn, own_name, figure = sys.argv[1:]
    work(PostgresSpool(dsn), own_name, int(figure))
