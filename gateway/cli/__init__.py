"""The `gateway` command: arguments in, exit code out (DESIGN.md 6). One file a command group."""


def main() -> None:
    """Run the command line and leave the process with its exit code."""
    from gateway.cli.root import root  # noqa: PLC0415 (importing the package costs nothing)

    root(prog_name="gateway")
