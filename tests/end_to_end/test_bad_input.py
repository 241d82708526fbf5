"""Garbage on every door: a documented status, a place, nothing stored but a journal line, nobody dies."""

import base64
import http.client
import json
import os
import random
import re
import socket
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.config.site import NewEnterprise, write_site
from gateway.model import Envelope
from gateway.samples.compose import compose
from gateway.simulator.world import free_port
from gateway.xml.envelope import wrap
from signing.keys.files import load_pem
from signing.xml.splice import sign
from tests.nodes import Node
from tests.platforms import Platform

OURS = NewEnterprise(id="ours", name="Ours", cop_codes=("4400000001",), dxp_ids=("DXPENT0000000001",))
THEIRS = NewEnterprise(id="theirs", name="Theirs", cop_codes=("4401000002",), dxp_ids=("DXPENT0000000002",))


class Counted(Node):
    """A node whose tables are counted."""

    def rows(self, table: str) -> int:
        with closing(sqlite3.connect(self.site.state / "spool.db")) as connection:
            (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(count)

    def sent(self, uid: str) -> dict[str, Any]:
        """Wait until the message has gone out."""
        return self.event("entry.sent", message_id=uid)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counted]:
    folder = tmp_path_factory.mktemp("node")
    site = write_site(folder / "site", enterprises=(OURS, THEIRS), port=free_port())
    with Counted(site, folder / "run.log").running() as made:
        yield made
        restarts = made.events("role.restarted", "role.failed")
    assert restarts == [], "no role died of bad input"


def good(kind: str = "CEB311Message", *, seed: int = 1, bodies: int = 1, of: NewEnterprise = OURS) -> bytes:
    rng = random.Random(seed)
    return compose(kind, cop_code=of.cop_codes[0], dxp_id=of.dxp_ids[0], rng=rng, bodies=bodies).body


def wrapped(business: bytes, **changes: str) -> bytes:
    envelope = Envelope(
        cop_msg_id="6F9619FF-8B86-D011-B42D-00CF4FC964FF",
        sender_id=OURS.dxp_ids[0],
        receiver_ids=("DXPEDCCEB0000002",),
        creat_time="2026-11-11T00:00:00",
        msg_type="CEB311Message",
    )
    text = wrap(business, envelope).decode()
    for before, after in changes.items():
        text = text.replace(before, after)
    return text.encode()


def twice() -> bytes:
    """The same declaration as it is, and with another buyer behind it."""
    head, body, tail = re.fullmatch(rb"(.*?)(<ceb:Order>.*</ceb:Order>)(.*)", good(), re.DOTALL).groups()  # type: ignore[union-attr]
    return head + body + re.sub(rb"(?<=<ceb:buyerName>)[^<]+", b"X", body) + tail


LAUGHS = b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">%s]><l>&z;</l>' % b"".join(
    b'<!ENTITY %c "&%c;&%c;&%c;&%c;">' % ((chr(98 + n).encode()[0],) + (chr(97 + n).encode()[0],) * 4)
    for n in range(24)
)
EXTERNAL = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>'

