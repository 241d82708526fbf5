"""Fields that hold data of natural persons, and how their values are shown."""

from typing import Final

_PERSONAL: Final = frozenset(
    {
        "buyerName", "buyerIdNumber", "buyerTelephone", "buyerRegNo", "payerName", "payerIdNumber", "telephone",
        "consignee", "consigneeTelephone", "consigneeAddress", "consigneeDistrict", "payer", "payerAddress",
    }
)  # fmt: skip


def is_personal(element: str) -> bool:
    """Say whether an element holds data of a natural person."""
    return element in _PERSONAL


def masked(element: str, value: str) -> str:
    """Return a value as it may be shown: of a personal field its length alone, as stars."""
    return "*" * len(value) if is_personal(element) else value
