"""What every spool promises, whatever it is made of: add a backend to `tests.backends`, not a test."""

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec import structs

from spool.claimants import generation
from spool.ending import ABANDONED_AT_MOST
from spool.entry import (
    ANY,
    Accepted,
    Claimed,
    Conflict,
    Depth,
    Duplicate,
    Fate,
    Filing,
    Note,
    OrphanBody,
    Settlement,
    Subject,
    TimelineRow,
    Wanted,
    Way,
)
from spool.errors import LifecycleError, SpoolError
from spool.lifecycle import Event, State
from spool.store import Spool, Topic
from tests.backends import BACKENDS
from tests.spool_samples import START, Clock, collected, new_message, settled, uids
from tests.waiting import PATIENCE_S

Opener = Callable[[], Spool]


@pytest.fixture(params=BACKENDS)
def opener(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Opener]:
    """Open the same spool, once for each process that the test plays."""
    opened: list[Spool] = []

    def open_it() -> Spool:
        opened.append(BACKENDS[request.param](tmp_path / "state", clock))
        return opened[-1]

    yield open_it
    for spool in opened:
        spool.close()


@pytest.fixture
def spool(opener: Opener) -> Spool:
    return opener()


def claim(spool: Spool, destination: str = "port", *, by: str = "one", limit: int = 100) -> list[Claimed]:
    return spool.claim(by, destination, limit=limit, lease_s=30)


def state(spool: Spool, uid: str) -> State:
    view = spool.message(uid)
    assert view is not None
    return view.state


# what comes in


def test_offer_is_taken_and_given_back_byte_for_byte(opener: Opener) -> None:
    one, other = opener(), opener()

    assert one.put([new_message("A", "d=1", body=b"\xef\xbb\xbf<a/>\r\n")]) == [Accepted(uid="A")]

    view = other.message("A")
    assert other.body("A") == b"\xef\xbb\xbf<a/>\r\n"
    assert view is not None
    assert (view.state, view.attempts, view.identities, view.accepted_at) == (State.READY, 0, ("d=1",), START)
    assert view.facts == b"facts of A"


def test_same_bytes_of_the_same_owner_are_known(spool: Spool) -> None:
    spool.put([new_message("A", body=b"x")])

    assert spool.put(
        [new_message("B", body=b"x"), new_message("C", body=b"y"), new_message("D", body=b"y")]
    ) == [
        Duplicate(uid="A"),
        Accepted(uid="C"),
        Duplicate(uid="C"),
    ]
    assert spool.message("B") is None


def test_same_bytes_of_two_owners_are_two_messages(spool: Spool) -> None:
    replies = spool.put([new_message("A", "d=1", body=b"x"), new_message("B", "d=1", owner="bob", body=b"x")])

    assert replies == [Accepted(uid="A"), Accepted(uid="B")]
    assert uids(claim(spool)) == ["A", "B"], "declarations of two owners do not wait for each other"


def key_of(uid: str) -> Conflict:
    return Conflict(uid=uid, reason="request_key")


def test_request_key_that_is_the_digest_of_the_bytes_is_a_key_like_others(spool: Spool) -> None:
    key = hashlib.sha256(b"x").hexdigest()
    assert spool.put([new_message("A", body=b"x", request_key=key), new_message("B", body=b"y", request_key=key)]) == [
        Accepted(uid="A"), key_of("A"),
    ]  # fmt: skip
    replies = spool.put(
        [
            new_message("C", body=b"x", request_key=key),
            new_message("D", body=b"z", request_key=key),
            new_message("E", owner="bob", body=b"z", request_key=key),
            new_message("F", body=b"f", request_key=hashlib.sha256(b"e").hexdigest()),
            new_message("G", body=b"e"),
            new_message("H", body=b"h", request_key=hashlib.sha256(b"e").hexdigest()),
            new_message("I", body=b"i", request_key=hashlib.sha256(b"nothing").hexdigest()),
        ]
    )
    assert replies == [
        Duplicate(uid="A"), key_of("A"), Accepted(uid="E"), Accepted(uid="F"), Accepted(uid="G"), key_of("F"), Accepted(uid="I"),
    ]  # fmt: skip
    named = hashlib.sha256(b"e").hexdigest()
    assert spool.put([new_message("L", body=b"e", request_key=named)]) == [key_of("F")], (
        "not even its own bytes"
    )
    spool.put([new_message("J", body=b"j")])
    assert spool.put([new_message("K", body=b"k", request_key=hashlib.sha256(b"j").hexdigest())]) == [
        Accepted(uid="K")
    ], "bytes alone make no key"


def test_request_key_belongs_to_one_message_of_its_owner(spool: Spool) -> None:
    spool.put([new_message("A", body=b"x", request_key="k")])

    assert spool.put(
        [
            new_message("B", body=b"x", request_key="k"),
            new_message("C", body=b"y", request_key="k"),
            new_message("D", owner="bob", body=b"y", request_key="k"),
            new_message("E", body=b"z"),
            new_message("F", body=b"zz"),
            new_message("G", body=b"z", request_key="k"),
            new_message("H", body=b"x", request_key="another"),
        ]
    ) == [
        Duplicate(uid="A"),
        key_of("A"),
        Accepted(uid="D"),
        Accepted(uid="E"),
        Accepted(uid="F"),
        key_of("A"),
        Duplicate(uid="A"),
    ]


def test_declaration_version_with_other_bytes_clashes(spool: Spool) -> None:
    spool.put([new_message("A", Subject(identity="d=1", version="v1"))])

    assert spool.put(
        [
            new_message("B", "d=0", Subject(identity="d=1", version="v1")),
            new_message("C", Subject(identity="d=1", version="v2")),
            new_message("D", Subject(identity="d=1")),
            new_message("E", Subject(identity="d=1", version="v1"), owner="bob"),
        ]
    ) == [
        Conflict(uid="A", reason="version", identities=("d=1",)),
        Accepted(uid="C"),
        Accepted(uid="D"),
        Accepted(uid="E"),
    ]
    assert list(spool.find(["d=0"])) == [], "a clash leaves nothing behind"


def test_version_is_free_again_when_its_message_is_dead_or_discarded(spool: Spool) -> None:
    first, second = (Subject(identity=f"d={n}", version="v") for n in (1, 2))
    spool.put([new_message("A", first), new_message("B", second)])
    spool.act(Event.DISCARDED, ["A"])
    spool.settle(settled(claim(spool), Fate.UNDELIVERABLE))

    assert spool.put([new_message("C", first), new_message("D", second)]) == [
        Accepted(uid="C"),
        Accepted(uid="D"),
    ]


def test_taken_cop_msg_id_clashes_without_naming_another_owner(spool: Spool) -> None:
    spool.put([new_message("A", cop_msg_id="X")])

    assert spool.put(
        [
            new_message("B", cop_msg_id="X"),
            new_message("C", owner="bob", cop_msg_id="X"),
            new_message("D", cop_msg_id="X", destination="elsewhere"),
            new_message("E", owner="bob", cop_msg_id="X", destination="elsewhere"),
            new_message("F", owner="bob", cop_msg_id="Y"),
            new_message("G", cop_msg_id="Y", destination="elsewhere"),
        ]
    ) == [
        Conflict(uid="A", reason="cop_msg_id"),
        Conflict(uid="", reason="cop_msg_id"),
        Conflict(uid="A", reason="cop_msg_id"),
        Conflict(uid="", reason="cop_msg_id"),
        Accepted(uid="F"),
        Conflict(uid="", reason="cop_msg_id"),
    ]


