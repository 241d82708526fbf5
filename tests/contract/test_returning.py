"""Entries that come back: an answer asks for another attempt, or whoever had them in hand fell silent."""

from datetime import datetime, timedelta

import pytest

from spool.ending import ABANDONED_AT_MOST
from spool.entry import Bounce, Claimed, Ended, Fate, Filing, Latest, MessageView, Wanted, Way
from spool.lifecycle import Event, State
from spool.store import Spool, Topic
from tests.spool_samples import START, Clock, collected, new_message, settled, uids
from tests.waiting import PATIENCE_S

WHY = "DxpRep 3002: remote connection error"


def claim(spool: Spool, destination: str = "port", *, by: str = "one", limit: int = 100) -> list[Claimed]:
    return spool.claim(by, destination, limit=limit, lease_s=30)


def send(spool: Spool, destination: str = "port") -> list[str]:
    """Carry everything that is due; returns whose it was."""
    got = claim(spool, destination)
    spool.settle(settled(got))
    return uids(got)


def view(spool: Spool, uid: str) -> MessageView:
    found = spool.message(uid)
    assert found is not None
    return found


def latest(spool: Spool, uid: str) -> Latest:
    found = spool.travelled(f"COP-{uid}")
    assert found is not None
    return found.entries[0]


def hear(spool: Spool, body: bytes, *, name: str = "") -> int | None:
    """Keep an answer; returns its number if it has to be filed."""
    (one,) = collected(body)
    spool.keep([one if not name else type(one)(feed=one.feed, name=name, body=body, sha256=one.sha256)])
    return next((raw.id for raw in spool.unfiled(100) if raw.body == body), None)


def file(spool: Spool, arrival: int, about: Latest, next_at: datetime | None) -> tuple[Ended, ...]:
    bounce = Bounce(entry=about.entry, claim=about.claim, next_at=next_at, reason=WHY)
    (done,) = spool.file([Filing(arrival=arrival, kind="DxpRep", cop_msg_id="", bounces=(bounce,))])
    return done.ended


def bounce(
    spool: Spool, uid: str, next_at: datetime | None = START, *, body: bytes = b""
) -> tuple[Ended, ...]:
    """Hear a new answer about the latest attempt of a message's first entry, and file it."""
    arrival = hear(spool, body or f"about {uid} {latest(spool, uid).claim}".encode())
    assert arrival is not None
    return file(spool, arrival, latest(spool, uid), next_at)


def events(spool: Spool, uid: str) -> list[str]:
    return [line.event for line in spool.history(uid)]


def test_bounced_entry_goes_again_under_the_same_id_when_its_time_has_come(
    spool: Spool, clock: Clock
) -> None:
    spool.put([new_message("A", "x")])
    (first,) = claim(spool)
    spool.settle(settled([first]))
    later = clock.now + timedelta(seconds=10)

    (ended,) = bounce(spool, "A", later)

    assert (ended.uid, ended.owner, ended.destination, ended.state, ended.attempts, ended.due_at, ended.why) == (
        "A", "ann", "port", State.READY, 1, later, WHY,
    )  # fmt: skip
    now = view(spool, "A")
    assert (now.state, now.attempts, now.due_at, now.error, now.sent_at, now.sent_sha256) == (
        State.READY, 1, later, WHY, None, b"",
    )  # fmt: skip
    assert claim(spool) == []
    assert spool.next_due("port") == later
    clock.move(10)
    (again,) = claim(spool)
    assert (again.entry, again.cop_msg_id, again.body) == (first.entry, first.cop_msg_id, first.body)
    spool.settle(settled([again]))
    assert (view(spool, "A").state, view(spool, "A").attempts) == (State.SENT, 1)
    assert events(spool, "A") == ["message.accepted", "entry.sent", "entry.bounced", "entry.sent"]
    assert later.isoformat(timespec="milliseconds") in list(spool.history("A"))[2].detail


def test_entry_that_has_had_all_its_attempts_is_dead_with_the_answer_as_the_reason(spool: Spool) -> None:
    spool.put([new_message("A", "x"), new_message("B", "x")])
    send(spool)

    (ended,) = bounce(spool, "A", None)

    assert (ended.state, view(spool, "A").state, view(spool, "A").error) == (State.DEAD, State.DEAD, WHY)
    assert events(spool, "A")[-1] == "entry.dead"
    assert send(spool) == ["B"], "a dead letter holds nobody up"
    spool.act(Event.RETRIED, ["A"])
    assert send(spool) == ["A"]


