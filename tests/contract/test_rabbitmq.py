"""What only RabbitMQ promises: returns, refusals, restarts, failover, certificates; with a real broker."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from pamqp import commands

from gateway.config.links import Rabbitmq
from gateway.errors import DeliveryError
from gateway.ports import Parcel
from gateway.transports.amqp10.transport import AmqpFeed, AmqpTransport
from gateway.transports.rabbitmq.probe import reach
from gateway.transports.rabbitmq.transport import RabbitmqFeed, RabbitmqTransport
from tests.contract.conftest import RabbitmqMedium, RabbitmqPluginMedium, parcel
from tests.servers.certificates import Authority
from tests.servers.rabbitmq import LARGEST_BYTES, Brokers
from tests.servers.tcp_door import TcpDoor
from tests.waiting import PATIENCE_S, until

Fates = dict[int, DeliveryError | None]


def changed(config: Rabbitmq, **values: object) -> Rabbitmq:
    return msgspec.structs.replace(config, **values)


def send(transport: RabbitmqTransport, *parcels: Parcel) -> Fates:
    deliveries = list(transport.send(parcels))
    assert sorted(delivery.entry for delivery in deliveries) == sorted(one.entry for one in parcels)
    return {delivery.entry: delivery.error for delivery in deliveries}


def fate(config: Rabbitmq, one: Parcel | None = None) -> DeliveryError | None:
    transport = RabbitmqTransport(config)
    (error,) = send(transport, one or parcel(1)).values()
    transport.close()
    return error


def refusal(config: Rabbitmq, one: Parcel | None = None, *, temporary: bool = True) -> DeliveryError:
    error = fate(config, one)
    assert error is not None
    assert error.temporary is temporary
    assert error.fix
    return error


def addressed(entry: int, receiver: str) -> Parcel:
    return Parcel(
        entry=entry,
        cop_msg_id=f"COP-{entry}",
        message_type="CEB621Message",
        body=b"%d" % entry,
        file_name="",
        sender_id="DXPENT0000000001",
        receiver_id=receiver,
    )


@contextmanager
def speaking(*lines: bytes) -> Iterator[int]:
    """A peer that says something to its first client and hangs up when the client does; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"".join(lines))
                while connection.recv(4096):
                    pass

        speaker = threading.Thread(target=serve)
        speaker.start()
        yield listener.getsockname()[1]
        speaker.join()


# Sending


def test_envelope_is_persistent_xml_named_by_its_cop_msg_id(rabbitmq: RabbitmqMedium) -> None:
    assert fate(rabbitmq.config) is None
    ((body, about),) = rabbitmq.site.take(rabbitmq.queue)
    assert body == b"<x/>"
    assert (about.content_type, about.content_encoding) == ("text/xml", "UTF-8")
    assert (about.delivery_mode, about.message_id, about.message_type) == (2, "COP-1", "CEB311Message")
    assert not about.headers


def test_missing_queue_is_told_and_may_be_tried_again_when_it_is_there(rabbitmq: RabbitmqMedium) -> None:
    missing = f"{rabbitmq.queue}_later"
    transport = RabbitmqTransport(changed(rabbitmq.config, send_queue=missing))
    (error,) = send(transport, parcel(1)).values()
    assert error is not None
    assert error.temporary
    assert "NO_ROUTE" in error.what
    assert missing in error.where
    assert "send_queue" in error.fix

    rabbitmq.site.declare(missing)
    assert send(transport, parcel(1)) == {1: None}
    transport.close()


def test_return_hits_only_the_parcel_that_came_back(rabbitmq: RabbitmqMedium) -> None:
    transport = RabbitmqTransport(changed(rabbitmq.config, send_queue="{receiver}"))
    parcels = [addressed(entry, "nobody" if entry % 7 == 3 else rabbitmq.queue) for entry in range(600)]
    fates = send(transport, *parcels)
    transport.close()
    assert [entry for entry, error in fates.items() if error] == [n for n in range(600) if n % 7 == 3]
    assert sorted(rabbitmq.arrived()) == sorted(b"%d" % n for n in range(600) if n % 7 != 3)


def test_two_copies_of_a_parcel_both_come_back(rabbitmq: RabbitmqMedium) -> None:
    transport = RabbitmqTransport(changed(rabbitmq.config, send_queue="nobody"))
    deliveries = list(transport.send([parcel(1), parcel(1), parcel(2)]))
    assert sorted(delivery.entry for delivery in deliveries if delivery.error) == [1, 1, 2]
    transport.close()


