"""Who may send, at a real gateway over real sockets: TLS and certificates, signatures, quotas, reload while it works."""

import hashlib
import http.client
import json
import re
import select
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from gateway.app.build import App
from gateway.client import GatewayClient, Submitted
from gateway.config.site import NewEnterprise, Site, write_site
from gateway.doors.http.request_signature import RequestSignature, signed_headers
from gateway.model import EnterpriseId, HmacKey
from gateway.simulator.world import free_port
from gateway.views.api import CursorView, ReceiptsView
from tests.command_line import invoke, lines
from tests.documents import order
from tests.nodes import Node
from tests.platforms import Reply, enterprises
from tests.servers.certificates import Authority
from tests.waiting import PATIENCE_S, until

ANN, BOB = enterprises(2)
SECRET = "0123456789abcdef" * 4


def body(number: int = 1, *, of: NewEnterprise = ANN) -> bytes:
    """Its ebcCode is the sender's own: both enterprises have one DXP id."""
    return order(f"ORDER-{number}", cop_code=of.cop_codes[0], ebc_code=of.cop_codes[0], dxp_id=of.dxp_ids[0])


class Door(Node):
    """A node that is asked with tokens, certificates and signatures."""

    context: ssl.SSLContext | None = None

    def file(self, enterprise: str = ANN.id) -> Path:
        return self.site.enterprises / f"{enterprise}.toml"

    def ask(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        *,
        token: str = "",
        context: ssl.SSLContext | None = None,
        **headers: str,
    ) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            named["Authorization"] = f"Bearer {token}"
        with closing(self.connection(context)) as connection:
            connection.request(method, path, content, named)
            answer = connection.getresponse()
            return Reply(status=answer.status, body=answer.read(), headers=dict(answer.getheaders()))

    def connection(self, context: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
        context = context or self.context
        if context is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=PATIENCE_S, context=context)

    def submit(self, content: bytes, **asked: Any) -> Reply:
        return self.ask("POST", "/v1/messages", content, Content_Type="application/xml", **asked)

    def signed(
        self, method: str, path: str, content: bytes = b"", *, at: float = 0.0, sent: bytes | None = None
    ) -> Callable[[], Reply]:
        """Sign a request; what is returned sends it, each time the same."""
        request = RequestSignature(
            method=method,
            target=path,
            key="ann-1",
            timestamp=str(int(at or time.time())),
            nonce=token_hex(12),
            content_sha256=sha256(content).hexdigest(),
        )
        headers = signed_headers(request, SECRET.encode())
        asked: dict[str, Any] = {name.replace("-", "_"): value for name, value in headers.items()}
        return lambda: self.ask(method, path, content if sent is None else sent, **asked)

    def journal(self) -> list[str]:
        """What is written down for ever about messages."""
        with closing(App(self.site.config).spool()) as spool:
            written = [line.event for line in spool.lines(after=0, up_to=10_000)]
        return [event for event in written if event.startswith("message.")]


def rules(reply: Reply) -> list[str]:
    return [fault["rule"] for fault in reply.json()["faults"]]


def run(
    folder: Path,
    *,
    accept: str = "",
    tables: dict[str, str] | None = None,
    before: Callable[[Site], None] = lambda _: None,
) -> Iterator[Door]:
    """A gateway; `tables`: enterprise → what is put into its file; `accept` into gateway.toml."""
    site = write_site(folder / "site", enterprises=(ANN, BOB), port=free_port())
    text = site.config.read_text()
    site.config.write_text(text.replace("\n[accept.limits]\n", f"{accept}\n[accept.limits]\n"))
    (site.enterprises / "ann.hmac").write_text(f"{SECRET}\n")
    for name, table in (tables or {}).items():
        file = site.enterprises / f"{name}.toml"
        file.write_text(f"{file.read_text()}\n{table}\n")
    before(site)
    with Door(site, folder / "run.log").running() as node:
        yield node
    logged = (folder / "run.log").read_text()
    assert not any(secret in logged for secret in (SECRET, *site.tokens.values()))


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Door]:
    table = '[[hmac]]\nkey = "ann-1"\nsecret_file = "ann.hmac"'
    yield from run(tmp_path, tables={ANN.id: table})


