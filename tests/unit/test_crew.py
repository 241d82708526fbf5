"""The threads of the notify role: bounded, and never all in the hands of slow channels."""

import select
import threading
from contextlib import closing

from gateway.roles.crew import Crew


def test_slow_channels_get_half_of_the_threads_and_quick_ones_the_rest() -> None:
    release = threading.Event()
    with closing(Crew[bool](4)) as crew:
        for _ in range(2):
            assert crew.has_room(slow=True)
            crew.start(lambda: release.wait(60), slow=True)
        assert not crew.has_room(slow=True)
        assert crew.has_room(slow=False)
        crew.start(lambda: True, slow=False)
        select.select([crew], [], [], 60)
        assert crew.take() == [True]
        assert crew.take() == []
        for _ in range(2):
            crew.start(lambda: release.wait(60), slow=False)
        assert not crew.has_room(slow=False)
        assert not crew.idle
        release.set()
        done: list[bool] = []
        while len(done) < 4:
            select.select([crew], [], [], 60)
            done += crew.take()
        assert crew.idle
        assert crew.has_room(slow=True)
