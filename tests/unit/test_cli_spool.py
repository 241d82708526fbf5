"""`gateway spool`, `trace` and `receipts` on a real spool: what an operator sees and can do at night."""

import os
import pty
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from shutil import copytree

import pytest

from gateway.config.site import DEMO, NewEnterprise, write_site
from gateway.model import Envelope
from gateway.receipts.overdue import OverdueScan
from gateway.xml.envelope import wrap_response
from spool.entry import Fate
from spool.sqlite import SqliteSpool
from tests import documents as make
from tests.command_line import Node, lines, node_at

OTHER = NewEnterprise(id="other", name="Other", cop_codes=("4400000009",), dxp_ids=("DXPENT0000000009",))
KEY = {"ebpCode": "4400000002", "ebcCode": "4400000003"}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_site(tmp_path_factory.mktemp("site") / "s", enterprises=(DEMO, OTHER), port=0).folder


@pytest.fixture
def node(template: Path, tmp_path: Path) -> Node:
    return node_at(Path(copytree(template, tmp_path / "site")))


def other_order(order_no: str) -> bytes:
    return make.order(order_no, cop_code="4400000009", dxp_id="DXPENT0000000009")


def states(node: Node) -> dict[str, str]:
    every = ("ready", "sending", "sent", "held", "dead", "discarded")
    options = [part for state in every for part in ("--state", state)]
    return {line["id"]: line["state"] for line in lines(node.run("spool", "list", "--json", *options))}


def test_empty_spool_is_shown_as_empty_and_in_order(node: Node) -> None:
    (line,) = lines(node.run("spool", "status", "--json"))
    assert (line["destination"], line["total"]) == ("customs", 0)
    assert node.run("spool", "list", "--json").stdout == ""
    assert "customs" in node.run("spool", "status").stdout


def test_status_counts_by_destination_state_and_age(node: Node) -> None:
    node.accept(make.order("A"), make.order("B"))
    node.settle(Fate.UNDELIVERABLE, error="refused for good", limit=1)
    found = {line["state"]: line for line in lines(node.run("spool", "status", "--json"))}
    assert {state: line["total"] for state, line in found.items()} == {"ready": 1, "dead": 1}
    assert list(found["dead"]["ages"]) == ["10s", "1m", "10m", "1h", "1d", "older"]
    assert sum(found["dead"]["ages"].values()) == 1


def test_list_shows_what_needs_somebody_and_filters(node: Node) -> None:
    first, second = node.accept(make.order("A"), make.inventory("C"))
    (third,) = node.accept(other_order("X"), owner="other")
    node.settle(Fate.DELIVERED, limit=1)
    listed = [line["id"] for line in lines(node.run("spool", "list", "--json"))]
    assert listed == [second, third]
    for options, expected in (
        (("--state", "sent"), [first]),
        (("--enterprise", "other"), [third]),
        (("--type", "CEB621Message"), [second]),
        (("--destination", "elsewhere"), []),
        (("--limit", "1"), [second]),
        (("--state", "sent", "--enterprise", "other"), []),
    ):
        assert [line["id"] for line in lines(node.run("spool", "list", "--json", *options))] == expected
    assert second in node.run("spool", "list").stdout


def test_list_goes_on_where_it_ended(node: Node) -> None:
    uids = node.accept(*(make.order(f"N{number}") for number in range(5)))
    pages, after = [], "0"
    while page := lines(result := node.run("spool", "list", "--json", "--limit", "2", "--after", after)):
        assert ("there may be more" in result.stderr) == (len(page) == 2)
        pages += [line["id"] for line in page]
        after = str(page[-1]["entry"])
    assert pages == uids


@pytest.fixture
def two_ways(node: Node) -> Node:
    """Every message goes to customs and to the tax office."""
    text = node.app.file.read_text(encoding="utf-8")
    more = (
        '[[destination]]\nname = "tax"\n[destination.folder]\nsend_dir = "out"\nreceive_dir = "in"\n'
        '[[route]]\nto = ["customs", "tax"]\n'
    )
    node.app.file.write_text(text + more, encoding="utf-8")
    return node_at(node.app.file.parent)


def entries(node: Node, uid: str) -> dict[str, str]:
    (line,) = lines(node.run("spool", "show", uid, "--json"))
    return {entry["destination"]: entry["state"] for entry in line["entries"]}


