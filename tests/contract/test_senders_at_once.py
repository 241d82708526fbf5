"""Two processes send one message at once, as when the lease of the first ran out: nobody may see half of it."""

import threading
from pathlib import Path

import pytest

from gateway.errors import DeliveryError
from gateway.ports import Transport
from tests.contract.conftest import FolderMedium, OpenSshMedium, SftpMedium, parcel

ROUNDS = 60
WHOLE = parcel(1, b"x" * 200_000)
Kind = type[FolderMedium] | type[SftpMedium] | type[OpenSshMedium]


@pytest.mark.parametrize("kind", [FolderMedium, SftpMedium, OpenSshMedium])
def test_file_that_two_write_at_once_is_whole_whenever_it_is_seen(kind: Kind, tmp_path: Path) -> None:
    medium = kind(tmp_path)
    errors: list[DeliveryError | None] = []
    sizes: set[int] = set()
    ended = threading.Event()

    def send(transport: Transport) -> None:
        for _ in range(ROUNDS):
            errors.extend(delivery.error for delivery in transport.send([WHOLE]))
        transport.close()

    def look() -> None:
        while not ended.is_set():
            sizes.update(len(body) for body in medium.arrived())

    transports = [medium.transport() for _ in range(2)]
    for transport in transports:  # who begins removes what lies there half-written, whoever is at it
        errors.extend(delivery.error for delivery in transport.send([WHOLE]))
    senders = [threading.Thread(target=send, args=(transport,)) for transport in transports]
    looking = threading.Thread(target=look)
    for thread in (looking, *senders):
        thread.start()
    for thread in senders:
        thread.join()
    ended.set()
    looking.join()
    medium.stop()

    assert errors == [None] * 2 * (ROUNDS + 1), "and neither disturbs the other"
    assert sizes == {len(WHOLE.body)}
