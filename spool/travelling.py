"""Which message an answer to a CopMsgId is about: a CopMsgId is its sender's own, and two senders may use the same one."""

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from spool.entry import Latest

UNTOLD: Final = ""
"""Sender of entries of an older layout, which did not tell it, and of what nobody answers by CopMsgId."""
MOST: Final = 1000
"""Entries looked at under one CopMsgId; no message has so many."""
COLUMNS: Final = (
    "id, claim, destination, attempts, facts, message, sender,"
    " EXISTS (SELECT 1 FROM message m WHERE m.id = entry.message AND m.uid = entry.cop_msg_id)"
)


class TravelledEntry(NamedTuple):
    """A row of `entry`, as far as it is looked at here; `COLUMNS` reads it."""

    id: int
    claim: int
    destination: str
    attempts: int
    facts: bytes
    message: int
    sender: str
    is_ours: bool
    """Whether this gateway made the CopMsgId up; nobody can have known it before the message was taken."""

    @property
    def latest(self) -> Latest:
        """The entry as the caller gets it."""
        return Latest(
            entry=self.id,
            claim=self.claim,
            destination=self.destination,
            attempts=self.attempts,
            facts=self.facts,
        )


def meant(entries: Sequence[TravelledEntry], senders: Collection[str]) -> Sequence[TravelledEntry]:
    """Choose among the entries under one CopMsgId those of the one message that is meant; none when several may be.

    `senders`: the SenderIds that the answer names. Where it names some, only theirs count, or else those whose sender
    is not told; where it names none, the message that this gateway gave the CopMsgId to, or else one that is alone under it.
    """
    if senders:
        own = [one for one in entries if one.sender in senders]
        entries = own or [one for one in entries if one.sender == UNTOLD]
    else:
        entries = [one for one in entries if one.is_ours] or entries
    return entries if len({one.message for one in entries}) == 1 else ()


def clashes(sender: str, owner: str, *, with_sender: str, with_owner: str) -> bool:
    """Say whether an owner's new message of this sender may not have the CopMsgId that another entry has."""
    return with_sender == sender or (with_sender == UNTOLD and with_owner == owner)
