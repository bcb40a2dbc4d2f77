"""Listings without an end."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from imgsync.errors import UnexpectedResponseError
from imgsync.listing.collectors import NameCollector
from imgsync.oci.errors import Operation
from tests import switches
from tests.support.images import image, to_json
from tests.support.outcomes import only_plan_error
from tests.support.wire import plain_answer
from tests.switches.content import Pages

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
def test_endless_listing_fails(field, names, cursor, most, lab):
    """After a hundred pages with nothing new; it never counts as complete."""
    lab.push("app", "0", image(1))
    pages = lab.source.add(Pages(names, cursor=cursor, field=field), target="/tags/list" if field == "tags" else "_catalog")
    lab.declare("app" if field == "tags" else "", namespaces="[]" if field == "tags" else f"[{lab.name}]")

    ran = lab.run("plan", "-o", "json")

    assert "the listing's pages never end" in only_plan_error(ran)
    assert ran.json["changes"] == []
    assert pages.served <= most


@pytest.mark.row("DOS-03")
def test_repeated_api_pages_fail(lab):
    """Repeated rows end the listing, with any cursor."""
    served = itertools.count()

    class Quay(switches.Switch):
        def request(self, request):
            number = next(served)
            return plain_answer(200, to_json({"repositories": [{"name": f"app{number % 3}", "kind": "image"}], "next_page": f"cursor{number}"}))

    lab.source.add(Quay(), target="^/api/v1/repository")
    lab.declare("", namespaces=f"[{lab.name}]")
    lab.write("registries.yaml", f"version: 1\nregistries:\n  {lab.source.host}: {{tls: false, listing: quay}}\n  {lab.destination.host}: {{tls: false}}\n")

    ran = lab.run("plan", "-o", "json")

    assert "the listing's pages never end" in only_plan_error(ran)
    assert next(served) == 4


@pytest.mark.row("DOS-03")
def test_more_than_a_million_names_are_an_error():
    """Names are counted."""
    names = NameCollector(Operation("list tags of", "r.io/a", "source"), lambda _: True)

    assert names.add([str(number) for number in range(1_000_000)])
    with pytest.raises(UnexpectedResponseError, match="more than 1,000,000 names"):
        names.add(["one more"])


@pytest.mark.row("DOS-03")
@pytest.mark.only_nightly
def test_million_names_of_a_registry_are_an_error(lab):
    """The same for the whole program."""
    lab.push("app", "1", image(1))
    pages = lab.source.add(Pages(lambda page: [f"{page}-{number}" for number in range(10_000)]), target="/tags/list")
    lab.declare("app")

    ran = lab.run("plan", "-o", "json", timeout=110)

    assert "more than 1,000,000 names" in only_plan_error(ran)
    assert pages.served <= 101
