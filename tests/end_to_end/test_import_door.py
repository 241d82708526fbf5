"""Sources of many declarations at the HTTP door: taken whole, bounded, seen by nobody else."""

import hashlib
import http.client
import json
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.config.site import NewEnterprise, write_site
from gateway.simulator.world import WatchedProcess, free_port
from tests.import_sources import CSV, inventories
from tests.nodes import GATEWAY, Node
from tests.platforms import NotNow, Reply
from tests.waiting import until

OURS = NewEnterprise(id="ours", name="Ours", cop_codes=("4400000001",), dxp_ids=("DXPENT0000000001",))
THEIRS = NewEnterprise(id="theirs", name="Theirs", cop_codes=("4401000002",), dxp_ids=("DXPENT0000000002",))
NOBODYS_ID = "01A200C3-CA5A-7F1A-B0CE-28A533CF2BF5"
PATH = "/v1/imports?mapping=inventories"
MIB = 1024 * 1024


class QuietNode(Node):
    """A node without the role that makes imports: what it has taken in stays as it is."""

    def start(self, **_given: Any) -> None:
        roles = [part for name in ("accept", "keep") for part in ("--role", name)]
        command = [sys.executable, *GATEWAY, "run", "-c", str(self.site.config), *roles]
        self._process = WatchedProcess(command, self.log)
        self._process.wait_for_event("node.started")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuietNode]:
    folder = tmp_path_factory.mktemp("node")
    site = write_site(folder / "site", enterprises=(OURS, THEIRS), port=free_port())
    text = site.config.read_text("utf-8")
    bounds = f"[accept.imports]\nsize_bytes = {8 * MIB}\nkept_bytes = {40 * MIB}\njobs_per_enterprise = 6\n"
    assert "\n[accept.imports]\n" in text
    site.config.write_text(text.replace("[accept.imports]\n", bounds), "utf-8")
    with QuietNode(site, folder / "run.log").running() as made:
        yield made
        failures = made.events("role.restarted", "role.failed", "request.failed")
    assert failures == []


def ask(
    node: Node,
    asked: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    *,
    by: str = "ours",
) -> Reply:
    method, path = asked.split(" ", 1)
    with closing(node.platform(by)) as platform:
        try:
            return platform.once(method, path, body, headers)
        except NotNow as later:
            return later.reply


def taken(node: Node, body: bytes, query: str = "", *, by: str = "ours") -> dict[str, Any]:
    reply = ask(node, f"POST {PATH}{query}", body, CSV, by=by)
    assert reply.status == 202, reply.body
    view: dict[str, Any] = reply.json()
    assert reply.headers["location"] == f"/v1/imports/{view['id']}"
    return view


def rows_of(node: Node, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(node.site.state / "spool.db")) as connection:
        return list(connection.execute(query))


@pytest.fixture(autouse=True)
def no_job_is_left(node: QuietNode) -> Iterator[None]:
    yield
    for by in ("ours", "theirs"):
        for one in ask(node, "GET /v1/imports?limit=1000", by=by).json()["imports"]:
            ask(node, f"DELETE /v1/imports/{one['id']}", by=by)


def test_source_is_durable_when_it_is_answered_for(node: QuietNode) -> None:
    body = inventories(3)
    view = taken(node, body, "&app_time=20261111093000&charset=GB18030")

    assert (view["state"], view["form"], view["size_bytes"]) == ("waiting", "csv", len(body))
    assert view["sha256"] == hashlib.sha256(body).hexdigest()
    assert (view["charset"], view["app_time"], view["all_or_nothing"]) == ("GB18030", "20261111093000", False)
    assert [one["name"] for one in view["mappings"]] == ["inventories"]
    assert ask(node, f"GET /v1/imports/{view['id']}/source").body == body
    ((detail,),) = rows_of(
        node, f"SELECT detail FROM journal WHERE uid = '{view['id']}' AND event = 'import.taken'"
    )
    told = json.loads(detail)
    assert (told["enterprise"], told["sha256"], told["mappings"]) == (
        "ours",
        view["sha256"],
        view["mappings"],
    )
    assert (told["app_time"], told["charset"], told["form"]) == ("20261111093000", "GB18030", "csv")


