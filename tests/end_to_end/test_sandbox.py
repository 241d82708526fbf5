"""Every marker of docs/sandbox.md gives its outcome at the platform's side, through a real gateway."""

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from gateway.config.site import DEMO
from gateway.samples.compose import compose
from gateway.simulator.markers import MAGIC
from gateway.simulator.world import LocalWorld
from tests.platforms import Platform, rng
from tests.waiting import RECOVERY_S

NEGATIVE = "-621027"
BILL = ("CEB816Message", "1")
ALL_THE_WAY = [*(("CEB622Message", status) for status in ("2", "3", "120", "800")), BILL]


def told(*statuses: str) -> list[tuple[str, str]]:
    return [("CEB622Message", status) for status in statuses]


EXPECTED: dict[str, list[tuple[str, str]]] = {
    "-TOK": ALL_THE_WAY,
    "-T120": told("2", "3", "120"),
    "-T399": told("2", "3", "399"),
    "-T300": told("2", "3", "120", "300"),
    "-T500": told("2", "3", "120", "500"),
    "-T599": told("2", "3", "120", "599"),
    "-T700": told("2", "3", "120", "700"),
    "-T800": ALL_THE_WAY,
    "-T899": [*told("2", "3", "120", "800", "899"), BILL, ("CEB818Message", "2")],
    "-T100": told("2", "3", "100"),
    "-TNEG": told(NEGATIVE),
    "-T900": [("CEB900Message", "-999999")],
    "-T1001": [("DxpRep", "1001")],
    "-T2001": [("DxpRep", "2001")],
    "-T2002": [("DxpRep", "2002")],
    "-T3001": [("DxpRep", "3001"), *ALL_THE_WAY],
    "-TLATE": ALL_THE_WAY,
    "-TTWICE": ALL_THE_WAY,
    "-TMIX": ALL_THE_WAY,
    "-TNONE": [],
}
"""What an import inventory gets, by customs' own time; DxpRep has a day only and stands first."""


def number(marker: str) -> str:
    return f"C{MAGIC_PLACE[marker]:04d}{marker}"


MAGIC_PLACE = {magic.marker: place for place, magic in enumerate(MAGIC)}


def inventory(cop_no: str) -> bytes:
    return compose(
        "CEB621Message", cop_code=DEMO.cop_codes[0], dxp_id=DEMO.dxp_ids[0], rng=rng(sum(cop_no.encode())),
        overrides={"copNo": cop_no},
    ).body  # fmt: skip


Answers = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorld]:
    world = LocalWorld(
        tmp_path_factory.mktemp("sandbox"),
        script={"late_s": 3.0},
        more_config="[destination.retry]\nfirst_s = 0.2\n",
    )
    with world:
        yield world


@pytest.fixture(scope="module")
def answers(world: LocalWorld) -> Answers:
    """All answers that came over HTTP, by number, in the order of their arrival."""
    got: Answers = {number(magic.marker): [] for magic in MAGIC}
    with closing(Platform(world.address, next(iter(world.site.tokens.values())))) as platform:
        for cop_no in got:
            assert platform.submit(inventory(cop_no)).status == 202
        wanted = sum(len(expected) for expected in EXPECTED.values())
        give_up = time.monotonic() + RECOVERY_S
        while sum(map(len, got.values())) < wanted and time.monotonic() < give_up:
            collect(platform, got, wait_s=5)
        collect(platform, got, wait_s=1)  # nobody gets more than was asked for
    return got


def collect(platform: Platform, got: Answers, *, wait_s: int) -> None:
    for receipt in platform.receipts(wait_s=wait_s):
        for body in receipt["bodies"]:
            got[body["declarations"][0]["key"]["copNo"]].append({**body, "cursor": receipt["cursor"]})


def test_every_marker_is_tried() -> None:
    assert EXPECTED.keys() == MAGIC_PLACE.keys()


@pytest.mark.parametrize("marker", EXPECTED)
def test_marker_gives_its_outcome_over_http(answers: Answers, marker: str) -> None:
    mine = sorted(answers[number(marker)], key=lambda body: str(body["time"]).ljust(17, "0"))
    assert [(body["message_type"], body["status"]) for body in mine] == EXPECTED[marker]


def test_answers_that_customs_doubled_come_once(world: LocalWorld, answers: Answers) -> None:
    sent = [line for line in world.customs_sent() if line["key"].get("copNo") == number("-TTWICE")]
    assert (len(sent), len(answers[number("-TTWICE")])) == (2 * len(ALL_THE_WAY), len(ALL_THE_WAY))


def test_late_answers_are_late_and_reversed_ones_reversed(world: LocalWorld, answers: Answers) -> None:
    sent = [line for line in world.customs_sent() if line["key"].get("copNo") == number("-TMIX")]
    assert [(line["receipt"], line["status"]) for line in sent] == ALL_THE_WAY[::-1]
    first_late = min(body["cursor"] for body in answers[number("-TLATE")])
    prompt = max(body["cursor"] for body in answers[number("-T120")])
    assert first_late > prompt


def test_marker_that_a_type_does_not_know_is_none(world: LocalWorld) -> None:
    body = compose(
        "CEB311Message", cop_code=DEMO.cop_codes[0], dxp_id=DEMO.dxp_ids[0], rng=rng(3),
        overrides={"orderNo": "ORDER-0001-T800"},
    ).body  # fmt: skip
    with closing(Platform(world.address, next(iter(world.site.tokens.values())))) as platform:
        assert platform.submit(body).status == 202
        statuses: list[str] = []
        while len(statuses) < 3:
            statuses += [
                one["status"] for receipt in platform.receipts(wait_s=20) for one in receipt["bodies"]
            ]
    assert sorted(statuses, key=int) == ["2", "3", "120"]
