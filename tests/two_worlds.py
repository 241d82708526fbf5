"""Two nodes side by side in this process, each behind its own HTTP door, with one clock: what one is asked, the other is asked too.

What an answer says is made comparable by replacing only what is random by design: ids of messages, and what is signed or
hashed over them. Numbers that a node counts over all its enterprises (cursors, numbers of receipts, places in the log)
are the same in both worlds only when both take in as many messages and answers; `build` leaves that to its caller.
"""

import asyncio
import json
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import pytest
from openpyxl import load_workbook

from gateway.app import http_door as door_module
from gateway.app.build import App
from gateway.config.in_force import ConfigState, LastReload
from gateway.config.site import NewEnterprise, Site, write_site
from gateway.doors.http import handlers as handlers_module
from gateway.doors.http.handover import Handover, OpenDoor
from gateway.doors.http.listener import Listener
from gateway.doors.http.operations import OPERATIONS, Operation
from gateway.judges import judge as judge_module
from gateway.judges.judge import Judge, JudgeVerdict
from gateway.judges.pool import JudgeQuestion
from gateway.keys.node_key import node_key
from gateway.mapping.sources.table import MEDIA, Form
from gateway.model import EnterpriseId
from gateway.upkeep.checkpoints import Sealer
from spool.sqlite import SqliteSpool
from tests.in_process import bring_in
from tests.spool_samples import Clock, settled

