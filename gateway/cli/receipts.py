"""`gateway receipts`: what customs answered, to which enterprise, and the orphans."""

import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import click

from gateway.cli import tables
from gateway.cli.code_meanings import meaning_text
from gateway.cli.failure import NOT_IN_ORDER, say
from gateway.cli.open_spool import enterprises_of, open_spool, rules_of, spool_of
from gateway.cli.options import config_option, json_option, out_option
from gateway.cli.output import deliver, emit, facts, instant
from gateway.cli.terminal import echo
from gateway.config.gateway_toml import load_config
from gateway.config.local_receivers import local_receivers_of
from gateway.errors import EnvelopeError
from gateway.model import Answer, EnterpriseId
from gateway.receipts.filing import ReceiptFiler
from gateway.receipts.learning.known_cures import KnownCures
from gateway.receipts.opened import open_collected
from gateway.receipts.transfer import Transfer
from gateway.rules.loading import Rules
from gateway.submission.mail_limit import bounded
from gateway.views.api import OverdueView, ReceiptView, receipts_view
from gateway.views.standing import standings
from spool.entry import Orphan, RawArrival, Silent
from spool.store import Spool


@click.group()
def receipts() -> None:
    """Look at the answers of customs, matched and not."""


@receipts.command("list")
@click.option("--enterprise", default="", help="Only what is this enterprise's.")
@click.option("--after", type=click.IntRange(0), default=0, help="Only what came after this cursor.")
@click.option(
    "--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many for each."
)
@config_option
@json_option
def list_(enterprise: str, after: int, limit: int, file: Path, as_json: bool) -> None:
    """List receipts as the enterprises see them, oldest first."""
    config = load_config(file)
    rules = rules_of(config)
    known = enterprises_of(config)
    owners = [enterprise] if enterprise else [str(name) for name in known]
    with open_spool(config) as spool:
        cures = KnownCures(spool, rules)
        pages = [
            (
                owner,
                spool.acknowledged(owner),
                receipts_view(
                    spool.notices(owner, after=after, limit=limit), rules.codes, after=after, cures=cures
                ).receipts,
            )
            for owner in owners
        ]
    if as_json:
        for owner, read, page in pages:
            for one in page:
                emit(_view(owner, one, acknowledged=one.cursor <= read))
        return
    columns = (
        "cursor",
        "receipt",
        "enterprise",
        "type",
        "received",
        "status",
        "meaning",
        "declaration",
        "read",
    )
    tables.table(
        columns,
        (
            row
            for owner, read, page in pages
            for one in page
            for row in _rows(owner, one, acknowledged=one.cursor <= read)
        ),
        right=("cursor", "receipt"),
    )


def _view(owner: str, one: ReceiptView, *, acknowledged: bool) -> dict[str, object]:
    return {
        "cursor": one.cursor,
        "id": one.id,
        "enterprise": owner,
        "message_type": one.message_type,
        "received_at": one.received_at,
        "acknowledged": acknowledged,
        "bodies": [
            {
                "index": body.index,
                "layer": body.layer,
                "status": body.status,
                "meaning": body.meaning,
                "time": body.time,
                "info": body.info,
                "declarations": body.declarations,
            }
            for body in one.bodies
        ],
    }


def _rows(owner: str, one: ReceiptView, *, acknowledged: bool) -> list[tuple[str, ...]]:
    told = [
        (
            body.status,
            meaning_text(body.meaning),
            " ".join((declaration.type, *(f"{name}={value}" for name, value in declaration.key.items()))),
        )
        for body in one.bodies
        for declaration in body.declarations
    ]
    head = (str(one.cursor), one.id, owner, one.message_type, instant(one.received_at))
    read = "yes" if acknowledged else "no"
    return [(*head, *row, read) for row in told or [("", "a message addressed to it", "")]]


@receipts.command()
@click.argument("number", metavar="ID", type=click.IntRange(1))
@click.option("--content", is_flag=True, help="The bytes as they came, and nothing else.")
@out_option
@config_option
@json_option
def show(number: int, content: bool, out: Path | None, file: Path, as_json: bool) -> None:
    """Show one receipt as it came, with every answer in it, whosesoever they are."""
    config = load_config(file)
    with open_spool(config) as spool:
        raw = spool.arrival(number)
    if raw is None:
        say("error", f"there is no receipt {number}", fix="`gateway receipts list` and `… orphans` name them")
        click.get_current_context().exit(NOT_IN_ORDER)
    if content or out is not None:
        deliver(raw.body, out)
        return
    kind, answers, error = _opened(raw, rules_of(config))
    if as_json:
        told = [
            {"index": one.index, "layer": one.layer, "status": one.status, "time": one.time, "info": one.info,
             "key": one.key, "numbers": one.numbers, "cop_msg_id": one.cop_msg_id}
            for one in answers
        ]  # fmt: skip
        emit(
            {
                "id": raw.id, "feed": raw.feed, "name": raw.name, "received_at": raw.received_at,
                "size_bytes": len(raw.body), "message_type": kind, "error": error, "answers": told,
            }
        )  # fmt: skip
        return
    facts(
        {
            "receipt": str(raw.id),
            "type": kind,
            "came from": raw.feed,
            "under the name": raw.name,
            "received": instant(raw.received_at),
            "bytes": str(len(raw.body)),
            "cannot be read": error,
        }
    )
    for one in answers:
        key = " ".join(f"{name}={value}" for name, value in {**one.key, **one.numbers}.items())
        echo(f"  {one.index}  {one.time}  {one.status}  {key or one.cop_msg_id}  {one.info}")


