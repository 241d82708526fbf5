"""The steps, in days before a certificate expires, at which the operator is warned."""

from datetime import datetime, timedelta
from typing import Final

STEPS_DAYS: Final = (1, 7, 14, 30, 90)
"""Getting a new certificate takes weeks, so the first step is early."""


def step_of(not_after: datetime, now: datetime) -> int | None:
    """Return the smallest step that covers the time left; 0 after expiry, None if more than all steps are left."""
    left = not_after - now
    if left <= timedelta(0):
        return 0
    return next((days for days in STEPS_DAYS if left <= timedelta(days=days)), None)
