"""Offers, answers and a clock for tests of the spool; every value is invented."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from spool.entry import Claimed, Collected, Fate, NewMessage, Settlement, Subject, Way

START = datetime(2026, 11, 11, tzinfo=UTC)


@dataclass
class Clock:
    """Time that passes only when a test says so."""

    now: datetime = field(default=START)

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def new_message(
    uid: str,
    *about: str | Subject,
    owner: str = "ann",
    body: bytes = b"",
    destination: str = "port",
    cop_msg_id: str = "",
    sender: str = "",
    request_key: str = "",
    more_ways: tuple[Way, ...] = (),
    priority: int = 1,
    resource: str = "",
) -> NewMessage:
    """Return an offer whose bytes, unless given, and CopMsgId follow from its uid."""
    content = body or b"body of " + uid.encode()
    return NewMessage(
        uid=uid,
        owner=owner,
        kind="CEB311Message",
        sha256=hashlib.sha256(content).digest(),
        body=content,
        facts=b"facts of " + uid.encode(),
        ways=(Way(destination=destination, cop_msg_id=cop_msg_id or f"COP-{uid}", sender=sender), *more_ways),
        priority=priority,
        resource=resource,
        request_key=request_key,
        subjects=tuple(one if isinstance(one, Subject) else Subject(identity=one) for one in about),
    )


def settled(
    claimed: Iterable[Claimed],
    fate: Fate = Fate.DELIVERED,
    *,
    error: str = "",
    next_at: datetime | None = None,
) -> list[Settlement]:
    """Return the same end for all these attempts."""
    return [
        Settlement(
            entry=one.entry,
            claim=one.claim,
            fate=fate,
            error=error,
            next_at=next_at,
            sent_sha256=hashlib.sha256(one.body).digest() if fate is Fate.DELIVERED else b"",
        )
        for one in claimed
    ]


def collected(*bodies: bytes, feed: str = "replies") -> list[Collected]:
    """Return raw answers with these bytes."""
    return [
        Collected(feed=feed, name=f"{body.hex()}.xml", body=body, sha256=hashlib.sha256(body).digest())
        for body in bodies
    ]


def uids(claimed: Sequence[Claimed]) -> list[str]:
    """Return whose turn it was."""
    return [one.uid for one in claimed]
