from pathlib import Path

import msgspec
import pytest

from gateway.app.build import build_feed, build_transport
from gateway.config.gateway_toml import Destination, load_config
from gateway.config.links import Rabbitmq
from gateway.errors import ConfigError
from gateway.transports.rabbitmq.transport import RabbitmqFeed, RabbitmqTransport
from tests.unit.test_gateway_toml import FOLDER, SOUND

TABLE = """
[destination.rabbitmq]
hosts = ["amqps://mq1.example.com:5671", "amqps://mq2.example.com"]
vhost = "customs"
user = "gateway"
password_file = "secrets/rabbitmq"
ca_file = "tls/ca.pem"
client_certificate = "tls/client.pem"
client_key = "tls/client.key"
send_queue = "{receiver}"
receive_queues = ["DXPENT0000000001_HZ"]
"""
PLAIN = Rabbitmq(
    hosts=("amqp://mq.example.com",),
    user="gateway",
    password_file=Path("/secret"),
    send_queue="q",
    receive_queues=("q_HZ",),
)


def refused(tmp_path: Path, table: str) -> ConfigError:
    (tmp_path / "gateway.toml").write_text(SOUND.replace(FOLDER, table))
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "gateway.toml")
    return caught.value


def test_sound_table_becomes_transport_and_feed(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(SOUND.replace(FOLDER, TABLE))
    (destination,) = load_config(tmp_path / "gateway.toml").destination
    table = destination.rabbitmq
    assert table is not None
    assert table.hosts == ("amqps://mq1.example.com:5671", "amqps://mq2.example.com")
    assert table.ca_file == tmp_path / "tls" / "ca.pem"
    assert (table.exchange, table.prefetch, table.heartbeat_s) == ("", 100, 30)
    assert isinstance(build_transport(destination), RabbitmqTransport)
    assert isinstance(build_feed(destination), RabbitmqFeed)


@pytest.mark.parametrize(
    ("old", "new", "where", "example"),
    [
        (
            'hosts = ["amqps://mq1.example.com:5671", "amqps://mq2.example.com"]',
            "hosts = []",
            "hosts",
            "amqps",
        ),
        ('["DXPENT0000000001_HZ"]', "[]", "receive_queues", "_HZ"),
        ('["DXPENT0000000001_HZ"]', '"DXPENT0000000001_HZ"', "receive_queues", "_HZ"),
        ('send_queue = "{receiver}"', "", "rabbitmq", "send_queue"),
        ('vhost = "customs"', "prefetch = 70000", "prefetch", ""),
    ],
)
def test_value_that_does_not_fit_is_named(
    tmp_path: Path, old: str, new: str, where: str, example: str
) -> None:
    error = refused(tmp_path, TABLE.replace(old, new))
    assert where in error.where
    assert example in error.fix


def test_rabbitmq_beside_another_transport_is_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, TABLE + FOLDER)
    assert "has 2 transports" in error.what
    assert "[destination.rabbitmq]" in error.fix


@pytest.mark.parametrize("build", [build_transport, build_feed])
@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"hosts": ("mq.example.com:5672",)}, "hosts"),
        ({"hosts": ("amqp://mq.example.com", "http://mq.example.com")}, "hosts"),
        ({"hosts": ("amqp://mq.example.com:port",)}, "hosts"),
        ({"hosts": ("amqp://user:hunter2@mq.example.com",)}, "hosts"),
        ({"hosts": ("amqp://mq.example.com/vhost",)}, "hosts"),
        ({"password_file": None}, "user"),
        ({"user": ""}, "destination.rabbitmq"),
        ({"ca_file": Path("/ca.pem")}, "hosts"),
        ({"send_queue": "{enterprise}"}, "send_queue"),
        ({"send_queue": "{}"}, "send_queue"),
        ({"send_queue": "{receiver"}, "send_queue"),
        ({"send_queue": "{receiver.__class__}"}, "send_queue"),
    ],
)
def test_what_cannot_work_is_refused_before_connecting(
    build: type, changes: dict[str, object], where: str
) -> None:
    table = msgspec.structs.replace(PLAIN, **changes)
    with pytest.raises(ConfigError) as error:
        build(Destination(name="customs", rabbitmq=table))
    assert where in error.value.where
    assert error.value.fix
    assert "hunter2" not in str(error.value)
