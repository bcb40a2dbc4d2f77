"""Nobody can make a run grow, hang or ask without an end: DOS-01 … DOS-16 of docs/threat-model.md."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgsync.config.load import load_config
from imgsync.errors import ConfigError, UnexpectedResponseError
from imgsync.filters.globs import compile_expression
from imgsync.oci.auth.challenge import parse_challenges
from imgsync.oci.errors import Operation
from imgsync.oci.listing.page import Names
from tests import switches
from tests.figures import record
from tests.support.effort import effort
from tests.support.images import OCI, image, push, to_json
from tests.support.registry_process import RegistryProcess
from tests.support.run_imgsync import Result, Workplace
from tests.support.wire import plain_answer
from tests.support.witness import assert_served
from tests.switches import Hold, Raw, Respond
from tests.switches.content import Endless, Pages, bomb

MEBIBYTE = 1 << 20
# More than a plain run, whatever a registry sends.
GROWTH = 32 * MEBIBYTE
# What an endless body may have sent before its reader has had enough: a limit of a few MiB, and what lies in sockets on the way.
TAKEN = 24 * MEBIBYTE
# A page of a listing.
PAGE = 32 * MEBIBYTE
JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="session")
def plain_bytes(registry: RegistryProcess, second_registry: RegistryProcess, tmp_path_factory: pytest.TempPathFactory) -> int:
    """The memory of a run that copies one image and meets nobody who lies."""
    place = Workplace(tmp_path_factory.mktemp("plain"))
    push(registry, "plain/app", "1", image("plain"))
    place.mirror("plain", source=f"{registry.host}/plain/app", destinations=[f"{second_registry.host}/m"])
    place.trust_plain(registry, second_registry)
    ran = place.run("apply")
    assert ran.code == 0, ran.stderr
    assert ran.peak_bytes > 20 * MEBIBYTE, "it is measured"
    return ran.peak_bytes


@pytest.fixture(scope="session")
def growths() -> Iterator[list[int]]:
    """What hostile registries made runs grow by, in bytes; the most is kept for the reliability page."""
    found: list[int] = []
    yield found
    if found:
        note = f"{len(found)} kinds of endless or exploding answers, pages of listings left aside, which may have 32 MiB"
        record("most memory that a registry's answer added to a plain run", round(max(found) / MEBIBYTE, 1), unit="MiB", note=note)


@pytest.fixture
def assert_bounded(plain_bytes: int, growths: list[int]) -> Callable[..., None]:
    """Assert that a run took no more memory than a plain one and a little, *besides* what it may well have taken."""

    def check(ran: Result, *, besides: int = 0) -> None:
        if not besides:
            growths.append(ran.peak_bytes - plain_bytes)
        assert ran.peak_bytes - plain_bytes < besides + GROWTH

    return check


def only_plan_error(ran: Result) -> str:
    """Return the one error of a plan."""
    assert ran.code == 1, ran.stdout
    (error,) = ran.json["errors"]
    return str(error["message"])


@pytest.mark.row("DOS-01")
@pytest.mark.parametrize(
    "framing",
    ["chunked", "close", "raw"],
    ids=["chunked", "to the connection's end", "a length of 8 GiB"],
)
def test_endless_manifest_is_left_at_four_mebibytes(framing, registry, name, declare, imgsync, source, assert_bounded):
    """However its end is announced, a manifest is read to its limit, and the connection closed; the other image is planned."""
    push(registry, f"{name}/app", "1", image(1))
    push(registry, f"{name}/app", "2", image(2))
    start = b'{"schemaVersion": 2, "x": "'
    if framing == "raw":
        start = f"HTTP/1.1 200 OK\r\nContent-Type: {OCI['manifest']}\r\nContent-Length: {8 << 30}\r\n\r\n".encode() + start
    endless = source.add(Endless(start=start, framing=framing, headers={"Content-Type": OCI["manifest"]}), method="GET", target="/manifests/1$")
    declare(f"[{name}/app]")

    ran = imgsync("plan", "-o", "json")

    assert "the answer is larger than 4096 KiB" in only_plan_error(ran)
    assert ran.json["summary"]["create"] == 1
    assert endless.sent < TAKEN
    assert_bounded(ran)


@pytest.mark.row("DOS-01")
@pytest.mark.parametrize("filling", [b"{},", b"[],", b'"",', b"0,"], ids=["objects", "lists", "texts", "numbers"])
def test_manifest_of_a_million_values_is_refused_unread(filling, registry, name, declare, imgsync, source, assert_bounded):
    """Less than 4 MiB of text may be a hundred of values: they are counted before they are made."""
    push(registry, f"{name}/app", "1", image(1))
    raw = b'{"schemaVersion": 2, "layers": [], "x": [' + filling * (3_900_000 // len(filling)) + b"0]}"
    source.add(Respond(200, raw, headers={"Content-Type": OCI["manifest"]}), method="GET", target="/manifests/1$")
    declare(f"[{name}/app]")

    ran = imgsync("plan", "-o", "json")

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
def test_compression_bomb_is_not_unpacked(where, registry, name, declare, imgsync, source, assert_bounded):
    """A few KiB that unpack to 60 MiB: wherever an answer is read, no more is unpacked than it may be long."""
    push(registry, f"{name}/app", "1", image(1))
    settings = dict(BOMBS[where])
    if where == "token":
        challenge = {"WWW-Authenticate": f'Bearer realm="{source.url}/token",service="x"'}
        source.add(Respond(401, headers=challenge), target="^/v2/")
    packed = bomb(60 * MEBIBYTE, status=settings.pop("status", 200), headers=settings.pop("headers", {}))
    source.add(packed, **settings)
    declare(f"[{name}/app]")

    ran = imgsync("plan", "-o", "json")

    assert ran.code == 1
    assert source.requests(settings["target"].removeprefix("^").removesuffix("$"))
    assert_bounded(ran, besides=PAGE if where == "tags" else 0)


@pytest.mark.row("DOS-02")
def test_gzip_that_never_unpacks_to_a_byte_ends(registry, name, declare, imgsync, source, assert_bounded):
    """What comes is counted, not only what it unpacks to: empty blocks of gzip could come for ever."""
    push(registry, f"{name}/app", "1", image(1))
    empty_blocks = b"\x00\x00\x00\xff\xff" * 10_000
    endless = Endless(start=b"\x1f\x8b\x08\0\0\0\0\0\0\xff", piece=empty_blocks, headers={"Content-Encoding": "gzip"})
    source.add(endless, method="GET", target="/manifests/1$")
    declare(f"[{name}/app]")

    ran = imgsync("plan", "-o", "json")

    assert "larger than 4096 KiB" in only_plan_error(ran)
    assert endless.sent < TAKEN
    assert_bounded(ran)


# The names of each page, the cursor to the next, and how many are asked for at most.
ENDLESS_PAGES: dict[str, tuple[Callable[[int], list[str]], Callable[[int], str], int]] = {
    "back to itself": (lambda _: ["1"], lambda _: "x", 3),
    "in a circle": (lambda number: [str(number % 3)], lambda number: str(number % 3), 6),
    "ever new cursors": (lambda number: [str(number % 2)], str, 110),
    "empty pages": (lambda _: [], str, 110),
}


@pytest.mark.row("DOS-03")
@pytest.mark.parametrize(("names", "cursor", "most"), ENDLESS_PAGES.values(), ids=ENDLESS_PAGES)
@pytest.mark.parametrize("field", ["tags", "repositories"])
def test_listing_without_an_end_fails(field, names, cursor, most, registry, name, declare, imgsync, source):
    """A listing that leads on for ever is an error after a hundred pages with nothing new; what was seen of it is never taken for the whole."""
    push(registry, f"{name}/app", "0", image(1))
    pages = source.add(Pages(names, cursor=cursor, field=field), target="/tags/list" if field == "tags" else "_catalog")
    declare(f"[{name}/app]" if field == "tags" else "[]", namespaces="[]" if field == "tags" else f"[{name}]")

    ran = imgsync("plan", "-o", "json")

    assert "the listing's pages never end" in only_plan_error(ran)
    assert ran.json["changes"] == []
    assert pages.served <= most


@pytest.mark.row("DOS-03")
def test_api_s_pages_that_come_again_fail(registry, name, declare, imgsync, write, source, destination):
    """So are those of a registry's own API: rows that were seen before, whatever cursor leads to them, end the listing."""
    served = itertools.count()

    class Quay(switches.Switch):
        def request(self, request):
            number = next(served)
            return plain_answer(200, to_json({"repositories": [{"name": f"app{number % 3}", "kind": "image"}], "next_page": f"cursor{number}"}))

    source.add(Quay(), target="^/api/v1/repository")
    declare("[]", namespaces=f"[{name}]")
    write("registries.yaml", f"version: 1\nregistries:\n  {source.host}: {{tls: false, listing: quay}}\n  {destination.host}: {{tls: false}}\n")

    ran = imgsync("plan", "-o", "json")

    assert "the listing's pages never end" in only_plan_error(ran)
    assert next(served) == 4


