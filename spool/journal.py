"""What the spool itself writes into the detail of journal lines: compact JSON, digests and numbers, no personal data.

A line is what is hashed and proven later (docs/adr/0018), so it names all that a proof needs: of a message the digest
of its bytes, of an answer the digest of its raw bytes and whose declarations it was found to be about.
"""

from collections.abc import Iterator

import msgspec

from spool.entry import Filed, Filing, NewMessage

_encode = msgspec.json.Encoder().encode


def name_of(cop_msg_id: str, arrival: int) -> str:
    """Return under what an answer stands in the journal: its envelope's CopMsgId, else its number."""
    return cop_msg_id or f"receipt {arrival}"


def accepted(new: NewMessage) -> str:
    """Say of a message what was taken in, and from whom."""
    taken = {
        "sha256": new.sha256.hex(),
        "size": len(new.body),
        "type": new.kind,
        "owner": new.owner,
    }
    return _encode(taken if new.origin is None else {**taken, "origin": new.origin}).decode()


def filed(filing: Filing, done: Filed, sha256: bytes) -> Iterator[str]:
    """Say of an answer what became of it: a line for each owner that hears of it, one for nobody if none does.

    No line names two owners, so each can be shown to whom it is about. `sha256`: of the raw bytes.
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
