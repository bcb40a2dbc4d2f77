"""The newest tags are those that a person would name, in the tag lists of real images."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.errors import SelectionError
from imgsync.filters.tag_versions import parse_tag_version
from imgsync.filters.tags import TagFilter, select_tags

NOW = datetime(2026, 11, 1, tzinfo=UTC)

PYTHON = """latest slim bookworm alpine3.20 windowsservercore 3 3-slim 3.9 3.12 3.12-slim 3.12.9 3.12.10 3.12.10-slim-bookworm 3.13 3.13-rc 3.13.0 3.13.0a1
 3.13.0b4 3.13.0rc3 3.13.2 3.13.2-alpine3.20 3.13.2-slim 3.14-rc 3.14.0a1 3.14.0a10 3.14.0b1 3.14.0rc2-slim"""
NODE = "latest lts lts-alpine iron iron-bookworm-slim current alpine3.19 20 20-alpine 20.9.0 20.11.0 20.11.0-alpine3.19 20.11 22 22.1.0 22.10.0 22.2.0-slim"
GRAFANA = "latest main main-ubuntu dev 9.5.21 10.0.0 10.2.3 10.2.3-ubuntu 10.10.0-beta1 11.0.0-preview 11.6.0 11.6.0-ubuntu 11.6.0-87371 11.6.0-pre"
CILIUM = "latest stable v1.9 v1.9.18 v1.15.1 v1.15.10 v1.15.10-rc.1 v1.16.0-pre.3 v1.16.0-rc.2 v1.16.0 v1.16.3 v1.17.0-snapshot.2 v1.17.0-dev"
K3S = """latest stable v1.9.9-k3s1 v1.30.9-k3s1 v1.31.4-k3s1 v1.31.4-k3s2 v1.31.4-k3s10 v1.31.4-k3s10-amd64 v1.31.4-k3s10-arm64 v1.31.5-rc1-k3s1
 v1.31.5-rc1-k3s1-amd64"""
LINUXSERVER = """latest nightly develop 5.14.0.9383-ls9 5.14.0.9383-ls99 5.14.0.9383-ls231 5.9.1.9070-ls100 version-5.14.0.9383 amd64-5.14.0.9383-ls231
 arm64v8-5.14.0.9383-ls231 arm64v8-latest arm64v8-version-5.14.0.9383 nightly-5.15.1.9463-ls1"""
UBUNTU = "latest rolling devel focal jammy noble noble-20250404 jammy-20250126 oracular-20241120 20.04 22.04 22.10 23.10 24.04 24.10 25.04"
RABBITMQ = "latest management alpine 3 3-management 3.9.29 3.13 3.13.7 3.13.7-management-alpine 4 4-rc 4.0-rc 4.0.9 4.1.0-beta.4 4.1.0-rc.1-management 3.13.10"
KONG = "latest ubuntu 2.8 2.8.5 3.4.3.5 3.4.3.18 3.9.1 3.9.1-ubuntu 3.10.0.1 3.10.0.2 3.10.0.2-20250401-rhel 3.10 3.9.0.0-rc.1 nightly"
MINIO = """latest edge RELEASE.2024-12-18T13-15-44Z RELEASE.2025-04-03T14-56-28Z RELEASE.2025-04-22T22-12-26Z RELEASE.2025-04-22T22-12-26Z-cpuv1
 RELEASE.2025-04-22T17-30-00Z RELEASE.2025-04-08T15-41-24Z.fips RELEASE.2023-11-01T18-37-25Z"""
DEBIAN = "latest stable trixie bookworm bookworm-slim bookworm-20250317 trixie-20250317-slim 9 10.13 11.11 12 12.9 12.10 12.10-slim 12.2 unstable-20250317"
ALPINE = "latest edge 20250108 3 3.9 3.18.9 3.20 3.20.6 3.21 3.21.3 3.21.0 3.21.0_rc1"
POSTGRES = "latest alpine bookworm 9.6.24 15.12 16 16-bookworm 16.8 16.8-alpine3.21 17 17.4 17.4-alpine 17.10 18beta1 18rc1-alpine"
KUBE = "v1.9.11 v1.30.9 v1.31.0 v1.31.4 v1.32.0 v1.32.1 v1.33.0-alpha.1 v1.33.0-alpha.1.12_0123456789abcd v1.33.0-rc.0 latest"
ETCD = "3.5.9-0 3.5.15-0 3.5.16-0 3.6.0-0 3.6.0-rc.0-0 3.6.4-0 3.6.10-0"
OPENJDK = "latest 8 8u402-jdk 11-jre-slim 17-jdk 17.0.9 17.0.13-jdk 21-ea-jdk 21-jdk 22-ea-1-jdk"
CALENDAR = "latest 2024.12.31 2025.1.9 2025.02.03 2025.2.10 2025.10.01"
BUILDS = "main main-99-1a2b3c4 main-100-deadbee main-1000-0a1b2c3 main-1a2b3c4 main-1234567"
MSSQL = "latest 2017-latest 2019-CU9-ubuntu-20.04 2019-CU32-ubuntu-20.04 2022-CU2-ubuntu-22.04 2022-CU10-ubuntu-22.04 2022-latest"
HASHES = "latest stable 1234567 deadbeef 1a2b3c4 0123456789abcdef0123456789abcdef01234567 sha-1a2b3c4 1234567-amd64 1.2.3 1.10.0"
DATED = "latest 20240229 20241231 20250131 20250131-slim 202502010930"

REDIS = "latest bookworm 7 7.4 7.4.2 7.4.2-alpine 8.0-M01 8.0-M04 8.0-rc1 8.0 8.2-m01"
TOMCAT = "latest 9.0.98 10.1.34-jdk21 11.0.0-M9 11.0.0-M26 11.0.0-M26-jdk21 11.0.2-jdk21 11.0.10-jdk21"
CUDA = """11.8.0-cudnn8-devel-ubi8 12.5.1-devel-ubuntu24.04 12.6.2-base-ubuntu22.04 12.6.2-base-ubuntu24.04 12.6.2-devel-ubuntu24.04
 12.6.3-devel-ubuntu24.04 12.6.3-runtime-ubuntu24.04"""
TEMURIN = "latest 8u432-b06-jre 17.0.13_11-jre 21 21-jre 21.0.4_7-jre 21.0.5_9-jre 21.0.5_11-jre 21.0.5_11-jre-alpine 22.0.1_8-jre"
CERTGEN = "v1.4.4 v1.5.0 v20220916-gd32f8c343 v20221220-controller-v1.5.1-58-g787ea74b6 v20230407 v20231226-1a7112e06"


@pytest.mark.parametrize(("tags", "settings", "expected"), [
    (REDIS, {"newest": 1}, "8.0"),
    (REDIS, {"newest": 2, "include": ("8.0-M*",)}, "8.0-M01 8.0-M04"),
    (REDIS, {"newest": 1, "prereleases": True}, "8.2-m01"),
    (TOMCAT, {"newest": 2}, "11.0.2-jdk21 11.0.10-jdk21"),
    (CUDA, {"newest": 2, "include": ("*-devel-*", "*-base-*")}, "12.6.2-devel-ubuntu24.04 12.6.3-devel-ubuntu24.04"),
    (TEMURIN, {"newest": 1, "include": ("*_*-jre",)}, "22.0.1_8-jre"),
    (TEMURIN, {"newest": 1, "newest_per": "major", "include": ("*-jre",)}, "8u432-b06-jre 17.0.13_11-jre 21.0.5_11-jre 22.0.1_8-jre"),
    (TEMURIN, {"newest": 2, "semver": (">=21.0.1 <22",), "extract": ("(.+)-jre",)}, "21.0.5_9-jre 21.0.5_11-jre"),
    (TEMURIN, {"newest": 1, "order": "semver", "semver": ("^21",), "extract": ("(.+)-jre",)}, "21.0.5_11-jre"),
    (CERTGEN, {"newest": 1}, "v1.5.0"),
    (CERTGEN, {"newest": 1, "include": ("v2022*", "v2023*")}, "v20231226-1a7112e06"),
    (CERTGEN, {"semver": (">=1.4",)}, "v1.4.4 v1.5.0"),
    (ALPINE, {"newest": 1}, "3.21.3"),
    (ALPINE, {"newest": 1, "order": "semver"}, "3.21.3"),
    (ALPINE, {"semver": (">=3.20.6",)}, "3.20.6 3.21 3.21.0 3.21.3"),
    (ALPINE, {"semver": (">=3.21",), "prereleases": True}, "3.21 3.21.0 3.21.0_rc1 3.21.3"),
    (PYTHON, {"newest": 2}, "3.13.2 3.13.2-slim"),
    (PYTHON, {"newest": 1, "newest_per": "minor"}, "3.9 3.12.10 3.13.2"),
    (PYTHON, {"newest": 1, "newest_per": "minor", "regex": (r"\d+\.\d+\.\d+",)}, "3.12.10 3.13.2"),
    (PYTHON, {"newest": 3, "prereleases": True}, "3.14-rc 3.14.0rc2-slim 3.14.0b1"),
    (PYTHON, {"newest": 2, "include": ("3.14.0a*",)}, "3.14.0a1 3.14.0a10"),
    (NODE, {"newest": 2}, "22.10.0 22.2.0-slim"),
    (NODE, {"newest": 1, "newest_per": "major"}, "20.11.0 22.10.0"),
    (NODE, {"newest": 1, "extract": (r"(\d+\.\d+\.\d+)-alpine.*",)}, "20.11.0-alpine3.19"),
    (GRAFANA, {"newest": 1}, "11.6.0"),
    (GRAFANA, {"newest": 1, "newest_per": "major"}, "9.5.21 10.2.3 11.6.0"),
    (GRAFANA, {"newest": 2, "include": ("*-ubuntu",)}, "10.2.3-ubuntu 11.6.0-ubuntu"),
    (CILIUM, {"newest": 2}, "v1.16.0 v1.16.3"),
    (CILIUM, {"newest": 1, "newest_per": "minor"}, "v1.9.18 v1.15.10 v1.16.3"),
    (CILIUM, {"newest": 2, "prereleases": True}, "v1.17.0-dev v1.17.0-snapshot.2"),
    (K3S, {"newest": 2, "regex": (".*k3s[0-9]+",)}, "v1.31.4-k3s10 v1.31.4-k3s2"),
    (K3S, {"newest": 1}, "v1.31.4-k3s10"),
    (K3S, {"newest": 1, "newest_per": "minor"}, "v1.9.9-k3s1 v1.30.9-k3s1 v1.31.4-k3s10"),
    (K3S, {"newest": 1, "prereleases": True}, "v1.31.5-rc1-k3s1"),
    (LINUXSERVER, {"newest": 2}, "5.14.0.9383-ls231 5.14.0.9383-ls99"),
    (LINUXSERVER, {"newest": 1, "include": ("arm64v8-?.*",)}, "arm64v8-5.14.0.9383-ls231"),
    (UBUNTU, {"newest": 2}, "24.10 25.04"),
    (UBUNTU, {"newest": 1, "exclude": ("2[0123].*",)}, "25.04"),
    (UBUNTU, {"newest": 1, "include": ("jammy-*",)}, "jammy-20250126"),
    (UBUNTU, {"newest": 1, "newest_per": "major"}, "20.04 22.10 23.10 24.10 25.04"),
    (RABBITMQ, {"newest": 1}, "4.0.9"),
    (RABBITMQ, {"newest": 1, "newest_per": "minor"}, "3.9.29 3.13.10 4.0.9"),
    (RABBITMQ, {"newest": 1, "prereleases": True, "regex": (r"[0-9.]+(-(rc|beta)\.\d+)?",)}, "4.1.0-beta.4"),
    (KONG, {"newest": 2}, "3.10.0.2 3.10.0.2-20250401-rhel"),
    (KONG, {"newest": 1, "newest_per": "minor"}, "2.8.5 3.4.3.18 3.9.1 3.10.0.2"),
    (MINIO, {"newest": 1}, "RELEASE.2025-04-22T22-12-26Z"),
    (MINIO, {"newest": 2, "exclude": ("*-cpuv1",)}, "RELEASE.2025-04-22T17-30-00Z RELEASE.2025-04-22T22-12-26Z"),
    (MINIO, {"newest": 1, "newest_per": "major"}, "RELEASE.2023-11-01T18-37-25Z RELEASE.2024-12-18T13-15-44Z RELEASE.2025-04-22T22-12-26Z"),
    (DEBIAN, {"newest": 2, "exclude": ("*-slim",)}, "12.9 12.10"),
    (DEBIAN, {"newest": 1, "newest_per": "major"}, "9 10.13 11.11 12.10"),
    (DEBIAN, {"newest": 1, "include": ("bookworm*",)}, "bookworm-20250317"),
    (ALPINE, {"newest": 1, "include": ("3*",)}, "3.21.3"),
    (ALPINE, {"newest": 1, "newest_per": "minor", "include": ("3*",)}, "3.9 3.18.9 3.20.6 3.21.3"),
    (POSTGRES, {"newest": 1}, "17.10"),
    (POSTGRES, {"newest": 1, "newest_per": "major"}, "9.6.24 15.12 16.8 17.10"),
    (POSTGRES, {"newest": 1, "prereleases": True}, "18rc1-alpine"),
    (KUBE, {"newest": 1}, "v1.32.1"),
    (KUBE, {"newest": 1, "newest_per": "minor"}, "v1.9.11 v1.30.9 v1.31.4 v1.32.1"),
    (KUBE, {"newest": 1, "prereleases": True}, "v1.33.0-rc.0"),
    (KUBE, {"newest": 2, "order": "semver"}, "v1.32.0 v1.32.1"),
    (ETCD, {"newest": 2}, "3.6.4-0 3.6.10-0"),
    (ETCD, {"newest": 1, "order": "semver"}, "3.6.10-0"),
    (OPENJDK, {"newest": 1}, "21-jdk"),
    (CALENDAR, {"newest": 2}, "2025.2.10 2025.10.01"),
    (CALENDAR, {"newest": 2, "semver": ("2025",)}, "2025.2.10 2025.10.01"),
    (BUILDS, {"newest": 2}, "main-100-deadbee main-1000-0a1b2c3"),
    (MSSQL, {"newest": 2}, "2022-CU10-ubuntu-22.04 2022-latest"),
    (HASHES, {"newest": 3}, "1.2.3 1.10.0"),
    (HASHES, {"newest": 1, "semver": (">=1",)}, "1.10.0"),
    (DATED, {"newest": 1, "regex": ("[0-9]{8}",)}, "20250131"),
    ("1.2.3-ls9 1.2.3-ls12 1.2.3-ls99 1.2.3-ls100", {"newest": 1}, "1.2.3-ls100"),
    ("v1.31.4-rke2r2 v1.31.4-rke2r10", {"newest": 1}, "v1.31.4-rke2r10"),
    ("2.0.0-rc9 2.0.0-rc10", {"newest": 1}, "2.0.0-rc10"),
    ("1.0 1.0.0 1.0-alpine 1.0-rc1", {"newest": 3}, "1.0-alpine 1.0 1.0.0"),
    ("11.6.0 11.6.0-security-01 11.6.0-ubuntu", {"newest": 1}, "11.6.0-security-01"),
    ("1.0 1.0.post1 1.0.post2 1.0.dev3", {"newest": 2}, "1.0.post1 1.0.post2"),
    ("2.0.0.Final 2.0.0.CR1 2.1.0.Beta2 1.9-SNAPSHOT", {"newest": 2}, "2.0.0.Final"),
    ("stable 1.1 1.2", {"newest": 1, "newest_per": "minor"}, "1.1 1.2"),
    ("15 16 17", {"newest": 1, "newest_per": "minor"}, "15 16 17"),
    ("1.2.3 1.2.3-4 v1.3.0_1 v1.3.0_10", {"newest": 1, "order": "version"}, "v1.3.0_10"),
])  # fmt: skip
def test_newest_of_real_tag_lists(tags, settings, expected):
    """No date is asked for where the tags are versions."""

    def created_at(tags):
        raise AssertionError(tags)

    assert set(select_tags(tags.split(), TagFilter(**settings), created_at=created_at, now=NOW).tags) == set(expected.split())


def select(tags: str, dates: str = "", **settings: object) -> list[tuple[str, str, str]]:
    """Return each step, what is left or dropped, and its remark; a date is a number of days ago, `-` no date."""
    known = {tag: None if age == "-" else NOW - timedelta(days=int(age)) for tag, age in zip(tags.split(), dates.split(), strict=False)}
    found = select_tags(tags.split(), TagFilter(**settings), created_at=lambda asked: {tag: known[tag] for tag in asked if tag in known}, now=NOW)
    return [(step.name, " ".join(step.dropped), step.remark) for step in found.steps[1:]] + [("selected", " ".join(found.tags), "")]


def test_tags_that_are_no_versions_are_set_aside_and_said():
    """Never first, however new."""
    assert select("latest stable 1.0 1.1 deadbee 1234567", newest=1) == [
        ("order by version", "1234567 deadbee latest stable", "not versions"),
        ("newest", "1.0", ""),
        ("selected", "1.1", ""),
    ]


def test_words_go_by_date_where_all_have_one():
    """The remark says why."""
    assert select("nightly-a nightly-b nightly-c", "3 1 2", newest=1) == [
        ("order by date", "", "none of 3 tags reads as a version"),
        ("newest", "nightly-a nightly-c", ""),
        ("selected", "nightly-b", ""),
    ]


def test_few_words_need_no_order():
    """All are kept, and no date is asked for."""
    assert select("latest edge", "", newest=2) == [("newest", "", ""), ("selected", "edge latest", "")]
    assert select("", "", newest=2) == [("newest", "", ""), ("selected", "", "")]


def test_different_words_before_the_version_go_by_date():
    """No order compares Debian's code names."""
    assert select("bookworm-20250101 trixie-20240101", "20 10", newest=1)[0] == (
        "order by date", "", "different words stand before the versions (bookworm, trixie)",
    )  # fmt: skip


