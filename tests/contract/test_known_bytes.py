"""What was taken before is known by its bytes alone, to its owner alone."""

import hashlib
from itertools import product

from spool.entry import Accepted, Conflict, Duplicate, Submission
from spool.lifecycle import Event
from spool.store import Spool
from tests.spool_samples import new_message


def bytes_of(owner: str, body: bytes, request_key: str = "") -> Submission:
    return Submission(owner=owner, sha256=hashlib.sha256(body).digest(), request_key=request_key)


def test_bytes_taken_before_are_known_to_their_owner_alone(spool: Spool) -> None:
    spool.put([new_message("A", body=b"x"), new_message("B", body=b"y", owner="bob")])
    spool.act(Event.DISCARDED, ["A"])

    assert spool.taken([bytes_of(owner, body) for owner, body in product(("ann", "bob", "eve"), (b"x", b"y"))]) == [
        Duplicate(uid="A"), None, None, Duplicate(uid="B"), None, None,
    ]  # fmt: skip
    assert spool.taken([]) == []


def test_known_bytes_get_the_reply_that_an_offer_would_get_and_nothing_is_written(spool: Spool) -> None:
    digest = hashlib.sha256(b"y").hexdigest()
    spool.put(
        [
            new_message("A", body=b"x", request_key="k"),
            new_message("B", body=b"y"),
            new_message("C", body=b"z", request_key=digest),
        ]
    )
    history = [list(spool.history(uid)) for uid in "ABC"]
    keys = ("", "k", "new", digest, hashlib.sha256(b"x").hexdigest())
    asked = list(product((b"x", b"y", b"z"), keys))

    replies = spool.taken([bytes_of("ann", body, key) for body, key in asked])

    assert [list(spool.history(uid)) for uid in "ABC"] == history
    assert len(spool.entries(limit=100)) == 3
    for number, ((body, key), reply) in enumerate(zip(asked, replies, strict=True)):
        assert spool.put([new_message(f"P{number}", body=body, request_key=key)]) == [reply]
    assert {type(reply) for reply in replies} == {Duplicate, Conflict}


def test_new_bytes_are_not_known_whatever_has_their_key(spool: Spool) -> None:
    spool.put([new_message("A", body=b"x", request_key="k")])

    assert spool.taken(
        [bytes_of("ann", b"new", "k"), bytes_of("ann", b"new", hashlib.sha256(b"x").hexdigest())]
    ) == [
        None,
        None,
    ]
    assert spool.put([new_message("B", body=b"new", request_key="k2")]) == [Accepted(uid="B")]
