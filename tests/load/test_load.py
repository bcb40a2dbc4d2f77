"""Load tests: time and memory stay bounded, nothing leaks."""

from __future__ import annotations

import resource
import time

import pytest

from imgsync.state import Record, open_state
from tests.figures import record
from tests.load.listed_registry import make_digest, name_repository, name_tags
from tests.load.quick_registry import QuickRegistry
from tests.load.running import Observed, listed_registry, names, quick_registry
from tests.support.effort import NIGHTLY, effort
from tests.support.faults import FaultProxy
from tests.support.images import image
from tests.switches import corrupt_byte, status
from tests.switches.net import HalfAnswer, reset_unheard
from tests.switches.runtime import TooMany

# A night's load may take as long as this.
_LONG = pytest.mark.timeout(effort(120, 3600))
_WAIT_SECONDS = effort(100, 3000)


class _Direct:
    def run(self, function):
        return function()


def declare_load(workplace, source, destination, repositories: int, **settings: object) -> None:
    """Declare one mirror of everything that a quick registry holds."""
    workplace.allow_plain_http(source, destination)
    declared = {"registry": source.host, "repositories": names(repositories)}
    workplace.mirror("load", source=declared, destinations=[f"{destination.host}/m"], **({"referrers": False} | settings))


def expected(repositories: int, tags: int, *, moved: int = 0, generation: int = 0) -> dict[str, dict[str, str]]:
    """Return what the destination's tags must name, the first *moved* ones newer."""
    held = QuickRegistry(repositories, tags)
    for _ in range(generation):
        held._control("/-/move", {"tags": str(moved)})
    return {f"m/{name}": {f"v{tag:06}": held._make(name, tag) for tag in range(tags)} for name in names(repositories)}


@_LONG
@pytest.mark.nightly
@pytest.mark.parametrize("kept", [False, pytest.param(True, marks=pytest.mark.only_nightly)], ids=["all new", "all kept"])
def test_plan_of_a_hundred_thousand_tags(kept, workplace):
    """One source request per tag, few destination requests, bounded memory."""
    repositories, tags = effort(4, 100), effort(100, 1000)
    count = repositories * tags
    with quick_registry(repositories, tags) as source, quick_registry() as destination:
        declare_load(workplace, source, destination, repositories)
        if kept:
            remember(workplace, source, destination, repositories, tags)
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        with Observed(workplace, 1, "apply" if kept else "plan", "-o", "json") as running:
            ran = running.round(timeout=_WAIT_SECONDS)
        took = time.monotonic() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
        asked, bothered = source.asked(), destination.asked()

    assert ran.code == 0
    assert ran.report["summary"]["kept" if kept else "create"] == count
    assert asked <= count + 3 * repositories + 10
    assert bothered <= (0 if kept else 2 * repositories)
    assert ran.most_descriptors < 150, "at most 64 connections to each registry"
    assert ran.peak_mib < 80 + count * 8 / 1024, "a base, and some KiB for each tag"
    what = f"{count:,} tags, {'all kept' if kept else 'all new'}"
    note = f"{used:.0f} s of CPU; {asked / count:.2f} requests per tag at the source, {bothered} at the destination in total"
    record(f"plan of {what}: time", took, unit="s", note=note)
    record(f"plan of {what}: peak memory", ran.peak_mib, unit="MiB", note="including the JSON report")


def remember(workplace, source, destination, repositories: int, tags: int) -> None:
    """Write the state of a run that mirrored everything."""
    with open_state(str(workplace.folder / ".imgsync" / "state"), thread=_Direct(), lock_timeout_seconds=0, on_warning=pytest.fail) as state:
        for name, named in expected(repositories, tags).items():
            state.put(
                [
                    Record(
                        destination=f"{destination.host}/{name}:{tag}",
                        digest=digest,
                        crc32="00000000",
                        size_bytes=1000,
                        media_type="application/vnd.oci.image.manifest.v1+json",
                        source=f"{source.host}/{name.removeprefix('m/')}:{tag}",
                        source_digest=digest,
                        selection="platforms=all;referrers=none",
                        applied_at="2026-01-01T00:00:00Z",
                        mirror="a",
                    )
                    for tag, digest in named.items()
                ]
            )


