"""Work on secrets in a process of its own: its result comes back, its errors too, its memory does not."""

import os
import signal
from typing import NoReturn

import pytest
from msgspec import Struct

from gateway.errors import ConfigError
from gateway.processes.isolated import isolated


class Found(Struct, frozen=True, kw_only=True):
    pid: int
    text: str


def test_work_is_done_elsewhere_and_its_result_comes_back() -> None:
    found = isolated(lambda: Found(pid=os.getpid(), text="证书" * 100_000), Found)
    assert found.pid != os.getpid()
    assert found.text == "证书" * 100_000, "more than a pipe holds"
    with pytest.raises(ChildProcessError):
        os.waitpid(found.pid, 0)


def test_an_error_comes_back_with_all_its_parts() -> None:
    def work() -> NoReturn:
        raise ConfigError("no", where="key node", fix="another")

    with pytest.raises(ConfigError) as caught:
        isolated(work, Found)
    assert (caught.value.what, caught.value.where, caught.value.fix) == ("no", "key node", "another")


def test_a_defect_is_told_by_its_name() -> None:
    with pytest.raises(ConfigError, match="ZeroDivisionError"):
        isolated(lambda: 1 // 0, int)


def test_a_process_that_dies_is_told() -> None:
    with pytest.raises(ConfigError, match=r"ended with -9"):
        isolated(lambda: os.kill(os.getpid(), signal.SIGKILL), type(None))