def test_show_and_trace_tell_every_way(two_ways: Node) -> None:
    (uid,) = two_ways.accept(make.order("A"))
    two_ways.settle(Fate.DELIVERED)
    assert entries(two_ways, uid) == {"customs": "sent", "tax": "ready"}
    text = two_ways.run("trace", uid).stdout
    assert "to customs: sent" in text
    assert "to tax: ready" in text


def test_operator_can_act_on_a_message_whose_first_entry_is_settled(two_ways: Node) -> None:
    (uid,) = two_ways.accept(make.order("A"))
    two_ways.settle(Fate.DELIVERED)
    assert two_ways.run("spool", "hold", uid).exit_code == 0
    assert entries(two_ways, uid) == {"customs": "sent", "tax": "held"}


def test_acting_on_all_acts_once_on_a_message_with_several_entries(two_ways: Node) -> None:
    (uid,) = two_ways.accept(make.order("A"))
    assert two_ways.run("spool", "hold", "--all").exit_code == 0
    assert entries(two_ways, uid) == {"customs": "held", "tax": "held"}


def test_show_tells_state_error_and_history(node: Node) -> None:
    (uid,) = node.accept(make.order("A"))
    node.settle(Fate.DEFERRED, error="connection refused")
    (line,) = lines(node.run("spool", "show", uid, "--json"))
    assert (line["state"], line["attempts"], line["error"]) == ("ready", 1, "connection refused")
    assert line["next_attempt_at"] == "2099-01-01T00:00:00Z"
    assert [one["event"] for one in line["history"]] == ["message.accepted", "entry.deferred"]
    assert line["waiting"]["who"] == "destination"
    text = node.run("spool", "show", uid).stdout
    assert "connection refused" in text
    assert "next attempt at 2099-01-01" in text
    assert node.run("spool", "show", "NOTHING").exit_code == 1


def test_dead_letter_is_retried_at_once(node: Node) -> None:
    (uid,) = node.accept(make.order("A"))
    node.settle(Fate.UNDELIVERABLE, error="no authority")
    assert node.run("spool", "retry", uid, "--dry-run").exit_code == 0
    assert states(node) == {uid: "dead"}
    (line,) = lines(node.run("spool", "retry", uid, "--json"))
    assert line == {"id": uid, "event": "retried", "from": "dead", "to": "ready", "done": True}
    node.settle(Fate.DELIVERED)
    assert states(node) == {uid: "sent"}


def test_all_acts_on_what_the_filters_let_pass_and_on_nothing_else(node: Node) -> None:
    first, _ = node.accept(make.order("A"), make.order("B"))
    (third,) = node.accept(other_order("X"), owner="other")
    assert node.run("spool", "hold", "--all", "--enterprise", "demo").exit_code == 0
    assert sorted(states(node).values()) == ["held", "held", "ready"]
    assert states(node)[third] == "ready"
    assert node.run("spool", "release", first).exit_code == 0
    assert states(node)[first] == "ready"
    assert node.run("spool", "release", "--all").exit_code == 0
    assert set(states(node).values()) == {"ready"}


def test_discard_needs_a_reason_and_keeps_it(node: Node) -> None:
    (uid,) = node.accept(make.order("A"))
    assert node.run("spool", "discard", uid).exit_code == 2
    assert node.run("spool", "discard", "--all", "--reason", "x").exit_code == 2
    assert node.run("spool", "discard", uid, "--reason", "sent by hand").exit_code == 0
    assert states(node) == {uid: "discarded"}
    assert "sent by hand" in node.run("spool", "show", uid).stdout


def test_what_the_lifecycle_does_not_allow_changes_nothing(node: Node) -> None:
    ready, sent = node.accept(make.order("A"), make.order("B"))
    node.run("spool", "hold", ready)
    node.settle(Fate.DELIVERED)
    result = node.run("spool", "release", ready, sent)
    assert result.exit_code == 1
    assert "sent" in result.stderr
    assert states(node) == {ready: "held", sent: "sent"}


def test_unknown_id_among_others_changes_nothing(node: Node) -> None:
    (uid,) = node.accept(make.order("A"))
    result = node.run("spool", "hold", uid, "UNKNOWN")
    assert result.exit_code == 1
    assert "UNKNOWN" in result.stderr
    assert states(node) == {uid: "ready"}


def test_ids_or_all_but_not_both_and_not_neither(node: Node) -> None:
    for arguments in ((), ("ID", "--all"), ("ID", "--enterprise", "demo")):
        assert node.run("spool", "retry", *arguments).exit_code == 2


