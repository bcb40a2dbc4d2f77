"""What bounds a run: when it closes and is cut, which images are worth beginning, and whose turn it is."""

from __future__ import annotations

import pytest

from imgsync.apply.time_limits import Forecast, TimeLimits


@pytest.mark.parametrize("grace", [0.0, 5.0, 60.0])
@pytest.mark.parametrize("whole", [1.0, 3.0, 60.0, 2880.0])
def test_a_run_closes_before_it_is_cut_and_is_cut_before_its_end(whole, grace):
    """What runs has its grace before the cut, and there is time left after it; no grace takes more than half of what a run has."""
    limits = TimeLimits(0.0, grace_seconds=grace)

    closes, cuts = limits.close_seconds(whole), limits.cancel_seconds(whole)

    assert 0 <= whole / 4 <= closes <= cuts <= whole
    assert cuts - closes == min(grace, cuts / 2)
    assert whole - cuts == min(2.0, whole / 2)


def test_a_run_without_time_begins_nothing_but_finds_out_what_is_left():
    """Nothing new from the first moment on, and a second for the plan."""
    limits = TimeLimits(0.0)

    assert (limits.close_seconds(0.0), limits.cancel_seconds(0.0)) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("said", "declared", "whole"),
    [
        (None, [], None),
        (None, [None], None),
        (None, [10.0, None], None),
        (None, [10.0, 30.0], 30.0),
        (5.0, [10.0, None], 5.0),
        (0.0, [10.0], 0.0),
    ],
    ids=["nothing", "no limit", "one goes on", "the longest", "the command line", "no time at all"],
)
def test_the_whole_run_is_limited_when_all_of_it_is(said, declared, whole):
    """The command line's word counts; else the run as a whole has a limit only when each mirror has one."""
    assert TimeLimits(0.0, run_seconds=said).whole_seconds(declared) == whole


def test_nothing_learned_everything_fits():
    """The first image is begun whatever its size, as long as there is time."""
    forecast = Forecast()

    assert forecast.estimate_seconds(1 << 40) == 0.0
    assert forecast.has_time_for(1 << 40, left_seconds=0.1, whole_seconds=10.0)
    assert not forecast.has_time_for(0, left_seconds=0.0, whole_seconds=10.0)


def test_an_image_goes_by_the_pace_of_those_before():
    """Bytes by the pace of all that moved bytes, and never quicker than the quickest image."""
    forecast = Forecast()
    forecast.learn(100, 1.0)
    forecast.learn(300, 3.0)

    assert forecast.estimate_seconds(500) == 5.0
    assert forecast.estimate_seconds(1) == 1.0


def test_images_that_moved_nothing_say_nothing_of_the_pace():
    """Mounts take time, and move no byte."""
    forecast = Forecast()
    forecast.learn(0, 2.0)

    assert forecast.estimate_seconds(1 << 30) == 2.0
    forecast.learn(100, 4.0)
    assert forecast.estimate_seconds(100) == 4.0


@pytest.mark.parametrize(
    ("size", "left", "begun"),
    [(10, 10.0, True), (11, 10.0, False), (99, 98.0, False), (100, 10.0, False), (101, 10.0, True), (101, 0.0, False)],
    ids=["just fits", "does not", "nearly all of a run", "all of a run", "more than any run", "no time"],
)
def test_what_would_not_fit_is_left_unless_no_run_could_hold_it(size, left, begun):
    """An image that the next run could finish waits for it; one that none could is begun, since its finished blobs stay."""
    forecast = Forecast()
    forecast.learn(1, 1.0)

    assert forecast.has_time_for(size, left_seconds=left, whole_seconds=100.0) is begun
