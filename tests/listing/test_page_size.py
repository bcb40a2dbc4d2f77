"""Listings whose registry refuses the page size, or lists in no order."""

from __future__ import annotations

import gzip
import itertools
import random
import re
import tracemalloc

import pytest

from imgsync.oci.spec.bounded_json import TooManyValuesError, count_values, parse_page
from tests.support.images import image, to_json
from tests.support.outcomes import only_plan_error
from tests.support.wire import plain_answer
from tests.switches import Respond, Switch


class LargestSize(Switch):
    """Refuse a page size over `largest`, by *status*; a parameter *name* holds it."""

    def __init__(self, largest: int, *, name: str = "n", status: int = 400) -> None:
        """Note each size that is asked for."""
        self._largest, self._name, self._status = largest, name, status
        self.sizes: list[int | None] = []

    def request(self, request):
        """Refuse, or forward; the registry's own links have a size that it takes."""
        if "last=" in request.target:
            return request
        found = re.search(rf"[?&]{self._name}=(\d+)", request.target)
        self.sizes.append(int(found[1]) if found else None)
        if found and int(found[1]) > self._largest:
            return plain_answer(self._status, to_json({"errors": [{"code": "PAGINATION_NUMBER_INVALID", "message": "invalid number of results"}]}))
        return request


@pytest.mark.parametrize(("largest", "sizes"), [(100, [1000, 100]), (3, [1000, 100, None])])
def test_refused_page_size_is_not_a_refused_listing(largest, sizes, lab):
    """A smaller size is tried, then the registry's own; the second listing begins there."""
    for name in ("a/app", "b/app"):
        lab.push(name, "1", image(name))
    refusing = lab.source.add(LargestSize(largest), target="_catalog")
    lab.declare("", namespaces=f"[{lab.name}/a, {lab.name}/b]", settings="concurrency: {queries: 1}")

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 0, ran.stdout
    assert ran.json["summary"]["create"] == 2
    assert refusing.sizes[: len(sizes)] == sizes
    assert set(refusing.sizes[len(sizes) :]) <= {sizes[-1]}


@pytest.mark.parametrize("status", [401, 403, 404])
def test_refused_listing_is_requested_once(status, lab):
    """Another page size would change nothing."""
    lab.source.add(Respond(status), target="_catalog")
    lab.source.add(Respond(404), target="/v2/.*tags/list")
    lab.declare("", namespaces=f"[{lab.name}]", retry="{attempts: 1}")

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 1
    assert len(lab.source.requests("_catalog")) == 1


@pytest.mark.parametrize(("largest", "sizes"), [(25, {100, 25}), (2, {100, 25, None})])
def test_api_that_refuses_a_page_size_is_listed(largest, sizes, lab):
    """Quay's, as every API with numbered pages."""

    class Quay(LargestSize):
        def request(self, request):
            refused = super().request(request)
            if refused is not request:
                return refused
            page = int(re.search(r"page=(\d+)", request.target)[1])
            return plain_answer(200, to_json({"tags": [{"name": str(page)}], "page": page, "has_additional": page < 3}))

    lab.push("app", "1", image(1))
    quay = lab.source.add(Quay(largest, name="limit"), target="^/api/v1/repository")
    lab.declare("app", registries="")
    lab.write("registries.yaml", f"version: 1\nregistries:\n  {lab.source.host}: {{tls: false, listing: quay}}\n  {lab.destination.host}: {{tls: false}}\n")

    ran = lab.run("list", f"{lab.source.host}/{lab.name}/app")

    assert ran.stdout.split() == ["1", "2", "3"], ran.stdout + ran.stderr
    assert set(quay.sizes) == sizes


class Unordered(Switch):
    """List *names* in random order and ignore `last`; with *cut*, always with a `Link`."""

    def __init__(self, names: list[str], *, shown: int, whole: bool) -> None:
        """Show *shown* names at once; without `n`, all of them if *whole*."""
        self._names, self._shown, self._whole = names, shown, whole
        self._random, self._numbers = random.Random(1), itertools.count()

    def request(self, request):
        """Answer a page."""
        self._random.shuffle(self._names)
        if self._whole and "n=" not in request.target:
            return plain_answer(200, to_json({"repositories": self._names}))
        link = f'</v2/_catalog?n=1000&last=x{next(self._numbers)}>; rel="next"'
        return plain_answer(200, to_json({"repositories": self._names[: self._shown]}), {"Link": link})