@pytest.mark.parametrize(("tags", "dates", "settings", "message", "hint"), [
    ("a b c", "1 - -", {}, "no order for newest: none of 3 tags reads as a version, and 2 tags without a date: b, c", "set `order: date`"),
    ("a-1 b-2", "- -", {}, r"different words stand before the versions \(a, b\), and 2 tags without", "set `order: date`"),
    ("a b", "1 2", {"order": "version"}, "no order by version: none of 2 tags reads as a version", "set `order`"),
    ("a b", "1 2", {"order": "semver"}, "no order by semver: none of 2 tags", "set `order`"),
    ("a b", "1 2", {"newest_per": "minor"}, "newest_per needs versions: none of 2 tags", "leave out `newest_per`"),
    ("1.0 1.1", "1 2", {"newest_per": "minor", "order": "date"}, "newest_per needs versions, not dates", "set `order: version`"),
])  # fmt: skip
def test_unclear_order_is_an_error_that_says_what_to_set(tags, dates, settings, message, hint):
    """Nothing is chosen by the alphabet."""
    with pytest.raises(SelectionError, match=message) as found:
        select(tags, dates, **{"newest": 1, **settings})

    assert found.value.hint.startswith(hint)


def test_order_by_date_sets_aside_what_has_none():
    """Versions are not looked at, apart from pre-releases; a tag that could not be read is left out."""
    assert select("1.0 2.0 3.0-rc1 b unread", "1 2 0 -", newest=1, order="date") == [
        ("order by date", "b unread", "no date"),
        ("prereleases", "3.0-rc1", ""),
        ("newest", "2.0", ""),
        ("selected", "1.0", ""),
    ]