def test_state_folder_that_is_not_there_is_not_an_empty_spool(node: Node) -> None:
    file = node.app.file
    file.write_text(file.read_text().replace('state_dir = "state"', 'state_dir = "elsewhere"'))
    result = node.run("spool", "list")
    assert result.exit_code == 2
    assert not (file.parent / "elsewhere").exists()


def test_spool_can_be_looked_at_with_broken_keys_and_enterprises(node: Node) -> None:
    node.accept(make.order("A"))
    (node.app.file.parent / "keys" / "node.key").unlink()
    (node.app.file.parent / "enterprises" / "demo.toml").write_text("broken")
    assert node.run("spool", "status").exit_code == 0
    assert node.run("trace", "A").exit_code == 0
    assert node.run("trace", "1").exit_code == 1, "no receipt of that number"
    assert node.run("receipts", "list").exit_code == 0


def who(node: Node, key: str) -> str:
    (line,) = lines(node.run("trace", key, "--json"))
    return str(line["waiting"]["who"])


def test_trace_says_who_a_message_waits_for_at_every_step(node: Node) -> None:
    (uid,) = node.accept(make.order("A"))
    assert who(node, uid) == "gateway"
    node.run("spool", "hold", uid)
    assert who(node, uid) == "operator"
    node.run("spool", "release", uid)
    node.settle(Fate.DELIVERED)
    assert who(node, uid) == "customs"
    node.collect(make.receipt("CEB312Message", {**KEY, "orderNo": "A", "returnStatus": "2"}))
    assert who(node, uid) == "customs"
    node.collect(
        make.receipt(
            "CEB312Message",
            {**KEY, "orderNo": "A", "returnStatus": "100", "returnTime": "20250102040000000"},
        )
    )
    assert who(node, uid) == "enterprise"


def test_trace_names_the_message_that_has_to_go_first(node: Node) -> None:
    first, second = node.accept(make.order("A"), make.order("A", app_type="2", app_time="20250102040000"))
    found = {line["id"]: line for line in lines(node.run("trace", "A", "--json"))}
    assert found[second]["waiting"]["who"] == "message"
    assert found[second]["waits_for"] == [first]
    assert first in node.run("trace", second).stdout


def test_trace_of_a_tax_bill_after_release_still_says_released(node: Node) -> None:
    (uid,) = node.accept(make.inventory("C"))
    node.settle(Fate.DELIVERED)
    body = {"agentCode": "4400000004", "copNo": "C", "preNo": "P1", "invtNo": "51002025I000000001"}
    node.collect(make.receipt("CEB622Message", {**body, "returnStatus": "800"}))
    node.collect(make.tax(returnTime="20250103030405678"))
    (line,) = lines(node.run("trace", uid, "--json"))
    assert len(line["declarations"][0]["answers"]) == 2
    assert line["waiting"]["who"] == "enterprise"


def test_trace_finds_by_id_declaration_order_number_receipt_and_cop_msg_id(node: Node) -> None:
    (uid,) = node.accept(make.order("A-77"))
    node.settle(Fate.DELIVERED)
    node.collect(make.receipt("CEB312Message", {**KEY, "orderNo": "A-77"}))
    identity = "CEB311Message ebpCode=4400000002 ebcCode=4400000003 orderNo=A-77"
    for key in (uid, uid.lower(), identity, "A-77", "1"):
        (line,) = lines(node.run("trace", key, "--json"))
        assert line["id"] == uid
        (declaration,) = line["declarations"]
        assert declaration["identity"] == identity
        (answer,) = declaration["answers"]
        assert (answer["status"], answer["meaning"]["kind"]) == ("2", "progress")
        assert answer["meaning"]["zh"]
    text = node.run("trace", "A-77").stdout
    assert "CEB312Message 2" in text
    assert "entry.sent" in text


def test_trace_of_what_nobody_knows_ends_with_1(node: Node) -> None:
    for key in ("NOTHING", "99", "9" * 30, "", "%"):
        result = node.run("trace", key)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "nothing is known" in result.stderr


def test_trace_finds_an_orphan_by_what_would_have_found_its_owner(node: Node) -> None:
    node.collect(make.receipt("CEB312Message", {**KEY, "orderNo": "LOST"}))
    key = "CEB311Message ebpCode=4400000002 ebcCode=4400000003 orderNo=LOST"
    (line,) = lines(node.run("trace", key, "--json"))
    assert (line["receipt"], line["message_type"]) == (1, "CEB312Message")
    assert "nobody was found" in node.run("trace", key).stdout


