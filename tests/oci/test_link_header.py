"""The `Link` header of listings: every form that the grammar allows, and none that loses a page."""

from __future__ import annotations

import time

import pytest

from imgsync.errors import InsecureError, UnexpectedResponseError
from imgsync.oci.endpoint import Credentials, DeclaredCredentials, Endpoint
from imgsync.oci.errors import Operation
from imgsync.oci.http._httpx import httpx
from imgsync.oci.link_header import find_next_link, find_next_page
from imgsync.oci.messages import RegistryResponse
from imgsync.oci.responses import read_headers
from tests.support.images import image
from tests.support.outcomes import only_plan_error
from tests.switches import Respond

OPERATION = Operation("list tags of", "r.io/a", "source")
ENDPOINT = Endpoint("r.io", "source", lambda _: pytest.fail("no connection here"), DeclaredCredentials(Credentials("", "")))


def make_response(*links: str) -> RegistryResponse:
    headers = read_headers(httpx.Response(200, headers=[("Link", link) for link in links]))
    return RegistryResponse(200, headers, b"", "https://r.io/v2/a/tags/list")


@pytest.mark.row("REG-22")
@pytest.mark.parametrize(
    "links",
    [
        ['</v2/a/tags/list?last=x>; rel="next"'],
        ["</v2/a/tags/list?last=x>;rel=next"],
        ['<?last=x>; REL="NEXT"'],
        ['<https://r.io/v2/a/tags/list?last=x>; title="a, b; rel=prev"; rel="last next"'],
        ['</v2/a/tags/list>; rel="first", </v2/a/tags/list?last=x>; rel="next"'],
        ['</v2/a/tags/list>; rel="first"', '</v2/a/tags/list?last=x>; rel="next"'],
        ['</v2/a/tags/list?last=x>; rel="next"', '</v2/a/tags/list>; rel="first"'],
        [" , ,</v2/a/tags/list?last=x> ; foo ; rel = next ,,"],
        ['</v2/a/tags/list?last=x>; rel="next"; rel="prev"'],
        ['</v2/a/tags/list?last=x>; rel="next"', '</v2/a/tags/list?last=x>; rel="next"'],
        ['</v2/a/tags/list?last=x>; rel="next"', '<https://r.io/v2/a/tags/list?last=x>; rel="next"'],
        ["</v2/a/tags/list?last=x>; rel='next'"],
        ["</v2/a/tags/list?last=x>"],
        ['</v2/a/tags/list?last=x>; title="more"', "</x>"],
    ],
    ids=str,
)
def test_next_page_is_found_in_every_form(links):
    """Several fields, several links, any order and case, commas in quotes."""
    assert find_next_link(make_response(*links), OPERATION) == "https://r.io/v2/a/tags/list?last=x"


def test_comma_in_a_link_belongs_to_it():
    """A comma between angle brackets separates nothing."""
    assert find_next_page(make_response('</v2/a/tags/list?last=x,y&n=1>; rel="next"'), OPERATION, ENDPOINT) == "https://r.io/v2/a/tags/list?last=x,y&n=1"


@pytest.mark.parametrize("links", [[], [""], ['</x>; rel="prev"'], ["</x>"], ['</x>; title="rel=next"'], ['</x>; xrel="next"']], ids=str)
def test_other_links_are_not_the_next_page(links):
    """Another relation, or none and another path: the page is the last."""
    assert find_next_link(make_response(*links), OPERATION) is None


@pytest.mark.row("REG-22")
@pytest.mark.parametrize(
    "link",
    ['/v2/x; rel="next"', "next", '</v2/x; rel="next"', '</v2/x>; rel="next', '</v2/x> rel="next"', '</a>; rel="next", </b>; rel="next"', "<" * 100_000],
    ids=lambda link: link[:40],
)
def test_malformed_link_is_an_error(link):
    """Pages would be lost otherwise."""
    began = time.process_time()

    with pytest.raises(UnexpectedResponseError, match="Link header"):
        find_next_link(make_response(link), OPERATION)

    assert time.process_time() - began < 1


def test_next_page_on_another_host_is_an_error():
    """Also if another field names our own host."""
    with pytest.raises(InsecureError, match="another host"):
        find_next_page(make_response('<https://r.io/x>; rel="prev"', '<https://evil.example/x>; rel="next"'), OPERATION, ENDPOINT)


@pytest.mark.row("REG-22")
def test_listing_with_a_malformed_link_fails(lab):
    """The pages read so far are not taken as the whole list."""
    lab.push("app", "1", image(1))
    lab.source.add(Respond(200, {"name": "app", "tags": ["1"]}, headers={"Link": f"/v2/{lab.name}/app/tags/list?last=1; rel=next"}), target="/tags/list")
    lab.declare("app")

    ran = lab.run("plan", "-o", "json")

    assert "the Link header of the listing is malformed" in only_plan_error(ran)
    assert ran.json["changes"] == []
