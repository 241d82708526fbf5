"""The details of the spool's own journal lines: compact JSON, digests and numbers, no personal data.

A line is hashed and proven later (docs/adr/0018), so it contains all that a proof needs: for a message the digest
of its bytes, for an answer the digest of its raw bytes and the owner of the matched declarations.
"""

from collections.abc import Iterator

import msgspec

from spool.entry import Filed, Filing, NewMessage

_encode = msgspec.json.Encoder().encode


def name_of(cop_msg_id: str, arrival: int) -> str:
    """Return the name of an answer in the journal: its envelope's CopMsgId, else its number."""
    return cop_msg_id or f"receipt {arrival}"


def accepted(new: NewMessage) -> str:
    """Return the detail of an accepted message: what was accepted, and from which owner."""
    taken = {
        "sha256": new.sha256.hex(),
        "size": len(new.body),
        "type": new.kind,
        "owner": new.owner,
    }
    return _encode(taken if new.origin is None else {**taken, "origin": new.origin}).decode()


def filed(filing: Filing, done: Filed, sha256: bytes) -> Iterator[str]:
    """Yield the details of a filed answer: one for each owner that is notified, or one without an owner.

    No line names two owners, so each can be shown to its owner. `sha256`: of the raw bytes.
    """
    told = {"receipt": filing.arrival, "sha256": sha256.hex(), "type": filing.kind}
    counts = {"known": done.duplicates, "orphaned": done.orphaned}
    rest = {**{name: count for name, count in counts.items() if count}, **_remark(filing)}
    for owner in dict.fromkeys((*done.matched, *done.delivered)):
        mail = {"delivered": True} if owner in done.delivered else {}
        matched = {"matched": done.matched[owner]} if owner in done.matched else {}
        yield _encode({**told, "owner": owner, **matched, **mail, **rest}).decode()
    if not done.matched and not done.delivered:
        yield _encode({**told, **rest}).decode()


def _remark(filing: Filing) -> dict[str, str]:
    return {"remark": filing.remark} if filing.remark else {}
