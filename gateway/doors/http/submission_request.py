"""One submission on its connection: collects its body, within limits, then submits it whole."""

from gateway.doors.http.credentials import Peer, credentials_of
from gateway.doors.http.request_head import RequestHead
from gateway.doors.http.service import Service
from gateway.doors.http.services import HttpResponse
from gateway.doors.http.submissions import Admitted, Head, Tell


class SubmissionRequest:
    """A submission whose head was admitted."""

    __slots__ = ("_admitted", "_counted", "_parts", "_service", "_size", "_tell")

    def __init__(self, service: Service, admitted: Admitted, tell: Tell) -> None:
        self._service = service
        self._admitted = admitted
        self._tell = tell
        self._parts: list[bytes] = []
        self._size = 0
        self._counted = 0
        """Bytes counted as under way; none of a body that comes in one part."""

    def more(self, part: bytes, *, last: bool) -> None:
        """Add a part of the body; submit the body when it is complete."""
        self._parts.append(part)
        self._size += len(part)
        submissions = self._service.submissions
        if self._size > submissions.size_bytes:
            self._end(submissions.too_large())
        elif last:
            body = part if len(self._parts) == 1 else b"".join(self._parts)
            self._parts = []
            submissions.take(self._admitted, body, self._end)
        elif self._service.under_way.grow(self._admitted.caller.id, len(part)):
            self._counted += len(part)
        else:
            self._end(self._service.too_much_under_way())

    def gone(self) -> None:
        """Drop the received parts."""
        self._parts = []
        self._service.under_way.shrink(self._admitted.caller.id, self._counted)
        self._counted = 0

    def _end(self, answer: HttpResponse) -> None:
        self.gone()
        self._tell(answer)


def submission_head(head: RequestHead, peer: Peer) -> Head:
    """Return the part of a head by which a submission is admitted."""
    first = head.first

    def value(name: bytes) -> str:
        return str(first.get(name, b""), "latin-1")

    return Head(
        shown=credentials_of(first, head.headers, peer, method="POST", url=head.target),
        content_type=value(b"content-type"),
        content_length=value(b"content-length"),
        idempotency_key=value(b"idempotency-key"),
        query=str(head.query, "latin-1"),
    )
