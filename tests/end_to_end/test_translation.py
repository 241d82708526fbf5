"""JSON and CSV over the real door: translated, kept, answered for and sent as the document they become."""

import csv
import hashlib
import io
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from gateway.config.gateway_toml import LimitsConfig
from gateway.config.site import NewEnterprise, write_site
from gateway.evidence.verification import FindingMark, verify_bundle
from gateway.mapping.sources.table import MEDIA, Form
from gateway.mapping.translate import translate
from gateway.simulator.world import free_port
from gateway.version import gateway_version
from spool.note import verifier_key
from tests.command_line import invoke
from tests.nodes import Node
from tests.platforms import Reply
from tests.unit.mapping_examples import block, example, mappings

OURS = NewEnterprise(id="ours", name="Ours", cop_codes=("4400000001",), dxp_ids=("DXPENT0000000001",))
THEIRS = NewEnterprise(id="theirs", name="Theirs", cop_codes=("4401000002",), dxp_ids=("DXPENT0000000002",))
JSON = {"Content-Type": "application/json"}


class TranslatingNode(Node):
    """A node with mappings, one of them an operator's own."""

    def send(
        self, body: bytes, query: str, headers: dict[str, str] | None = None, *, by: str = "ours"
    ) -> Reply:
        with closing(self.platform(by)) as platform:
            return platform.ask("POST", f"/v1/messages{query}", body, headers or JSON)

    def journal(self) -> list[tuple[str, str, str]]:
        with closing(sqlite3.connect(self.site.state / "spool.db")) as connection:
            return list(connection.execute("SELECT event, uid, detail FROM journal ORDER BY rowid"))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TranslatingNode]:
    folder = tmp_path_factory.mktemp("node")
    site = write_site(folder / "site", enterprises=(OURS, THEIRS), port=free_port())
    own = folder / "site" / "mappings"
    own.mkdir()
    (own / "mine.toml").write_text(block("toml", "[document.Payment.PaymentHead]"), "utf-8")
    text = site.config.read_text("utf-8").replace("[journal]\n", "[journal]\nevery_s = 0.1\n")
    assert '# mappings_dir = "mappings"' in text
    site.config.write_text(text.replace("# mappings_dir", "mappings_dir"), "utf-8")
    with TranslatingNode(site, folder / "run.log").running() as made:
        yield made
        failures = made.events("role.restarted", "role.failed", "request.failed")
    assert failures == []


def payment(number: str, **changes: Any) -> bytes:
    source = json.loads(example("payments"))
    source["payments"][0].update({"transaction": number, **changes})
    return json.dumps(source).encode()


def test_json_is_kept_answered_for_and_sent_as_the_document_it_becomes(node: TranslatingNode) -> None:
    source = payment("PAY-1")
    document = translate(source, mappings()["payments"], LimitsConfig()).document

    reply = node.send(source, "?mapping=payments")

    said = reply.json()
    assert reply.status == 202
    assert said["sha256"] == hashlib.sha256(document).hexdigest()
    assert said["declarations"][0]["key"] == {"payCode": "4400000001", "payTransactionId": "PAY-1"}
    platform = node.platform("ours")
    assert platform.ask("GET", f"/v1/messages/{said['id']}/content").body == document
    platform.close()
    node.process.wait_for(
        lambda line: line.get("event") == "entry.sent" and line["message_id"] == said["id"], 20
    )
    (detail,) = [
        detail for event, uid, detail in node.journal() if (event, uid) == ("message.accepted", said["id"])
    ]
    assert json.loads(detail)["origin"] == {
        "mapping": "payments",
        "mapping_sha256": mappings()["payments"].sha256,
        "edition": mappings()["payments"].edition,
        "gateway": gateway_version(),
        "source_form": "json",
        "source_sha256": hashlib.sha256(source).hexdigest(),
    }


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_commands_of_the_page_hand_in_its_examples(node: TranslatingNode, tmp_path: Path) -> None:
    (tmp_path / "payments.json").write_bytes(example("payments"))
    (tmp_path / "inventories.csv").write_bytes(example("inventories").decode().encode("gb18030"))
    token = node.token("ours")
    environment = {**os.environ, "URL": node.address, "AUTH": f"Authorization: Bearer {token}"}
    commands = block("sh", "curl").splitlines()
    assert len(commands) == 2, "one for each of them"
    for command in commands:
        done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)  # fmt: skip
        assert json.loads(done.stdout)["state"] == "accepted"


def test_evidence_names_mapping_and_source(node: TranslatingNode) -> None:
    source = payment("PAY-E")
    uid = node.send(source, "?mapping=payments").json()["id"]
    key = verifier_key(invoke("journal", "key", "-c", node.site.config).stdout)
    with closing(node.platform("ours")) as ours:
        evidence = ours.ask("GET", f"/v1/messages/{uid}/evidence").body  # again until the log covers it
    findings = verify_bundle(evidence, [key])
    assert not [finding.text for finding in findings if finding.mark is FindingMark.BROKEN]
    (told,) = [finding.text for finding in findings if "by the mapping" in finding.text]
    assert "mapping payments" in told
    assert hashlib.sha256(source).hexdigest() in told


