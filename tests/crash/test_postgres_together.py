"""Several nodes at one PostgreSQL at the same instant, and what one database must hold."""

import threading
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest

from spool.entry import Accepted, Bounce, Conflict, Duplicate, Fate, Filing, MessageView, Subject, TimelineRow
from spool.errors import SpoolError
from spool.lifecycle import State
from spool.postgres import PostgresSpool
from tests.crash.test_postgres import views
from tests.servers.postgres import shared
from tests.spool_samples import START, Clock, collected, new_message, settled, uids
from tests.waiting import PATIENCE_S


@pytest.fixture
def dsn() -> str:
    return shared().new_schema()


def at_once(*deeds: "threading.Thread") -> None:
    for deed in deeds:
        deed.start()
    for deed in deeds:
        deed.join(PATIENCE_S)
        assert not deed.is_alive()


def test_order_of_a_declaration_holds_when_nodes_put_at_the_same_instant(dsn: str) -> None:
    nodes = [PostgresSpool(dsn) for _ in range(4)]
    gate = threading.Barrier(len(nodes))

    def put(node: int) -> None:
        for number in range(12):
            batch = [new_message(f"{number}-{node}-{one}", f"d={number}", f"e={one}") for one in range(3)]
            gate.wait(PATIENCE_S)
            assert [type(reply) for reply in nodes[node].put(batch[:: -1 if node % 2 else 1])] == [
                Accepted
            ] * 3

    at_once(*(threading.Thread(target=put, args=(number,)) for number in range(len(nodes))))

    spool = nodes[0]
    sent = []
    while claimed := spool.claim("one", "port", limit=100, lease_s=60):
        numbers = [uid.split("-")[0] for uid in uids(claimed)]
        assert len(numbers) == len(set(numbers)), "one of a declaration at a time"
        sent += [one.entry for one in claimed if one.uid.startswith("3-")]
        spool.settle(settled(claimed))
    assert sent == sorted(sent)
    assert len(sent) == 12
    assert {view.state for view in views(spool).values()} == {State.SENT}
    for node in nodes:
        node.close()


def test_same_message_at_two_nodes_at_the_same_instant_is_one(dsn: str) -> None:
    nodes = [PostgresSpool(dsn) for _ in range(3)]
    gate = threading.Barrier(len(nodes))
    replies: list[list[object]] = [[] for _ in nodes]

    def put(node: int) -> None:
        for number in range(10):
            batch = [
                new_message(f"{node}-{number}-{one}", Subject(identity=f"d={number}-{one}", version="1"), body=b"%d-%d" % (number, one), cop_msg_id=f"X-{number}-{one}")
                for one in range(4)
            ]  # fmt: skip
            gate.wait(PATIENCE_S)
            replies[node] += nodes[node].put(batch[:: -1 if node else 1])[:: -1 if node else 1]

    at_once(*(threading.Thread(target=put, args=(number,)) for number in range(len(nodes))))

    for answers in zip(*replies, strict=True):
        assert Counter(type(answer) for answer in answers) == {Accepted: 1, Duplicate: 2}
        assert len({answer.uid for answer in answers if isinstance(answer, (Accepted, Duplicate))}) == 1
    for node in nodes:
        node.close()


def test_one_cop_msg_id_at_two_nodes_at_the_same_instant_belongs_to_one_message(dsn: str) -> None:
    nodes = [PostgresSpool(dsn) for _ in range(3)]
    gate = threading.Barrier(len(nodes))
    replies: list[list[object]] = [[] for _ in nodes]

    def put(node: int) -> None:
        for number in range(10):
            batch = [
                new_message(
                    f"{node}-{number}-{one}",
                    owner=f"owner{node}",
                    destination=f"port{node}",
                    cop_msg_id=f"X-{number}-{one}",
                )
                for one in range(4)
            ]
            gate.wait(PATIENCE_S)
            replies[node] += nodes[node].put(batch[:: -1 if node else 1])[:: -1 if node else 1]

    at_once(*(threading.Thread(target=put, args=(number,)) for number in range(len(nodes))))

    for answers in zip(*replies, strict=True):
        assert Counter(type(answer) for answer in answers) == {Accepted: 1, Conflict: 2}
    for node in nodes:
        node.close()


