"""What customs said, what came home, and whose it was: compared as sets of receipt bodies."""

import threading
import time
from collections import defaultdict
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, closing, suppress
from typing import Any, Protocol

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from gateway.config import load_config
from gateway.site import Site
from gateway.spooling import build_spool
from spool.store import Topic
from tests.crash.world import World
from tests.platforms import Platform, bodies_of, enterprises

Bodies = dict[str, set[tuple[str, str, str, frozenset[tuple[str, str]]]]]
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


def bring_home(world: Served, timeout_s: float, known: Bodies | None = None) -> Bodies:
    """Pull receipts for every enterprise until everything that customs said has come, or time is up.

    What is pulled is acknowledged and does not come again: it is added to what was `known` before.
    """
    got: Bodies = defaultdict(set) if known is None else known
    until = time.monotonic() + timeout_s
    with ExitStack() as stack:
        platforms = {
            str(owner): stack.enter_context(closing(Platform(world.address, token)))
            for owner, token in world.site.tokens.items()
        }
        while True:
            expected = expected_bodies(world)
            for owner, platform in platforms.items():
                if not got[owner] >= expected.get(owner, set()):
                    for receipt in platform.receipts(wait_s=1):
                        got[owner].update(bodies_of(receipt))
            idle = expected == expected_bodies(world)
            whole = all(got[owner] >= expected.get(owner, set()) for owner in platforms)
            if (idle and whole) or time.monotonic() > until:
                return got


class Reader:
    """Platforms that pull and acknowledge all the time, in a thread of their own."""

    def __init__(self, world: Served) -> None:
        self._world = world
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
                bring_home(self._world, 0.0, self._got)
        except BaseException as error:  # noqa: BLE001 (raised to whoever asks)
            self._error = error


def wait_until_sent(world: Served, timeout_s: float) -> bool:
    """Wait until no entry is unsettled or dead, woken by the spool's own signals; says whether it is so."""
    until = time.monotonic() + timeout_s
    with closing(build_spool(load_config(world.site.config))) as spool, spool.listen(Topic.ENTRIES) as waiter:
        while spool.depths():
            if time.monotonic() > until:
                return False
            waiter.wait(0.2)
    return True


def wait_until_answered(world: World, uids: AbstractSet[str], timeout_s: float) -> None:
    """Wait until customs has got all of it and said all it has to say, or time is up; the tally tells."""

    def answered() -> bool:
        return uids <= {line["cop_msg_id"] for line in world.customs_saw()} and not world.port.pending()

    with suppress(RetryError):
        Retrying(
            retry=retry_if_result(lambda so: not so), wait=wait_fixed(0.05), stop=stop_after_delay(timeout_s)
        )(answered)
