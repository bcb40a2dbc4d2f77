"""The goals compare medians with the best peer that did the work."""

from __future__ import annotations

from benchmarks.goals import Goals, best_peer, by_tool, has_peer, value
from tests.benchmarks.figures import document, result, work


def _lines(**works):
    return {what: (goal, reached, fine) for what, goal, reached, fine in Goals(document(**works)).lines()}


def test_value_is_the_median_of_all_runs():
    """One slow run changes nothing."""
    assert value(result("crane", 1.0, 9.0, 2.0), "cold", "wall") == 2.0


def test_best_peer_is_neither_a_floor_nor_wrong():
    """A bare copy is no peer, and a wrong result is no work done."""
    results = by_tool(work(result("relay, 4 at once", 0.1), result("oras", 0.5, wrong=1), result("crane", 2.0), result("imgsync", 0.2)))

    assert best_peer(results, "cold") == ("crane", 2.0)


def test_wrong_peers_alone_are_no_peers():
    """Then no ratio can be said."""
    assert not has_peer(by_tool(work(result("oras", 0.5, wrong=1), result("curl | curl, 4 at once", 1.0))))


def test_tls_rows_compare_both_settings():
    """64 at once and the defaults have a goal each."""
    lines = _lines(small_300_line_tls=work(result("imgsync", 4.0), result("imgsync (defaults)", 7.0), result("regsync", 10.0)))

    assert lines["300 small images, cold, slow line, TLS"][2] is True
    assert lines["the same with the defaults"][1].startswith("0.70 × regsync")
    assert lines["the same with the defaults"][2] is False


def test_defaults_name_their_worst_scenario():
    """One row far behind the declared 64 decides."""
    near = work(result("imgsync", 1.0), result("imgsync (defaults)", 1.1))
    far = work(result("imgsync", 1.0), result("imgsync (defaults)", 2.3))

    assert _lines(small=near, large=far)["the defaults, cold, in every scenario"] == ("≤ 1.15 × the declared 64", "at most 2.30 × (large)", False)


def test_three_destinations_say_what_a_bare_copy_takes():
    """The destinations' own disks may be the limit."""
    three = work(result("imgsync", 3.0), result("relay, 4 at once", 2.0, unchanged=None))
    one = work(result("imgsync", 2.0), result("relay, 4 at once", 1.0, unchanged=None))

    assert _lines(three=three, one=one)["three destinations at once"][1:] == ("1.50 × one destination; a bare copy (relay, 4 at once): 2.00 ×", True)


def test_large_layers_are_compared_with_each_floor():
    """curl and the relay each have a row."""
    lines = _lines(large=work(result("imgsync", 2.0), result("curl | curl, 4 at once", 1.0, unchanged=None), result("relay, 4 at once", 1.8, unchanged=None)))

    assert lines["six layers of 256 MiB, compared with curl | curl, 4 at once"][1:] == ("0.50 × its speed", False)
    assert lines["six layers of 256 MiB, compared with relay, 4 at once"][1:] == ("0.90 × its speed", True)


def test_broken_cache_is_said_beside_the_ratio():
    """The best peer might have been faster."""
    reached = _lines(shared=work(result("imgsync", 1.0), result("skopeo sync", 9.0, read=400e6), unique=10e6))["40 images on one base, cold, loopback"][1]

    assert "skopeo sync ran without a working cache: it read 400 MB, and the images have 10 MB." in reached


def test_works_that_did_not_run_have_no_goals():
    """A part of the benchmark makes a page too."""
    assert [what for what in _lines(single=work(result("imgsync", 1.0))) if "TLS" in what] == []


def test_goal_below_the_registries_own_time_says_so():
    """No tool can be faster than the registries that it waits for."""
    slow = [result("imgsync", 9.0), result("regsync", 10.0)]
    for sample in slow[0]["cold"]:
        sample["registries_cpu"] = 16.0

    def reached(processors: str) -> str:
        figures = {**document(small=work(*slow)), "machine": {"processors": processors}}
        return next(line[2] for line in Goals(figures).lines() if line[0] == "1,000 small images, cold, loopback")

    assert reached("2 × AMD EPYC") == "0.90 × regsync (9.00 s and 10.00 s)"
    assert reached("1 × AMD EPYC") == "0.90 × regsync (9.00 s and 10.00 s); the CPU time of the registries alone is 1.60 ×"
