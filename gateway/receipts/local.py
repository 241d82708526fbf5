"""Transport to receivers of this node: what it carries is kept and filed as if a link had brought it.

An entry to `@local` is like any other: written in the commit that accepts the message, and kept until it is
settled. Bytes already kept are not kept twice and filed mail is not filed twice, so a crash between filing and
settling delivers nothing a second time.
"""

import hashlib
from collections.abc import Iterator, Sequence

from gateway.config.gateway_toml import LOCAL
from gateway.config.local_receivers import LocalReceivers
from gateway.errors import DeliveryError, EnvelopeError
from gateway.model import DXP_REP
from gateway.ports import Delivery, Parcel
from gateway.receipts.filing import ReceiptFiler
from gateway.xml.envelope import root_name, unwrap
from spool.entry import Collected
from spool.errors import SpoolError
from spool.store import Spool


class LocalTransport:
    """`gateway.ports.Transport` to the enterprises of this node."""

    def __init__(self, *, spool: Spool, filer: ReceiptFiler, local_receivers: LocalReceivers) -> None:
        self._spool = spool
        self._filer = filer
        self._local_receivers = local_receivers

    def send(self, parcels: Sequence[Parcel]) -> Iterator[Delivery]:
        """Send as `gateway.ports.Transport.send`; delivered means filed."""
        errors: dict[int, DeliveryError | None] = {}
        able = list(parcels)
        try:
            errors = {parcel.entry: self._obstacle(parcel) or parcel.too_late() for parcel in parcels}
            able = [parcel for parcel in parcels if errors[parcel.entry] is None]
            if able:
                self._spool.keep([_collected(parcel) for parcel in able])
                self._filer.file_waiting()
        except SpoolError as error:
            failed = DeliveryError(error.what, where=LOCAL, fix=error.fix, temporary=True)
            errors |= {parcel.entry: failed for parcel in able}
        for entry, obstacle in errors.items():
            yield Delivery(entry=entry, error=obstacle)

    def close(self) -> None:
        """Do nothing: the only open resource is the spool, which the role closes."""

    def _obstacle(self, parcel: Parcel) -> DeliveryError | None:
        """Say why a message cannot be delivered: receivers and full mailboxes may have changed since acceptance."""
        if root_name(parcel.body) == DXP_REP:
            return None
        try:
            receivers = unwrap(parcel.body).envelope.receiver_ids
        except EnvelopeError as error:
            return DeliveryError(str(error), where=LOCAL, temporary=False)
        shared = self._local_receivers.shared(receivers)
        if shared:
            return _undeliverable(f"several enterprises have the DXP id {', '.join(shared)}")
        owners = {owner for one in receivers if (owner := self._local_receivers.owner(one)) is not None}
        if not owners:
            return _undeliverable(f"no enterprise has the DXP id {', '.join(receivers)} any more")
        if all(self._local_receivers.full(one) for one in owners):
            return DeliveryError(
                f"the stream of {', '.join(receivers)} holds as much mail as it takes",
                where=LOCAL,
                fix="let it acknowledge what it has, or raise mail_messages and mail_bytes in its file, SIGHUP,"
                " then `gateway spool retry`",
                temporary=False,
            )
        return None


def _collected(parcel: Parcel) -> Collected:
    return Collected(
        feed=LOCAL, name=parcel.file_name, body=parcel.body, sha256=hashlib.sha256(parcel.body).digest()
    )


def _undeliverable(what: str) -> DeliveryError:
    return DeliveryError(
        what,
        where="enterprises",
        fix="let exactly one enterprise have it (`gateway enterprise list`), SIGHUP, then `gateway spool retry`",
        temporary=False,
    )