@pytest.mark.parametrize(
    ("template", "queue"),
    [
        ("{receiver}_{type}", "DXPEDCCEB0000002_CEB621Message"),
        ("DXP_{number}", "DXP_621"),
        ("{sender}", "DXPENT0000000001"),
    ],
)
def test_queue_is_named_after_the_message(rabbitmq: RabbitmqMedium, template: str, queue: str) -> None:
    own = f"{rabbitmq.queue}.{queue}"
    rabbitmq.site.declare(own)
    config = changed(rabbitmq.config, send_queue=f"{rabbitmq.queue}.{template}")
    assert fate(config, addressed(1, "DXPEDCCEB0000002")) is None
    assert rabbitmq.site.count(own) == 1


def test_message_without_the_part_that_names_the_queue_is_refused(rabbitmq: RabbitmqMedium) -> None:
    error = refusal(changed(rabbitmq.config, send_queue="{receiver}"), parcel(1), temporary=False)
    assert "receiver" in error.what


def test_name_too_long_for_the_protocol_is_refused_alone(rabbitmq: RabbitmqMedium) -> None:
    long = named(2, "C" * 300)
    transport = rabbitmq.transport()
    errors = {delivery.entry: delivery.error for delivery in transport.send([parcel(1), long, parcel(3)])}
    assert (errors[1], errors[3]) == (None, None)
    assert errors[2] is not None
    assert not errors[2].temporary
    transport.close()


def named(entry: int, cop_msg_id: str) -> Parcel:
    return Parcel(
        entry=entry, cop_msg_id=cop_msg_id, message_type="CEB311Message", body=b"x", file_name="x.xml"
    )


def test_full_queue_refuses_for_now(rabbitmq: RabbitmqMedium) -> None:
    full = f"{rabbitmq.queue}_full"
    rabbitmq.site.declare(full, max_length=1, overflow="reject-publish")
    rabbitmq.site.put(full, b"there first")
    error = refusal(changed(rabbitmq.config, send_queue=full))
    assert "could not take" in error.what
    assert rabbitmq.site.count(full) == 1


def test_classic_queue_takes_as_well(rabbitmq: RabbitmqMedium) -> None:
    rabbitmq.site.declare(f"{rabbitmq.queue}_classic")
    assert fate(changed(rabbitmq.config, send_queue=f"{rabbitmq.queue}_classic")) is None


def test_missing_exchange_is_told(rabbitmq: RabbitmqMedium) -> None:
    error = refusal(changed(rabbitmq.config, exchange="nowhere"))
    assert "nowhere" in error.what
    assert "exchange" in error.fix


def test_too_large_for_the_broker_ends_that_parcel_only(rabbitmq: RabbitmqMedium) -> None:
    transport = RabbitmqTransport(rabbitmq.config)
    parcels = [parcel(1), parcel(2, b"x" * (LARGEST_BYTES + 1)), parcel(3)]
    fates = send(transport, *parcels)
    huge = fates.pop(2)
    assert huge is not None
    assert not huge.temporary
    assert fates.keys() == {1, 3}
    assert all(error is None or error.temporary for error in fates.values())
    again = [one for one in parcels if fates.get(one.entry)]
    assert set(send(transport, *again).values()) <= {None}
    assert set(rabbitmq.arrived()) == {b"<x/>"}
    transport.close()


def test_more_than_the_window_is_all_sent(rabbitmq: RabbitmqMedium) -> None:
    transport = RabbitmqTransport(rabbitmq.config)
    fates = send(transport, *(parcel(entry, b"%d" % entry * 1000) for entry in range(1500)))
    assert set(fates.values()) == {None}
    assert len(rabbitmq.arrived()) == 1500
    transport.close()


# Things that break


def test_connection_cut_between_publish_and_confirm_loses_nothing(rabbitmq: RabbitmqMedium) -> None:
    transport = RabbitmqTransport(rabbitmq.config)
    assert send(transport, parcel(0)) == {0: None}
    rabbitmq.door.cut_at_next_answer()
    bodies = {entry: b"%d" % entry for entry in range(1, 101)}
    fates = send(transport, *(parcel(entry, body) for entry, body in bodies.items()))
    unsure = [entry for entry, error in fates.items() if error]
    assert unsure
    assert all(error is None or error.temporary for error in fates.values())

    fates = send(transport, *(parcel(entry, bodies[entry]) for entry in unsure))
    assert set(fates.values()) == {None}
    assert set(bodies.values()) <= set(rabbitmq.arrived())
    transport.close()


