"""`python -m tests.crash.node FAULTS [--log=LOG] run -c FILE`: the gateway as it is, whose ports a test can trip.

With LOG its stdout is that file. Nothing in gateway/ or spool/ knows of this. What the roles are built from is wrapped before the supervisor
starts, and the roles inherit it: every commit and every effect outside passes two named points.
"""

import os
import sqlite3
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import gateway.app.build
import gateway.app.drop_doors
import gateway.app.http_door
import gateway.processes.supervisor
import gateway.upkeep.retention
import spool.postgres.database
import spool.sqlite.database  # imported before the clock is changed in all of them
from gateway.cli import main
from gateway.config.channels import Deliver
from gateway.config.doors import Door
from gateway.config.gateway_toml import Destination
from gateway.config.in_force import LastReload
from gateway.doors.drop.loop import DropAdapter
from gateway.doors.http.handover import OpenDoor
from gateway.ports import Delivery, Feed, Parcel, Transport
from gateway.processes.supervisor import Role
from spool.archive import Archive
from spool.archived import Archived
from spool.store import Spool
from tests.crash.clock import ShiftedClock
from tests.crash.points import Points

COMMITS = (
    *(
        "put",
        "claim",
        "settle",
        "recover",
        "keep",
        "file",
        "acknowledge",
        "act",
        "purge",
        "repair_clock",
        "seal",
    ),
)
"""The methods of the Spool that write."""
EFFECTS = ("receive", "done")
"""The methods of a Feed that the other side notices."""
ADAPTER = ("receive", "tell", "done")
"""Those of a door that is polled."""
_SLOWEST_S = 1.0


class Tripped:
    """Anything with methods, some of which pass a point before they begin and after they are done."""

    def __init__(self, inner: object, role: "Life", kind: str, methods: Collection[str]) -> None:
        self._inner, self._role, self._kind, self._methods = inner, role, kind, methods

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self._methods:
            return found

        def passing(*arguments: Any, **named: Any) -> Any:
            self._role.goes_through("before", f"{self._kind}.{name}")
            result = found(*arguments, **named)
            self._role.goes_through("after", f"{self._kind}.{name}")
            return result

        return passing


class TrippedTransport:
    """A transport: before it sends, after the first confirmation, and after the last."""

    def __init__(self, inner: Transport, role: "Life") -> None:
        self._inner, self._role = inner, role

    def send(self, parcels: Sequence[Parcel]) -> Iterator[Delivery]:
        self._role.goes_through("before", "transport.send")
        for delivery in self._inner.send(parcels):
            if delivery.error is None:
                self._role.goes_through("after", "transport.confirm")
            yield delivery
        self._role.goes_through("after", "transport.send")

    def close(self) -> None:
        self._inner.close()


class Life:
    """Which role this process is; none in the supervisor."""

    def __init__(self, points: Points) -> None:
        self._points = points
        self._role = ""

    def goes_through(self, when: str, call: str) -> None:
        if self._role:
            self._points.go_through(f"{self._role}:{when}:{call}")

    def stops_in(self, call: str) -> None:
        if self._role:
            self._points.stop_at(f"{self._role}:in:{call}")

    def of(self, role: Role) -> Role:
        """The same role, which knows its name when it runs."""

        def run() -> None:
            self._role = _short(role.name)
            self._points.begins(self._role)
            role.run()

        return replace(role, run=run)


def _short(name: str) -> str:
    """`forward/customs/0` → `forward`, but `accept/folders` → `folders` and `accept/ann/amqp/0` → `amqp`."""
    first, *more = name.split("/")
    return first if first != "accept" or not more else (more * 2)[1]


def trip(life: Life) -> None:
    """Wrap what roles are built from."""
    app = gateway.app.build.App
    roles, open_spool = app.roles, app.spool
    build_transport, build_feed, append = (
        gateway.app.build.build_transport,
        gateway.app.build.build_feed,
        Archive.append,
    )
    build_channel = gateway.app.build.build_channel

    def tripped_roles(
        self: gateway.app.build.App,
        names: Collection[str],
        door: OpenDoor | None,
        last_reload: LastReload | None = None,
    ) -> list[Role]:
        return [life.of(role) for role in roles(self, names, door, last_reload)]

    def tripped_spool(self: gateway.app.build.App, **how: Any) -> Spool:
        return Tripped(open_spool(self, **how), life, "spool", COMMITS)

    def tripped_transport(destination: Destination) -> Transport:
        return TrippedTransport(build_transport(destination), life)

    def tripped_channel(deliver: Deliver) -> Transport:
        made = build_channel(deliver)
        return made if isinstance(made, TrippedTransport) else TrippedTransport(made, life)

    def tripped_feed(destination: Destination) -> Feed:
        return Tripped(build_feed(destination), life, "feed", EFFECTS)

    def tripped_append(self: Archive, messages: Sequence[Archived]) -> int:
        life.goes_through("before", "archive.append")
        added = append(self, messages)
        life.goes_through("after", "archive.append")
        return added

    adapter = gateway.app.drop_doors.Doors._adapter

    def tripped_adapter(
        self: gateway.app.drop_doors.Doors, door: Door, enterprise: str, spool: Spool
    ) -> DropAdapter:
        return Tripped(adapter(self, door, enterprise, spool), life, "adapter", ADAPTER)

    write = spool.sqlite.database.SqliteDatabase.write

    @contextmanager
    def stopping_write(self: spool.sqlite.database.SqliteDatabase) -> Iterator[sqlite3.Connection]:
        with write(self) as connection:
            life.stops_in("spool.write")
            yield connection

    commit = spool.postgres.database.PostgresTransaction.commit

    def stopping_commit(self: spool.postgres.database.PostgresTransaction) -> None:
        life.stops_in("spool.write")
        commit(self)

    spool.sqlite.database.SqliteDatabase.write = stopping_write  # type: ignore[method-assign]
    spool.postgres.database.PostgresTransaction.commit = stopping_commit  # type: ignore[method-assign]
    gateway.app.drop_doors.Doors._adapter = tripped_adapter  # type: ignore[method-assign]
    app.roles, app.spool = tripped_roles, tripped_spool  # type: ignore[method-assign]
    gateway.app.build.build_transport, gateway.app.build.build_feed = tripped_transport, tripped_feed
    gateway.app.build.build_channel = tripped_channel
    Archive.append = tripped_append  # type: ignore[method-assign]


def shift(clock: ShiftedClock) -> None:
    """Let the node, and the database's server as the node sees it, live by this clock."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in {"gateway", "spool", "signing"}:
            clock.rule(module)
    database = spool.postgres.database.PostgresDatabase
    now = database.now
    database.now = lambda self: now(self) + round(clock.shift_s * 1_000_000)  # type: ignore[method-assign]


def hurry() -> None:
    """Let the supervisor wait no longer than this before it starts a role that dies again and again, as here they do."""
    gateway.processes.supervisor._SLOWEST_S = _SLOWEST_S  # type: ignore[misc]


if __name__ == "__main__":
    faults = Path(sys.argv.pop(1))
    if sys.argv[1].startswith("--log="):
        os.dup2(
            os.open(sys.argv.pop(1).removeprefix("--log="), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), 1
        )
    hurry()
    trip(Life(Points(faults)))
    shift(ShiftedClock(faults / "clock"))
    main()
