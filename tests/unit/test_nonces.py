"""Nonces that were used: in files that several processes share, bounded, forgotten in time."""

from pathlib import Path

import pytest

from gateway.doors.http.nonces import Nonces, Use, free_in_s
from spool.errors import SpoolError

NOW = 1_764_230_400
"""The beginning of a span of timestamps."""


def use(nonces: Nonces, nonce: str, *, who: str = "ann", timestamp: int = NOW, now: float = NOW) -> Use:
    return nonces.use(who, f"{who}-1", timestamp, nonce, now=now)


def test_two_processes_at_once_see_what_the_other_has_used(tmp_path: Path) -> None:
    old, new = Nonces(tmp_path / "nonces"), Nonces(tmp_path / "nonces")
    for number in range(0, 20, 2):
        assert use(old, f"n{number}") is Use.FIRST
        assert use(new, f"n{number}") is Use.AGAIN
        assert use(new, f"n{number + 1}") is Use.FIRST
        assert use(old, f"n{number + 1}") is Use.AGAIN


def test_nonces_of_two_enterprises_two_keys_and_two_moments_are_different_ones(tmp_path: Path) -> None:
    nonces = Nonces(tmp_path)
    assert use(nonces, "n") is Use.FIRST
    assert use(nonces, "n", who="bob") is Use.FIRST
    assert use(nonces, "n", timestamp=NOW + 1) is Use.FIRST
    assert nonces.use("ann", "ann-2", NOW, "n", now=NOW) is Use.FIRST


def test_line_that_was_cut_off_by_a_kill_does_no_harm(tmp_path: Path) -> None:
    assert use(Nonces(tmp_path), "before") is Use.FIRST
    (file,) = tmp_path.iterdir()
    with file.open("ab") as torn:
        torn.write(b"half")
    after = Nonces(tmp_path)
    assert use(after, "before") is Use.AGAIN
    assert use(after, "after") is Use.FIRST
    assert use(Nonces(tmp_path), "after") is Use.AGAIN
    assert file.stat().st_size == 2 * 16


def test_full_memory_refuses_and_forgets_nothing_that_still_counts(tmp_path: Path) -> None:
    nonces = Nonces(tmp_path, most=3)
    assert [use(nonces, f"n{number}") for number in range(4)] == [Use.FIRST] * 3 + [Use.FULL]
    assert use(nonces, "n0") is Use.AGAIN
    assert use(nonces, "n0", who="bob") is Use.FIRST, "a flood of one costs nobody else anything"
    later = NOW + free_in_s(NOW)
    assert use(nonces, "n3", timestamp=later, now=later) is Use.FIRST


def test_memory_of_all_is_bounded(tmp_path: Path) -> None:
    nonces = Nonces(tmp_path, most_of_all=3)
    found = [use(nonces, "n", who=f"e{number}") for number in range(4)]
    assert found == [Use.FIRST] * 3 + [Use.FULL]
    assert use(nonces, "n", who="e3", timestamp=NOW + 900, now=NOW + 901) is Use.FIRST


def test_files_go_when_their_timestamps_can_no_longer_be_used(tmp_path: Path) -> None:
    nonces = Nonces(tmp_path)
    for now in range(NOW, NOW + 3000, 300):
        assert use(nonces, "n", timestamp=now, now=now) is Use.FIRST
        assert len(list(tmp_path.iterdir())) <= 2
    assert use(Nonces(tmp_path), "n", timestamp=NOW + 2700, now=NOW + 3000) is Use.AGAIN


def test_clock_that_is_set_back_brings_no_nonce_back(tmp_path: Path) -> None:
    nonces = Nonces(tmp_path)
    assert use(nonces, "n", timestamp=NOW + 250, now=NOW + 100) is Use.FIRST
    assert use(nonces, "m", timestamp=NOW - 800, now=NOW - 900) is Use.FIRST
    assert use(Nonces(tmp_path), "n", timestamp=NOW + 250, now=NOW) is Use.AGAIN


def test_nonce_that_cannot_be_written_down_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "nonces").write_text("a file where the folder should be")
    nonces = Nonces(tmp_path / "nonces")
    with pytest.raises(SpoolError, match="cannot remember the nonce") as caught:
        use(nonces, "n")
    assert caught.value.temporary
    (tmp_path / "nonces").unlink()
    assert use(nonces, "n") is Use.FIRST
