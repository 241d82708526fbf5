"""The doors of the gateway to the world outside, as Protocols: what an adapter must do, and nothing more.

An adapter holds no policy: no retries across attempts, no states, no field names. Library errors are
translated at its border into `gateway.errors.DeliveryError`.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from msgspec import Struct

from gateway.errors import DeliveryError, LeaseEndedError
from spool.lease import ENDLESS, Lease

XML: Final = "text/xml"


class Parcel(Struct, frozen=True, kw_only=True, gc=False):
    """One envelope on its way out."""

    entry: int
    """The spool's number of the entry; comes back in the `Delivery`."""
    cop_msg_id: str
    message_type: str
    body: bytes
    """The envelope, exactly as it must arrive."""
    file_name: str
    """Name for file transports, unique per entry and stable over retries: `<MsgType>_<id of the message>.xml`."""
    sender_id: str = ""
    receiver_id: str = ""
    """The DXP ids of the envelope, for transports that name queues after them; may be empty."""
    correlation_id: str = ""
    """Of an answer: the id of what it answers, for transports that can say so."""
    media_type: str = XML
    lease: Lease = ENDLESS
    """Until when it is ours to send."""

    def too_late(self) -> LeaseEndedError | None:
        """Say whether it may not be begun any more; asked right before, so that a process that was frozen sends nothing old."""
        if not self.lease.late:
            return None
        return LeaseEndedError(
            "not sent: the claim has ended, or would before this is confirmed",
            fix="nothing to do, it is claimed again; if it comes often, see `gateway check` about lease_s and batch",
        )


class Delivery(Struct, frozen=True, kw_only=True):
    """What became of one parcel: `error` is None exactly when the other side confirmed it."""

    entry: int
    error: DeliveryError | None = None


class Transport(Protocol):
    """Carries parcels to one destination.

    Right before it writes the next one it looks whether that is still ours (`Parcel.too_late`, a `Delivery` with that
    error), and writes nothing more of what it has begun once the lease is over.
    """

    def send(self, parcels: Sequence[Parcel]) -> Iterator[Delivery]:
        """Send and yield one `Delivery` for each parcel, in any order, as soon as its fate is known.

        Blocks, at most the adapter's configured time-out since the other side last took or said something. Never raises for a failed delivery: a lost
        connection is a `Delivery` with a temporary error for every parcel not yet confirmed. May be
        called again after a failure: connects anew by itself. The same parcel may come twice (a crash
        between confirm and settle): the second sending replaces or repeats the first, never fails on it.
        """
        ...

    def close(self) -> None:
        """Let go of connections; called once, by the role that built it."""
        ...


class Arrival(Struct, frozen=True, kw_only=True):
    """One collected message, raw; `token` is the adapter's own and means nothing to others."""

    body: bytes
    name: str
    """File name or message id as the other side has it, for people; may be empty, and may hold anything: to be
    escaped (`gateway.printable`) before it is stored or shown."""
    token: object


class Feed(Protocol):
    """Brings in what one destination has for us."""

    def receive(self, *, limit: int, timeout_s: float) -> Sequence[Arrival]:
        """Return up to `limit` arrivals; wait up to `timeout_s` for the first; empty when none came.

        Raises DeliveryError when the other side cannot be reached; may be called again, connects anew.
        An arrival not yet `done` may be delivered again after a reconnect or restart, never lost.
        """
        ...

    def done(self, arrivals: Sequence[Arrival]) -> None:
        """Tell the other side that these are safe with us (ack, or remove the file).

        Called only after the commit. Raises DeliveryError; what was not acknowledged comes again.
        """
        ...

    def idle(self) -> None:
        """Keep up the connection, if there is one, while nothing is received; blocks for a moment at most.

        Raises DeliveryError when it is lost: arrivals not `done` come again, once `receive` connects anew.
        """
        ...

    def close(self) -> None:
        """Let go of connections; arrivals not `done` go back to the other side."""
        ...


class Clock(Protocol):
    """Monotonic seconds for time-outs, so that tests move time instead of waiting for it."""

    def __call__(self) -> float:
        """Return seconds since an arbitrary point."""
        ...