def test_an_answer_ends_an_attempt_once(spool: Spool, clock: Clock) -> None:
    spool.put([new_message("A", "x")])
    send(spool)
    attempt = latest(spool, "A")
    one, other = hear(spool, b"one node says"), hear(spool, b"another node says")
    assert one is not None
    assert other is not None

    assert len(file(spool, one, attempt, START)) == 1
    assert file(spool, other, attempt, START) == (), "it waits to go already"
    clock.move(1)
    assert send(spool) == ["A"]
    assert file(spool, other, attempt, START) == (), "that attempt is over"
    assert file(spool, other, latest(spool, "A"), START) == (), (
        "the answer was there before this attempt began"
    )
    assert (view(spool, "A").state, view(spool, "A").attempts) == (State.SENT, 1)


def test_answer_is_heard_though_the_clock_was_set_back_after_the_attempt(spool: Spool, clock: Clock) -> None:
    spool.put([new_message("A", "x")])
    send(spool)
    clock.move(-3600)

    assert [one.state for one in bounce(spool, "A", clock.now)] == [State.READY]
    assert send(spool) == ["A"]


def test_the_same_bytes_under_the_same_name_are_no_news(spool: Spool, clock: Clock) -> None:
    spool.put([new_message("A", "x")])
    send(spool)
    bounce(spool, "A", body=b"3002")
    clock.move(1)
    assert send(spool) == ["A"]

    assert hear(spool, b"3002") is None, "delivered again by the broker, after a crash say"
    assert view(spool, "A").state is State.SENT


def test_the_same_words_about_the_next_attempt_are_heard(spool: Spool, clock: Clock) -> None:
    """A DxpRep has a day and no time, so answers to two attempts may be equal to the byte."""
    spool.put([new_message("A", "x")])
    send(spool)
    bounce(spool, "A", body=b"3002")
    assert hear(spool, b"3002", name="m2") is not None
    assert bounce(spool, "A", body=b"3002") == (), "the entry is not even under way"
    clock.move(1)
    assert send(spool) == ["A"]

    clock.move(1)
    arrival = hear(spool, b"3002", name="m3")
    assert arrival is not None
    (ended,) = file(spool, arrival, latest(spool, "A"), clock.now)
    assert (ended.state, ended.attempts) == (State.READY, 2)


def test_bytes_that_asked_for_nothing_are_not_heard_twice(spool: Spool) -> None:
    arrival = hear(spool, b"a receipt")
    assert arrival is not None
    spool.file([Filing(arrival=arrival, kind="CEB312Message", cop_msg_id="")])

    assert hear(spool, b"a receipt", name="m2") is None


def test_answer_that_is_faster_than_the_confirmation_counts_with_it(spool: Spool, clock: Clock) -> None:
    spool.put([new_message("A", "x"), new_message("B", "x")])
    got = claim(spool)
    later = clock.now + timedelta(seconds=5)

    (ended,) = bounce(spool, "A", later)

    assert (ended.state, ended.due_at, ended.attempts) == (State.READY, later, 1)
    assert view(spool, "A").state is State.SENDING, "its holder still has it"
    assert bounce(spool, "A", later, body=b"another") == ()
    assert spool.settle(settled(got)) == 1
    now = view(spool, "A")
    assert (now.state, now.due_at, now.attempts, now.error) == (State.READY, later, 1, WHY)
    assert events(spool, "A") == ["message.accepted", "entry.sent", "entry.bounced"]
    assert claim(spool) == [], "B waits for A"
    clock.move(5)
    assert [send(spool), send(spool)] == [["A"], ["B"]]


@pytest.mark.parametrize("silent", [True, False])
def test_answer_about_an_attempt_that_failed_anyway_changes_nothing(spool: Spool, silent: bool) -> None:
    spool.put([new_message("A", "x")])
    got = claim(spool)
    bounce(spool, "A", None)

    if silent:
        spool.recover(claimant="one")
    else:
        spool.settle(settled(got, Fate.DEFERRED, error="cut off"))

    assert view(spool, "A").state is State.READY
    assert send(spool) == ["A"]
    assert view(spool, "A").state is State.SENT, "what was said of the earlier attempt is forgotten"


