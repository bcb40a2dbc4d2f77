"""Time limits of a run: when it closes, when it is cancelled, which images still fit."""

from __future__ import annotations

import pytest

from imgsync.apply.time_limits import Forecast, TimeLimits


@pytest.mark.parametrize("grace", [0.0, 5.0, 60.0])
@pytest.mark.parametrize("whole", [1.0, 3.0, 60.0, 2880.0])
def test_run_closes_then_cancels_then_ends(whole, grace):
    """The grace period lies before the cancellation, at most half of the run, and time is left after it."""
    limits = TimeLimits(0.0, grace_seconds=grace)

    closes, cuts = limits.close_seconds(whole), limits.cancel_seconds(whole)

    assert 0 <= whole / 4 <= closes <= cuts <= whole
    assert cuts - closes == min(grace, cuts / 2)
    assert whole - cuts == min(2.0, whole / 2)


def test_run_without_time_only_plans():
    """Nothing starts; one second is kept for the plan."""
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
def test_run_limit_is_the_option_or_that_of_all_mirrors(said, declared, whole):
    """The option counts; otherwise the run has a limit only if each mirror has one."""
    assert TimeLimits(0.0, run_seconds=said).whole_seconds(declared) == whole


def test_first_image_always_fits():
    """Without a measured rate any image starts while there is time."""
    forecast = Forecast()

    assert forecast.estimate_seconds(1 << 40) == 0.0
    assert forecast.has_time_for(1 << 40, left_seconds=0.1, whole_seconds=10.0)
    assert not forecast.has_time_for(0, left_seconds=0.0, whole_seconds=10.0)


def test_estimate_uses_the_measured_rate():
    """The estimate uses the bytes per second so far, and at least the time of the fastest image."""
    forecast = Forecast()
    forecast.learn(100, 1.0)
    forecast.learn(300, 3.0)

    assert forecast.estimate_seconds(500) == 5.0
    assert forecast.estimate_seconds(1) == 1.0


def test_mounted_images_do_not_change_the_rate():
    """Images without transferred bytes do not count."""
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
def test_image_that_does_not_fit_waits_unless_no_run_could_fit_it(size, left, begun):
    """It waits for the next run; one that fits no run starts, because its finished blobs stay."""
    forecast = Forecast()
    forecast.learn(1, 1.0)

    assert forecast.has_time_for(size, left_seconds=left, whole_seconds=100.0) is begun
