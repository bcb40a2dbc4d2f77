"""The shares of all workers together keep to what registries.yaml declares."""

from __future__ import annotations

import pytest

from imgsync.config.model import Config, RegistriesConfig, RegistrySettings
from imgsync.fleet.share_settings import share_settings


def _share(workers: int, **settings: object) -> RegistrySettings:
    shared = share_settings(Config((), RegistriesConfig(by_host={"r.io": RegistrySettings(**settings)})), workers)
    return shared.for_registry("r.io")


@pytest.mark.parametrize(("requests", "workers"), [(100, 1), (100, 4), (7, 3), (4, 4)])
def test_shares_of_a_rate_fit_into_each_window(requests, workers):
    """Also if every worker sends at the beginning of it; what a division leaves over is not used."""
    share, seconds = _share(workers, rate=(requests, 10.0)).rate

    assert seconds == 10.0
    assert requests - workers < share * workers <= requests


@pytest.mark.parametrize(("requests", "workers"), [(1, 2), (2, 5), (3, 64)])
def test_more_workers_than_requests_keep_the_rate_on_average(requests, workers):
    """Each sends one request in a window that is longer."""
    share, seconds = _share(workers, rate=(requests, 10.0)).rate

    assert share == 1
    assert workers / seconds <= requests / 10.0


def test_each_worker_has_a_connection():
    """And otherwise a share of them; without a rate, there is none to divide."""
    assert [_share(workers, connections=8).connections for workers in (1, 3, 16)] == [8, 2, 1]
    assert _share(3).rate is None
