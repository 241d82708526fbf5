"""A folder that is watched: what counts as a change, and when."""

import os
from pathlib import Path

from gateway.app.file_watch import FolderWatch


def looks(watch: FolderWatch) -> list[bool]:
    """Three looks, as three seconds bring them."""
    return [watch.changed() for _ in range(3)]


def test_change_is_told_once_when_the_folder_is_at_rest(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("1")
    watch = FolderWatch(tmp_path)
    assert looks(watch) == [False, False, False]
    (tmp_path / "b.toml").write_text("1")
    assert looks(watch) == [False, True, False]
    (tmp_path / "a.toml").write_text("22")
    assert looks(watch) == [False, True, False]
    (tmp_path / "b.toml").unlink()
    assert looks(watch) == [False, True, False]


def test_files_that_still_change_are_left_alone(tmp_path: Path) -> None:
    watch = FolderWatch(tmp_path)
    for number in range(5):
        (tmp_path / "a.toml").write_text("x" * number)
        assert not watch.changed()
    assert watch.changed()


def test_same_size_with_another_time_or_another_file_in_its_place_is_a_change(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text("1")
    watch = FolderWatch(tmp_path)
    os.utime(file, ns=(1, 1))
    assert looks(watch) == [False, True, False]
    (tmp_path / "new").write_text("2")
    os.utime(tmp_path / "new", ns=(1, 1))
    (tmp_path / "new").replace(file)
    assert looks(watch) == [False, True, False]


def test_change_that_was_undone_before_it_rested_is_none(tmp_path: Path) -> None:
    watch = FolderWatch(tmp_path)
    (tmp_path / ".draft").write_text("1")
    assert not watch.changed()
    (tmp_path / ".draft").unlink()
    assert looks(watch) == [False, False, False]


def test_what_was_read_on_another_occasion_is_not_told_again(tmp_path: Path) -> None:
    watch = FolderWatch(tmp_path)
    (tmp_path / "a.toml").write_text("1")
    watch.follow(tmp_path)
    assert looks(watch) == [False, False, False]


def test_folder_that_goes_and_comes_back_is_a_change(tmp_path: Path) -> None:
    folder = tmp_path / "enterprises"
    folder.mkdir()
    (folder / "a.toml").write_text("1")
    watch = FolderWatch(folder)
    folder.rename(tmp_path / "away")
    assert looks(watch) == [False, True, False]
    (tmp_path / "away").rename(folder)
    assert looks(watch) == [False, True, False]