def test_default_by_date_leaves_out_what_could_not_be_read():
    """The others decide."""
    assert select("a b unread", "2 1", newest=1)[-1] == ("selected", "b", "")


@pytest.mark.parametrize(("tags", "settings", "dropped"), [
    ("v1.32.1 v1.33.0-alpha.1", {"newest": 1}, "v1.33.0-alpha.1"),
    ("v1.32.1 v1.33.0-alpha.1", {"semver": ("*",)}, "v1.33.0-alpha.1"),
    ("3.5.15-0 3.5.16-0", {"semver": (">=3.5",)}, "3.5.15-0 3.5.16-0"),
    ("1.0.0 1.1.0-alpine 1.1.0-rc1", {"newest": 1, "order": "version"}, "1.1.0-rc1"),
    ("1.0.0 1.1.0-alpine 1.1.0-rc1", {"newest": 1, "order": "semver"}, "1.1.0-alpine 1.1.0-rc1"),
])  # fmt: skip
def test_what_falls_as_a_prerelease_is_a_step_of_its_own(tags, settings, dropped):
    """For ranges and `newest` alike."""
    assert ("prereleases", dropped, "") in select(tags, **settings)


def test_only_prereleases_left_are_kept_by_newest():
    """As pip does; the remark says so."""
    assert ("prereleases", "", "every tag left is a pre-release, so they are kept") in select("2.0.0-rc9 2.0.0-rc10", newest=1)