@pytest.mark.row("DOS-03")
def test_more_than_a_million_names_are_no_listing():
    """Names that are ever new are counted; a listing of more than a million is an error, not a million of them."""
    names = Names(Operation("list tags of", "r.io/a", "source"), lambda _: True)

    assert names.add([str(number) for number in range(1_000_000)])
    with pytest.raises(UnexpectedResponseError, match="more than 1,000,000 names"):
        names.add(["one more"])


@pytest.mark.row("DOS-03")
@pytest.mark.only_nightly
def test_million_names_of_a_registry_are_an_error(registry, name, declare, imgsync, source):
    """The same through everything: a registry that lists ever new tags is left after a million."""
    push(registry, f"{name}/app", "1", image(1))
    pages = source.add(Pages(lambda page: [f"{page}-{number}" for number in range(10_000)]), target="/tags/list")
    declare(f"[{name}/app]")

    ran = imgsync("plan", "-o", "json", timeout=110)

    assert "more than 1,000,000 names" in only_plan_error(ran)
    assert pages.served <= 101


@pytest.mark.row("DOS-04")
def test_endless_page_of_tags_is_left_at_its_limit(registry, name, declare, imgsync, source, assert_bounded):
    """A page of a listing may have 32 MiB; one that goes on is left there, and nothing of it is parsed."""
    push(registry, f"{name}/app", "1", image(1))
    endless = source.add(Endless(start=b'{"tags": ["', piece=b'aaaaaaaa","' * 6000), target="/tags/list")
    declare(f"[{name}/app]")

    ran = imgsync("plan", "-o", "json")

    assert "the answer is larger than 32768 KiB" in only_plan_error(ran)
    assert endless.sent < PAGE + TAKEN
    assert_bounded(ran, besides=PAGE)


