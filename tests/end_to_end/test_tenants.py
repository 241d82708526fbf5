"""Three enterprises on one gateway, each after what is another's: at every endpoint and door it gets nothing.

The doors that are queues: `tests/contract/test_queue_doors.py`, with the same `BatchSubmitter` as the folders here.
"""

import asyncio
import json
from base64 import b64encode
from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import permutations
from random import Random
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote
from uuid import uuid4

import pytest
from starlette.applications import Starlette

from gateway.app.build import App
from gateway.config.site import NewEnterprise
from gateway.doors.http.authenticate import Authenticator
from gateway.doors.http.credentials import NOBODY
from gateway.doors.http.failed_logins import Logins
from gateway.doors.http.handlers import build
from gateway.doors.http.nonces import Nonces
from gateway.doors.http.services import HttpServices
from gateway.model import EnterpriseId
from gateway.observe.metrics import Meter
from gateway.samples.compose import Composed, compose
from gateway.simulator.world import LocalWorld
from gateway.upkeep.retention import archive_dir
from spool.archive import Archive
from tests.door_node import FolderPlace
from tests.platforms import Platform, Reply, enterprises
from tests.waiting import until

ENTERPRISES = enterprises(3, dxp_ids=3)
SCRIPT = {"seed": 3, "delay_s": [0.0, 0.1], "final_only": True, "check_signatures": False}
KIND = "CEB311Message"


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """One enterprise, what it has at the gateway, and its caller."""

    who: NewEnterprise
    caller: Platform
    token: str
    place: FolderPlace
    declared: Composed
    message: str
    """Id of its message."""
    receipt: str
    """Id of the answer to it."""

    @property
    def key(self) -> str:
        (key,) = self.declared.keys
        return " ".join(f"{name}={value}" for name, value in key.items())

    def secrets(self) -> list[str]:
        """What nobody else may read anywhere."""
        (key,) = self.declared.keys
        return [self.who.id, self.who.name, self.message, key["orderNo"], self.token]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorld]:
    folder = tmp_path_factory.mktemp("tenants")
    made = LocalWorld(folder / "world", script=SCRIPT, enterprises=ENTERPRISES)
    for one in ENTERPRISES:
        file = made.site.enterprises / f"{one.id}.toml"
        file.write_text(file.read_text("utf-8") + FolderPlace.make(folder / one.id).toml(), "utf-8")
    config = made.site.config.read_text("utf-8")  # strangers are to be answered at once
    config = config.replace("[accept]\n", "[accept]\nlogin_delay_s = 0.0\n")
    config = config.replace("[metrics]\n", '[metrics]\ntoken_file = "metrics.token"\n')
    made.site.config.write_text(config, "utf-8")
    (made.site.folder / "metrics.token").write_text("for the monitor alone", "utf-8")
    with made:
        yield made


@pytest.fixture(scope="module")
def tenants(world: LocalWorld) -> Iterator[list[Tenant]]:
    with ExitStack() as stack:
        yield [_settle_in(world, one, number, stack) for number, one in enumerate(ENTERPRISES)]


def _settle_in(world: LocalWorld, one: NewEnterprise, number: int, stack: ExitStack) -> Tenant:
    """Declare something and wait for customs' answer."""
    token = world.site.tokens[EnterpriseId(one.id)]
    caller = Platform(world.address, token)
    stack.callback(caller.close)
    declared = declaration(one, seed=number)
    reply = caller.submit(declared.body)
    assert reply.status == 202, reply.body
    page = until(lambda: caller.ask("GET", "/v1/receipts?after=0").json(), lambda told: told["receipts"])
    return Tenant(
        who=one,
        caller=caller,
        token=token,
        place=FolderPlace(root=world.folder.parent / one.id),
        declared=declared,
        message=reply.json()["id"],
        receipt=page["receipts"][0]["id"],
    )


def declaration(one: NewEnterprise, *, seed: int, dxp_id: str = "") -> Composed:
    return compose(KIND, cop_code=one.cop_codes[0], dxp_id=dxp_id or one.dxp_ids[0], rng=Random(seed))


def addresses(of: Tenant) -> list[str]:
    """Every address under which something of an enterprise is read."""
    return [
        f"/v1/messages/{of.message}",
        f"/v1/messages/{of.message}/content",
        f"/v1/messages/{of.message}/evidence",
        f"/v1/messages/{of.message}/evidence?redact=true",
        f"/v1/declarations?type={KIND}&key={quote(of.key)}",
        f"/v1/receipts/{of.receipt}/content",
    ]


def nobodys(of: Tenant, address: str) -> str:
    """The same address with names that nobody has."""
    return (
        address.replace(of.message, str(uuid4()).upper())
        .replace(quote(of.key), quote(f"{of.key.rpartition('=')[0]}=NONE"))
        .replace(f"receipts/{of.receipt}", "receipts/999999999")
    )


