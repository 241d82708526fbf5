"""`gateway spool`: shows the entries of the spool, and lets the operator act on them."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from gateway.cli import groups, tables
from gateway.cli.failure import NOT_IN_ORDER, say
from gateway.cli.id_prefixes import begun
from gateway.cli.message_history import (
    archived_histories,
    emit_history,
    history_of,
    tell_history,
    with_advice,
)
from gateway.cli.open_spool import open_spool, rules_of, spool_of
from gateway.cli.options import config_option, json_option
from gateway.cli.output import emit, instant
from gateway.cli.selection import OPEN, Selection, filter_options, selection
from gateway.cli.terminal import echo
from gateway.config.gateway_toml import load_config
from gateway.errors import ConfigError
from gateway.imports.facts import findings_of
from gateway.imports.views import import_view
from gateway.upkeep.retention import archive_dir, retention
from gateway.views.api import status_view
from spool.entry import AGE_CLASSES, Depth, MessageView
from spool.lifecycle import NEXT, Event, State, after
from spool.store import Spool

F = TypeVar("F", bound=Callable[..., Any])
_FEW: Final = 20
"""Up to so many entries `list` shows each by itself, beyond that in groups."""


@click.group()
def spool() -> None:
    """Look at the spool and act on what is in it."""


@spool.command()
@config_option
@json_option
def status(file: Path, as_json: bool) -> None:
    """Show how many entries each destination has, by state and age since acceptance, and what is wrong with them."""
    config = load_config(file)
    with open_spool(config) as opened:
        counts = _count(opened.depths())
        found = opened.groups(each=groups.EACH)
    for destination in config.destination:
        if not any(known == destination.name for known, _ in counts):
            counts[destination.name, State.READY] = {}
    rows = sorted(counts.items())
    if as_json:
        for (destination_name, state), ages in rows:
            emit(
                {
                    "destination": destination_name,
                    "state": state,
                    "total": sum(ages.values()),
                    "ages": {name: ages.get(age, 0) for age, name in AGE_CLASSES.items()},
                    "errors": [
                        groups.view(one)
                        for one in found
                        if (one.destination, one.state) == (destination_name, state) and one.error
                    ],
                }
            )
        return
    columns = ("destination", "state", "total", *AGE_CLASSES.values())
    tables.table(
        columns,
        (
            (name, state, str(sum(ages.values())), *(str(ages.get(age, 0)) for age in AGE_CLASSES))
            for (name, state), ages in rows
        ),
        right=columns[2:],
        whole=columns,
    )
    groups.tell_errors(found)


def _count(depths: Sequence[Depth]) -> dict[tuple[str, State], dict[int, int]]:
    counts: dict[tuple[str, State], dict[int, int]] = defaultdict(dict)
    for depth in depths:
        counts[depth.destination, depth.state][depth.age_s] = depth.entries
    return counts


@spool.command("list")
@filter_options
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many.")
@click.option(
    "--after",
    type=click.IntRange(0),
    default=0,
    metavar="ENTRY",
    help="Go on after this entry, the last one shown.",
)
@config_option
@json_option
def list_(file: Path, as_json: bool, limit: int, after: int, **filters: Any) -> None:
    """List entries, oldest first; without --state those that still need somebody.

    Where they are many and go to no one destination, those of one destination, state and error are one paragraph: how many,
    the oldest, and the command that lists them all. --json always lists entries.
    """
    chosen = selection(**filters)
    with spool_of(file) as opened:
        among = tuple(State) if chosen.states else OPEN
        if not (as_json or after or chosen.destination) and set(chosen.states or among) <= set(OPEN):
            found_groups = opened.groups(chosen.wanted(chosen.states or among), each=groups.EACH)
            if sum(one.entries for one in found_groups) > _FEW:
                groups.tell_groups(found_groups, file)
                return
        found = chosen.entries(opened, among=among, after=after, limit=limit)
    if len(found) == limit:
        say("note", f"there may be more: --after {found[-1].entry}")
    if as_json:
        for view in found:
            emit(_summary(view))
        return
    tables.table(
        ("id", "enterprise", "type", "destination", "state", "accepted", "attempts", "next attempt", "error"),
        (
            (
                view.uid,
                view.owner,
                view.kind,
                view.destination,
                view.state,
                instant(view.accepted_at),
                str(view.attempts),
                instant(view.due_at) if view.state is State.READY else "",
                view.error,
            )
            for view in found
        ),
        right=("attempts",),
        whole=("id", "destination", "state", "accepted", "next attempt"),
    )


@spool.command()
@click.argument("uid", metavar="ID")
@config_option
@json_option
def show(uid: str, file: Path, as_json: bool) -> None:
    """Show one message, its entries and what happened to it, archived ones too.

    ID may be its CopMsgId, or so much of the beginning of its id as is like no other's, 4 characters at least.
    """
    config = load_config(file)
    rules = rules_of(config)
    with open_spool(config) as opened:
        uids = opened.search(uid) or begun(opened, uid)
        lives = [life for one in uids if (life := history_of(opened, one, rules)) is not None]
        lives = [with_advice(life, config, opened, rules) for life in lives]
    lives += [] if lives else archived_histories(config, uid, rules)
    if len(lives) != 1:
        what = f"{len(lives)} messages are meant by {uid}" if lives else f"there is no message {uid}"
        say("error", what, fix="give the id of one: `gateway spool list` and `gateway trace` show them")
        click.get_current_context().exit(NOT_IN_ORDER)
    emit_history(lives[0]) if as_json else tell_history(lives[0])


def _summary(view: MessageView) -> dict[str, object]:
    known = status_view(view)
    return {
        "id": known.id,
        "entry": view.entry,
        "enterprise": view.owner,
        "message_type": known.message_type,
        "edition": known.edition,
        "sha256": known.sha256,
        "accepted_at": known.accepted_at,
        "destination": known.destination,
        "cop_msg_id": known.cop_msg_id,
        "state": known.state,
        "attempts": known.attempts,
        "next_attempt_at": known.next_attempt_at,
        "waits_for": known.waits_for,
        "error": view.error,
        "sent_at": known.sent_at,
        "sent_sha256": view.sent_sha256.hex(),
    }


def _acting(command: F) -> F:
    """Add the arguments of every command that changes entries: ids, or --all with filters."""
    options = (
        click.argument("uids", metavar="[ID…]", nargs=-1),
        click.option("--all", "everything", is_flag=True, help="All that the filters let pass."),
        filter_options,
        click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing."),
        config_option,
        json_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


@spool.command()
@_acting
def retry(**given: Any) -> None:
    """Try again now: dead letters, and entries that wait for their next attempt."""
    _act(Event.RETRIED, **given)


@spool.command()
@_acting
def hold(**given: Any) -> None:
    """Keep back what is ready to go."""
    _act(Event.HELD, **given)


@spool.command()
@_acting
def release(**given: Any) -> None:
    """Let go what is held."""
    _act(Event.RELEASED, **given)


@spool.command()
@click.option("--reason", required=True, help="Why; it is kept in the journal.")
@_acting
def discard(reason: str, **given: Any) -> None:
    """Give messages up for good. The bytes and the history stay; with --all a filter is required."""
    _act(Event.DISCARDED, reason=reason, **given)


@spool.command()
@click.option("--days", type=click.IntRange(1), help="In place of retention.days.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@config_option
@json_option
def purge(file: Path, days: int | None, dry_run: bool, as_json: bool) -> None:
    """Archive what is over for retention.days and take it out of the spool, now.

    Over is a message that is sent or discarded, and about which nothing happened for so long; every answer
    about it has been acknowledged. `gateway trace` still finds it. The keep role does the same by itself.
    """
    config = load_config(file)
    if not config.retention.days and days is None:
        raise ConfigError(
            "retention.days is 0: everything is kept", where=str(file), fix="set it, or give --days N"
        )
    count, more = 0, True
    with open_spool(config) as opened:
        moving = retention(config, opened, days=days)
        while more:
            batch = moving.step(dry_run=dry_run)
            more = batch.more
            for uid in batch.found if dry_run else batch.purged:
                count += 1
                emit({"id": uid, "done": not dry_run}) if as_json else echo(uid)
    into = f" into {archive_dir(config)}" if count and not dry_run else ""
    say("note", f"{count} {'would be ' if dry_run else ''}archived and purged{into}")


@spool.command()
@click.option("--enterprise", "owner", metavar="ID", help="Only those of this enterprise.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many.")
@config_option
@json_option
def imports(file: Path, owner: str | None, limit: int, as_json: bool) -> None:
    """List imports, the newest first: whose they are, how far they are, what they made and what was refused."""
    with spool_of(file) as opened:
        found = opened.imports(owner, limit=limit)
    if as_json:
        for one in found:
            emit({"enterprise": one.owner, "import": import_view(one)})
        return
    columns = (
        "import",
        "enterprise",
        "state",
        "since",
        "bytes",
        "messages",
        "declarations",
        "refused",
        "problem",
    )
    tables.table(
        columns,
        (
            (
                one.uid, one.owner, one.state.value, instant(one.created_at), str(one.size_bytes), str(one.messages),
                str(one.bodies), str(one.refused), findings_of(one.findings).problem,
            )
            for one in found
        ),
        right=columns[4:8],
        whole=("import", "since"),
    )  # fmt: skip


def _act(
    event: Event,
    *,
    uids: tuple[str, ...],
    everything: bool,
    dry_run: bool,
    file: Path,
    as_json: bool,
    reason: str = "",
    **filters: Any,
) -> None:
    chosen = selection(**filters)
    _check_usage(event, uids, chosen, everything=everything)
    among = [state for state, steps in NEXT.items() if event in steps]
    with spool_of(file) as opened:
        views = _named(opened, uids, event) if uids else chosen.entries(opened, among=among)
        states = {view.entry: after(view.state, event) for view in views}
        if not dry_run and views:
            opened.act(
                event,
                list(dict.fromkeys(view.uid for view in views)),
                reason=reason,
                destination=chosen.destination,
            )
    _tell(views, event, states, dry_run=dry_run, as_json=as_json)


def _check_usage(event: Event, uids: Sequence[str], chosen: Selection, *, everything: bool) -> None:
    if bool(uids) == everything:
        raise click.UsageError("give the ids of messages, or --all")
    if uids and chosen.narrows:
        raise click.UsageError("filters go with --all, not with ids")
    if everything and event is Event.DISCARDED and not chosen.narrows:
        raise click.UsageError("discard --all needs a filter: --state, --destination, --enterprise or --type")


def _named(opened: Spool, uids: Sequence[str], event: Event) -> list[MessageView]:
    """Find every message named; when one is missing, print an error and end the command without any change.

    Of several entries of a message, take those that allow the event; if none does, the first one, whose error says why.
    """
    ways = {uid: _ways(opened, uid) for uid in uids}
    missing = [uid for uid, found in ways.items() if not found]
    if missing:
        say(
            "error",
            f"there is no message {', '.join(missing)}; nothing was changed",
            fix="`gateway spool list`",
        )
        click.get_current_context().exit(NOT_IN_ORDER)
    return [
        way
        for found in ways.values()
        for way in [one for one in found if event in NEXT[one.state]] or found[:1]
    ]


def _ways(opened: Spool, uid: str) -> list[MessageView]:
    return (
        opened.ways(uid)
        or opened.ways(uid.upper())
        or [way for one in begun(opened, uid) for way in opened.ways(one)]
    )


def _tell(
    views: Sequence[MessageView],
    event: Event,
    states: Mapping[int, State],
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    for view in views:
        if as_json:
            emit(
                {
                    "id": view.uid,
                    "event": event,
                    "from": view.state,
                    "to": states[view.entry],
                    "done": not dry_run,
                }
            )
        else:
            echo(f"{view.uid}  {view.state} -> {states[view.entry]}")
    say("note", f"{len(views)} {'would be ' if dry_run else ''}{event}")
