"""Find the message as which some bytes were accepted before: one decision for both backends."""

from collections.abc import Mapping

from spool.entry import Conflict, Duplicate, NewMessage, Submission

Requests = Mapping[tuple[str, str | bytes], str]
"""Owner and SHA-256 of the bytes, or owner and request key → uid of the accepted message."""


def recognised(one: Submission, requests: Requests) -> Duplicate | Conflict | None:
    """Return the result for bytes that were accepted before; None if they are new, even if the request key is not."""
    return taken_before(one, requests) if (one.owner, one.sha256) in requests else None


def taken_before(new: NewMessage | Submission, requests: Requests) -> Duplicate | Conflict | None:
    """Return Duplicate for bytes accepted before, Conflict if the request key belongs to other bytes, else None.

    Conflict even if these bytes were accepted as another message: a key always names one message.
    """
    same = requests.get((new.owner, new.sha256))
    named = requests.get((new.owner, new.request_key)) if new.request_key else None
    if named is not None and named != same:
        return Conflict(uid=named, reason="request_key")
    return None if same is None else Duplicate(uid=same)
