"""What customs said, what came home, and whose it was: compared as sets of receipt bodies."""

import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, closing, suppress
from types import MappingProxyType
from typing import Any, Protocol

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from gateway.app.open_spool import build_spool
from gateway.config.gateway_toml import load_config
from gateway.config.site import Site
from spool.entry import MessageView, Wanted
from spool.lifecycle import UNSETTLED, State
from spool.store import Topic
from tests.crash.world import World
from tests.platforms import Platform, bodies_of, enterprises
from tests.servers.receiver import Receiver

Body = set[tuple[str, str, str, frozenset[tuple[str, str]]]]
Bodies = dict[str, Body]
"""Enterprise → (receipt type, status, time, declaration key)."""


class Served(Protocol):
    """A node and its customs side."""

    site: Site
    address: str

    def customs_sent(self) -> list[dict[str, Any]]:
        """Lines of the ledger of receipt bodies."""
        ...


_REST_S = 0.1


def expected_bodies(world: Served) -> Bodies:
    """Every body that customs has said about a declaration, by the enterprise that it must reach."""
    owners = {code: one.id for one in enterprises(8) for code in one.cop_codes}
    wanted: Bodies = defaultdict(set)
    for line in world.customs_sent():
        if line["owner"] and line["message_type"]:
            key = frozenset(line["key"].items())
            wanted[owners[line["owner"]]].add((line["receipt"], line["status"], line["time"], key))
    return wanted


def bring_home(
    world: Served,
    timeout_s: float,
    known: Bodies | None = None,
    *,
    receivers: Mapping[str, Receiver] = MappingProxyType({}),
) -> Bodies:
    """Pull receipts for every enterprise until everything that customs said has come, or time is up.

    What is pulled is acknowledged and does not come again: it is added to what was `known` before. Enterprises with a
    receiver do not pull; they have what it has taken.
    """
    got: Bodies = defaultdict(set) if known is None else known
    until = time.monotonic() + timeout_s
    with ExitStack() as stack:
        platforms = {
            str(owner): stack.enter_context(closing(Platform(world.address, token)))
            for owner, token in world.site.tokens.items()
            if owner not in receivers
        }
        while True:
            expected = expected_bodies(world)
            for owner, platform in platforms.items():
                if not got[owner] >= expected.get(owner, set()):
                    for receipt in platform.receipts(wait_s=1):
                        got[owner].update(bodies_of(receipt))
            for owner, receiver in receivers.items():
                _wait_for_more(receiver, got[owner], expected.get(owner, set()))
                got[owner] = delivered(receiver)
            idle = expected == expected_bodies(world)
            whole = all(got[owner] >= expected.get(owner, set()) for owner in (*platforms, *receivers))
            if (idle and whole) or time.monotonic() > until:
                return got


def _wait_for_more(receiver: Receiver, got: Body, expected: Body) -> None:
    """Wait a second at most, as long as a pull does, when something has not come."""
    taken = len(receiver.taken)
    if not got | delivered(receiver) >= expected:
        with suppress(AssertionError):
            receiver.wait_until(lambda one: len(one.taken) > taken, 1.0)


def delivered(receiver: Receiver) -> Body:
    """Return what a webhook has brought."""
    return {body for taken in list(receiver.taken) for body in bodies_of(taken.json()["receipt"])}


class Reader:
    """Platforms that pull and acknowledge all the time, in a thread of their own."""

    def __init__(self, world: Served, *, receivers: Mapping[str, Receiver] = MappingProxyType({})) -> None:
        self._world, self._receivers = world, receivers
        self._got: Bodies = defaultdict(set)
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> Bodies:
        """End, and return what came home so far."""
        self._stop.set()
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._got

    def _run(self) -> None:
        try:
            while not self._stop.wait(_REST_S):
                bring_home(self._world, 0.0, self._got, receivers=self._receivers)
        except BaseException as error:  # noqa: BLE001 (raised to whoever asks)
            self._error = error


def wait_until_sent(world: Served, timeout_s: float) -> bool:
    """Wait until no entry is unsettled, woken by the spool's own signals; says whether it is so, and none is dead."""
    until = time.monotonic() + timeout_s
    with closing(build_spool(load_config(world.site.config))) as spool, spool.listen(Topic.ENTRIES) as waiter:
        while depths := spool.depths():
            if time.monotonic() > until or all(one.state is State.DEAD for one in depths):
                return False
            waiter.wait(0.2)
    return True


def left_in(world: Served) -> list[MessageView]:
    """Return the entries that wait for somebody's hand: all that are not settled, and the dead ones."""
    with closing(build_spool(load_config(world.site.config))) as spool:
        return spool.entries(Wanted(states=(*UNSETTLED, State.DEAD)), limit=1000)


def wait_until_answered(world: World, uids: AbstractSet[str], timeout_s: float) -> None:
    """Wait until customs has got all of it and said all it has to say, or time is up; the tally tells."""

    def answered() -> bool:
        return uids <= {line["cop_msg_id"] for line in world.customs_saw()} and not world.port.pending()

    with suppress(RetryError):
        Retrying(
            retry=retry_if_result(lambda so: not so), wait=wait_fixed(0.05), stop=stop_after_delay(timeout_s)
        )(answered)