def test_signed_request_is_taken_once_and_a_replay_not_even_by_the_next_process(node: Door) -> None:
    submit = node.signed("POST", "/v1/messages?dry_run=false", body())
    first = submit()
    assert first.status == 202, first.body
    again = submit()
    assert (again.status, rules(again)) == (401, ["signature_nonce"])
    node.kill("accept")
    after = submit()
    assert (after.status, rules(after)) == (401, ["signature_nonce"])
    anew = node.signed("POST", "/v1/messages", body())()
    assert (anew.status, anew.json()["id"]) == (200, first.json()["id"])


def test_signed_request_that_was_changed_on_its_way_or_comes_at_the_wrong_time_is_not_taken(
    node: Door,
) -> None:
    other = node.signed("POST", "/v1/messages", body(1), sent=body(2))()
    assert (other.status, rules(other)) == (401, ["signature_body"])
    for seconds in (-302, 302 + PATIENCE_S):  # a second more is a second less when it comes
        late = node.signed("POST", "/v1/messages", body(), at=time.time() + seconds)()
        assert (late.status, rules(late)) == (401, ["signature_time"])
    assert node.journal() == []


def test_whole_api_is_open_to_signed_requests(node: Door) -> None:
    uid = node.signed("POST", "/v1/messages", body())().json()["id"]
    assert node.signed("GET", f"/v1/messages/{uid}")().json()["id"] == uid
    assert node.signed("GET", f"/v1/messages/{uid}/content")().body == body()
    assert node.signed("GET", "/v1/receipts?after=0&limit=5")().status == 200
    acknowledged = b'{"cursor":0}'
    assert node.signed("POST", "/v1/receipts/ack", acknowledged)().status == 200
    wrong = node.signed("POST", "/v1/receipts/ack", acknowledged, sent=b'{"cursor":9}')()
    assert (wrong.status, rules(wrong)) == (401, ["signature_body"])