@_LONG
@pytest.mark.nightly
@pytest.mark.row("RUN-04")
def test_apply_of_ten_thousand_images(workplace):
    """Memory and descriptors stay level, no greenlet is left, a second run does nothing."""
    repositories, tags = effort(6, 100), effort(25, 100)
    count = repositories * tags
    with quick_registry(repositories, tags) as source, quick_registry() as destination:
        declare_load(workplace, source, destination, repositories)
        with Observed(workplace, 2, "apply", "-o", "json") as running:
            began = time.monotonic()
            first = running.round(timeout=_WAIT_SECONDS)
            took = time.monotonic() - began
            served, asked = destination.tags(), destination.asked()
            second = running.round(timeout=_WAIT_SECONDS)

        assert (first.code, first.report["summary"]["copied"]) == (0, count)
        assert served == expected(repositories, tags)
        assert (second.code, second.report["summary"]["kept"], second.report["summary"]["copied"]) == (0, count, 0)
        assert destination.asked() == asked, "an unchanged tag costs the destination nothing"
    assert first.most_descriptors < 150, "at most 64 connections to each registry"
    assert second.after["descriptors"] <= first.after["descriptors"] <= 20
    assert (first.after["greenlets"], second.after["greenlets"]) == (1, 1), "the heartbeat's own"
    assert first.after["cpu_gap_seconds"] < 0.5, "nothing keeps the loop for long"
    tenth = first.samples[min(max(2, len(first.samples) // 10), len(first.samples) - 1)]["rss_kib"]
    grown = (first.peak_mib * 1024 - tenth) / count
    assert grown < 8 if NIGHTLY else grown < 80, "some KiB for each outcome, the report included"
    what = f"{count:,} images of 3 blobs"
    record(f"apply of {what}: time", took, unit="s", note=f"{asked / count:.2f} requests per image at the destination")
    note = f"{grown:.1f} KiB more per image after the first tenth, including plan and report"
    record(f"apply of {what}: peak memory", first.peak_mib, unit="MiB", note=note)
    record(f"apply of {what}: descriptors", first.most_descriptors, note=f"at most; {int(first.after['descriptors'])} after it")
    record(f"apply of {what}: greenlets left", int(first.after["greenlets"]), note="after the run, including the heartbeat that counts them")
    record(f"apply of {what}: longest stall", first.after["cpu_gap_seconds"] * 1000, unit="ms", note="CPU used between two turns of the event loop")


@_LONG
@pytest.mark.nightly
def test_rounds_of_moving_tags_leak_nothing(workplace):
    """Repeated applies in one process need no more memory, descriptors or greenlets."""
    repositories, tags, moved = effort(4, 10), effort(6, 20), effort(3, 10)
    rounds = effort(5, 120)
    with quick_registry(repositories, tags) as source, quick_registry() as destination:
        declare_load(workplace, source, destination, repositories)
        told = []
        began = time.monotonic()
        with Observed(workplace, rounds, "apply", "-o", "json") as running:
            for number in range(rounds):
                ran = running.round(timeout=_WAIT_SECONDS)
                assert ran.code == 0
                assert ran.report["summary"]["copied"] == repositories * (moved if number else tags)
                told.append(ran)
                served = destination.tags()
                source.tell(f"move?tags={moved}")
        took = time.monotonic() - began

    assert served == expected(repositories, tags, moved=moved, generation=rounds - 1)
    early, late = told[max(1, rounds // 4)], told[-1]
    assert late.after["descriptors"] <= early.after["descriptors"]
    assert late.after["greenlets"] <= early.after["greenlets"]
    # The state remembers each blob that was pushed, and all of it is read: some hundred bytes for each.
    brought = sum(ran.report["summary"]["blobs_copied"] for ran in told[told.index(early) + 1 :])
    grown_kib = late.after["rss_kib"] - early.after["rss_kib"]
    assert grown_kib < (4 << 10) + 0.7 * brought
    copies = sum(ran.report["summary"]["copied"] for ran in told)
    what = f"{rounds} rounds of moving tags in one process"
    record(f"{what}: time", took, unit="s", note=f"{copies:,} images copied; as many runs, one a minute, would take {rounds / 60:.0f} h")
    between = f"after round {max(1, rounds // 4) + 1} and after the last"
    for name, title, unit in (
        ("rss_kib", "memory", "KiB"),
        ("descriptors", "descriptors", ""),
        ("greenlets", "greenlets", ""),
        ("objects", "Python objects", ""),
    ):
        note = f"{between}; the state holds {brought:,} more blobs" if name == "rss_kib" else between
        record(f"{what}: {title}", f"{int(early.after[name]):,} → {int(late.after[name]):,}", unit=unit, note=note)


@_LONG
@pytest.mark.nightly
@pytest.mark.parametrize("side", ["destination", pytest.param("source", marks=pytest.mark.only_nightly)])
def test_registry_that_answers_429_to_half_of_all_requests(side, workplace):
    """Everything arrives with at most five times the requests; no blob is stored twice."""
    repositories, tags = effort(6, 20), effort(10, 25)
    asked = {}
    for share in (0.0, 0.5):
        with quick_registry(repositories, tags) as source, quick_registry() as destination:
            refusing = source if side == "source" else destination
            refusing.tell(f"refuse?share={share}&seed=429&after=0")
            declare_load(workplace, source, destination, repositories, retry={"attempts": 4, "interval": "0s"})
            with Observed(workplace, 1, "apply", "-o", "json", "--state", f"state-{share}") as running:
                ran = running.round(timeout=_WAIT_SECONDS)
            refusing.tell("refuse?share=0&seed=0")

            assert (ran.code, ran.report["summary"]["copied"]) == (0, repositories * tags), ran.report["errors"]
            assert destination.tags() == expected(repositories, tags)
            asked[share] = refusing.asked()
            stored = destination.counts()["blobs"]
            assert stored == repositories * (2 * tags + 1)
            (workplace.folder / "observed.jsonl").unlink()
    ratio = asked[0.5] / asked[0.0]
    assert 1.5 < ratio < 5
    record(
        f"{side} that answers 429 to half of all requests: requests",
        ratio,
        unit="×",
        note=f"of a run without refusals; {repositories * tags:,} images, all present",
    )


@_LONG
@pytest.mark.nightly
def test_registries_that_fail_a_fifth_of_all_requests(workplace):
    """Everything arrives in a few runs, with at most twice the requests."""
    repositories, tags = effort(3, 20), effort(10, 50)
    asked = {}
    for chance in (0.0, 0.054):  # of four faults each, so 20 % in all
        with (
            quick_registry(repositories, tags) as source,
            quick_registry() as destination,
            FaultProxy(source.host) as left,
            FaultProxy(destination.host) as right,
        ):
            for number, proxy in enumerate((left, right) if chance else ()):
                for seed, fault in enumerate((status(500), reset_unheard(), HalfAnswer(), TooMany("0"))):
                    proxy.add(fault, chance=chance, seed=10 * number + seed)
                proxy.add(corrupt_byte(), method="GET", target="/blobs/", chance=chance / 5, seed=number)
            # Of four tries a fifth all fail once in six hundred times: with a thousand tags to ask for, next to no run would end well.
            declare_load(workplace, left, right, repositories, retry={"attempts": 6, "interval": "0s"})
            runs = 1
            while (ran := workplace.run("apply", "-o", "json", "--state", f"state-{chance}", timeout=_WAIT_SECONDS)).code != 0:
                runs += 1
                assert runs <= 5, ran.stderr

            assert destination.tags() == expected(repositories, tags)
            assert destination.counts()["blobs"] >= repositories * (2 * tags + 1)
            asked[chance] = len(left.seen) + len(right.seen)
    ratio = asked[0.054] / asked[0.0]
    assert 1.2 < ratio < 2
    record(
        "registries that fail a fifth of all requests: requests",
        ratio,
        unit="×",
        note=f"of a run without failures; {repositories * tags:,} images, all present after {runs} runs, each of which plans again",
    )


@pytest.mark.timeout(3600)
@pytest.mark.only_nightly
@pytest.mark.parametrize("after", [None, "1"], ids=["bare", "Retry-After: 1"])
def test_real_registry_behind_random_429s(after, lab):
    """The same with docker-registry, the default retry policy and without Retry-After."""
    images = {str(number): lab.push("app", str(number), image((lab.name, number), layers=1)) for number in range(12)}
    refusing = lab.destination.add(TooMany(after), chance=0.5, seed=7)
    lab.declare("app", "referrers: false", retry="{attempts: 4, interval: 4s}")
    began = time.monotonic()

    ran = lab.run("apply", "-o", "json", timeout=1800)

    assert ran.code == 0, ran.stderr
    assert all(lab.served_manifest("app", tag) == content.raw for tag, content in images.items())
    calm = 2 + 12 * 5
    assert refusing.refused < 3 * calm
    record(
        f"destination that answers 429 to half of all requests, {'Retry-After: 1' if after else 'no Retry-After'}: time",
        time.monotonic() - began,
        unit="s",
        note=f"12 images, {len(lab.destination.seen)} requests, {refusing.refused} of them refused; default retry settings",
    )


# More than are sorted at once, so that a larger mirror differs only in what it holds.
_FEW_REPOSITORIES, _MANY_REPOSITORIES, _TAGS = effort(10, 100), effort(26, 1000), effort(500, 1000)


@_LONG
@pytest.mark.nightly
def test_kept_tag_takes_little_memory(workplace):
    """What one more kept tag costs, as the difference between two mirrors."""
    peaks = {}
    with listed_registry(_TAGS) as host:
        workplace.allow_plain_http(host)
        for repositories in (_FEW_REPOSITORIES, _MANY_REPOSITORIES):
            paths = [name_repository(number) for number in range(repositories)]
            # As many lists are read at once in both.
            workplace.mirror("load", source={"registry": host, "repositories": paths}, destinations=[f"{host}/m"], referrers=False, concurrency={"queries": 4})
            remember_listed(workplace, host, paths)
            ran = workplace.run("apply", "--no-progress", timeout=_WAIT_SECONDS)
            assert ran.code == 0, ran.stderr
            assert f"{repositories * _TAGS} tags up to date" in ran.stdout
            peaks[repositories] = ran.peak_bytes
    more = (_MANY_REPOSITORIES - _FEW_REPOSITORIES) * _TAGS
    bytes_each = (peaks[_MANY_REPOSITORIES] - peaks[_FEW_REPOSITORIES]) / more
    assert bytes_each < effort(600, 350)
    record("apply of one kept tag: memory", bytes_each, unit="B", note=f"{more:,} tags more than {_TAGS * _FEW_REPOSITORIES:,}")
    record(f"apply of {_MANY_REPOSITORIES * _TAGS:,} kept tags: peak memory", peaks[_MANY_REPOSITORIES] / (1 << 20), unit="MiB", note="digests listed")


@_LONG
@pytest.mark.nightly
def test_lock_of_twenty_thousand_tags(workplace):
    """With digests in the listing: one request per page, little memory, and the same bytes again."""
    count = effort(2_000, 20_000)
    with listed_registry(count) as host:
        workplace.allow_plain_http(host, settings={host: {"listing": "gcr"}})
        workplace.mirror("load", source={"registry": host, "repositories": [name_repository(0)]}, destinations=[f"{host}/m"])
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        ran = [workplace.run("lock", "--no-progress", "-o", "json", timeout=_WAIT_SECONDS)]
        used, took = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before, time.monotonic() - began
        file = workplace.folder / "mirrors.lock/load.yaml"
        text = file.read_bytes()
        ran.append(workplace.run("lock", "--update", "--no-progress", "-o", "json", timeout=_WAIT_SECONDS))

    assert [one.code for one in ran] == [0, 0], ran[0].stderr
    assert ran[0].json["summary"]["add"] == count
    assert (file.read_bytes(), ran[1].json["changes"]) == (text, [])
    assert text.count(b"  - image: ") == count
    assert max(one.peak_bytes for one in ran) < 120 << 20
    record(f"lock of {count:,} tags: time", took, unit="s", note=f"{used:.1f} s of CPU, digests listed")
    record(f"lock of {count:,} tags: peak memory", ran[0].peak_bytes / (1 << 20), unit="MiB", note="digests listed")


def remember_listed(workplace, host: str, paths: list[str], tags: int = _TAGS) -> None:
    """Write the state of a run that mirrored every tag of *paths*."""
    with open_state(str(workplace.folder / ".imgsync" / "state"), thread=_Direct(), lock_timeout_seconds=0, on_warning=pytest.fail) as state:
        for path in paths:
            made_for = ("x/y", "platforms=all;referrers=none", "2026-01-01T00:00:00Z", "load")
            state.put([_make_record(host, path, tag, *made_for) for tag in name_tags(tags)])


def _make_record(host: str, path: str, tag: str, media_type: str, selection: str, moment: str, mirror: str) -> Record:
    digest = make_digest(path, tag)
    return Record(f"{host}/m/{path}:{tag}", digest, digest[-8:], 1000, media_type, f"{host}/{path}:{tag}", digest, selection, moment, mirror)
