"""The version of this gateway, as its installed distribution says it."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final

DISTRIBUTION: Final = "customs-exchange-gateway"


@cache
def gateway_version() -> str:
    """Return the version; empty when the package is only copied somewhere, and not installed. Reads files once."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return ""