def test_broker_killed_and_restarted_in_the_middle_of_a_send_loses_nothing(rabbitmq: RabbitmqMedium) -> None:
    node = rabbitmq.brokers.node
    transport, feed = RabbitmqTransport(rabbitmq.config), RabbitmqFeed(rabbitmq.config)
    rabbitmq.offer(b"answer", "r1")
    (in_hand,) = feed.receive(limit=1, timeout_s=PATIENCE_S)
    # Meanwhile RabbitMQ 3.10 writes down that the queues exist: it would lose one made half a second ago.
    assert list(feed.receive(limit=1, timeout_s=2)) == []
    bodies = {entry: b"%d" % entry for entry in range(2000)}
    try:
        deliveries = transport.send([parcel(entry, body) for entry, body in bodies.items()])
        done = [next(deliveries) for _ in range(100)]
        node.kill()
        done += deliveries
    finally:
        node.start()
    failed = [delivery.entry for delivery in done if delivery.error]
    assert sorted(delivery.entry for delivery in done) == sorted(bodies)
    assert failed

    assert set(send(transport, *(parcel(entry, bodies[entry]) for entry in failed)).values()) == {None}
    assert set(rabbitmq.arrived()) == set(bodies.values())
    with pytest.raises(DeliveryError):
        feed.done([in_hand])
    (again,) = feed.receive(limit=1, timeout_s=PATIENCE_S)
    assert again.body == in_hand.body
    transport.close()
    feed.close()


def test_blocked_publishers_are_told_why_and_go_on_afterwards(rabbitmq: RabbitmqMedium) -> None:
    node = rabbitmq.brokers.node
    transport = RabbitmqTransport(changed(rabbitmq.config, timeout_s=1.0))
    assert send(transport, parcel(1)) == {1: None}
    node.block()
    try:
        fates = send(transport, parcel(2), parcel(3))
    finally:
        node.unblock()
    assert fates.keys() == {2, 3}
    for error in fates.values():
        assert error is not None
        assert error.temporary
        assert "takes no messages now: low on memory" in error.what
    assert send(transport, parcel(2), parcel(3)) == {2: None, 3: None}
    transport.close()


def test_next_host_takes_over_and_is_kept(rabbitmq: RabbitmqMedium) -> None:
    second = TcpDoor(rabbitmq.brokers.node.port)
    config = rabbitmq.site.config(
        rabbitmq.door.port, second.port, send_queue=rabbitmq.queue, receive_queues=(rabbitmq.answers,)
    )
    transport, feed = RabbitmqTransport(config), RabbitmqFeed(config)
    assert send(transport, parcel(1)) == {1: None}
    assert second.passed == 0
    rabbitmq.stop()
    assert send(transport, parcel(2)) == {2: None}  # noticed before anything was published
    rabbitmq.offer(b"1", "r1")
    feed.done(feed.receive(limit=1, timeout_s=PATIENCE_S))
    assert second.passed == 2
    rabbitmq.start()
    before = rabbitmq.door.passed
    assert send(transport, parcel(3)) == {3: None}
    assert (rabbitmq.door.passed, second.passed) == (before, 2)

    second.stop()
    assert send(transport, parcel(4)) == {4: None}
    assert rabbitmq.door.passed == before + 1
    transport.close()
    feed.close()


