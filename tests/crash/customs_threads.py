"""The customs side behind a real server: takes envelopes from it, and puts answers into it until they are there."""

import threading
import time
from collections.abc import Sequence

from gateway.errors import DeliveryError
from gateway.ports import Feed, Parcel, Transport
from gateway.simulator.customs import Customs
from gateway.simulator.outgoing import Outgoing

_BATCH = 64
_LOOKS_EVERY_S = 0.05
_REST_S = 0.2


class CustomsThreads:
    """Two threads around the scripted `Customs`; nothing it has said gets lost when the server goes away."""

    def __init__(self, customs: Customs, feed: Feed, transport: Transport) -> None:
        self._customs, self._feed, self._transport = customs, feed, transport
        self._stop = threading.Event()
        self._taken = 0
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._take, self._answer)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._feed.close()
        self._transport.close()

    def _take(self) -> None:
        while not self._stop.is_set():
            try:
                arrivals = self._feed.receive(limit=_BATCH, timeout_s=_REST_S)
                for arrival in arrivals:
                    self._customs.receive(arrival.body, arrival.name)
                if arrivals:
                    self._feed.done(arrivals)
            except DeliveryError:
                self._stop.wait(_REST_S)

    def _answer(self) -> None:
        waiting: list[Outgoing] = []
        while not self._stop.is_set():
            waiting += self._customs.due(time.time())
            waiting = self._undelivered(waiting)
            self._stop.wait(_REST_S if waiting else _LOOKS_EVERY_S)

    def _undelivered(self, waiting: Sequence[Outgoing]) -> list[Outgoing]:
        parcels = [
            Parcel(entry=number, cop_msg_id=one.name, message_type="", body=one.body, file_name=one.name)
            for number, one in enumerate(waiting)
        ]
        failed = {one.entry for one in self._transport.send(parcels) if one.error} if parcels else set()
        return [one for number, one in enumerate(waiting) if number in failed]
