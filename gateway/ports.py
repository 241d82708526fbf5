"""Interfaces to the outside world, as Protocols: what an adapter must do.

An adapter holds no policy: no retries across attempts, no states, no field names. It translates library errors into
`gateway.errors.DeliveryError`.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from msgspec import Struct

from gateway.errors import DeliveryError, LeaseEndedError
from spool.lease import ENDLESS, Lease

XML: Final = "text/xml"


class Parcel(Struct, frozen=True, kw_only=True, gc=False):
    """One envelope to be sent."""

    entry: int
    """The spool's number of the entry; comes back in the `Delivery`."""
    cop_msg_id: str
    message_type: str
    body: bytes
    """The envelope, exactly as it must arrive."""
    file_name: str
    """File name for file transports, unique per entry and stable over retries: `<MsgType>_<id of the message>.xml`."""
    sender_id: str = ""
    receiver_id: str = ""
    """The DXP ids of the envelope, for transports that name queues after them; may be empty."""
    correlation_id: str = ""
    """For an answer: the id of what it answers, for transports that can carry one."""
    media_type: str = XML
    lease: Lease = ENDLESS
    """Until when this process may send it."""

    def too_late(self) -> LeaseEndedError | None:
        """Return an error when sending may not begin any more, else None.

        Called right before sending, so that a process that was suspended sends nothing outdated.
        """
        if not self.lease.late:
            return None
        return LeaseEndedError(
            "not sent: the claim has ended, or would before this is confirmed",
            fix="nothing to do, it is claimed again; if it comes often, see `gateway check` about lease_s and batch",
        )


class Delivery(Struct, frozen=True, kw_only=True):
    """Result of sending one parcel: `error` is None exactly when the other side confirmed it."""

    entry: int
    error: DeliveryError | None = None


class Transport(Protocol):
    """Sends parcels to one destination.

    Right before it writes each parcel it checks the claim (`Parcel.too_late`; yields a `Delivery` with that error),
    and it stops writing a parcel once its lease is over.
    """

    def send(self, parcels: Sequence[Parcel]) -> Iterator[Delivery]:
        """Send, and yield one `Delivery` for each parcel, in any order, as soon as its result is known.

        Blocks, at most the adapter's configured time-out since the other side last accepted or sent something. Never
        raises for a failed delivery: a lost connection gives a `Delivery` with a temporary error for every parcel not
        yet confirmed. May be called again after a failure and then reconnects by itself. The same parcel may come
        twice (a crash between confirm and settle): the second sending replaces or repeats the first and never fails
        because of it.
        """
        ...

    def close(self) -> None:
        """Close all connections; called once, by the role that built the transport."""
        ...


class Arrival(Struct, frozen=True, kw_only=True):
    """One collected message, raw; `token` belongs to the adapter and is opaque to others."""

    body: bytes
    name: str
    """File name or message id at the other side, for people; may be empty and may hold any characters: escape it
    (`gateway.printable`) before it is stored or shown."""
    token: object


class Feed(Protocol):
    """Collects the messages that one destination has for us."""

    def receive(self, *, limit: int, timeout_s: float) -> Sequence[Arrival]:
        """Return up to `limit` arrivals; wait up to `timeout_s` for the first; empty when none came.

        Raises DeliveryError when the other side cannot be reached; may be called again and then reconnects.
        An arrival that is not yet `done` may be delivered again after a reconnect or restart, but is never lost.
        """
        ...

    def done(self, arrivals: Sequence[Arrival]) -> None:
        """Acknowledge arrivals to the other side (ack, or remove the file).

        Called only after the commit. Raises DeliveryError; what was not acknowledged comes again.
        """
        ...

    def idle(self) -> None:
        """Keep the connection alive, if there is one, while nothing is received; blocks only for a moment.

        Raises DeliveryError when the connection is lost: arrivals that are not `done` come again once `receive`
        reconnects.
        """
        ...

    def close(self) -> None:
        """Close all connections; arrivals that are not `done` go back to the other side."""
        ...


class Clock(Protocol):
    """Monotonic seconds for time-outs; tests advance it instead of waiting."""

    def __call__(self) -> float:
        """Return seconds since an arbitrary point."""
        ...