def told(reply: Reply) -> str:
    return reply.body.decode() + json.dumps(reply.headers)


def says_nothing_of(victim: Tenant, text: str, *known: str) -> None:
    """`known`: what the attacker itself had said, and may be told again."""
    leaked = [one for one in victim.secrets() if one in text and one not in known]
    assert not leaked


def test_nobody_reads_what_is_anothers_and_nothing_tells_it_from_what_is_not_there(
    tenants: list[Tenant],
) -> None:
    for attacker, victim in permutations(tenants, 2):
        for address in addresses(victim):
            theirs = attacker.caller.ask("GET", address)
            assert theirs.status == 404, address
            says_nothing_of(victim, told(theirs).replace(address.partition("?")[0], ""))
            nothing = attacker.caller.ask("GET", nobodys(victim, address))
            assert documents_alike(theirs, nothing), address


def documents_alike(one: Reply, other: Reply) -> bool:
    """Equal but for the address that was asked for and the moment."""
    first, second = one.json(), other.json()
    first.pop("instance"), second.pop("instance")
    heads = [
        {k: v for k, v in reply.headers.items() if k not in {"date", "content-length"}}
        for reply in (one, other)
    ]
    return (one.status, first, heads[0]) == (other.status, second, heads[1])


def test_streams_hold_ones_own_answers_and_acknowledging_moves_ones_own_cursor(tenants: list[Tenant]) -> None:
    before = [one.caller.ask("GET", "/v1/receipts?after=0").json() for one in tenants]
    for one, page in zip(tenants, before, strict=True):
        assert page["receipts"]
        for other in tenants:
            if other is not one:
                says_nothing_of(other, json.dumps(page))
    attacker, *others = tenants
    reply = attacker.caller.ask("POST", "/v1/receipts/ack", b'{"cursor": 999999999}')
    assert (reply.status, reply.json()["code"]) == (400, "bad-request")
    assert attacker.caller.ask("GET", "/v1/receipts").json()["receipts"], "nothing was acknowledged"
    newest = max(receipt["cursor"] for receipt in before[0]["receipts"])
    reply = attacker.caller.ask("POST", "/v1/receipts/ack", b'{"cursor": %d}' % newest)
    assert (reply.status, reply.json()) == (200, {"cursor": newest})
    for victim in others:
        assert victim.caller.ask("GET", "/v1/receipts").json()["receipts"], "still to be acknowledged"


def test_nobody_speaks_for_another(tenants: list[Tenant], world: LocalWorld) -> None:
    refused = set()
    for attacker, victim in permutations(tenants, 2):
        as_victim = declaration(victim.who, seed=100).body
        with_its_dxp_id = declaration(attacker.who, seed=101, dxp_id=victim.who.dxp_ids[0]).body
        its_own = declaration(attacker.who, seed=102).body
        in_its_envelope = envelope(its_own, sender=victim.who.dxp_ids[0])
        refused |= {sha256(body).hexdigest() for body in (as_victim, with_its_dxp_id, its_own)}
        for body in (victim.declared.body, as_victim, with_its_dxp_id, in_its_envelope):
            reply = attacker.caller.submit(body)
            assert (reply.status, reply.json()["code"]) == (403, "not-your-identity")
            says_nothing_of(victim, told(reply))
    seen = {(line["original_sha256"], line["cop_msg_id"]) for line in world.customs_saw()}
    assert refused.isdisjoint(digest for digest, _ in seen)
    assert len({digest for digest, _ in seen}) == len(seen), "nothing goes under a second id"


def envelope(business: bytes, *, sender: str) -> bytes:
    data = b64encode(business).decode()
    return (
        '<?xml version="1.0" encoding="UTF-8"?><DxpMsg xmlns="http://www.chinaport.gov.cn/dxp" ver="1.0"><TransInfo>'
        f"<CopMsgId>{uuid4()}</CopMsgId><SenderId>{sender}</SenderId><ReceiverIds><ReceiverId>DXPEDCCEB0000002"
        "</ReceiverId></ReceiverIds><CreatTime>2026-11-11T00:00:00</CreatTime><MsgType>CEB311Message</MsgType>"
        f"</TransInfo><Data>{data}</Data></DxpMsg>"
    ).encode()


def test_a_name_for_a_request_is_ones_own(tenants: list[Tenant]) -> None:
    first, second, _ = tenants
    name = {"Idempotency-Key": "the-same-name"}
    replies = []
    for one, seed in ((first, 200), (second, 201)):
        body = declaration(one.who, seed=seed).body
        replies.append(one.caller.ask("POST", "/v1/messages", body, name))
    assert [reply.status for reply in replies] == [202, 202]
    assert replies[0].json()["id"] != replies[1].json()["id"]