def assert_in_order(old: MessageView, new: MessageView) -> None:
    assert new.sent_at is not None
    if old.sent_at is not None:
        assert old.sent_at <= new.sent_at
    else:
        assert old.state is State.DEAD
        assert f"overtaken by the newer message {new.uid}" in old.error


def test_bouncing_and_putting_at_the_same_instant_keeps_the_order(dsn: str) -> None:
    """An older one comes back while newer ones are put, claimed and sent: it waits for none that waits for it."""
    nodes = [PostgresSpool(dsn) for _ in range(3)]
    gate = threading.Barrier(len(nodes))
    rounds = 12
    nodes[0].put([new_message(f"old{number}", f"d={number}") for number in range(rounds)])
    nodes[0].settle(settled(nodes[0].claim("one", "port", limit=100, lease_s=60)))

    def bounce() -> None:
        for number in range(rounds):
            travelled = nodes[0].travelled(f"COP-old{number}")
            assert travelled is not None
            (entry,) = travelled.entries
            nodes[0].keep(collected(b"%d" % number))
            (raw,) = nodes[0].unfiled(10)
            asked = Bounce(entry=entry.entry, claim=entry.claim, next_at=START, reason="again")
            gate.wait(PATIENCE_S)
            (filed,) = nodes[0].file([Filing(arrival=raw.id, kind="k", cop_msg_id="", bounces=(asked,))])
            assert [ended.uid for ended in filed.ended] == [f"old{number}"]

    def put() -> None:
        for number in range(rounds):
            gate.wait(PATIENCE_S)
            assert nodes[1].put([new_message(f"new{number}", f"d={number}")]) == [
                Accepted(uid=f"new{number}")
            ]

    def carry() -> None:
        for _ in range(rounds):
            gate.wait(PATIENCE_S)
            nodes[2].settle(settled(nodes[2].claim("two", "port", limit=1, lease_s=60)))

    at_once(*(threading.Thread(target=deed) for deed in (bounce, put, carry)))

    while claimed := nodes[0].claim("three", "port", limit=100, lease_s=60):
        nodes[0].settle(settled(claimed))
    found = views(nodes[0])
    for number in range(rounds):
        assert_in_order(found[f"old{number}"], found[f"new{number}"])
    for node in nodes:
        node.close()


def test_settling_and_putting_at_the_same_instant_leaves_nobody_waiting_for_ever(dsn: str) -> None:
    sender, taker = PostgresSpool(dsn), PostgresSpool(dsn)
    gate = threading.Barrier(2)

    def send() -> None:
        for number in range(40):
            claimed = sender.claim("one", "port", limit=100, lease_s=60)
            gate.wait(PATIENCE_S)
            sender.settle(settled(claimed, Fate.DELIVERED if number % 3 else Fate.DEFERRED))

    def put() -> None:
        for number in range(40):
            gate.wait(PATIENCE_S)
            taker.put(
                [new_message(f"{number}-{one}", f"d={one}", f"e={(one + number) % 5}") for one in range(5)]
            )

    at_once(threading.Thread(target=send), threading.Thread(target=put))

    while claimed := sender.claim("one", "port", limit=100, lease_s=60):
        sender.settle(settled(claimed))
    assert {view.state for view in views(sender).values()} == {State.SENT}
    assert sender.db.rows("SELECT * FROM wait") == []
    sender.close()
    taker.close()