def test_put_that_raises_has_written_nothing(spool: Spool) -> None:
    spool.put([new_message("A")])

    with pytest.raises(SpoolError) as raised:
        spool.put(
            [new_message("B", "d=1"), new_message("A", body=b"another with the same uid", cop_msg_id="X")]
        )

    assert not raised.value.temporary
    assert spool.message("B") is None
    assert list(spool.find(["d=1"])) == []
    assert spool.put([new_message("B", "d=1")]) == [Accepted(uid="B")]


def test_a_declaration_is_found_with_what_each_of_its_versions_says_the_newest_last(spool: Spool) -> None:
    def version(number: int, facts: bytes) -> Subject:
        return Subject(identity="d=1", version=str(number), handles=("h=1",), facts=facts)

    spool.put(
        [
            new_message("A", version(1, b"a")),
            new_message("B", version(2, b"b")),
            new_message("C", version(3, b"c")),
        ]
    )
    spool.put([new_message("D", version(4, b"c"))])
    spool.put([new_message("E", version(5, b"a"))])

    for text in ("d=1", "h=1"):
        found = [one.facts for one in spool.find([text])]
        assert (found[-1], set(found)) == (b"a", {b"a", b"b", b"c"})


def test_a_text_of_many_declarations_leads_to_all_of_them_and_with_an_owner_to_theirs(spool: Spool) -> None:
    many = [Subject(identity=f"d={n}", handles=("h=1", "h=2")) for n in range(1234)]
    spool.put(
        [new_message("A", *many), new_message("B", Subject(identity="d=1", handles=("h=1",)), owner="bob")]
    )

    found = list(spool.find(["h=1", "h=2", "d=1"]))
    assert len([one for one in found if one.found_by == "h=1"]) == 1235
    assert len([one for one in found if one.found_by == "h=2"]) == 1234
    assert sorted(one.owner for one in found if one.found_by == "d=1") == ["ann", "bob"]
    assert [(one.identity, one.owner) for one in spool.find(["h=1"], owner="bob")] == [("d=1", "bob")]
    assert len(list(spool.find(["h=1"], owner="ann"))) == 1234


def test_declaration_named_twice_in_one_message_is_one(spool: Spool) -> None:
    spool.put([new_message("A", Subject(identity="d=1", version="1"), Subject(identity="d=1", version="2"))])

    assert len(list(spool.find(["d=1"]))) == 1
    assert uids(claim(spool)) == ["A"]


# claims and leases


def test_claims_go_by_due_time_and_within_the_limit(spool: Spool, clock: Clock) -> None:
    for uid in "ABC":
        spool.put([new_message(uid)])
        clock.move(1)
    spool.settle(settled(claim(spool, limit=1), Fate.DEFERRED, next_at=clock.now))

    assert uids(claim(spool, limit=2)) == ["B", "C"]
    assert uids(claim(spool, limit=2)) == ["A"]
    assert claim(spool) == []


def test_claim_carries_everything_a_sender_needs(spool: Spool) -> None:
    spool.put([new_message("A", body=b"bytes")])

    (got,) = claim(spool)

    assert (got.uid, got.owner, got.kind, got.destination, got.cop_msg_id, got.attempts) == (
        "A",
        "ann",
        "CEB311Message",
        "port",
        "COP-A",
        0,
    )
    assert (got.body, got.facts, got.accepted_at) == (b"bytes", b"facts of A", START)


def test_claimed_entry_is_nobody_elses(opener: Opener) -> None:
    one, other = opener(), opener()
    one.put([new_message("A"), new_message("B")])

    assert uids(claim(one, limit=1)) == ["A"]
    assert uids(claim(other, by="two")) == ["B"]
    assert claim(one) == []


def test_destinations_are_independent(spool: Spool) -> None:
    spool.put([new_message("A", "d=1"), new_message("B", "d=1", destination="elsewhere")])

    assert uids(claim(spool, "elsewhere")) == ["B"]
    assert uids(claim(spool)) == ["A"]


def test_settlement_takes_effect_once(spool: Spool) -> None:
    spool.put([new_message("A")])
    done = settled(claim(spool))

    assert spool.settle([*done, *done]) == 1
    assert spool.settle(done) == 0
    assert spool.settle([]) == 0
    assert [line.event for line in spool.history("A")] == ["message.accepted", "entry.sent"]


def test_journal_says_what_a_message_was_made_of(spool: Spool) -> None:
    origin = {"mapping": "orders", "source_sha256": "ab" * 32}
    spool.put([structs.replace(new_message("A"), origin=origin), new_message("B")])
    assert json.loads(next(iter(spool.history("A"))).detail)["origin"] == origin
    assert "origin" not in json.loads(next(iter(spool.history("B"))).detail)


def test_settlement_with_a_wrong_claim_is_void(spool: Spool) -> None:
    spool.put([new_message("A")])
    (got,) = claim(spool)

    assert spool.settle([Settlement(entry=got.entry, claim=got.claim + 1, fate=Fate.DELIVERED)]) == 0
    assert spool.settle([Settlement(entry=got.entry + 7, claim=got.claim, fate=Fate.DELIVERED)]) == 0
    assert state(spool, "A") is State.SENDING


def test_recovering_a_dead_claimant_leaves_the_living_alone(spool: Spool) -> None:
    spool.put([new_message("A"), new_message("B")])
    lost = settled(claim(spool, by="dead", limit=1))
    kept = settled(claim(spool, by="alive"))

    assert len(spool.recover(claimant="dead")) == 1
    assert len(spool.recover(claimant="dead")) == 0

    assert spool.settle(lost) == 0, "a claim that was taken back is void"
    (again,) = claim(spool, by="third")
    assert (again.uid, again.cop_msg_id) == ("A", "COP-A"), "sent again under the same id"
    assert spool.settle(lost) == 0, "and stays void when the entry is claimed anew"
    assert spool.settle(kept) == 1


def test_claims_of_the_generation_before_stay_with_it(spool: Spool) -> None:
    spool.put([new_message("A"), new_message("B")])
    held = settled(claim(spool, by="port/1", limit=1))
    own = claim(spool, by="port/10")

    assert spool.leave("port/1#2") == 1
    assert spool.leave("port/1#2") == 0
    assert spool.recover(claimant="port/1#2") == []
    assert claim(spool, by="port/1#2") == []
    assert spool.settle(held) == 1, "it may finish what it has in hand"
    assert spool.settle(settled(own)) == 1


def test_however_often_generations_change_nothing_becomes_a_dead_letter(spool: Spool, clock: Clock) -> None:
    spool.put([new_message("A")])
    for number in range(1, 3 * ABANDONED_AT_MOST):
        assert uids(claim(spool, by=generation("port/1", number))) == ["A"]
        assert spool.leave(generation("port/1", number + 1)) == 1
        assert spool.recover(claimant=generation("port/1", number + 1)) == []
        clock.move(31)
        assert [one.state for one in spool.recover()] == [State.READY]


