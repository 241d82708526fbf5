"""A simulated year of imports: lists, refusals, cancels and returns of many persons, and what each has used of it.

The sums are made while the year is made, from what was meant to happen, not from what is declared.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from hashlib import sha256

from msgspec import structs

from gateway import facts
from gateway.model import Answer, Layer
from gateway.parcels.facts import ItemFacts, Linker, ParcelFacts, Personal, encoded
from spool.entry import Collected, Filing, NewMessage, ParcelLink, Subject, TimelineRow, Way
from spool.store import Spool

OWNERS = ("ann", "bob", "cid")
LINKER = Linker(b"secret of the node, of 32 bytes!")
_START = datetime(2026, 1, 5, 9)  # noqa: DTZ001 (of Beijing, as customs writes it)
_BATCH = 200
"""Answers in one arrival."""
_TOGETHER = 100
"""Declarations in one message."""
_COMMIT = 4
"""Messages in one commit."""


@dataclass(frozen=True, kw_only=True)
class YearEvent:
    """One answer about one declaration."""

    owner: str
    identity: str
    kind: str
    status: str
    at: str
    info: str
    invt_no: str


@dataclass(kw_only=True)
class SimulatedYear:
    """What is declared, what customs answers, and what that comes to."""

    messages: list[NewMessage] = field(default_factory=list)
    events: list[YearEvent] = field(default_factory=list)
    used: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    """Mark of the person and year → fen."""


def identity_number(person: int) -> str:
    """Return an invented identity number."""
    return f"11010119900101{person:04d}"


def simulate(declarations: int, persons: int, seed: int = 1) -> SimulatedYear:
    """Make a year."""
    chance, year = random.Random(seed), SimulatedYear()
    for number in range(declarations):
        _List(year, chance, number, chance.randrange(persons)).live()
    return year


class _List:
    """One list from its declaration to its end."""

    def __init__(self, year: SimulatedYear, chance: random.Random, number: int, person: int) -> None:
        self.year, self.chance, self.number = year, chance, number
        self.owner = chance.choice(OWNERS)
        self.mark = LINKER.mark(Personal.IDENTITY, identity_number(person))
        self.invt_no = f"51002026I{number:09d}"
        self.when = _START + timedelta(minutes=chance.randint(0, 500_000))
        self.items = [self._item(place) for place in range(1, chance.randint(2, 4))]

    def live(self) -> None:
        """Declare it, and let customs answer."""
        identity, chance = f"CEB621Message agentCode=A copNo=C{self.number}", self.chance
        self._declare(identity, {"appType": "1"}, self.items, people={"buyerIdNumber": self.mark})
        self._answer(identity, "CEB622Message", "2", 0)
        fate = chance.random()
        if fate < 0.1:
            self._answer(identity, "CEB622Message", "100", 0.5, "清单退单")
            return
        self._answer(identity, "CEB622Message", "800", 1)
        kept = {one.gnum: int(one.qty) for one in self.items}
        if fate < 0.15:
            self._answer(identity, "CEB622Message", "100", 2, "清单退单")
            kept = {}
        elif fate < 0.2:
            self._answer(identity, "CEB622Message", "100", 2, "清单重复发送")
        elif fate < 0.28:
            kept = {} if self._cancelled() else kept
        elif fate < 0.4:
            kept = self._returned(kept)
        self.year.used[self.mark.hex(), f"{self.when + timedelta(days=1):%Y}"] += self._fen(kept)

    def _item(self, place: int) -> ItemFacts:
        qty = self.chance.randint(1, 5)
        total = Decimal(self.chance.randint(1, 50_000_000)) / 100_000 * qty
        return ItemFacts(gnum=str(place), qty=str(qty), price="1", total=f"{total:f}")

    def _fen(self, kept: Mapping[str, int]) -> int:
        rest = sum(
            (Fraction(Decimal(one.total)) * kept.get(one.gnum, 0) / int(one.qty) for one in self.items),
            Fraction(0),
        )
        exact = Decimal(rest.numerator) * 100 / Decimal(rest.denominator)
        return int(exact.quantize(Decimal(1), ROUND_HALF_UP))

    def _cancelled(self) -> bool:
        identity, good = f"CEB623Message agentCode=A copNo=X{self.number}", self.chance.random() < 0.7
        self._declare(identity, {"appType": "1", "invtNo": self.invt_no}, [])
        self._answer(identity, "CEB624Message", "2", 1.5)
        self._answer(identity, "CEB624Message", "399" if good else "-451", 2)
        return good

    def _returned(self, kept: Mapping[str, int]) -> dict[str, int]:
        applied, back, in_time = self.chance.choice([(20.0, 40, True), (30.5, 40, False), (20.0, 47, False)])
        gone = {gnum: self.chance.randint(0, qty) for gnum, qty in kept.items()}
        identity, good = f"CEB625Message agentCode=A copNo=R{self.number}", self.chance.random() < 0.8
        self._declare(
            identity,
            {"appType": "1", "invtNo": self.invt_no, "appTime": f"{self._at(1 + applied)[:14]}"},
            [ItemFacts(gnum=gnum, qty=str(qty)) for gnum, qty in gone.items() if qty],
        )
        self._answer(identity, "CEB626Message", "800" if good else "100", 1 + back, "" if good else "退单")
        return {gnum: qty - (gone[gnum] if good and in_time else 0) for gnum, qty in kept.items()}

    def _at(self, days: float) -> str:
        return f"{self.when + timedelta(days=days):%Y%m%d%H%M%S}000"

    def _answer(self, identity: str, kind: str, status: str, days: float, info: str = "") -> None:
        self.year.events.append(
            YearEvent(
                owner=self.owner,
                identity=identity,
                kind=kind,
                status=status,
                at=self._at(days),
                info=info,
                invt_no=self.invt_no if kind == "CEB622Message" else "",
            )
        )

    def _declare(
        self,
        identity: str,
        fields: Mapping[str, str],
        items: Sequence[ItemFacts],
        people: Mapping[str, bytes] | None = None,
    ) -> None:
        known = ParcelFacts(number=1, fields=fields, people=people or {}, items=tuple(items))
        body = identity.encode()
        self.year.messages.append(
            NewMessage(
                uid=identity,
                owner=self.owner,
                kind=identity[:13],
                sha256=sha256(body).digest(),
                body=body,
                facts=b"",
                ways=(Way(destination="customs", cop_msg_id=identity),),
                subjects=(
                    Subject(
                        identity=identity,
                        version="1",
                        link=ParcelLink(waybill_no=f"W-{self.number}", facts=encoded(known)),
                    ),
                ),
            )
        )


def declare(spool: Spool, messages: Sequence[NewMessage]) -> None:
    """Take declarations in, those of one owner and type together in messages of a hundred, some of these in a commit."""
    alike: defaultdict[tuple[str, str], list[NewMessage]] = defaultdict(list)
    for one in messages:
        alike[one.owner, one.kind].append(one)
    parts = [of[start : start + _TOGETHER] for of in alike.values() for start in range(0, len(of), _TOGETHER)]
    for start in range(0, len(parts), _COMMIT):
        spool.put([_together(part) for part in parts[start : start + _COMMIT]])


def _together(messages: Sequence[NewMessage]) -> NewMessage:
    """Return one message with the declarations of these."""
    return structs.replace(messages[0], subjects=tuple([one.subjects[0] for one in messages]))


def answer(spool: Spool, events: Iterable[YearEvent]) -> None:
    """File answers, some hundred in an arrival; those that were filed before are duplicates."""
    given = list(events)
    for start in range(0, len(given), _BATCH):
        _file(spool, given[start : start + _BATCH])


def _file(spool: Spool, events: Sequence[YearEvent]) -> None:
    numbers = {one.identity: one.declaration for one in spool.find([event.identity for event in events])}
    names = [repr(event) for event in events]
    fresh = sha256(repr((names, spool.newest_answer())).encode()).digest()
    spool.keep([Collected(feed="customs", name=fresh.hex(), body=fresh, sha256=fresh)])
    (arrival,) = spool.unfiled(1)
    rows = [
        TimelineRow(
            declaration=numbers[event.identity],
            at=event.at,
            kind=event.kind,
            status=event.status,
            facts=facts.of_answer(_answer_of(event)),
            digest=sha256(repr(event).encode()).hexdigest(),
            index=place,
        )
        for place, event in enumerate(events)
    ]
    spool.file([Filing(arrival=arrival.id, kind="CEB622Message", cop_msg_id="", rows=tuple(rows))])


def _answer_of(event: YearEvent) -> Answer:
    return Answer(
        layer=Layer.BUSINESS,
        message_type=event.kind,
        index=0,
        status=event.status,
        info=event.info,
        time=event.at,
        key={},
        numbers={},
        codes={},
        fields={"invtNo": event.invt_no} if event.invt_no else {},
    )
