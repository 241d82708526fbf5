"""Composes sample declarations of every type: realistic, valid by schema, made of invented data.

A message is a template, built once per type and style from our own schema, filled with invented values;
so the demo, the tests and the benchmarks compose thousands a second and need no stored samples.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Final
from xml.sax.saxutils import escape

from gateway.model import BEIJING, Direction, MessageType
from gateway.rules.catalogue import Catalogue, load_catalogue
from gateway.rules.loading import RULES
from gateway.samples import values
from gateway.samples.template import NOT_YET, PLAIN, Style, template
from gateway.samples.values import Bought

__all__ = ["PLAIN", "TRADE", "Composed", "Style", "catalogue", "compose", "compose_trade", "declaration_type"]

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
SINGLES_DAY: Final = datetime(2024, 11, 11, 0, 0, 1, tzinfo=BEIJING)
"""Default appTime of samples."""

TRADE: Final = ("CEB311Message", "CEB411Message", "CEB511Message", "CEB621Message")
"""The messages of one import purchase: order, payment, waybill, inventory (三单一清单)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """A declaration message and the business keys in it."""

    message_type: str
    body: bytes
    keys: tuple[Mapping[str, str], ...]
    """Business key of each body, in catalogue order of its fields (docs/spec/messages.md, Catalogue)."""


def compose(
    message_type: str,
    *,
    cop_code: str,
    dxp_id: str,
    bodies: int = 1,
    items: int = 2,
    rng: random.Random,
    overrides: Mapping[str, str] = NOTHING,
    style: Style = PLAIN,
    app_time: datetime = SINGLES_DAY,
    basket: Sequence[Bought] = (),
) -> Composed:
    """Compose one declaration message, unsigned, with `bodies` declarations of `items` lines each.

    The enterprise codes in the business key are `cop_code`: the transmitting enterprise also declares.
    `overrides` gives text by element name, for all bodies and lines, and is escaped here; optional elements
    named in it are written. Each body has its own guid and key from `rng`, unless overridden. Limits of the
    schema are not checked: a test may ask for 101 bodies. `basket` sets the lines in place of `items`.
    Same arguments, same bytes. Raises KeyError for a type that is no declaration.
    """
    kind = declaration_type(message_type)
    wanted = frozenset(name for name in overrides if name in NOT_YET)
    made = template(kind, style, wanted)
    fixed = {name: escape(text) for name, text in overrides.items()}
    stamp = _local(app_time).strftime("%Y%m%d%H%M%S")
    owner = {name: escape(cop_code) for name in kind.key if name.endswith("Code")}
    transfer = {"copCode": escape(cop_code), "dxpId": escape(dxp_id), "dxpAddress": escape(dxp_id)}
    named = [name for name in kind.key if name not in style.leave_out]
    written: list[str] = []
    keys: list[Mapping[str, str]] = []
    for _ in range(bodies):
        head, lines = _invent(kind, basket or values.basket(items, rng), rng, stamp)
        facts = made.constants | owner | head | fixed
        written.append(made.head % facts)
        written.extend(made.line % (made.constants | line | fixed) for line in lines)
        written.append(made.foot % facts)
        keys.append({name: overrides.get(name, _own(name, facts, cop_code)) for name in named})
    root = made.constants | {"guid": values.guid(rng)} | transfer | fixed
    text = made.start % root + "".join(written) + made.end % root
    return Composed(message_type=kind.name, body=text.encode(style.encoding), keys=tuple(keys))


def compose_trade(
    *,
    cop_code: str,
    dxp_id: str,
    items: int = 2,
    rng: random.Random,
    overrides: Mapping[str, str] = NOTHING,
    style: Style = PLAIN,
    app_time: datetime = SINGLES_DAY,
) -> tuple[Composed, ...]:
    """Compose one import purchase: order, payment, waybill and inventory, `TRADE`.

    The four share orderNo, logisticsNo, payTransactionId, the buyer and the goods.
    """
    day = _local(app_time).strftime("%Y%m%d")
    shared = values.person(rng) | values.numbers(rng, day, "I")
    for name in ("invtNo", "coElNo", "payNo"):
        del shared[name]
    codes = dict.fromkeys(("ebpCode", "ebcCode", "payCode", "logisticsCode", "agentCode"), cop_code)
    basket = values.basket(items, rng)
    return tuple(
        compose(
            message_type,
            cop_code=cop_code,
            dxp_id=dxp_id,
            rng=rng,
            overrides=shared | codes | dict(overrides),
            style=style,
            app_time=app_time,
            basket=basket,
        )
        for message_type in TRADE
    )


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    """Return the catalogue shipped with the gateway; read once."""
    return load_catalogue(RULES / "mappings" / "catalogue.toml")


def declaration_type(message_type: str) -> MessageType:
    """Return the catalogue's row of a declaration type; KeyError for any other name."""
    kind = catalogue().by_name(message_type)
    if kind is None or kind.direction is not Direction.DECLARATION:
        raise KeyError(message_type)
    return kind


# ---- values for a template ----


def _local(instant: datetime) -> datetime:
    return instant.astimezone(BEIJING) if instant.tzinfo else instant


def _own(name: str, facts: Mapping[str, str], cop_code: str) -> str:
    return cop_code if name.endswith("Code") else facts[name]


def _invent(
    kind: MessageType, basket: Sequence[Bought], rng: random.Random, stamp: str
) -> tuple[dict[str, str], Sequence[dict[str, str]]]:
    """Invent one declaration: the values of its head and of each line."""
    day, mark = stamp[:8], "I" if kind.family == "import" else "E"
    lines = [_line(gnum, bought, rng, day, mark) for gnum, bought in enumerate(basket, 1)]
    total = sum(bought.goods.price_fen * bought.count for bought in basket)
    weight = sum(bought.weight_10g for bought in basket)
    tax = total * 91 // 1000
    head = values.person(rng) | values.numbers(rng, day, mark)
    head |= {
        "guid": values.guid(rng), "appTime": stamp, "declTime": day, "ieDate": day,
        "payTime": stamp, "logisticsTime": stamp, "accountingDate": stamp, "leaveTime": stamp,
        "goodsValue": values.money(total), "taxTotal": values.money(tax),
        "acturalPaid": values.money(total + tax), "amountPaid": values.money(total + tax),
        "charge": values.money(total), "netWeight": values.money(weight), "weight": values.money(weight),
        "grossWeight": values.money(weight + 20),
    }  # fmt: skip
    return head, lines


def _line(gnum: int, bought: Bought, rng: random.Random, day: str, mark: str) -> dict[str, str]:
    """Return the values of one line; each message type uses those that it has elements for."""
    goods, count = bought.goods, bought.count
    return {
        "gnum": str(gnum), "gseqno": str(gnum), "itemNo": f"SKU{goods.code}",
        "itemName": goods.name, "gcode": goods.code, "gname": goods.name, "gmodel": goods.model,
        "unit": goods.unit, "unit1": "035", "unit2": goods.unit, "country": goods.country,
        "qty": str(count), "qty1": values.money(bought.weight_10g), "qty2": str(count),
        "price": values.money(goods.price_fen), "totalPrice": values.money(goods.price_fen * count),
        "logisticsNo": f"YT{rng.randrange(10**16):016d}", "invtNo": values.invt_no(rng, day[:4], mark),
    }  # fmt: skip
