"""Two worlds that differ in what victims declare alone answer attackers alike, but for marks of fields that these declared themselves.

More questions, 10,000 at most, or the year of the sold goods ends: `PARCEL_PROBES=10000 PARCEL_SEED=2 .venv/bin/python -m pytest tests/contract/test_two_worlds.py`.
"""

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from msgspec import structs
from starlette.requests import Request
from starlette.responses import Response

from gateway.doors.http import handlers
from gateway.doors.http.operations import OPERATIONS
from gateway.doors.http.services import HttpServices, ProblemError
from gateway.model import Enterprise
from gateway.observe.log import configure_logs, reset_logs
from gateway.parcels import reading
from gateway.parcels.documents import ParcelDocument
from gateway.parcels.person_allowance import PersonAllowance, subject_of
from gateway.parcels.reading import ComparedDocument, ParcelReader
from gateway.receipts.learning import known_cures
from gateway.views import parcels as views
from tests.parcel_differ import LeakError
from tests.parcel_prober import Prober
from tests.parcel_worlds import ENTERPRISES, LEARNED, TOO_FEW, prepare
from tests.spool_samples import Clock
from tests.two_worlds import two_worlds

PROBES: Final = int(os.environ.get("PARCEL_PROBES", "1000"))
SEED: Final = int(os.environ.get("PARCEL_SEED", "1"))
Handler = Callable[[Request, HttpServices, Enterprise], Awaitable[Response]]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    configure_logs("error")
    yield
    reset_logs()


@contextmanager
def probing(folder: Path) -> Iterator[Prober]:
    clock = Clock()
    with two_worlds(folder, clock, ENTERPRISES, prepare) as worlds:
        prober = Prober(worlds=worlds, clock=clock, chance=Random(SEED))
        prober.settle_in()
        yield prober


def test_what_attackers_are_answered_does_not_depend_on_what_victims_declare(tmp_path: Path) -> None:
    with probing(tmp_path) as prober:
        prober.probe(PROBES)
    assert prober.asked.total() >= PROBES
    good = {one.id for one in OPERATIONS if any(prober.asked[f"{one.id} {status}"] for status in one.replies)}
    assert {one.id for one in OPERATIONS} - good == {"metrics"}  # none of theirs
    for seen, least in (("alone", 0.1), ("differing", 0.1), ("limited", 0.02)):
        assert prober.seen[seen] > least * PROBES, prober.seen
    said = b"".join(prober.bodies)
    assert f'"cured_by":["{LEARNED[1]}"]'.encode() in said
    assert f'"cured_by":["{TOO_FEW[1]}"]'.encode() not in said


# each of these leaks, put into the gateway, is found


def _of_others(reader: ParcelReader, one: ParcelDocument) -> list[ParcelDocument]:
    there = [*reader.by_number(order_no=one.order_no), *reader.by_number(waybill_no=one.waybill_no)]
    return [other for other in there if other.owner != one.owner]


def _value_in_a_text(patch: pytest.MonkeyPatch) -> None:
    compare = ParcelReader._compare

    def leaky(self: ParcelReader, *arguments: Any, **named: Any) -> ComparedDocument:
        found = compare(self, *arguments, **named)
        paid = "".join(other.field("acturalPaid") for other in found.others)
        said = tuple(structs.replace(one, fix=one.fix + paid) for one in found.advice)
        return replace(found, advice=said)

    patch.setattr(ParcelReader, "_compare", leaky)


def _order_by_the_time_of_others(patch: pytest.MonkeyPatch) -> None:
    def leaky(reader: ParcelReader, *arguments: Any, **named: Any) -> list[ParcelDocument]:
        own = views.own_documents(reader, *arguments, **named)
        return sorted(own, key=lambda one: [other.accepted_at for other in _of_others(reader, one)])

    patch.setattr(handlers, "own_documents", leaky)


def _number_of_documents_as_etag(patch: pytest.MonkeyPatch) -> None:
    get = handlers._get_parcel

    async def leaky(request: Request, services: HttpServices, caller: Enterprise) -> Response:
        answer = await get(request, services, caller)
        there = services.parcels.by_number(order_no=request.query_params.get("order_no", ""))
        answer.headers["ETag"] = f'"{len(there)}"'
        return answer

    patch.setattr(handlers, "_get_parcel", leaky)


def _length_says_that_others_are_there(patch: pytest.MonkeyPatch) -> None:
    def leaky(reader: ParcelReader, *arguments: Any, **named: Any) -> views.ParcelView:
        own = arguments[2]
        blank = " " * any(_of_others(reader, one) for one in own)
        shown = views.parcel_view(reader, *arguments, **named)
        return structs.replace(
            shown, documents=tuple(structs.replace(one, kind=one.kind + blank) for one in shown.documents)
        )

    patch.setattr(handlers, "parcel_view", leaky)


def _acquainted_by_number_alone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        reading,
        "acquainted_with",
        lambda one, documents, _: tuple([other for other in documents if other is not one]),
    )


def _limited_by_what_others_declare(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ParcelReader, "_too_often", lambda self, one, _: len(_of_others(self, one)) > 2)


def _message_of_another_is_forbidden(patch: pytest.MonkeyPatch) -> None:
    get = handlers._get_message

    async def leaky(request: Request, services: HttpServices, caller: Enterprise) -> Response:
        if services.spool.ways(request.path_params["id"]):
            return await get(request, services, caller)
        raise ProblemError("not-your-identity")

    patch.setattr(handlers, "_get_message", leaky)


def _learned_from_too_few(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(known_cures, "FEWEST", 2)
    patch.setattr(known_cures, "may_be_shown", lambda *_: True)


def _sum_of_the_person_is_told(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        PersonAllowance,
        "exceeds",
        lambda self, one, _limit, year, **_: self._spool.allowance(subject_of(one.facts), year) > 10**6,
    )


PLANTED: Final = (
    _value_in_a_text, _order_by_the_time_of_others, _number_of_documents_as_etag, _length_says_that_others_are_there,
    _acquainted_by_number_alone, _limited_by_what_others_declare, _message_of_another_is_forbidden, _learned_from_too_few,
    _sum_of_the_person_is_told,
)  # fmt: skip


@pytest.mark.parametrize("plant", PLANTED, ids=[one.__name__.strip("_") for one in PLANTED])
def test_a_planted_leak_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plant(monkeypatch)
    with probing(tmp_path) as prober, pytest.raises(LeakError):
        prober.probe(2000)