def test_unordered_listing_is_read_whole(lab):
    """Without a size, after pages with mostly known names."""
    for name in range(3):
        lab.push(name, "1", image(name))
    lab.source.add(Unordered([*(f"{lab.name}/{name}" for name in range(3)), *(f"x/{number}" for number in range(37))], shown=30, whole=True), target="_catalog")
    lab.declare("", namespaces=f"[{lab.name}]")

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 0, ran.stdout
    assert ran.json["summary"]["create"] == 3
    assert len(lab.source.requests("_catalog")) < 10


@pytest.mark.row("DOS-03")
def test_unordered_listing_that_is_never_whole_is_an_error(lab):
    """Some of its names might never be shown."""
    lab.source.add(Unordered([f"{lab.name}/{number}" for number in range(40)], shown=30, whole=False), target="_catalog")
    lab.declare("", namespaces=f"[{lab.name}]")

    ran = lab.run("plan", "-o", "json")

    assert "the listing's pages never end" in only_plan_error(ran)


def test_loop_names_the_page(lab):
    """The error shows which page is named again."""
    lab.source.add(Respond(200, {"name": "app", "tags": ["1"]}, headers={"Link": '</v2/x/tags/list?last=1>; rel="next"'}), target="/tags/list")
    lab.declare("app")

    assert "/v2/x/tags/list?last=1 is named again" in only_plan_error(lab.run("plan", "-o", "json"))


@pytest.mark.row("REG-21")
@pytest.mark.parametrize("name", ["{lab}/empty", "empty", "proxy/{lab}/empty"])
def test_absent_tags_are_none_if_the_name_fits(name, lab):
    """The repository was emptied; a document about something else is an error."""
    lab.push("app", "1", image(1))
    lab.push("empty", "1", image(2))
    lab.source.add(Respond(200, {"name": name.format(lab=lab.name)}), target="/empty/tags/list")
    lab.declare("", namespaces=f"[{lab.name}]")

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 0, ran.stdout
    assert ran.json["summary"]["create"] == 1


@pytest.mark.row("DOS-04")
@pytest.mark.parametrize("one", [b"[],", b"{},", b"[[]],", b"1e9,", b'{"a":1},'], ids=repr)
def test_page_of_many_small_values_is_not_parsed(one):
    """Each value takes a hundred bytes, whatever it takes on the wire."""
    few = b'{"tags":[' + one * 10_000 + b"1]}"

    assert len(parse_page(few)["tags"]) == 10_001
    with pytest.raises(TooManyValuesError):
        parse_page(b'{"tags":[' + one * 150_000 + b"1]}")
    assert count_values(few) >= 10_001


@pytest.mark.row("DOS-04")
def test_long_texts_of_a_large_page_stay_small():
    """One character outside ASCII makes no text four times as large."""
    rows = b'{"name": "v1", "description": "caf\xc3\xa9 \xf0\x9f\x98\x80 ' + b"x" * 1000 + b'"}'

    assert parse_page(b"[" + rows + b"]")[0]["description"].startswith("café 😀")
    assert parse_page(b"[" + b",".join([rows] * 1500) + b"]")[0]["description"].startswith("caf?? ????")
    with pytest.raises(TooManyValuesError):
        parse_page(b'["' + b"x" * (2 << 20) + b'"]')


@pytest.mark.row("DOS-04")
def test_compressed_page_of_many_values_is_one_error(lab):
    """Some KiB on the wire, 5 MiB of empty lists."""
    lab.push("app", "1", image(1))
    page = gzip.compress(b'{"name":"app","tags":[' + b"[]," * 1_500_000 + b"1]}")
    lab.source.add(Respond(200, page, headers={"Content-Encoding": "gzip"}), target="/tags/list")
    lab.declare("app")

    assert "the listing is too large: it has more than 150,000 values" in only_plan_error(lab.run("plan", "-o", "json"))


@pytest.mark.row("DOS-04")
def test_escaped_characters_of_a_large_page_stay_small():
    """An escape makes a text four times as large as its character would."""
    wide = b'\\ud83d\\ude00\\"' + b"x" * 40_000
    page = b'{"tags":["' + wide * 140 + b'"]}'
    tracemalloc.start()

    read = parse_page(page)["tags"][0]

    assert read.startswith('????????????"xxx')
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()


@pytest.mark.row("DOS-04")
def test_escaped_backslash_of_a_large_page_stays():
    rows = b'{"description":"caf\\u00e9 \\\\u00e9 \\u0041\\""}'

    assert parse_page(b"[" + rows + b"]")[0]["description"] == 'café \\u00e9 A"'
    assert parse_page(b"[" + b",".join([rows] * 40_000) + b"]")[0]["description"] == 'caf?????? \\u00e9 A"'