def test_who_dies_after_a_change_of_generations_still_has_its_deaths_counted(spool: Spool) -> None:
    spool.put([new_message("A")])
    states = []
    for _ in range(ABANDONED_AT_MOST):
        claim(spool, by="port/1#2")
        states += [one.state for one in spool.recover(claimant="port/1#2")]
        spool.leave("port/1#2")
    assert states == [State.READY] * (ABANDONED_AT_MOST - 1) + [State.DEAD]


def test_first_generation_finds_all_that_were_before_it_dead(spool: Spool) -> None:
    spool.put([new_message(name) for name in "ABCD"])
    for by in ("port/1", "port/1#2", "port/1#3", "port/10"):
        claim(spool, by=by, limit=1)
    spool.leave("port/1#3")

    assert {one.uid for one in spool.recover(claimant="port/1")} == {"A", "B", "C"}


def test_expired_lease_is_recovered_and_a_running_one_is_not(spool: Spool, clock: Clock) -> None:
    spool.put([new_message("A")])
    claim(spool)

    clock.move(29)
    assert len(spool.recover()) == 0
    clock.move(2)
    assert len(spool.recover()) == 1
    assert state(spool, "A") is State.READY


def test_end_of_the_lease_goes_with_the_claim_and_no_clock_that_is_set_moves_it(
    spool: Spool, clock: Clock
) -> None:
    spool.put([new_message("A")])
    clock.move(86_400)
    (claimed,) = spool.claim("me", "port", limit=1, lease_s=3600)
    clock.move(-86_400)

    assert 0 < claimed.lease.left_s <= 3600
    assert not claimed.lease.late


def test_late_settlement_counts_while_nobody_took_the_entry_back(spool: Spool, clock: Clock) -> None:
    spool.put([new_message("A")])
    done = settled(claim(spool))
    clock.move(3600)

    assert spool.settle(done) == 1
    assert len(spool.recover()) == 0


def near(spool: Spool, destination: str = "port") -> int:
    return spool.repair_clock(destination, wait_s=600, lease_s=30)


def test_fresh_entry_goes_at_once_when_the_clock_was_set_back(spool: Spool, clock: Clock) -> None:
    spool.put([new_message("A"), new_message("B", destination="capital")])
    clock.move(-300)

    assert claim(spool) == []
    assert near(spool) == 1
    assert near(spool) == 0
    assert uids(claim(spool)) == ["A"]
    assert claim(spool, "capital") == [], "one destination at a time"


def test_deferred_entry_waits_no_longer_than_the_longest_back_off_when_the_clock_was_set_back(
    spool: Spool, clock: Clock
) -> None:
    spool.put([new_message("A")])
    spool.settle(settled(claim(spool), Fate.DEFERRED, next_at=clock.now + timedelta(seconds=500)))

    clock.move(-60)
    assert near(spool) == 0, "its turn may be that far away"
    clock.move(-3600)
    assert near(spool) == 1
    assert uids(claim(spool)) == ["A"]


def test_whole_chain_comes_near_at_once_when_the_clock_was_set_back(spool: Spool, clock: Clock) -> None:
    spool.put([new_message(name, "d=1") for name in "ABC"])
    spool.put([new_message("D", "d=1", destination="capital")])
    clock.move(-86_400)

    assert near(spool) == 3, "those that wait for another one too"
    assert near(spool) == 0
    for name in "ABC":
        taken = claim(spool)
        assert uids(taken) == [name]
        spool.settle(settled(taken))


def test_followers_of_what_is_on_its_way_come_near_too(spool: Spool, clock: Clock) -> None:
    spool.put([new_message(name, "d=1") for name in "ABC"])
    first = claim(spool)
    clock.move(-86_400)

    assert near(spool) == 3, "B, C, and the lease on A"
    spool.settle(settled(first))
    assert uids(claim(spool)) == ["B"]


def test_follower_that_was_deferred_keeps_its_time(spool: Spool, clock: Clock) -> None:
    spool.put([new_message(name, "d=1") for name in "AB"])
    spool.act(Event.HELD, ["A"])
    spool.act(Event.RELEASED, ["A"])
    spool.settle(settled(claim(spool), Fate.DEFERRED, next_at=clock.now + timedelta(seconds=500)))
    clock.move(-60)

    assert near(spool) == 1, "B alone: A may have to wait that long"


def test_lease_of_the_dead_ends_when_the_clock_was_set_back(spool: Spool, clock: Clock) -> None:
    spool.put([new_message("A")])
    lost = settled(claim(spool, by="dead"))
    clock.move(-3600)

    assert near(spool) == 1
    clock.move(29)
    assert (spool.recover(), near(spool)) == ([], 0)
    clock.move(2)
    assert len(spool.recover()) == 1
    assert spool.settle(lost) == 0


def test_entries_that_come_back_one_by_one_are_not_taken_for_a_clock_set_back(spool: Spool) -> None:
    spool.put([new_message(name) for name in "ABC"])
    for _ in range(2):
        claim(spool, by="dying")
        spool.recover(claimant="dying")

    assert near(spool) == 0
    assert uids(claim(spool)) == ["A"], "the others may come back only after it"


def test_postponed_entry_is_not_taken_for_a_clock_set_back(spool: Spool, clock: Clock) -> None:
    spool.put([new_message("A")])
    later = clock.now + timedelta(seconds=20)
    spool.settle(settled(claim(spool), Fate.POSTPONED, error="the key is dark", next_at=later))

    assert near(spool) == 0
    assert spool.next_due("port") == later


def test_deferred_entry_waits_for_its_time(spool: Spool, clock: Clock) -> None:
    spool.put([new_message("A")])
    later = clock.now + timedelta(seconds=10)
    spool.settle(settled(claim(spool), Fate.DEFERRED, error="no route", next_at=later))

    assert claim(spool) == []
    assert spool.next_due("port") == later
    view = spool.message("A")
    assert view is not None
    assert (view.state, view.attempts, view.error, view.due_at) == (State.READY, 1, "no route", later)
    clock.move(10)
    assert claim(spool)[0].attempts == 1
    assert spool.next_due("port") is None


def test_delivered_entry_tells_when_and_what(spool: Spool, clock: Clock) -> None:
    spool.put([new_message("A")])
    got = claim(spool)
    clock.move(5)
    done = settled(got)
    spool.settle(done)

    view = spool.message("A")
    assert view is not None
    assert (view.state, view.sent_at, view.sent_sha256) == (State.SENT, clock.now, done[0].sent_sha256)


def test_dead_entry_waits_for_an_operator(spool: Spool, clock: Clock) -> None:
    spool.put([new_message("A")])
    spool.settle(settled(claim(spool), Fate.UNDELIVERABLE, error="refused for ever"))
    clock.move(86400)

    assert claim(spool) == []
    assert spool.act(Event.RETRIED, ["A"], reason="line repaired") == 1
    assert [(one.attempts, one.error) for one in spool.entries()] == [(0, "")], "it begins anew"
    assert claim(spool)[0].attempts == 0
    assert list(spool.history("A"))[-1].detail == "line repaired"


# the operator's hands


def test_held_entry_goes_when_released(spool: Spool) -> None:
    spool.put([new_message("A")])

    spool.act(Event.HELD, ["A"])
    assert claim(spool) == []
    spool.act(Event.RELEASED, ["A"])
    assert uids(claim(spool)) == ["A"]


