"""The lock keeps out other runs, and another implementation of it."""

from __future__ import annotations

import filelock
import pytest

from imgsync.state.lock import hold_lock


def _go_on() -> None:
    """Keep waiting."""


def test_lock_keeps_out_another_implementation(tmp_path):
    """In both directions, and only as long as it is held."""
    file = tmp_path / "lock"
    other = filelock.FileLock(file)

    with hold_lock(file, timeout_seconds=0, check=_go_on), pytest.raises(filelock.Timeout):
        other.acquire(blocking=False)
    with other, pytest.raises(BlockingIOError), hold_lock(file, timeout_seconds=0, check=_go_on):
        raise AssertionError("locked twice")
    with hold_lock(file, timeout_seconds=0, check=_go_on):
        pass

    assert file.stat().st_mode & 0o777 == 0o600


def test_check_ends_the_wait_for_a_lock(tmp_path):
    """Its error is passed on, and the lock is free for others."""

    class StopError(Exception):
        """A stop."""

    def stop() -> None:
        raise StopError

    with filelock.FileLock(tmp_path / "lock"), pytest.raises(StopError), hold_lock(tmp_path / "lock", timeout_seconds=60, check=stop):
        raise AssertionError("locked twice")
    with hold_lock(tmp_path / "lock", timeout_seconds=0, check=stop):
        pass


def test_planted_link_is_not_locked(tmp_path):
    """Its target is not created or changed."""
    (tmp_path / "lock").symlink_to(tmp_path / "target")

    with pytest.raises(OSError, match="symbolic"), hold_lock(tmp_path / "lock", timeout_seconds=0, check=_go_on):
        raise AssertionError("locked")

    assert not (tmp_path / "target").exists()
