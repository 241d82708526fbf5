"""`gateway check`: checks the whole configuration, and that everything it names can be reached."""

from pathlib import Path

import click

from gateway.cli import tables
from gateway.cli.as_owner import as_owner_of
from gateway.cli.check.channels import probe_channels
from gateway.cli.check.probes import probe
from gateway.cli.check.result import Check, Grade, failed
from gateway.cli.failure import NOT_IN_ORDER
from gateway.cli.options import config_option, json_option
from gateway.cli.output import emit
from gateway.config.gateway_toml import load_config
from gateway.errors import ConfigError


@click.command()
@config_option
@json_option
def check(file: Path, as_json: bool) -> None:
    """Check files, keys, schemas, enterprises, doors, channels, the state folder, every destination. Exit code 1: one fails.

    Nothing is changed, nothing is sent or taken; destinations, queues and channels are connected to. Root looks with the
    eyes of the user that the state folder belongs to.
    """
    if not file.is_file():
        load_config(file)  # raises: there is no such file, exit code 2
    checks = _checks(file)
    if as_json:
        for one in checks:
            emit(one)
    else:
        tables.table(
            ("", "what", "how it is", "fix"), ((one.grade, one.name, one.detail, one.fix) for one in checks)
        )
    if any(one.grade is Grade.FAIL for one in checks):
        click.get_current_context().exit(NOT_IN_ORDER)


def _checks(file: Path) -> list[Check]:
    try:
        config = load_config(file)
    except ConfigError as error:
        return [failed("configuration", error)]
    found = Check(name="configuration", grade=Grade.OK, detail=str(file))
    with as_owner_of(config.node.state_dir):  # so that what the service cannot read fails here too
        try:
            load_config(file)
        except ConfigError as error:
            return [failed("configuration", error)]
        return [found, *probe(config), *probe_channels(config)]