def test_operator_acts_on_all_or_on_none(spool: Spool) -> None:
    spool.put([new_message("A"), new_message("B")])
    spool.act(Event.HELD, ["B"])

    with pytest.raises(LifecycleError):
        spool.act(Event.HELD, ["A", "B"])

    assert state(spool, "A") is State.READY


def test_operator_cannot_claim_or_deliver(spool: Spool) -> None:
    spool.put([new_message("A")])

    for event in (Event.CLAIMED, Event.DELIVERED, Event.DEFERRED, Event.UNDELIVERABLE):
        with pytest.raises(LifecycleError):
            spool.act(event, ["A"])
    assert state(spool, "A") is State.READY


def test_unknown_messages_are_passed_over(spool: Spool) -> None:
    spool.put([new_message("A")])

    assert spool.act(Event.HELD, ["nobody", "A"]) == 1


def test_discarded_entry_is_never_claimed(spool: Spool) -> None:
    spool.put([new_message("A")])
    spool.act(Event.DISCARDED, ["A"], reason="by telephone")

    assert claim(spool) == []
    with pytest.raises(LifecycleError):
        spool.act(Event.RETRIED, ["A"])


# the order of a declaration


def test_later_entry_waits_until_the_earlier_is_settled(spool: Spool) -> None:
    spool.put([new_message("A", "d=1"), new_message("B", "d=2", "d=1"), new_message("C", "d=3")])

    first = claim(spool)
    assert uids(first) == ["A", "C"]
    view = spool.message("B")
    assert view is not None
    assert view.waits_for == ("A",)
    spool.settle(settled(first))
    assert uids(claim(spool)) == ["B"]


def test_deferred_and_held_entries_keep_the_later_ones_waiting(spool: Spool, clock: Clock) -> None:
    spool.put([new_message("A", "d=1"), new_message("B", "d=1")])
    spool.settle(settled(claim(spool), Fate.DEFERRED, next_at=clock.now + timedelta(seconds=60)))

    assert claim(spool) == []
    spool.act(Event.HELD, ["A"])
    clock.move(3600)
    assert claim(spool) == []


@pytest.mark.parametrize("event", [Event.DISCARDED, Event.UNDELIVERABLE])
def test_giving_up_the_middle_one_keeps_the_order_of_the_rest(spool: Spool, event: Event) -> None:
    spool.put([new_message("A", "x")])
    dead = settled(claim(spool), Fate.UNDELIVERABLE)
    spool.put([new_message("B", "x", "y"), new_message("C", "x", "y"), new_message("D", "y")])
    if event is Event.DISCARDED:
        spool.act(event, ["C"])
        spool.settle(settled(claim(spool)))  # nothing was claimable: A is on its way
        spool.settle(dead)
        middle = claim(spool)
        assert uids(middle) == ["B"]
        spool.settle(settled(middle))
    else:
        spool.settle(dead)
        spool.settle(settled(claim(spool), Fate.UNDELIVERABLE))
        middle = claim(spool)
        assert uids(middle) == ["C"]
        assert claim(spool) == [], "D still waits for C"
        spool.settle(settled(middle))
    assert uids(claim(spool)) == ["D"]


def test_discarded_entry_waits_for_nobody(spool: Spool) -> None:
    spool.put([new_message("A", "d=1"), new_message("B", "d=1")])
    spool.act(Event.DISCARDED, ["B"])

    view = spool.message("B")
    assert view is not None
    assert view.waits_for == ()


def test_dead_letter_sent_again_takes_its_old_place(spool: Spool) -> None:
    spool.put([new_message("A", "d=1"), new_message("B", "d=1"), new_message("C", "d=1")])
    for _ in range(3):
        spool.settle(settled(claim(spool), Fate.UNDELIVERABLE))

    spool.act(Event.RETRIED, ["C", "A", "B"])

    for uid in "ABC":
        got = claim(spool)
        assert uids(got) == [uid]
        spool.settle(settled(got))


def test_dead_letter_sent_again_waits_for_a_later_one_on_its_way(spool: Spool) -> None:
    spool.put([new_message("A", "d=1"), new_message("B", "d=1"), new_message("C", "d=1")])
    spool.settle(settled(claim(spool), Fate.UNDELIVERABLE))
    later = claim(spool)

    spool.act(Event.RETRIED, ["A"])

    assert claim(spool) == [], "two of one declaration are never on their way together"
    spool.settle(settled(later))
    got = claim(spool)
    assert uids(got) == ["A"]
    spool.settle(settled(got))
    assert uids(claim(spool)) == ["C"]


@pytest.mark.parametrize("recovered", [True, False])
def test_later_one_that_comes_back_unsent_lets_the_earlier_go_first(spool: Spool, recovered: bool) -> None:
    spool.put([new_message("A", "d=1"), new_message("B", "d=1")])
    spool.settle(settled(claim(spool), Fate.UNDELIVERABLE))
    later = claim(spool, by="two")
    spool.act(Event.RETRIED, ["A"])

    if recovered:
        spool.recover(claimant="two")
    else:
        spool.settle(settled(later, Fate.DEFERRED))

    for uid in "AB":
        got = claim(spool)
        assert uids(got) == [uid]
        spool.settle(settled(got))


# what comes back


def test_raw_answer_is_kept_once_and_until_it_is_filed(spool: Spool) -> None:
    assert spool.keep(collected(b"one", b"two", b"one")) == 2
    assert spool.keep(collected(b"two", feed="another")) == 0

    first, second = spool.unfiled(10)
    assert (first.body, first.feed, first.received_at, second.body) == (b"one", "replies", START, b"two")
    spool.file([Filing(arrival=first.id, kind="CEB312Message", cop_msg_id="R-1")])
    assert [one.id for one in spool.unfiled(10)] == [second.id]
    assert spool.arrival(first.id) == first, "filed bytes stay"
    assert spool.arrival(999) is None


def row(declaration: int, digest: str, *, at: str = "20261111000000000", index: int = 0) -> TimelineRow:
    return TimelineRow(
        declaration=declaration,
        at=at,
        kind="CEB312Message",
        status="2",
        facts=b"f",
        digest=digest,
        index=index,
    )


def arrive(spool: Spool, body: bytes) -> int:
    spool.keep(collected(body))
    return next(one.id for one in spool.unfiled(1000) if one.body == body)


def declaration(spool: Spool, identity: str, owner: str = "ann") -> int:
    return next(one.declaration for one in spool.find([identity]) if one.owner == owner)


def test_declarations_are_found_by_identity_and_handle(spool: Spool) -> None:
    subject = Subject(identity="d=1", handles=("guid=G",), facts=b"of d=1")
    spool.put([new_message("A", subject), new_message("B", subject, owner="bob")])

    found = list(spool.find(["guid=G", "guid=G", "nothing"]))

    assert [(one.owner, one.identity, one.found_by, one.facts) for one in found] == [
        ("ann", "d=1", "guid=G", b"of d=1"),
        ("bob", "d=1", "guid=G", b"of d=1"),
    ]
    assert [one.declaration for one in spool.find(["d=1"])] == [one.declaration for one in found]


