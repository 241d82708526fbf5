"""What goes wrong inside is told to whoever runs the gateway, and to no enterprise: hosts, users, paths, commands."""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.doors.http.operations import OPERATIONS
from gateway.evidence.bundle import decode
from gateway.evidence.verification import FindingMark, verify_bundle
from gateway.simulator.world import free_port
from spool.note import verifier_key
from tests.command_line import invoke, lines
from tests.documents import order
from tests.door_node import ANN, DoorNode, FolderPlace
from tests.platforms import Platform, Reply
from tests.signing_documents import write_key
from tests.waiting import until

USER = "ops-user-7431"
SAID = f"cannot log in (sftp {USER}@exchange.internal:22, /srv/ops/id_rsa). Fix: `gateway spool retry X`"
COMMANDS = re.compile(r"`gateway (?!evidence|translate)|\[\[|gateway\.toml")
"""Those of whoever runs it; `gateway evidence verify` and `gateway translate` are for everybody."""
FOR_OPERATORS = frozenset({"metrics"})
"""Operations that no enterprise may use."""


class Node(DoorNode):
    """A node whose way to customs leads nowhere."""

    def __init__(self, folder: Path, doors: dict[str, str]) -> None:
        super().__init__(folder, doors)
        write_key(folder)
        self.port_of_customs = free_port()
        (folder / USER).mkdir()
        text = self.site.config.read_text("utf-8")
        before, _, rest = text.partition("[destination.folder]")
        after = rest[rest.index('receive_dir = "customs/in"\n') + len('receive_dir = "customs/in"\n') :]
        sftp = (
            f'[destination.sftp]\nhost = "127.0.0.1"\nport = {self.port_of_customs}\nuser = "{USER}"\n'
            f'key_file = "{folder / USER / "none"}"\nhost_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqK"\n'
            'send_dir = "/in"\nreceive_dir = "/out"\ntimeout_s = 2.0\n'
        )
        text = (before + sftp + after).replace("[journal]\n", "[journal]\nevery_s = 0.1\n")
        self.site.config.write_text(text, "utf-8")

    def markers(self) -> tuple[str, ...]:
        """Texts that only whoever runs the node may read."""
        folder = str(self.site.folder)
        return (USER, "exchange.internal", "/srv/ops", str(self.port_of_customs), folder, "sftp")

    def plant(self, uid: str, state: str) -> None:
        """As if a destination had said something else about a message that is held."""
        with closing(sqlite3.connect(self.site.state / "spool.db", timeout=30)) as connection:
            changed = connection.execute(
                "UPDATE entry SET state = ?, error = ?, attempts = 3 WHERE state = 'held'"
                " AND message = (SELECT id FROM message WHERE uid = ?)",
                (state, SAID, uid),
            )
            connection.commit()
            assert changed.rowcount == 1


@pytest.fixture
def place(tmp_path: Path) -> FolderPlace:
    return FolderPlace.make(tmp_path / "door")


@pytest.fixture
def node(tmp_path: Path, place: FolderPlace) -> Iterator[Node]:
    made = Node(tmp_path, {"ann": place.toml()})
    with made.running():
        yield made


def asked(platform: Platform, uid: str) -> Iterator[tuple[str, Reply]]:
    """Ask every operation that an enterprise may use about a message, by the table that the contract is made from."""
    key = "ebpCode=4400000002 ebcCode=4400000003 orderNo=O-1"
    query = {
        "type": "CEB311Message",
        "key": key.replace(" ", "%20").replace("=", "%3D"),
        "redact": "true",
        "limit": "5",
    }
    for one in OPERATIONS:
        if one.id in FOR_OPERATORS:
            continue
        path = one.path.replace("{id}", "1" if "receipts" in one.path else uid)
        names = [par.name for par in one.parameters if par.place == "query" and par.name in query]
        for some in (names, [name for name in names if name != "redact"]):
            target = path + ("?" if some else "") + "&".join(f"{name}={query[name]}" for name in some)
            body = b'{"cursor": 0}' if "ack" in path else order("O-1") if one.method == "post" else None
            yield f"{one.method.upper()} {target}", platform.ask(one.method.upper(), target, body)


def test_no_enterprise_is_shown_what_was_said_inside(node: Node, place: FolderPlace) -> None:
    failing, behind, held, dead, given_up = (
        order("O-1"), order("O-1", app_time="20250102030406"), order("O-2"), order("O-3"), order("O-4"),
    )  # fmt: skip
    with closing(node.platform("ann")) as ann:
        uids = [ann.submit(body).json()["id"] for body in (failing, behind, held, dead, given_up)]
        for uid in uids[2:]:
            assert invoke("spool", "hold", uid, "-c", node.site.config).exit_code == 0
        node.plant(uids[3], "dead")
        node.plant(uids[4], "discarded")
        node.event("entry.deferred", message_id=uids[0])
        place.lay("again.xml", dead)
        place.lay("other.xml", dead + b"\n")
        reports = until(
            lambda: [*(place.root / "reports").iterdir(), *(place.root / "rejected").glob("*.json")],
            lambda found: len(found) == 2,
        )
        shown = {file.name: file.read_bytes() for file in reports}
        for uid in uids:
            for target, reply in asked(ann, uid):
                shown[f"{target} {reply.status}"] = reply.body + json.dumps(reply.headers).encode()
        states = {uid: ann.ask("GET", f"/v1/messages/{uid}").json() for uid in uids}

    for where, bytes_ in shown.items():
        text = bytes_.decode("utf-8", "replace")
        if not where.startswith(
            ("GET /openapi", "GET /docs")
        ):  # the contract speaks of transports, not of ours
            assert not [mark for mark in node.markers() if mark in text], where
        assert not COMMANDS.search(text) or where.startswith(("GET /openapi", "GET /docs")), where
    assert [states[uid]["state"] for uid in uids] == ["ready", "ready", "held", "dead", "discarded"]
    for uid in (uids[0], uids[3], uids[4]):
        assert states[uid]["error"]
        assert states[uid]["error_zh"]
        assert states[uid]["entries"][0]["error"] == states[uid]["error"]
    traced = invoke("trace", uids[0], "--json", "-c", node.site.config)
    assert USER in lines(traced)[0]["error"], "whoever runs it reads all of it"
    assert "gateway spool retry" in invoke("trace", uids[3], "-c", node.site.config).stdout


def test_evidence_for_an_enterprise_holds_without_the_lines_of_whoever_runs_the_gateway(
    node: Node, tmp_path: Path
) -> None:
    with closing(node.platform("ann")) as ann:
        uid = ann.submit(order("O-1")).json()["id"]
        node.event("entry.deferred", message_id=uid)
        file = tmp_path / "evidence.json"

        def exported() -> list[str]:
            invoke("evidence", "export", uid, "-o", file, "-c", node.site.config)
            return [one.event for one in decode(file.read_bytes()).events] if file.exists() else []

        until(exported, lambda events: "entry.deferred" in events)
        mine = ann.ask("GET", f"/v1/messages/{uid}/evidence")
    assert [one.event for one in decode(mine.body).events] == ["message.accepted"]
    key = verifier_key(invoke("journal", "key", "-c", node.site.config).stdout)
    assert not [one.text for one in verify_bundle(mine.body, [key]) if one.mark is FindingMark.BROKEN]
    assert USER in file.read_text("utf-8")
    assert ANN.id in file.read_text("utf-8")
