"""Every status and problem that docs/http-api.md promises, got from the running door, as it promises it."""

import hashlib
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from gateway.config.site import NewEnterprise
from gateway.doors.http.operations import OPERATIONS, PROBLEM_HEADERS, QUERIES, Operation, problems_of
from gateway.model import EnterpriseId, Envelope
from gateway.problems import MEDIA_TYPE, PROBLEMS, TYPE_BASE
from gateway.samples.compose import compose
from gateway.simulator.world import LocalWorld
from gateway.xml.envelope import wrap
from signing.keys.files import load_pem
from signing.xml.splice import sign
from tests.generated import REPOSITORY
from tests.platforms import NotNow, Platform, Reply, rng

OURS = NewEnterprise(id="ours", name="Ours", cop_codes=("4400000001",), dxp_ids=("DXPENT0000000001",))
NOBODYS_ID = "01A200C3-CA5A-7F1A-B0CE-28A533CF2BF5"
TOKEN_FAULT: dict[str, str] = {"Authorization": "Bearer wrong"}

TESTED_ELSEWHERE = {
    "unknown-mapping": "422: tests/end_to_end/test_translation.py",
    "not-json": "422: tests/end_to_end/test_translation.py",
    "not-csv": "422: tests/end_to_end/test_translation.py",
    "not-xlsx": "422: tests/end_to_end/test_goods.py",
    "invalid-register": "422: tests/end_to_end/test_goods.py",
    "untranslatable": "422: tests/end_to_end/test_translation.py",
    "too-slow": "408: tests/security/test_http_slow.py",
    "version-not-supported": "505: tests/security/test_http_requests.py",
    "advice-blocks": "422: tests/end_to_end/test_advice.py",
    "too-expensive": "422: tests/security/test_isolation.py",
    "quota-exceeded": "429: belongs to the tests of the quotas, which come with them",
    "unavailable": "503: test_503_is_answered_at_a_watermark below; a full disk in test_watermarks.py",
    "internal-error": "500: test_500_is_a_problem_document_and_says_nothing_of_the_inside below",
}
"""Problems that take a node of their own to bring about; a problem is either here or in ASKED."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A request that is refused."""

    method: str = "POST"
    path: str = "/v1/messages"
    body: bytes | None = None
    headers: dict[str, str] | None = None
    before: tuple[bytes, ...] = ()
    """Handed in first, with the same headers, and accepted."""


def order(seed: int, kind: str = "CEB311Message", **changes: str) -> bytes:
    body = compose(kind, cop_code=OURS.cop_codes[0], dxp_id=OURS.dxp_ids[0], rng=rng(seed)).body.decode()
    for before, after in changes.items():
        assert f"<ceb:{before}>" in body
        body = re.sub(f"<ceb:{before}>[^<]*<", f"<ceb:{before}>{after}<", body)
    return body.encode()


def dxp_msg(business: bytes, *, cop_msg_id: str = "STATUS-TEST-1", data: bytes | None = None) -> bytes:
    head = Envelope(
        cop_msg_id=cop_msg_id, sender_id=OURS.dxp_ids[0], receiver_ids=("DXPEDCCEB0000002",),
        creat_time="2024-11-11T00:00:01", msg_type="CEB311Message",
    )  # fmt: skip
    return wrap(business, head) if data is None else wrap(business, head).replace(b"<Data>", b"<Data>" + data)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorld]:
    with LocalWorld(tmp_path_factory.mktemp("statuses"), enterprises=(OURS,), families=("import",)) as world:
        yield world


def signed(world: LocalWorld, body: bytes) -> bytes:
    return sign(body, load_pem(world.site.key, world.site.certificate)).body