def test_later_entries_of_a_declaration_wait_for_one_that_came_back(spool: Spool, clock: Clock) -> None:
    spool.put([new_message("A", "x", "y")])
    send(spool)
    spool.put([new_message("C", "z")])
    bounce(spool, "A", clock.now + timedelta(seconds=5))
    spool.put([new_message("B", "y")])

    assert send(spool) == ["C"]
    assert view(spool, "B").waits_for == ("A",)
    clock.move(5)
    assert [send(spool), send(spool)] == [["A"], ["B"]]


def test_an_entry_that_waits_already_goes_after_one_that_came_back(spool: Spool, clock: Clock) -> None:
    spool.put([new_message("A", "x")])
    send(spool)
    spool.put([new_message("B", "x")])
    spool.settle(settled(claim(spool), Fate.DEFERRED, next_at=clock.now + timedelta(seconds=1)))
    bounce(spool, "A", clock.now + timedelta(seconds=5))

    clock.move(2)
    assert send(spool) == []
    clock.move(5)
    assert [send(spool), send(spool)] == [["A"], ["B"]]


@pytest.mark.parametrize("confirmed", [True, False])
def test_overtaken_entry_is_not_sent_again(spool: Spool, confirmed: bool) -> None:
    spool.put([new_message("A", "x", "y")])
    send(spool)
    spool.put([new_message("B", "y")])
    newer = claim(spool)
    if confirmed:
        spool.settle(settled(newer))

    (ended,) = bounce(spool, "A")

    assert (ended.state, view(spool, "A").state) == (State.DEAD, State.DEAD)
    assert "overtaken by the newer message B" in view(spool, "A").error
    assert WHY in view(spool, "A").error
    assert claim(spool) == []


def test_newer_ones_that_never_went_or_went_elsewhere_do_not_overtake(spool: Spool) -> None:
    spool.put([new_message("A", "x")])
    send(spool)
    spool.put([new_message("B", "x"), new_message("C", "x", destination="elsewhere")])
    spool.settle(settled(claim(spool), Fate.UNDELIVERABLE))
    assert send(spool, "elsewhere") == ["C"]

    (ended,) = bounce(spool, "A")

    assert ended.state is State.READY


def test_older_ones_do_not_overtake(spool: Spool) -> None:
    spool.put([new_message("A", "x")])
    send(spool)
    spool.put([new_message("B", "x")])
    send(spool)

    (ended,) = bounce(spool, "B")

    assert ended.state is State.READY


def test_only_the_entry_that_was_answered_comes_back(spool: Spool) -> None:
    tax = Way(destination="tax", cop_msg_id="COP-A", facts=b"other office")
    spool.put([new_message("A", "x", more_ways=(tax,))])
    send(spool)
    send(spool, "tax")
    travelled = spool.travelled("COP-A")
    assert travelled is not None
    assert [(one.destination, one.facts, one.attempts) for one in travelled.entries] == [
        ("port", b"", 0),
        ("tax", b"other office", 0),
    ]
    assert travelled.accepted_at == START

    arrival = hear(spool, b"tax says")
    assert arrival is not None
    file(spool, arrival, travelled.entries[1], START)

    assert [(one.destination, one.state) for one in spool.ways("A")] == [
        ("port", State.SENT),
        ("tax", State.READY),
    ]


def test_coming_back_wakes_those_who_wait_for_entries(spool: Spool) -> None:
    spool.put([new_message("A", "x")])
    send(spool)
    with spool.listen(Topic.ENTRIES) as waiter:
        bounce(spool, "A")
        assert waiter.wait(PATIENCE_S)


def test_answer_about_an_entry_that_is_gone_or_given_up_does_nothing(spool: Spool) -> None:
    spool.put([new_message("A", "x")])
    attempt = latest(spool, "A")
    arrival = hear(spool, b"early")
    assert arrival is not None
    assert file(spool, arrival, attempt, START) == (), "it was never sent"
    spool.act(Event.DISCARDED, ["A"])
    assert file(spool, arrival, attempt, START) == ()
    gone = Latest(entry=999, claim=1, destination="port", attempts=0, facts=b"")
    assert file(spool, arrival, gone, START) == ()
    assert view(spool, "A").state is State.DISCARDED


