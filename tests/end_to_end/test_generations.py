"""Each touch of an enterprise's file starts the next generation of the roles: what is in hand stays with who has it."""

import threading
from contextlib import ExitStack, closing
from pathlib import Path

from gateway.delivery.notify import Notify
from gateway.processes.stop import Stop
from spool.ending import ABANDONED_AT_MOST
from spool.entry import Wanted
from spool.lifecycle import State
from tests.channel_node import ChannelNode
from tests.servers.receiver import Receiver, hangs
from tests.waiting import until


def test_delivery_that_hangs_through_many_reloads_is_made_once_and_then_counts(tmp_path: Path) -> None:
    release, stopped = threading.Event(), Stop()
    stopped.set()
    with ExitStack() as held:
        receiver = held.enter_context(Receiver(tmp_path, hangs(release)))
        held.callback(release.set)
        home = ChannelNode(tmp_path, {})
        held.enter_context(closing(home.spool))
        (owner, *_) = home.owners
        home.set_channels(owner, receiver.toml(timeout_s=30.0))
        home.read_again()
        home.accept(owner, "ORDER-1")

        def role(generation: int) -> Notify:
            spool = held.enter_context(closing(home.app.spool()))
            home.app.generation = generation
            return held.enter_context(closing(home.app.notify(spool)))

        living = role(1)
        home.answer(("ORDER-1", "2"))
        living.step()
        receiver.wait_until(lambda one: len(one.requests) == 1)
        for generation in range(2, 3 + ABANDONED_AT_MOST):
            role(generation).run(stopped)
            role(generation).step()

        states = {one.state for one in home.spool.entries(Wanted(destination=f"@home/{owner}/erp"))}
        assert (states, len(receiver.requests)) == ({State.SENDING}, 1)
        release.set()
        until(lambda: living.step() or home.spool.acknowledged(owner))