def test_receipts_are_listed_with_their_owner_only(node: Node) -> None:
    node.accept(make.order("A"))
    node.accept(other_order("X"), owner="other")
    node.settle(Fate.DELIVERED)
    node.collect(
        make.receipt("CEB312Message", {**KEY, "orderNo": "A"}, {**KEY, "orderNo": "X"}),
        make.receipt("CEB312Message", {**KEY, "orderNo": "X", "returnStatus": "100"}),
    )
    found = lines(node.run("receipts", "list", "--json"))
    seen = [
        (line["enterprise"], line["id"], body["declarations"][0]["key"]["orderNo"], body["meaning"]["kind"])
        for line in found
        for body in line["bodies"]
    ]
    assert sorted(seen) == [
        ("demo", "1", "A", "progress"),
        ("other", "1", "X", "progress"),
        ("other", "2", "X", "refused"),
    ]
    only = lines(node.run("receipts", "list", "--json", "--enterprise", "other", "--limit", 1))
    assert [line["id"] for line in only] == ["1"]
    assert "orderNo=A" in node.run("receipts", "list").stdout


def test_receipt_is_shown_whole_and_its_bytes_as_they_came(node: Node, tmp_path: Path) -> None:
    body = b"\xef\xbb\xbf" + make.receipt("CEB312Message", {**KEY, "orderNo": "A"})
    node.collect(body, b"\0garbage")
    (line,) = lines(node.run("receipts", "show", 1, "--json"))
    assert (line["message_type"], line["feed"], line["answers"][0]["key"]["orderNo"]) == (
        *("CEB312Message", "customs", "A"),
    )
    assert "orderNo=A" in node.run("receipts", "show", 1).stdout
    assert node.run("receipts", "show", 1, "--content").stdout_bytes == body
    assert node.run("receipts", "show", 1, "-o", tmp_path / "raw").exit_code == 0
    assert (tmp_path / "raw").read_bytes() == body
    (broken,) = lines(node.run("receipts", "show", 2, "--json"))
    assert broken["error"]
    assert broken["answers"] == []
    assert node.run("receipts", "show", 3).exit_code == 1


def test_orphans_and_garbage_are_listed_and_matched_later(node: Node) -> None:
    own = DEMO.cop_codes[0]  # a code that is nobody's, late and in no envelope, would say nothing
    late = {**KEY, "ebcCode": own, "orderNo": "LATE"}
    node.collect(make.receipt("CEB312Message", late), b"garbage")
    found = lines(node.run("receipts", "orphans", "--json"))
    assert [(one["receipt"], one["message_type"]) for one in found] == [
        (1, "CEB312Message"),
        (2, "unreadable"),
    ]
    assert "garbage" not in node.run("receipts", "orphans").stdout
    (uid,) = node.accept(make.order("LATE", ebc_code=own))
    node.settle(Fate.DELIVERED)
    assert lines(node.run("receipts", "rematch", "--json")) == [{"orphans": 2, "matched": 1}]
    assert len(lines(node.run("receipts", "orphans", "--json"))) == 1
    (line,) = lines(node.run("trace", uid, "--json"))
    assert line["declarations"][0]["answers"][0]["receipt"] == "1"


def asks_again(uid: str, number: int) -> bytes:
    """A DxpRep of the exchange: something failed on its side."""
    original = Envelope(
        cop_msg_id=uid, sender_id="DXPENT0000000001", receiver_ids=("DXPEDCCEB0000002",),
        creat_time="2025-01-02T03:04:05", msg_type="CEB311Message",
    )  # fmt: skip
    return wrap_response(
        receiver_id="DXPENT0000000001", code="3002", info=f"try {number}", original=original,
        notice_date=date(2025, 1, 2),
    )  # fmt: skip


def test_trace_shows_the_answer_that_asks_for_another_attempt_and_when_it_goes(two_ways: Node) -> None:
    (uid,) = two_ways.accept(make.order("A"))
    two_ways.settle(Fate.DELIVERED)
    two_ways.collect(asks_again(uid, 1))
    (line,) = lines(two_ways.run("trace", uid, "--json"))
    assert (line["state"], line["attempts"], line["waiting"]["who"]) == ("ready", 1, "destination")
    assert line["next_attempt_at"]
    assert "DxpRep 3002" in line["error"]
    assert [one["event"] for one in line["history"]][-2:] == ["entry.sent", "entry.bounced"]
    assert [(one["destination"], one["state"]) for one in line["entries"]] == [
        ("customs", "ready"),
        ("tax", "ready"),
    ]
    (answer,) = line["declarations"][0]["answers"]
    assert (answer["message_type"], answer["status"]) == ("DxpRep", "3002")
    text = two_ways.run("trace", uid).stdout
    assert "next attempt at" in text
    assert "remote connection error" in text