# abandoned claims


def abandon(spool: Spool, clock: Clock) -> list[Ended]:
    """Claim everything that is due, and die."""
    claim(spool, by="dies")
    ended = spool.recover(claimant="dies")
    clock.move(60)
    return ended


def test_entry_whose_holder_died_once_or_twice_goes_on(spool: Spool, clock: Clock) -> None:
    spool.put([new_message("A", "x")])

    for _ in range(2):
        (ended,) = abandon(spool, clock)
        assert (ended.uid, ended.state, ended.attempts) == ("A", State.READY, 0)

    assert send(spool) == ["A"]


def test_entry_that_outlives_every_holder_is_a_dead_letter_at_last(spool: Spool, clock: Clock) -> None:
    spool.put([new_message("A", "x"), new_message("B", "x")])

    ended = [abandon(spool, clock)[0] for _ in range(ABANDONED_AT_MOST)]

    assert [one.state for one in ended] == [*[State.READY] * (ABANDONED_AT_MOST - 1), State.DEAD]
    assert "fell silent 5 times" in view(spool, "A").error
    assert events(spool, "A")[-2:] == ["entry.deferred", "entry.dead"]
    assert send(spool) == ["B"], "a dead letter holds nobody up"
    spool.act(Event.RETRIED, ["A"])
    (again,) = abandon(spool, clock)
    assert again.state is State.READY, "an operator gives it all its chances back"


def test_an_attempt_that_is_settled_begins_the_count_anew(spool: Spool, clock: Clock) -> None:
    spool.put([new_message("A", "x")])
    for _ in range(3):
        for _ in range(ABANDONED_AT_MOST - 1):
            abandon(spool, clock)
        spool.settle(settled(claim(spool), Fate.DEFERRED, error="no route"))

    assert view(spool, "A").state is State.READY


def test_entries_that_shared_a_dying_holder_twice_come_back_one_by_one(spool: Spool, clock: Clock) -> None:
    spool.put([new_message("A"), new_message("B"), new_message("C")])
    assert {one.due_at for one in abandon(spool, clock)} == {START}, "once is nothing"
    now = clock.now

    ended = abandon(spool, clock)

    waits = [(one.due_at - now).total_seconds() for one in ended]
    assert waits == [0, 2, 4]


def test_with_fewer_deaths_to_its_name_an_entry_comes_back_earlier(spool: Spool, clock: Clock) -> None:
    spool.put([new_message("A")])
    for _ in range(2):
        abandon(spool, clock)
    spool.put([new_message("B")])

    assert [one.uid for one in abandon(spool, clock)] == ["B", "A"]


# looking


def test_entries_are_found_by_owner_and_type_page_by_page(spool: Spool) -> None:
    spool.put([new_message(f"A{number}") for number in range(5)])
    spool.put([new_message("B", owner="bob"), new_message("C", owner="bob", destination="elsewhere")])
    spool.settle(settled(claim(spool, limit=1)))

    def found(wanted: Wanted, *, after: int = 0, limit: int = 100) -> list[str]:
        return [one.uid for one in spool.entries(wanted, after=after, limit=limit)]

    assert found(Wanted(owner="bob")) == ["B", "C"]
    assert found(Wanted(owner="bob", destination="port")) == ["B"]
    assert found(Wanted(owner="nobody")) == []
    assert found(Wanted(kind="CEB311Message", owner="ann", states=(State.READY,))) == ["A1", "A2", "A3", "A4"]
    assert found(Wanted(kind="CEB621Message")) == []
    for wanted in (Wanted(), Wanted(states=(State.READY, State.SENT)), Wanted(states=(State.READY,))):
        everything = found(wanted)
        pages: list[str] = []
        after = 0
        while page := spool.entries(wanted, after=after, limit=2):
            pages += [one.uid for one in page]
            after = page[-1].entry
        assert pages == everything
        assert len(everything) == 6 + (wanted.states != (State.READY,))