def test_many_texts_are_looked_up_at_once(spool: Spool) -> None:
    for start in range(0, 300, 100):
        spool.put(
            [
                new_message(f"M{n}", Subject(identity=f"d={n}", handles=(f"h={n % 2}",)))
                for n in range(start, start + 100)
            ]
        )

    found = list(spool.find([*(f"d={n}" for n in range(310)), "h=1"]))

    assert {one.identity for one in found if one.found_by.startswith("d=")} == {f"d={n}" for n in range(300)}
    assert all(one.identity == one.found_by for one in found if one.found_by.startswith("d="))
    assert [one.identity for one in found if one.found_by == "h=1"] == [f"d={n}" for n in range(1, 300, 2)]
    assert list(spool.find([])) == []


def test_message_is_found_by_the_id_it_travelled_under(spool: Spool) -> None:
    spool.put([new_message("A", "d=1", "d=2", cop_msg_id="X")])

    got = spool.travelled("X")

    assert got is not None
    assert (got.uid, got.owner, {one.identity for one in got.declarations}) == ("A", "ann", {"d=1", "d=2"})
    assert spool.travelled("Y") is None


def test_same_answer_twice_is_one_line_of_the_timeline(spool: Spool) -> None:
    spool.put([new_message("A", "d=1"), new_message("B", "d=2")])
    one, two = declaration(spool, "d=1"), declaration(spool, "d=2")
    first, again = arrive(spool, b"first"), arrive(spool, b"again")

    (done,) = spool.file(
        [Filing(arrival=first, kind="k", cop_msg_id="", rows=(row(one, "x"), row(two, "x")))]
    )
    assert (dict(done.matched), done.duplicates) == ({"ann": 2}, 0)
    (done,) = spool.file(
        [Filing(arrival=again, kind="k", cop_msg_id="", rows=(row(one, "x"), row(one, "y")))]
    )
    assert (dict(done.matched), done.duplicates) == ({"ann": 1}, 1)
    assert [line.digest for line in spool.timeline("ann", "d=1")] == ["x", "y"]


def test_same_answer_in_two_arrivals_of_one_commit_is_one_line_of_the_timeline(spool: Spool) -> None:
    spool.put([new_message("A", "d=1"), new_message("B", "d=2", owner="bob")])
    one, two = declaration(spool, "d=1"), declaration(spool, "d=2", "bob")
    first, again, third = (arrive(spool, body) for body in (b"first", b"again", b"third"))

    done = spool.file(
        [
            Filing(arrival=first, kind="k", cop_msg_id="C1", rows=(row(one, "x"), row(two, "x"))),
            Filing(arrival=again, kind="k", cop_msg_id="C2", rows=(row(one, "x"), row(one, "x"))),
            Filing(arrival=third, kind="k", cop_msg_id="C3", rows=(row(two, "y"), row(one, "z"))),
        ]
    )

    assert [(dict(filed.matched), filed.duplicates) for filed in done] == [
        ({"ann": 1, "bob": 1}, 0),
        ({}, 2),
        ({"bob": 1, "ann": 1}, 0),
    ]
    for owner, digests in (("ann", ["x", "z"]), ("bob", ["x", "y"])):
        notices = spool.notices(owner, after=0, limit=10)
        assert [notice.arrival for notice in notices] == [first, third]
        assert [line.digest for notice in notices for line in notice.rows] == digests
    assert [len(list(spool.history(name))) for name in ("C1", "C2", "C3")] == [2, 1, 2]
    assert spool.unfiled(10) == []


def test_timeline_goes_by_the_time_customs_says(spool: Spool) -> None:
    spool.put([new_message("A", Subject(identity="d=1", handles=("guid=G",)))])
    number = declaration(spool, "d=1")
    times = ("20261111000000300", "20261111000000100", "20261111000000200")
    for place, at in enumerate(times):
        arrival = arrive(spool, at.encode())
        spool.file([Filing(arrival=arrival, kind="k", cop_msg_id="", rows=(row(number, str(place), at=at),))])

    assert [line.at for line in spool.timeline("ann", "guid=G")] == sorted(times)


def test_owner_sees_own_answers_only(spool: Spool) -> None:
    spool.put([new_message("A", "d=1"), new_message("B", "d=1", owner="bob")])
    mine, theirs = declaration(spool, "d=1"), declaration(spool, "d=1", "bob")
    arrival = arrive(spool, b"both")
    rows = (row(mine, "x", index=0), row(theirs, "y", index=1))
    spool.file([Filing(arrival=arrival, kind="k", cop_msg_id="", rows=rows)])

    assert [line.digest for line in spool.timeline("ann", "d=1")] == ["x"]
    assert [line.digest for line in spool.timeline(None, "d=1")] == ["x", "y"]
    assert [line.digest for line in spool.filed_for("bob", arrival)] == ["y"]
    for owner, digest in (("ann", "x"), ("bob", "y")):
        (notice,) = spool.notices(owner, after=0, limit=10)
        assert [line.digest for line in notice.rows] == [digest]
    assert spool.message("A", owner="bob") is None
    assert spool.message("A", owner="ann") is not None


def test_only_who_has_something_new_gets_a_notice(spool: Spool) -> None:
    spool.put([new_message("A", "d=1"), new_message("B", "d=1", owner="bob")])
    mine, theirs = declaration(spool, "d=1"), declaration(spool, "d=1", "bob")
    first, second = arrive(spool, b"1"), arrive(spool, b"2")
    spool.file([Filing(arrival=first, kind="k", cop_msg_id="", rows=(row(mine, "x"),))])
    spool.file([Filing(arrival=second, kind="k", cop_msg_id="", rows=(row(mine, "x"), row(theirs, "x")))])

    assert [one.arrival for one in spool.notices("ann", after=0, limit=10)] == [first]
    assert [one.arrival for one in spool.notices("bob", after=0, limit=10)] == [second]


def mail(arrival: int, *addressees: str) -> Filing:
    return Filing(arrival=arrival, kind="CEB311Message", cop_msg_id="COP-M", addressees=addressees)


def test_owner_hears_once_of_an_arrival_that_is_for_it_as_a_whole(opener: Opener) -> None:
    one, other = opener(), opener()
    arrival = arrive(one, b"for ann and bob")
    (first,) = one.file([mail(arrival, "ann", "bob")])
    (again,) = other.file([mail(arrival, "ann", "bob")])

    assert (first.delivered, again.delivered) == (("ann", "bob"), ())
    for owner in ("ann", "bob"):
        (notice,) = one.notices(owner, after=0, limit=10)
        assert (notice.arrival, notice.kind, notice.rows) == (arrival, "CEB311Message", ())
        assert one.addressed(owner, arrival)
        assert one.acknowledge(owner, notice.cursor) == notice.cursor
    assert not one.addressed("eve", arrival)
    assert one.unfiled(10) == []
    lines = [json.loads(line.detail) for line in one.history("COP-M")]
    assert [(line.get("owner"), line.get("delivered")) for line in lines[:2]] == [
        ("ann", True),
        ("bob", True),
    ]
    assert {line["sha256"] for line in lines} == {hashlib.sha256(b"for ann and bob").hexdigest()}