_ID: Final = re.compile(r"[0-9A-F]{8}-[0-9A-F]{4}-7[0-9A-F]{3}-[0-9A-F]{4}-[0-9A-F]{12}")
"""Of a message: a UUID of version 7."""
_HASHED: Final = frozenset({"proof", "note", "checkpoint", "statement"})
"""Members of a file of evidence that are signed, or hashed over ids."""
_EVIDENCE: Final = "getMessageEvidence"
_METRICS_TOKEN: Final = "for the monitor alone"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of both worlds. `{name}` in the target stands for an id, which each world has another of."""

    operation: Operation
    who: str
    target: str
    """Path and query, encoded."""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    ids: Sequence[str] = ()
    """Names of ids, in the order of the `{}` in the target."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a world said; `headers` without the Date."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON, with its members in their order."""
        return json.loads(self.body)


class World:
    """One node, and who asks it."""

    def __init__(self, site: Site, clock: Clock) -> None:
        text = site.config.read_text("utf-8")
        text = text.replace("[accept]\n", "[accept]\nlogin_delay_s = 0.0\n")
        text = text.replace("[metrics]\n", '[metrics]\ntoken_file = "metrics.token"\n')
        site.config.write_text(text, "utf-8")
        (site.folder / "metrics.token").write_text(_METRICS_TOKEN, "utf-8")
        self._site, self._clock = site, clock
        self.app = App(site.config)
        self.spool = SqliteSpool(self.app.config.node.state_dir, clock)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.setblocking(False)
        self._labels: dict[str, str] = {}
        self.ids: dict[str, str] = {}
        """Name of an id → what it is in this world."""
        self._hidden: set[str] = set()

    @contextmanager
    def closed_at_the_end(self) -> Iterator["World"]:
        """Close spool and socket at the end."""
        with closing(self.spool), self._listening:
            yield self

    def open(self, stack: AsyncExitStack) -> None:
        """Serve until the stack is closed; in the event loop."""
        app = self.app
        judge = replace(app.judge, clock=self._clock)
        handover = Handover.make()
        for one in (handover.giving, handover.taking):
            stack.callback(one.close)
        served = stack.enter_context(
            door_module.http_door(
                config=app.config,
                judge=judge,
                line=_JudgesHere(judge),  # type: ignore[arg-type]  # what `_PoolHere` takes
                keyring=app.keys,
                open_spool=lambda: SqliteSpool(app.config.node.state_dir, self._clock),
                metrics_token=app.metrics_token,
                config_state=ConfigState(left_out=(), last_reload=LastReload()),
                handover=handover,
                secured=False,
            )
        )
        listener = Listener(OpenDoor(listening=self._listening, handover=handover), served.service, None)
        listener.open()
        stack.push_async_callback(listener.drain, 1.0)

    async def ask(self, request: Request) -> Answer:
        """Ask over a connection of its own."""
        ids = [self.ids[name] for name in request.ids]
        headers = {
            "Host": "gateway",
            "Authorization": f"Bearer {self._site.tokens.get(EnterpriseId(request.who), 'wrong')}",
            **({"Content-Length": str(len(request.body))} if request.operation.body else {}),
            **request.headers,
        }
        target = request.target.format(*ids) if ids else request.target
        lines = [f"{request.operation.method.upper()} {target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        port = self._listening.getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        writer.write("\r\n".join((*lines, "", "")).encode("latin-1") + request.body)
        head = await reader.readuntil(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        found = dict(line.split(": ", 1) for line in rest)
        body = await reader.readexactly(int(found.get("content-length", "0")))
        writer.close()
        del found["date"]
        return Answer(status=int(first.split()[1]), headers=found, body=body)

    def comparable(self, request: Request, answer: Answer) -> Answer:
        """Return the answer without what is random by design; an id that was asked for may be echoed, whoever's it is."""
        body = answer.body
        for name in request.ids:
            body = body.replace(self.ids[name].encode(), name.encode())
        if request.operation.id == _EVIDENCE and answer.status == 200:
            body = json.dumps(_unhashed(answer.json())).encode()
        if (
            answer.headers.get("content-type") == MEDIA[Form.XLSX]
        ):  # its bytes hold the time at which it was made
            body = json.dumps([list(sheet.values) for sheet in load_workbook(BytesIO(body))]).encode()
        return Answer(
            status=answer.status,
            headers={name: self.labelled(value) for name, value in answer.headers.items()},
            body=self.labelled(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape"),
        )

    def hide(self, name: str, uid: str) -> None:
        """Know an id that nobody may be shown: where it is shown, it stays as it is, and differs."""
        self.ids[name] = uid
        self._hidden.add(uid)

    def labelled(self, text: str) -> str:
        """Replace each id by its number in the order in which this world has shown them."""
        return _ID.sub(lambda found: self._label(found[0]), text)

    def _label(self, uid: str) -> str:
        return uid if uid in self._hidden else self._labels.setdefault(uid, f"ID-{len(self._labels)}")

    def collect(self, bodies: Sequence[bytes]) -> None:
        """Bring in answers of customs, one batch."""
        bring_in(self.app, self.spool, bodies)

    def send(self) -> None:
        """Have everything sent that waits, in the order in which it came."""
        while claimed := self.spool.claim("node/forward", "customs", limit=500, lease_s=60):
            self.spool.settle(settled(sorted(claimed, key=lambda one: one.entry)))

    def seal(self) -> None:
        """Seal the log as far as it is."""
        Sealer(self.spool, node_key(self.app.config), every_s=1, events=1).seal()


class TwoWorlds:
    """Asks both; for one thread."""

    def __init__(self, worlds: tuple[World, World], runner: asyncio.Runner) -> None:
        self.worlds = worlds
        self._runner = runner

    def ask(self, request: Request) -> tuple[Answer, Answer]:
        """Ask both worlds the same; what they say, as it came."""
        first, second = (self.ask_one(world, request) for world in self.worlds)
        return first, second

    def ask_one(self, world: World, request: Request) -> Answer:
        """Ask one world alone."""
        return self._runner.get_loop().run_until_complete(world.ask(request))


@contextmanager
def two_worlds(
    folder: Path, clock: Clock, enterprises: Sequence[NewEnterprise], prepare: Callable[[World, int], None]
) -> Iterator[TwoWorlds]:
    """Build two nodes of the same enterprises and serve them; `prepare` fills the spool of each, 0 and 1, before."""
    with ExitStack() as outside, pytest.MonkeyPatch.context() as patch:
        for module in (handlers_module, judge_module):
            patch.setattr(module, "datetime", _datetime_of(clock))
        patch.setattr(door_module, "Pool", _PoolHere)
        worlds = []
        for number in range(2):
            site = write_site(folder / f"world-{number}", enterprises=enterprises, port=0)
            world = outside.enter_context(World(site, clock).closed_at_the_end())
            prepare(world, number)
            worlds.append(world)
        runner = outside.enter_context(asyncio.Runner())
        inside = AsyncExitStack()

        async def serve() -> None:
            for world in worlds:
                world.open(inside)

        runner.run(serve())
        try:
            yield TwoWorlds((worlds[0], worlds[1]), runner)
        finally:
            runner.run(inside.aclose())


def operation(name: str) -> Operation:
    """Return an operation by its id."""
    return next(one for one in OPERATIONS if one.id == name)


@dataclass(frozen=True)
class _JudgesHere:
    judge: Judge


class _PoolHere:
    """Judges in this process: what it judges is invented here, and judges elsewhere would not know the clock."""

    def __init__(self, line: _JudgesHere, **_bounds: int) -> None:
        self._judge = line.judge

    def judge(self, case: JudgeQuestion, on_done: Callable[[JudgeVerdict | Exception], None]) -> bool:
        """Judge at once; as the pool does, `on_done` is called later, in the loop."""
        asyncio.get_running_loop().call_soon(on_done, self._judge(case))
        return True

    def close(self) -> None:
        """There is nothing to close."""


def _datetime_of(clock: Clock) -> type[datetime]:
    class Moved(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return clock.now.astimezone(tz)

    return Moved


def _unhashed(value: Any) -> Any:
    """Leave out what is signed or hashed over ids, and keep how much of it there is."""
    match value:
        case dict():
            return {name: _hidden(one) if name in _HASHED else _unhashed(one) for name, one in value.items()}
        case list():
            return [_unhashed(one) for one in value]
        case _:
            return value


def _hidden(value: Any) -> int:
    return len(value)
