"""The gateway keeps its contract: schemathesis reads `/openapi.json` and tries it on the running gateway.

A longer run: `CONTRACT_CASES=3000 CONTRACT_SECONDS=7200 .venv/bin/python -m pytest tests/contract/test_openapi.py`.
"""

import html
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.routing import Route

from gateway.client import GatewayClient, ProblemView
from gateway.config.site import DEMO
from gateway.doors.http import openapi
from gateway.doors.http.handlers import build
from gateway.doors.http.operations import OPERATIONS
from gateway.doors.http.page import page
from gateway.doors.http.services import HttpServices
from gateway.problems import PROBLEMS
from gateway.samples.compose import TRADE, compose
from gateway.simulator.world import LocalWorld
from spool.lifecycle import State
from tests.generated import REPOSITORY
from tests.platforms import rng

CASES = int(os.environ.get("CONTRACT_CASES", "50"))
SECONDS = int(os.environ.get("CONTRACT_SECONDS", "900"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorld]:
    """A gateway with customs behind it, and receipts to be had."""
    world = LocalWorld(tmp_path_factory.mktemp("contract"))
    text = world.site.config.read_text("utf-8")
    assert "\n[accept]\n" in text
    # callers without a token are tried by the thousand, and would be slowed down
    world.site.config.write_text(text.replace("\n[accept]\n", "\n[accept]\nlogin_delay_s = 0\n"), "utf-8")
    with world:
        with closing(GatewayClient(world.address, token(world))) as client:
            for kind in TRADE:
                body = compose(kind, cop_code=DEMO.cop_codes[0], dxp_id=DEMO.dxp_ids[0], rng=rng(1)).body
                assert not isinstance(client.submit(body), ProblemView)
            first = client.receipts(wait_s=30)
            assert not isinstance(first, ProblemView)
            assert first.receipts
        yield world


def token(world: LocalWorld) -> str:
    return next(iter(world.site.tokens.values()))


@dataclass(frozen=True, kw_only=True)
class Run:
    cases: int
    said: str


STATE_DECIDES = """
[[operations]]
include-path = ["/v1/declarations", "/v1/parcels", "/v1/receipts/ack"]
[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", "400", "401", "403", "404"]
[[operations]]
include-path = ["/v1/imports"]
[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", "400", "401", "403", "404", "415", "422", "429", "503"]
[[operations]]
include-path = ["/v1/goods", "/v1/goods/books"]
[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", "401", "403", "404", "422", "503"]
"""
"""Which rows are in order, which keys name something, which one of three numbers is asked for, and what the newest receipt is,
no schema can say: `400` is a right answer there."""


def schemathesis(
    world: LocalWorld, folder: Path, bodies: str, *, allowed: str = "", more: Sequence[str] = ()
) -> Run:
    """Run all checks, in all phases on all operations unless `more` options say otherwise; fails with what was found."""
    config = folder / f"{bodies}.toml"
    config.write_text(
        f'[headers]\nAuthorization = "Bearer {token(world)}"\n{allowed}\n{STATE_DECIDES}', encoding="utf-8"
    )
    command = [
        str(Path(sys.executable).with_name("st")), "--config-file", str(config), "run",
        f"{world.address}/openapi.json", "--checks", "all", "--mode", "all", "--max-examples", str(CASES),
        "--seed", "20261111", "--request-timeout", "75", "--continue-on-failure", "--warnings", "off",
        "--no-color", "--report", "json", "--report-dir", str(folder),
        *more,
    ]  # fmt: skip
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": "tests.contract.schemathesis_hooks", "PYTHONPATH": str(REPOSITORY),
        "CONTRACT_BODIES": bodies, "CONTRACT_COP_CODE": DEMO.cop_codes[0], "CONTRACT_DXP_ID": DEMO.dxp_ids[0],
    }  # fmt: skip
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    counted = re.search(r"(\d+) generated", done.stdout)
    assert counted, done.stdout
    return Run(cases=int(counted[1]), said=done.stdout)


def test_schemathesis_finds_nothing_with_sound_messages(world: LocalWorld, tmp_path: Path) -> None:
    run = schemathesis(world, tmp_path, "sound")
    assert run.cases > min(10 * CASES, 1000)


def test_schemathesis_finds_nothing_with_broken_messages(world: LocalWorld, tmp_path: Path) -> None:
    """What is in a message the contract cannot bound: `422` is a right answer to a right request.

    Only one operation takes messages, and nothing follows from one that is not taken; the other test tries the rest.
    """
    run = schemathesis(
        world,
        tmp_path,
        "broken",
        more=["--include-path", "/v1/messages", "--phases", "examples,coverage,fuzzing"],
        allowed="[checks.positive_data_acceptance]\n"
        'expected-statuses = ["2xx", "401", "403", "404", "409", "422"]\n',
    )
    assert run.cases > CASES


def test_example_of_the_contract_is_accepted_as_it_stands(world: LocalWorld) -> None:
    document = openapi.document()
    forms = document["paths"]["/v1/messages"]["post"]["requestBody"]["content"]
    body = forms["application/xml"]["examples"]["payment"]["value"].encode()
    with closing(GatewayClient(world.address, token(world))) as client:
        assert not isinstance(client.submit(body), ProblemView)


def test_every_route_of_the_door_is_in_the_contract_and_on_the_page() -> None:
    routes = {
        (route.path, method.lower())
        for route in build(cast("HttpServices", SimpleNamespace(metrics_token=""))).routes
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    }
    assert routes == {(one.path, one.method) for one in OPERATIONS}
    shown = page()
    for one in OPERATIONS:
        assert html.escape(one.path) in shown
        for parameter in one.parameters:
            assert parameter.name in shown
    for code, problem in PROBLEMS.items():
        assert code in shown
        assert problem.title_zh in shown
    assert not re.findall(r"(?:src|href)=[\"']?(?!#|/openapi\.json)", shown), "nothing from elsewhere"


def test_every_field_of_an_answer_says_its_type_and_the_unclear_ones_what_they_mean() -> None:
    schemas: dict[str, dict[str, Any]] = openapi.document()["components"]["schemas"]
    for name, schema in schemas.items():
        assert schema["description"], name
        assert set(schema["required"]) <= set(schema["properties"]), name
        for field, told in schema["properties"].items():
            assert told.keys() & {"type", "$ref", "anyOf", "enum"}, (name, field)
    assert "next_attempt_at" in schemas["StatusView"]["required"]
    assert schemas["StatusView"]["properties"]["state"]["enum"] == [state.value for state in State]
    assert "17 digits" in schemas["AnswerView"]["properties"]["time"]["description"]
