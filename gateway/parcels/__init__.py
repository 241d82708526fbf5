"""The documents of one parcel, order, payment, waybill and inventory, and whether they agree (docs/adr/0047)."""
