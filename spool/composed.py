"""A spool made of parts: each call goes to the part that answers it."""

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from spool.store import (
    SpoolInbox,
    SpoolIntake,
    SpoolLog,
    SpoolMeasures,
    SpoolOutbox,
    SpoolOverdues,
    SpoolReading,
    SpoolReceipts,
    SpoolRetention,
    SpoolUpkeep,
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
        intake: SpoolIntake,
        outbox: SpoolOutbox,
        receipts: SpoolReceipts,
        inbox: SpoolInbox,
        reading: SpoolReading,
        measures: SpoolMeasures,
        overdues: SpoolOverdues,
        retention: SpoolRetention,
        log: SpoolLog,
        upkeep: SpoolUpkeep,
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

    put = _of("intake", SpoolIntake.put)
    taken = _of("intake", SpoolIntake.taken)
    mark = _of("intake", SpoolIntake.mark)

    claim = _of("outbox", SpoolOutbox.claim)
    settle = _of("outbox", SpoolOutbox.settle)
    recover = _of("outbox", SpoolOutbox.recover)
    leave = _of("outbox", SpoolOutbox.leave)
    repair_clock = _of("outbox", SpoolOutbox.repair_clock)
    act = _of("outbox", SpoolOutbox.act)
    next_due = _of("outbox", SpoolOutbox.next_due)

    keep = _of("receipts", SpoolReceipts.keep)
    unfiled = _of("receipts", SpoolReceipts.unfiled)
    arrival = _of("receipts", SpoolReceipts.arrival)
    find = _of("receipts", SpoolReceipts.find)
    carriers = _of("receipts", SpoolReceipts.carriers)
    travelled = _of("receipts", SpoolReceipts.travelled)
    file = _of("receipts", SpoolReceipts.file)
    orphans = _of("receipts", SpoolReceipts.orphans)
    orphans_after = _of("receipts", SpoolReceipts.orphans_after)

    notices = _of("inbox", SpoolInbox.notices)
    newest_notices = _of("inbox", SpoolInbox.newest_notices)
    filed_for = _of("inbox", SpoolInbox.filed_for)
    addressed = _of("inbox", SpoolInbox.addressed)
    unread = _of("inbox", SpoolInbox.unread)
    acknowledge = _of("inbox", SpoolInbox.acknowledge)
    acknowledged = _of("inbox", SpoolInbox.acknowledged)

    message = _of("reading", SpoolReading.message)
    ways = _of("reading", SpoolReading.ways)
    body = _of("reading", SpoolReading.body)
    timeline = _of("reading", SpoolReading.timeline)
    about = _of("reading", SpoolReading.about)
    search = _of("reading", SpoolReading.search)
    beginning = _of("reading", SpoolReading.beginning)
    entries = _of("reading", SpoolReading.entries)
    depths = _of("reading", SpoolReading.depths)
    groups = _of("reading", SpoolReading.groups)
    history = _of("reading", SpoolReading.history)

    backlog = _of("measures", SpoolMeasures.backlog)
    needed = _of("measures", SpoolMeasures.needed)
    waiting = _of("measures", SpoolMeasures.waiting)
    outstanding = _of("measures", SpoolMeasures.outstanding)

    silent = _of("overdues", SpoolOverdues.silent)
    set_overdue = _of("overdues", SpoolOverdues.set_overdue)
    overdue = _of("overdues", SpoolOverdues.overdue)
    end_overdue = _of("overdues", SpoolOverdues.end_overdue)

    old = _of("retention", SpoolRetention.old)
    export = _of("retention", SpoolRetention.export)
    purge = _of("retention", SpoolRetention.purge)

    seal = _of("log", SpoolLog.seal)
    unsealed = _of("log", SpoolLog.unsealed)
    tile = _of("log", SpoolLog.tile)
    checkpoint = _of("log", SpoolLog.checkpoint)
    checkpoints = _of("log", SpoolLog.checkpoints)
    places = _of("log", SpoolLog.places)
    leaves = _of("log", SpoolLog.leaves)
    lines = _of("log", SpoolLog.lines)

    tidy = _of("upkeep", SpoolUpkeep.tidy)
    reserve = _of("upkeep", SpoolUpkeep.reserve)
    pass_on = _of("upkeep", SpoolUpkeep.pass_on)
    held_up = _of("upkeep", SpoolUpkeep.held_up)
    listen = _of("upkeep", SpoolUpkeep.listen)
    close = _of("upkeep", SpoolUpkeep.close)