def test_mail_and_answers_share_one_row_of_cursors(spool: Spool) -> None:
    spool.put([new_message("A", "d=1")])
    number = declaration(spool, "d=1")
    answer, letter = arrive(spool, b"answer"), arrive(spool, b"letter")
    spool.file(
        [mail(letter, "ann"), Filing(arrival=answer, kind="k", cop_msg_id="", rows=(row(number, "x"),))]
    )

    notices = spool.notices("ann", after=0, limit=10)
    assert [(one.arrival, len(one.rows)) for one in notices] == [(letter, 0), (answer, 1)]
    assert notices[0].cursor < notices[1].cursor


def test_mail_wakes_those_who_wait_for_notices(opener: Opener) -> None:
    spool = opener()
    arrival = arrive(spool, b"for ann")
    with opener().listen(Topic.NOTICES) as waiter:
        spool.file([mail(arrival, "ann")])
        assert waiter.wait(PATIENCE_S)


def test_orphan_that_turns_out_to_be_mail_is_delivered_and_resolved(spool: Spool) -> None:
    arrival = arrive(spool, b"for somebody")
    spool.file(
        [Filing(arrival=arrival, kind="k", cop_msg_id="", orphans=(OrphanBody(index=-1, reason="shared"),))]
    )
    (orphan,) = spool.orphans()
    (filed,) = spool.file([mail(arrival, "ann")], resolves=[orphan.id])

    assert filed.delivered == ("ann",)
    assert spool.orphans() == []


def test_orphan_of_an_arrival_that_two_processes_file_is_kept_once(opener: Opener) -> None:
    one, other = opener(), opener()
    arrival = arrive(one, b"for nobody")
    filing = Filing(
        arrival=arrival, kind="k", cop_msg_id="", orphans=(OrphanBody(index=0, reason="unknown"),)
    )
    one.file([filing])
    other.file([filing])

    assert len(one.orphans()) == 1


def test_notices_follow_the_cursor(spool: Spool) -> None:
    spool.put([new_message("A", "d=1")])
    number = declaration(spool, "d=1")
    for digest in "xyz":
        arrival = arrive(spool, digest.encode())
        spool.file([Filing(arrival=arrival, kind="k", cop_msg_id="", rows=(row(number, digest),))])

    first, second = spool.notices("ann", after=0, limit=2)
    (third,) = spool.notices("ann", after=second.cursor, limit=2)

    assert first.cursor < second.cursor < third.cursor
    assert [line.digest for one in (first, second, third) for line in one.rows] == ["x", "y", "z"]
    assert spool.notices("ann", after=third.cursor, limit=2) == []


def test_declarations_with_an_answer_besides_some_are_found_for_a_stretch_of_notices(spool: Spool) -> None:
    spool.put([new_message("A", "d=1", "d=2", "d=3", owner="ann"), new_message("B", "d=1", owner="bob")])
    numbers = {(one.owner, one.identity): one.declaration for one in spool.find(["d=1", "d=2", "d=3"])}

    def told(status: str, *about: tuple[str, str]) -> None:
        spool.keep(collected(f"{status} {about}".encode()))
        (arrival,) = spool.unfiled(9)
        rows = tuple(
            TimelineRow(
                declaration=numbers[one], at="1", kind="K", status=status, facts=b"", digest=status, index=0
            )
            for one in about
        )
        spool.file([Filing(arrival=arrival.id, kind="K", cop_msg_id="", rows=rows)])

    told("bad", ("ann", "d=1"), ("bob", "d=1"))
    told("good", ("ann", "d=1"), ("ann", "d=2"), ("ann", "d=3"), ("bob", "d=1"))
    told("worse", ("ann", "d=3"))
    first, second, third = (one.cursor for one in spool.notices("ann", after=0, limit=9))

    def besides(*passing: str, after: int = first, up_to: int = second) -> frozenset[str]:
        return spool.answered_besides("ann", after=after, up_to=up_to, passing=passing)

    assert besides("K good") == {"d=1", "d=3"}
    assert besides("K good", "K worse") == {"d=1"}
    assert besides("good", "worse", "bad") == {"d=1", "d=2", "d=3"}
    assert besides("K good", "K worse", "K bad") == frozenset()
    assert besides("K good", after=second, up_to=third) == {"d=3"}
    assert besides(after=third, up_to=third) == frozenset()


def test_newest_notice_of_each_owner_is_told_in_one_go(spool: Spool) -> None:
    assert spool.newest_notices(("ann", "bob")) == {}
    for number, owners in enumerate((("ann", "bob"), ("ann",))):
        spool.file([mail(arrive(spool, b"%d" % number), *owners)])
    newest = {owner: spool.notices(owner, after=0, limit=10)[-1].cursor for owner in ("ann", "bob")}

    assert spool.newest_notices(("bob", "ann", "eve", "o'\"; x")) == newest
    assert spool.newest_notices(("bob",)) == {"bob": newest["bob"]}
    assert spool.newest_notices(()) == {}


def test_acknowledging_goes_neither_back_nor_beyond_the_newest(spool: Spool) -> None:
    spool.put([new_message("A", "d=1")])
    number = declaration(spool, "d=1")
    for digest in "xy":
        arrival = arrive(spool, digest.encode())
        spool.file([Filing(arrival=arrival, kind="k", cop_msg_id="", rows=(row(number, digest),))])
    first, second = (one.cursor for one in spool.notices("ann", after=0, limit=10))

    assert spool.acknowledged("ann") == 0
    assert spool.acknowledge("ann", -5) == 0
    assert spool.acknowledge("ann", first) == first
    assert spool.acknowledge("ann", second + 1000) == second
    assert spool.acknowledge("ann", first) == second
    assert spool.acknowledged("ann") == second
    assert spool.acknowledge("bob", 7) == 0


def test_learned_handle_finds_the_declaration_and_the_orphans_that_wait_for_it(spool: Spool) -> None:
    spool.put([new_message("A", "d=1")])
    number = declaration(spool, "d=1")
    early, late = arrive(spool, b"early"), arrive(spool, b"late")
    orphan = OrphanBody(index=3, reason="nobody", lookups=("preNo=7", "guid=Q"), facts=b"kept")
    (done,) = spool.file([Filing(arrival=early, kind="CEB622Message", cop_msg_id="", orphans=(orphan,))])
    assert (dict(done.matched), done.orphaned) == ({}, 1)

    spool.file(
        [
            Filing(
                arrival=late,
                kind="k",
                cop_msg_id="",
                rows=(row(number, "x"),),
                learned={number: ("preNo=7",)},
            )
        ]
    )

    assert [one.declaration for one in spool.find(["preNo=7"])] == [number]
    assert spool.orphans(texts=["unrelated"]) == []
    (found,) = spool.orphans(texts=["preNo=7", "guid=Q"])
    assert (found.arrival, found.index, found.kind, found.facts) == (early, 3, "CEB622Message", b"kept")
    spool.file(
        [Filing(arrival=early, kind="CEB622Message", cop_msg_id="", rows=(row(number, "y", index=3),))],
        resolves=[found.id],
    )
    assert spool.orphans() == []
    assert spool.orphans(texts=["preNo=7"]) == []
    assert [one.arrival for one in spool.notices("ann", after=0, limit=10)] == [late, early]


