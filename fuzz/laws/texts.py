"""Check what people write: references, durations, versions."""

from __future__ import annotations

import contextlib
import re

from fuzz.laws.shared import DATE
from imgsync.config.allowlist import is_allowed, parse_prefix
from imgsync.config.corrections import correct_list, correct_text
from imgsync.config.yaml_reader import parse_documents
from imgsync.errors import InvalidReferenceError, SelectionError, UsageError
from imgsync.filters.ranges import parse_range
from imgsync.filters.tag_versions import parse_tag_version
from imgsync.filters.tags import TagFilter, select_tags
from imgsync.filters.versions import parse_version
from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.url import parse_url
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.platform import parse_platform
from imgsync.oci.spec.reference import is_repository_path, is_tag, parse_reference, parse_registry, parse_repository
from imgsync.state.remote.reference import parse_remote
from imgsync.text.units import format_declared_duration, parse_duration, parse_rate, parse_size


def references(data: bytes) -> None:
    """
    Check references, repositories, registries, platforms, state locations and URLs.

    An accepted text, printed and parsed again, gives the same value.
    """
    text = data.decode("utf-8", "replace")
    _address(text)
    with contextlib.suppress(InvalidReferenceError):
        reference = parse_reference(text)
        assert parse_reference(str(reference)) == reference
        assert is_repository_path(reference.repository.path)
        assert not reference.tag or is_tag(reference.tag)
        assert not reference.digest or is_digest(reference.digest)
        assert str(reference).isascii()
        assert str(reference).isprintable()
    with contextlib.suppress(InvalidReferenceError):
        repository = parse_repository(text)
        assert parse_repository(str(repository)) == repository
    with contextlib.suppress(InvalidReferenceError):
        registry = parse_registry(text)
        assert parse_registry(registry) == registry
        # imgsync connects to the host that was named.
        host = registry.rpartition(":")[0]
        assert parse_url(f"https://{registry}/v2/")[0][1] in {registry, host, registry.strip("[]"), host.strip("[]")}
    with contextlib.suppress(InvalidReferenceError):
        prefix = parse_prefix(text)
        assert parse_prefix(prefix) == prefix
        # Some image is below it.
        assert is_allowed((prefix,), str(parse_repository(f"{prefix}/app/b")))
    with contextlib.suppress(InvalidReferenceError, UsageError):
        assert parse_remote(f"oci://{parse_remote(text)}") == parse_remote(text)
    with contextlib.suppress(ValueError):
        assert parse_platform(str(parse_platform(text))) == parse_platform(text)


def _address(url: str) -> None:
    """
    Check that imgsync connects to the host that other parsers find.

    The request target must be one line of ASCII.
    """
    try:
        (scheme, host, port), said, target = parse_url(url)
    except httpx.InvalidURL:
        return
    assert scheme in {"http", "https"}
    assert host
    assert 0 <= port < 1 << 16
    assert target.startswith("/")
    assert f"{said}{target}".isascii()
    assert f"{said}{target}".isprintable()
    assert " " not in target
    assert "@" not in said
    with contextlib.suppress(httpx.InvalidURL):
        # httpx, which parses URLs as browsers do, would connect to the same host.
        assert httpx.URL(f"{scheme}://{said}/").host.strip("[]") == host.strip("[]")


def durations(data: bytes) -> None:
    """
    Check durations.

    What is read is not negative, and what is written from it is read as the same. What an error says to write is valid.
    """
    text = data.decode("utf-8", "replace")
    _corrections(text)
    with contextlib.suppress(ValueError):
        seconds = parse_duration(text)
        assert 0 <= seconds < 1e15
        assert abs(parse_duration(format_declared_duration(seconds)) - seconds) <= max(1e-9, seconds * 1e-15)


def _corrections(text: str) -> None:
    for kind, parse in (("duration", parse_duration), ("size", parse_size), ("rate", parse_rate), ("platform", parse_platform)):
        written = correct_text(kind, text, example="3d")
        if written:
            parse(written)
            assert correct_text(kind, written, example="3d") == written
    words = [word for word in re.split(r"[,\s]+", text) if word.isprintable() and word]
    assert parse_documents(f"a: {correct_list(' '.join(words))}\n".encode("utf-8", "replace"), file="a")[0][0].value == {"a": words}


def versions(data: bytes) -> None:
    """
    Check version ranges and the order of versions.

    The first line is a range, the others are tags. A range is read or is a ValueError. The order is total, and the newest tags are some of the tags.
    """
    text, *tags = data.decode("utf-8", "replace").split("\n")
    with contextlib.suppress(ValueError):
        found = parse_range(text)
        for version in (parse_version(tag) for tag in tags):
            if version is not None:
                assert parse_version(str(version)) == version
                assert version.prerelease or found.allows(version, prereleases=True) or not found.allows(version, prereleases=False)
    keys = {tag: version.key for tag in tags if (version := parse_tag_version(tag)) is not None}
    assert len(set(keys.values())) == len(keys)
    for order in (None, "version", "semver", "date"):
        with contextlib.suppress(SelectionError):
            chosen = select_tags(tags, TagFilter(newest=2, order=order), created_at=lambda asked: dict.fromkeys(asked, DATE), now=DATE).tags
            assert len(chosen) <= 2
            assert set(chosen) <= set(tags)