def test_whoever_is_unknown_is_told_the_same_everywhere(tenants: list[Tenant], world: LocalWorld) -> None:
    tokens = ["", "x", tenants[0].token[:-1], tenants[0].token + "x", tenants[0].token.swapcase()]
    posts = [("POST", "/v1/messages"), ("POST", "/v1/receipts/ack")]
    gets = [("GET", address) for address in [*addresses(tenants[0]), "/v1/receipts"]]
    for method, address in [*posts, *gets]:
        seen = set()
        for token in tokens:
            stranger = Platform(world.address, token)
            reply = stranger.ask(method, address, b"" if method == "POST" else None)
            stranger.close()
            says_nothing_of(tenants[0], told(reply).replace(address.partition("?")[0], ""))
            document = {k: v for k, v in reply.json().items() if k != "instance"}
            seen.add((reply.status, json.dumps(document), reply.headers.get("www-authenticate")))
        assert len(seen) == 1, (address, seen)
        assert {status for status, *_ in seen} == {401}


def test_figures_that_name_enterprises_are_for_the_monitor_alone(
    tenants: list[Tenant], world: LocalWorld
) -> None:
    for attacker, victim in permutations(tenants, 2):
        reply = attacker.caller.ask("GET", "/metrics")
        assert reply.status == 401
        says_nothing_of(victim, told(reply))
    monitor = Platform(world.address, "for the monitor alone")
    assert tenants[0].who.id in monitor.ask("GET", "/metrics").body.decode()
    monitor.close()


def test_a_folder_is_a_door_for_its_own_enterprise_only(tenants: list[Tenant]) -> None:
    for attacker, victim in permutations(tenants, 2):
        name = f"as-{victim.who.id}.xml"
        attacker.place.lay(name, victim.declared.body)
        report = f"{name}.problem.json"
        assert report in until(partial(attacker.place.names, "rejected"), partial(has, report))
        text = attacker.place.read(f"rejected/{report}").decode()
        assert json.loads(text)["code"] == "not-your-identity"
        says_nothing_of(victim, text.replace(name, ""))


def has(name: str, names: list[str]) -> bool:
    return name in names


def test_the_log_of_an_attack_names_the_attacker_alone(tenants: list[Tenant], world: LocalWorld) -> None:
    assert world.gateway is not None
    attacker, victim, _ = tenants
    before = len(list(world.gateway.events))
    for address in addresses(victim):
        attacker.caller.ask("GET", address)
    attacker.caller.submit(victim.declared.body)
    world.gateway.wait_for(
        lambda line: line.get("event") == "message.refused" and _after(world, line, before)
    )
    lines: list[Any] = list(world.gateway.events)[before:]
    about = [line for line in lines if line.get("enterprise") == attacker.who.id]
    assert about
    for line in about:
        says_nothing_of(victim, json.dumps(line))


def _after(world: LocalWorld, line: Any, before: int) -> bool:
    assert world.gateway is not None
    return any(line is one for one in list(world.gateway.events)[before:])


class Watcher:
    """Passes every call on and notes its name."""

    def __init__(self, inner: object, calls: list[str]) -> None:
        self._inner, self._calls = inner, calls

    def __getattr__(self, name: str) -> Any:
        self._calls.append(name)
        return getattr(self._inner, name)


def test_the_work_for_an_answer_does_not_tell_what_is_anothers_from_what_is_not_there(
    tenants: list[Tenant], world: LocalWorld
) -> None:
    """Who waits for an answer learns from its time what the door looked up: the same for both, call for call."""
    attacker, victim, _ = tenants
    app = App(world.site.config)
    callers = Authenticator(
        app.enterprises.values(), nonces=Nonces(world.folder / "nonces"), logins=Logins(longest_s=0)
    )
    archive = Archive(archive_dir(app.config))
    calls: list[str] = []
    with closing(app.spool()) as spool:
        services = SimpleNamespace(
            spool=Watcher(spool, calls),
            archive=Watcher(archive, calls),
            authenticator=callers,
            rules=app.rules,
            meter=Meter(),
            metrics_token="",
        )
        door = build(cast("HttpServices", services))

        def work_for(address: str) -> list[str]:
            calls.clear()
            assert asyncio.run(ask(door, address, attacker.token)) == 404
            return list(calls)

        theirs = {address: work_for(address) for address in addresses(victim)}
        nowhere = {address: work_for(nobodys(victim, address)) for address in addresses(victim)}
    assert all(theirs.values())
    assert theirs == nowhere


async def ask(door: Starlette, address: str, token: str) -> int:
    """One GET without a connection; returns the status."""
    path, _, query = address.partition("?")
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"authorization", f"Bearer {token}".encode())],
        "state": {"peer": NOBODY, "known": lambda _owner: None},
    }
    said: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: MutableMapping[str, Any]) -> None:
        said.append(message)

    await door(scope, receive, send)
    return int(said[0]["status"])