def test_rematch_brings_a_notice_of_what_is_new_and_nothing_else(spool: Spool) -> None:
    spool.put([new_message("A", "d=1"), new_message("B", "d=2")])
    arrival = arrive(spool, b"two bodies")
    spool.file(
        [Filing(arrival=arrival, kind="k", cop_msg_id="", rows=(row(declaration(spool, "d=1"), "x"),))]
    )
    spool.file(
        [Filing(arrival=arrival, kind="k", cop_msg_id="", rows=(row(declaration(spool, "d=2"), "y"),))]
    )

    notices = spool.notices("ann", after=0, limit=10)

    assert [[line.digest for line in one.rows] for one in notices] == [["x"], ["y"]]


def test_newest_orphans_come_last_and_within_the_limit(spool: Spool) -> None:
    arrival = arrive(spool, b"garbage")
    bodies = tuple(OrphanBody(index=number, reason="not_xml") for number in range(3))
    spool.file([Filing(arrival=arrival, kind="", cop_msg_id="", orphans=bodies)])

    assert [one.index for one in spool.orphans()] == [0, 1, 2]
    assert [one.index for one in spool.orphans(limit=2)] == [1, 2]


# looking


def test_search_takes_whatever_an_operator_has_at_hand(spool: Spool) -> None:
    subject = Subject(identity="T orderNo=O-1 ebcCode=E", handles=("guid=G-1",))
    spool.put([new_message("A", subject, cop_msg_id="X"), new_message("B", "T orderNo=O-2 ebcCode=F")])
    arrival = arrive(spool, b"answer")
    number = declaration(spool, subject.identity)
    spool.file([Filing(arrival=arrival, kind="k", cop_msg_id="R", rows=(row(number, "x"),))])

    for text in ("a", "X", "R", subject.identity, "guid=G-1", "G-1", "O-1", "E"):
        assert spool.search(text) == ["A"], text
    for text in ("%", "_-1", "O-", "", "nothing"):
        assert spool.search(text) == [], text


def test_entries_are_listed_by_state_and_destination_oldest_first(spool: Spool) -> None:
    spool.put([new_message("A"), new_message("B", destination="elsewhere"), new_message("C")])
    spool.settle(settled(claim(spool, limit=1)))

    def listed(*states: State, destination: str = "", limit: int = 100) -> list[str]:
        wanted = Wanted(states=states, destination=destination)
        return [view.uid for view in spool.entries(wanted, limit=limit)]

    assert listed() == ["A", "B", "C"]
    assert listed(limit=1) == ["A"]
    assert listed(State.SENT) == ["A"]
    assert listed(State.READY) == ["B", "C"]
    assert listed(State.READY, State.SENT, destination="port") == ["A", "C"]
    assert listed(State.DEAD) == []


def test_ids_are_found_by_how_they_begin(spool: Spool) -> None:
    ids = [
        "01A200B8-2CCD-740B-A20A-69116E06AEA8",
        "01A200B8-2CCD-7FFF-A20A-69116E06AEA8",
        "01A200B8-2CDD-740B-A20A-69116E06AEA8",
        "01A300B8-2CCD-740B-A20A-69116E06AEA8",
    ]
    spool.put([new_message(uid) for uid in reversed(ids)])

    assert spool.beginning("01A200B8-2CCD-7", limit=10) == ids[:2]
    assert spool.beginning("01A200B8-2CCD", limit=10) == ids[:2]
    assert spool.beginning("01A2", limit=2) == ids[:2]
    assert spool.beginning("01A3", limit=2) == ids[3:]
    assert spool.beginning(ids[0], limit=2) == ids[:1]
    for nothing in ("01A", "", "01A2%", "____", "01A4", "01a2", "-01A2", ids[0] + "0"):
        assert spool.beginning(nothing, limit=2) == [], nothing


def test_entries_of_one_error_are_one_group_and_a_flood_of_errors_is_two(spool: Spool, clock: Clock) -> None:
    def fail(uid: str, error: str, destination: str = "port", fate: Fate = Fate.UNDELIVERABLE) -> None:
        spool.put([new_message(uid, destination=destination)])
        next_at = clock.now + timedelta(days=9) if fate is Fate.DEFERRED else None
        spool.settle(settled(claim(spool, destination), fate, error=error, next_at=next_at))

    fail("A", "refused", "hook")
    clock.move(60)
    for number in range(3):
        fail(f"B{number}", "refused")
    fail("C0", "no room")
    fail("C1", "no room")
    fail("D", "odd")
    fail("E", "strange")
    fail("F", "later", fate=Fate.DEFERRED)
    fail("G", "", fate=Fate.DELIVERED)
    spool.put([new_message("H", destination="hook")])
    first, second = START, START + timedelta(seconds=60)

    def told(wanted: Wanted = ANY, each: int = 2) -> list[tuple[object, ...]]:
        return [
            (one.destination, one.state, one.error, one.errors, one.entries, one.oldest, one.uid)
            for one in spool.groups(wanted, each=each)
        ]

    assert told() == [
        ("hook", "dead", "refused", 1, 1, first, "A"),
        ("hook", "ready", "", 1, 1, second, "H"),
        ("port", "dead", "refused", 1, 3, second, "B0"),
        ("port", "dead", "no room", 1, 2, second, "C0"),
        ("port", "dead", "", 2, 2, second, "D"),
        ("port", "ready", "later", 1, 1, second, "F"),
    ]
    assert told(each=3)[2:6] == [
        ("port", "dead", "refused", 1, 3, second, "B0"),
        ("port", "dead", "no room", 1, 2, second, "C0"),
        ("port", "dead", "odd", 1, 1, second, "D"),
        ("port", "dead", "strange", 1, 1, second, "E"),
    ], "a single one has nothing to be taken together with"
    assert told(Wanted(states=(State.DEAD,), destination="hook")) == [
        ("hook", "dead", "refused", 1, 1, first, "A")
    ]
    assert told(Wanted(error="oo")) == [("port", "dead", "no room", 1, 2, second, "C0")]
    assert told(Wanted(owner="nobody")) == []
    assert [view.uid for view in spool.entries(Wanted(error="roo"))] == ["C0", "C1"]
    assert [view.uid for view in spool.entries(Wanted(states=(State.DEAD,), error="%"))] == []


def test_depths_count_by_destination_state_and_age(spool: Spool, clock: Clock) -> None:
    spool.put([new_message("A"), new_message("B", destination="elsewhere")])
    clock.move(100)
    spool.put([new_message("C"), new_message("D")])
    spool.settle(settled(claim(spool, limit=1)))
    clock.move(2 * 86400)
    spool.put([new_message("E")])

    assert spool.depths() == [
        Depth(destination="elsewhere", state=State.READY, age_s=-1, entries=1),
        Depth(destination="port", state=State.READY, age_s=-1, entries=2),
        Depth(destination="port", state=State.READY, age_s=10, entries=1),
    ]


def test_history_tells_the_life_of_one_message_in_order(spool: Spool, clock: Clock) -> None:
    spool.put([new_message("A"), new_message("B")])
    clock.move(1)
    spool.settle(settled(claim(spool, limit=1), Fate.DEFERRED, error="no route"))
    spool.put((), notes=[Note(event="message.shown", uid="A", detail="to its owner")])

    lines = list(spool.history("A"))

    taken = new_message("A")
    accepted = {
        "sha256": taken.sha256.hex(),
        "size": len(taken.body),
        "type": taken.kind,
        "owner": taken.owner,
    }
    assert json.loads(lines[0].detail) == accepted
    assert [(line.event, line.detail) for line in lines[1:]] == [
        ("entry.deferred", "no route"),
        ("message.shown", "to its owner"),
    ]
    assert [line.at for line in lines] == [START, clock.now, clock.now]


