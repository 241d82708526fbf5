"""What the door and the collect role do to a spool, in this process: a message is taken in, answers are brought in."""

from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256

from gateway.app.build import App
from gateway.model import EnterpriseId, Message, MessageId
from gateway.submission.new_messages import new_message_id, new_message_of
from gateway.submission.pipeline import examine
from spool.entry import Accepted, Collected, PutResult
from spool.store import Spool


def hand_in(app: App, spool: Spool, owner: str, body: bytes, *, uid: str = "") -> tuple[MessageId, PutResult]:
    """Have a message judged, which must be in order, and put into the spool: its id, and what the spool says."""
    caller = app.enterprises[EnterpriseId(owner)]
    message = examine(body, caller, app.rules, app.config.accept.limits, link=app.judge.linker)
    assert isinstance(message, Message), message
    name = MessageId(uid) if uid else new_message_id(datetime.now(UTC))
    new = new_message_of(message, caller, uid=name, config=app.config, local_receivers=app.local_receivers)
    (reply,) = spool.put([new])
    return name, reply


def take_in(app: App, spool: Spool, owner: str, body: bytes, *, uid: str = "") -> str:
    """Hand it in, and have it accepted."""
    name, reply = hand_in(app, spool, owner, body, uid=uid)
    assert isinstance(reply, Accepted), reply
    return str(name)


def bring_in(app: App, spool: Spool, bodies: Iterable[bytes], *, feed: str = "customs") -> None:
    """Collect these from a destination in one batch, and file them."""
    spool.keep(
        [
            Collected(feed=feed, name=f"receipt-{number}.xml", body=body, sha256=sha256(body).digest())
            for number, body in enumerate(bodies, 1)
        ]
    )
    app.filer(spool).file_waiting()
