"""A sender that stops itself in the middle of a batch, as a machine does that is frozen: until it is told to go on."""

import os
import pickle
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.app.build import build_transport
from gateway.config.gateway_toml import Destination
from gateway.config.links import Amqp, Folder, Rabbitmq, Sftp
from gateway.ports import Parcel, Transport
from gateway.transports.sftp import upload
from spool.entry import Claimed, Fate, Settlement
from spool.sqlite import SqliteSpool
from spool.store import Spool

LEASE_S = 6.0


def transport_of(config: Amqp | Folder | Rabbitmq | Sftp) -> Transport:
    kind = {Amqp: "amqp", Folder: "folder", Rabbitmq: "rabbitmq", Sftp: "sftp"}[type(config)]
    way: dict[str, Any] = {kind: config}
    return build_transport(Destination(name="port", **way))


def parcel_of(one: Claimed) -> Parcel:
    return Parcel(
        entry=one.entry,
        cop_msg_id=one.cop_msg_id,
        message_type=one.kind,
        body=one.body,
        file_name=f"{one.uid}.xml",
        lease=one.lease,
    )


def carry(spool: Spool, transport: Transport, claimed: list[Claimed], told: Callable[[], None]) -> int:
    """Send a batch and settle it; returns how many were delivered."""
    claims = {one.entry: one.claim for one in claimed}
    delivered = 0
    for delivery in transport.send([parcel_of(one) for one in claimed]):
        delivered += delivery.error is None
        fate = Fate.DELIVERED if delivery.error is None else Fate.DEFERRED
        spool.settle([Settlement(entry=delivery.entry, claim=claims[delivery.entry], fate=fate)])
        told()
    return delivered


class Stop:
    """Stops this process, once."""

    stopped = False

    def __call__(self) -> None:
        if not self.stopped:
            self.stopped = True
            os.kill(os.getpid(), signal.SIGSTOP)

    def before(self, owner: Any, name: str) -> None:
        """Stop before a function of a module or class is called."""
        called = getattr(owner, name)

        def stopping(*arguments: Any) -> Any:
            self()
            return called(*arguments)

        setattr(owner, name, stopping)


def main(state: Path, config: Path, where: str) -> None:
    spool, stop = SqliteSpool(state), Stop()
    transport = transport_of(pickle.loads(config.read_bytes()))  # noqa: S301 (our own)
    match where:
        case "rename":
            stop.before(upload._Upload, "rename")
        case "fsync":
            stop.before(os, "fsync")
    while not stop.stopped:
        claimed = spool.claim("frozen", "port", limit=64, lease_s=LEASE_S)
        carry(spool, transport, claimed, stop if where == "delivery" else lambda: None)
    transport.close()
    spool.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
