"""The collect role: store each arrival raw, acknowledge it to the other side, then file it."""

import hashlib
import time
from collections.abc import Sequence

from gateway.errors import DeliveryError
from gateway.observe.log import log
from gateway.observe.role_metrics import arrival_counter
from gateway.ports import Arrival, Feed
from gateway.printable import escaped
from gateway.processes.stop import Stop
from gateway.receipts.filing import ReceiptFiler
from spool.entry import (
    Collected,
)
from spool.errors import SpoolError
from spool.retry import backoff_s
from spool.store import Spool

_BATCH = 64
_WAIT_S = 2.0
_AGAIN_S = 0.5
_SLOWEST_S = 30.0
_GATHER_S = 0.25
"""Pause after a batch that was not full, so that the next one fills up: each batch costs two commits."""
_BEAT_S = 1.0
"""Interval for keeping the connection alive while waiting for the spool."""
_NAME_AT_MOST = 200
"""Most characters stored of the name of a file or message."""


class Collect:
    """One process that collects from one destination.

    While the spool cannot be written, the received arrivals stay in memory, the connection stays open, and nothing
    more is received: a broker drops a message that is returned to it too often (delivery limits).
    """

    def __init__(
        self,
        *,
        spool: Spool,
        feed: Feed,
        destination: str,
        filer: ReceiptFiler,
    ) -> None:
        self._spool = spool
        self._feed = feed
        self._destination = destination
        self._filer = filer
        self._counter = arrival_counter(destination)
        self._in_hand: Sequence[Arrival] = ()
        """Received, but not in the spool yet."""
        self._is_writable = False
        """Whether the last write to the spool succeeded."""

    def run(self, stop: Stop) -> None:
        """Collect until asked to stop. Raises SpoolError when waiting does not help."""
        failures = 0
        while not stop():
            try:
                taken = self.step()
            except (DeliveryError, SpoolError) as error:
                if isinstance(error, SpoolError) and not error.temporary:
                    raise
                failures += 1
                self._tell(error, failures)
                self._rest(backoff_s(failures, first_s=_AGAIN_S, ceiling_s=_SLOWEST_S), stop)
            else:
                failures = 0
                if 0 < taken < _BATCH:
                    stop.pause(_GATHER_S)

    def step(self) -> int:
        """Collect one batch; returns the number of its arrivals. Raises DeliveryError, SpoolError."""
        try:
            return self._step()
        except SpoolError:
            self._is_writable = False
            raise

    def _step(self) -> int:
        if not self._is_writable and not self._in_hand:
            self._try_the_spool()
        self._in_hand = self._in_hand or self._feed.receive(limit=_BATCH, timeout_s=_WAIT_S)
        if not self._in_hand:
            return 0
        new = self._spool.keep(
            [
                Collected(
                    feed=self._destination,
                    name=escaped(arrival.name, _NAME_AT_MOST),
                    body=arrival.body,
                    sha256=hashlib.sha256(arrival.body).digest(),
                )
                for arrival in self._in_hand
            ]
        )
        kept, self._in_hand = self._in_hand, ()
        failure = self._done(kept)
        self._counter.inc(len(kept))
        log("receipt.received", destination=self._destination, arrivals=len(kept), new=new)
        self._filer.file_waiting()
        self._is_writable = True
        if failure is not None:
            raise failure
        return len(kept)

    def _try_the_spool(self) -> None:
        """Write a mark, and file what a crash or an unwritable spool left unfiled. Raises SpoolError."""
        self._spool.put((), marks={f"collect/{self._destination}": time.time_ns()})
        self._filer.file_waiting()
        self._is_writable = True

    def _done(self, kept: Sequence[Arrival]) -> DeliveryError | None:
        """Acknowledge arrivals to the other side; on an error they come again, but are filed now all the same."""
        try:
            self._feed.done(kept)
        except DeliveryError as error:
            return error
        return None

    def _rest(self, seconds: float, stop: Stop) -> None:
        """Wait, and keep alive the connection that the unstored arrivals came by."""
        end = time.monotonic() + seconds
        while not stop() and (left_s := end - time.monotonic()) > 0:
            try:
                self._feed.idle()
            except DeliveryError as error:
                self._in_hand = ()  # comes again
                self._tell(error, 1)
            stop.pause(min(left_s, _BEAT_S))

    def _tell(self, error: DeliveryError | SpoolError, attempt: int) -> None:
        log("feed.failed", destination=self._destination, attempt=attempt, error=str(error))

    def close(self) -> None:
        """Close the connection."""
        self._feed.close()
