"""What every channel of an enterprise promises, whatever it is made of: real other sides, the real notify role."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest

from gateway.upkeep.retention import Retention
from spool.archive import Archive
from spool.entry import Wanted
from spool.lifecycle import Event, State
from tests.channel_node import ChannelNode, channel_node
from tests.command_line import invoke, lines
from tests.contract.conftest import AmqpMedium, RabbitmqMedium, SftpMedium
from tests.documents import dxp_rep
from tests.servers.postgres import shared
from tests.servers.receiver import Handler, Receiver
from tests.waiting import until

OWNER, OTHER = "e00", "e01"


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """One delivery as the platform reads it."""

    form: Any
    raw: bytes


class Side(Protocol):
    """The platform's end of a channel."""

    toml: str

    def got(self) -> list[Got]: ...
    def stop(self) -> None: ...
    def start(self) -> None: ...
    def end(self) -> None: ...


def with_base64(body: bytes) -> Got:
    form = json.loads(body)
    return Got(form=form, raw=base64.b64decode(form["receipt_base64"]))


def of_files(folder: Path) -> list[Got]:
    """What is told by `.json` files: each names the file of its bytes, which is there before."""
    found = []
    for file in sorted(folder.glob("[!.]*.json")):
        form = json.loads(file.read_bytes())
        found.append(Got(form=form, raw=(folder / form["receipt_file"]).read_bytes()))
    return found


class WebhookSide:
    def __init__(self, folder: Path) -> None:
        self.receiver = Receiver(folder)
        self.toml = self.receiver.toml()
        self.start, self.stop = self.receiver.start, self.receiver.stop

    def got(self) -> list[Got]:
        return [with_base64(one.body) for one in self.receiver.taken]

    def end(self) -> None:
        self.receiver.stop()


class FolderSide:
    def __init__(self, folder: Path) -> None:
        self.mount, self.elsewhere = folder / "outbox", folder / "elsewhere"
        self.mount.mkdir()
        self.toml = f'\n[[deliver]]\nname = "erp"\n[deliver.folder]\nsend_dir = "{self.mount}"\n'

    def got(self) -> list[Got]:
        return of_files(self.mount)

    def stop(self) -> None:
        self.mount.rename(self.elsewhere)

    def start(self) -> None:
        self.elsewhere.rename(self.mount)

    def end(self) -> None:
        pass


class SftpSide:
    def __init__(self, folder: Path) -> None:
        self.medium = SftpMedium(folder)
        config = self.medium.config
        self.toml = (
            f'\n[[deliver]]\nname = "erp"\n[deliver.sftp]\nhost = "{config.host}"\nport = {config.port}\n'
            f'user = "{config.user}"\nkey_file = "{config.key_file}"\nhost_key = "{config.host_key}"\n'
            'send_dir = "/in"\n'
        )
        self.start, self.stop, self.end = self.medium.start, self.medium.stop, self.medium.stop

    def got(self) -> list[Got]:
        return of_files(self.medium.root / "in")


class RabbitmqSide:
    def __init__(self, medium: RabbitmqMedium) -> None:
        self.medium = medium
        config = medium.config
        self.toml = (
            f'\n[[deliver]]\nname = "erp"\n[deliver.rabbitmq]\nhosts = {json.dumps(config.hosts)}\n'
            f'user = "{config.user}"\npassword_file = "{config.password_file}"\nsend_queue = "{medium.queue}"\n'
        )
        self.start, self.stop, self.end = medium.start, medium.stop, medium.stop

    def got(self) -> list[Got]:
        return [with_base64(body) for body in self.medium.arrived()]


class AmqpSide:
    def __init__(self) -> None:
        self.medium = AmqpMedium()
        self.toml = (
            f'\n[[deliver]]\nname = "erp"\n[deliver.amqp]\nurl = "{self.medium.config.url}"\n'
            'send_address = "envelopes"\n'
        )
        self.start, self.stop, self.end = self.medium.start, self.medium.stop, self.medium.stop

    def got(self) -> list[Got]:
        return [with_base64(body) for body in self.medium.arrived()]


@pytest.fixture(params=["webhook", "folder", "sftp", "rabbitmq", "amqp"])
def side(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Side]:
    match request.param:
        case "webhook":
            made: Side = WebhookSide(tmp_path)
        case "folder":
            made = FolderSide(tmp_path)
        case "sftp":
            made = SftpSide(tmp_path)
        case "rabbitmq":
            made = RabbitmqSide(RabbitmqMedium(request.getfixturevalue("brokers"), tmp_path))
        case _:
            made = AmqpSide()
    yield made
    made.end()


Make = Callable[..., Any]


