"""A spool made of parts: each call goes to the part that answers it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

from spool import store

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


@dataclass(eq=False, kw_only=True)
class ComposedSpool:
    """`spool.store.Spool` of any parts; they share the backend's database."""

    intake: store.SpoolIntake
    outbox: store.SpoolOutbox
    receipts: store.SpoolReceipts
    inbox: store.SpoolInbox
    reading: store.SpoolReading
    measures: store.SpoolMeasures
    overdues: store.SpoolOverdues
    counts: store.SpoolCounts
    parcels: store.SpoolParcels
    allowances: store.SpoolAllowances
    retention: store.SpoolRetention
    log: store.SpoolLog
    registers: store.SpoolRegisters
    imported: store.SpoolImports
    upkeep: store.SpoolUpkeep

    put = _of("intake", store.SpoolIntake.put)
    judge = _of("intake", store.SpoolIntake.judge)
    taken = _of("intake", store.SpoolIntake.taken)
    mark = _of("intake", store.SpoolIntake.mark)

    claim = _of("outbox", store.SpoolOutbox.claim)
    settle = _of("outbox", store.SpoolOutbox.settle)
    recover = _of("outbox", store.SpoolOutbox.recover)
    leave = _of("outbox", store.SpoolOutbox.leave)
    repair_clock = _of("outbox", store.SpoolOutbox.repair_clock)
    act = _of("outbox", store.SpoolOutbox.act)
    next_due = _of("outbox", store.SpoolOutbox.next_due)

    keep = _of("receipts", store.SpoolReceipts.keep)
    unfiled = _of("receipts", store.SpoolReceipts.unfiled)
    arrival = _of("receipts", store.SpoolReceipts.arrival)
    find = _of("receipts", store.SpoolReceipts.find)
    carriers = _of("receipts", store.SpoolReceipts.carriers)
    travelled = _of("receipts", store.SpoolReceipts.travelled)
    file = _of("receipts", store.SpoolReceipts.file)
    orphans = _of("receipts", store.SpoolReceipts.orphans)
    orphans_after = _of("receipts", store.SpoolReceipts.orphans_after)

    notices = _of("inbox", store.SpoolInbox.notices)
    answered_besides = _of("inbox", store.SpoolInbox.answered_besides)
    newest_notices = _of("inbox", store.SpoolInbox.newest_notices)
    filed_for = _of("inbox", store.SpoolInbox.filed_for)
    addressed = _of("inbox", store.SpoolInbox.addressed)
    unread = _of("inbox", store.SpoolInbox.unread)
    acknowledge = _of("inbox", store.SpoolInbox.acknowledge)
    acknowledged = _of("inbox", store.SpoolInbox.acknowledged)

    message = _of("reading", store.SpoolReading.message)
    ways = _of("reading", store.SpoolReading.ways)
    body = _of("reading", store.SpoolReading.body)
    timeline = _of("reading", store.SpoolReading.timeline)
    timelines = _of("reading", store.SpoolReading.timelines)
    about = _of("reading", store.SpoolReading.about)
    search = _of("reading", store.SpoolReading.search)
    beginning = _of("reading", store.SpoolReading.beginning)
    entries = _of("reading", store.SpoolReading.entries)
    depths = _of("reading", store.SpoolReading.depths)
    groups = _of("reading", store.SpoolReading.groups)
    history = _of("reading", store.SpoolReading.history)

    backlog = _of("measures", store.SpoolMeasures.backlog)
    needed = _of("measures", store.SpoolMeasures.needed)
    waiting = _of("measures", store.SpoolMeasures.waiting)
    outstanding = _of("measures", store.SpoolMeasures.outstanding)

    silent = _of("overdues", store.SpoolOverdues.silent)
    set_overdue = _of("overdues", store.SpoolOverdues.set_overdue)
    overdue = _of("overdues", store.SpoolOverdues.overdue)
    end_overdue = _of("overdues", store.SpoolOverdues.end_overdue)

    add_tallies = _of("counts", store.SpoolCounts.add_tallies)
    replace_tallies = _of("counts", store.SpoolCounts.replace_tallies)
    tallies = _of("counts", store.SpoolCounts.tallies)

    linked = _of("parcels", store.SpoolParcels.linked)
    beside = _of("parcels", store.SpoolParcels.beside)
    links_of = _of("parcels", store.SpoolParcels.links_of)
    versions_since = _of("parcels", store.SpoolParcels.versions_since)
    unreported = _of("parcels", store.SpoolParcels.unreported)
    set_reported = _of("parcels", store.SpoolParcels.set_reported)

    newest_answer = _of("allowances", store.SpoolAllowances.newest_answer)
    answered = _of("allowances", store.SpoolAllowances.answered)
    set_allowances = _of("allowances", store.SpoolAllowances.set_allowances)
    allowance = _of("allowances", store.SpoolAllowances.allowance)
    forget_allowances = _of("allowances", store.SpoolAllowances.forget_allowances)

    old = _of("retention", store.SpoolRetention.old)
    export = _of("retention", store.SpoolRetention.export)
    purge = _of("retention", store.SpoolRetention.purge)

    seal = _of("log", store.SpoolLog.seal)
    unsealed = _of("log", store.SpoolLog.unsealed)
    tile = _of("log", store.SpoolLog.tile)
    checkpoint = _of("log", store.SpoolLog.checkpoint)
    checkpoints = _of("log", store.SpoolLog.checkpoints)
    places = _of("log", store.SpoolLog.places)
    leaves = _of("log", store.SpoolLog.leaves)
    lines = _of("log", store.SpoolLog.lines)

    replace_register = _of("registers", store.SpoolRegisters.replace_register)
    drop_register = _of("registers", store.SpoolRegisters.drop_register)
    register_versions = _of("registers", store.SpoolRegisters.register_versions)
    register = _of("registers", store.SpoolRegisters.register)
    register_body = _of("registers", store.SpoolRegisters.register_body)

    begin_import = _of("imported", store.SpoolImports.begin_import)
    add_import_chunk = _of("imported", store.SpoolImports.add_import_chunk)
    finish_import = _of("imported", store.SpoolImports.finish_import)
    claim_import = _of("imported", store.SpoolImports.claim_import)
    renew_import = _of("imported", store.SpoolImports.renew_import)
    release_import = _of("imported", store.SpoolImports.release_import)
    cancel_import = _of("imported", store.SpoolImports.cancel_import)
    drop_import = _of("imported", store.SpoolImports.drop_import)
    stale_imports = _of("imported", store.SpoolImports.stale_imports)
    open_imports = _of("imported", store.SpoolImports.open_imports)
    active_imports = _of("imported", store.SpoolImports.active_imports)
    imports = _of("imported", store.SpoolImports.imports)
    import_job = _of("imported", store.SpoolImports.import_job)
    import_parts = _of("imported", store.SpoolImports.import_parts)
    import_refusals = _of("imported", store.SpoolImports.import_refusals)
    import_source = _of("imported", store.SpoolImports.import_source)

    tidy = _of("upkeep", store.SpoolUpkeep.tidy)
    reserve = _of("upkeep", store.SpoolUpkeep.reserve)
    pass_on = _of("upkeep", store.SpoolUpkeep.pass_on)
    held_up = _of("upkeep", store.SpoolUpkeep.held_up)
    listen = _of("upkeep", store.SpoolUpkeep.listen)
    close = _of("upkeep", store.SpoolUpkeep.close)
