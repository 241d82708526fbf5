"""The `gateway` command: arguments in, exit code out (docs/cli.md). One file a command group."""

import atexit
import gc


def main() -> None:
    """Run the command line and leave the process with its exit code."""
    # a collection at the very end of the interpreter crashes in msgspec's types, depending on where things lie in memory
    # (its issue 717): what lives then is left to the operating system
    atexit.register(gc.freeze)
    from gateway.cli.root import root  # noqa: PLC0415 (importing the package costs nothing)

    root(prog_name="gateway")
