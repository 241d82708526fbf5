"""The `gateway` command: arguments in, exit code out (docs/cli.md). One file per command group."""

import atexit
import gc


def main() -> None:
    """Run the command line and exit the process with its exit code."""
    # a garbage collection while the interpreter ends can crash in msgspec's types, depending on the memory layout
    # (its issue 717): objects alive at that point are left to the operating system
    atexit.register(gc.freeze)
    from gateway.cli.root import root  # noqa: PLC0415 (importing the package costs nothing)

    root(prog_name="gateway")
