"""Advice on accepted messages for an event loop, with real judges: told in any case, once, and remembered."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.app.build import App
from gateway.config.site import DEMO, write_site
from gateway.goods.cache import RegisterCache
from gateway.judges import advising
from gateway.judges.advising import Advising
from gateway.judges.judge import AdviseOn, JudgeCase, JudgeVerdict
from gateway.judges.pool import Pool
from gateway.model import Advice, EnterpriseId
from spool.entry import MessageView
from spool.store import Spool
from tests.advice_rules import PAID, paid, rule
from tests.advice_site import advise_at
from tests.documents import order
from tests.in_process import take_in
from tests.judges import hosted

PLENTY = 64 * 1024 * 1024


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> App:
    site = write_site(tmp_path_factory.mktemp("site") / "site")
    advise_at(site, rule(PAID))
    return App(site.config)


@pytest.fixture
def spool(app: App) -> Iterator[Spool]:
    with closing(app.spool()) as spool:
        yield spool


def taken(app: App, spool: Spool, number: str, *, plain: bool = False) -> MessageView:
    body = paid(order(number, cop_code=DEMO.cop_codes[0], dxp_id=DEMO.dxp_ids[0]), "200")
    body = body if plain else body.replace(b"?>", b"?><!-- not plain -->", 1)
    view = spool.message(take_in(app, spool, DEMO.id, body))
    assert view is not None
    return view


class Tally:
    """Judges as the real one and leaves a mark for each case; judges live in processes of their own."""

    def __init__(self, app: App, marks: Path) -> None:
        self._judge, self._marks = app.judge, marks

    def __call__(self, case: JudgeCase) -> JudgeVerdict:
        with self._marks.open("a") as marks:
            marks.write("x")
        return self._judge(case)


def fail(_case: JudgeCase) -> JudgeVerdict:
    raise ZeroDivisionError("a defect")


def ask(
    app: App,
    judge: Callable[[JudgeCase], JudgeVerdict],
    spool: Spool,
    *views: MessageView,
    room: int = PLENTY,
) -> list[tuple[Advice, ...] | None]:
    """Ask about each in turn, by one Advising."""

    async def asked() -> list[tuple[Advice, ...] | None]:
        with hosted(judge) as line, closing(Pool(line, judges=2, waiting_bytes=room)) as pool:
            one = Advising(app.judge, pool, spool, RegisterCache(spool, size_bytes=1))
            return [await one.advice_on(view) for view in views]

    return asyncio.run(asked())


def own(advice: tuple[Advice, ...] | None) -> list[str]:
    assert advice is not None
    return [one.rule for one in advice if one.rule == PAID]


def test_a_judge_is_asked_once_about_one_message(app: App, spool: Spool, tmp_path: Path) -> None:
    one, other = taken(app, spool, "A-1"), taken(app, spool, "A-2")
    told = ask(app, Tally(app, tmp_path / "marks"), spool, one, one, other, one)
    assert [own(advice) for advice in told] == [[PAID]] * 4
    assert (tmp_path / "marks").read_text() == "xx"


def test_what_is_kept_is_bounded(
    app: App, spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advising, "_KEPT", 1)
    one, other = taken(app, spool, "B-1"), taken(app, spool, "B-2")
    ask(app, Tally(app, tmp_path / "marks"), spool, one, other, one)
    assert (tmp_path / "marks").read_text() == "xxx"


def test_a_short_message_in_plain_form_needs_no_judge(app: App, spool: Spool) -> None:
    (told,) = ask(app, fail, spool, taken(app, spool, "C-1", plain=True))
    assert own(told) == [PAID]


def test_a_defect_of_a_judge_and_a_full_queue_are_told_as_unknown_not_as_none(app: App, spool: Spool) -> None:
    view = taken(app, spool, "D-1")
    assert ask(app, fail, spool, view, view) == [None, None]
    assert ask(app, app.judge, spool, view, room=10) == [None]


def test_bytes_that_cannot_be_read_any_more_are_unknown(app: App) -> None:
    case = AdviseOn(
        body=b"<", caller=EnterpriseId(DEMO.id), message_type="CEB311Message", accepted_at=datetime.now(UTC)
    )
    assert advising.on_advice(app.judge(case)) is None
