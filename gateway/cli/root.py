"""The command table: a sub-command's module is imported only when that command is invoked."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import click

from gateway.cli.failure import FAILURES, report
from gateway.cli.terminal import echo
from gateway.printable import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandEntry:
    """Where a command is defined, and a short help text."""

    module: str
    name: str
    help: str


def _entry(module: str, name: str, text: str) -> CommandEntry:
    return CommandEntry(module=f"gateway.cli.{module}", name=name, help=text)


COMMANDS: Final[Mapping[str, CommandEntry]] = {
    "init": _entry("init", "init", "Write a configuration, demo keys and one enterprise into a folder."),
    "check": _entry("check.command", "check", "Check the whole configuration and what it points at."),
    "run": _entry("run", "run", "Run the gateway."),
    "demo": _entry("demo", "demo", "Show everything on this machine with embedded parts."),
    "validate": _entry("validate", "validate", "Check messages against the customs schemas."),
    "rules": _entry("rules.command", "rules", "Look at the rules that advice is given by, and try them."),
    "sign": _entry("sign", "sign", "Sign a message by splice: no other byte changes."),
    "verify": _entry("verify", "verify", "Verify the signatures of messages."),
    "envelope": _entry("envelope", "envelope", "Wrap and unwrap DxpMsg and DxpMsgSv, byte for byte."),
    "translate": _entry("translate", "translate_", "Make CEB messages of a platform's JSON or CSV."),
    "mapping": _entry("mapping.command", "mapping", "Look at mappings, try them, draft your own."),
    "submit": _entry("submit", "submit", "Hand messages to a gateway, as a platform does."),
    "trace": _entry("trace", "trace", "Tell the whole life of a message or declaration."),
    "rehearse": _entry("rehearse", "rehearse", "Try a change on what is kept, before it is made."),
    "spool": _entry("spool", "spool", "Look at the spool and act on what is in it."),
    "receipts": _entry("receipts", "receipts", "Look at the answers of customs, matched and not."),
    "codes": _entry("codes", "codes", "Look at customs' codes: meaning, counts, what cured them."),
    "enterprise": _entry("enterprise", "enterprise", "Add, show and disable enterprises."),
    "goods": _entry("goods", "goods", "Check, hand in and show goods registers of enterprises."),
    "evidence": _entry("evidence", "evidence", "Export and verify what proves the life of a message."),
    "journal": _entry("journal", "journal", "Look at the log behind the proofs, and verify all of it."),
    "simulate": _entry("simulate", "simulate", "Play the customs side."),
    "signer": _entry("signer", "signer", "Serve the keys of this machine to gateways elsewhere."),
    "bench": _entry("bench", "bench", "Measure the figures of the design on this machine."),
}


class LazyGroup(click.Group):
    """A click group that lists its commands from the table and imports one only when it is invoked."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the command names in the order of the table."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command; None for a name that is not in the table."""
        del ctx
        return load(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table, without importing any."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; expected errors become a few lines on stderr and an exit code."""
        try:
            return super().invoke(ctx)
        except FAILURES as error:
            ctx.exit(report(error))
        except click.ClickException as error:
            # the message quotes the command line and so file names; click declares it final
            error.message = printable(error.message)  # type: ignore[misc]
            raise


def load(name: str) -> click.Command:
    """Import one command of the table; KeyError for another name."""
    entry = COMMANDS[name]
    command = getattr(import_module(entry.module), entry.name)
    if not isinstance(command, click.Command):
        raise TypeError(f"{entry.module}:{entry.name} is no command")
    return command


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 (rarely asked for)

        try:
            echo(f"gateway {version('customs-exchange-gateway')}")
        except PackageNotFoundError:
            echo("gateway (not installed)")
        ctx.exit()


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Say the version and end.",
)
def root() -> None:
    """Customs exchange gateway: declarations out, signed and untouched; answers back to their owners.

    Exit codes: 0 done, 1 what was asked about is not in order, 2 usage or configuration.
    """
