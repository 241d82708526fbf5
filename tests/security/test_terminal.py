"""Nothing that came from outside is obeyed by a terminal: not from files, servers, customs, tenants or names."""

import ast
import http.server
import json
import os
import pty
import re
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from gateway.config.site import NewEnterprise, write_site
from gateway.keys.node_key import node_key
from gateway.observe.log import configure_logs, log, reset_logs
from gateway.printable import is_plain, printable, safe_json
from gateway.upkeep.checkpoints import Sealer
from signing.xml.splice import sign
from spool.entry import Collected, Fate
from tests import documents as make
from tests.command_line import Node, invoke, node_at
from tests.generated import REPOSITORY
from tests.signing_documents import write_key

IN_XML = "\x9b2J\x85\u202eevil\u2066\u2028\u200b"
"""What XML lets pass: C1, bidirectional marks, line separators, zero width."""
EVIL = f"\x1b]0;owned\x07\x1b[2J\x08\x7f{IN_XML}"
NAME = EVIL.replace("/", "")
SAFE = {"Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"}


def obeyed(text: str) -> list[str]:
    """What a terminal would act on, line ends apart."""
    return [one for one in text if one != "\n" and unicodedata.category(one) in SAFE]


def assert_safe(result: Result) -> None:
    assert obeyed(result.output) == [], result.output
    assert not isinstance(result.exception, Exception), result.exception


def test_every_control_and_format_character_is_escaped_and_nothing_else() -> None:
    for code in range(0x110000):
        one = chr(code)
        if unicodedata.category(one) in SAFE:
            shown = printable(one)
            assert shown.isascii()
            assert shown.isprintable()
            byte = 0xDC80 <= code <= 0xDCFF  # one that is no UTF-8
            assert shown.encode().decode("unicode_escape") == (chr(code - 0xDC00) if byte else one)
        else:
            assert printable(one) == one
    assert printable("订单 a\u3000b") == "订单 a\u3000b"


def test_json_stays_the_same_json_and_holds_none_of_them() -> None:
    value = {"name": EVIL + "\U000e0041\ufeff\u061c", "中文": "报文"}
    raw = json.dumps(value, ensure_ascii=False).encode()
    safe = safe_json(raw)
    assert obeyed(safe.decode()) == []
    assert json.loads(safe) == value
    assert "报文" in safe.decode()


