"""`gateway check` names a batch that may take longer than the claim on it holds."""

from pathlib import Path
from typing import Any

import pytest

from gateway.cli.check.batches import probe_batch, probe_batches
from gateway.cli.check.result import Grade
from gateway.config.channels import Channel, Deliver, OutSftp
from gateway.config.gateway_toml import Destination
from gateway.config.links import Amqp, Folder, Rabbitmq, Sftp, Webhook
from tests.unit.test_new_messages import config

SFTP: dict[str, Any] = {"host": "h", "user": "u", "key_file": Path("k"), "host_key": "k", "send_dir": "i"}


def sftp(batch: int, **settings: Any) -> Destination:
    return Destination(name="customs", sftp=Sftp(**SFTP, receive_dir="o", **settings), batch=batch)


def rabbitmq(batch: int, **settings: Any) -> Destination:
    way = Rabbitmq(hosts=("amqp://h",), send_queue="q", receive_queues=("r",), **settings)
    return Destination(name="customs", rabbitmq=way, batch=batch)


def amqp(batch: int, **settings: Any) -> Destination:
    way = Amqp(url="amqp://h", send_address="q", receive_address="r", **settings)
    return Destination(name="customs", amqp=way, batch=batch)


@pytest.mark.parametrize(
    "destination",
    [
        sftp(64),
        sftp(256, connections=4),
        sftp(1000, timeout_s=3),
        rabbitmq(64),
        rabbitmq(1000),
        amqp(64),
        Destination(name="customs", folder=Folder(send_dir=Path("i"), receive_dir=Path("o")), batch=10_000),
    ],
    ids=lambda one: f"{one.batch}",
)
def test_batch_that_fits_is_not_worth_a_word(destination: Destination) -> None:
    assert list(probe_batches(config(destination))) == []


@pytest.mark.parametrize(
    ("destination", "longest_s"),
    [
        (sftp(256), 100),
        (sftp(257, connections=2), 80),
        (sftp(1, timeout_s=31), 62),
        (rabbitmq(2000), 100),
        (rabbitmq(1, timeout_s=40), 80),
        (amqp(1, timeout_s=40), 80),
    ],
    ids=["256", "257 over two", "one that is slow", "2000", "one", "one by AMQP 1.0"],
)
def test_batch_that_may_outlast_its_claim_is_a_warning(destination: Destination, longest_s: float) -> None:
    (found,) = probe_batches(config(destination))
    assert found.grade is Grade.WARN
    assert found.name == "batch of customs"
    assert f"{destination.batch} may take {longest_s:g} s" in found.detail
    assert f"lease_s be {longest_s:g} or more" in found.fix


def test_batch_of_a_channel_is_looked_at_too() -> None:
    slow = Deliver(name="erp", sftp=OutSftp(**SFTP, timeout_s=21))
    hook = Deliver(name="hook", webhook=Webhook(url="https://h", secret_file=Path("s"), timeout_s=30))

    (found,) = probe_batch(Channel(enterprise="ann", deliver=slow), 60)
    assert found.name == "batch of channel ann/erp"
    assert "may take 63 s" in found.detail
    assert list(probe_batch(Channel(enterprise="ann", deliver=hook), 60)) == []
