"""State and services that all connections of one process share."""

import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Final

from gateway.doors.http.asgi_request import AsgiApp
from gateway.doors.http.bounds import HttpBounds, UnderWay
from gateway.doors.http.connection_slots import ConnectionSlot, ConnectionSlots
from gateway.doors.http.handover import Handover
from gateway.doors.http.services import RETRY_AFTER_S, HttpResponse, log_failure, problem_response
from gateway.doors.http.submissions import Submissions
from gateway.model import Fault
from gateway.observe.metrics import Meter

if TYPE_CHECKING:
    from gateway.doors.http.protocol import DoorProtocol

_HEADERS: Final = b"x-content-type-options: nosniff\r\ncache-control: no-store\r\n"
_HEADERS_OF_TLS: Final = b"strict-transport-security: max-age=31536000\r\n"
_TOO_MUCH: Final = Fault(
    rule="bodies_under_way",
    message="too many large messages are on their way to this gateway at the same time",
    message_zh="同时传入的大报文过多",
    fix="send fewer at the same time, and each as fast as you can",
    fix_zh="请减少同时发送的数量，并尽快传完每份报文",
)
_TOO_MUCH_UNREAD: Final = Fault(
    rule="answers_unread",
    message="too many large answers wait for you to read them",
    message_zh="等待读取的大应答过多",
    fix="read the answers that you asked for, then ask again, and for fewer at the same time",
    fix_zh="请先读取已请求的应答，再发起请求，并减少同时请求的数量",
)


class Service:
    """One instance for the life of the process; for one event loop."""

    def __init__(
        self,
        *,
        submissions: Submissions,
        app: AsgiApp,
        bounds: HttpBounds,
        places: ConnectionSlots,
        meter: Meter,
        handover: Handover | None = None,
        secured: bool = False,
    ) -> None:
        """`handover`: where connections are passed on when the process ends; `secured`: the door uses TLS."""
        self.submissions = submissions
        self.app = app
        self.bounds = bounds
        self.places = places
        self.under_way = UnderWay(bounds.under_way_bytes)
        self.unread = UnderWay(bounds.unread_bytes)
        self.connections: set[DoorProtocol] = set()
        self.common = b""
        """Headers of every answer."""
        self._meter = meter
        self._handover = handover
        self._headers = _HEADERS + _HEADERS_OF_TLS if secured else _HEADERS
        self.tick()

    def tick(self) -> None:
        """Update the Date header of every answer; called once a second."""
        self.common = f"date: {formatdate(time.time(), usegmt=True)}\r\n".encode("ascii") + self._headers

    def know(self, place: ConnectionSlot, owner: str) -> None:
        """Record the enterprise of a connection, once."""
        if not place.owner:
            self.places.know(place, owner)

    def pass_on(self, connection: "DoorProtocol", held: bytes) -> bool:
        """Pass a connection on to the successor process; False when that cannot be done, or not yet."""
        if self._handover is None or connection.secured:
            return False
        descriptor: int = connection.transport.get_extra_info("socket").fileno()
        try:
            return self._handover.give(descriptor, held, connection.place.owner)
        except OSError:
            return False

    def log_failure(self, error: Exception, path: str) -> HttpResponse:
        """Return the answer for an exception that no handler caught."""
        return log_failure(error, path, path, self._meter)

    def too_much_under_way(self) -> HttpResponse:
        """Return the answer to a body for which there is no room at the moment."""
        headers = {"Retry-After": RETRY_AFTER_S, "Connection": "close"}
        return problem_response("unavailable", "", (_TOO_MUCH,), headers)

    def too_much_unread(self) -> HttpResponse:
        """Return the answer that replaces one for which there is no room until others are read."""
        return problem_response("unavailable", "", (_TOO_MUCH_UNREAD,), {"Retry-After": RETRY_AFTER_S})