Asking = Callable[[LocalWorld], Ask]
ASKED: dict[str, Asking] = {
    "bad-request": lambda _: Ask(path="/v1/messages?dry_run=yes", body=order(1)),
    "unauthorised": lambda _: Ask(body=order(1), headers=TOKEN_FAULT),
    "not-your-identity": lambda _: Ask(body=order(1, copCode="9999999999")),
    "not-found": lambda _: Ask(method="GET", path=f"/v1/messages/{NOBODYS_ID}"),
    "method-not-allowed": lambda _: Ask(method="DELETE"),
    "conflicting-version": lambda _: Ask(body=order(2) + b"\n", before=(order(2),)),
    "cop-msg-id-taken": lambda world: Ask(
        body=dxp_msg(signed(world, order(4))), before=(dxp_msg(signed(world, order(3))),)
    ),
    "idempotency-key-taken": lambda _: Ask(
        body=order(11), headers={"Idempotency-Key": "status"}, before=(order(10),)
    ),
    "not-yet": lambda _: Ask(method="GET", path="/v1/messages/{id}/evidence", before=(order(5),)),
    "too-large": lambda _: Ask(body=b"", headers={"Content-Length": str(100 << 20)}),
    "target-too-long": lambda _: Ask(method="GET", path=f"/v1/receipts?after={'1' * 8192}"),
    "head-too-large": lambda _: Ask(method="GET", path="/healthz", headers={"X": "x" * 65536}),
    "unsupported-media-type": lambda _: Ask(body=b"a,b", headers={"Content-Type": "text/csv"}),
    "not-xml": lambda _: Ask(body=b"hello"),
    "unsafe-xml": lambda _: Ask(body=b'<!DOCTYPE x [<!ENTITY e "e">]><x>&e;</x>'),
    "wrong-encoding": lambda _: Ask(body=b'<?xml version="1.0" encoding="Big5"?><a/>'),
    "unknown-message": lambda _: Ask(body=b"<CEB999Message/>"),
    "invalid-envelope": lambda _: Ask(body=dxp_msg(order(6), data=b"!")),
    "invalid-message": lambda _: Ask(body=order(7, currency="840")),
    "invalid-signature": lambda world: Ask(
        body=signed(world, order(8)).replace("样例".encode(), "例样".encode(), 1)
    ),
    "no-route": lambda _: Ask(body=order(9, "CEB303Message")),
}
"""Problem → what brings it about."""


@pytest.fixture
def platform(world: LocalWorld) -> Iterator[Platform]:
    with closing(Platform(world.address, world.site.tokens[EnterpriseId(OURS.id)])) as platform:
        yield platform


def once(platform: Platform, ask: Ask, **known: str) -> Reply:
    """One answer, also when it asks to come again."""
    try:
        return platform.once(ask.method, ask.path.format(**known), ask.body, ask.headers)
    except NotNow as asked:
        return asked.reply


def promised(reply: Reply, code: str) -> dict[str, Any]:
    document: dict[str, Any] = reply.json()
    problem = PROBLEMS[code]
    assert (reply.status, document["code"]) == (problem.status.value, code), document
    assert reply.headers["content-type"] == MEDIA_TYPE
    assert (document["type"], document["status"]) == (TYPE_BASE + code, problem.status.value)
    assert (document["title"], document["title_zh"]) == (problem.title, problem.title_zh)
    header = PROBLEM_HEADERS.get(code)
    if header is not None:
        assert reply.headers[header.name.lower()]
    return document


def test_every_problem_is_brought_about() -> None:
    assert ASKED.keys() | TESTED_ELSEWHERE.keys() == PROBLEMS.keys()
    assert not ASKED.keys() & TESTED_ELSEWHERE.keys()


def test_every_problem_of_the_contract_is_one_of_an_operation() -> None:
    named = {code for one in OPERATIONS for codes in problems_of(one).values() for code in codes}
    assert named == PROBLEMS.keys() - {"method-not-allowed"}, "that one is of no operation"


@pytest.mark.parametrize("code", ASKED)
def test_problem_comes_with_its_status_type_and_titles(
    world: LocalWorld, platform: Platform, code: str
) -> None:
    ask = ASKED[code](world)
    known = {}
    for body in ask.before:
        accepted = platform.once("POST", "/v1/messages", body, ask.headers)
        assert accepted.status == 202, accepted.body
        known["id"] = accepted.json()["id"]
    document = promised(once(platform, ask, **known), code)
    for fault in document["faults"]:
        assert fault["message"]
        assert fault["message_zh"]
    if code == "method-not-allowed":
        allowed = once(platform, ask).headers["allow"]
        assert allowed == "POST"
    if code == "not-yet":
        reply = once(platform, ask, **known)
        assert int(reply.headers["retry-after"]) > 0


