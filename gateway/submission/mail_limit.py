"""Limit of unread mail from others in an enterprise's stream; a door refuses what is beyond it."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from gateway.config.local_receivers import LocalReceivers
from gateway.model import EnterpriseId
from gateway.observe.log import log
from spool.store import Spool

_COUNT_S: Final = 1.0
"""How long a count is used; mail may exceed the limit by what comes in this time."""


class Full:
    """Says whether an enterprise has as much unread mail as it allows; only for the thread that uses the spool."""

    def __init__(
        self, spool: Spool, local_receivers: LocalReceivers, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` returns seconds."""
        self._spool = spool
        self._local_receivers = local_receivers
        self._clock = clock
        self._known: dict[EnterpriseId, tuple[float, bool]] = {}
        """Until when a result is valid, and the result."""
        self._takers: dict[EnterpriseId, tuple[EnterpriseId, ...]] = {}
        """Sender → enterprises that take mail of this sender."""

    def __call__(self, owner: EnterpriseId) -> bool:
        """Say whether an enterprise's mail is full; counts again if the last count is too old. Raises SpoolError."""
        now = self._clock()
        until, full = self._known.get(owner, (now, False))
        if now >= until:
            full = self._count(owner)
            self._known[owner] = (now + _COUNT_S, full)
        return full

    def to(self, sender: EnterpriseId) -> tuple[EnterpriseId, ...]:
        """Return the enterprises that take mail of this sender and are full. Raises SpoolError."""
        takers = self._takers.get(sender)
        if takers is None:
            boxes = self._local_receivers.mailboxes.items()
            takers = self._takers[sender] = tuple(
                [one for one, box in boxes if one != sender and box.takes_from(sender)]
            )
        return tuple([one for one in takers if self(one)]) if takers else ()

    def _count(self, owner: EnterpriseId) -> bool:
        bounds = self._local_receivers.mailbox(owner)
        unread = self._spool.unread(owner, at_most=bounds.messages)
        full = unread.messages >= bounds.messages or unread.size_bytes >= bounds.size_bytes
        if full:
            log("mail.full", enterprise=owner, messages=unread.messages, size_bytes=unread.size_bytes)
        return full


def bounded(local_receivers: LocalReceivers, spool: Spool) -> LocalReceivers:
    """Return the receivers with the mail limits of each enterprise applied."""
    return replace(local_receivers, full=Full(spool, local_receivers))
