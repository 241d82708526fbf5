"""How far a reader of a stream has got, kept in the commit that takes in what it made of it."""

import json

from msgspec import structs

from spool.entry import Fate
from spool.store import Spool
from tests.spool_samples import new_message, settled


def test_a_mark_that_nobody_set_is_none_and_zero_is_not(spool: Spool) -> None:
    assert spool.mark("home") is None

    spool.put([], marks={"home": 0})

    assert spool.mark("home") == 0
    assert spool.mark("other") is None


def test_a_mark_is_set_with_the_offers_and_never_goes_backwards(spool: Spool) -> None:
    spool.put([new_message("one")], marks={"home": 7, "other": 3})
    spool.put([new_message("one")], marks={"home": 5})

    assert (spool.mark("home"), spool.mark("other")) == (7, 3)
    assert [claimed.uid for claimed in spool.claim("me", "port", limit=9, lease_s=60)] == ["one"]


def test_the_journal_calls_an_entry_what_its_offer_and_its_settlement_call_it(spool: Spool) -> None:
    made = new_message("N-1")
    spool.put([structs.replace(made, event="notice.queued")])
    claimed = spool.claim("me", "port", limit=1, lease_s=60)
    (end,) = settled(claimed, Fate.DELIVERED)
    spool.settle([structs.replace(end, noun="notice")])

    lines = list(spool.history("N-1"))

    assert [line.event for line in lines] == ["notice.queued", "notice.sent"]
    assert json.loads(lines[0].detail)["owner"] == "ann"
