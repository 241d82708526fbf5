"""`gateway demo`: runs the main job on this machine with embedded parts and shows each step."""

import http.client
import json
import random
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from gateway.config.site import DEMO
from gateway.errors import GatewayError
from gateway.model import EnterpriseId
from gateway.rules.loading import Rules, load_rules
from gateway.samples.compose import Composed, compose_trade
from gateway.simulator.world import LocalWorld

_PATIENCE_S: Final = 50.0
_SCRIPT: Final = {"seed": 11, "delay_s": [0.1, 0.5], "refuse": 0.15, "duplicates": 0.1, "reorder": 0.2}
_ENDS: Final = frozenset({"accepted", "refused", "final"})


@dataclass(kw_only=True)
class Journey:
    """One declaration and its answers, as the platform sees them."""

    message: str
    kind: str
    key: Mapping[str, str]
    sha256: str
    answers: list[dict[str, Any]] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether customs has given its last answer, as far as its codes tell."""
        return any(answer["meaning"]["kind"] in _ENDS for answer in self.answers)


@click.command()
@click.option(
    "--messages", default=12, show_default=True, type=click.IntRange(1, 2000), help="How many to submit."
)
@click.option("--keep", is_flag=True, help="Leave the folder with configuration, logs and spool behind.")
def demo(messages: int, keep: bool) -> None:
    """Run customs (simulated, over real SFTP), a gateway and a platform that submits; ends by itself.

    Exit code 0 when every declaration has its answers and customs has got exactly the accepted bytes.
    """
    console = Console(highlight=False, soft_wrap=True)
    folder = Path(tempfile.mkdtemp(prefix="gateway-demo-"))
    try:
        with LocalWorld(folder, script=_SCRIPT) as world:
            console.print(f"[bold]customs[/]   SFTP, ledger {world.ledger}")
            console.print(f"[bold]gateway[/]   {world.address}  roles accept, forward, collect, keep")
            done = _play(world, console, messages)
    finally:
        if keep:
            console.print(f"kept: {folder}   try: gateway trace ID -c {folder}/site/gateway.toml")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if not done:
        raise click.exceptions.Exit(1)


def _play(world: LocalWorld, console: Console, count: int) -> bool:
    rules = load_rules()
    platform = _Platform(world)
    started = time.monotonic()
    journeys = [
        journey for composed in _trades(count) for journey in platform.submit(composed, console, rules)
    ]
    console.print(
        f"[bold]platform[/]  {count} messages accepted, each after its fsync; waiting for customs …"
    )
    platform.wait(journeys, started + _PATIENCE_S)
    _tell(journeys, rules, console)
    untouched = _untouched(world, journeys)
    answers = sum(len(journey.answers) for journey in journeys)
    waiting = sum(not journey.over for journey in journeys)
    console.print(
        f"{len(journeys)} declarations, {answers} answers at home, {waiting} still waiting, "
        f"{time.monotonic() - started:.1f} s"
    )
    console.print(
        f"untouched: of {len(untouched)} messages customs got, {sum(untouched.values())} are byte for byte what was accepted\n"
        "           once the inserted ds:Signature is cut out"
    )
    platform.close()
    return waiting == 0 and len(untouched) == count and all(untouched.values())


def _trades(count: int) -> Iterator[Composed]:
    """Compose purchases of four messages each: order, payment, waybill, inventory."""
    rng = random.Random(20261111)  # noqa: S311 (invented data, the same each time)
    left = count
    while left > 0:
        trade = compose_trade(
            cop_code=DEMO.cop_codes[0], dxp_id=DEMO.dxp_ids[0], rng=rng, app_time=datetime.now(UTC)
        )
        yield from trade[:left]
        left -= len(trade)


class _Platform:
    """The enterprise's side: a plain HTTP client."""

    def __init__(self, world: LocalWorld) -> None:
        host, port = world.address.removeprefix("http://").split(":")
        self._connection = http.client.HTTPConnection(host, int(port), timeout=90)
        self._headers = {"Authorization": f"Bearer {world.site.tokens[EnterpriseId(DEMO.id)]}"}

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        self._connection.request(method, path, body, self._headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise GatewayError(f"the gateway answered {answer.status}", where=path, fix=text.decode()[:2000])
        return json.loads(text)

    def submit(self, composed: Composed, console: Console, rules: Rules) -> list[Journey]:
        """Hand in one message."""
        answer = self._ask("POST", "/v1/messages", composed.body)
        kind = rules.catalogue.by_name(answer["message_type"])
        title = f"{kind.title_zh} {kind.title_en}" if kind else ""
        console.print(f"202 {answer['message_type']} {answer['id']} {title}")
        return [
            Journey(
                message=answer["id"],
                kind=answer["message_type"],
                key=declaration["key"],
                sha256=answer["sha256"],
            )
            for declaration in answer["declarations"]
        ]

    def wait(self, journeys: list[Journey], until: float) -> None:
        """Fetch answers until every declaration has its last one, or the time is over."""
        by_key = {(one.kind, frozenset(one.key.items())): one for one in journeys}
        cursor = 0
        while time.monotonic() < until:
            over = all(one.over for one in journeys)
            page = self._ask("GET", f"/v1/receipts?after={cursor}&wait={1 if over else 5}")
            cursor = page["cursor"]
            for body in (body for receipt in page["receipts"] for body in receipt["bodies"]):
                for about in body["declarations"]:
                    by_key[about["type"], frozenset(about["key"].items())].answers.append(body)
            if over and not page["receipts"]:
                break
        self._ask("POST", "/v1/receipts/ack", json.dumps({"cursor": cursor}).encode())

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _tell(journeys: list[Journey], rules: Rules, console: Console) -> None:
    """Print two lines for each declaration, to fit a terminal of 80 columns."""
    console.print("\n[bold]declaration   key, and what customs said, in the order of its own time[/]")
    for one in journeys:
        kind = rules.catalogue.by_name(one.kind)
        said = sorted(one.answers, key=lambda answer: answer["time"])
        way = " → ".join(f"{answer['status'] or '-'} {answer['meaning']['zh']}" for answer in said)
        colour = "red" if any(answer["meaning"]["kind"] == "refused" for answer in said) else "green"
        console.print(f"{one.kind[3:6]} {kind.title_zh if kind else ''}  {list(one.key.values())[-1]}")
        console.print(f"    [{colour}]{way}[/]" if way else "    [yellow]nothing yet[/]")


def _untouched(world: LocalWorld, journeys: list[Journey]) -> dict[str, bool]:
    """Return message id → whether customs got, under this id, exactly the accepted bytes plus a Signature."""
    accepted = {one.message: one.sha256 for one in journeys}
    return {
        line["cop_msg_id"]: accepted.get(line["cop_msg_id"]) == line["original_sha256"]
        and line["original_sha256"] != line["business_sha256"]
        for line in world.customs_saw()
    }