@pytest.fixture(params=["sqlite", "postgres"])
def spool_toml(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return ""
    return f'[spool]\nkind = "postgres"\ndsn = {json.dumps(shared().schema_for(tmp_path))}\n'


def delivered(node: ChannelNode, lane: str, count: int) -> bool:
    return [one.state for one in node.entries(lane)] == [State.SENT] * count


def test_a_receipt_of_ones_own_comes_as_customs_wrote_it_with_what_it_means(
    side: Side, tmp_path: Path
) -> None:
    with channel_node(tmp_path, {OWNER: side.toml}) as node:
        node.accept(OWNER, "A")
        raw = node.answer(("A", "2"))
        with node.notifying():
            until(lambda: delivered(node, f"{OWNER}/erp", 1))
            until(lambda: node.spool.acknowledged(OWNER) == 1)

    (got,) = side.got()
    assert got.raw == raw
    assert (got.form["id"], got.form["enterprise"], got.form["channel"]) == (f"{OWNER}/erp/1", OWNER, "erp")
    (body,) = got.form["receipt"]["bodies"]
    assert body["meaning"]["zh"]
    assert body["meaning"]["en"]
    assert body["declarations"][0]["key"]["orderNo"] == "A"


def test_of_a_receipt_for_several_each_gets_its_own_bodies_alone(side: Side, tmp_path: Path) -> None:
    with channel_node(tmp_path, {OWNER: side.toml}) as node:
        node.accept(OWNER, "A")
        node.accept(OTHER, "B")
        raw = node.answer(("A", "2"), ("B", "100"))
        with node.notifying():
            until(lambda: delivered(node, f"{OWNER}/erp", 1))

    (got,) = side.got()
    assert b"<orderNo>A</orderNo>" in got.raw
    assert b"<orderNo>B</orderNo>" in raw
    assert b"<orderNo>B</orderNo>" not in got.raw
    assert "B" not in {
        one["key"]["orderNo"] for body in got.form["receipt"]["bodies"] for one in body["declarations"]
    }
    assert got.raw.startswith(raw[:50])


def test_of_an_answer_of_the_exchange_for_several_each_gets_its_own_response_alone(
    side: Side, tmp_path: Path
) -> None:
    with channel_node(tmp_path, {OWNER: side.toml}) as node:
        own, other = node.accept(OWNER, "A"), node.accept(OTHER, "B")
        sender = node.owners[OWNER].dxp_ids[0]
        node.keep(dxp_rep((other, sender, "3002"), (own, sender, "0002"), between="<!-- of both -->"))
        with node.notifying():
            until(lambda: delivered(node, f"{OWNER}/erp", 1))

    (got,) = side.got()
    assert got.raw.count(b"<Response>") == 1
    assert f"<ResponseInfo>about {own}</ResponseInfo>".encode() in got.raw
    for strange in (other, "of both"):
        assert strange.encode() not in got.raw
        assert strange not in json.dumps(got.form["receipt"])


def test_a_channel_that_was_away_gets_everything_once_in_the_order_of_each_declaration(
    side: Side, tmp_path: Path
) -> None:
    with channel_node(tmp_path, {OWNER: side.toml}) as node:
        node.accept(OWNER, *(f"N{number}" for number in range(5)))
        side.stop()
        with node.notifying():
            for status in ("2", "3", "120"):
                for number in range(5):
                    node.answer((f"N{number}", status))
            until(lambda: any(one.attempts for one in node.entries(f"{OWNER}/erp")))
            assert node.spool.acknowledged(OWNER) == 0
            side.start()
            until(lambda: delivered(node, f"{OWNER}/erp", 15))
            until(lambda: node.spool.acknowledged(OWNER) == 15)

    got = side.got()
    assert sorted({one.form["receipt"]["cursor"] for one in got}) == list(range(1, 16))
    assert len(got) == 15
    said: dict[str, list[str]] = {}
    for one in got:
        (body,) = one.form["receipt"]["bodies"]
        said.setdefault(body["declarations"][0]["key"]["orderNo"], []).append(body["status"])
    assert said == {f"N{number}": ["2", "3", "120"] for number in range(5)}


def test_lanes_live_in_either_spool(tmp_path: Path, spool_toml: str) -> None:
    side = WebhookSide(tmp_path)
    with channel_node(tmp_path, {OWNER: side.toml}, more_toml=spool_toml) as node:
        node.accept(OWNER, "A", "B")
        with node.notifying():
            for status in ("2", "120"):
                node.answer(("A", status), ("B", status))
            until(lambda: delivered(node, f"{OWNER}/erp", 2))
            until(lambda: node.spool.acknowledged(OWNER) > 0 and not node.waiting())
    assert [one.form["receipt"]["bodies"][0]["status"] for one in side.got()] == ["2", "120"]
    side.end()


def test_queue_may_ask_for_the_bytes_alone(brokers: Any, tmp_path: Path) -> None:
    side = RabbitmqSide(RabbitmqMedium(brokers, tmp_path))
    toml = side.toml.replace('name = "erp"\n', 'name = "erp"\ncontent = "raw"\n')
    with channel_node(tmp_path, {OWNER: toml}) as node:
        node.accept(OWNER, "A")
        raw = node.answer(("A", "2"))
        with node.notifying():
            until(lambda: delivered(node, f"{OWNER}/erp", 1))
    assert side.medium.arrived() == [raw]
    side.end()


def test_a_new_channel_begins_behind_what_was_acknowledged(tmp_path: Path) -> None:
    side = WebhookSide(tmp_path)
    with channel_node(tmp_path, {OWNER: side.toml}) as node:
        node.accept(OWNER, "A")
        for status in ("2", "3", "120"):
            node.answer(("A", status))
        first, second, third = node.spool.notices(OWNER, after=0, limit=10)
        node.spool.acknowledge(OWNER, second.cursor)
        with node.notifying():
            until(lambda: delivered(node, f"{OWNER}/erp", 1))
    assert [one.form["receipt"]["cursor"] for one in side.got()] == [third.cursor]
    assert first.cursor < second.cursor
    side.end()


def test_acknowledged_is_what_every_channel_has_and_a_dead_letter_holds_it(tmp_path: Path) -> None:
    good, bad = Receiver(tmp_path), Receiver(tmp_path, lambda handler: handler.say(500))
    toml = (
        good.toml("good")
        + bad.toml("bad")
        + "\n[deliver.retry]\nattempts = 2\nfirst_s = 0.01\nceiling_s = 0.01\n"
    )
    with channel_node(tmp_path, {OWNER: toml}) as node, good, bad:
        node.accept(OWNER, "A")
        node.answer(("A", "2"))
        node.answer(("A", "120"))
        with node.notifying():
            until(lambda: delivered(node, f"{OWNER}/good", 2))
            until(lambda: [one.state for one in node.entries(f"{OWNER}/bad")] == [State.DEAD] * 2)
            assert node.spool.acknowledged(OWNER) == 0

            bad.behaviour = Handler.take
            node.spool.act(Event.RETRIED, [f"@home/{OWNER}/bad/1"])
            until(lambda: node.spool.acknowledged(OWNER) == 1)
            node.spool.act(Event.DISCARDED, [f"@home/{OWNER}/bad/2"], reason="the platform does not want it")
            until(lambda: node.spool.acknowledged(OWNER) == 2)
    assert [one.id for one in bad.taken] == [f"{OWNER}/bad/1"]


def test_while_a_channel_is_left_out_for_a_slip_nothing_is_acknowledged_and_it_gets_all_once_it_is_mended(
    tmp_path: Path,
) -> None:
    good, bad = Receiver(tmp_path), Receiver(tmp_path)
    right = good.toml("good") + bad.toml("bad")
    with (
        channel_node(
            tmp_path,
            {OWNER: right.replace('name = "bad"', 'name = "bad"\nnane = 1'), OTHER: good.toml("good")},
        ) as node,
        good,
        bad,
    ):
        assert [one.part for one in node.app.left_out] == [f"{OWNER}/bad"]
        node.accept(OWNER, "A")
        node.accept(OTHER, "B")
        node.answer(("A", "2"))
        with node.notifying():
            until(lambda: delivered(node, f"{OWNER}/good", 1))
            node.answer(("B", "2"))
            until(lambda: node.spool.acknowledged(OTHER) == 2)  # it was looked at in the same round, before
            assert node.spool.acknowledged(OWNER) == 0
        node.set_channels(OWNER, right)
        node.read_again()
        with node.notifying():
            until(lambda: node.spool.acknowledged(OWNER) == 1)
    assert [one.id for one in bad.taken] == [f"{OWNER}/bad/1"]
    assert [one.id for one in good.taken] == [f"{OWNER}/good/1", f"{OTHER}/good/2"]


def test_410_makes_a_channel_wait_without_counting_until_it_is_read_again(tmp_path: Path) -> None:
    with (
        Receiver(tmp_path, lambda handler: handler.say(410)) as receiver,
        channel_node(tmp_path, {OWNER: receiver.toml()}) as node,
    ):
        node.accept(OWNER, "A", "B")
        with node.notifying():
            node.answer(("A", "2"))
            receiver.wait_until(lambda one: len(one.requests) == 1)
            until(lambda: "410" in node.entries(f"{OWNER}/erp")[0].error)
            node.answer(("B", "2"))
            until(lambda: len(node.entries(f"{OWNER}/erp")) == 2)
        assert {(one.state, one.attempts) for one in node.entries(f"{OWNER}/erp")} == {(State.READY, 0)}
        assert len(receiver.requests) == 1

        receiver.behaviour = Handler.take
        node.read_again()
        with node.notifying():
            until(lambda: delivered(node, f"{OWNER}/erp", 2))


def test_deliveries_are_no_messages_of_the_enterprise(tmp_path: Path) -> None:
    with Receiver(tmp_path) as receiver, channel_node(tmp_path, {OWNER: receiver.toml()}) as node:
        uid = node.accept(OWNER, "A")
        node.answer(("A", "2"))
        with node.notifying():
            until(lambda: delivered(node, f"{OWNER}/erp", 1))
        own = [one.uid for one in node.spool.entries(Wanted(destination="customs"))]
        events = [line.event for line in node.spool.history(f"@home/{OWNER}/erp/1")]
        found = list(node.spool.find([*node.entries(f"{OWNER}/erp")[0].identities]))
        searched = node.spool.search("A")
    assert own == [uid]
    assert events == ["notice.queued", "notice.sent"]
    assert searched == [uid]
    assert [one.facts for one in found] == [b""], "it is there, under a name that no answer has"
    assert all(one.identity.startswith("@home ") for one in found)


def test_operator_sees_and_moves_a_delivery_like_any_entry(tmp_path: Path) -> None:
    with Receiver(tmp_path, lambda handler: handler.say(500)) as receiver:
        toml = receiver.toml() + "\n[deliver.retry]\nattempts = 1\n"
        with channel_node(tmp_path, {OWNER: toml}) as node:
            node.accept(OWNER, "A")
            node.answer(("A", "2"))
            lane, config = f"@home/{OWNER}/erp", ["-c", str(node.site.config)]
            with node.notifying():
                until(lambda: [one.state for one in node.entries(f"{OWNER}/erp")] == [State.DEAD])
            status = lines(invoke("spool", "status", "--json", *config))
            trace = invoke("trace", f"{lane}/1", *config)
            receiver.behaviour = Handler.take
            assert invoke("spool", "retry", f"{lane}/1", *config).exit_code == 0
            with node.notifying():
                until(lambda: delivered(node, f"{OWNER}/erp", 1))
            afterwards = invoke("trace", f"{lane}/1", *config)
            checked = lines(invoke("check", "--json", *config))
    assert (lane, "dead", 1) in {(one["destination"], one["state"], one["total"]) for one in status}
    assert "the receiver answers 500" in trace.stdout
    assert f"gateway spool retry {lane}/1" in trace.stdout
    assert "was delivered on this channel" in afterwards.stdout
    assert "notice.sent" in afterwards.stdout
    assert (f"channel {OWNER}/erp", "ok") in {(one["name"], one["grade"]) for one in checked}


def test_retention_takes_deliveries_like_messages_once_all_is_acknowledged(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    with Receiver(tmp_path) as receiver, channel_node(tmp_path, {OWNER: receiver.toml()}) as node:
        uid = node.accept(OWNER, "A")
        node.spool.act(Event.DISCARDED, [uid], reason="the test sends nothing")
        node.answer(("A", "2"))
        with node.notifying():
            until(lambda: node.spool.acknowledged(OWNER) == 1)
        later = datetime.now(UTC) + timedelta(days=10)
        retention = Retention(spool=node.spool, archive=archive, days=1, batch=10, clock=lambda: later)

        batch = retention.step()

        assert sorted(batch.purged) == sorted([uid, f"@home/{OWNER}/erp/1"])
        assert node.spool.message(f"@home/{OWNER}/erp/1") is None
        shelved = archive.get(f"@home/{OWNER}/erp/1")
        assert shelved is not None
        assert [line.event for line in shelved.message.history] == ["notice.queued", "notice.sent"]
        with node.notifying():  # and goes on behind it
            node.accept(OWNER, "B")
            node.answer(("B", "2"))
            until(lambda: node.spool.acknowledged(OWNER) == 2)
    assert [one.id for one in receiver.taken] == [f"{OWNER}/erp/1", f"{OWNER}/erp/2"]


def test_two_nodes_share_the_channels_and_deliver_each_answer_once(tmp_path: Path, spool_toml: str) -> None:
    with (
        Receiver(tmp_path) as receiver,
        channel_node(tmp_path, {OWNER: receiver.toml()}, more_toml=spool_toml) as node,
        node.notifying(),
        node.notifying(),
    ):
        node.accept(OWNER, *(f"N{number}" for number in range(10)))
        for status in ("2", "3", "120"):
            for number in range(10):
                node.answer((f"N{number}", status))
        until(lambda: delivered(node, f"{OWNER}/erp", 30))
        until(lambda: not any(node.spool.outstanding().unacknowledged.values()))
    said: dict[str, list[str]] = {}
    for one in receiver.taken:
        (body,) = one.json()["receipt"]["bodies"]
        said.setdefault(body["declarations"][0]["key"]["orderNo"], []).append(body["status"])
    assert said == {f"N{number}": ["2", "3", "120"] for number in range(10)}
