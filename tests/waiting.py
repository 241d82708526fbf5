"""How tests wait: for a signal or by looking again, and never for a time that a busy machine could miss."""

import time
from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay

PATIENCE_S = 60.0
"""How long anything may take before it counts as never: far longer than it takes on a busy machine."""
RECOVERY_S = 3 * PATIENCE_S
"""The same after kills and outages: who died often, and what failed often, is back by pauses that grow."""
_LOOKS_EVERY_S = 0.02
_RESTS = 3
"""After each look, this many times as long as it took: what is waited for needs the processors more."""
_LONGEST_REST_S = 0.2
T = TypeVar("T")


def until(ask: Callable[[], T], wanted: Callable[[T], object] = bool, *, seconds: float = PATIENCE_S) -> T:
    """Ask until the answer is as wanted, and return it. Raises AssertionError with the last answer."""
    took_s = 0.0

    def look() -> T:
        nonlocal took_s
        began = time.monotonic()
        told = ask()
        took_s = time.monotonic() - began
        return told

    asked = Retrying(
        retry=retry_if_result(lambda told: not wanted(told)),
        wait=lambda _: min(max(_LOOKS_EVERY_S, _RESTS * took_s), _LONGEST_REST_S),
        stop=stop_after_delay(seconds),
    )
    try:
        return asked(look)
    except RetryError as given_up:
        last = given_up.last_attempt.result()
        raise AssertionError(f"not as wanted after {seconds:g} s: {last!r}") from None
