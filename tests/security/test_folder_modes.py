"""Who else can read what is put into a folder: nobody, whatever the umask, unless the folder is a group's."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config.links import Folder
from gateway.transports.folder import FolderTransport
from tests.contract.conftest import parcel


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.parametrize(("folder_mode", "file_mode"), [(0o777, 0o600), (0o2770, 0o660)])
def test_answers_are_for_the_owner_or_the_group_of_the_folder(
    tmp_path: Path, umask: int, folder_mode: int, file_mode: int
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    folder.chmod(folder_mode)
    transport = FolderTransport(Folder(send_dir=folder, receive_dir=tmp_path))
    assert [one.error for one in transport.send([parcel(1)])] == [None]
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == file_mode
