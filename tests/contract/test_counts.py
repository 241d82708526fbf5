"""Counts that a scan adds up are exact, whoever counts beside it and whatever dies: the same over every spool."""

from datetime import timedelta

from spool.entry import Tally
from spool.store import Spool
from tests.spool_samples import START


def counted(
    subject: str, n: int = 1, *, key: str = "", origin: str = "", day: int = 0, name: str = "seen"
) -> Tally:
    at = START + timedelta(days=day)
    return Tally(name=name, subject=subject, key=key, origin=origin, n=n, first_at=at, last_at=at)


def test_counts_add_up_and_keep_first_and_last_time(spool: Spool) -> None:
    assert spool.add_tallies("scan", [counted("a", 2, day=5), counted("b", key="k")], after=None, reached=7)
    assert spool.add_tallies("scan", [counted("a", 3, day=1), counted("a", day=9)], after=7, reached=9)

    assert [(one.subject, one.key, one.n) for one in spool.tallies("seen")] == [("a", "", 6), ("b", "k", 1)]
    (one,) = spool.tallies("seen", subject="a")
    assert (one.first_at, one.last_at) == (START + timedelta(days=1), START + timedelta(days=9))
    assert spool.mark("scan") == 9
    assert spool.tallies("other") == []


def test_a_stretch_that_somebody_else_has_counted_is_not_counted_again(spool: Spool) -> None:
    assert spool.add_tallies("scan", [counted("a")], after=None, reached=7)

    assert not spool.add_tallies("scan", [counted("a")], after=None, reached=7)
    assert not spool.add_tallies("scan", [counted("a")], after=3, reached=9)

    assert [one.n for one in spool.tallies("seen")] == [1]
    assert spool.mark("scan") == 7


def test_scans_do_not_share_marks(spool: Spool) -> None:
    assert spool.add_tallies("one", [counted("a")], after=None, reached=7)
    assert spool.add_tallies("two", [counted("a")], after=None, reached=7)
    assert [one.n for one in spool.tallies("seen")] == [2]


def test_counts_from_elsewhere_stay_apart_and_are_replaced_by_newer_ones_only(spool: Spool) -> None:
    spool.add_tallies("scan", [counted("a", 5)], after=None, reached=1)
    for times in range(2):
        took = spool.replace_tallies(
            "there", [counted("a", 3, origin="there")], scan="from there", reached=10
        )
        assert took is (times == 0)
    assert not spool.replace_tallies("there", [counted("a", 9, origin="there")], scan="from there", reached=9)
    assert [(one.origin, one.n) for one in spool.tallies("seen")] == [("", 5), ("there", 3)]

    assert spool.replace_tallies("there", [counted("b", 4, origin="there")], scan="from there", reached=11)
    assert [(one.subject, one.origin, one.n) for one in spool.tallies("seen")] == [
        ("a", "", 5),
        ("b", "there", 4),
    ]