def _opened(raw: RawArrival, rules: Rules) -> tuple[str, tuple[Answer, ...], str]:
    try:
        opened = open_collected(raw.body, rules.catalogue)
    except EnvelopeError as error:
        return "", (), str(error)
    return opened.message_type, opened.answers, ""


@receipts.command()
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="At most so many.")
@config_option
@json_option
def orphans(limit: int, file: Path, as_json: bool) -> None:
    """List answers nobody was found for, and what could not be read at all."""
    with spool_of(file) as spool:
        found = spool.orphans(limit=limit)
    if as_json:
        for one in found:
            emit(
                {
                    "id": one.id, "receipt": one.arrival, "index": one.index, "message_type": one.kind,
                    "reason": one.reason, "feed": one.feed, "name": one.name, "received_at": one.received_at,
                }
            )  # fmt: skip
        return
    tables.table(
        ("orphan", "receipt", "body", "type", "received", "came from", "name", "reason"),
        (
            (
                str(one.id),
                str(one.arrival),
                str(one.index) if one.index >= 0 else "",
                one.kind,
                instant(one.received_at),
                one.feed,
                one.name,
                one.reason,
            )
            for one in found
        ),
        right=("orphan", "receipt", "body"),
    )


@receipts.command()
@click.option("--enterprise", default="", help="Only what is this enterprise's.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="At most so many.")
@config_option
@json_option
def overdue(enterprise: str, limit: int, file: Path, as_json: bool) -> None:
    """List declarations whose answer has been waited for longer than usual, those accepted first first.

    What is usual: mappings/patience.toml, and [[patience]] in gateway.toml. The keeper finds them; what has been
    answered since is left out.
    """
    config = load_config(file)
    rules = rules_of(config)
    with open_spool(config) as spool:
        found = list(islice(_still_overdue(spool, rules, enterprise), limit))
    if as_json:
        for one, late in found:
            emit(
                {
                    "enterprise": one.owner, "message_type": one.kind, "declaration": one.identity,
                    "message": one.uid, "destination": one.destination, "layer": late.layer,
                    "sent_at": one.sent_at, "overdue_since": late.since, "usual_s": late.usual_s,
                }
            )  # fmt: skip
        return
    tables.table(
        ("overdue since", "layer", "enterprise", "declaration", "message", "sent", "destination"),
        (
            (
                instant(late.since),
                late.layer,
                one.owner,
                one.identity,
                one.uid,
                instant(one.sent_at),
                one.destination,
            )
            for one, late in found
        ),
    )


def _still_overdue(spool: Spool, rules: Rules, owner: str) -> Iterator[tuple[Silent, OverdueView]]:
    """Yield the recorded overdue declarations that are still overdue, each with details."""
    after, now = 0, datetime.now(UTC)
    while page := spool.overdue(after=after, limit=500):
        after = page[-1].message
        for one in page:
            if owner in {"", one.owner}:
                for stands in standings(spool, rules, one.owner, one.identity, now):
                    yield from ((one, late) for late in stands.overdue if late.layer == one.layer)


@receipts.command()
@click.argument("numbers", metavar="[ORPHAN]…", nargs=-1, type=click.IntRange(1))
@click.option(
    "--enterprise",
    default="",
    help="Of several enterprises that such an answer may be for, it is this one's: you decide. Names ORPHANs.",
)
@config_option
@json_option
def rematch(numbers: tuple[int, ...], enterprise: str, file: Path, as_json: bool) -> None:
    """Try orphans again with what is known by now: all, or those with these numbers.

    The gateway does so by itself when something comes that they wait for. With --enterprise an answer that is
    ambiguous goes to that enterprise if it declared what the answer is about; what contradicts it, or is addressed to
    a DXP id under which it did not declare, stays an orphan.
    Exit code 1: one of the numbers is no orphan.
    """
    config = load_config(file)
    rules = rules_of(config)
    known = enterprises_of(config)
    if enterprise and not numbers:
        raise click.UsageError("--enterprise needs the numbers of orphans, see `gateway receipts orphans`")
    if enterprise and EnterpriseId(enterprise) not in known:
        raise click.BadParameter(f"there is no enterprise {enterprise}", param_hint="--enterprise")
    with open_spool(config) as spool, redirect_stdout(sys.stderr):  # filing logs on stdout
        transfer = Transfer(local_receivers=bounded(local_receivers_of(known.values()), spool), config=config)
        filer = ReceiptFiler(spool=spool, rules=rules, config=config, transfer=transfer)
        tried, matched = 0, 0
        for page in _pages(spool, numbers):
            tried += len(page)
            matched += filer.rematch(page, only=enterprise)
    if as_json:
        emit({"orphans": tried, "matched": matched})
    else:
        echo(f"{matched} of {tried} orphans found their owner")
    if tried < len(set(numbers)):
        say(
            "error",
            f"{len(set(numbers)) - tried} of these numbers are no orphans",
            fix="`gateway receipts orphans`",
        )
        click.get_current_context().exit(NOT_IN_ORDER)


def _pages(spool: Spool, numbers: tuple[int, ...]) -> Iterator[list[Orphan]]:
    """Yield the orphans with these numbers, or all, in pages."""
    if numbers:
        yield [
            one
            for number in set(numbers)
            for one in spool.orphans_after(number - 1, limit=1)
            if one.id == number
        ]
        return
    after = 0
    while page := spool.orphans_after(after, limit=500):
        after = page[-1].id
        yield page
