"""Two attackers try everything that the HTTP API offers on two worlds at once; every answer is compared as it comes.

What may differ is what `tests.parcel_oracle` says of each world, and nothing else: neither a status, nor a header, nor the length.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random
from typing import Final
from urllib.parse import quote, urlencode
from uuid import uuid4

from gateway.doors.http.operations import OPERATIONS, Operation, Parameter
from tests.contract.test_correlation import addressed
from tests.documents import receipt
from tests.import_sources import inventories
from tests.parcel_differ import Differ
from tests.parcel_documents import SHOP
from tests.parcel_oracle import Declared, Oracle
from tests.parcel_worlds import (
    ALL,
    ANY_CARRIER,
    ANY_PAYER,
    ANY_PLATFORM,
    ATTACKERS,
    CODES,
    KINDS,
    KNOWN,
    PARCELS,
    Draft,
    Person,
    amount,
    draft,
    elsewhere,
    first_declared,
    goods,
    handing_in,
    of_victim,
    oracles,
    person,
    transaction,
)
from tests.spool_samples import START, Clock
from tests.two_worlds import Answer, Request, TwoWorlds, operation


def _goods(gcode: str) -> bytes:
    return f"货号,商品编码,法定计量单位\nSKU-9,{gcode},035\n".encode()


STRANGER: Final = Person(
    name="钱生人", identity="110101197001011235", telephone="13600000000", address="自家1号"
)
PERSONS: Final = [person(parcel, world) for parcel in PARCELS for world in (0, 1)]
AMOUNTS: Final = [amount(parcel, world) for parcel in PARCELS for world in (0, 1)]
NUMBERS: Final = [parcel.number for parcel in PARCELS]
PRICES: Final = ("40", "41", "7000", "15000", "20999.99", "22000", "25999")
BODIES: Final = {
    "acknowledgeReceipts": ("application/json", b'{"cursor": 0}'),
    "putGoods": ("text/csv", _goods("2201101000")),
    "submitImport": ("text/csv", inventories(2)),
    "putBooks": ("text/csv", b"field,old,new,from\nemsNo,T0000W000001,T0000W000002,2026-06-01\n"),
}
_DAY_S: Final = 25 * 3600
_PARCEL, _TIMELINE = "getParcel", "getDeclaration"


@dataclass(kw_only=True)
class Prober:
    """Asks and compares until it is told to stop, or finds something."""

    worlds: TwoWorlds
    clock: Clock
    chance: Random
    oracles: tuple[Oracle, Oracle] = field(default_factory=oracles)
    differ: Differ = field(init=False)
    asked: Counter[str] = field(default_factory=Counter)
    """Operation and status → how often."""
    seen: Counter[str] = field(default_factory=Counter)
    """As `Differ.compare` counts."""
    bodies: list[bytes] = field(default_factory=list)
    """Of all answers, in the first world."""
    _accepted: list[tuple[str, bytes]] = field(default_factory=list)
    """Attacker and bytes."""
    _keys: list[tuple[str, str]] = field(default_factory=list)
    """Type and key of declarations, of whoever."""
    _versions: int = 0
    _elsewhere: int = 1000
    _receipts: int = 0

    def __post_init__(self) -> None:
        self.differ = Differ(oracles=self.oracles)

    def settle_in(self) -> None:
        """Have the victims declare what they have, and tell them what customs says of it."""
        for pair in first_declared(self._app_time()):
            self._declare_victims(pair)
            self.clock.move(7)
        for world, gcode in zip(self.worlds.worlds, ("2201101000", "3304990029"), strict=True):
            asked = Request(
                operation=operation("putGoods"),
                who="victim",
                target="/v1/goods",
                headers={"Content-Type": "text/csv"},
                body=_goods(gcode),
            )
            assert self.worlds.ask_one(world, asked).status == 200
            source = Request(
                operation=operation("submitImport"),
                who="victim",
                target="/v1/imports?mapping=inventories",
                headers={"Content-Type": "text/csv"},
                body=inventories(1, first=int(gcode[:4])),
            )
            taken = self.worlds.ask_one(world, source)
            assert taken.status == 202
            world.hide("import of the victim", taken.json()["id"])
        self._answer_of_customs()

    def probe(self, number: int) -> None:
        """Ask so many things; from time to time the victims, customs or the clock do something, too."""
        while self.asked.total() < number:
            place = self.asked.total()
            if place % 20 == 7:
                self._declare_victims(self._victims_next())
            if place % 50 == 30:
                self._answer_of_customs()
            if place % 350 == 340:
                self.clock.move(_DAY_S)
            self._step()
            self.clock.move(self.chance.randint(1, 9))

    # what is asked

    def _step(self) -> None:
        who = self.chance.choice(ATTACKERS)
        kind = self.chance.choices(("submit", _PARCEL, _TIMELINE, "any"), (38, 22, 12, 28))[0]
        if kind == "submit":
            self._submit(who)
            return
        one = self._seldom() if kind == "any" else operation(kind)
        if one.id == "submitMessage":
            self._submit(who)
        else:
            self.ask(self._request(one, who))

    def _seldom(self) -> Operation:
        """Return one of the operations that were asked for least often."""
        asked = Counter({one.id: 0 for one in OPERATIONS})
        for name, times in self.asked.items():
            asked[name.partition(" ")[0]] += times
        return self.chance.choice([one for one in OPERATIONS if asked[one.id] == min(asked.values())])

    def _submit(self, who: str) -> None:
        made = self._draft(who)
        way = self.chance.choices(
            ("plain", "dry", "again", "other bytes", "broken", "foreign", "named", "translated"),
            (70, 8, 4, 4, 4, 3, 4, 3),
        )[0]
        body, query, headers = made.body(who), "", {}
        match way:
            case "dry":
                query = "?dry_run=true"
            case "again" | "other bytes" if self._accepted:
                owner, body = self.chance.choice(self._accepted)
                who, body = owner, body + b"\n" * (way == "other bytes")
            case "broken":
                body = body.replace(
                    *self.chance.choice(((b">142<", b">840<"), (b"</", b"<"), (b"ceb:", b"x:")))
                )
            case "foreign":
                body = made.body("victim")
            case "named":
                headers = {"Idempotency-Key": f"name-{self.chance.randrange(5)}"}
            case "translated":
                query, headers = "?mapping=plain", {"Content-Type": "application/json"}
        first, _ = self.ask(handing_in(who, body, query=query, headers=headers))
        if first.status == 202:
            self._accepted.append((who, body))
            for oracle in self.oracles:
                self._remember(who, made, first, oracle)
            if self.chance.random() < 0.6:
                self.ask(self._parcel_asked(who, made))

    def _draft(self, who: str) -> Draft:
        """Draft a document of one of the victims' parcels, with values of anybody."""
        chance = self.chance
        place = chance.randrange(len(NUMBERS))
        number = NUMBERS[place]
        other = NUMBERS[(place + chance.choice((0, 0, 0, 1))) % len(NUMBERS)]
        base = chance.choice((KNOWN, KNOWN, STRANGER, STRANGER, chance.choice(PERSONS)))
        mixed = replace(
            base,
            **{
                name: getattr(chance.choice((base, base, *self._persons_of(place))), name)
                for name in ("name", "telephone", "address")
            },
        )
        (code,) = CODES[who]
        kind = chance.choice(ALL)
        parcel = PARCELS[place]

        def named(usual: str, anybodys: str, *, mine: bool) -> str:
            """A code that this enterprise may use: in a key of its own none of another enterprise."""
            may = not mine or usual in {code, anybodys}
            return (
                chance.choice((usual, usual, usual, usual, code)) if may else chance.choice((code, anybodys))
            )

        return draft(
            kind,
            mixed,
            order_no=f"O-{number}",
            waybill_no=f"W-{other}",
            paid=chance.choice(self._amounts_of(place)),
            transaction_id=chance.choice(
                (f"T-{number}-{who}", *(transaction(parcel, world) for world in (0, 1)))
            ),
            items=self._items(),
            app_time=self._app_time(),
            app_type=chance.choices("123", (70, 20, 10))[0],
            ebp=named(parcel.ebp, ANY_PLATFORM, mine=kind == "order"),
            ebc=code if kind == "order" else chance.choice((SHOP, code)),
            pay=named(parcel.pay, ANY_PAYER, mine=kind == "payment"),
            logistics=named(parcel.logistics, ANY_CARRIER, mine=kind == "waybill"),
            agent=code,
            cop_no=f"{who}-{number}",
        )

    def _items(self) -> Sequence[Mapping[str, str]]:
        items = [*self.chance.choice((goods(0), goods(1)))][: self.chance.choice((1, 2, 2, 2))]
        return [{**one, "price": self.chance.choice((one["price"], *PRICES))} for one in items]

    def _persons_of(self, place: int) -> list[Person]:
        return [person(PARCELS[place], world) for world in (0, 1)]

    def _amounts_of(self, place: int) -> list[str]:
        return [amount(PARCELS[place], world) for world in (0, 1)] + ["1", f"{self.chance.randrange(1000)}.5"]

    def _request(self, one: Operation, who: str) -> Request:
        """Fill in every parameter that an operation has, with what an attacker may think of."""
        ids: list[str] = []
        path, query, headers = one.path, [], {}
        named = self.chance.choice(self._keys)
        for parameter in self._chosen(one):
            value = self._value(one, parameter, ids, named)
            match parameter.place:
                case "path":
                    path = path.replace(
                        f"{{{parameter.name}}}", value if value == "{}" else quote(value, safe="")
                    )
                case "query":
                    query.append((parameter.name, value))
                case "header":
                    headers[parameter.name] = value
        caller = self.chance.choice((who,) * 20 + ("nobody",))
        target = path + (f"?{urlencode(query)}" if query else "")
        form, body = self._body(one)
        return Request(
            operation=one,
            who=caller,
            target=target,
            headers=headers | ({"Content-Type": form} if form else {}),
            body=body,
            ids=ids,
        )

    def _body(self, one: Operation) -> tuple[str, bytes]:
        """Choose media type and body: what is right for the operation, as far as that is known here, or anything."""
        if not one.body:
            return "", b""
        right = BODIES.get(one.id)
        if right is not None and self.chance.random() < 0.7:
            return right
        return self.chance.choice(one.body), self.chance.choice((b"[]", b"{", b'{"cursor": 3}', b"a,b\n"))

    def _chosen(self, one: Operation) -> Sequence[Parameter]:
        if one.id == _PARCEL and self.chance.random() < 0.95:
            return [self.chance.choice(one.parameters)]
        return [
            each
            for each in one.parameters
            if each.place == "path" or (self.chance.random() < (0.97 if each.required else 0.4))
        ]

    def _value(self, one: Operation, parameter: Parameter, ids: list[str], named: tuple[str, str]) -> str:
        """Choose what an attacker says for a parameter; for one that is not known here, something that its schema allows, or a guess."""
        chance, number = self.chance, self.chance.choice(NUMBERS)
        if parameter.name == "id" and "receipts" not in one.path:
            of_import = "imports" in one.path
            known = [name for name in self.worlds.worlds[0].ids if ("import" in name) is of_import]
            own = [name for name in known if name.startswith("own ")]
            ids.append(chance.choice(own if own and chance.random() < 0.6 else known))
            return "{}"
        guesses: dict[str, Callable[[], str]] = {
            "id": lambda: str(chance.randrange(1, 60)),
            "type": lambda: named[0],
            "key": lambda: named[1],
            "order_no": lambda: f"O-{number}",
            "waybill_no": lambda: f"W-{number}",
            "invt_no": lambda: f"INVT-{number}",
            "wait": lambda: "0",
            "mapping": lambda: chance.choice(("inventories", "plain,inventories", "none")),
            "charset": lambda: chance.choice(("utf-8", "gb18030")),
            "app_time": self._app_time,
        }
        return guesses.get(parameter.name, lambda: self._guess(parameter))()

    def _guess(self, parameter: Parameter) -> str:
        schema = parameter.schema
        match schema.get("type"):
            case "boolean":
                return self.chance.choice(("true", "false"))
            case "integer":
                low = int(schema.get("minimum", 0))
                return str(self.chance.choice((low, low + 1, low + 7, schema.get("maximum", low + 9))))
            case _:
                guessed = (*AMOUNTS, *(one.name for one in PERSONS), *(one.identity for one in PERSONS))
                return self.chance.choice((*guessed, *(f"O-{number}" for number in NUMBERS)))

    def _parcel_asked(self, who: str, made: Draft) -> Request:
        names = [("order_no", "orderNo"), ("waybill_no", "logisticsNo")]
        name, number = self.chance.choice(
            [(name, made.said[told]) for name, told in names if told in made.said]
        )
        return Request(operation=operation(_PARCEL), who=who, target=f"/v1/parcels?{name}={quote(number)}")

    # what else happens

    def _victims_next(self) -> tuple[Draft, Draft]:
        """Change, or take back, one document in each world; what attackers are acquainted with at the same time in both."""
        chance, time = self.chance, self._app_time()
        app_type = chance.choice("2223")
        known = [one for one in PARCELS if not one.hidden]
        if chance.random() < 0.5:
            parcel = chance.choice(known)
            kind = chance.choice(parcel.there[0])
            first, second = (of_victim(parcel, world, kind, time, app_type=app_type) for world in (0, 1))
            return first, second
        return self._hidden_next(0, time, app_type), self._hidden_next(1, time, chance.choice("23"))

    def _hidden_next(self, world: int, app_time: str, app_type: str) -> Draft:
        if self.chance.random() < 0.3:
            self._elsewhere += 1
            return elsewhere(self._elsewhere, world, app_time)
        there = [(one, kind) for one in PARCELS if one.hidden for kind in one.there[world]]
        parcel, kind = self.chance.choice(there)
        return of_victim(parcel, world, kind, app_time, app_type=app_type)

    def _declare_victims(self, pair: tuple[Draft, Draft]) -> None:
        for place, (world, oracle, made) in enumerate(
            zip(self.worlds.worlds, self.oracles, pair, strict=True)
        ):
            world.send()  # one message at a time, so that places in the log are the same in both worlds
            said = self.worlds.ask_one(world, handing_in(made.owner, made.body(made.owner)))
            assert said.status == 202, said.body.decode()
            uid = said.json()["id"]
            world.hide(f"victims {len(oracle.declared)}", uid)
            for other, one in enumerate(self.worlds.worlds):  # there in this world alone
                one.hide(
                    f"of world {place} {len(oracle.declared)}",
                    uid if other == place else str(uuid4()).upper(),
                )
            world.send()
            self._remember(made.owner, made, said, oracle)

    def _remember(self, owner: str, made: Draft, answer: Answer, oracle: Oracle) -> None:
        (declaration,) = answer.json()["declarations"]
        kind = answer.json()["message_type"]
        key = " ".join(f"{name}={value}" for name, value in declaration["key"].items())
        self._keys.append((kind, key))
        oracle.declare(owner, f"{kind} {key}", made.kind, made.said, items=made.items, at=self.clock.now)

    def _answer_of_customs(self) -> None:
        """Let customs answer the victims something else in each world and the attackers the same, and seal."""
        self._receipts += 1
        chosen = [Random(f"{self._receipts} {world}") for world in (0, 1)]
        same = str(self._receipts)
        for world, oracle, chance in zip(self.worlds.worlds, self.oracles, chosen, strict=True):
            newest = [one for one in oracle.newest() if one.kind in {"order", "inventory"}]
            theirs = [one for one in newest if one.owner not in ATTACKERS]
            ours = [one for one in newest if one.owner in ATTACKERS]
            told = [
                _receipt(one, chance, self._receipts) for one in chance.sample(theirs, min(4, len(theirs)))
            ] + [
                _receipt(one, Random(same), self._receipts)
                for one in Random(same).sample(ours, min(4, len(ours)))
            ]
            world.collect(told)
            world.seal()

    def _app_time(self) -> str:
        self._versions += 1
        return (
            f"20261111{self._versions // 3600 % 24:02}{self._versions // 60 % 60:02}{self._versions % 60:02}"
        )

    def ask(self, request: Request) -> tuple[Answer, Answer]:
        """Ask both worlds and compare what they say. Raises LeakError."""
        raw = self.worlds.ask(request)
        name = f"{request.operation.id} {raw[0].status}"
        self.asked[name] += 1
        if name == "submitMessage 202":
            for world, answer in zip(self.worlds.worlds, raw, strict=True):
                world.ids[f"own {len(self._accepted)}"] = answer.json().get("id", "")
        if name == "submitImport 202":
            for world, answer in zip(self.worlds.worlds, raw, strict=True):
                world.ids[f"own import {self.asked[name]}"] = answer.json()["id"]
        first, second = (
            world.comparable(request, answer) for world, answer in zip(self.worlds.worlds, raw, strict=True)
        )
        self.seen += self.differ.compare(request, (first, second), self.clock.now)
        self.bodies.append(first.body)
        return first, second


def _receipt(one: Declared, chance: Random, number: int) -> bytes:
    """Write an answer of customs about an order or an inventory."""
    status, info = chance.choice(
        (
            ("2", "示例申报成功"),
            ("120", "示例入库"),
            ("100", "[Code:1327;Desc:示例]"),
            ("100", "[Code:13127;Desc:示例]"),
        )
    )
    names = {"order": ("ebpCode", "ebcCode", "orderNo"), "inventory": ("agentCode", "copNo")}[one.kind]
    said = {
        **{name: one.said[name] for name in names},
        "returnStatus": status,
        "returnInfo": info,
        "returnTime": f"{START + timedelta(hours=number):%Y%m%d%H%M%S}000",  # two alike would be filed once
    }
    if one.kind == "inventory":
        said |= {"invtNo": f"INVT-{one.order_no[2:]}", "preNo": f"PRE-{one.order_no[2:]}"}
    return addressed(receipt(f"CEB{int(KINDS[one.kind]) + 1}Message", said), f"DXP{one.owner.upper()}")