def test_signature_made_by_openssl_and_curl_as_the_manual_says_is_understood(
    node: Door, tmp_path: Path
) -> None:
    manual = (Path(__file__).parents[2] / "docs" / "http-api.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```sh\n(KEY=.*?)```", manual, re.DOTALL)
    (tmp_path / "payment.xml").write_bytes(body())
    script = f"URL=http://127.0.0.1:{node.port}\n{script}"
    script = script.replace("demo-1.hmac", str(node.site.enterprises / "ann.hmac")).replace("demo-1", "ann-1")
    ran = subprocess.run(
        ["bash", "-euc", script], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    assert "202 Accepted" in ran.stdout, ran.stdout
    assert hashlib.sha256(body()).hexdigest() in ran.stdout


def test_client_signs_every_request_anew(node: Door) -> None:
    key = HmacKey(id="ann-1", secret=SECRET.encode())
    with closing(GatewayClient(f"http://127.0.0.1:{node.port}", hmac_key=key)) as client:
        first, again = client.submit(body()), client.submit(body())
        assert isinstance(first, Submitted)
        assert isinstance(again, Submitted)
        assert (first.first, again.first) == (True, False)
        assert isinstance(client.receipts(after=0), ReceiptsView)
        assert isinstance(client.acknowledge(0), CursorView)


WRONG = (("GET", "/v1/receipts", None), ("POST", "/v1/messages", body()))


def test_failed_logins_wait_and_are_logged_and_hold_up_nobody(node: Door) -> None:
    numbers = count()
    began = time.monotonic()
    with ExitStack() as stack:

        def knock(number: int) -> http.client.HTTPConnection:
            """Send a request with a wrong token; the answer is left to be read."""
            method, path, content = WRONG[number % 2]
            connection = stack.enter_context(closing(node.connection()))
            connection.request(method, path, content, {"Authorization": "Bearer wrong"})
            return connection

        def overtaken() -> bool:
            """Whether what is right is answered before what was wrong and came first."""
            knocking.append(knock(1))
            assert node.submit(body(next(numbers)), token=node.token(ANN.id)).status == 202
            return not select.select([knocking[-1].sock], [], [], 0)[0]

        knocking = [knock(number) for number in range(16)]
        until(overtaken)
        assert {one.getresponse().status for one in knocking} == {401}
    assert time.monotonic() - began >= 3.0
    (line,) = node.events("login.failed")
    assert (line["address"], line["way"], line["failures"]) == ("127.0.0.1", "token", 1)


@pytest.fixture
def bounded(tmp_path: Path) -> Iterator[Door]:
    bounds = 'message_types = ["CEB411Message"]\naddresses = ["10.1.0.0/16"]'
    quota = "[quota]\nmessages_per_minute = 3\nbytes_per_minute = 1000000"
    yield from run(
        tmp_path,
        accept='trusted_proxies = ["127.0.0.1"]',
        tables={BOB.id: bounds, ANN.id: quota},
    )


def test_quota_refuses_with_the_time_to_wait_and_nothing_durable(bounded: Door) -> None:
    found = [bounded.submit(body(number), token=bounded.token(ANN.id)) for number in range(4)]
    assert [one.status for one in found] == [202, 202, 202, 429]
    assert rules(found[-1]) == ["quota_messages_per_minute"]
    assert found[-1].json()["code"] == "quota-exceeded"
    assert 1 <= int(found[-1].headers["retry-after"]) <= 20
    assert bounded.journal().count("message.accepted") == 3
    assert "message.refused" not in bounded.journal()
    assert bounded.ask("GET", "/v1/receipts", token=bounded.token(ANN.id)).status == 200, (
        "reading is not bounded"
    )
    assert bounded.ask("POST", "/v1/messages?dry_run=true", body(), token=bounded.token(ANN.id)).status == 429


@pytest.fixture
def jammed(tmp_path: Path) -> Iterator[Door]:
    """Nobody takes what goes out, because the folder that it goes to is not there."""
    yield from run(tmp_path, tables={ANN.id: "[quota]\nopen_entries = 2"}, before=jam)


def jam(site: Site) -> None:
    (site.state / "outbox").rename(site.state / "away")


def test_quota_of_what_waits_lets_in_again_when_it_has_gone(jammed: Door) -> None:
    found = [jammed.submit(body(number), token=jammed.token(ANN.id)) for number in range(3)]
    assert [one.status for one in found] == [202, 202, 429]
    assert rules(found[-1]) == ["quota_open_entries"]
    jammed.process.wait_for_event("entry.deferred")
    assert jammed.submit(body(of=BOB), token=jammed.site.tokens[EnterpriseId(BOB.id)]).status == 202, (
        "who has none is free"
    )

    (jammed.site.state / "away").rename(jammed.site.state / "outbox")
    let_in = until(
        lambda: jammed.submit(body(9), token=jammed.token(ANN.id)), lambda told: told.status != 429
    )
    assert let_in.status == 202


def test_enterprise_is_bound_to_its_addresses_and_message_types(bounded: Door) -> None:
    token = bounded.site.tokens[EnterpriseId(BOB.id)]
    elsewhere = bounded.ask("GET", "/v1/receipts", token=token)
    assert (elsewhere.status, rules(elsewhere)) == (403, ["address_not_yours"])
    assert bounded.ask("GET", "/v1/receipts", token=token, X_Forwarded_For="10.1.9.9").status == 200
    refused = bounded.submit(body(of=BOB), token=token, X_Forwarded_For="10.1.9.9")
    assert (refused.status, refused.json()["code"]) == (403, "not-your-identity")
    assert rules(refused) == ["type_not_yours"]


@dataclass(frozen=True, kw_only=True)
class Secured:
    node: Door
    folder: Path
    anns: ssl.SSLContext
    strangers: ssl.SSLContext


def shows(folder: Path, name: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=folder / "ca.crt")
    if name:
        context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    return context


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[Secured]:
    ours, theirs = Authority("Test CA"), Authority("Another CA")
    ours.write(tmp_path / "ca.crt")
    ours.issue("door", tmp_path / "door.crt", tmp_path / "door.key", server=True)
    for name in ("ann", "stranger"):
        ours.issue(name, tmp_path / f"{name}.crt", tmp_path / f"{name}.key")
    theirs.issue("foreign", tmp_path / "foreign.crt", tmp_path / "foreign.key")
    fingerprint = subprocess.run(
        ["openssl", "x509", "-in", str(tmp_path / "ann.crt"), "-noout", "-fingerprint", "-sha256"],
        capture_output=True, text=True, check=True,
    ).stdout.strip().rpartition("=")[2]  # fmt: skip
    accept = "".join(
        f'\n{name} = "{tmp_path / file}"'
        for name, file in (("certificate", "door.crt"), ("key", "door.key"), ("client_ca", "ca.crt"))
    )
    for found in run(
        tmp_path,
        accept=f"[accept.tls]{accept}",
        tables={ANN.id: f'certificate_sha256 = ["{fingerprint}"]'},
    ):
        found.context = shows(tmp_path, "")
        yield Secured(
            node=found, folder=tmp_path, anns=shows(tmp_path, "ann"), strangers=shows(tmp_path, "stranger")
        )


def test_client_certificate_lets_in_its_enterprise_alone_and_tokens_go_on(secured: Secured) -> None:
    node = secured.node
    assert node.process.wait_for_event("node.listening")["address"].startswith("https://")
    first = node.submit(body(), context=secured.anns)
    assert first.status == 202, first.body
    assert node.ask("GET", first.headers["location"], context=secured.anns).status == 200
    assert node.submit(body(2), token=node.token(ANN.id)).status == 202
    assert node.submit(body(3)).status == 401, "neither token nor certificate"
    assert node.submit(body(3), context=secured.strangers).status == 401, (
        "a certificate nobody has registered"
    )
    assert node.ask("GET", "/v1/receipts", context=secured.strangers).status == 401
    bobs = node.token(BOB.id)
    assert node.ask("GET", "/v1/receipts", token=bobs, context=secured.anns).status == 401, "two at once"
    assert node.ask("GET", "/v1/receipts", token=bobs).status == 200


def test_client_shows_its_certificate(secured: Secured) -> None:
    address = f"https://127.0.0.1:{secured.node.port}"
    with closing(GatewayClient(address, tls=secured.anns)) as client:
        assert isinstance(client.submit(body()), Submitted)
    with closing(GatewayClient(address, secured.node.token(ANN.id), tls=secured.strangers)) as client:
        assert isinstance(client.receipts(after=0), ReceiptsView), "a token is enough"


def test_certificate_of_another_issuer_and_old_tls_end_the_handshake(secured: Secured) -> None:
    node = secured.node
    with pytest.raises((ssl.SSLError, ConnectionError)):
        node.submit(body(), context=shows(secured.folder, "foreign"))
    old = shows(secured.folder, "")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        node.submit(body(), token=node.token(ANN.id), context=old)
    secure, node.context = node.context, None
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        node.ask("GET", "/healthz")
    node.context = secure
    assert node.ask("GET", "/healthz").status == 200
    checked = {line["name"]: line for line in lines(invoke("check", "-c", node.site.config, "--json"))}
    assert checked["TLS at the door"]["grade"] == "warn", "it ends tomorrow"


def test_changed_files_of_enterprises_are_taken_up_while_requests_go_on(node: Door) -> None:
    statuses: list[int] = []
    enough = threading.Event()

    def platform() -> None:
        number = 0
        while not enough.is_set():
            number += 1
            statuses.append(node.submit(body(number), token=node.token(ANN.id)).status)

    busy = threading.Thread(target=platform)
    busy.start()
    try:
        rotated = invoke("enterprise", "rotate-token", ANN.id, "-c", node.site.config, "--json")
        (line,) = lines(rotated)
        node.process.wait_for_event("node.reloaded", 60)
        assert node.ask("GET", "/v1/receipts", token=line["token"]).status == 200
        added = invoke(
            "enterprise",
            "add",
            "carol",
            "--cop-code",
            "1",
            "--dxp-id",
            "D1",
            "-c",
            node.site.config,
            "--json",
        )
        (carol,) = lines(added)
        node.process.wait_for(lambda _: len(node.events("node.reloaded")) == 2, 60)
        assert node.ask("GET", "/v1/receipts", token=carol["token"]).status == 200

        whole = node.file("carol").read_text()
        node.file("carol").write_text("cop_codes = [")
        gone = node.process.wait_for_event("config.left_out", 60)
        assert (gone["kind"], gone["part"], "carol.toml" in gone["error"]) == ("enterprise", "carol", True)
        node.process.wait_for(lambda _: len(node.events("node.reloaded")) == 3, 60)
        assert node.ask("GET", "/v1/receipts", token=carol["token"]).status == 401, "it is left out"
        node.file("carol").write_text(whole.replace("disabled = false", "disabled = true"))
        node.process.wait_for(lambda _: len(node.events("node.reloaded")) == 4, 60)
        assert node.ask("GET", "/v1/receipts", token=carol["token"]).status == 401
    finally:
        enough.set()
        busy.join()
    assert set(statuses) == {202}, "no request was dropped"
    assert len(statuses) > 5
    assert len(node.events("config.left_out")) == 1, "said once"
    assert (
        json.loads(invoke("enterprise", "list", "-c", node.site.config, "--json").stdout.splitlines()[1])[
            "tokens"
        ]
        == 2
    )