def test_reader_who_follows_the_cursor_misses_nothing_while_two_nodes_file(dsn: str) -> None:
    nodes = [PostgresSpool(dsn) for _ in range(2)]
    nodes[0].put([new_message("A", "d=1"), new_message("B", "e=1", owner="bob")])
    (mine,), (theirs,) = nodes[0].find(["d=1"]), nodes[0].find(["e=1"])
    done = threading.Event()

    def file(node: int) -> None:
        for number in range(60):
            name = f"{node}-{number}"
            nodes[node].keep(collected(name.encode()))
            arrival = next(one.id for one in nodes[node].unfiled(1000) if one.body == name.encode())
            about = (mine, theirs) if node else (theirs, mine)
            rows = tuple(
                TimelineRow(declaration=one.declaration, at="", kind="k", status="2", facts=b"", digest=name, index=0)
                for one in about
            )  # fmt: skip
            nodes[node].file([Filing(arrival=arrival, kind="k", cop_msg_id="", rows=rows)])

    seen: list[str] = []

    def read() -> None:
        reader, after = PostgresSpool(dsn), 0
        while True:
            last = done.is_set()
            page = reader.notices("ann", after=after, limit=7)
            seen.extend(row.digest for notice in page for row in notice.rows)
            after = page[-1].cursor if page else after
            if last and not page:
                break
        reader.close()

    reading = threading.Thread(target=read)
    reading.start()
    at_once(*(threading.Thread(target=file, args=(number,)) for number in range(2)))
    done.set()
    reading.join(PATIENCE_S)

    assert len(seen) == len(set(seen)) == 120
    for node in nodes:
        node.close()


def test_two_nodes_that_start_at_once_make_the_tables_once(dsn: str) -> None:
    nodes = [PostgresSpool(dsn) for _ in range(6)]
    at_once(
        *(threading.Thread(target=node.put, args=([new_message(f"{n}")],)) for n, node in enumerate(nodes))
    )

    assert len(views(nodes[0])) == len(nodes)
    for node in nodes:
        node.close()


def test_layout_of_a_newer_version_is_refused(dsn: str) -> None:
    with_tables = PostgresSpool(dsn)
    with_tables.db.rows("UPDATE spool_layout SET step = 999 RETURNING step")
    with_tables.close()
    older = PostgresSpool(dsn)
    with pytest.raises(SpoolError, match="layout 999"):
        older.put([new_message("A")])
    older.close()


def test_day_of_which_nothing_is_left_is_dropped_whole(dsn: str) -> None:
    clock = Clock()
    spool = PostgresSpool(dsn, clock=clock)
    spool.put([new_message("A"), new_message("stays")])
    spool.settle(settled(spool.claim("one", "port", limit=1, lease_s=9)))
    clock.now += timedelta(days=3)
    spool.put([new_message("B")])
    clock.now += timedelta(days=3)
    spool.settle(settled(one for one in spool.claim("one", "port", limit=9, lease_s=9) if one.uid == "B"))
    clock.now += timedelta(days=3)

    def purge() -> list[str]:
        found = [spool.export(uid) for uid in spool.old(clock.now, limit=9).uids]
        return spool.purge([one for one in found if one is not None], before=clock.now)

    assert purge() == ["A", "B"]
    assert partitions(spool, "payload") == [START.date()], "what is not settled keeps its day"
    assert spool.body("stays") == b"body of stays"
    spool.recover()
    spool.settle(settled(spool.claim("one", "port", limit=9, lease_s=9)))
    clock.now += timedelta(days=1)
    assert purge() == ["stays"]
    assert partitions(spool, "payload") == []
    spool.close()


def partitions(spool: PostgresSpool, table: str) -> list[date]:
    """Return the days of a table that hold rows."""
    names = spool.db.rows(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", table
    )
    found = [name for (name,) in names if spool.db.rows(f"SELECT count(*) FROM {name}")[0][0] > 0]
    return sorted(datetime.strptime(name[-8:], "%Y%m%d").replace(tzinfo=UTC).date() for name in found)


def test_text_that_the_database_cannot_hold_does_no_harm(dsn: str) -> None:
    spool = PostgresSpool(dsn)
    long = "preNo=" + "长" * 5000
    spool.put([new_message("A", Subject(identity="d=1", handles=("nul=\0", long)))])
    spool.settle(
        settled(spool.claim("one", "port", limit=1, lease_s=9), Fate.DEFERRED, error="said \0 \ud800")
    )

    assert [found.identity for found in spool.find(["nul=\0"])] == ["d=1"]
    assert [found.identity for found in spool.find([long])] == ["d=1"]
    view = spool.message("A")
    assert view is not None
    assert view.error == "said \ufffd ?"
    spool.close()
