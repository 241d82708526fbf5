"""`gateway init`: writes a folder from which the gateway can run at once."""

from dataclasses import replace
from pathlib import Path

import click

from gateway.cli.as_owner import as_owner_of
from gateway.cli.options import json_option
from gateway.cli.output import emit
from gateway.cli.terminal import echo
from gateway.config.site import DEMO, SENSIBLE, Site, write_site


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Port of the HTTP door; 0 lets the system choose.",
)
@json_option
def init(folder: Path, port: int, as_json: bool) -> None:
    """Write a commented gateway.toml, demo keys and one demo enterprise into DIR.

    Nothing that is there is replaced. The token of the enterprise is shown once and kept in DIR/demo.token.
    """
    with as_owner_of(folder):
        site = write_site(folder, port=port, enterprises=(replace(DEMO, quota=SENSIBLE),))
    if as_json:
        emit(
            {
                "config": str(site.config),
                "key": str(site.key),
                "certificate": str(site.certificate),
                "enterprises": [
                    {"id": name, "token": token, "token_file": str(site.token_file(name))}
                    for name, token in site.tokens.items()
                ],
            }
        )
    else:
        _tell(site, folder, port)


def _tell(site: Site, folder: Path, port: int) -> None:
    (name, token) = next(iter(site.tokens.items()))
    echo(f"wrote {site.config}, a demonstration key and the enterprise {name}")
    echo(f"token of {name}: {token}")
    echo(f"  (also in {site.token_file(name)}; the gateway itself keeps only its digest)")
    echo("next:")
    echo(f"  gateway check -c {folder}/gateway.toml")
    echo(f"  gateway run -c {folder}/gateway.toml")
    echo(f"  gateway submit FILE --to http://127.0.0.1:{port} --token-file {folder}/{name}.token")
