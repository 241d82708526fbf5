"""The threads of the notify role: bounded, and never all in the hands of slow channels."""

import select
import threading
from contextlib import closing

from gateway.delivery.workers import WorkerPool


def test_slow_channels_get_half_of_the_threads_and_quick_ones_the_rest() -> None:
    release = threading.Event()
    with closing(WorkerPool[bool](4)) as workers:
        for _ in range(2):
            assert workers.has_room(slow=True)
            workers.start(lambda: release.wait(60), slow=True)
        assert not workers.has_room(slow=True)
        assert workers.has_room(slow=False)
        workers.start(lambda: True, slow=False)
        select.select([workers], [], [], 60)
        assert workers.take() == [True]
        assert workers.take() == []
        for _ in range(2):
            workers.start(lambda: release.wait(60), slow=False)
        assert not workers.has_room(slow=False)
        assert not workers.idle
        release.set()
        done: list[bool] = []
        while len(done) < 4:
            select.select([workers], [], [], 60)
            done += workers.take()
        assert workers.idle
        assert workers.has_room(slow=True)
