"""Which message some bytes were taken as before: one judgement for both backends."""

from collections.abc import Mapping

from spool.entry import Conflict, Duplicate, NewMessage, Submission

Requests = Mapping[tuple[str, str | bytes], str]
"""Owner and SHA-256 of the bytes, or owner and request key → uid of what was taken."""


def recognised(one: Submission, requests: Requests) -> Duplicate | Conflict | None:
    """Find the same bytes; None when they are new, whatever message has the request key."""
    return taken_before(one, requests) if (one.owner, one.sha256) in requests else None


def taken_before(new: NewMessage | Submission, requests: Requests) -> Duplicate | Conflict | None:
    """Find the same bytes, or a message that has the offer's request key: with other bytes that is a clash.

    Also when these bytes were taken as another message: a key names one message, whoever asks when.
    """
    same = requests.get((new.owner, new.sha256))
    named = requests.get((new.owner, new.request_key)) if new.request_key else None
    if named is not None and named != same:
        return Conflict(uid=named, reason="request_key")
    return None if same is None else Duplicate(uid=same)
