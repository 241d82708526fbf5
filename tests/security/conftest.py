"""A gateway as `gateway init` makes it, for whoever attacks its HTTP door."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.door_node import DoorNode


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DoorNode]:
    """One node for the tests of a file."""
    node = DoorNode(tmp_path_factory.mktemp("door"), {})
    with node.running():
        yield node


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a node of a test's own lives."""
    return tmp_path
