"""Reads times from a gateway's log: when something happened by its own clock, not when the benchmark noticed."""

from datetime import UTC, datetime
from typing import Any

from gateway.simulator.world import WatchedProcess

_PATIENCE_S = 300.0


def now_text() -> str:
    """Return the current time in the format of log lines."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def moment(line: dict[str, Any]) -> float:
    """Return the time of a line, seconds since 1970."""
    return datetime.fromisoformat(str(line["time"])).timestamp()


def lines(gateway: WatchedProcess, event: str, *, since: str) -> list[dict[str, Any]]:
    """Return the existing lines of this event; `since`: a time from `now_text`."""
    return [one for one in list(gateway.events) if one.get("event") == event and one["time"] >= since]


def happened(
    gateway: WatchedProcess, event: str, *, since: str, count: int, timeout_s: float = _PATIENCE_S
) -> list[float]:
    """Block until an event was logged `count` times since then; returns the times, seconds since 1970.

    A line about several declarations (`bodies`) counts as many times. Raises GatewayError.
    """
    times: list[float] = []

    def enough(line: dict[str, Any]) -> bool:
        if line.get("event") == event and line["time"] >= since:
            times.extend([moment(line)] * line.get("bodies", 1))
        return len(times) >= count

    gateway.wait_for(enough, timeout_s)  # type: ignore[arg-type]
    return times
