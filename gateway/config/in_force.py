"""Report whether the configuration in the files is the one in force, for `/metrics` and `/readyz`."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from mmap import mmap
from struct import Struct
from typing import Final

from prometheus_client.core import GaugeMetricFamily

from gateway.config.left_out import LeftOut
from gateway.observe.log import log

_TIME: Final = Struct("d")


class LastReload:
    """The result of the last reload: a time in memory that the roles share with the supervisor, which reloads."""

    def __init__(self) -> None:
        self._shared = mmap(-1, _TIME.size)

    def succeeded(self) -> None:
        """Record that the configuration in the files is in force."""
        _TIME.pack_into(self._shared, 0, 0.0)

    def failed(self) -> None:
        """Record that it is not, and that the previous configuration stays in force."""
        _TIME.pack_into(self._shared, 0, time.time())

    @property
    def failed_at(self) -> datetime | None:
        """When the last reload failed; None: it succeeded."""
        (at,) = _TIME.unpack_from(self._shared)
        return datetime.fromtimestamp(at, UTC) if at else None


def tell_left_out(parts: Sequence[LeftOut]) -> None:
    """Log each part, at the start and at every reload."""
    for one in parts:
        log("config.left_out", kind=one.kind, part=one.part, enterprise=one.enterprise, error=one.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigState:
    """The state of the configuration of one running node."""

    left_out: Sequence[LeftOut]
    last_reload: LastReload

    def families(self) -> list[GaugeMetricFamily]:
        """Return the metrics, with the names of the parts left out."""
        reload = GaugeMetricFamily(
            "gateway_reload_failed",
            "1 when the last reload failed and the configuration before it is in force, else 0",
        )
        reload.add_metric([], int(self.last_reload.failed_at is not None))
        parts = GaugeMetricFamily(
            "gateway_config_left_out",
            "1 for each enterprise, channel, door and mapping that cannot be used and is left out",
            labels=["kind", "part"],
        )
        for one in self.left_out:
            parts.add_metric([one.kind, one.part], 1)
        return [reload, parts]
