"""What holds for all tests: how examples are chosen, what one worker has, and that schemas of PostgreSQL go from hand to hand.

Property tests: the same examples every time in `make test`, fresh ones in `make fuzz`, which takes the profile `fuzz`.

Neither keeps a database of examples: what a run finds depends on the code, the tests that were chosen and the seed, never
on what an earlier run left on this machine, nor on how busy it is.
"""

import os
from collections.abc import Iterator
from contextlib import closing
from itertools import cycle, islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from gateway.simulator import world
from tests.fork_server import ForkServer
from tests.servers.postgres import take_back

_NUMBER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_SHARE = len(world._SERVER_PORTS) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
world._PORTS = islice(cycle(world._SERVER_PORTS[_NUMBER * _SHARE :][:_SHARE]), os.getpid() % _SHARE, None)
"""Each worker has ports of its own: two that go through the same ones would, some day, choose one at the same time."""

settings.register_profile(
    "fixed",
    derandomize=True,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("fuzz", settings.get_profile("fixed"), derandomize=False)
settings.load_profile("fixed")


@pytest.fixture(scope="session", autouse=True)
def _fork_server() -> Iterator[None]:
    """Nodes and simulators are forked, except where they are begun inside something else."""
    with closing(ForkServer()) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(world, "_begin", server.begin)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is in no group of its own is in that of its file: one worker has them all, and starts what they share once."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Function) -> Iterator[None]:
    """The schemas of a test's folder are free once all that it has used is closed."""
    yield
    if isinstance(folder := item.funcargs.get("tmp_path"), Path):
        take_back(folder)
