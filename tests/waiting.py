"""How tests wait: for a signal or by looking again, and never for a time that a busy machine could miss."""

from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

PATIENCE_S = 60.0
"""How long anything may take before it counts as never: far longer than it takes on a busy machine."""
RECOVERY_S = 3 * PATIENCE_S
"""The same after kills and outages: who died often, and what failed often, is back by pauses that grow."""
_LOOKS_EVERY_S = 0.02
T = TypeVar("T")


def until(ask: Callable[[], T], wanted: Callable[[T], object] = bool, *, seconds: float = PATIENCE_S) -> T:
    """Ask until the answer is as wanted, and return it. Raises AssertionError with the last answer."""
    asked = Retrying(
        retry=retry_if_result(lambda told: not wanted(told)),
        wait=wait_fixed(_LOOKS_EVERY_S),
        stop=stop_after_delay(seconds),
    )
    try:
        return asked(ask)
    except RetryError as given_up:
        last = given_up.last_attempt.result()
        raise AssertionError(f"not as wanted after {seconds:g} s: {last!r}") from None