def test_same_bytes_with_the_same_parameters_are_the_first_import(node: QuietNode) -> None:
    body = inventories(2, first=100)
    first = taken(node, body)

    again = ask(node, f"POST {PATH}", body, CSV)
    assert (again.status, again.json()["id"]) == (200, first["id"])
    assert taken(node, body, "&all_or_nothing=true")["id"] != first["id"]
    assert taken(node, body, by="theirs")["id"] != first["id"]
    ask(node, f"DELETE /v1/imports/{first['id']}")
    assert taken(node, body)["id"] != first["id"], "a cancelled one stands for nothing"


def test_job_of_another_enterprise_is_404_whatever_is_asked(node: QuietNode) -> None:
    view = taken(node, inventories(2, first=200))
    for asked in ("GET {}", "DELETE {}", "GET {}/source", "GET {}/refused.xlsx", "GET {}/result.xlsx"):
        for by, uid in (("theirs", view["id"]), ("ours", NOBODYS_ID), ("ours", "x")):
            reply = ask(node, asked.format(f"/v1/imports/{uid}"), by=by)
            assert (reply.status, reply.json()["code"]) == (404, "not-found")
    listed = ask(node, "GET /v1/imports?limit=1000", by="theirs").json()["imports"]
    assert view["id"] not in [one["id"] for one in listed]
    assert ask(node, f"GET /v1/imports/{view['id']}").json()["summary"]["state"] == "waiting"


def test_large_source_comes_in_chunks_and_is_fetched_in_parts(node: QuietNode) -> None:
    body = os.urandom(5 * MIB + 17)
    view = taken(node, body)
    sizes = rows_of(
        node,
        "SELECT length(body) FROM import_source WHERE job ="
        f" (SELECT id FROM import_job WHERE uid = '{view['id']}') ORDER BY number",
    )
    assert [size for (size,) in sizes] == [MIB] * 5 + [17]
    assert ask(node, f"GET /v1/imports/{view['id']}/source").body == body
    assert ask(node, f"GET /v1/imports/{view['id']}/source?part=1").status == 404


def test_source_beyond_the_bound_is_refused_and_leaves_nothing(node: QuietNode) -> None:
    before = rows_of(node, "SELECT count(*) FROM import_job")
    announced = ask(node, f"POST {PATH}", b"", {**CSV, "Content-Length": str(9 * MIB)})
    assert (announced.status, announced.json()["code"]) == (413, "too-large")

    parts = urlsplit(node.address)
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)) as connection:
        connection.putrequest("POST", PATH)
        connection.putheader("Authorization", f"Bearer {node.token('ours')}")
        connection.putheader("Content-Type", "text/csv")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        try:
            for _ in range(9 * 16 + 1):
                connection.send(b"10000\r\n" + bytes(65536) + b"\r\n")
        except OSError:
            pass  # it has answered and does not read on
        assert connection.getresponse().status == 413
    until(lambda: rows_of(node, "SELECT count(*) FROM import_job") == before)


def test_half_a_source_leaves_nothing_when_its_sender_goes_away(node: QuietNode) -> None:
    before = rows_of(node, "SELECT count(*) FROM import_job")
    listed = ask(node, "GET /v1/imports?limit=1000").json()
    parts = urlsplit(node.address)
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)) as connection:
        connection.putrequest("POST", PATH)
        for name, value in {**CSV, "Authorization": f"Bearer {node.token('ours')}"}.items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(4 * MIB))
        connection.endheaders()
        connection.send(bytes(2 * MIB))
        until(lambda: rows_of(node, "SELECT count(*) FROM import_job") != before)
        assert ask(node, "GET /v1/imports?limit=1000").json() == listed, "nobody is told of half a source"
    until(lambda: rows_of(node, "SELECT count(*) FROM import_job") == before)
    left = "SELECT count(*) FROM import_source WHERE job NOT IN (SELECT id FROM import_job)"
    assert rows_of(node, left) == [(0,)]


