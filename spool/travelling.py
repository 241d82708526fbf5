"""Find the message that an answer to a CopMsgId is about: two senders may use the same CopMsgId."""

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from spool.entry import Latest

UNTOLD: Final = ""
"""Sender of entries of an older layout, which did not store it, and of entries never answered by CopMsgId."""
MOST: Final = 1000
"""Most entries read under one CopMsgId; no message has so many."""
COLUMNS: Final = (
    "id, claim, destination, attempts, facts, message, sender,"
    " EXISTS (SELECT 1 FROM message m WHERE m.id = entry.message AND m.uid = entry.cop_msg_id)"
)


class TravelledEntry(NamedTuple):
    """The columns of `entry` that are needed here; `COLUMNS` selects them."""

    id: int
    claim: int
    destination: str
    attempts: int
    facts: bytes
    message: int
    sender: str
    is_ours: bool
    """Whether this gateway created the CopMsgId, so that nobody can have known it before the message was accepted."""

    @property
    def latest(self) -> Latest:
        """The entry as returned to the caller."""
        return Latest(
            entry=self.id,
            claim=self.claim,
            destination=self.destination,
            attempts=self.attempts,
            facts=self.facts,
        )


def meant(entries: Sequence[TravelledEntry], senders: Collection[str]) -> Sequence[TravelledEntry]:
    """Return the entries of the one message meant, among those under one CopMsgId; empty if several are possible.

    `senders`: the SenderIds in the answer. If there are any, their entries count, or else those with unknown sender;
    if there are none, the message to which this gateway gave the CopMsgId, or else the only one that has it.
    """
    if senders:
        own = [one for one in entries if one.sender in senders]
        entries = own or [one for one in entries if one.sender == UNTOLD]
    else:
        entries = [one for one in entries if one.is_ours] or entries
    return entries if len({one.message for one in entries}) == 1 else ()


def clashes(sender: str, owner: str, *, with_sender: str, with_owner: str) -> bool:
    """Whether an owner's new message of this sender conflicts with another entry that has the same CopMsgId."""
    return with_sender == sender or (with_sender == UNTOLD and with_owner == owner)
