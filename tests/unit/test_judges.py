"""Real judges: they say what would be said here, die of what takes too much, and take nobody with them."""

import asyncio
import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from gateway.app.build import App
from gateway.config.gateway_toml import Judges
from gateway.config.site import DEMO, write_site
from gateway.errors import EnvelopeError, TooExpensive
from gateway.judges.asking import Asking
from gateway.judges.judge import (
    AT_ONCE_BYTES,
    TOO_EXPENSIVE,
    Broken,
    Examine,
    JudgeCase,
    JudgeVerdict,
    Translate,
    completed,
    lightened,
)
from gateway.judges.pool import Pool
from gateway.mapping.faults import SourceFault
from gateway.mapping.sources.table import Form
from gateway.model import Enterprise, EnterpriseId
from gateway.receipts.opened import open_collected
from gateway.submission.intake import ExaminedSubmission
from gateway.submission.pipeline import Refusal
from tests.crash.points import state_of
from tests.documents import order, receipt
from tests.judges import hosted
from tests.unit.mapping_examples import example
from tests.waiting import until

ME = EnterpriseId(DEMO.id)
MODEST = Judges(processes=4, cpu_s=0.5, memory_mb=64)
Ill = Callable[[], object]


def mine(*numbers: str) -> bytes:
    return order(*(numbers or ("ORDER-1",)), cop_code=DEMO.cop_codes[0], dxp_id=DEMO.dxp_ids[0])


def roundabout(body: bytes) -> bytes:
    """The same document, not in plain form."""
    return body.replace(b"?>", b"?><!-- as it comes -->", 1)


def burn() -> None:
    """Inside one call of a library, as an expression nobody has thought of does."""
    re.match(r"(a+)+b", "a" * 64)


def swell() -> None:
    raise AssertionError(len([bytes(1024) for _ in range(1_000_000)]))


def grow_at_once() -> None:
    raise AssertionError(len(bytearray(4 * 1024**3)))


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail() -> None:
    raise ZeroDivisionError("a defect")


ILL: dict[bytes, Ill] = {one.__name__.encode(): one for one in (burn, swell, grow_at_once, die, fail)}


class Frail:
    """Falls ill of bodies that name an illness, and judges all others as the real one does."""

    def __init__(self, app: App) -> None:
        self._judge = app.judge

    def __call__(self, case: JudgeCase) -> JudgeVerdict:
        if case.body in ILL:
            ILL[case.body]()
        return self._judge(case)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> App:
    app = App(write_site(tmp_path_factory.mktemp("site") / "site").config)
    app.warm()
    return app


@pytest.fixture(scope="module")
def me(app: App) -> Enterprise:
    return app.enterprises[ME]


@pytest.fixture
def asking(app: App) -> Iterator[Asking]:
    with hosted(Frail(app), MODEST) as line, closing(Asking(line, app.judge)) as asking:
        yield asking


def known(verdict: object) -> Any:
    """Leave out what is different each time: the id of the message."""
    if not isinstance(verdict, ExaminedSubmission):
        return verdict
    new = verdict.new
    ways = tuple((way.destination, way.part, way.facts) for way in new.ways)
    return verdict.header, verdict.enveloped, new.body, new.sha256, new.subjects, ways, new.origin


@pytest.mark.parametrize(
    "body",
    [
        roundabout(mine()),
        roundabout(mine("A", "B")),
        mine(*(f"ORDER-{number}" for number in range(200))),
        mine().replace(b"ORDER-1<", b"<"),
        mine()[:-9],
        b"",
        b"\xff\xfe<",
    ],
)
def test_judge_in_a_process_says_what_is_said_here(
    body: bytes, app: App, me: Enterprise, asking: Asking
) -> None:
    here = app.judge(Examine(body=body, caller=ME))
    assert isinstance(here, ExaminedSubmission | Refusal)
    assert known(asking.examine(body, me)) == known(here)


def test_plain_bodies_of_a_usual_size_need_no_judge(app: App, me: Enterprise) -> None:
    hundred = mine(*(f"ORDER-{number}" for number in range(100)))
    assert len(hundred) < AT_ONCE_BYTES
    assert known(app.judge.at_once(hundred, me)) == known(app.judge(Examine(body=hundred, caller=ME)))
    assert app.judge.at_once(roundabout(mine()), me) is None
    assert app.judge.at_once(mine() + b" " * AT_ONCE_BYTES, me) is None


@pytest.mark.parametrize("illness", ["burn", "swell", "grow_at_once", "die"])
def test_case_that_ends_its_judge_is_refused_and_the_next_is_judged(
    illness: str, me: Enterprise, asking: Asking
) -> None:
    assert asking.examine(illness.encode(), me) == TOO_EXPENSIVE
    assert isinstance(asking.examine(roundabout(mine()), me), ExaminedSubmission)
    with pytest.raises(TooExpensive):
        asking.open(illness.encode())


def test_defect_is_told_and_does_not_end_the_judge(me: Enterprise, asking: Asking) -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError: a defect"):
        asking.examine(b"fail", me)
    assert isinstance(asking.examine(roundabout(mine()), me), ExaminedSubmission)


