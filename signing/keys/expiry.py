"""How near the end of a certificate is, in the steps at which somebody should hear of it."""

from datetime import datetime, timedelta
from typing import Final

STEPS_DAYS: Final = (1, 7, 14, 30, 90)
"""Getting a new certificate takes weeks, so the first step is early."""


def step_of(not_after: datetime, now: datetime) -> int | None:
    """Return the smallest step that the time left fits in, 0 when it is over, None when the end is far away."""
    left = not_after - now
    if left <= timedelta(0):
        return 0
    return next((days for days in STEPS_DAYS if left <= timedelta(days=days)), None)
