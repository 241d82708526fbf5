"""What of a receipt one enterprise may see: all of it, or a message of the same type with its own bodies alone.

Every way home takes it from here; what a body is says `stages.bodies`.
"""

from gateway.receipts.opened import open_collected, part_of, unwrap_collected
from gateway.rules.catalogue import Catalogue
from spool.store import Spool


def content_for(owner: str, arrival: int, spool: Spool, catalogue: Catalogue) -> bytes | None:
    """Return the bytes of a receipt as far as they are this owner's; None when nothing of it is.

    Raises EnvelopeError when it cannot be opened.
    """
    own = {row.digest for row in spool.filed_for(owner, arrival)}
    mail = not own and spool.addressed(owner, arrival)
    raw = spool.arrival(arrival) if own or mail else None
    if raw is None:
        return None
    if mail:  # to this enterprise as a whole: nothing in it is another's
        return unwrap_collected(raw.body).dxp_msg
    opened = open_collected(raw.body, catalogue)
    return part_of(opened, [answer.index for answer in opened.answers if answer.digest in own])
