"""`gateway rehearse`: what a change would do, before it is made."""

from dataclasses import replace
from pathlib import Path

import click

from gateway.cli import tables
from gateway.cli.edition_rehearsal import EditionRehearsal, EditionReport, kept_messages
from gateway.cli.failure import NOT_IN_ORDER
from gateway.cli.open_spool import open_spool, rules_of
from gateway.cli.options import config_option, json_option
from gateway.cli.output import emit
from gateway.cli.terminal import echo
from gateway.config.gateway_toml import Config, load_config
from gateway.rules.loading import Rules
from gateway.rules.plain_form import PlainForms
from gateway.rules.schemas import Schemas
from gateway.upkeep.retention import archive_dir
from spool.archive import Archive


@click.group()
def rehearse() -> None:
    """Try a change on what is kept, before it is made; nothing is changed."""


@rehearse.command()
@click.option(
    "--against",
    required=True,
    metavar="DIR|EDITION",
    help="The edition to come: its name, or a folder with its schemas.",
)
@click.option("--enterprise", default="", metavar="ID", help="Only messages of this enterprise.")
@config_option
@json_option
def edition(file: Path, against: str, enterprise: str, as_json: bool) -> None:
    """Judge the messages in the spool and in the archive by another edition. Exit code 1: it would refuse some.

    One report for each enterprise: how many messages it has, how many would be refused, and why: faults by message
    type, path and rule, each with its number and the id of one message. No content of a message is shown.
    """
    config = load_config(file)
    rules = _rules(config, against)
    rehearsal = EditionRehearsal(rules, config.accept.limits)
    with open_spool(config) as spool:
        messages = kept_messages(spool, Archive(archive_dir(config)), rules, enterprise)
        for message in tables.counted(messages, "judging"):
            rehearsal.judge(message)
    reports = list(rehearsal.reports())
    if enterprise and not reports:
        reports = [rehearsal.nothing_of(enterprise)]
    for number, report in enumerate(reports):
        emit(report) if as_json else _tell(report, number)
    if not reports and not as_json:
        echo("there are no messages in the spool and in the archive")
    if any(report.refused for report in reports):
        click.get_current_context().exit(NOT_IN_ORDER)


def _rules(config: Config, against: str) -> Rules:
    """Return the rules of an edition by its name or by the folder of its schemas. Raises RulesError, UsageError."""
    rules = rules_of(config)
    if against in rules.editions.names:
        return rules.for_edition(against)
    folder = Path(against)
    if not folder.is_dir():
        known = ", ".join(rules.editions.names)
        raise click.UsageError(f"{against} is no folder and no edition; there is: {known}")
    schemas = Schemas.load(folder)
    return replace(rules, schemas=schemas, plain=PlainForms(schemas, rules.catalogue))


def _tell(report: EditionReport, number: int) -> None:
    echo("") if number else None
    echo(
        f"{report.enterprise}: messages judged by edition {report.edition}: {report.messages},"
        f" would be refused: {report.refused}"
    )
    if report.faults:
        tables.table(
            ("type", "path", "rule", "count", "example"),
            ((one.message_type, one.path, one.rule, str(one.count), one.example) for one in report.faults),
            right=("count",),
            whole=("example",),
        )
    if report.faults_not_listed:
        echo(f"faults of further kinds: {report.faults_not_listed}")