def test_log_lines_hold_none_of_them(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    configure_logs("info")
    try:
        log("feed.failed", destination="customs", error=EVIL)
    finally:
        reset_logs()
    out = capfdbinary.readouterr().out
    assert obeyed(out.decode()) == []
    assert json.loads(out)["error"] == EVIL


def test_commands_write_text_in_one_way_only() -> None:
    """The next command that prints by itself is found here."""
    allowed = {"terminal.py", "output.py", "demo.py"}  # the demonstration shows what it made up itself
    files = list((REPOSITORY / "gateway" / "cli").rglob("*.py"))
    assert {file.name for file in files} >= {*allowed, "command.py"}, "those of the folders below too"
    for file in files:
        if file.name in allowed:
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert not re.fullmatch(
                    r"print|click\.(echo|secho|prompt|confirm)|sys\.std\w+\.write", called
                ), f"{file.name}:{node.lineno}: use gateway.cli.terminal.echo"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    """A site into which everybody has put what he could."""
    owner = NewEnterprise(id="demo", name=EVIL, cop_codes=("4400000001",), dxp_ids=("DXPENT0000000001",))
    folder = write_site(tmp_path_factory.mktemp("site") / "s", port=0, enterprises=(owner,)).folder
    made = node_at(folder)
    made.accept(make.order(f"ORDER{IN_XML}"), make.order("ORDER-2"), make.inventory(f"COP{IN_XML}"))
    made.settle(Fate.UNDELIVERABLE, error=f"550 {EVIL}", limit=1)
    made.settle(Fate.DELIVERED, limit=1)
    about = {"ebpCode": "4400000002", "ebcCode": "4400000003"}
    for number, (order_no, body) in enumerate(
        [
            (f"ORDER{IN_XML}", None),
            ("ORDER-2", None),
            (f"NOBODY{IN_XML}", None),
            ("", b"<CEB312Message>\xff" + EVIL.encode()),
        ]
    ):
        body = body or make.receipt(  # noqa: PLW2901
            "CEB312Message",
            {**about, "orderNo": order_no, "returnInfo": IN_XML, "returnStatus": f"-3{IN_XML}"},
        )
        with closing(made.app.spool()) as spool:
            spool.keep(
                [
                    Collected(
                        feed="customs", name=f"{number}{EVIL}.xml", body=body, sha256=sha256(body).digest()
                    )
                ]
            )
            made.app.filer(spool).file_waiting()
            Sealer(spool, node_key(made.app.config), every_s=60, events=99).look()
    return made


def entries(node: Node) -> list[str]:
    every = ("ready", "sending", "sent", "held", "dead")
    listed = node.run("spool", "list", "--json", *(part for state in every for part in ("--state", state)))
    return [json.loads(line)["id"] for line in listed.stdout.splitlines()]


def numbers(node: Node, command: str) -> list[Any]:
    return [json.loads(line) for line in node.run("receipts", command, "--json").stdout.splitlines()]


def test_commands_about_the_spool_show_what_tenants_and_customs_wrote(node: Node) -> None:
    walks: list[tuple[object, ...]] = [
        ("spool", "status"),
        ("spool", "list"),
        ("spool", "list", "--state", "dead", "--state", "sent", "--state", "ready"),
        ("spool", "show", EVIL),
        ("receipts", "list"),
        ("receipts", "orphans"),
        ("receipts", "overdue"),
        ("receipts", "show", EVIL),
        ("receipts", "rematch"),
        ("codes", "list", "--all"),
        ("codes", "show", EVIL),
        ("codes", "export"),
        ("trace", EVIL),
        ("trace", f"ORDER{IN_XML}"),
        ("trace", "ORDER-2"),
        ("enterprise", "list"),
        ("enterprise", "show", "demo"),
        ("enterprise", "show", EVIL),
        ("evidence", "export", EVIL),
        ("journal", "verify"),
        ("check",),
    ]
    for uid in entries(node):
        walks += [("spool", "show", uid), ("trace", uid), ("spool", "retry", uid), ("spool", "hold", uid)]
    listed = [*numbers(node, "list"), *numbers(node, "orphans")]
    assert listed
    for one in listed:
        walks += [("receipts", "show", one[key]) for key in ("id", "number", "seq", "receipt") if key in one]
    seen = ""
    for walk in walks:
        for options in ((), ("--json",)):
            result = node.run(*walk, *options)
            assert_safe(result)
            seen += result.output
    for trace in ("\\x9b2J", "\\u202e", "\\x1b]0;owned", "\\u009b2J", "\\u001b]0;owned"):
        assert trace in seen, "it was shown, escaped"


def hostile_files(folder: Path) -> Iterator[Path]:
    bodies = {
        "order.xml": make.order(f"A{IN_XML}", app_type=IN_XML, app_time=IN_XML),
        "root.xml": f"<CEB311Message xmlns='{IN_XML}' guid='{IN_XML}'><{'x' * 9}/></CEB311Message>".encode(),
        "broken.xml": b"<a>\x1b[2J" + EVIL.encode(),
        "signed.xml": sign(make.order("S"), write_key(folder)).body.replace(
            b"<ds:KeyName>", b"<ds:KeyName>" + IN_XML.encode()
        ),
        "envelope.xml": f"<DxpMsg><TransInfo><CopMsgId>{IN_XML}</CopMsgId></TransInfo></DxpMsg>".encode(),
        "sheet.csv": f"{EVIL},order_no\n{EVIL},{EVIL}\n".encode(),
        "orders.json": json.dumps({EVIL: EVIL, "orders": [{EVIL: EVIL, "order_no": EVIL}]}).encode(),
    }
    for name, body in bodies.items():
        file = folder / f"{NAME}{name}"
        file.write_bytes(body)
        yield file


def test_commands_about_files_show_what_is_in_them_and_in_their_names(tmp_path: Path) -> None:
    mappings = [file.stem for file in (REPOSITORY / "mappings" / "translations").glob("*.toml")]
    assert mappings
    for file in hostile_files(tmp_path):
        for command in (
            ("validate", file),
            ("validate", "--sendable", file),
            ("verify", file),
            ("verify", "--original", file, file),
            ("sign", file, "--key", file),
            ("envelope", "unwrap", file, "-o", tmp_path / "o"),
            ("evidence", "verify", file, "--key", EVIL),
            *(("translate", file, "-m", name, "-o", tmp_path / "o", "--trace") for name in mappings),
            ("translate", file, "-m", EVIL),
            ("check", "-c", file),
            ("trace", "x", "-c", file),
            (EVIL, file),
            ("validate", f"{file}-is-not-there"),
        ):
            assert_safe(invoke(*command))
            if command[0] in {"validate", "verify", "translate"}:
                assert_safe(invoke(*command, "--json"))


def strings(value: Any, replace: Callable[[Any], None]) -> Iterator[Callable[[Any], None]]:
    """For each text in a document, what puts another in its place."""
    if isinstance(value, str):
        yield replace
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(pairs):
        yield from strings(inner, lambda new, key=key: value.__setitem__(key, new))  # type: ignore[misc]


def test_evidence_with_something_evil_in_any_of_its_texts_is_judged_and_shown(
    node: Node, tmp_path: Path
) -> None:
    uid = entries(node)[0].partition("/")[0]
    exported = tmp_path / "evidence.json"
    assert node.run("evidence", "export", uid, "-o", exported).exit_code == 0
    key = node.run("journal", "key").stdout.strip()
    count = len(list(strings(json.loads(exported.read_bytes()), print)))
    assert count > 10
    for number in range(count):
        document = json.loads(exported.read_bytes())
        list(strings(document, print))[number](EVIL)
        exported_evil = tmp_path / "evil.json"
        exported_evil.write_text(json.dumps(document), "utf-8")
        for options in ((), ("--json",)):
            result = invoke("evidence", "verify", exported_evil, "--key", key, *options)
            assert result.exit_code == 1
            assert_safe(result)


class Hostile(http.server.BaseHTTPRequestHandler):
    """A gateway that answers like no gateway."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        fault = dict.fromkeys(
            ("path", "element", "name_zh", "value", "rule", "message", "message_zh", "fix"), EVIL
        )
        document = dict.fromkeys(("type", "title", "title_zh", "detail", "code", "instance"), EVIL)
        raw = json.dumps({**document, "status": 422, "faults": [{**fault, "line": 1, "column": 1}]}).encode()
        self.send_response(422)
        self.send_header("Content-Type", "application/problem+json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002, ARG002 (the library calls it so)
        return


def test_submit_shows_what_a_strange_gateway_says(tmp_path: Path) -> None:
    file = tmp_path / f"{NAME}.xml"
    file.write_bytes(make.order())
    with http.server.HTTPServer(("127.0.0.1", 0), Hostile) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            for options in ((), ("--json",)):
                result = invoke(
                    "submit", file, "--to", f"http://127.0.0.1:{server.server_port}", "--token", "t", *options
                )
                assert result.exit_code == 1
                assert_safe(result)
                assert "owned" in result.output
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("order_no", "shown"), [("ORDER-1", True), (f"A{IN_XML}", False)])
def test_bytes_go_to_a_terminal_only_when_they_are_plain(tmp_path: Path, order_no: str, shown: bool) -> None:
    body = make.order(order_no)
    assert is_plain(body) is shown
    enveloped = tmp_path / "m.xml"
    (tmp_path / "b.xml").write_bytes(body)
    wrap = ("envelope", "wrap", tmp_path / "b.xml", "--receiver", "DXPEDCCEB0000002", "-o", enveloped)
    assert invoke(*wrap).exit_code == 0
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "gateway", "envelope", "unwrap", str(enveloped)]
    done = subprocess.run(command, stdout=slave, stderr=subprocess.PIPE, check=False)
    os.close(slave)
    with open(master, "rb", buffering=0) as screen:  # noqa: PTH123 (a descriptor)
        said = screen.read(4096) if shown else b""
    assert (done.returncode == 0) is shown
    assert said == body.replace(b"\n", b"\r\n")[:4096] if shown else b"plain text" in done.stderr
    to_file = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    assert to_file.stdout == body
