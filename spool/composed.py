"""A spool made of parts: each call goes to the part that answers it."""

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from spool.store import (
    Inbox,
    Intake,
    Log,
    Measures,
    Outbox,
    Overdues,
    Reading,
    Receipts,
    Retention,
    Upkeep,
)

P = ParamSpec("P")
R = TypeVar("R")


def _of(part: str, method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Return a method that calls the one of the same name of a part."""
    name = method.__name__

    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        result: R = getattr(getattr(self, part), name)(*args, **kwargs)
        return result

    call.__name__, call.__doc__ = name, method.__doc__
    return call


class ComposedSpool:
    """`spool.store.Spool` of any parts; they share the backend's database."""

    def __init__(
        self,
        *,
        intake: Intake,
        outbox: Outbox,
        receipts: Receipts,
        inbox: Inbox,
        reading: Reading,
        measures: Measures,
        overdues: Overdues,
        retention: Retention,
        log: Log,
        upkeep: Upkeep,
    ) -> None:
        self.intake = intake
        self.outbox = outbox
        self.receipts = receipts
        self.inbox = inbox
        self.reading = reading
        self.measures = measures
        self.overdues = overdues
        self.retention = retention
        self.log = log
        self.upkeep = upkeep

    put = _of("intake", Intake.put)
    taken = _of("intake", Intake.taken)
    mark = _of("intake", Intake.mark)

    claim = _of("outbox", Outbox.claim)
    settle = _of("outbox", Outbox.settle)
    recover = _of("outbox", Outbox.recover)
    leave = _of("outbox", Outbox.leave)
    repair_clock = _of("outbox", Outbox.repair_clock)
    act = _of("outbox", Outbox.act)
    next_due = _of("outbox", Outbox.next_due)

    keep = _of("receipts", Receipts.keep)
    unfiled = _of("receipts", Receipts.unfiled)
    arrival = _of("receipts", Receipts.arrival)
    find = _of("receipts", Receipts.find)
    carriers = _of("receipts", Receipts.carriers)
    travelled = _of("receipts", Receipts.travelled)
    file = _of("receipts", Receipts.file)
    orphans = _of("receipts", Receipts.orphans)
    orphans_after = _of("receipts", Receipts.orphans_after)

    notices = _of("inbox", Inbox.notices)
    newest_notices = _of("inbox", Inbox.newest_notices)
    filed_for = _of("inbox", Inbox.filed_for)
    addressed = _of("inbox", Inbox.addressed)
    unread = _of("inbox", Inbox.unread)
    acknowledge = _of("inbox", Inbox.acknowledge)
    acknowledged = _of("inbox", Inbox.acknowledged)

    message = _of("reading", Reading.message)
    ways = _of("reading", Reading.ways)
    body = _of("reading", Reading.body)
    timeline = _of("reading", Reading.timeline)
    about = _of("reading", Reading.about)
    search = _of("reading", Reading.search)
    beginning = _of("reading", Reading.beginning)
    entries = _of("reading", Reading.entries)
    depths = _of("reading", Reading.depths)
    groups = _of("reading", Reading.groups)
    history = _of("reading", Reading.history)

    backlog = _of("measures", Measures.backlog)
    needed = _of("measures", Measures.needed)
    waiting = _of("measures", Measures.waiting)
    outstanding = _of("measures", Measures.outstanding)

    silent = _of("overdues", Overdues.silent)
    set_overdue = _of("overdues", Overdues.set_overdue)
    overdue = _of("overdues", Overdues.overdue)
    end_overdue = _of("overdues", Overdues.end_overdue)

    old = _of("retention", Retention.old)
    export = _of("retention", Retention.export)
    purge = _of("retention", Retention.purge)

    seal = _of("log", Log.seal)
    unsealed = _of("log", Log.unsealed)
    tile = _of("log", Log.tile)
    checkpoint = _of("log", Log.checkpoint)
    checkpoints = _of("log", Log.checkpoints)
    places = _of("log", Log.places)
    leaves = _of("log", Log.leaves)
    lines = _of("log", Log.lines)

    tidy = _of("upkeep", Upkeep.tidy)
    reserve = _of("upkeep", Upkeep.reserve)
    pass_on = _of("upkeep", Upkeep.pass_on)
    held_up = _of("upkeep", Upkeep.held_up)
    listen = _of("upkeep", Upkeep.listen)
    close = _of("upkeep", Upkeep.close)
