"""How long an answer usually takes, by type, layer and hour, and when it is overdue (mappings/patience.toml)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from gateway.config.gateway_toml import BusyHours, Config, LayerName
from gateway.model import BEIJING
from gateway.rules.catalogue import Catalogue
from gateway.rules.tables import TablePlace, read_tables, shaped

LAYERS: Final[tuple[LayerName, ...]] = ("transport", "format", "business", "decision")
"""The layers in the order in which they answer."""
_IN_DAYS: Final[LayerName] = "decision"
"""People may have to decide, which takes hours or days, whatever the hour of sending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseTimes:
    """Usual response times in whole seconds; 0: no answer is expected."""

    layers: Mapping[LayerName, int]
    types: Mapping[tuple[str, LayerName], int]
    """These override the times of the layer."""
    hours: tuple[BusyHours, ...]

    def usual_s(self, message_type: str, layer: LayerName, sent_at: datetime) -> int:
        """Return how many seconds this layer may take to answer a message sent at `sent_at`."""
        return self._plain_s(message_type, layer) * (1 if layer == _IN_DAYS else self._factor(sent_at))

    def due(self, message_type: str, layer: LayerName, sent_at: datetime) -> datetime | None:
        """Return the time from which the answer is overdue; None: never."""
        usual_s = self.usual_s(message_type, layer, sent_at)
        return sent_at + timedelta(seconds=usual_s) if usual_s else None

    def horizons(self, message_types: Iterable[str]) -> Mapping[tuple[LayerName, int], tuple[str, ...]]:
        """Return every layer and time that `usual_s` can give for these types, with the types that can have it."""
        found: dict[tuple[LayerName, int], list[str]] = {}
        factors = sorted({1, *(one.factor for one in self.hours)})
        for name in message_types:
            for layer in LAYERS:
                for factor in (1,) if layer == _IN_DAYS else factors:
                    if usual_s := self._plain_s(name, layer) * factor:
                        found.setdefault((layer, usual_s), []).append(name)
        return {one: tuple(names) for one, names in found.items()}

    def _plain_s(self, message_type: str, layer: LayerName) -> int:
        return self.types.get((message_type, layer), self.layers[layer])

    def _factor(self, sent_at: datetime) -> int:
        local = sent_at.astimezone(BEIJING)
        day, time = local.strftime("%m-%d"), local.strftime("%H:%M")
        fitting = (
            one.factor
            for one in self.hours
            if one.from_ <= time < one.to and (not one.days or day in one.days)
        )
        return max(fitting, default=1)


class _Usual(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    usual_s: Annotated[int, Meta(ge=0)]
    source: str


class _Hours(BusyHours, frozen=True, kw_only=True):
    source: str


class _Tables(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    layer: dict[LayerName, _Usual]
    type: dict[str, dict[LayerName, _Usual]] = {}
    hours: tuple[_Hours, ...] = ()


_EXAMPLE: Final = """
[layer.business]
usual_s = 1800
source = "ours"
"""


def load_response_times(file: Path, catalogue: Catalogue) -> ResponseTimes:
    """Read the table; raises RulesError that names a missing layer or a type that is not in the catalogue."""
    place = TablePlace(file)
    tables = shaped(read_tables(file), _Tables, place, _EXAMPLE)
    known = {kind.name for kind in catalogue.declarations()}
    for name in tables.type:
        if name not in known:
            raise place.within("type").error(f"{name} is no declaration of the catalogue", key=name)
    for layer in LAYERS:
        if layer not in tables.layer:
            raise place.error(f"[layer.{layer}] is missing", key=layer, example=f"[layer.{layer}]")
    return ResponseTimes(
        layers=MappingProxyType({layer: one.usual_s for layer, one in tables.layer.items()}),
        types=MappingProxyType(
            {
                (name, layer): one.usual_s
                for name, layers in tables.type.items()
                for layer, one in layers.items()
            }
        ),
        hours=tables.hours,
    )


def response_times_of(shipped: ResponseTimes, config: Config) -> ResponseTimes:
    """Return the shipped times, overridden by those of gateway.toml."""
    layers, types = dict(shipped.layers), dict(shipped.types)
    for one in config.patience:
        names = (one.message_type,) if isinstance(one.message_type, str) else one.message_type
        if not names:
            layers[one.layer] = one.usual_s
        types.update({(name, one.layer): one.usual_s for name in names})
    return ResponseTimes(
        layers=MappingProxyType(layers),
        types=MappingProxyType(types),
        hours=config.busy_hours if config.busy_hours is not None else shipped.hours,
    )
