"""Generates docs/cli.md from the commands themselves: `python -m gateway.cli.reference > docs/cli.md`."""

from collections.abc import Iterator
from typing import Final

import click

from gateway.cli.output import deliver
from gateway.cli.root import COMMANDS, load

_HEAD: Final = """\
# Command line

Written from the code by `python -m gateway.cli.reference > docs/cli.md`; a test compares the two.

Exit codes: 0 done, 1 what was asked about is not in order (invalid, not verified, not found, refused),
2 usage or configuration. With `--json` stdout holds one JSON object a line and nothing else; errors go to
stderr as `what`, `where` and `fix`.

"""


def reference() -> str:
    """Return the reference of every command as Markdown."""
    parts = [_HEAD, "| command | does |\n|---|---|\n"]
    parts += [f"| [`{name}`](#gateway-{name}) | {entry.help} |\n" for name, entry in COMMANDS.items()]
    for name in COMMANDS:
        parts += _sections(load(name), f"gateway {name}")
    return "".join(parts)


def _sections(command: click.Command, name: str) -> Iterator[str]:
    yield f"\n## {name}\n\n{_text(command)}\n"
    context = click.Context(command, info_name=name, max_content_width=100, terminal_width=100)
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            if found is not None:
                yield from _sections(found, f"{name} {inner}")
        return
    usage = " ".join((name, *command.collect_usage_pieces(context)))
    yield f"\n```\n{usage}\n```\n"
    options = (one for one in command.params if isinstance(one, click.Option))
    rows = [row for one in options if (row := one.get_help_record(context)) is not None]
    if rows:
        yield "\n| option | |\n|---|---|\n"
        yield from (f"| `{option.replace('|', '¦')}` | {text.replace('|', '¦')} |\n" for option, text in rows)


def _text(command: click.Command) -> str:
    lines = [line.strip() for line in (command.help or "").splitlines()]
    return "\n".join(lines).strip()


if __name__ == "__main__":
    deliver(reference().encode(), None)
