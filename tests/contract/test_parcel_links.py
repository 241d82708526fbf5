"""Documents of one parcel find each other by their numbers, the newest version of each: the same for every spool."""

from datetime import timedelta

from spool.entry import ParcelLink, ReportedLink, Subject
from spool.store import Spool
from tests.spool_samples import START, Clock, new_message, settled


def put(
    spool: Spool,
    uid: str,
    order_no: str = "",
    waybill_no: str = "",
    *,
    about: str = "",
    owner: str = "ann",
    version: str = "",
    facts: bytes = b"f",
) -> None:
    link = ParcelLink(order_no=order_no, waybill_no=waybill_no, facts=facts)
    subject = Subject(identity=about or f"d={uid}", version=version or uid, link=link)
    spool.put([new_message(uid, subject, owner=owner)])


def found(spool: Spool, *, order_no: str = "", waybill_no: str = "") -> list[tuple[str, str]]:
    return [(one.owner, one.uid) for one in spool.linked(order_no=order_no, waybill_no=waybill_no)]


def test_declarations_are_found_by_either_number_whoever_handed_them_in(spool: Spool) -> None:
    put(spool, "A", "O-1", facts=b"\x00\xff")
    put(spool, "B", "O-1", owner="bob")
    put(spool, "C", "O-1", "W-1", owner="cid")
    put(spool, "D", "", "W-1")
    put(spool, "E", "O-2")
    spool.put([new_message("F", "d=F")])

    assert found(spool, order_no="O-1") == [("cid", "C"), ("bob", "B"), ("ann", "A")]
    assert found(spool, waybill_no="W-1") == [("ann", "D"), ("cid", "C")]
    assert found(spool, order_no="O-2", waybill_no="W-1") == [("ann", "E"), ("ann", "D"), ("cid", "C")]
    assert found(spool) == []
    (one,) = [one for one in spool.linked(order_no="O-1") if one.uid == "A"]
    assert (one.kind, one.identity, one.accepted_at, one.link.facts) == (
        "CEB311Message", "d=A", START, b"\x00\xff",
    )  # fmt: skip
    assert spool.links_of([one.declaration, 10**9]) == [one]


def test_only_the_newest_version_counts_and_may_have_other_numbers(spool: Spool) -> None:
    put(spool, "A1", "O-1", about="d=A", facts=b"1")
    put(spool, "A2", "O-1", about="d=A", facts=b"2")
    assert [(one.uid, one.link.facts) for one in spool.linked(order_no="O-1")] == [("A2", b"2")]
    put(spool, "A3", "O-9", about="d=A", facts=b"3")
    assert found(spool, order_no="O-1") == []
    assert found(spool, order_no="O-9") == [("ann", "A3")]
    put(spool, "A4", "O-1", about="d=A", facts=b"4")
    assert found(spool, order_no="O-9") == []
    assert found(spool, order_no="O-1") == [("ann", "A4")]


def test_versions_of_one_batch_leave_the_last(spool: Spool) -> None:
    links = [ParcelLink(order_no="O-1", facts=bytes([number])) for number in range(3)]
    spool.put(
        [
            new_message(f"A{number}", Subject(identity="d=A", version=str(number), link=link))
            for number, link in enumerate(links)
        ]
    )
    assert [(one.uid, one.link.facts) for one in spool.linked(order_no="O-1")] == [("A2", b"\x02")]


def test_many_documents_of_one_owner_hide_none_of_another(spool: Spool) -> None:
    put(spool, "A", "O-1", owner="zoe")
    spool.put(
        [
            new_message(
                f"M{number}",
                Subject(identity=f"d={number}", link=ParcelLink(order_no="O-1")),
                owner="mallory",
            )
            for number in range(300)
        ]
    )
    there = found(spool, order_no="O-1")
    assert ("zoe", "A") in there
    assert sum(owner == "mallory" for owner, _ in there) == 20


def test_what_an_owner_declared_under_the_same_waybills_is_found_for_many_at_once(spool: Spool) -> None:
    put(spool, "A", "O-1", "W-1")
    put(spool, "B", "O-2", "W-1")
    put(spool, "C", "O-3", "W-1", owner="bob")
    put(spool, "D", "O-4", "W-2")
    put(spool, "E1", "", "W-2", about="d=E")
    put(spool, "E2", "", "W-9", about="d=E")
    put(spool, "F", "O-5")
    numbers = {
        one.uid: one.declaration for order in range(1, 6) for one in spool.linked(order_no=f"O-{order}")
    }

    def beside(*uids: str) -> list[str]:
        return [one.uid for one in spool.beside([numbers[uid] for uid in uids])]

    assert beside("A", "D", "F") == ["D", "B", "A"]
    assert (beside("C"), beside("F"), beside()) == (["C"], [], [])


