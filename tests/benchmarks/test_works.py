"""The scenarios and their modes."""

from __future__ import annotations

from benchmarks.run import merge, select
from benchmarks.works import WORKS, over_tls, with_tokens


def test_names_of_scenarios_are_unique():
    """A figure is kept by the name of its scenario."""
    assert len({work.name for work in WORKS}) == len(WORKS)


def test_short_titles_keep_whole_numbers():
    """A comma within a number ends no title."""
    assert next(work.short for work in WORKS if work.name == "small") == "1,000 small images, loopback"


def test_modes_are_added_to_name_and_title():
    """TLS and tokens can be had together, and each once."""
    plain = next(work for work in WORKS if work.name == "small-line")
    both = with_tokens(over_tls(plain))

    assert (both.name, both.tls, both.token) == ("small-line-tls-token", True, True)
    assert both.title == f"{plain.title}; TLS; token logins"
    assert both.short == "40 small images, slow line, TLS, token logins"
    assert over_tls(over_tls(plain)) == over_tls(plain)
    assert with_tokens(both) == both


def test_selected_scenarios_run_once_in_the_chosen_mode():
    """A scenario that is over TLS already is the one that --tls makes."""
    assert [work.name for work in select(["small-line", "small-line-tls"], tls=True, token=False)] == ["small-line-tls"]
    assert select(None, tls=False, token=False) == list(WORKS)
    assert all(work.tls and work.token for work in select(None, tls=True, token=True))


def test_tls_table_of_the_page_has_its_scenarios():
    """Line and loopback, few and more tags, a shared base, and a login."""
    assert {work.name for work in WORKS if work.tls} == {
        "small-300-line-tls",
        "small-line-tls",
        "shared-line-tls",
        "small-line-tls-token",
        "small-300-tls",
        "small-40-tls",
    }


def test_parts_of_one_run_are_kept_together():
    """A scenario that runs again replaces its figures alone."""
    earlier = {"versions": {"crane": "1"}, "works": {"small": 1, "large": 1}, "program": [1]}

    assert merge(earlier, {"versions": {"oras": "2"}, "works": {}}) == {
        "versions": {"crane": "1", "oras": "2"},
        "works": {"small": 1, "large": 1},
        "program": [1],
    }