def test_none_of_several_hosts_is_told_with_each_reason(rabbitmq: RabbitmqMedium) -> None:
    rabbitmq.stop()
    with speaking(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        config = rabbitmq.site.config(
            rabbitmq.door.port, port, send_queue="q", receive_queues=(rabbitmq.answers,)
        )
        error = refusal(config)
    assert "refused" in error.what
    assert "does not speak AMQP" in error.what
    assert str(port) in error.where


def test_broker_of_amqp_1_0_alone_is_told(rabbitmq: RabbitmqMedium) -> None:
    with speaking(b"AMQP\x00\x01\x00\x00") as port:
        error = refusal(changed(rabbitmq.config, hosts=(f"amqp://127.0.0.1:{port}",)))
    assert "0-9-1" in error.what


def test_silent_server_is_given_up_after_the_time_out(rabbitmq: RabbitmqMedium) -> None:
    with speaking() as port:
        error = refusal(changed(rabbitmq.config, hosts=(f"amqp://127.0.0.1:{port}",), timeout_s=0.2))
    assert "in time" in error.what


def test_heartbeats_keep_a_waiting_feed_and_an_idle_transport_is_replaced(rabbitmq: RabbitmqMedium) -> None:
    config = changed(rabbitmq.config, heartbeat_s=1)
    transport, feed = RabbitmqTransport(config), RabbitmqFeed(config)
    assert send(transport, parcel(1)) == {1: None}
    assert list(feed.receive(limit=1, timeout_s=3.5)) == []
    assert rabbitmq.door.passed == 2
    assert send(transport, parcel(2)) == {2: None}
    assert rabbitmq.door.passed == 3
    transport.close()
    feed.close()


def test_broker_that_falls_silent_is_noticed_by_its_heartbeats(rabbitmq: RabbitmqMedium) -> None:
    feed = RabbitmqFeed(changed(rabbitmq.config, heartbeat_s=1))
    assert list(feed.receive(limit=1, timeout_s=0)) == []
    rabbitmq.door.mute()
    with pytest.raises(DeliveryError, match="silent"):
        feed.receive(limit=1, timeout_s=PATIENCE_S)
    rabbitmq.door.mute(False)
    rabbitmq.offer(b"1", "r1")
    assert feed.receive(limit=1, timeout_s=PATIENCE_S)[0].body == b"1"
    feed.close()


# Logins and TLS


def test_wrong_password_is_told_with_the_cure(rabbitmq: RabbitmqMedium, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("not it\n")
    error = refusal(changed(rabbitmq.config, password_file=tmp_path / "wrong"))
    assert "ACCESS_REFUSED" in error.what
    assert "password_file" in error.fix
    assert "not it" not in str(error)


def test_missing_password_file_is_told_with_its_path(rabbitmq: RabbitmqMedium, tmp_path: Path) -> None:
    assert refusal(changed(rabbitmq.config, password_file=tmp_path / "none")).where == str(tmp_path / "none")


def test_missing_virtual_host_is_told(rabbitmq: RabbitmqMedium) -> None:
    error = refusal(changed(rabbitmq.config, vhost="elsewhere"))
    assert "elsewhere" in error.what
    assert "vhost" in error.fix


@pytest.fixture
def secured(rabbitmq: RabbitmqMedium) -> Rabbitmq:
    """The TLS port of the broker, which asks every client for a certificate."""
    tls = rabbitmq.brokers.tls
    return changed(
        rabbitmq.config,
        hosts=(f"amqps://localhost:{rabbitmq.brokers.node.tls_port}",),
        ca_file=tls / "ca.pem",
        client_certificate=tls / "client.pem",
        client_key=tls / "client.key",
    )


def test_tls_with_a_client_certificate_and_a_password(secured: Rabbitmq, rabbitmq: RabbitmqMedium) -> None:
    body = bytes(range(256)) * 4096
    assert fate(secured, parcel(1, body)) is None
    assert rabbitmq.arrived() == [body]


def test_login_by_certificate_alone(secured: Rabbitmq, rabbitmq: RabbitmqMedium) -> None:
    config = changed(secured, user="", password_file=None)
    assert fate(config) is None
    body = bytes(range(256)) * 4096  # many TLS records
    rabbitmq.offer(body, "r1")
    feed = RabbitmqFeed(config)
    arrivals = feed.receive(limit=1, timeout_s=PATIENCE_S)
    assert [arrival.body for arrival in arrivals] == [body]
    feed.done(arrivals)
    feed.close()


def test_client_certificate_missing_or_of_another_authority_is_told(
    secured: Rabbitmq, tmp_path: Path
) -> None:
    Authority("Somebody else").issue("gateway", tmp_path / "c.pem", tmp_path / "c.key")
    for certificate, key in ((None, None), (tmp_path / "c.pem", tmp_path / "c.key")):
        error = refusal(changed(secured, client_certificate=certificate, client_key=key))
        assert "certificate" in error.what
        assert "client_certificate" in error.fix


def test_broker_of_another_authority_is_not_trusted(secured: Rabbitmq, tmp_path: Path) -> None:
    Authority("Somebody else").write(tmp_path / "other.pem")
    error = refusal(changed(secured, ca_file=tmp_path / "other.pem"))
    assert "not trusted" in error.what
    assert "ca_file" in error.fix


@pytest.mark.parametrize("key", ["ca_file", "client_key"])
def test_file_that_cannot_be_used_is_named(secured: Rabbitmq, tmp_path: Path, key: str) -> None:
    (tmp_path / "broken.pem").write_text("nothing of use")
    error = refusal(changed(secured, **{key: tmp_path / "broken.pem"}))
    assert "broken.pem" in error.where
    assert key in error.fix


def test_plain_login_at_the_tls_port_and_the_other_way_round_are_told(
    secured: Rabbitmq, rabbitmq: RabbitmqMedium
) -> None:
    node = rabbitmq.brokers.node
    refusal(changed(rabbitmq.config, hosts=(f"amqp://127.0.0.1:{node.tls_port}",)))
    error = refusal(changed(secured, hosts=(f"amqps://127.0.0.1:{node.port}",)))
    assert "TLS" in error.what


# Looking before sending


def test_look_finds_queues_and_exchange_and_touches_nothing(rabbitmq: RabbitmqMedium) -> None:
    rabbitmq.offer(b"1", "r1")
    assert rabbitmq.queue in reach(rabbitmq.config)
    assert "exchange amq.direct" in reach(changed(rabbitmq.config, exchange="amq.direct"))
    assert rabbitmq.site.count(rabbitmq.answers) == 1
    for missing in ({"send_queue": "nobody"}, {"exchange": "nobody"}, {"receive_queues": ("nobody",)}):
        with pytest.raises(DeliveryError, match="nobody"):
            reach(changed(rabbitmq.config, **missing))


# The same broker by AMQP 1.0


@pytest.fixture
def plugin(brokers: Brokers, tmp_path: Path) -> Iterator[RabbitmqPluginMedium]:
    made = RabbitmqPluginMedium(brokers, tmp_path)
    yield made
    made.stop()


def test_envelope_by_amqp_1_0_is_the_same_message_to_readers_of_0_9_1(plugin: RabbitmqPluginMedium) -> None:
    transport = plugin.transport()
    assert [delivery.error for delivery in transport.send([parcel(1)])] == [None]
    transport.close()
    ((body, about),) = plugin.site.take(plugin.queue)
    assert body == b"<x/>"
    assert (about.content_type, about.delivery_mode, about.message_id) == ("text/xml", 2, "COP-1")


def test_wrong_password_by_amqp_1_0_is_told_with_the_cure(
    plugin: RabbitmqPluginMedium, tmp_path: Path
) -> None:
    (tmp_path / "wrong").write_text("not it\n")
    config = msgspec.structs.replace(plugin.amqp, password_file=tmp_path / "wrong")
    (delivery,) = AmqpTransport(config).send([parcel(1)])
    assert delivery.error is not None
    assert delivery.error.temporary
    assert "password_file" in delivery.error.fix


def test_missing_queue_by_amqp_1_0_is_told_to_who_reads(plugin: RabbitmqPluginMedium) -> None:
    # Who sends is told nothing by RabbitMQ 3: docs/rabbitmq.md warns of it.
    feed = AmqpFeed(msgspec.structs.replace(plugin.amqp, receive_address="/amq/queue/nobody"))
    with pytest.raises(DeliveryError, match="nobody"):
        feed.receive(limit=1, timeout_s=PATIENCE_S)


# Receiving


def test_several_queues_are_read_at_once(rabbitmq: RabbitmqMedium) -> None:
    more = f"{rabbitmq.answers}_CEB622"
    rabbitmq.site.declare(more, queue_type="quorum")
    rabbitmq.site.put(more, b"1", "r1")
    rabbitmq.offer(b"2", "r2")
    feed = RabbitmqFeed(changed(rabbitmq.config, receive_queues=(rabbitmq.answers, more)))
    arrivals = [*feed.receive(limit=1, timeout_s=PATIENCE_S), *feed.receive(limit=1, timeout_s=PATIENCE_S)]
    assert sorted(arrival.body for arrival in arrivals) == [b"1", b"2"]
    feed.done(arrivals)
    feed.close()
    assert rabbitmq.site.count(more) == rabbitmq.site.count(rabbitmq.answers) == 0


def test_arrivals_not_done_are_bounded_by_prefetch(rabbitmq: RabbitmqMedium) -> None:
    for number in range(10):
        rabbitmq.offer(b"%d" % number, f"r{number}")
    feed = RabbitmqFeed(changed(rabbitmq.config, prefetch=4))
    in_hand = [*feed.receive(limit=10, timeout_s=PATIENCE_S)]
    while len(in_hand) < 4:
        in_hand += feed.receive(limit=10, timeout_s=PATIENCE_S)
    assert list(feed.receive(limit=10, timeout_s=0.1)) == []
    feed.done(in_hand)
    assert feed.receive(limit=10, timeout_s=PATIENCE_S)
    feed.close()


def test_done_in_any_order_acknowledges_exactly_those(rabbitmq: RabbitmqMedium) -> None:
    for number in range(10):
        rabbitmq.offer(b"%d" % number, f"r{number}")
    feed = RabbitmqFeed(rabbitmq.config)
    arrivals: list[object] = []
    in_hand = [*feed.receive(limit=10, timeout_s=PATIENCE_S)]
    while len(in_hand) < 10:
        in_hand += feed.receive(limit=10, timeout_s=PATIENCE_S)
    for some in (in_hand[7:8], in_hand[0:2], in_hand[5:6] + in_hand[3:4] + in_hand[2:3]):
        feed.done(some)
        arrivals += some
    feed.done(in_hand[0:2])  # again: does no harm
    feed.close()
    left = sorted(one.body for one in in_hand if one not in arrivals)
    kept: list[bytes] = []

    def take() -> int:
        kept.extend(body for body, _ in rabbitmq.site.take(rabbitmq.answers))
        return len(kept)

    until(take, lambda count: count >= len(left))  # the broker gives back what was in hand in its own time
    assert sorted(kept) == left


def test_queue_that_is_missing_is_told_and_deleted_under_us_noticed(rabbitmq: RabbitmqMedium) -> None:
    queue = f"{rabbitmq.answers}_late"
    feed = RabbitmqFeed(changed(rabbitmq.config, receive_queues=(rabbitmq.answers, queue)))
    with pytest.raises(DeliveryError, match=queue) as missing:
        feed.receive(limit=1, timeout_s=0)
    assert "receive_queues" in missing.value.fix
    rabbitmq.site.declare(queue)
    assert list(feed.receive(limit=1, timeout_s=0)) == []
    rabbitmq.site.delete(queue)
    with pytest.raises(DeliveryError, match=queue):
        feed.receive(limit=1, timeout_s=PATIENCE_S)
    rabbitmq.site.declare(queue)
    rabbitmq.site.put(queue, b"1")
    assert feed.receive(limit=1, timeout_s=PATIENCE_S)[0].body == b"1"
    feed.close()


@pytest.mark.parametrize(
    "about",
    [
        commands.Basic.Properties(),
        commands.Basic.Properties(headers={"JMSType": "x", "n": {"list": [1, 2.5, None]}}, priority=9),
        commands.Basic.Properties(content_type="text/plain", content_encoding="GBK", timestamp=None),
    ],
    ids=["bare", "headers", "other_type"],
)
def test_message_comes_whatever_its_properties(
    rabbitmq: RabbitmqMedium, about: commands.Basic.Properties
) -> None:
    rabbitmq.site.put(rabbitmq.answers, b"1", properties=about)
    feed = RabbitmqFeed(rabbitmq.config)
    (arrival,) = feed.receive(limit=1, timeout_s=PATIENCE_S)
    assert (arrival.body, arrival.name) == (b"1", "")
    feed.close()


def test_empty_message_comes_too(rabbitmq: RabbitmqMedium) -> None:
    rabbitmq.offer(b"", "r1")
    feed = RabbitmqFeed(rabbitmq.config)
    assert [arrival.body for arrival in feed.receive(limit=1, timeout_s=PATIENCE_S)] == [b""]
    feed.close()


def test_two_feeds_share_the_receipts(rabbitmq: RabbitmqMedium) -> None:
    make: Callable[[], RabbitmqFeed] = lambda: RabbitmqFeed(changed(rabbitmq.config, prefetch=1))  # noqa: E731
    first, second = make(), make()
    rabbitmq.offer(b"1", "r1")
    rabbitmq.offer(b"2", "r2")
    one = first.receive(limit=1, timeout_s=PATIENCE_S)
    two = second.receive(limit=1, timeout_s=PATIENCE_S)
    assert {one[0].body, two[0].body} == {b"1", b"2"}
    first.close()
    second.done(two)
    assert second.receive(limit=1, timeout_s=PATIENCE_S)[0].body == one[0].body
    second.close()
