"""Responses are read up to a limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.figures import record
from tests.support.images import OCI, image, push
from tests.support.outcomes import error_of, only_plan_error
from tests.support.registry_process import RegistryProcess
from tests.support.run_imgsync import Result, Workplace
from tests.switches import Raw, Respond
from tests.switches.content import Endless, bomb

MEBIBYTE = 1 << 20


# The extra memory that a registry's answers may cost.
GROWTH = 32 * MEBIBYTE


# What an endless body may have sent before its reader has had enough: a limit of a few MiB, and what lies in sockets on the way.
TAKEN = 24 * MEBIBYTE


JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="session")
def plain_bytes(registry: RegistryProcess, second_registry: RegistryProcess, tmp_path_factory: pytest.TempPathFactory) -> int:
    """Return the memory of a run that copies one image normally."""
    place = Workplace(tmp_path_factory.mktemp("plain"))
    push(registry, "plain/app", "1", image("plain"))
    place.mirror("plain", source=f"{registry.host}/plain/app", destinations=[f"{second_registry.host}/m"])
    place.allow_plain_http(registry, second_registry)
    ran = place.run("apply")
    assert ran.code == 0, ran.stderr
    assert ran.peak_bytes > 20 * MEBIBYTE, "it is measured"
    return ran.peak_bytes


@pytest.fixture(scope="session")
def growths() -> Iterator[list[int]]:
    """Collect the extra memory of runs, for the reliability page."""
    found: list[int] = []
    yield found
    if found:
        note = f"{len(found)} kinds of endless or exploding answers"
        record("most memory that a registry's answer added to a plain run", round(max(found) / MEBIBYTE, 1), unit="MiB", note=note)


@pytest.fixture
def assert_bounded(plain_bytes: int, growths: list[int]) -> Callable[..., None]:
    """Assert that a run used little more memory."""

    def check(ran: Result) -> None:
        growths.append(ran.peak_bytes - plain_bytes)
        assert ran.peak_bytes - plain_bytes < GROWTH

    return check


@pytest.mark.row("DOS-01")
@pytest.mark.parametrize(
    "framing",
    ["chunked", "close", "raw"],
    ids=["chunked", "to the connection's end", "a length of 8 GiB"],
)
def test_endless_manifest_is_read_to_four_mebibytes(framing, lab, assert_bounded):
    """In every framing; then the connection is closed, and the other image is planned."""
    lab.push("app", "1", image(1))
    lab.push("app", "2", image(2))
    start = b'{"schemaVersion": 2, "x": "'
    if framing == "raw":
        start = f"HTTP/1.1 200 OK\r\nContent-Type: {OCI['manifest']}\r\nContent-Length: {8 << 30}\r\n\r\n".encode() + start
    endless = lab.source.add(Endless(start=start, framing=framing, headers={"Content-Type": OCI["manifest"]}), method="GET", target="/manifests/1$")
    lab.declare("app")

    ran = lab.run("plan", "-o", "json")

    assert "the response is larger than 4096 KiB" in only_plan_error(ran)
    assert ran.json["summary"]["create"] == 1
    assert endless.sent < TAKEN
    assert_bounded(ran)


@pytest.mark.row("DOS-01")
@pytest.mark.parametrize("filling", [b"{},", b"[],", b'"",', b"0,"], ids=["objects", "lists", "texts", "numbers"])
def test_manifest_of_a_million_values_is_refused(filling, lab, assert_bounded):
    """Values are counted before they are parsed."""
    lab.push("app", "1", image(1))
    raw = b'{"schemaVersion": 2, "layers": [], "x": [' + filling * (3_900_000 // len(filling)) + b"0]}"
    lab.source.add(Respond(200, raw, headers={"Content-Type": OCI["manifest"]}), method="GET", target="/manifests/1$")
    lab.declare("app")

    ran = lab.run("plan", "-o", "json")

    assert "more than 100,000 values" in only_plan_error(ran)
    assert_bounded(ran)


BOMBS = {
    "manifest": {"target": "/manifests/1$", "method": "GET"},
    "tags": {"target": "/tags/list"},
    "error": {"target": "/manifests/1$", "method": "GET", "status": 404},
    "refusal": {"target": "/tags/list", "status": 401, "headers": {"WWW-Authenticate": 'Basic realm="x"'}},
    "redirect": {"target": "/tags/list", "status": 307, "headers": {"Location": "/v2/elsewhere"}},
    "token": {"target": "^/token"},
}


@pytest.mark.row("DOS-02")
@pytest.mark.parametrize("where", BOMBS)
def test_compression_bomb_is_not_unpacked(where, lab, assert_bounded):
    """No response is unpacked beyond its limit."""
    lab.push("app", "1", image(1))
    settings = dict(BOMBS[where])
    if where == "token":
        challenge = {"WWW-Authenticate": f'Bearer realm="{lab.source.url}/token",service="x"'}
        lab.source.add(Respond(401, headers=challenge), target="^/v2/")
    packed = bomb(60 * MEBIBYTE, status=settings.pop("status", 200), headers=settings.pop("headers", {}))
    lab.source.add(packed, **settings)
    lab.declare("app")

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 1
    assert lab.source.requests(settings["target"].removeprefix("^").removesuffix("$"))
    assert_bounded(ran)


@pytest.mark.row("DOS-02")
def test_gzip_of_empty_blocks_ends(lab, assert_bounded):
    """The compressed bytes are limited too."""
    lab.push("app", "1", image(1))
    empty_blocks = b"\x00\x00\x00\xff\xff" * 10_000
    endless = Endless(start=b"\x1f\x8b\x08\0\0\0\0\0\0\xff", piece=empty_blocks, headers={"Content-Encoding": "gzip"})
    lab.source.add(endless, method="GET", target="/manifests/1$")
    lab.declare("app")

    ran = lab.run("plan", "-o", "json")

    assert "larger than 4096 KiB" in only_plan_error(ran)
    assert endless.sent < TAKEN
    assert_bounded(ran)


@pytest.mark.row("DOS-04")
def test_endless_page_of_tags_is_read_to_its_limit(lab, assert_bounded):
    """A page may have 6 MiB; nothing of a longer one is parsed."""
    lab.push("app", "1", image(1))
    endless = lab.source.add(Endless(start=b'{"tags": ["', piece=b'aaaaaaaa","' * 6000), target="/tags/list")
    lab.declare("app")

    ran = lab.run("plan", "-o", "json")

    assert "the response is larger than 6144 KiB" in only_plan_error(ran)
    assert endless.sent < TAKEN
    assert_bounded(ran)


@pytest.mark.row("DOS-04")
def test_largest_page_is_parsed_within_bounds(lab, assert_bounded):
    """Nearly 150,000 texts that take more memory than on the wire."""
    lab.push("app", "1", image(1))
    page = b'{"name":"app","tags":[' + b'"\\ud83d\\ude00aaaaaaaa",' * 149_000 + b'"1"]}'
    lab.source.add(Respond(200, page), target="/tags/list")
    lab.declare("app")

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert_bounded(ran)


@pytest.mark.row("DOS-05")
@pytest.mark.parametrize(
    "headers",
    [b"X: " + b"x" * 200_000 + b"\r\n", b"".join(b"X-%d: %s\r\n" % (number, b"x" * 30) for number in range(5000))],
    ids=["one header of 200 KB", "5000 headers"],
)
def test_giant_head_is_one_clear_error(headers, lab, assert_bounded):
    """One request, one error."""
    lab.push("app", "1", image(1))
    lab.source.add(Raw(JSON_HEAD + headers + b"Content-Length: 2\r\n\r\n{}"), target="/tags/list")
    lab.declare("app")

    ran = lab.run("plan", "-o", "json")

    assert "the response head is larger than 64 KiB" in only_plan_error(ran)
    assert len(lab.source.requests("tags/list")) == 1
    assert_bounded(ran)


@pytest.mark.row("DOS-09")
@pytest.mark.parametrize("status", [401, 404, 500])
def test_endless_error_page_is_read_to_its_limit(status, lab, assert_bounded):
    """64 KiB are read."""
    lab.push("app", "1", image(1))
    challenge = {"WWW-Authenticate": 'Basic realm="x"'} if status == 401 else {}
    endless = lab.source.add(Endless(status, start=b"<html>", headers={"Content-Type": "text/html", **challenge}), target="/tags/list")
    lab.declare("app")

    ran = lab.run("plan", "-o", "json")

    assert f"list tags of {lab.source.host}/{lab.name}/app (source): {status}" in only_plan_error(ran)
    assert endless.sent < TAKEN
    assert_bounded(ran)


DEPTHS = {
    "manifest": {"target": "/manifests/1$", "method": "GET"},
    "tags": {"target": "/tags/list"},
    "catalog": {"target": "_catalog"},
    "error": {"target": "/tags/list", "status": 403},
    "token": {"target": "^/token"},
    "referrers": {"target": "/referrers/"},
}


@pytest.mark.row("DOS-16")
@pytest.mark.parametrize(("where", "opening"), [*((where, b"[") for where in DEPTHS), ("manifest", b'{"a":'), ("error", b'{"errors":[')])
def test_deeply_nested_json_is_one_error(where, opening, lab):
    """At each place that reads JSON."""
    lab.push("app", "1", image(1))
    settings = dict(DEPTHS[where])
    if where == "token":
        lab.source.add(Respond(401, headers={"WWW-Authenticate": f'Bearer realm="{lab.source.url}/token",service="x"'}), target="^/v2/")
    headers = {"Content-Type": OCI["index"] if where == "referrers" else "application/json"}
    lab.source.add(Respond(settings.pop("status", 200), opening * (60_000 // len(opening)), headers=headers), **settings)
    lab.declare("" if where == "catalog" else "app", namespaces=f"[{lab.name}]" if where == "catalog" else "[]")

    ran = lab.run("apply", "-o", "json")

    if where == "referrers":
        # The image is complete; what refers to it cannot be known.
        assert ran.code == 0
        assert [line["reason"] for line in ran.events("referrers.incomplete") if "the manifest is not valid JSON" in line["reason"]]
        assert lab.served_tags("app") == ["1"]
    else:
        assert error_of(ran)
        assert lab.served_tags("app") == []
    assert lab.source.requests(settings["target"].removeprefix("^").removesuffix("$"))
