"""Enterprises of one node in two worlds: what the victims declare differs, what the attackers do does not.

`PARCELS` says which documents of the victims are there in which world; `Parcels` declares them, `tests.parcel_prober` asks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway.config.site import NewEnterprise
from gateway.parcels.facts import Linker, Personal
from gateway.receipts.learning.learned_codes import CURED, DECLARATIONS, FIELD
from spool.entry import Allowance, AnswerStep, Tally
from tests import parcel_documents as documents
from tests.parcel_documents import BROKER, CARRIER, PAYER, PLATFORM, SHOP
from tests.parcel_oracle import Oracle
from tests.spool_samples import START
from tests.two_worlds import Request, World, operation

PROBER, COLLUDER = "4400000066", "4400000077"
CODES: Final[Mapping[str, frozenset[str]]] = {
    "victim": frozenset({PLATFORM, SHOP, BROKER}),
    "neighbour": frozenset({CARRIER, PAYER}),
    "prober": frozenset({PROBER}),
    "colluder": frozenset({COLLUDER}),
}
ANY_PLATFORM, ANY_PAYER, ANY_CARRIER = "4409000001", "4409000002", "4409000003"
"""Of nobody on this node: anybody may name them."""
ATTACKERS: Final = ("prober", "colluder")
ENTERPRISES: Final = tuple(
    NewEnterprise(id=name, name=name, cop_codes=tuple(sorted(codes)), dxp_ids=(f"DXP{name.upper()}",))
    for name, codes in CODES.items()
)
KINDS: Final = {"order": "311", "payment": "411", "waybill": "511", "inventory": "621"}
_OF_ONE: Final = 15
"""Inventories of one number that one victim declares; the other declares the rest."""
OWNER: Final = {"order": "victim", "inventory": "victim", "waybill": "neighbour", "payment": "neighbour"}
ALL: Final = ("order", "payment", "waybill", "inventory")


@dataclass(frozen=True, kw_only=True)
class Person:
    """Values of a natural person."""

    name: str
    identity: str
    telephone: str
    address: str


KNOWN: Final = Person(name="赵相识", identity="110101198503031111", telephone="13800000000", address="示例省相识市1号")  # fmt: skip
"""Whom the attackers know: their own customer, too."""


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """One parcel of the victims."""

    number: str
    there: tuple[Sequence[str], Sequence[str]]
    """Which documents are there in either world; the same, where an attacker is acquainted with them."""
    ebp: str = ANY_PLATFORM
    pay: str = PAYER
    logistics: str = ANY_CARRIER
    """The platform, payment firm and carrier that its documents name."""
    identity: str = ""
    """Identity number of the buyer in both worlds; empty: another in each."""
    home: tuple[str, str] = ("", "")
    """Telephone and address of the consignee, likewise."""

    @property
    def hidden(self) -> bool:
        """Whether nobody but the victims is acquainted with anything of it."""
        return self.number.startswith("H")


PARCELS: Final = (
    Parcel(number="H1", there=(ALL, ())),
    Parcel(number="H2", there=((), ALL)),
    Parcel(number="H3", there=(ALL, ALL), ebp=PLATFORM, logistics=CARRIER),
    Parcel(number="H4", there=(("order",), ("payment", "waybill", "inventory"))),
    Parcel(number="H5", there=(ALL, ("order", "waybill"))),
    Parcel(number="H6", there=(("inventory",) * 30, ())),
    Parcel(number="H7", there=(("inventory",), ()), ebp=PROBER, logistics=COLLUDER),
    Parcel(number="C1", there=(("order", "waybill", "inventory"),) * 2, ebp=PLATFORM, pay=PROBER),
    Parcel(number="C2", there=(("order", "waybill", "inventory"),) * 2, ebp=PLATFORM, pay=COLLUDER),
    Parcel(number="C3", there=(("order",), ("order",)), pay=PROBER),
    Parcel(number="C4", there=(("payment", "inventory"),) * 2, ebp=PROBER),
    Parcel(number="P1", there=(ALL, ALL), identity=KNOWN.identity),
    Parcel(number="P2", there=(ALL, ALL), home=(KNOWN.telephone, KNOWN.address)),
)
"""H: the attackers are acquainted with nothing of it; C: by a code that the victims name; P: by the person."""
USED: Final = ({KNOWN.identity: 2_000_000}, {KNOWN.identity: 500_000})
"""World → identity number → fen that the victims have sold to the person this year."""
LEARNED: Final = ("1327", "buyerName")
"""Code, and the field that cured it in enough declarations of victims to be told anybody (docs/adr/0043)."""
TOO_FEW: Final = ("13127", "buyerTelephone")
"""Likewise, of fewer, and not of the same number in each world."""


def _place(parcel: Parcel) -> int:
    return PARCELS.index(parcel) if parcel in PARCELS else len(PARCELS)


def person(parcel: Parcel, world: int) -> Person:
    """Return the buyer of a parcel, another one in each world."""
    place = 10 * _place(parcel) + world
    return Person(
        name=f"被害{'甲乙'[world]}{parcel.number}",
        identity=parcel.identity or f"1101011990010{place:04d}X",
        telephone=parcel.home[0] or f"1390000{place:04d}",
        address=parcel.home[1] or f"示例省{'甲乙'[world]}市{parcel.number}号",
    )


def amount(parcel: Parcel, world: int) -> str:
    """Return what was paid for a parcel."""
    return f"{100 + _place(parcel)}.{world + 1}7"


def transaction(parcel: Parcel, world: int) -> str:
    """Return the number of the payment for a parcel."""
    return f"PAY-{parcel.number}-{world}"


def goods(world: int) -> Sequence[Mapping[str, str]]:
    """Return what is in the victims' parcels."""
    return (
        {"gnum": "1", "itemNo": f"SKU-{world}", "qty": str(world + 1), "price": "30"},
        {"gnum": "2", "itemNo": "SKU-9", "qty": "1", "price": f"4{world}"},
    )


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A document before it is written."""

    kind: str
    said: Mapping[str, str]
    items: Sequence[Mapping[str, str]] = ()
    owner: str = ""
    """The victim that declares it."""

    def body(self, owner: str) -> bytes:
        """Write it as this enterprise hands it in."""
        write = getattr(documents, self.kind)
        named = {"cop_code": min(CODES[owner]), "dxp_id": f"DXP{owner.upper()}"}
        return bytes(write(**named, **self.said, **({"items": self.items} if self.items else {})))


def draft(
    kind: str,
    who: Person,
    *,
    order_no: str,
    waybill_no: str,
    paid: str,
    transaction_id: str,
    items: Sequence[Mapping[str, str]],
    app_time: str,
    app_type: str = "1",
    ebp: str,
    ebc: str,
    pay: str,
    logistics: str,
    agent: str,
    cop_no: str,
) -> Draft:
    """Draft a document of any kind; what the kind has no field for is left out."""
    version = {"appType": app_type, "appTime": app_time}
    parcel = {"orderNo": order_no, "ebpCode": ebp}
    buyer = {"buyerName": who.name, "buyerTelephone": who.telephone, "buyerIdNumber": who.identity}
    consignee = {
        "consignee": who.name, "consigneeTelephone": who.telephone, "consigneeAddress": who.address,
    }  # fmt: skip
    payment = {"payCode": pay, "payTransactionId": transaction_id, "currency": "142"}
    carried = {"logisticsNo": waybill_no, "logisticsCode": logistics}
    match kind:
        case "order":
            said = {**parcel, **payment, **buyer, **consignee, "ebcCode": ebc, "acturalPaid": paid}
        case "payment":
            said = {
                **parcel,
                **payment,
                "amountPaid": paid,
                "payerName": who.name,
                "payerIdNumber": who.identity,
            }
        case "waybill":
            said = {**carried, **consignee, "orderNo": order_no}
        case _:
            said = {
                **parcel, **carried, **buyer, "consigneeAddress": who.address, "ebcCode": ebc,
                "agentCode": agent, "copNo": cop_no,
            }  # fmt: skip
    return Draft(kind=kind, said={**version, **said}, items=items if kind in {"order", "inventory"} else ())


def of_victim(parcel: Parcel, world: int, kind: str, app_time: str, *, app_type: str = "1", copy: int = 0) -> Draft:  # fmt: skip
    """Draft what a victim declares of a parcel."""
    number = f"{parcel.number}-{copy}" if copy else parcel.number
    owner = "neighbour" if copy >= _OF_ONE else OWNER[kind]
    made = draft(
        kind,
        person(parcel, world),
        order_no=f"O-{parcel.number}",
        waybill_no=f"W-{number}",
        paid=amount(parcel, world),
        transaction_id=transaction(parcel, world),
        items=goods(world),
        app_time=app_time,
        app_type=app_type,
        ebp=parcel.ebp,
        ebc=SHOP,
        pay=parcel.pay,
        logistics=parcel.logistics,
        agent=BROKER if owner == "victim" else PAYER,
        cop_no=f"COP-{number}",
    )
    return replace(made, owner=owner)


def elsewhere(place: int, world: int, app_time: str) -> Draft:
    """Draft what a victim declares in the one world while it declares a parcel in the other: of a number that nobody asks for."""
    return of_victim(Parcel(number=f"E{place}", there=((), ())), world, "order", app_time)


def drafts(parcel: Parcel, world: int, app_time: str) -> list[Draft]:
    """Return what the victims declare of a parcel in a world."""
    seen: dict[str, int] = {}
    found = []
    for kind in parcel.there[world]:
        found.append(of_victim(parcel, world, kind, app_time, copy=seen.get(kind, 0)))
        seen[kind] = seen.get(kind, 0) + 1
    return found


def first_declared(app_time: str) -> list[tuple[Draft, Draft]]:
    """Return what the victims declare at first, one document in each world at a time.

    What attackers are acquainted with comes at the same time in both; the rest in another order in each.
    """
    known = [one for one in PARCELS if not one.hidden]
    hidden: tuple[list[Draft], list[Draft]] = ([], [])
    for world, found in enumerate(hidden):
        for parcel in PARCELS if world else reversed(PARCELS):
            found.extend(drafts(parcel, world, app_time) if parcel.hidden else ())
    longest = max(map(len, hidden))
    for world, found in enumerate(hidden):
        found.extend(elsewhere(place, world, app_time) for place in range(longest - len(found)))
    both = zip(
        *([draft for one in known for draft in drafts(one, world, app_time)] for world in (0, 1)), strict=True
    )
    return [*zip(*hidden, strict=True), *both]


def prepare(world: World, number: int) -> None:
    """Put in a spool what victims have sold to persons, and what was learned from their corrections."""
    linker: Linker = world.app.judge.linker  # type: ignore[assignment]  # matching is on
    world.spool.set_allowances(
        "sold",
        AnswerStep(declarations=(), before=None, at=(0, 0), more=False),
        [
            Allowance(
                declaration=10**6 + place,
                owner="victim",
                subject=linker.mark(Personal.IDENTITY, identity).hex(),
                period="2026",
                amount=fen,
            )
            for place, (identity, fen) in enumerate(USED[number].items())
        ],
    )
    learned = [(*LEARNED, 5), (*TOO_FEW, 1 + number)]
    tallies = [
        Tally(name=name, subject=code, n=n, first_at=START, last_at=START, key=field if name == FIELD else "")
        for code, field, n in learned
        for name in (CURED, DECLARATIONS, FIELD)
    ]
    assert world.spool.add_tallies("victims", tallies, after=None, reached=1)


def oracles() -> tuple[Oracle, Oracle]:
    """Return what is known of each world before anything is declared."""
    first, second = (Oracle(codes=CODES, used=USED[world]) for world in (0, 1))
    return first, second


def handing_in(
    owner: str, body: bytes, *, query: str = "", headers: Mapping[str, str] | None = None
) -> Request:
    """Return the request that hands a message in."""
    return Request(
        operation=operation("submitMessage"),
        who=owner,
        target=f"/v1/messages{query}",
        headers={"Content-Type": "application/xml", **(headers or {})},
        body=body,
    )