def test_202_then_200_with_the_place_and_200_for_a_dry_run(platform: Platform) -> None:
    checked = platform.once("POST", "/v1/messages?dry_run=true", order(20))
    first = platform.once("POST", "/v1/messages", order(20))
    again = platform.once("POST", "/v1/messages", order(20))
    assert (checked.status, first.status, again.status) == (200, 202, 200)
    assert (checked.json()["state"], checked.json()["id"]) == ("valid", "")
    assert first.headers["location"] == again.headers["location"] == f"/v1/messages/{first.json()['id']}"
    assert platform.once("GET", first.headers["location"]).status == 200


@pytest.mark.parametrize(
    "asked", ["limit=0", "limit=1001", "wait=61", "wait=-1", "after=x", f"after={10**18}", "limit="]
)
def test_parameter_out_of_its_bounds_is_400_and_named(platform: Platform, asked: str) -> None:
    document = promised(platform.once("GET", f"/v1/receipts?{asked}"), "bad-request")
    assert document["faults"][0]["path"] == asked.partition("=")[0]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.id)
def test_parameter_that_an_operation_does_not_have_is_400_and_nothing_is_done(
    world: LocalWorld, platform: Platform, operation: Operation
) -> None:
    path = operation.path.replace("{id}", NOBODYS_ID if "messages" in operation.path else "1")
    body = order(40) if operation.id == "submitMessage" else b"{}"
    method = operation.method.upper()
    document = promised(
        platform.once(method, f"{path}?nosuch=1", body if method == "POST" else None), "bad-request"
    )
    (fault,) = document["faults"]
    assert (fault["path"], fault["rule"]) == ("nosuch", "unknown_parameter")
    for name in QUERIES[f"{method} {operation.path}"]:
        assert name in fault["fix"]
    with closing(sqlite3.connect(world.site.state / "spool.db")) as spool:
        digest = hashlib.sha256(order(40)).digest()
        assert spool.execute("SELECT uid FROM message WHERE sha256 = ?", (digest,)).fetchall() == []


@pytest.mark.parametrize(
    "written", ["dryrun=true", "dry-run=true", "DRY_RUN=true", "dryRun=true", "dry_runs"]
)
def test_dry_run_that_is_misspelt_declares_nothing(platform: Platform, written: str) -> None:
    document = promised(platform.once("POST", f"/v1/messages?{written}", order(41)), "bad-request")
    assert document["faults"][0]["fix"] == "did you mean dry_run?"


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("CEB621Message", "copNo=1 agentCode=2"),
        ("CEB621Message", "agentCode=1 copno=2"),
        ("CEB621Message", "agentCode=1,copNo=2"),
        ("CEB621Message", "agentCode=1  copNo=2"),
        ("CEB621Message", "agentCode=1 copNo="),
        ("CEB621Message", "C8604518043168101"),
        ("CEB621Message", "CEB622Message agentCode=1 copNo=2"),
        ("CEB311Message", "orderNo=1"),
        ("CEB622Message", "agentCode=1 copNo=2"),
        ("CEB999Message", "agentCode=1 copNo=2"),
    ],
)
def test_key_that_is_mis_written_is_400_with_the_right_form(
    world: LocalWorld, platform: Platform, kind: str, key: str
) -> None:
    asked = f"/v1/declarations?type={kind}&key={quote(key)}"
    (fault,) = promised(platform.once("GET", asked), "bad-request")["faults"]
    right = {
        "CEB621Message": "agentCode=… copNo=… or copNo=… or preNo=…",
        "CEB311Message": "ebpCode=… ebcCode=… orderNo=…",
    }
    assert right.get(kind, "did you mean CEB") in fault["fix"]
    assert fault["message_zh"]


