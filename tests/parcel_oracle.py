"""What an enterprise may be told of a parcel, worked out once more from what was declared, in the clear: docs/parcels.md, Who is told what.

Independent of `gateway.parcels`: it knows values instead of marks, and everything that was ever declared instead of indexes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

KINDS = ("order", "payment", "waybill", "inventory")
TRIED_AT_MOST = 5
ITEMS_AT_MOST = 10
LIMIT_FEN = 2_600_000
TABLE = (
    ("parcel-amount", ("order", "acturalPaid"), ("payment", "amountPaid")),
    ("parcel-payer-name", ("order", "buyerName"), ("payment", "payerName")),
    ("parcel-payer-identity", ("order", "buyerIdNumber"), ("payment", "payerIdNumber")),
    ("parcel-payment-firm", ("order", "payCode"), ("payment", "payCode")),
    ("parcel-payment-number", ("order", "payTransactionId"), ("payment", "payTransactionId")),
    ("parcel-payment-currency", ("order", "currency"), ("payment", "currency")),
    ("parcel-buyer-name", ("order", "buyerName"), ("inventory", "buyerName")),
    ("parcel-buyer-telephone", ("order", "buyerTelephone"), ("inventory", "buyerTelephone")),
    ("parcel-buyer-identity", ("order", "buyerIdNumber"), ("inventory", "buyerIdNumber")),
    ("parcel-consignee", ("order", "consignee"), ("waybill", "consignee")),
    ("parcel-consignee-telephone", ("order", "consigneeTelephone"), ("waybill", "consigneeTelephone")),
    ("parcel-consignee-address", ("order", "consigneeAddress"), ("waybill", "consigneeAddress")),
)
"""Rule, and the two fields that it compares (docs/parcels.md, What is compared)."""
FIRMS = {
    "order": ("ebpCode", "ebcCode", "payCode"),
    "payment": ("ebpCode", "payCode"),
    "waybill": ("logisticsCode",),
    "inventory": ("ebpCode", "ebcCode", "agentCode", "logisticsCode"),
}
"""Where a document names enterprises."""


@dataclass(frozen=True, kw_only=True)
class Declared:
    """One version of one document."""

    owner: str
    key: str
    kind: str
    said: Mapping[str, str]
    items: Sequence[Mapping[str, str]]
    at: datetime
    place: int
    """Its place among all that was declared."""

    order_no: str
    waybill_no: str

    @property
    def deleted(self) -> bool:
        return self.said["appType"] == "3"


@dataclass(frozen=True, kw_only=True)
class Told:
    """What is told of one document: everything that may differ from one world to another."""

    limited: bool = False
    matches: tuple[tuple[str, str, str, bool], ...] = ()
    """Field of the own document, kind of the other, rule, whether they agree."""
    others: tuple[tuple[str, bool, int], ...] = ()
    """Kind, whether it is there, age in seconds."""
    matching: tuple[tuple[str, str], ...] = ()
    """Rule and element of what does not agree."""


@dataclass(kw_only=True)
class Oracle:
    """What was declared in one world."""

    codes: Mapping[str, frozenset[str]]
    """Enterprise → its codes."""
    used: Mapping[str, int]
    """Identity number → fen that were released for the person, none of them for whoever asks."""
    declared: list[Declared] = field(default_factory=list)
    _of: dict[str, list[Declared]] = field(default_factory=dict)
    _newest: dict[tuple[str, str], Declared] = field(default_factory=dict)

    def declare(
        self,
        owner: str,
        key: str,
        kind: str,
        said: Mapping[str, str],
        *,
        items: Sequence[Mapping[str, str]],
        at: datetime,
    ) -> None:
        """Add a version."""
        place = len(self.declared)
        made = Declared(
            owner=owner,
            key=key,
            kind=kind,
            said=said,
            items=items,
            at=at,
            place=place,
            order_no=said.get("orderNo", ""),
            waybill_no=said.get("logisticsNo", ""),
        )
        self.declared.append(made)
        self._of.setdefault(owner, []).append(made)
        self._newest.pop((owner, key), None)
        self._newest[owner, key] = made

    def newest(self) -> list[Declared]:
        """Return the newest version of each document, the newest first."""
        return list(reversed(self._newest.values()))

    def told(self, one: Declared, around: Sequence[Declared], now: datetime) -> Told:
        """Say what the owner of a document is told of it; `around`: as the method gives it of what was asked for."""
        known = self.known(one, around)
        tried_out = self.tried_out(one, now)
        bridges = [via for via in known if not self.tried_out(via, now)]
        others = [
            other
            for other in known
            if (other.owner == one.owner and _in_one_parcel(one, other, known))
            or (not tried_out and _in_one_parcel(one, other, bridges))
        ]
        matches = list(_matches(one, others))
        wrong = [(rule, element, item) for element, _, rule, match, item in matches if not match]
        if not tried_out:
            wrong += _missing(one, others)
        if self._over_limit(one, own_alone=tried_out):
            wrong.append(("parcel-yearly-limit", "buyerIdNumber", 0))
        return Told(
            limited=tried_out,
            matches=tuple((element, kind, rule, match) for element, kind, rule, match, _ in matches),
            others=() if tried_out else tuple(_presence(one, others, now)),
            matching=tuple((rule, element) for rule, element, _ in dict.fromkeys(wrong)),
        )

    def around(self, asked: Sequence[Declared]) -> list[Declared]:
        """Return all documents of the parcels of these, whoever they are of, the newest first."""
        every = _near(self.newest(), asked)
        return [other for other in every if any(_in_one_parcel(seed, other, every) for seed in asked)]

    def known(self, one: Declared, around: Sequence[Declared]) -> list[Declared]:
        """Return what a document is acquainted with, directly or through others that are not deleted."""
        reached, edge = {one.place}, [one]
        while edge:
            here = edge.pop()
            if here.deleted and here is not one:
                continue
            for other in around:
                if other.place not in reached and self._acquainted(here, other):
                    reached.add(other.place)
                    edge.append(other)
        return [other for other in around if other.place in reached and other is not one]

    def of_others(self, one: Declared) -> bool:
        """Say whether some other enterprise has a document with a number of this one."""
        return any(other.owner != one.owner and _share_a_number(one, other) for other in self.newest())

    def tried_out(self, one: Declared, now: datetime) -> bool:
        """Say whether the owner handed in too many versions under a number of this document within a day."""
        return any(
            self.versions(one.owner, number, value, now) > TRIED_AT_MOST
            for number, value in (("order_no", one.order_no), ("waybill_no", one.waybill_no))
            if value
        )

    def versions(self, owner: str, number: str, value: str, now: datetime) -> int:
        """Return how many versions of documents that had a number an owner handed in within a day."""
        since, theirs = now - timedelta(hours=24), self._of.get(owner, [])
        had = {one.key for one in theirs if getattr(one, number) == value}
        return sum(one.key in had for one in theirs if one.at >= since)

    def _acquainted(self, one: Declared, other: Declared) -> bool:
        if not _share_a_number(one, other):
            return False
        named = (
            {one.said.get(firm) for firm in FIRMS[one.kind]} & self.codes[other.owner]
            and {other.said.get(firm) for firm in FIRMS[other.kind]} & self.codes[one.owner]
        )  # fmt: skip
        return one.owner == other.owner or bool(named) or _of_one_person(one, other)

    def _over_limit(self, one: Declared, *, own_alone: bool) -> bool:
        if one.kind != "inventory" or one.deleted:
            return False
        total = sum(Decimal(item["qty"]) * Decimal(item["price"]) for item in one.items) + Decimal(0)
        fen = int((total * 100).quantize(Decimal(1), ROUND_HALF_UP))
        others = 0 if own_alone else self.used.get(one.said["buyerIdNumber"], 0)
        return others + fen > LIMIT_FEN


def _near(every: Sequence[Declared], asked: Sequence[Declared]) -> list[Declared]:
    """Return what has a number of these documents, or one that an inventory with such a number has too."""
    numbers = {number for one in asked for number in _numbers(one)}
    numbers |= {
        number
        for one in every
        if one.kind == "inventory" and numbers & _numbers(one)
        for number in _numbers(one)
    }
    return [one for one in every if numbers & _numbers(one)]


def _numbers(one: Declared) -> set[str]:
    return {one.order_no, one.waybill_no} - {""}


def _share_a_number(one: Declared, other: Declared) -> bool:
    same_order = one.order_no == other.order_no and _both(one, other, "ebpCode")
    return same_order or (
        bool(one.waybill_no) and one.waybill_no == other.waybill_no and _both(one, other, "logisticsCode")
    )


def _both(one: Declared, other: Declared, name: str) -> bool:
    return name in one.said and one.said[name] == other.said.get(name)


def _in_one_parcel(one: Declared, other: Declared, through: Sequence[Declared]) -> bool:
    if _share_a_number(one, other):
        return True
    if "inventory" in {one.kind, other.kind}:
        return False
    connecting = [via for via in through if via.kind == "inventory" and not via.deleted]
    return any(_share_a_number(one, via) and _share_a_number(via, other) for via in connecting)


def _of_one_person(one: Declared, other: Declared) -> bool:
    def values(document: Declared, *names: str) -> set[str]:
        return {document.said[name] for name in names if name in document.said}

    identity = ("buyerIdNumber", "payerIdNumber")
    telephone = ("consigneeTelephone", "buyerTelephone")
    if values(one, *identity) & values(other, *identity):
        return True
    if "payment" in {one.kind, other.kind}:
        return False
    return bool(
        values(one, *telephone) & values(other, *telephone)
        and values(one, "consigneeAddress") & values(other, "consigneeAddress")
    )


def _matches(one: Declared, others: Sequence[Declared]) -> Iterator[tuple[str, str, str, bool, int]]:
    """Yield element, kind of the other, rule, whether they agree, and the item (0: the head)."""
    there = [] if one.deleted else [other for other in others if not other.deleted]
    for other in there:
        for rule, *sides in TABLE:
            if [kind for kind, _ in sides] in ([one.kind, other.kind], [other.kind, one.kind]):
                (_, mine), (_, theirs) = sides if sides[0][0] == one.kind else sides[::-1]
                pair = one.said[mine], other.said[theirs]
                agree = (
                    Decimal(pair[0]) == Decimal(pair[1]) if rule == "parcel-amount" else pair[0] == pair[1]
                )
                yield mine, other.kind, rule, agree, 0
        if {one.kind, other.kind} == {"order", "inventory"}:
            yield from _items(one, other)
    if any(_reuses(one, other) for other in there):
        yield "logisticsNo", "inventory", "parcel-waybill-reused", False, 0


def _items(one: Declared, other: Declared) -> Iterator[tuple[str, str, str, bool, int]]:
    theirs = {int(item["gnum"]): item for item in other.items}
    same = [int(item["gnum"]) for item in one.items] == sorted(theirs)
    yield "gnum", other.kind, "parcel-item-count", same, 1
    if not same:
        return
    wrong = [
        (name, place)
        for place, item in enumerate(one.items, start=1)
        for name in ("itemNo", "qty", "price")
        if item[name] != theirs[int(item["gnum"])][name]
    ]
    for name, place in wrong[:ITEMS_AT_MOST]:
        yield name, other.kind, "parcel-item", False, place
    if not wrong:
        yield "itemNo", other.kind, "parcel-item", True, 1


def _reuses(one: Declared, other: Declared) -> bool:
    return (
        one.kind == other.kind == "inventory"
        and one.waybill_no == other.waybill_no
        and _both(one, other, "logisticsCode")
        and not (one.order_no == other.order_no and _both(one, other, "ebpCode"))
    )


def _missing(one: Declared, others: Sequence[Declared]) -> list[tuple[str, str, int]]:
    if one.kind != "inventory" or one.deleted:
        return []
    there = {other.kind for other in others if not other.deleted}
    wanted = (("order", "orderNo"), ("payment", "orderNo"), ("waybill", "logisticsNo"))
    return [(f"parcel-{kind}-missing", number, 0) for kind, number in wanted if kind not in there]


def _presence(one: Declared, others: Sequence[Declared], now: datetime) -> Iterator[tuple[str, bool, int]]:
    for kind in KINDS:
        there = [other.at for other in others if other.kind == kind and not other.deleted]
        if kind != one.kind:
            yield kind, bool(there), int((now - max(there, default=one.at)).total_seconds())