@pytest.mark.row("DOS-05")
@pytest.mark.parametrize(
    "headers",
    [b"X: " + b"x" * 200_000 + b"\r\n", b"".join(b"X-%d: %s\r\n" % (number, b"x" * 30) for number in range(5000))],
    ids=["one header of 200 KB", "5000 headers"],
)
def test_giant_head_is_one_clear_error(headers, registry, name, declare, imgsync, source, assert_bounded):
    """What no registry sends is not asked for again: one request, one error."""
    push(registry, f"{name}/app", "1", image(1))
    source.add(Raw(JSON_HEAD + headers + b"Content-Length: 2\r\n\r\n{}"), target="/tags/list")
    declare(f"[{name}/app]")

    ran = imgsync("plan", "-o", "json")

    assert "the response head is larger than 64 KiB" in only_plan_error(ran)
    assert len(source.requests("tags/list")) == 1
    assert_bounded(ran)


@pytest.mark.row("DOS-06")
def test_dribbling_source_costs_its_image_alone(registry, second_registry, name, declare, imgsync, source):
    """A manifest and a blob that come byte by byte, never silent for long: both are given up, and the others are copied."""
    for number in range(3):
        push(registry, f"{name}/app", str(number), image(number, layers=1))
    blob = json.loads(image(1, layers=1).raw)["layers"][0]["digest"]
    dribble = {"piece": b" ", "pause_seconds": 0.05, "most_bytes": 2000}
    source.add(Endless(headers={"Content-Type": OCI["manifest"]}, **dribble), method="GET", target="/manifests/0$")
    source.add(Endless(**dribble), method="GET", target=blob)
    declare(f"[{name}/app]", "timeouts: {request: 1s}")

    began = time.monotonic()
    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert second_registry.tags(f"m/{name}/app") == ["2"]
    (failed,), (unplanned,) = ran.events("image.failed"), ran.events("plan.failed")
    for line in (failed, unplanned):
        assert "less than 1 KiB/s over " in line["error"]
        assert "timeouts.request" in line["hint"]
    assert time.monotonic() - began < 40, "it would have gone on for a hundred seconds"