@pytest.mark.parametrize("key", ["agentCode=1 copNo=2", "copNo=2", "invtNo=3", "CEB621Message preNo=4"])
def test_key_that_is_well_written_and_of_nothing_is_404(platform: Platform, key: str) -> None:
    promised(platform.once("GET", f"/v1/declarations?type=CEB621Message&key={quote(key)}"), "not-found")


def test_acknowledgement_beyond_the_newest_receipt_is_400(platform: Platform) -> None:
    newest = platform.once("GET", "/v1/receipts?after=0&limit=1000").json()["cursor"]
    document = promised(
        platform.once("POST", "/v1/receipts/ack", b'{"cursor": %d}' % (newest + 10**6)), "bad-request"
    )
    assert document["faults"][0]["path"] == "/cursor"
    assert platform.once("POST", "/v1/receipts/ack", b'{"cursor": 0}').status == 200


@pytest.mark.parametrize("number", ["1" * 30, "0" * 5000, "-1", "1.0", "x", "%00"])
def test_id_that_can_be_nobodys_is_404(platform: Platform, number: str) -> None:
    promised(platform.once("GET", f"/v1/receipts/{number}/content"), "not-found")
    promised(platform.once("GET", f"/v1/messages/{number}"), "not-found")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"cursor": -1}', b'{"cursor": 1e30}', b'{"cursor": 1.5}', b'{"cursor": "1"}', b'{"cursor": 1, "more": 2}', b"\xff"]
)  # fmt: skip
def test_acknowledgement_that_is_none_is_400(platform: Platform, body: bytes) -> None:
    promised(platform.once("POST", "/v1/receipts/ack", body), "bad-request")


def test_idempotency_key_is_never_cut(platform: Platform) -> None:
    key = "k" * 255
    assert platform.once("POST", "/v1/messages", order(21), {"Idempotency-Key": key}).status == 202
    longer = platform.once("POST", "/v1/messages", order(22), {"Idempotency-Key": f"{key}2"})
    promised(longer, "bad-request")


def test_500_is_a_problem_document_and_says_nothing_of_the_inside(
    world: LocalWorld, platform: Platform
) -> None:
    uid = platform.once("POST", "/v1/messages", order(30)).json()["id"]
    with closing(sqlite3.connect(world.site.state / "spool.db")) as spool, spool:
        changed = spool.execute("UPDATE message SET facts = 'a broken row' WHERE uid = ?", (uid,))
        assert changed.rowcount == 1
    reply = platform.once("GET", f"/v1/messages/{uid}")
    promised(reply, "internal-error")
    assert reply.json()["faults"] == []
    assert b"broken" not in reply.body
    assert platform.once("POST", "/v1/messages", order(31)).status == 202, "the door goes on"


def test_503_is_answered_at_a_watermark(tmp_path: Path) -> None:
    world = LocalWorld(tmp_path, enterprises=(OURS,))
    text = world.site.config.read_text("utf-8")
    assert "\n[watermarks]\n" in text
    marks = f"\n[watermarks]\nfree_bytes_warn = {1 << 62}\nfree_bytes_refuse = {1 << 61}\n"
    world.site.config.write_text(text.replace("\n[watermarks]\n", marks), "utf-8")
    with world, closing(Platform(world.address, world.site.tokens[EnterpriseId(OURS.id)])) as platform:
        reply = once(platform, Ask(body=order(1)))
        ready = once(platform, Ask(method="GET", path="/readyz"))
    document = promised(reply, "unavailable")
    assert int(reply.headers["retry-after"]) > 0
    assert "free_bytes_refuse" in document["faults"][0]["message"] + document["faults"][0]["rule"]
    assert (ready.status, ready.json()["status"]) == (503, "not ready")


def test_statuses_of_the_page_are_those_of_the_contract() -> None:
    page = (REPOSITORY / "docs" / "http-api.md").read_text("utf-8")
    rows = re.findall(r"^\|((?: `\d{3}`)+) \|", page, re.MULTILINE)
    told = {int(status) for row in rows for status in re.findall(r"\d{3}", row)}
    (submit,) = [one for one in OPERATIONS if one.id == "submitMessage"]
    assert told == submit.replies.keys() | problems_of(submit).keys()
