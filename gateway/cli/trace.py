"""`gateway trace`: shows the whole history of a message, and what it waits for."""

from dataclasses import replace
from pathlib import Path

import click

from gateway.cli.failure import NOT_IN_ORDER, say
from gateway.cli.id_prefixes import begun
from gateway.cli.message_history import (
    MessageHistory,
    archived_histories,
    detail_text,
    emit_history,
    history_of,
    tell_history,
    with_advice,
)
from gateway.cli.open_spool import enterprises_of, open_spool, rules_of
from gateway.cli.options import config_option, json_option
from gateway.cli.output import emit, instant
from gateway.cli.parcel_history import emit_parcel, parcel_history, seeds_of, tell_parcel
from gateway.cli.terminal import echo
from gateway.config.gateway_toml import Config, load_config
from gateway.facts import message_facts
from gateway.keys.backlog import key_backlogs
from gateway.parcels.reading import reader_of
from spool.entry import JournalLine, Orphan
from spool.lifecycle import State
from spool.store import Spool


@click.command()
@click.argument("key")
@config_option
@json_option
def trace(key: str, file: Path, as_json: bool) -> None:
    """Tell everything about KEY: a message, a declaration, a receipt, a CopMsgId, a parcel.

    KEY may be the id of a message, a CopMsgId (ours, or that of a receipt's envelope), the number of a
    receipt, a declaration as `CEB621Message agentCode=X copNo=Y`, a bare value such as an order number, or so much
    of the beginning of the id as is like no other's, 4 characters at least. Of the number of an order, a waybill or
    an inventory all documents of its parcel are told, and whether they agree.
    Exit code 1: nothing is known of it.
    """
    config = load_config(file)
    rules = rules_of(config)
    with open_spool(config) as spool:
        reader = reader_of(spool, rules, config.matching)
        seeds = seeds_of(reader, spool, key)
        uids = (
            spool.search(key)
            or _of_receipt(spool, key, config)
            or list(dict.fromkeys(one.uid for one in seeds))
            or begun(spool, key)
        )
        lives = [life for uid in uids if (life := history_of(spool, uid, rules)) is not None]
        lives = _with_queues(lives, config, spool)
        lives = [with_advice(life, config, spool, rules) for life in lives]
        lives += archived_histories(config, key, rules, besides=frozenset(uids))
        orphans = [] if lives else spool.orphans(texts=[key])
        passed = [] if lives or orphans else list(spool.history(key))
        parcel = parcel_history(reader, seeds)
    for life in lives:
        emit_history(life) if as_json else tell_history(life)
    if parcel:
        emit_parcel(parcel) if as_json else tell_parcel(parcel)
    for orphan in orphans:
        _emit_orphan(orphan) if as_json else _tell_orphan(orphan)
    for one in passed:
        _emit_passed(one) if as_json else _tell_passed(one)
    if not lives and not orphans and not passed:
        say("error", f"nothing is known of {key}", fix="`gateway spool list` and `gateway receipts list`")
        click.get_current_context().exit(NOT_IN_ORDER)


def _with_queues(lives: list[MessageHistory], config: Config, spool: Spool) -> list[MessageHistory]:
    """Add to messages that wait for a device the queue they wait in."""
    queues = {one.key: one for one in key_backlogs(config, spool)}
    if not queues:
        return lives
    return [replace(life, queue=queues.get(_needs(life, config))) for life in lives]


def _needs(life: MessageHistory, config: Config) -> str:
    known = message_facts(life.view.facts)
    if life.view.state is not State.READY or known.signed or known.wrapped:
        return ""
    return known.key_name or config.signing.default_key


def _of_receipt(spool: Spool, key: str, config: Config) -> list[str]:
    """Return the messages whose declarations receipt KEY answers; empty if KEY is no receipt number."""
    if not (key.isascii() and key.isdigit()) or len(key) > 18:  # noqa: PLR2004 (fits 63 bits)
        return []
    identities = {
        row.identity for owner in enterprises_of(config) for row in spool.filed_for(owner, int(key))
    }
    return list(dict.fromkeys(uid for identity in sorted(identities) for uid in spool.search(identity)))


def _emit_passed(one: JournalLine) -> None:
    emit({"cop_msg_id": one.uid, "at": one.at, "event": one.event, "detail": one.detail})


def _tell_passed(one: JournalLine) -> None:
    """Print a journal line of something received that belongs to no message here: mail, or with no receiver."""
    echo(f"{instant(one.at)}  {one.event}  {detail_text(one)}".rstrip())


def _emit_orphan(orphan: Orphan) -> None:
    emit(
        {"orphan": orphan.id, "receipt": orphan.arrival, "message_type": orphan.kind, "reason": orphan.reason}
    )


def _tell_orphan(orphan: Orphan) -> None:
    echo(
        f"{orphan.kind} in receipt {orphan.arrival}, {instant(orphan.received_at)}: "
        f"an answer nobody was found for ({orphan.reason})"
    )