def test_message_that_was_asked_for_again_and_is_sent_waits_for_customs(node: Node) -> None:
    (uid,) = node.accept(make.order("A"))
    node.settle(Fate.DELIVERED)
    node.collect(asks_again(uid, 1))
    assert node.run("spool", "retry", uid).exit_code == 0
    node.settle(Fate.DELIVERED)
    assert who(node, uid) == "customs"


def test_what_is_overdue_is_listed_and_traced_until_it_is_answered(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def a_day_ago() -> SqliteSpool:
        return SqliteSpool(
            node.app.config.node.state_dir, lambda: datetime.now(UTC) - timedelta(days=1, hours=1)
        )

    with monkeypatch.context() as earlier:
        earlier.setattr(node.app, "spool", a_day_ago)
        uids = node.accept(make.order("A"), make.order("B"), make.order("C"))
        node.settle(Fate.DELIVERED)
        node.collect(make.receipt("CEB312Message", {**KEY, "orderNo": "A", "returnStatus": "120"}))
    with closing(node.app.spool()) as spool:
        assert OverdueScan(spool, node.app.rules).look(datetime.now(UTC) - timedelta(hours=20)) == 4
    node.collect(make.receipt("CEB312Message", {**KEY, "orderNo": "B", "returnStatus": "120"}))

    found = lines(node.run("receipts", "overdue", "--json"))

    assert [(line["message"], line["layer"]) for line in found] == [
        (uids[2], "business"),
        (uids[2], "decision"),
    ]
    assert found[0]["declaration"].endswith("orderNo=C")
    assert lines(node.run("receipts", "overdue", "--json", "--enterprise", "other")) == []
    assert "orderNo=C" in node.run("receipts", "overdue").stdout
    (life,) = lines(node.run("trace", uids[2], "--json"))
    standing = life["declarations"][0]["standing"]
    assert standing["overdue_since"] == found[0]["overdue_since"]
    assert standing["waits_for"]["who"] == life["waiting"]["who"] == "customs"
    assert "overdue since" in node.run("trace", uids[2]).stdout


def test_an_operator_decides_whose_an_ambiguous_answer_is(tmp_path: Path) -> None:
    shared = replace(OTHER, id="twin", cop_codes=DEMO.cop_codes, dxp_ids=DEMO.dxp_ids)
    node = node_at(write_site(tmp_path / "twins", enterprises=(DEMO, shared), port=0).folder)
    node.accept(make.order("A"))
    node.accept(make.order("A"), owner="twin")
    node.collect(make.receipt("CEB312Message", {**KEY, "orderNo": "A"}))
    (orphan,) = lines(node.run("receipts", "orphans", "--json"))
    assert orphan["reason"] == "ambiguous"
    assert lines(node.run("receipts", "rematch", "--json")) == [{"orphans": 1, "matched": 0}]
    assert node.run("receipts", "rematch", "--enterprise", "twin").exit_code == 2
    assert node.run("receipts", "rematch", orphan["id"], "--enterprise", "nobody").exit_code == 2
    assert node.run("receipts", "rematch", 999).exit_code == 1
    decided = node.run("receipts", "rematch", orphan["id"], "--enterprise", "twin", "--json")
    assert lines(decided) == [{"orphans": 1, "matched": 1}]
    (told,) = lines(node.run("receipts", "list", "--json"))
    assert told["enterprise"] == "twin"


@pytest.mark.parametrize("columns", [40, 80, 132, 200])
def test_ids_and_times_are_whole_on_a_terminal_however_narrow_it_is(node: Node, columns: int) -> None:
    (uid,) = node.accept(make.order("A"))
    (told,) = lines(node.run("spool", "list", "--json"))
    shown = on_terminal(columns, "spool", "list", "-c", str(node.app.file))
    for text in (uid, told["accepted_at"][:19], told["destination"], told["state"]):
        assert text in shown
    status = on_terminal(columns, "spool", "status", "-c", str(node.app.file))
    assert told["destination"] in status
    assert "total" in status


def on_terminal(columns: int, *command: str) -> str:
    ours, theirs = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-m", "gateway", *command],
            stdout=theirs,
            env={**os.environ, "COLUMNS": str(columns), "TERM": "xterm"},
            check=True,
        )
        return os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