def test_more_imports_than_an_enterprise_may_have_are_429(node: QuietNode) -> None:
    for number in range(6):
        taken(node, inventories(1, first=1000 + number))
    reply = ask(node, f"POST {PATH}", inventories(1, first=1010), CSV)
    assert (reply.status, reply.json()["faults"][0]["rule"]) == (429, "imports_open")
    assert int(reply.headers["retry-after"]) > 0
    taken(node, inventories(1, first=1010), by="theirs")


def test_more_bytes_than_an_enterprise_may_keep_are_429(node: QuietNode) -> None:
    for _ in range(4):
        ask(node, f"DELETE /v1/imports/{taken(node, os.urandom(7 * MIB), by='theirs')['id']}", by="theirs")
    taken(node, os.urandom(7 * MIB), by="theirs")
    reply = ask(node, f"POST {PATH}", b"", {**CSV, "Content-Length": str(7 * MIB)}, by="theirs")
    assert (reply.status, reply.json()["faults"][0]["rule"]) == (429, "imports_kept")


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/v1/imports", CSV, 400, "bad-request"),
        ("/v1/imports?mapping=", CSV, 400, "bad-request"),
        ("/v1/imports?mapping=inventories,inventories", CSV, 400, "bad-request"),
        (f"/v1/imports?mapping={','.join('abcdefghi')}", CSV, 400, "bad-request"),
        (f"{PATH}&app_time=2026", CSV, 400, "bad-request"),
        (f"{PATH}&all_or_nothing=yes", CSV, 400, "bad-request"),
        (f"{PATH}&dry_run=true", CSV, 400, "bad-request"),
        ("/v1/imports?mapping=inventories,none", CSV, 422, "unknown-mapping"),
        (PATH, {"Content-Type": "application/xml"}, 415, "unsupported-media-type"),
        ("/v1/imports?mapping=orders", CSV, 415, "unsupported-media-type"),
        (PATH, {**CSV, "Authorization": "Bearer nobody"}, 401, "unauthorised"),
    ],
)
def test_request_that_is_not_of_its_form_is_refused(
    node: QuietNode, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    before = rows_of(node, "SELECT count(*) FROM import_job")
    reply = ask(node, f"POST {path}", inventories(1), headers)
    assert (reply.status, reply.json()["code"]) == (status, code)
    until(lambda: rows_of(node, "SELECT count(*) FROM import_job") == before)


def test_first_bytes_say_what_a_source_is_when_its_type_does_not(node: QuietNode) -> None:
    for body, media, form in (
        (b"PK\x03\x04 a workbook", "application/vnd.ms-excel", "xlsx"),
        (inventories(1, first=5000), "application/octet-stream", "csv"),
    ):
        reply = ask(node, f"POST {PATH}", body, {"Content-Type": media})
        assert (reply.status, reply.json()["form"]) == (202, form)


def test_pages_of_imports_are_the_callers_own(node: QuietNode) -> None:
    ids = [taken(node, inventories(1, first=6000 + number))["id"] for number in range(3)]
    page = ask(node, "GET /v1/imports?limit=2").json()
    assert [one["id"] for one in page["imports"]] == ids[:0:-1]
    rest = ask(node, f"GET /v1/imports?limit=2&before={page['before']}").json()
    assert rest["imports"][0]["id"] == ids[0]


def test_cancelled_import_stays_cancelled(node: QuietNode) -> None:
    view = taken(node, inventories(1, first=7000))
    assert ask(node, f"DELETE /v1/imports/{view['id']}").json()["state"] == "cancelled"
    assert ask(node, f"DELETE /v1/imports/{view['id']}").json()["state"] == "cancelled"
    events = rows_of(node, f"SELECT event FROM journal WHERE uid = '{view['id']}' ORDER BY id")
    assert [event for (event,) in events] == ["import.taken", "import.ended"]
