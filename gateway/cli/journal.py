"""`gateway journal`: shows the log over the journal, its key and checkpoints, and verifies all of it."""

from pathlib import Path

import click
import msgspec

from gateway.cli import tables
from gateway.cli.as_owner import as_owner_of, tell_journal
from gateway.cli.evidence import read_keys
from gateway.cli.failure import NOT_IN_ORDER, say
from gateway.cli.open_spool import open_spool
from gateway.cli.options import config_option, json_option
from gateway.cli.output import deliver, emit, facts, instant
from gateway.cli.terminal import echo
from gateway.config.gateway_toml import Config, load_config
from gateway.evidence.audit import Auditor
from gateway.keys.node_key import key_file, known_keys, node_key
from gateway.keys.node_key import renew as renewed
from gateway.upkeep.operator_acts import UID, Act, who
from gateway.upkeep.retention import archive_dir
from spool.archive import Archive
from spool.note import VerifierKey, read


@click.group()
def journal() -> None:
    """Look at the log behind the proofs, and verify all of it."""


@journal.command()
@click.option("--all", "whole", is_flag=True, help="Also those that this node had before, a line each.")
@config_option
@json_option
def key(whole: bool, file: Path, as_json: bool) -> None:
    """Print the public key of this node: what others verify its evidence with. Makes the key when there is none."""
    config = load_config(file)
    for one in _known(config) if whole else (_public(config),):
        _show(one, as_json=as_json)


@journal.command()
@config_option
@json_option
def renew(file: Path, as_json: bool) -> None:
    """Give this node a new key, and print its public half: after a backup was restored, or when the old one may be known.

    With the gateway stopped. The public half of the old key is kept beside it, so that `verify` knows what it signed.
    Whoever verifies evidence needs both.
    """
    config = load_config(file)
    with as_owner_of(key_file(config).parent):
        public = renewed(config).public
    tell_journal(config, "journal.key_made", Act(by=who(), key=str(public)))
    _show(public, as_json=as_json)


@journal.command()
@config_option
@json_option
def checkpoint(file: Path, as_json: bool) -> None:
    """Print the newest checkpoint, a signed note: who keeps it can prove later that the log was only added to.

    Exit code 1: there is none yet.
    """
    with open_spool(load_config(file)) as spool:
        newest, waiting = spool.checkpoint(), spool.unsealed()
    if newest is None:
        say("error", "there is no checkpoint yet", fix="the keep role makes one every minute")
        click.get_current_context().exit(NOT_IN_ORDER)
    if as_json:
        said = read(newest.note)
        emit(
            {
                "origin": said.origin,
                "size": said.size,
                "root": said.root.hex(),
                "at": newest.at,
                "unsealed": waiting,
                "note": newest.note,
            }
        )
    else:
        deliver(newest.note.encode(), None)


@journal.command()
@click.option(
    "--key",
    "keys",
    multiple=True,
    help="Public key that may have signed checkpoints, or a file with lines of it; default: this node's, and those it had before.",
)
@click.option(
    "--checkpoint",
    "kept",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A checkpoint that somebody has kept: the log must contain what it vouches for.",
)
@config_option
@json_option
def verify(keys: tuple[str, ...], kept: tuple[Path, ...], file: Path, as_json: bool) -> None:
    """Verify the whole log: each line in journal and archive, each tile, each checkpoint, and that it only grew.

    Names each event that was altered, removed or inserted. Reads everything once; the gateway may run meanwhile.
    Exit code 1: something does not hold.
    """
    config = load_config(file)
    known = read_keys(keys) or list(_known(config))
    notes = [one.read_text("utf-8") for one in kept]
    with open_spool(config) as spool:
        audit = Auditor(spool, known, Archive(archive_dir(config)).lines, notes).audit()
    if as_json:
        emit(audit)
    else:
        for fault in audit.faults:
            say("error", fault)
        facts(
            {
                "events": str(audit.events),
                "in the archive only": str(audit.archived),
                "checkpoints": str(audit.checkpoints),
                "not in the log yet": str(audit.unsealed),
                "verdict": "BROKEN" if audit.faults else "the log holds",
            }
        )
    if audit.faults:
        click.get_current_context().exit(NOT_IN_ORDER)


@journal.command()
@config_option
@json_option
def acts(file: Path, as_json: bool) -> None:
    """List what was changed about enterprises and keys, oldest first: when, by whom, what."""
    with open_spool(load_config(file)) as spool:
        lines = [(one.at, one.event, msgspec.json.decode(one.detail, type=Act)) for one in spool.history(UID)]
    if as_json:
        for at, event, act in lines:
            emit({"at": at, "event": event, **msgspec.to_builtins(act)})
    else:
        tables.table(
            ("when", "what", "of", "changed", "by"),
            (
                (instant(at), event, one.enterprise or one.key, " ".join(one.changed), one.by)
                for at, event, one in lines
            ),
        )


def _public(config: Config) -> VerifierKey:
    """Load the node's key; makes one when there is none, and journals that as the user's act. Raises ConfigError."""
    made = config.journal.key_file is None and not key_file(config).exists()
    with as_owner_of(key_file(config).parent):
        public = node_key(config).public
    if made:
        tell_journal(config, "journal.key_made", Act(by=who(), key=str(public)))
    return public


def _known(config: Config) -> tuple[VerifierKey, ...]:
    _public(config)
    with as_owner_of(key_file(config).parent):
        return known_keys(config)


def _show(public: VerifierKey, *, as_json: bool) -> None:
    if as_json:
        emit({"name": public.name, "key": str(public)})
    else:
        echo(str(public))
