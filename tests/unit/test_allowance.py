"""What a list counts towards the yearly limit of its buyer, whatever the order of what is known."""

from itertools import permutations

import pytest

from gateway.model import CodeClass
from gateway.parcels.allowance import Decision, ReturnRequest, Usage, fen_of, usage
from gateway.parcels.facts import ItemFacts

ITEMS = (
    ItemFacts(gnum="1", qty="3", price="33.335", total="100.005"),
    ItemFacts(gnum="2", qty="2", price="10", total="20"),
)
FEN = 12001  # 120.005 yuan, half up


def said(at: str, status: str, kind: CodeClass = CodeClass.PROGRESS) -> Decision:
    return Decision(at=f"{at}000", status=status, kind=kind)


RELEASE = said("20260310120000", "800", CodeClass.ACCEPTED)


def back(gnum: str, qty: str, *decisions: Decision, at: str = "20260320120000") -> ReturnRequest:
    return ReturnRequest(app_time=at, items=(ItemFacts(gnum=gnum, qty=qty),), decisions=decisions)


def test_a_list_counts_once_it_is_released_in_the_year_of_its_release() -> None:
    assert usage(ITEMS, []) == Usage(year="", fen=0)
    assert usage(ITEMS, [said("20260310110000", "120", CodeClass.ACCEPTED)]) == Usage(year="", fen=0)
    assert usage(ITEMS, [RELEASE]) == Usage(year="2026", fen=FEN)
    late = said("20261231235959", "899", CodeClass.ACCEPTED)
    assert usage(ITEMS, [late, said("20270101000001", "800", CodeClass.ACCEPTED)]).year == "2026"


def test_a_later_refusal_gives_back_and_the_refusal_of_a_repetition_does_not() -> None:
    refused = said("20260311120000", "100", CodeClass.REFUSED)
    repeated = said("20260311120000", "100", CodeClass.UNKNOWN)
    for order in permutations((RELEASE, refused)):
        assert usage(ITEMS, order).fen == 0
    for order in permutations((RELEASE, repeated)):
        assert usage(ITEMS, order).fen == FEN
    assert usage(ITEMS, [said("20260309120000", "100", CodeClass.REFUSED), RELEASE]).fen == FEN


def test_a_cancel_that_went_through_gives_all_back() -> None:
    done = [said("20260311120000", "399", CodeClass.ACCEPTED)]
    failed = [said("20260311120000", "-451", CodeClass.REFUSED)]
    assert usage(ITEMS, [RELEASE], cancels=[failed]).fen == FEN
    assert usage(ITEMS, [RELEASE], cancels=[failed, done]).fen == 0


def test_a_return_in_time_gives_its_items_back() -> None:
    done = said("20260401120000", "800", CodeClass.ACCEPTED)
    assert usage(ITEMS, [RELEASE], returns=[back("1", "1", done)]).fen == 8667  # 66.67 + 20
    both = [back("1", "1", done), back("1", "2", done), back("2", "2", done)]
    for order in permutations(both):
        assert usage(ITEMS, [RELEASE], returns=order).fen == 0
    assert usage(ITEMS, [RELEASE], returns=[back("1", "99", done)]).fen == 2000
    assert usage(ITEMS, [RELEASE], returns=[back("9", "1", done)]).fen == FEN


@pytest.mark.parametrize(
    ("applied", "done", "counted"),
    [
        ("20260409120000", "20260424120000", 2000),
        ("20260409120001", "20260424120000", FEN),
        ("20260409120000", "20260424120001", FEN),
        ("no time at all", "20260424120000", FEN),
    ],
)
def test_a_return_is_in_time_within_30_and_45_days(applied: str, done: str, counted: int) -> None:
    one = back("1", "3", said(done, "800", CodeClass.ACCEPTED), at=applied)
    assert usage(ITEMS, [RELEASE], returns=[one]).fen == counted


def test_a_return_that_was_refused_gives_nothing_back() -> None:
    done, refused = (
        said("20260401120000", "800", CodeClass.ACCEPTED),
        said("20260402120000", "100", CodeClass.REFUSED),
    )
    assert usage(ITEMS, [RELEASE], returns=[back("1", "3", refused)]).fen == FEN
    assert usage(ITEMS, [RELEASE], returns=[back("1", "3", done, refused)]).fen == FEN


@pytest.mark.parametrize(
    ("totals", "fen"),
    [
        (("0.00499",), 0),
        (("0.005",), 1),
        (("0.00250", "0.00250"), 1),
        (("99999999999999.99999",), 10**16),
        (("",), 0),
        (("1e3",), 100_000),
        (("none",), 0),
    ],
)
def test_amounts_are_exact_and_rounded_once(totals: tuple[str, ...], fen: int) -> None:
    assert fen_of([ItemFacts(gnum="1", qty="1", total=one) for one in totals]) == fen
