"""What a mapping can do to one text."""

import pytest

from gateway.mapping.functions import Coded, NotApplicableError, Rounded, Timed, guid, is_time_form


@pytest.mark.parametrize(
    ("text", "places", "scale", "written"),
    [
        ("12.5", 2, 0, "12.50"),
        ("0.125", 2, 0, "0.13"),
        ("0.135", 2, 0, "0.14"),
        ("2.675", 2, 0, "2.68"),
        ("-0.125", 2, 0, "-0.13"),
        ("-0.001", 2, 0, "0.00"),
        ("0", 0, 0, "0"),
        ("2.5", 0, 0, "3"),
        ("39990", 2, -2, "399.90"),
        ("1", 2, -18, "0.00"),
        ("1.5e3", 0, 0, "1500"),
        ("0e999", 2, 0, "0.00"),
        ("9007199254740993", 2, 0, "9007199254740993.00"),
        ("123456789012345678901234567890.005", 2, 0, "123456789012345678901234567890.01"),
        ("1e100", 0, 18, "1" + "0" * 118),
    ],
)
def test_number_is_rounded_half_up_and_exactly(text: str, places: int, scale: int, written: str) -> None:
    assert Rounded(places=places, scale=scale)(text) == written


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "1,000",
        "NaN",
        "Infinity",
        "1e999",
        "1e-999",
        "1e9999",
        "１２",
        "1_0",
        "0x1",
        "1" * 61,
        "¥5",
        "1 2",
    ],
)
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(NotApplicableError) as refused:
        Rounded(places=2)(text)
    assert refused.value.rule == "not_a_number"


@pytest.mark.parametrize(
    ("text", "form", "written"),
    [
        ("2026-11-11T08:00:00", "iso", "20261111080000"),
        ("2026-11-11 08:00:00.123", "iso", "20261111080000"),
        ("2026-11-11T00:00:00Z", "iso", "20261111080000"),
        ("2026-12-31T20:00:00-05:00", "iso", "20270101090000"),
        ("1794355200", "unix", "20261111080000"),
        ("1794355200999", "unix_ms", "20261111080000"),
        ("11/12/2026 07.08", "DD/MM/YYYY hh.mm", "20261211070800"),
        ("20261111", "YYYYMMDD", "20261111000000"),
    ],
)
def test_time_becomes_fourteen_digits_of_beijing_time(text: str, form: str, written: str) -> None:
    assert Timed(forms=(form,))(text) == written


def test_first_form_that_fits_counts_and_another_form_can_be_written() -> None:
    assert Timed(forms=("unix", "YYYY-MM-DD"), to="YYYYMMDD")("2026-02-03") == "20260203"


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("2026-02-30T00:00:00", "iso"),
        ("2026-11-11T24:00:00", "iso"),
        ("2026-11-11", "iso"),
        ("9999-12-31T23:59:59-23:59", "iso"),
        ("2026-11-11T00:00:00+99:00", "iso"),
        ("0000-01-01T00:00:00", "iso"),
        ("999999999999999", "unix"),
        ("-1", "unix"),
        ("２０２６-11-11", "YYYY-MM-DD"),
        ("2026-11\n-11", "YYYY-MM-DD"),
    ],
)
def test_time_that_does_not_exist_is_refused(text: str, form: str) -> None:
    with pytest.raises(NotApplicableError) as refused:
        Timed(forms=(form,))(text)
    assert (refused.value.rule, refused.value.facts) == ("not_a_time", {"forms": form})


def test_code_that_is_not_listed_is_refused_with_those_that_are() -> None:
    with pytest.raises(NotApplicableError) as refused:
        Coded(codes={"a": "1", "b": "2"})("c")
    assert (refused.value.rule, refused.value.facts) == ("unknown_code", {"known": "a, b"})


def test_guid_is_the_same_for_the_same_key_and_for_no_other() -> None:
    made = {
        guid("m", "guid", ("ab", "c")),
        guid("m", "guid", ("a", "bc")),
        guid("m", "guid", ("abc",)),
        guid("n", "guid", ("ab", "c")),
        guid("m", "other", ("ab", "c")),
    }
    assert len(made) == 5
    assert guid("m", "guid", ("ab", "c")) == "3CFB1DFB-CC73-5C78-B50D-57C7ED16D00A"
    assert all(len(one) == 36 and one == one.upper() for one in made)


@pytest.mark.parametrize(
    ("form", "good"),
    [
        ("YYYYMMDD", True),
        ("DD.MM.YYYY hh:mm", True),
        ("YYYY", False),
        ("hh:mm", False),
        ("YYYYMMDDYYYY", False),
        ("", False),
    ],
)
def test_form_of_a_time_has_the_day_and_nothing_twice(form: str, good: bool) -> None:
    assert is_time_form(form) is good