# being woken, and opening again


def test_taking_in_wakes_those_who_wait_for_entries(opener: Opener) -> None:
    one, other = opener(), opener()
    with other.listen(Topic.ENTRIES) as entries, other.listen(Topic.NOTICES) as notices:
        one.put([new_message("A", "d=1"), new_message("B", "d=1")])
        assert entries.wait(PATIENCE_S)
        assert not entries.wait(0), "what was heard is forgotten"
        one.settle(settled(claim(one)))
        assert entries.wait(PATIENCE_S), "B may go now"
        assert not notices.wait(0)
        arrival = arrive(one, b"answer")
        filing = Filing(arrival=arrival, kind="k", cop_msg_id="", rows=(row(declaration(one, "d=1"), "x"),))
        one.file([filing])
        assert notices.wait(PATIENCE_S)


def test_spool_opened_again_is_as_it_was(opener: Opener) -> None:
    one = opener()
    one.put([new_message("A", "d=1"), new_message("B", "d=1")])
    done = settled(claim(one))
    one.close()
    one.close()

    again = opener()
    assert again.settle(done) == 1
    assert uids(claim(again)) == ["B"]


# turns: owners, priorities, several ways


def test_an_owner_that_floods_does_not_hold_up_the_single_entry_of_another(spool: Spool) -> None:
    spool.put([new_message(f"A{number:03d}", owner="ann") for number in range(200)])
    spool.put([new_message("B", owner="bob")])
    assert "B" in uids(spool.claim("f", "port", limit=4, lease_s=60))


def test_owners_take_turns_from_one_claim_to_the_next(spool: Spool) -> None:
    owners = ("ann", "bob", "cho", "dan", "eve")
    spool.put([new_message(f"{owner}{number}", owner=owner) for owner in owners for number in range(4)])
    turns = [[one.owner for one in spool.claim("f", "port", limit=2, lease_s=60)] for _ in range(5)]
    assert [len(turn) for turn in turns] == [2] * 5
    assert all(len(set(turn)) == 2 for turn in turns)
    served = [owner for turn in turns for owner in turn]
    assert {served.count(owner) for owner in owners} == {2}, "each as often as the others"


def test_a_share_that_one_owner_does_not_use_goes_to_the_others(spool: Spool) -> None:
    spool.put([new_message(f"A{number}", owner="ann") for number in range(9)])
    spool.put([new_message("B", owner="bob")])
    assert sorted(uids(spool.claim("f", "port", limit=8, lease_s=60))) == [*(f"A{n}" for n in range(7)), "B"]


def test_within_an_owner_the_higher_priority_goes_first(spool: Spool) -> None:
    spool.put(
        [
            new_message("late", priority=2),
            new_message("usual"),
            new_message("urgent", priority=0),
            new_message("usual2"),
        ]
    )
    claimed = [uids(spool.claim("f", "port", limit=1, lease_s=60))[0] for _ in range(4)]
    assert claimed == ["urgent", "usual", "usual2", "late"]


def test_each_way_of_a_message_has_a_fate_of_its_own(spool: Spool) -> None:
    tax = Way(destination="tax", cop_msg_id="COP-A", facts=b"other office")
    part = Way(destination="port", cop_msg_id="COP-A", part="2")
    spool.put([new_message("A", "X", more_ways=(tax, part))])
    (to_tax,) = spool.claim("f", "tax", limit=9, lease_s=60)
    to_port = spool.claim("f", "port", limit=9, lease_s=60)
    assert (to_tax.way, to_tax.cop_msg_id, len(to_port)) == (b"other office", "COP-A", 2)
    spool.settle(settled([to_tax]))
    spool.settle(settled(to_port[:1]) + settled(to_port[1:], Fate.UNDELIVERABLE, error="no"))
    states = [(view.destination, view.part, view.state) for view in spool.ways("A")]
    assert states == [("port", "", State.SENT), ("tax", "", State.SENT), ("port", "2", State.DEAD)]
    found = spool.travelled("COP-A")
    assert found is not None
    assert [declaration.identity for declaration in found.declarations] == ["X"]
    assert spool.act(Event.RETRIED, ["A"]) == 1
    assert [view.state for view in spool.ways("A")] == [State.SENT, State.SENT, State.READY]


def test_each_entry_is_shown_with_the_facts_of_its_way(spool: Spool) -> None:
    more = Way(destination="elsewhere", cop_msg_id="COP-A", facts=b"facts of the way")
    spool.put([new_message("A", more_ways=(more,))])

    assert [view.way for view in spool.ways("A")] == [b"", b"facts of the way"]


def test_offers_of_one_commit_are_judged_against_each_other(spool: Spool) -> None:
    first = Subject(identity="X", version="1")
    replies = spool.put(
        [
            new_message("A", first, body=b"a", request_key="r"),
            new_message("B", first, body=b"a"),
            new_message("C", body=b"c", request_key="r"),
            new_message("D", first, body=b"d"),
            new_message("E", body=b"e", cop_msg_id="COP-A"),
            new_message("F", Subject(identity="X", version="2"), body=b"f"),
        ]
    )
    assert replies == [
        Accepted(uid="A"),
        Duplicate(uid="A"),
        key_of("A"),
        Conflict(uid="A", reason="version", identities=("X",)),
        Conflict(uid="A", reason="cop_msg_id"),
        Accepted(uid="F"),
    ]
    assert uids(spool.claim("f", "port", limit=9, lease_s=60)) == ["A"], "F waits for A"


def test_an_operator_may_act_on_the_entry_to_one_destination_alone(spool: Spool) -> None:
    tax = Way(destination="tax", cop_msg_id="COP-A")
    spool.put([new_message("A", "X", more_ways=(tax,))])
    assert spool.act(Event.DISCARDED, ["A"], reason="the office is closed", destination="tax") == 1
    assert [(view.destination, view.state) for view in spool.ways("A")] == [
        ("port", State.READY),
        ("tax", State.DISCARDED),
    ]
    assert spool.act(Event.HELD, ["A"], destination="nowhere") == 0


def test_ways_of_one_message_do_not_wait_for_each_other(spool: Spool) -> None:
    spool.put([new_message("A", "X")])
    spool.settle(settled(spool.claim("f", "port", limit=9, lease_s=60)))
    spool.put([new_message("B", "X", more_ways=(Way(destination="port", cop_msg_id="COP-B", part="2"),))])
    assert uids(spool.claim("f", "port", limit=9, lease_s=60)) == ["B", "B"]


def test_owners_whose_entries_are_deferred_do_not_hide_one_that_has_its_turn(spool: Spool) -> None:
    spool.put([new_message(f"A{number:02d}", owner=f"a{number:02d}") for number in range(40)])
    later = START + timedelta(hours=1)
    for _ in range(10):
        held = spool.claim("f", "port", limit=8, lease_s=60)
        spool.settle(settled(held, Fate.DEFERRED, error="no", next_at=later))
    spool.put([new_message("Z", owner="zoe")])
    assert "Z" in uids([one for _ in range(3) for one in spool.claim("f", "port", limit=4, lease_s=60)])
