"""Parcels of four senders, in any order, with versions and cancels: each planted mistake is named, sound ones raise no alarm."""

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway.views.parcels import ParcelView
from tests.backends import BACKENDS
from tests.contract.test_correlation import RULES_NOW
from tests.parcel_documents import ITEMS, inventory, order, payment, waybill
from tests.parcel_node import CODES, ParcelNode
from tests.spool_samples import Clock

PARCELS: Final = int(os.environ.get("GATEWAY_TEST_PARCELS", "60"))
"""Sound parcels, and as many with a mistake; 10,000 take some minutes."""
OTHER_PERSON: Final = "110101198502021234"
SENDERS: Final[Mapping[str, tuple[str, Callable[..., bytes]]]] = {
    "order": ("platform", order), "payment": ("payer", payment), "waybill": ("carrier", waybill),
    "inventory": ("broker", inventory),
}  # fmt: skip
ACTORS: Final = {
    "order": "platform", "payment": "payment_firm", "waybill": "logistics_firm", "inventory": "broker",
}  # fmt: skip
"""Document → who has to act on what is wrong with it."""


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """What one document says instead, and what is expected to be said of it, and to whom."""

    kind: str
    said: Mapping[str, str]
    rule: str
    code: str
    told: tuple[str, ...]
    """Documents whose senders are told."""
    items: Sequence[Mapping[str, str]] | None = None


MISTAKES: Final = (
    Mistake(kind="payment", said={"amountPaid": "108.1"}, rule="parcel-amount", code="1332", told=("order", "payment")),
    Mistake(kind="order", said={"acturalPaid": "110.1"}, rule="parcel-amount", code="1332", told=("order", "payment")),
    Mistake(kind="payment", said={"payerName": "李四"}, rule="parcel-payer-name", code="1327", told=("order", "payment")),
    Mistake(kind="payment", said={"payerIdNumber": OTHER_PERSON}, rule="parcel-payer-identity", code="1327", told=("order", "payment")),
    Mistake(kind="order", said={"payCode": "4400000077"}, rule="parcel-payment-firm", code="13035", told=("order", "payment")),
    Mistake(kind="inventory", said={"buyerName": "李四"}, rule="parcel-buyer-name", code="13127", told=("order", "inventory")),
    Mistake(kind="inventory", said={"buyerTelephone": "13000000001"}, rule="parcel-buyer-telephone", code="130126", told=("order", "inventory")),
    Mistake(kind="inventory", said={}, items=ITEMS[:1], rule="parcel-item-count", code="1320", told=("order", "inventory")),
    Mistake(kind="inventory", said={}, items=({**ITEMS[0], "qty": "3"}, ITEMS[1]), rule="parcel-item", code="1322", told=("order", "inventory")),
    Mistake(kind="waybill", said={"consignee": "李四"}, rule="parcel-consignee", code="", told=("order", "waybill")),
)  # fmt: skip


@dataclass
class Parcel:
    """One parcel: its numbers, and the mistake that is planted in it."""

    number: int
    mistake: Mistake | None
    rng: random.Random
    sent: list[str] = field(default_factory=list)

    @property
    def order_no(self) -> str:
        return f"O-{self.number}"

    def hand_in(self, node: ParcelNode) -> None:
        """Hand in its documents in any order; some in an earlier version first, or once more after a cancel."""
        kinds = list(SENDERS)
        self.rng.shuffle(kinds)
        for kind in kinds:
            for version in self._versions(kind):
                owner, write = SENDERS[kind]
                node.accept_body(owner, write(cop_code=CODES[owner], dxp_id=f"DXP{owner.upper()}", **version))
                node.clock.move(1)

    def _versions(self, kind: str) -> Iterator[dict[str, Any]]:
        final: dict[str, Any] = dict(self._said(kind))
        if self.mistake is not None and self.mistake.kind == kind:
            final |= self.mistake.said
            if self.mistake.items is not None:
                final["items"] = self.mistake.items
        history = self.rng.choice(("once", "once", "corrected", "cancelled"))
        if history == "once":
            yield {**final, "appTime": "20261111080000"}
            return
        yield {**final, **_EARLIER[kind], "appTime": "20261111080000"}
        if history == "cancelled":
            yield {**final, "appType": "3", "appTime": "20261111080500"}
        yield {**final, "appType": "2" if history == "corrected" else "1", "appTime": "20261111081000"}

    def _said(self, kind: str) -> Mapping[str, str]:
        numbers = {"orderNo": self.order_no}
        match kind:
            case "order":
                return {**numbers, "payTransactionId": f"P-{self.number}"}
            case "payment":
                return {**numbers, "payTransactionId": f"P-{self.number}"}
            case "waybill":
                return {**numbers, "logisticsNo": f"W-{self.number}"}
            case _:
                return {**numbers, "logisticsNo": f"W-{self.number}", "copNo": f"C-{self.number}"}


_EARLIER: Final[Mapping[str, Mapping[str, str]]] = {
    "order": {"buyerName": "赵六"}, "payment": {"amountPaid": "1"}, "waybill": {"consignee": "赵六"},
    "inventory": {"buyerTelephone": "13000000009"},
}  # fmt: skip
"""What an earlier version said, which no longer counts."""


def told(view: ParcelView) -> list[tuple[str, str, str, str]]:
    """Return document, rule, code and actor of all that is said of a parcel."""
    return [
        (one.kind, said.rule, said.code, said.who) for one in view.documents for said in one.compared.matching
    ]


def test_planted_mistakes_are_named_to_those_concerned_and_sound_parcels_raise_no_alarm(
    tmp_path: Path, clock: Clock
) -> None:
    rng = random.Random(11)
    alarms: Counter[tuple[str, ...]] = Counter()
    missed: list[tuple[str, str]] = []
    with closing(BACKENDS["sqlite"](tmp_path / "spool", clock)) as spool:
        node = ParcelNode(spool=spool, rules=RULES_NOW, clock=clock)
        for number in range(2 * PARCELS):
            mistake = MISTAKES[number // 2 % len(MISTAKES)] if number % 2 else None
            parcel = Parcel(number=number, mistake=mistake, rng=rng)
            parcel.hand_in(node)
            clock.move(24 * 3600)
            for kind, (owner, _) in SENDERS.items():
                said = told(node.asked(owner, order_no=parcel.order_no))
                if mistake is None or kind not in mistake.told:
                    alarms.update(said)
                elif (kind, mistake.rule, mistake.code, ACTORS[kind]) not in said:
                    missed.append((kind, mistake.rule))
    assert alarms == {}
    assert missed == []