def test_same_source_again_gets_the_first_answer_and_a_contradiction_409(node: TranslatingNode) -> None:
    first = node.send(payment("PAY-2"), "?mapping=payments")
    again = node.send(payment("PAY-2"), "?mapping=payments")
    other = node.send(payment("PAY-2", amount_fen=1), "?mapping=payments")
    assert (first.status, again.status, other.status) == (202, 200, 409)
    assert first.json() == again.json()


def test_large_source_takes_the_same_way(node: TranslatingNode) -> None:
    source = json.loads(example("payments"))
    (one,) = source["payments"]
    source["payments"] = [one | {"transaction": f"PAY-L{n}"} for n in range(100)]
    body = json.dumps(source).encode()
    first, again = node.send(body, "?mapping=payments"), node.send(body, "?mapping=payments")
    assert (first.status, again.status, len(first.json()["declarations"])) == (202, 200, 100)
    source["payments"] = source["payments"] * 2
    refused = node.send(json.dumps(source).encode(), "?mapping=payments").json()
    assert (refused["code"], refused["faults"][0]["source"]) == ("untranslatable", "/payments/100")


@pytest.mark.parametrize("charset", ["utf-8", "gb18030", '"GBK"'])
def test_csv_in_the_encodings_of_the_trade(node: TranslatingNode, charset: str) -> None:
    text = example("inventories").decode().replace("C-000", f"C-{charset[1:4]}-")
    body = text.encode(charset.strip('"'))
    reply = node.send(body, "?mapping=inventories", {"Content-Type": f"text/csv; charset={charset}"})
    assert reply.status == 202
    assert [one["key"]["copNo"] for one in reply.json()["declarations"]] == [
        f"C-{charset[1:4]}-1",
        f"C-{charset[1:4]}-2",
    ]


def test_table_in_any_form_is_the_same_message_and_the_request_gives_its_time(node: TranslatingNode) -> None:
    rows = list(csv.DictReader(io.StringIO(example("inventories").decode())))
    rows = [row | {"cop_no": f"F-{row['cop_no']}", "declared_at": ""} for row in rows]
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("清单")
    for cells in (list(rows[0]), *(list(row.values()) for row in rows)):
        sheet.append(cells)
    xlsx = io.BytesIO()
    book.save(xlsx)
    asked = "?mapping=inventories&app_time=20261111080000"
    first = node.send(xlsx.getvalue(), asked, {"Content-Type": MEDIA[Form.XLSX]})
    again = node.send(json.dumps(rows).encode(), asked, {"Content-Type": MEDIA[Form.JSON]})
    assert (first.status, again.status) == (202, 200)
    assert first.json()["sha256"] == again.json()["sha256"]
    wrong = node.send(
        xlsx.getvalue(), "?mapping=inventories&app_time=today", {"Content-Type": MEDIA[Form.XLSX]}
    )
    assert (wrong.status, wrong.json()["faults"][0]["rule"]) == (400, "not_a_time")


def test_own_mapping_of_the_operator_is_there(node: TranslatingNode) -> None:
    source = {
        "sender": {"code": "4400000001", "name": "Ours", "dxp_id": "DXPENT0000000001"},
        "payments": [
            {"transaction": "PAY-3", "order_no": "O-3", "declared_at": "2026-11-11T08:00:00", "amount": "1.005",
             "paid_at": "2026-11-11 07:59:00", "payer": {"id_number": "9", "family_name": "赵", "given_name": "样例"}},
        ],
    }  # fmt: skip
    assert node.send(json.dumps(source).encode(), "?mapping=mine").status == 202


def test_client_that_names_no_form_means_that_of_the_mapping(node: TranslatingNode) -> None:
    headers = {"Content-Type": "application/octet-stream"}
    assert node.send(payment("PAY-4"), "?mapping=payments", headers).status == 202


def test_dry_run_keeps_nothing_and_says_the_same(node: TranslatingNode) -> None:
    before = node.journal()
    good = node.send(payment("PAY-5"), "?dry_run=true&mapping=payments")
    bad = node.send(payment("PAY-5", order_no=None), "?mapping=payments&dry_run=true")
    assert (good.status, good.json()["state"]) == (200, "valid")
    assert (bad.status, bad.json()["faults"][0]["source"]) == (422, "/payments/0/order_no")
    assert [line for line in node.journal() if line not in before and "PAY-5" in line[2]] == []
    assert node.send(payment("PAY-5"), "?mapping=payments").status == 202


