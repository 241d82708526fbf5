"""Renders deliveries: the JSON form of a notice and the receipt's bytes, as each kind of channel takes them."""

import re
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

from gateway.config.channels import Channel
from gateway.config.gateway_toml import HOME
from gateway.delivery.notices import delivery_ref_of
from gateway.errors import DeliveryError, EnvelopeError
from gateway.ports import Parcel
from gateway.receipts.content import content_for
from gateway.rules.catalogue import Catalogue
from spool.entry import Claimed, Notice
from spool.store import Spool

_PLAIN: Final = re.compile(r"[^A-Za-z0-9]")
_KIND_LENGTH: Final = 40
"""Most characters of the message type in names; a link may give any text as type."""


class DeliveryForm(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The JSON form of one delivery (docs/delivery.md)."""

    id: str
    """`<enterprise>/<channel>/<cursor>`, the same for each attempt."""
    enterprise: str
    channel: str
    receipt: object
    """As in `GET /v1/receipts`."""
    receipt_base64: bytes | None = None
    """The bytes of the receipt, where they are in the same parcel."""
    receipt_file: str = ""
    """Name of the file with these bytes, where they are in a separate one."""


class DeliveryRenderer:
    """Renders deliveries from the content of the spool."""

    def __init__(self, *, spool: Spool, catalogue: Catalogue, show: Callable[[Notice], object]) -> None:
        """`show` returns the form of a notice that the HTTP API shows."""
        self._spool = spool
        self._catalogue = catalogue
        self._show = show

    def write(self, entry: Claimed, channel: Channel) -> tuple[Parcel, ...]:
        """Return the parcels of a delivery, to be sent one after the other.

        Raises DeliveryError, not temporary, when its receipt is no longer in the spool.
        """
        ref = delivery_ref_of(entry.body)
        found = self._spool.notices(entry.owner, after=ref.notice - 1, limit=1)
        try:
            raw = content_for(entry.owner, ref.receipt, self._spool, self._catalogue)
        except EnvelopeError as error:
            raise _lost(f"the receipt cannot be opened: {error}", ref.receipt) from error
        if raw is None or not found or found[0].cursor != ref.notice:
            raise _lost("the receipt has left the spool: its enterprise had acknowledged it", ref.receipt)
        return self._parcels(entry, channel, found[0], raw)

    def _parcels(self, entry: Claimed, channel: Channel, notice: Notice, raw: bytes) -> tuple[Parcel, ...]:
        kind = _PLAIN.sub("_", entry.kind)[:_KIND_LENGTH]
        name = f"{notice.cursor:012d}_{kind}"
        delivery = entry.uid.removeprefix(f"{HOME}/")

        def parcel(body: bytes, ending: str) -> Parcel:
            return Parcel(
                entry=entry.entry,
                cop_msg_id=delivery,
                message_type=kind,
                body=body,
                file_name=name + ending,
                lease=entry.lease,
            )

        if channel.deliver.content == "raw":
            return (parcel(raw, ".xml"),)
        files = channel.deliver.kind in {"folder", "sftp"}
        form = DeliveryForm(
            id=delivery,
            enterprise=channel.enterprise,
            channel=channel.deliver.name,
            receipt=self._show(notice),
            receipt_base64=None if files else raw,
            receipt_file=f"{name}.xml" if files else "",
        )
        letter = parcel(msgspec.json.encode(form), ".json")
        return (parcel(raw, ".xml"), letter) if files else (letter,)


def _lost(what: str, receipt: int) -> DeliveryError:
    return DeliveryError(
        what,
        where=f"receipt {receipt}",
        fix="`gateway receipts show` and the archive tell what it was; then `gateway spool discard`",
        temporary=False,
    )
