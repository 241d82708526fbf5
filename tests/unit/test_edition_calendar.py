"""Which edition is in force at a moment: the borders of periods, Beijing time, and what a file may not say."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from gateway.config.editions import EditionCalendar, EditionInForce, EditionTable
from gateway.config.gateway_toml import load_config
from gateway.errors import ConfigError
from tests.unit.test_gateway_toml import SOUND

NEW_YEAR = date(2027, 1, 1)
MIDNIGHT = datetime(2026, 12, 31, 16, tzinfo=UTC)
"""The beginning of 1 January 2027 in Beijing."""
TICK = timedelta(microseconds=1)
PLANNED = EditionTable(name="202701", from_=NEW_YEAR, notice_days=10)


def test_without_periods_the_default_is_in_force_always() -> None:
    calendar = EditionCalendar("202205")
    for moment in (datetime(1990, 1, 1, tzinfo=UTC), MIDNIGHT, datetime(2500, 1, 1, tzinfo=UTC)):
        assert calendar.at(moment) == EditionInForce(edition="202205")


def test_period_begins_at_midnight_in_beijing() -> None:
    calendar = EditionCalendar("202205", [PLANNED])
    assert calendar.at(MIDNIGHT - TICK).edition == "202205"
    assert calendar.at(MIDNIGHT) == EditionInForce(edition="202701")


def test_coming_edition_is_announced_so_many_days_before() -> None:
    calendar = EditionCalendar("202205", [PLANNED])
    notice = MIDNIGHT - timedelta(days=10)
    assert calendar.at(notice - TICK) == EditionInForce(edition="202205")
    announced = EditionInForce(edition="202205", coming="202701", coming_from=NEW_YEAR)
    assert calendar.at(notice) == calendar.at(MIDNIGHT - TICK) == announced


def test_change_without_notice_days_is_not_announced() -> None:
    calendar = EditionCalendar("202205", [EditionTable(name="202701", from_=NEW_YEAR, notice_days=0)])
    assert calendar.at(MIDNIGHT - TICK) == EditionInForce(edition="202205")


def test_last_day_of_a_period_belongs_to_it() -> None:
    last = EditionTable(name="2018-113", until=date(2026, 12, 31), notice_days=1)
    calendar = EditionCalendar("202205", [last])
    assert calendar.at(datetime(2001, 1, 1, tzinfo=UTC)).edition == "2018-113"
    announced = EditionInForce(edition="2018-113", coming="202205", coming_from=NEW_YEAR)
    assert calendar.at(MIDNIGHT - TICK) == announced
    assert calendar.at(MIDNIGHT) == EditionInForce(edition="202205")


def test_between_two_periods_the_default_is_in_force() -> None:
    calendar = EditionCalendar(
        "202205",
        [
            EditionTable(name="b", from_=date(2027, 3, 1), notice_days=0),
            EditionTable(name="a", from_=NEW_YEAR, until=date(2027, 1, 31), notice_days=0),
        ],
    )
    days = {
        day: calendar.at(datetime(2027, *day, 12, tzinfo=UTC)).edition for day in ((1, 31), (2, 1), (3, 1))
    }
    assert days == {(1, 31): "a", (2, 1): "202205", (3, 1): "b"}


def test_notice_begins_at_the_earliest_when_the_edition_before_it_has_begun() -> None:
    calendar = EditionCalendar(
        "202205",
        [
            EditionTable(name="a", from_=NEW_YEAR, until=date(2027, 1, 5), notice_days=0),
            EditionTable(name="b", from_=date(2027, 1, 6), notice_days=30),
        ],
    )
    assert calendar.at(MIDNIGHT - TICK) == EditionInForce(edition="202205")
    assert calendar.at(MIDNIGHT) == EditionInForce(edition="a", coming="b", coming_from=date(2027, 1, 6))


def test_period_of_the_default_itself_changes_nothing() -> None:
    calendar = EditionCalendar("202205", [EditionTable(name="202205", from_=NEW_YEAR)])
    assert calendar.at(MIDNIGHT - TICK) == calendar.at(MIDNIGHT) == EditionInForce(edition="202205")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[[edition]]\nname = "a"\n', "neither when the edition is in force nor where"),
        ('[[edition]]\nname = "a"\nfrom = 2027-02-01\nuntil = 2027-01-01\n', "are no period"),
        ('[[edition]]\nname = "a"\nfrom = 1949-10-01\n', "are no period"),
        ('[[edition]]\nname = "../a"\nfrom = 2027-01-01\n', "edition[0].name"),
        ('[[edition]]\nname = "a"\nfrom = "soon"\n', "from = 2027-01-01"),
        ('[[edition]]\nname = "a"\nfrom = 2027-01-01\nnotice_days = 400\n', "notice_days"),
        (
            '[[edition]]\nname = "a"\nfrom = 2027-01-01\n[[edition]]\nname = "a"\nuntil = 2026-01-01\n',
            "two editions a",
        ),
        (
            '[[edition]]\nname = "a"\nuntil = 2027-01-01\n[[edition]]\nname = "b"\nfrom = 2027-01-01\n',
            "until = 2026-12-31",
        ),
        ('[rules]\nedition = "a/b"\n', "rules.edition"),
    ],
)
def test_what_the_file_may_not_say_is_told_with_the_place_and_an_example(
    text: str, named: str, tmp_path: Path
) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(SOUND + text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert named in str(caught.value)


def test_periods_are_read_with_their_folders(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(SOUND + '[[edition]]\nname = "a"\nfrom = 2027-01-01\nfolder = "official"\n', "utf-8")
    assert load_config(file).edition == (
        EditionTable(name="a", from_=NEW_YEAR, folder=tmp_path / "official"),
    )