BAD = {
    "JSON alone": (payment("B"), "", JSON, 415, "unsupported-media-type", "mapping_missing"),
    "CSV to a mapping of JSON": (b"a,b", "?mapping=payments", {"Content-Type": "text/csv"}, 415, "unsupported-media-type", "other_form"),
    "XML with a mapping": (b"<a/>", "?mapping=payments", {"Content-Type": "application/xml"}, 415, "unsupported-media-type", "other_form"),
    "no such mapping": (payment("B"), "?mapping=..%2Fcatalogue", JSON, 422, "unknown-mapping", "unknown_mapping"),
    "not JSON": (b'{"a": ', "?mapping=payments", JSON, 422, "not-json", "not_json"),
    "a key twice": (b'{"a": 1, "a": 2}', "?mapping=payments", JSON, 422, "not-json", "duplicate_key"),
    "NaN": (b'{"a": NaN}', "?mapping=payments", JSON, 422, "not-json", "not_json"),
    "deep": (b"[" * 100_000, "?mapping=payments", JSON, 422, "not-json", "depth"),
    "an escape cut off": (b'{"a": "\\u"}', "?mapping=payments", JSON, 422, "not-json", "not_json"),
    "JSON in another encoding": (payment("B"), "?mapping=payments", {"Content-Type": "application/json; charset=gbk"}, 422, "wrong-encoding", "encoding_json"),
    "no bytes of the encoding": (b"\xff", "?mapping=payments", JSON, 422, "wrong-encoding", "encoding_bytes"),
    "not CSV": (example("inventories")[:-9] + b'"', "?mapping=inventories", {"Content-Type": "text/csv"}, 422, "not-csv", "quote"),
    "a column missing": (example("inventories").replace(b"cop_no", b"copno", 1), "?mapping=inventories", {"Content-Type": "text/csv"}, 422, "untranslatable", "missing_column"),
    "no number": (payment("B", amount_fen="much"), "?mapping=payments", JSON, 422, "untranslatable", "not_a_number"),
    "half a surrogate pair": (payment("B", note="\ud800"), "?mapping=payments", JSON, 422, "untranslatable", "not_in_xml"),
    "something required missing": (payment("B", order_no=None), "?mapping=payments", JSON, 422, "invalid-message", "missing"),
    "nothing in it": (b"{}", "?mapping=payments", JSON, 422, "invalid-message", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_translated_is_refused_and_journaled_by_its_digest(
    node: TranslatingNode, name: str
) -> None:
    body, query, headers, status, problem, rule = BAD[name]
    before = len(node.journal())
    reply = node.send(body, query, headers)
    said = reply.json()
    assert (reply.status, said["code"]) == (status, problem)
    assert not rule or rule in {fault["rule"] for fault in said["faults"]}
    assert all(fault["message"] and fault["message_zh"] and fault["fix"] for fault in said["faults"])
    lines = [line for line in node.journal()[before:] if line[0] == "message.refused"]
    judged = status == 422 and problem != "unknown-mapping"
    assert len(lines) == judged, "what was not read is not journaled"
    assert not any("B" in json.loads(detail).values() for _, _, detail in lines)


def test_mapping_gives_nobody_another_identity(node: TranslatingNode) -> None:
    reply = node.send(payment("PAY-6"), "?mapping=payments", by="theirs")
    (fault, *_) = reply.json()["faults"]
    assert (reply.status, reply.json()["code"]) == (403, "not-your-identity")
    assert fault["source"] == "/sender/code"


def test_unknown_mapping_tells_a_stranger_nothing(node: TranslatingNode) -> None:
    assert node.send(b"{}", "?mapping=payments", {**JSON, "Authorization": "Bearer x"}).status == 401
    assert "mine" not in node.send(b"{}", "?mapping=nothing").body.decode()


def test_nothing_of_a_source_is_in_the_log(node: TranslatingNode) -> None:
    node.send(
        payment("PAY-7", payer={"name": "孙某某", "id_number": "990101197001019999"}), "?mapping=payments"
    )
    node.send(payment("PAY-7", amount_fen="孙某某"), "?mapping=payments")
    node.process.wait_for(lambda line: line.get("problem") == "untranslatable")
    text = json.dumps(node.process.events, ensure_ascii=False)
    assert "孙某某" not in text
    assert "990101197001019999" not in text


def test_check_lists_the_mappings_and_refuses_a_wrong_one(node: TranslatingNode, tmp_path: Path) -> None:
    listed = invoke("check", "-c", node.site.config, "--json")
    (check,) = [line for line in map(json.loads, listed.stdout.splitlines()) if line["name"] == "mappings"]
    assert check["detail"] == f"{len(mappings()) + 1}, of them own ones: mine"
    site = write_site(tmp_path / "site", enterprises=(OURS,), port=free_port())
    (tmp_path / "site" / "mappings").mkdir()
    (tmp_path / "site" / "mappings" / "bad.toml").write_text('message = "CEB411Message"\n', "utf-8")
    site.config.write_text(site.config.read_text("utf-8").replace("# mappings_dir", "mappings_dir"), "utf-8")
    result = invoke("check", "-c", site.config)
    assert result.exit_code == 1
    assert "bad.toml" in result.stdout.replace("\n", "")