BAD = {
    "empty": (b"", 422, "not-xml", "not_xml"),
    "not XML": (b"hello", 422, "not-xml", "not_xml"),
    "truncated": (good()[:-30], 422, "not-xml", "not_xml"),
    "billion laughs": (LAUGHS, 422, "unsafe-xml", "doctype"),
    "external entity": (EXTERNAL, 422, "unsafe-xml", "doctype"),
    "deep nesting": (b"<a>" * 200 + b"</a>" * 200, 422, "unsafe-xml", "depth"),
    "very deep nesting": (b"<a>" * 50_000 + b"</a>" * 50_000, 422, "unsafe-xml", "depth"),
    "wrong bytes": (good().replace("件".encode(), b"\xff\xfe", 1).replace(b"</", b"\xff</", 1), 422, "wrong-encoding", "encoding"),
    "unsupported encoding": (b'<?xml version="1.0" encoding="Big5"?><a/>', 422, "wrong-encoding", "encoding"),
    "UTF-16": ("<a/>".encode("utf-16"), 422, "wrong-encoding", "encoding"),
    "unknown root": (b"<CEB999Message/>", 422, "unknown-message", "unknown_root"),
    "right root, wrong namespace": (
        good().replace(b"http://www.chinaport.gov.cn/ceb", b"http://www.example.net/ceb"),
        422, "unknown-message", "wrong_namespace",
    ),
    "a receipt": (
        b'<CEB312Message xmlns="http://www.chinaport.gov.cn/ceb"/>', 422, "unknown-message", "not_a_declaration",
    ),
    "101 bodies": (good(bodies=101), 422, "invalid-message", "too_many"),
    "another edition": (
        good("CEB303Message").replace(b"<ceb:ebpCode>", b"<ceb:ebpCode>01234567890123456789"),
        422, "invalid-message", "too_long",
    ),
    "broken Base64": (wrapped(good(), **{"<Data>": "<Data>!"}), 422, "invalid-envelope", "envelope"),
    "one declaration in two ways": (twice(), 409, "conflicting-version", "conflict_version"),
    "another's copCode": (good(of=THEIRS), 403, "not-your-identity", ""),
    "another's SenderId": (
        wrapped(good(), **{OURS.dxp_ids[0]: THEIRS.dxp_ids[0]}), 403, "not-your-identity", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_with_its_place_and_leaves_nothing(node: Counted, name: str) -> None:
    body, status, problem, rule = BAD[name]
    before = node.rows("message"), node.rows("payload"), node.rows("journal WHERE event LIKE 'message.%'")
    with closing(node.platform("ours")) as platform:
        reply = platform.once("POST", "/v1/messages", body)
    document = reply.json()
    assert (reply.status, document["code"]) == (status, problem), document
    assert reply.headers["content-type"] == "application/problem+json"
    assert document["title_zh"]
    assert document["faults"]
    assert not rule or rule in {fault["rule"] for fault in document["faults"]}, document["faults"][:3]
    for fault in document["faults"]:
        assert fault["message"]
        assert fault["message_zh"]
        assert fault["line"] or fault["path"], fault
    assert (node.rows("message"), node.rows("payload")) == before[:2]
    assert node.rows("journal WHERE event LIKE 'message.%'") == before[2] + 1


@pytest.mark.parametrize("header", ["", "Bearer ", "Bearer wrong", "Basic b3VyczpvdXJz", "Bearer \xff"])
def test_missing_or_wrong_token_is_401_before_the_body_is_read(node: Counted, header: str) -> None:
    with closing(Platform(node.address, "")) as platform:
        reply = platform.once("POST", "/v1/messages", good(), {"Authorization": header})
    assert reply.status == 401
    assert reply.json()["code"] == "unauthorised"
    assert "Bearer" in reply.headers["www-authenticate"]


def test_100_mb_is_413_and_memory_stays_flat(node: Counted) -> None:
    def resident_kb() -> int:
        status = Path(f"/proc/{node.pid('accept')}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))

    with closing(node.platform("ours")) as platform:
        assert platform.once("POST", "/v1/messages", good(seed=77)).status == 202
    before = resident_kb()
    host, port = node.address.removeprefix("http://").split(":")
    token = node.site.tokens["ours"]  # type: ignore[index]
    head = f"POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    announced = f"{head}Content-Length: {100 * 2**20}\r\n\r\n".encode()
    chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode()
    assert _first_line(host, int(port), announced, b"") == b"HTTP/1.1 413 Request Entity Too Large"
    chunk = b"100000\r\n" + b"x" * 2**20 + b"\r\n"
    assert _first_line(host, int(port), chunked, chunk) == b"HTTP/1.1 413 Request Entity Too Large"
    assert resident_kb() - before < 32 * 1024, "a hundred megabytes are never held"


def _first_line(host: str, port: int, head: bytes, chunk: bytes) -> bytes:
    """Send up to 100 chunks until the server has answered; return the status line."""
    with socket.create_connection((host, port), timeout=60) as connection:
        connection.sendall(head)
        for _ in range(100 if chunk else 0):
            try:
                connection.sendall(chunk)
            except OSError:
                break
        return connection.makefile("rb").readline().strip()


def test_unknown_content_type_is_415(node: Counted) -> None:
    with closing(node.platform("ours")) as platform:
        reply = platform.once("POST", "/v1/messages", b"a,b", {"Content-Type": "text/csv"})
    assert (reply.status, reply.json()["code"]) == (415, "unsupported-media-type")


def test_unknown_paths_and_methods_are_problem_documents(node: Counted) -> None:
    with closing(node.platform("ours")) as platform:
        missing = platform.once("GET", "/v2/nothing")
        method = platform.once("DELETE", "/v1/messages")
    assert (missing.status, missing.json()["code"]) == (404, "not-found")
    assert (method.status, method.json()["code"]) == (405, "method-not-allowed")


def test_same_bytes_get_the_first_answer_and_other_bytes_of_one_version_are_409(node: Counted) -> None:
    body = good(seed=5)
    with closing(node.platform("ours")) as platform:
        first = platform.once("POST", "/v1/messages", body)
        again = platform.once("POST", "/v1/messages", body)
        other = platform.once("POST", "/v1/messages", body.replace(b"\n", b"\n ", 1))
        if other.status == 200:
            other = platform.once("POST", "/v1/messages", body + b"\n")
    assert (first.status, again.status) == (202, 200)
    assert first.body == again.body
    assert (other.status, other.json()["code"]) == (409, "conflicting-version")
    assert first.json()["id"] in other.json()["faults"][0]["message"]


def test_cop_msg_id_of_somebody_elses_message_is_no_conflict(node: Counted) -> None:
    replies = []
    for name, one in (("ours", OURS), ("theirs", THEIRS)):
        composed = compose(
            "CEB311Message", cop_code=one.cop_codes[0], dxp_id=one.dxp_ids[0], rng=random.Random(7714)
        )
        head = Envelope(
            cop_msg_id="SHARED-ID-1", sender_id=one.dxp_ids[0], receiver_ids=("DXPEDCCEB0000002",),
            creat_time="2024-11-11T00:00:01", msg_type="CEB311Message",
        )  # fmt: skip
        signed = sign(composed.body, load_pem(node.site.key, node.site.certificate)).body
        with closing(node.platform(name)) as platform:
            replies.append(platform.once("POST", "/v1/messages", wrap(signed, head)))
    assert [reply.status for reply in replies] == [202, 202]
    first, second = [reply.json()["id"] for reply in replies]
    assert node.sent(first)["cop_msg_id"] == node.sent(second)["cop_msg_id"] == "SHARED-ID-1"


def test_idempotency_key_names_one_message(node: Counted) -> None:
    key = {"Idempotency-Key": "one"}
    with closing(node.platform("ours")) as platform:
        first = platform.once("POST", "/v1/messages", good(seed=6), key)
        again = platform.once("POST", "/v1/messages", good(seed=6), key)
        other = platform.once("POST", "/v1/messages", good(seed=7), key)
        unnamed = platform.once("POST", "/v1/messages", good(seed=6))
    assert (first.status, again.status, unnamed.status, other.status) == (202, 200, 200, 409)
    assert first.body == again.body == unnamed.body
    assert other.json()["code"] == "idempotency-key-taken"
    (fault,) = other.json()["faults"]
    assert fault["rule"] == "conflict_request_key"
    assert first.json()["id"] in fault["message"]
    assert first.json()["id"] in fault["message_zh"]


def test_all_faults_of_a_message_come_at_once(node: Counted) -> None:
    body = good(seed=8).replace(b"<ceb:currency>142<", b"<ceb:currency>143<", 1)
    body = body.replace(b"<ceb:orderType>I<", b"<ceb:orderType>III<").replace(b"<ceb:version>", b"<ceb:v>")
    with closing(node.platform("ours")) as platform:
        document = platform.once("POST", "/v1/messages", body).json()
    assert {fault["rule"] for fault in document["faults"]} >= {"fixed_value", "wrong_length"}
    assert all(fault["name_zh"] for fault in document["faults"])
    assert all(fault["line"] > 1 for fault in document["faults"])


def test_dry_run_checks_and_stores_nothing(node: Counted) -> None:
    before = node.rows("message")
    with closing(node.platform("ours")) as platform:
        reply = platform.once("POST", "/v1/messages?dry_run=true", good(seed=9))
        bad = platform.once("POST", "/v1/messages?dry_run=true", b"<a/>")
    assert (reply.status, reply.json()["state"], bad.status) == (200, "valid", 422)
    assert node.rows("message") == before


def test_an_enterprise_sees_only_its_own(node: Counted) -> None:
    with closing(node.platform("ours")) as ours, closing(node.platform("theirs")) as theirs:
        answer = ours.once("POST", "/v1/messages", good(seed=10)).json()
        path = f"/v1/messages/{answer['id']}"
        assert ours.once("GET", path).status == 200
        assert ours.once("GET", f"{path}/content").body == good(seed=10)
        for hidden in (path, f"{path}/content"):
            assert theirs.once("GET", hidden).status == 404


def test_a_dxpmsg_of_the_senders_own_keeps_its_copmsgid_and_bytes(node: Counted) -> None:
    body = wrapped(good(seed=12))
    with closing(node.platform("ours")) as platform:
        answer = platform.once("POST", "/v1/messages", body)
        assert answer.status == 202, answer.body
        view = platform.once("GET", f"/v1/messages/{answer.json()['id']}").json()
        assert view["cop_msg_id"] == "6F9619FF-8B86-D011-B42D-00CF4FC964FF"
        node.sent(view["id"])
    file = node.site.state / "outbox" / f"CEB311Message_{view['id']}.xml"
    assert file.read_bytes() == body


def test_gb18030_bom_and_crlf_reach_customs_as_they_came(node: Counted) -> None:
    plain = good(seed=13).decode()
    crlf = b"\xef\xbb\xbf" + good(seed=14).replace(b"\n", b"\r\n")
    gb18030 = plain.replace("UTF-8", "GB18030", 1).encode("gb18030")
    from signing.xml.splice import strip  # noqa: PLC0415 (only this test)

    with closing(node.platform("ours")) as platform:
        for body in (crlf, gb18030):
            reply = platform.once("POST", "/v1/messages", body)
            assert reply.status == 202, reply.body
            uid = reply.json()["id"]
            node.sent(uid)
            envelope = (node.site.state / "outbox" / f"CEB311Message_{uid}.xml").read_bytes()
            data = envelope.partition(b"<Data>")[2].partition(b"</Data>")[0]
            assert strip(base64.b64decode(data))[0] == body


GARBAGE = {
    "not XML": b"\x00\x01garbage",
    "empty element": b"<a/>",
    "truncated envelope": b'<DxpMsg xmlns="http://www.chinaport.gov.cn/dxp" ver="1.0"><TransInfo>',
    "broken Base64": wrapped(b"<a/>", **{"<Data>": "<Data>?"}),
    "laughs": LAUGHS,
    "receipt about nobody": b'<CEB622Message xmlns="http://www.chinaport.gov.cn/ceb" guid="x" version="1.0">'
    b"<InventoryReturn><copNo>NOBODY</copNo><returnStatus>2</returnStatus></InventoryReturn></CEB622Message>",
    "DxpRep about nothing": b'<DxpRep xmlns="http://www.chinaport.gov.cn/dxp" ver="1.0"><Response/></DxpRep>',
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_from_customs_is_kept_logged_and_reported(node: Counted, name: str) -> None:
    inbox = node.site.state / "inbox"
    temporary = inbox / f".{os.getpid()}.part"
    temporary.write_bytes(GARBAGE[name])
    arrivals = node.rows("arrival")
    temporary.rename(inbox / f"garbage-{list(GARBAGE).index(name)}.xml")
    line = node.process.wait_for(
        lambda line: line.get("event") == "receipt.orphaned" and line["arrival"] == arrivals + 1, 20
    )
    assert line["reason"]
    assert node.rows("arrival") == arrivals + 1
    assert not (inbox / f"garbage-{list(GARBAGE).index(name)}.xml").exists()
    shown = _gateway("receipts", "orphans", "--json", "-c", str(node.site.config))
    assert any(str(orphan).find(f"garbage-{list(GARBAGE).index(name)}") >= 0 for orphan in shown)


def _gateway(*arguments: str) -> list[Any]:
    import subprocess  # noqa: PLC0415 (only here)

    done = subprocess.run([sys.executable, "-m", "gateway", *arguments], capture_output=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_api_describes_itself(node: Counted) -> None:
    with closing(http.client.HTTPConnection(node.address.removeprefix("http://"))) as connection:
        connection.request("GET", "/openapi.json")
        document = json.loads(connection.getresponse().read())
        connection.request("GET", "/docs")
        page = connection.getresponse().read().decode()
        connection.request("GET", "/readyz")
        ready = connection.getresponse()
        assert (ready.status, json.loads(ready.read())["status"]) == (200, "ready")
    assert document["openapi"] == "3.1.0"
    for path, operations in document["paths"].items():
        assert path in page
        for operation in operations.values():
            assert operation["responses"]
    assert not re.findall(r"(?:src|href)=[\"']?(?!#|/openapi\.json)|@import|url\(", page), (
        "nothing from elsewhere"
    )
