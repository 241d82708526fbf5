"""Evidence: a file that holds as it was exported, and a name for every way of tampering with it."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.config.site import DEMO, NewEnterprise, write_site
from gateway.evidence import bundle as form
from gateway.evidence.verification import FindingMark, verify_bundle
from gateway.keys.node_key import node_key
from gateway.model import Envelope
from gateway.sending.records import note_keys
from gateway.upkeep.checkpoints import Sealer
from gateway.xml.envelope import wrap as sealed
from spool.note import Checkpoint, NodeKey, VerifierKey, read, verifier_key
from tests import documents as make
from tests.command_line import Node, invoke, lines, node_at
from tests.generated import REPOSITORY

OTHER = NewEnterprise(id="other", name="另一企业", cop_codes=("4400000099",), dxp_ids=("DXPENT0000000099",))
STRANGER = NodeKey(name="gateway/stranger", private=Ed25519PrivateKey.generate())
Json = dict[str, Any]


def seal(node: Node) -> None:
    with closing(node.app.spool()) as spool:
        Sealer(spool, node_key(node.app.config), every_s=60, events=99).look()


def forward(node: Node) -> None:
    """Sign, send into the folder, settle; as the forward role does."""
    with closing(node.app.forward(node.app.config.destination[0], 0)) as role:
        note_keys(role._spool, node.app.keyring().signers())
        assert role.step()
        role._spool.close()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    """Two enterprises, each with an order that was sent and answered; the second answer is to both."""
    folder = write_site(tmp_path_factory.mktemp("site") / "s", port=0, enterprises=(DEMO, OTHER)).folder
    made = node_at(folder)
    made.accept(make.order("ORDER-1"), make.order("ORDER-2"))
    made.accept(make.order("ORDER-9", cop_code=OTHER.cop_codes[0], dxp_id=OTHER.dxp_ids[0]), owner="other")
    seal(made)
    forward(made)
    made.collect(make.receipt("CEB312Message", answer("ORDER-1")))
    made.collect(make.receipt("CEB312Message", answer("ORDER-1", "3"), answer("ORDER-9", "3")))
    seal(made)
    return made


def answer(order_no: str, status: str = "2") -> dict[str, str]:
    return {
        "ebpCode": "4400000002",
        "ebcCode": "4400000003",
        "orderNo": order_no,
        "returnStatus": status,
        "returnTime": f"2025010203040{status}678",
    }


@pytest.fixture(scope="module")
def key(node: Node) -> VerifierKey:
    return node_key(node.app.config).public


@pytest.fixture(scope="module")
def uid(node: Node) -> str:
    return str(lines(node.run("trace", "ORDER-1", "--json"))[0]["id"])


@pytest.fixture(scope="module")
def exported(node: Node, uid: str, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    file = tmp_path_factory.mktemp("out") / "evidence.json"
    result = node.run("evidence", "export", uid, "-o", file)
    assert result.exit_code == 0, result.output
    return file.read_bytes()


def texts(content: bytes, key: VerifierKey, mark: FindingMark) -> list[str]:
    return [one.text for one in verify_bundle(content, [key]) if one.mark is mark]


def test_file_holds_and_says_what_it_proves(exported: bytes, key: VerifierKey) -> None:
    assert texts(exported, key, FindingMark.BROKEN) == []
    proven = "\n".join(texts(exported, key, FindingMark.PROVEN))
    known = form.decode(exported)
    assert known.sent[0].span is not None
    start, end = known.sent[0].span
    assert (
        f"cutting bytes {start}–{end} out of what was sent to customs gives back exactly what was handed in"
        in proven
    )
    assert known.accepted.sha256 in proven
    assert "5 of 5 events" in proven
    assert "the envelope to customs carries just these bytes" in proven
    assert "the log was only added to" in proven
    opened = "\n".join(texts(exported, key, FindingMark.OPEN))
    assert "said by the confirmation of its transport (folder), not proven" in opened
    assert all(one.text_zh for one in verify_bundle(exported, [key]))


def test_parts_are_the_very_bytes_that_were_handed_in_and_sent(node: Node, exported: bytes) -> None:
    known = form.decode(exported)
    assert known.accepted.body == make.order("ORDER-1")
    sent = list((node.app.config.node.state_dir / "outbox").iterdir())
    assert known.sent[0].envelope in [file.read_bytes() for file in sent]
    assert known.sent[0].signature is not None
    assert known.sent[0].signature.startswith(b"<ds:Signature")


def test_nothing_of_another_enterprise_is_in_the_file(exported: bytes) -> None:
    known = form.decode(exported)
    whole, shared = known.receipts
    assert whole.body == make.receipt("CEB312Message", answer("ORDER-1"))
    assert shared.body is None
    assert shared.part is not None
    everything = exported + b"".join(
        part for part in (shared.part, known.accepted.body, known.sent[0].envelope) if part
    )
    assert b"ORDER-9" not in everything
    assert b'"other' not in everything


def test_an_envelope_that_names_other_receivers_is_not_in_the_file(tmp_path: Path) -> None:
    made = node_at(write_site(tmp_path / "s", port=0, enterprises=(DEMO, OTHER)).folder)
    (uid,) = made.accept(make.order("ORDER-1"))
    seal(made)
    forward(made)
    business = make.receipt("CEB312Message", answer("ORDER-1"))
    head = Envelope(
        cop_msg_id="R-1",
        sender_id="DXPEDCCEB0000002",
        receiver_ids=(*DEMO.dxp_ids, *OTHER.dxp_ids),
        creat_time="2025-01-02T12:05:06",
    )
    made.collect(sealed(business, head))
    seal(made)
    result = made.run("evidence", "export", uid, "-o", tmp_path / "evidence.json")
    assert result.exit_code == 0, result.output
    content = (tmp_path / "evidence.json").read_bytes()
    (receipt,) = form.decode(content).receipts
    assert (receipt.body, receipt.part) == (None, business)
    assert texts(content, node_key(made.app.config).public, FindingMark.BROKEN) == []


def test_redacted_file_holds_without_any_bytes(node: Node, uid: str, key: VerifierKey) -> None:
    content = node.run("evidence", "export", uid, "--redact").stdout.encode()
    assert texts(content, key, FindingMark.BROKEN) == []
    known = form.decode(content)
    parts = [
        known.accepted.body,
        *(one.signature for one in known.sent),
        *(one.envelope for one in known.sent),
    ]
    assert [*parts, *(one.body or one.part for one in known.receipts)] == [None] * 5
    assert "are not in this file, only their digest" in "\n".join(texts(content, key, FindingMark.OPEN))


def test_verifying_needs_the_file_and_the_key_and_nothing_else(
    exported: bytes, node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evidence.json").write_bytes(exported)
    public = node.run("journal", "key").stdout
    (tmp_path / "node.pub").write_text(public)
    for one in (public.strip(), "node.pub"):
        result = invoke("evidence", "verify", "evidence.json", "--key", one)
        assert result.exit_code == 0
        assert "the evidence holds / 证据有效" in result.stdout
    result = invoke("evidence", "verify", "evidence.json", "--key", STRANGER.public, "--json")
    assert result.exit_code == 1
    (line,) = lines(result)
    assert not line["holds"]
    assert line["findings"][0]["mark"] == "broken"
    assert invoke("evidence", "verify", "evidence.json", "--key", "nonsense").exit_code == 2


# tampering


def flipped(code: str, at: int = -5) -> str:
    """Return Base64 of the bytes with one bit flipped."""
    raw = bytearray(b64decode(code))
    raw[at] ^= 1
    return b64encode(raw).decode()


def digest(text: str) -> str:
    return ("0" if text[0] != "0" else "1") + text[1:]


def line_of(file: Json, event: str) -> Json:
    return next(one for one in file["events"] if one["event"] == event)


def stranger(note: str) -> str:
    """Let somebody else sign the same."""
    return STRANGER.signed(read(note))


def _set(path: str, change: Callable[[Any], Any]) -> Callable[[Json], object]:
    """Change one place of the file."""

    def spoil(file: Json) -> None:
        *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        place: Any = file
        for step in steps:
            place = place[step]
        place[last] = change(place[last])

    return spoil


def _swap_receipts(file: Json) -> None:
    one, two = file["receipts"]
    one["sha256"], two["sha256"] = two["sha256"], one["sha256"]


def _older_checkpoint(file: Json) -> None:
    file["checkpoint"] = file["earlier"][0]["note"]


def _insert(file: Json) -> None:
    made = dict(file["events"][-1])
    file["events"].append(
        {**made, "number": made["number"] + 1, "index": made["index"] + 1, "event": "entry.held"}
    )


def _other_body(file: Json) -> None:
    body = make.order("ORDER-2")
    file["accepted"] |= {
        "body": b64encode(body).decode(),
        "sha256": sha256(body).hexdigest(),
        "size": len(body),
    }


TAMPERING: dict[str, tuple[Callable[[Json], object], str]] = {
    "bit in the accepted bytes": (_set("accepted.body", flipped), "bytes handed in were altered"),
    "digest of the accepted bytes": (
        _set("accepted.sha256", digest),
        "acceptance: sha256 is not what the log says",
    ),
    "size of the accepted bytes": (_set("accepted.size", lambda n: n + 1), "acceptance: size is not"),
    "another message in its place": (_other_body, "acceptance: sha256 is not"),
    "another owner": (_set("owner", lambda _: "other"), "acceptance: owner is not"),
    "another message type": (_set("message_type", lambda _: "CEB621Message"), "acceptance: type is not"),
    "another message id": (_set("id", digest), "event of the acceptance is missing"),
    "bit in the envelope": (_set("sent.0.envelope", flipped), "envelope to customs was altered"),
    "digest of the envelope": (_set("sent.0.envelope_sha256", digest), "customs: envelope is not"),
    "bit in the signature": (_set("sent.0.signature", flipped), "have another digest"),
    "signature cut off": (
        _set("sent.0.signature", lambda s: b64encode(b64decode(s)[:-1]).decode()),
        "another digest",
    ),
    "span moved": (_set("sent.0.span", lambda s: [s[0] + 1, s[1] + 1]), "customs: span is not"),
    "digest of what was sent": (_set("sent.0.sha256", digest), "customs: sha256 is not"),
    "delivery removed": (lambda f: f["sent"].clear(), "parts about entry.sent are not those"),
    "delivery doubled": (lambda f: f["sent"].append(f["sent"][0]), "parts about entry.sent are not those"),
    "bit in a receipt": (_set("receipts.0.body", flipped), "altered or swapped"),
    "receipts swapped": (_swap_receipts, "sha256 is not what the log says"),
    "receipt renumbered": (_set("receipts.0.receipt", lambda n: n + 7), "receipt is not what the log says"),
    "receipt removed": (lambda f: f["receipts"].pop(), "parts about receipt.filed are not those"),
    "event removed": (lambda f: f["events"].pop(1), "was removed from the file"),
    "event inserted": (_insert, "was inserted into the file"),
    "event doubled": (lambda f: f["events"].append(f["events"][0]), "was inserted into the file"),
    "events in another order": (lambda f: f["events"].reverse(), "in another order"),
    "detail of an event": (
        lambda f: line_of(f, "entry.sent").update(detail="{}"),
        "(entry.sent): it is not in the log like this",
    ),
    "name of an event": (_set("events.0.event", lambda _: "entry.dead"), "it is not in the log like this"),
    "time of an event": (_set("events.0.at", lambda at: at + 1), "it is not in the log like this"),
    "time that is none": (_set("events.0.at", lambda _: 2**62), "the proof does not hold"),
    "message of an event": (_set("events.1.uid", digest), "it is not in the log like this"),
    "number of an event": (_set("events.0.number", lambda n: n + 100), "was inserted into the file"),
    "place of an event": (_set("events.0.index", lambda n: n + 1), "it is not in the log like this"),
    "place behind the log": (_set("events.0.index", lambda _: 10**6), "there is no leaf"),
    "proof altered": (_set("events.0.proof.0", digest), "it is not in the log like this"),
    "proof too short": (lambda f: f["events"][0]["proof"].pop(), "too short"),
    "proof too long": (lambda f: f["events"][0]["proof"].append("00" * 32), "too long"),
    "proof that is no number": (_set("events.0.proof.0", lambda _: "zz"), "the proof does not hold"),
    "checkpoint of another key": (
        _set("checkpoint", stranger),
        "checkpoint does not hold: it is not signed by",
    ),
    "checkpoint of another log": (
        _set("checkpoint", lambda note: note.replace("gateway/", "gateway/x-", 1)),
        "what it signs was altered",
    ),
    "checkpoint of another size": (
        _set("checkpoint", lambda note: note.replace("\n", "\n1", 1)),
        "what it signs was altered",
    ),
    "checkpoint cut off": (_set("checkpoint", lambda note: note[:-1]), "empty line"),
    "older checkpoint": (_older_checkpoint, "the file was altered after its export"),
    "earlier checkpoint of another key": (
        _set("earlier.0.note", stranger),
        "earlier checkpoint does not hold",
    ),
    "proof between checkpoints": (_set("earlier.0.proof.0", digest), "earlier checkpoint does not hold"),
    "earlier checkpoint removed": (lambda f: f.pop("earlier"), "altered after its export"),
    "statement removed": (lambda f: f.pop("statement"), "statement does not hold"),
    "statement of another key": (
        lambda f: f.update(statement=STRANGER.note(form.said_of(form.decode(json.dumps(f).encode())))),
        "statement does not hold",
    ),
    "count of what waits": (lambda f: f.update(unsealed=3), "altered after its export"),
    "field added": (lambda f: f.update(comment="trust me"), "no file of evidence"),
    "field removed": (lambda f: f.pop("accepted"), "no file of evidence"),
    "another form": (_set("format", lambda _: "mine/1"), "the form mine/1 is not known"),
}


@pytest.mark.parametrize("kind", TAMPERING)
def test_tampering_is_named(kind: str, exported: bytes, key: VerifierKey) -> None:
    spoil, named = TAMPERING[kind]
    file = json.loads(exported)
    spoil(file)
    broken = texts(json.dumps(file, ensure_ascii=False).encode(), key, FindingMark.BROKEN)
    assert any(named in text for text in broken), broken


def test_origin_of_the_log_can_be_demanded(exported: bytes, key: VerifierKey) -> None:
    assert any(
        "another log" in one.text for one in verify_bundle(exported, [key], origin="gateway/elsewhere")
    )


def test_bytes_that_are_no_json_are_no_evidence(key: VerifierKey) -> None:
    assert "no file of evidence" in texts(b"\xff", key, FindingMark.BROKEN)[0]


# the whole log


def test_whole_log_holds(node: Node) -> None:
    result = node.run("journal", "verify", "--json")
    assert result.exit_code == 0, result.output
    (line,) = lines(result)
    assert (line["faults"], line["checkpoints"], line["unsealed"]) == ([], 2, 0)
    assert "the log holds" in node.run("journal", "verify").output
    (said,) = lines(node.run("journal", "checkpoint", "--json"))
    assert said["size"] == line["events"]
    assert read(node.run("journal", "checkpoint").stdout).root.hex() == said["root"]


def test_checkpoint_that_somebody_kept_is_found_in_the_log_or_the_log_is_another(
    node: Node, tmp_path: Path
) -> None:
    with closing(node.app.spool()) as spool:
        first, _ = spool.checkpoints(after=0, limit=9)
    (tmp_path / "kept").write_text(first.note, "utf-8")
    assert node.run("journal", "verify", "--checkpoint", tmp_path / "kept").exit_code == 0
    said = read(first.note)
    forked = node_key(node.app.config).signed(Checkpoint(origin=said.origin, size=said.size, root=bytes(32)))
    (tmp_path / "kept").write_text(forked, "utf-8")
    result = node.run("journal", "verify", "--checkpoint", tmp_path / "kept")
    assert result.exit_code == 1
    assert "a checkpoint that was kept is not of this log" in result.output


# files of earlier versions

EARLIER = REPOSITORY / "tests" / "golden" / "evidence"


@pytest.mark.parametrize("name", ["submitted", "translated"])
def test_file_of_the_first_form_still_holds(name: str) -> None:
    content = (EARLIER / f"{name}-1.json").read_bytes()
    known, trusted = form.decode(content), verifier_key((EARLIER / "node.pub").read_text("utf-8"))
    assert (known.format, known.translation) == (form.FORMAT, None)
    assert texts(content, trusted, FindingMark.BROKEN) == []
    proven = "\n".join(texts(content, trusted, FindingMark.PROVEN))
    assert f"sha256 {known.accepted.sha256}" in proven
    assert ("it made the message by the mapping payments" in proven) == (name == "translated")
    opened = texts(content, trusted, FindingMark.OPEN)
    assert ("source, mapping and trace of that translation are not in this file" in opened) == (
        name == "translated"
    )


def test_message_as_submitted_keeps_the_first_form(exported: bytes) -> None:
    assert form.decode(exported).format == form.FORMAT
    assert b'"translation"' not in exported
