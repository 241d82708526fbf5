"""Prints expected errors of a command to stderr (what, where, fix) and maps them to exit codes."""

from typing import Final

from gateway.cli.terminal import echo
from gateway.errors import ConfigError, GatewayError, RulesError
from signing.errors import SigningError
from spool.errors import LifecycleError, SpoolError

NOT_IN_ORDER: Final = 1
"""The thing asked about is invalid, not verified, not found (docs/cli.md)."""
USAGE: Final = 2
"""Usage or configuration."""
FAILURES: Final = (GatewayError, SigningError, SpoolError)


def report(error: GatewayError | SigningError | SpoolError) -> int:
    """Print an error to stderr, one line for each part, and return its exit code."""
    say("error", error.what, error.where, error.fix)
    match error:
        case LifecycleError():
            return NOT_IN_ORDER
        case ConfigError() | RulesError() | SpoolError():
            return USAGE
        case _:
            return NOT_IN_ORDER


def say(kind: str, what: str, where: str = "", fix: str = "") -> None:
    """Write to stderr: `kind: what`, and below it `where` and `fix` if there are any."""
    echo(f"{kind}: {what}", err=True)
    if where:
        echo(f"  where: {where}", err=True)
    if fix:
        echo(f"  fix:   {fix}", err=True)