def test_of_many_under_one_waybill_the_newest_are_beside(spool: Spool) -> None:
    together = [
        Subject(identity=f"d={number}", link=ParcelLink(order_no=f"O-{number}", waybill_no="W-1"))
        for number in range(30)
    ]
    spool.put([new_message("M", *together)])
    put(spool, "N", "", "W-1")
    (one,) = spool.linked(order_no="O-29")
    found = spool.beside([one.declaration])
    assert (found[0].uid, len(found)) == ("N", 20)


def test_versions_are_counted_also_when_the_number_was_given_up(spool: Spool, clock: Clock) -> None:
    for number in range(4):
        put(spool, f"A{number}", "O-1", about="d=A")
    put(spool, "A4", "O-2", about="d=A")
    clock.move(3600)
    put(spool, "A5", "O-2", about="d=A")
    put(spool, "B", "O-1", owner="bob")

    def count(number: str, since_s: float = 0, at_most: int = 99, owner: str = "ann") -> int:
        since = START + timedelta(seconds=since_s)
        return spool.versions_since(owner, since, order_no=number, at_most=at_most)

    assert (count("O-1"), count("O-2"), count("O-3")) == (6, 6, 0)
    assert (count("O-1", at_most=4), count("O-1", since_s=1), count("O-1", owner="bob")) == (4, 1, 1)


def test_a_version_is_counted_once_though_its_other_number_has_changed(spool: Spool) -> None:
    for number in range(3):
        put(spool, f"A{number}", "O-1", f"W-{number}", about="d=A")
    assert spool.versions_since("ann", START, order_no="O-1", at_most=99) == 3


def test_a_scan_sees_each_version_once_and_reports_once(spool: Spool, clock: Clock) -> None:
    put(spool, "A", "O-1")
    put(spool, "B", "O-1")
    clock.move(100)
    put(spool, "C", "O-1")
    until = START + timedelta(seconds=1)

    step = spool.unreported("x", until=until, limit=1)
    assert ([one.uid for one in step.linked], step.more) == (["A"], True)
    (told,) = spool.set_reported("x", step.at, [ReportedLink(linked=step.linked[0], reported="one two")])
    assert told.reported == "one two"
    assert spool.set_reported("x", step.at, [told]) == []

    step = spool.unreported("x", until=until, limit=9)
    assert ([one.uid for one in step.linked], step.more) == (["B"], False)
    spool.set_reported("x", step.at, [])
    assert spool.unreported("x", until=until, limit=9).linked == ()
    assert [one.uid for one in spool.unreported("x", until=clock.now, limit=9).linked] == ["C"]
    assert {one.uid: one.reported for one in spool.linked(order_no="O-1")} == {
        "A": "one two",
        "B": "",
        "C": "",
    }

    put(spool, "A2", "O-1", about="d=A")
    assert {one.uid: one.reported for one in spool.linked(order_no="O-1")}["A2"] == ""


def test_a_walk_never_goes_back(spool: Spool) -> None:
    put(spool, "A", "O-1")
    put(spool, "B", "O-1")
    first = spool.unreported("x", until=START, limit=1)
    both = spool.unreported("x", until=START, limit=9)
    spool.set_reported("x", both.at, [])
    spool.set_reported("x", first.at, [])
    assert spool.unreported("x", until=START, limit=9).linked == ()


def test_a_purged_message_takes_its_links_with_it(spool: Spool, clock: Clock) -> None:
    put(spool, "A", "O-1")
    put(spool, "B", "O-1", "W-1")
    spool.settle(settled(spool.claim("one", "port", limit=1, lease_s=60)))
    clock.move(10)
    (old,) = spool.old(clock.now, limit=9).uids
    message = spool.export(old)
    assert message is not None
    assert spool.purge([message], before=clock.now) == [old]
    assert [uid for _, uid in found(spool, order_no="O-1")] == [uid for uid in ("B", "A") if uid != old]
