"""The part of a receipt that one enterprise may see: all of it, or the same message with only its own bodies.

Every way of delivery takes the content from here; `gateway.receipts.bodies` defines what a body is.
"""

from gateway.receipts.opened import open_collected, part_of, unwrap_collected
from gateway.rules.catalogue import Catalogue
from spool.store import Spool


def content_for(owner: str, arrival: int, spool: Spool, catalogue: Catalogue) -> bytes | None:
    """Return the bytes of a receipt that this owner may see; None when nothing in it is the owner's.

    Raises EnvelopeError when the receipt cannot be opened.
    """
    own = {row.digest for row in spool.filed_for(owner, arrival)}
    mail = not own and spool.addressed(owner, arrival)
    raw = spool.arrival(arrival) if own or mail else None
    if raw is None:
        return None
    if mail:  # addressed to this enterprise as a whole: nothing in it belongs to another
        return unwrap_collected(raw.body).dxp_msg
    opened = open_collected(raw.body, catalogue)
    return part_of(opened, [answer.index for answer in opened.answers if answer.digest in own])