def test_undated_tags_fall_by_name_before_max_age():
    """They are not lost in silence."""
    assert select("a b c", "1 - 100", max_age_seconds=90 * 86400.0) == [
        ("date", "b", "no date, or not readable"),
        ("max_age", "c", ""),
        ("selected", "a", ""),
    ]


def test_hash_that_looks_like_a_date_stays_a_hash_among_hashes():
    """Eight digits can be both."""
    assert select("20240131 deadbeef 0a1b2c3d", "3 2 1", newest=1)[-1] == ("selected", "0a1b2c3d", "")
    assert select("20240131 20240201", newest=1)[-1] == ("selected", "20240201", "")


TAGS = st.one_of(
    st.sampled_from([*PYTHON.split(), *K3S.split(), *MINIO.split(), *KONG.split(), *HASHES.split()]),
    st.text(alphabet="0123456789.-_+vabrc", max_size=12),
    st.lists(st.sampled_from(["1", "0", "10", "002", ".", "-", "rc", "beta", "alpine", "v", "_"]), max_size=8).map("".join),
)


@given(st.lists(TAGS, min_size=3, max_size=3))
def test_order_of_versions_is_total(tags):
    """Transitive, and no two tags are equal."""
    keys = {tag: version.key for tag in tags if (version := parse_tag_version(tag)) is not None}

    assert len(set(keys.values())) == len(keys)
    ordered = sorted(keys, key=keys.__getitem__)
    assert all(keys[first] < keys[second] for first, second in pairwise(ordered))


@given(TAGS, st.integers(0, 2**40), st.integers(1, 2**40))
def test_larger_number_is_newer_wherever_it_stands(tag, number, more):
    """Beside the same words."""
    first, second = (parse_tag_version(f"1.{tag.strip('0123456789')}-{one}") for one in (number, number + more))

    assert first is not None
    assert second is not None
    assert first.key < second.key


@pytest.mark.row("DOS-13")
def test_tens_of_thousands_of_tags_are_ordered_quickly():
    """Also hostile ones, with long runs of digits or letters."""
    tags = [f"v{major}.{minor}.{patch}{suffix}" for major in range(5) for minor in range(50) for patch in range(30) for suffix in ("", "-alpine", "-rc1")]
    began = time.process_time()

    found = select_tags([*tags, "1" * 100_000, "a" * 100_000, "1." * 50_000, "-" * 9, "9a" * 50_000], TagFilter(newest=1), created_at=lambda _: {}, now=NOW)

    assert len(found.tags) == 1
    assert time.process_time() - began < 4