@pytest.mark.row("DOS-06")
def test_blob_that_began_to_dribble_goes_on_elsewhere(registry, second_registry, name, declare, imgsync, source):
    """The connection that dribbles is left, and the download goes on from the byte it had reached."""
    content = push(registry, f"{name}/app", "1", image(1, layers=1, layer_bytes=100_000))
    blob = json.loads(content.raw)["layers"][0]["digest"]
    half = content.blobs[blob][:50_000]
    source.add(Endless(start=half, piece=content.blobs[blob][50_000:50_001], pause_seconds=0.05, most_bytes=1), method="GET", target=blob, times=1)
    source.add(Hold(after_bytes=50_001), method="GET", target=blob, times=1)
    declare(f"[{name}/app]", "timeouts: {request: 1s}", retry="{attempts: 4, interval: 0s}")

    ran = imgsync("apply")

    assert ran.code == 0, ran.stderr
    assert [one.headers.get("range") for one in source.seen if blob in one.path][:2] == [None, "bytes=50001-"]
    assert_served(second_registry, f"m/{name}/app", "1", content)


@pytest.mark.row("DOS-07")
def test_destination_that_stops_reading_is_given_up(registry, second_registry, name, declare, imgsync, destination):
    """Its window closed, it takes no byte more: the upload is given up after timeouts.request, and the other image is copied."""
    content = push(registry, f"{name}/app", "1", image(1, layers=1, layer_bytes=16 * MEBIBYTE))
    push(registry, f"{name}/app", "2", image(2))
    blob = json.loads(content.raw)["layers"][0]["digest"].replace(":", "%3A")
    destination.add(Hold(), method="PUT", target=blob)
    declare(f"[{name}/app]", "timeouts: {request: 1s}")

    began = time.monotonic()
    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    (failed,) = ran.events("image.failed")
    assert "push blob" in failed["error"]
    assert "no byte within the time allowed" in failed["error"]
    assert second_registry.tags(f"m/{name}/app") == ["2"]
    assert time.monotonic() - began < 40


@pytest.mark.row("DOS-08")
@pytest.mark.parametrize("after_bytes", [0, 70_000], ids=["after the head", "in the middle"])
def test_stalled_download_is_resumed(after_bytes, registry, second_registry, name, declare, imgsync, source):
    """A CDN that stalls is left after timeouts.request, and asked for the rest."""
    content = push(registry, f"{name}/app", "1", image(1, layers=1, layer_bytes=200_000))
    blob = json.loads(content.raw)["layers"][0]["digest"]
    source.add(Hold(after_bytes=after_bytes), method="GET", target=blob, times=1)
    declare(f"[{name}/app]", "timeouts: {request: 1s}", retry="{attempts: 4, interval: 0s}")

    ran = imgsync("apply")

    assert ran.code == 0, ran.stderr
    assert [one.headers.get("range") for one in source.seen if blob in one.path][:2] == [None, f"bytes={after_bytes}-" if after_bytes else None]
    assert_served(second_registry, f"m/{name}/app", "1", content)


@pytest.mark.row("DOS-09")
@pytest.mark.parametrize("status", [401, 404, 500])
def test_endless_error_page_is_left(status, registry, name, declare, imgsync, source, assert_bounded):
    """Of the words of an error 64 KiB are read; nobody hears it out."""
    push(registry, f"{name}/app", "1", image(1))
    challenge = {"WWW-Authenticate": 'Basic realm="x"'} if status == 401 else {}
    endless = source.add(Endless(status, start=b"<html>", headers={"Content-Type": "text/html", **challenge}), target="/tags/list")
    declare(f"[{name}/app]")

    ran = imgsync("plan", "-o", "json")

    assert f"list tags of {source.host}/{name}/app (source): {status}" in only_plan_error(ran)
    assert endless.sent < TAKEN
    assert_bounded(ran)


@pytest.mark.row("DOS-10")
def test_redirects_without_an_end_are_followed_five_times(registry, name, declare, imgsync, source):
    """A circle and a chain alike: six requests, one error."""
    push(registry, f"{name}/app", "1", image(1))
    source.add(switches.redirect(source.host), method="GET", target="/tags/list")
    declare(f"[{name}/app]")

    ran = imgsync("plan", "-o", "json")

    assert "more than 5 redirects" in only_plan_error(ran)
    assert len(source.requests("tags/list")) == 6


