"""What is learned is shown once enough have it in common, and read once a minute at most."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.facts import AnswerFacts
from gateway.receipts.learning.known_cures import KnownCures
from gateway.receipts.learning.learned_codes import CURED, DECLARATIONS, FIELD
from spool.entry import Tally
from spool.sqlite import SqliteSpool
from tests.shipped_rules import shipped
from tests.spool_samples import START

RULES = shipped()


def tally(name: str, subject: str, n: int, *, key: str = "", origin: str = "") -> Tally:
    return Tally(name=name, subject=subject, key=key, origin=origin, n=n, first_at=START, last_at=START)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[SqliteSpool]:
    with closing(SqliteSpool(tmp_path / "state")) as opened:
        yield opened


def knowing(spool: SqliteSpool, *tallies: Tally) -> KnownCures:
    """What is known of these counts."""
    spool.add_tallies("scan", tallies, after=spool.mark("scan"), reached=(spool.mark("scan") or 0) + 1)
    return KnownCures(spool, RULES)


def test_fields_are_ranked_and_five_at_most(spool: SqliteSpool) -> None:
    fields = [tally(FIELD, "1300", n, key=f"Head/f{n}") for n in range(1, 9)]
    known = knowing(spool, tally(CURED, "1300", 9), *fields)
    assert known.of("1300") == ("Head/f8", "Head/f7", "Head/f6", "Head/f5", "Head/f4")
    assert known.of("1322") == ()


def test_of_two_fields_the_one_that_seldom_changes_otherwise_stands_first(spool: SqliteSpool) -> None:
    held = [tally(CURED, code, 5) for code in ("1300", "1322")]
    held += [tally(FIELD, "1300", 5, key="Head/always"), tally(FIELD, "1300", 5, key="Head/right")]
    known = knowing(spool, *held, tally(FIELD, "1322", 5, key="Head/always"))
    assert known.of("1300") == ("Head/right", "Head/always")


def test_less_than_three_cures_teach_nothing_but_other_nodes_count(spool: SqliteSpool) -> None:
    here = [tally(CURED, "1300", 2), tally(FIELD, "1300", 2, key="Head/a")]
    there = [tally(CURED, "1300", 1, origin="o"), tally(FIELD, "1300", 1, key="Head/a", origin="o")]
    assert knowing(spool, *here).of("1300") == ()
    assert knowing(spool, *there).of("1300") == ("Head/a",)


def test_a_refusal_in_plain_text_is_known_by_its_shape(spool: SqliteSpool) -> None:
    code = "100: 收货地址*不存在"
    held = [tally(CURED, code, 3), tally(FIELD, code, 3, key="Head/a")]
    told = AnswerFacts(layer="business", info="收货地址（示例市）不存在", cop_msg_id="", fields={})
    refused, saved = (RULES.codes.status("CEB622Message", code) for code in ("100", "2"))
    assert knowing(spool, *held, tally(DECLARATIONS, code, 2)).of_answer(refused, told) == ()
    known = knowing(spool, tally(DECLARATIONS, code, 1))
    assert known.of_answer(refused, told) == ("Head/a",)
    assert known.of_answer(saved, told) == ()


def test_counts_are_read_once_a_minute_at_most(spool: SqliteSpool) -> None:
    now = [0.0]
    known = KnownCures(spool, RULES, clock=lambda: now[0])
    assert known.of("1300") == ()
    knowing(spool, tally(CURED, "1300", 3), tally(FIELD, "1300", 3, key="Head/a"))
    now[0] = 59.0
    assert known.of("1300") == ()
    now[0] = 60.0
    assert known.of("1300") == ("Head/a",)
