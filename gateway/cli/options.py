"""Options that several commands share, so that one name means one thing everywhere."""

from pathlib import Path

import click

config_option = click.option(
    "-c",
    "--config",
    "file",
    type=click.Path(path_type=Path),
    default=Path("gateway.toml"),
    show_default=True,
    help="The configuration.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout.")
out_option = click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write here instead of stdout.",
)
document_argument = click.argument(
    "document", metavar="FILE", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
)
files_argument = click.argument(
    "paths",
    metavar="FILE…",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, readable=True, path_type=Path),
)


def documents(paths: tuple[Path, ...]) -> list[Path]:
    """List the files named, and every `*.xml` in the folders named, in name order.

    Raises click.UsageError for a folder without one.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.rglob("*.xml")) if path.is_dir() else [path]
        if not inside:
            raise click.UsageError(f"there is no *.xml in {path}")
        found += inside
    return list(dict.fromkeys(found))