@pytest.mark.row("DOS-11")
@pytest.mark.parametrize(
    ("status", "retry_after", "told"),
    [
        (429, "7200", "until 20"),
        (503, "9" * 15, "for more than a year"),
        (429, "Fri, 31 Dec 9999 23:59:59 GMT", "for more than a year"),
    ],
)
def test_registry_that_asks_for_years_is_left_at_once(status, retry_after, told, registry, second_registry, name, declare, imgsync, source):
    """Over five minutes nobody waits: the registry is asked nothing more in this run, which ends in good order and says until when."""
    for number in range(3):
        push(registry, f"{name}/app", str(number), image(number))
    source.add(switches.status(status, retry_after=retry_after), method="GET", target="/blobs/")
    declare(f"[{name}/app]", "concurrency: {images: 1, blobs: 1}\nreferrers: false")

    began = time.monotonic()
    # With a brake all is planned before the first blob is asked for: none of the three is found out about too late.
    ran = imgsync("apply", "-o", "json", "--max-changes", "3")

    assert ran.code == 75, ran.stderr
    assert time.monotonic() - began < 40, "not a minute of it was waited"
    assert f"{source.host} asks to be left alone {told}" in ran.json["stopped"]
    assert (ran.json["summary"]["failed"], ran.json["summary"]["remaining"]) == (0, 3)
    assert len(source.requests("/blobs/")) == 1
    assert second_registry.tags(f"m/{name}/app") == []


@pytest.mark.row("DOS-11")
def test_token_server_that_asks_for_hours_is_not_waited_for(registry, name, declare, imgsync, source):
    """Nor is one that gives tokens: it is asked once, and its refusal is the error."""
    push(registry, f"{name}/app", "1", image(1))
    source.add(switches.status(429, retry_after="7200", error="TOOMANYREQUESTS"), target="^/token")
    source.add(Respond(401, headers={"WWW-Authenticate": f'Bearer realm="{source.url}/token",service="x"'}), target="^/v2/")
    declare(f"[{name}/app]")

    ran = imgsync("plan", "-o", "json", "--run-timeout", "30s")

    assert "429 TOOMANYREQUESTS" in only_plan_error(ran)
    assert len(source.requests("/token")) == 1


def faults(tmp_path, text: str) -> list[str]:
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    try:
        load_config([str(tmp_path)], registries=None, environ={})
    except ConfigError as error:
        return [str(fault) for fault in error.errors]
    return []


def nest(first: str, other: Callable[[int], str], levels: int = 12) -> str:
    return first + "".join(other(number) for number in range(1, levels))