def test_answers_of_customs_are_opened_as_here(app: App, asking: Asking) -> None:
    for raw in (receipt("CEB312Message"), roundabout(receipt("CEB312Message"))):
        assert asking.open(raw) == open_collected(raw, app.rules.catalogue)
    with pytest.raises(EnvelopeError, match="no message of customs"):
        asking.open(b"<x/>")


def told(pool: Pool, cases: list[Examine | Translate]) -> "asyncio.Future[list[tuple[int, object]]]":
    """Have all judged; the future has the verdicts in the order they came, each with the place of its case."""
    verdicts: list[tuple[int, object]] = []
    done: asyncio.Future[list[tuple[int, object]]] = asyncio.get_running_loop().create_future()

    def hear(place: int) -> Callable[[object], None]:
        def heard(verdict: object) -> None:
            verdicts.append((place, verdict))
            if len(verdicts) == len(cases):
                done.set_result(verdicts)

        return heard

    for place, case in enumerate(cases):
        assert pool.judge(case, hear(place))
    return done


def test_loop_goes_on_and_others_are_judged_while_one_tenant_sends_the_worst(app: App) -> None:
    async def scene() -> tuple[list[tuple[int, object]], int]:
        with (
            hosted(Frail(app), MODEST) as line,
            closing(Pool(line, judges=4, waiting_bytes=1024 * 1024)) as pool,
        ):
            worst = [Examine(body=b"burn", caller=EnterpriseId("flood")) for _ in range(8)]
            flooded = told(pool, [*worst])
            turns = 0
            verdicts: list[tuple[int, object]] = []
            for _ in range(5):
                verdicts += await told(pool, [Examine(body=roundabout(mine()), caller=ME)])
                assert not flooded.done()
            while not flooded.done():
                turns += 1
                await asyncio.sleep(0.01)
            assert {verdict for _, verdict in flooded.result()} == {TOO_EXPENSIVE}
            return verdicts, turns

    verdicts, turns = asyncio.run(scene())
    assert all(isinstance(verdict, ExaminedSubmission) for _, verdict in verdicts)
    assert turns > 10


def test_source_is_translated_and_its_faults_name_its_places(app: App) -> None:
    async def scene() -> list[tuple[int, object]]:
        with hosted(app.judge) as line, closing(Pool(line, judges=2, waiting_bytes=1024 * 1024)) as pool:
            source = json.loads(example("payments"))
            source["payments"][0]["amount_fen"] = "much"
            good, bad = example("payments"), json.dumps(source).encode()
            return await told(
                pool,
                [
                    Translate(body=body, caller=ME, mapping="payments", form=Form.JSON, charset="")
                    for body in (good, bad, b"[")
                ],
            )

    by_place = dict(asyncio.run(scene()))
    good, bad, broken = (by_place[place] for place in range(3))
    assert isinstance(good, ExaminedSubmission)
    assert good.new.origin is not None
    assert good.new.origin["mapping"] == "payments"
    assert isinstance(bad, Refusal)
    assert isinstance(bad.faults[0], SourceFault)
    assert (bad.problem, bad.faults[0].source) == ("untranslatable", "/payments/0/amount_fen")
    assert isinstance(broken, Refusal)
    assert broken.problem == "not-json"


def test_pool_that_is_full_says_so_and_what_waits_is_judged_all_the_same(app: App) -> None:
    async def scene() -> tuple[int, list[object]]:
        heard: list[object] = []
        with hosted(app.judge) as line, closing(Pool(line, judges=2, waiting_bytes=10_000)) as pool:
            case = Examine(body=b"<x>" + b" " * 3000, caller=ME)
            taken = sum(pool.judge(case, heard.append) for _ in range(20))
            async with asyncio.timeout(60):
                while len(heard) < taken:  # noqa: ASYNC110 (what is heard is not ours to signal)
                    await asyncio.sleep(0.01)
        return taken, heard

    taken, heard = asyncio.run(scene())
    assert taken == 3  # one is being judged, two wait: another would be more than is still free
    assert {type(one) for one in heard} == {Refusal}


def pid_of(asking: Asking, me: Enterprise) -> int:
    """Ask a judge that is `Told` who it is."""
    with pytest.raises(RuntimeError) as failure:
        asking.examine(b"<x/>", me)
    found = re.search(r"\d+", str(failure.value))
    assert found is not None
    return int(found[0])


def told_pid(_case: JudgeCase) -> JudgeVerdict:
    return Broken(error=str(os.getpid()))


def test_judge_that_died_while_it_had_nothing_to_do_is_no_fault_of_the_next_case(
    app: App, me: Enterprise
) -> None:
    with hosted(told_pid, MODEST) as line, closing(Asking(line, app.judge)) as asking:
        first = pid_of(asking, me)
        os.kill(first, signal.SIGKILL)
        until(lambda: not state_of(first))
        assert pid_of(asking, me) != first


def test_judges_end_with_their_host(app: App, me: Enterprise) -> None:
    with hosted(told_pid, MODEST) as line, closing(Asking(line, app.judge)) as asking:
        judge = pid_of(asking, me)
    assert until(lambda: not state_of(judge)), "whatever it was doing"


def test_verdicts_do_not_carry_the_body_back(app: App) -> None:
    case = Examine(body=roundabout(mine()), caller=ME)
    verdict = app.judge(case)
    light = lightened(verdict, case)
    assert isinstance(light, ExaminedSubmission)
    assert light.new.body == b""
    assert completed(light, case) == verdict