EXPAND = "aliases expand to more than a configuration can hold"
# Each with where and what the fault is: for what expands that is where it is too much, not where it would have been built.
YAML_BOMBS = {
    "aliases": (nest("a0: &a0 [x,x,x,x,x,x,x,x,x]\n", lambda n: f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n"), f":5:34: {EXPAND}"),
    "mappings": (nest("a0: &a0 {a: x, b: x}\n", lambda n: f"a{n}: &a{n} {{a: *a{n - 1}, b: *a{n - 1}}}\n", 25), f":13:28: {EXPAND}"),
    "merge keys": (nest("m0: &m0 {k: v}\n", lambda n: f"m{n}: &m{n} {{<<: [{','.join([f'*m{n - 1}'] * 9)}]}}\n"), f":6:23: {EXPAND}"),
    "one of many": ("a: &a [" + "x," * 1000 + "x]\nb: [" + "*a," * 5000 + "x]\n", f":2:152: {EXPAND}"),
    "itself": ("a: &a [*a]\n", EXPAND),
    "depth": ("[" * 900, "nested deeper than 32 levels"),
    "depth of mappings": ("{a: " * 5000, "nested deeper than 32 levels"),
    "depth of blocks": ("".join(" " * number + "a:\n" for number in range(200)), "nested deeper than 32 levels"),
    "size": ("a: " + "x" * (5 * MEBIBYTE), "the file is larger than 1 MiB"),
    "parts": ("[" + "x," * 300_000 + "x]", "the file has more than 50,000 parts"),
    "documents": ("---\na\n" * 20_000, "the file has more than 1,000 documents"),
    "anchors": ("a: [" + "&a x," * 200_000 + "x]", "the file has more than 50,000 parts"),
    "long key": ("? " + "x" * 100_000 + "\n: 1\n", "version must be given"),
    "many faults": ("version: 1\nmirrors: [" + "{x: 1}," * 1500 + "]\n", "must be given"),
}


@pytest.mark.row("DOS-12")
@pytest.mark.parametrize(("text", "expected"), YAML_BOMBS.values(), ids=YAML_BOMBS)
def test_yaml_bombs_are_faults_in_no_time(text, expected, tmp_path):
    """Counted before it is built: what expands, nests or goes on without an end is a fault, as soon as the file is read."""
    began = time.process_time()

    found = faults(tmp_path, text)

    assert any(expected in fault for fault in found)
    assert time.process_time() - began < 3
    assert all(len(fault) < 1000 for fault in found)


@pytest.mark.row("DOS-13")
@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*)*b", "(a|a?)+$", "((a+)+)+b", "(?:a*)*c"])
def test_pattern_that_holds_other_engines_for_hours_matches_at_once(pattern):
    """Users' expressions run in time that grows with the text alone."""
    began = time.process_time()

    assert compile_expression(pattern).fullmatch("a" * 100_000 + "!") is None

    assert time.process_time() - began < 2


@pytest.mark.row("DOS-13")
@pytest.mark.parametrize("pattern", ["(a{1000}){1000}", "((((a{100}){100}){100}){100})", "(?=a)b", r"(a)\\1", "(" * 2000])
def test_expression_that_cannot_run_in_bounds_is_a_fault(pattern, tmp_path):
    """What RE2 does not take, for its size or for what it would have to remember, is told when the file is read."""
    text = "version: 1\nmirrors:\n  - name: a\n    source: r.io/x/y\n    destinations: [s.io/m]\n    tags: {regex: ['" + pattern.replace("\\\\", "\\") + "']}\n"

    assert "invalid RE2 expression" in faults(tmp_path, text)[0]


@pytest.mark.row("DOS-13")
@pytest.mark.parametrize(
    "header",
    [
        "a," + " " * 16_000 + '"',
        "a " * 8000,
        'a="' + "\\" * 16_000,
        "Bearer " + "a," * 8000,
        'Bearer realm="' + '\\"' * 8000,
        "Bearer a" + " " * 16_000,
        "," * 16_000 + '"',
    ],
    ids=["spaces", "words", "escapes", "commas", "quotes", "tail", "empty parts"],
)
def test_challenge_is_read_in_no_time(header):
    """No head of a registry's holds its reader up, whatever stands in it."""
    began = time.process_time()

    parse_challenges([header])

    assert time.process_time() - began < 1


@pytest.mark.row("DOS-15")
def test_few_file_descriptors_make_no_failure(registry, second_registry, name, declare, workplace, source):
    """Under `ulimit -n 64` a mirror of many images is copied, with fewer connections: none is tried in vain."""
    for number in range(effort(12, 60)):
        push(registry, f"{name}/app", str(number), image(number, layers=4))
    declare(f"[{name}/app]", "concurrency: {images: 16, blobs: 16, queries: 16}", retry="{attempts: 2, interval: 0s}")

    limited = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)); from imgsync.__main__ import main; main()"
    ran = subprocess.run(
        [sys.executable, "-c", limited, "apply", "-o", "json"],
        cwd=workplace.folder,
        env=workplace.environment({"PYTHONPATH": str(Path(__file__).parents[2])}),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert ran.returncode == 0, ran.stderr
    assert "Too many open files" not in ran.stderr
    assert len(second_registry.tags(f"m/{name}/app")) == effort(12, 60)
    assert source.most_open <= 8


DEEP = b"[" * 100_000
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
def test_nesting_without_an_end_is_one_error(where, opening, registry, name, declare, imgsync, source):
    """Wherever JSON is read: what nests deeper than a reader can follow is no JSON, and the run says so instead of breaking."""
    push(registry, f"{name}/app", "1", image(1))
    settings = dict(DEPTHS[where])
    if where == "token":
        source.add(Respond(401, headers={"WWW-Authenticate": f'Bearer realm="{source.url}/token",service="x"'}), target="^/v2/")
    headers = {"Content-Type": OCI["index"] if where == "referrers" else "application/json"}
    source.add(Respond(settings.pop("status", 200), opening * (60_000 // len(opening)), headers=headers), **settings)
    declare("[]" if where == "catalog" else f"[{name}/app]", namespaces=f"[{name}]" if where == "catalog" else "[]")

    ran = imgsync("plan", "-o", "json")

    assert only_plan_error(ran)
    assert source.requests(settings["target"].removeprefix("^").removesuffix("$"))
