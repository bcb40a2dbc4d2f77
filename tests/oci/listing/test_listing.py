"""Listings: what each listing API costs in requests, and what it must not be trusted with."""

from __future__ import annotations

import dataclasses
import json
from urllib.parse import parse_qs

import pytest

from tests import switches
from tests.support.gcr_listing import GcrListing
from tests.support.images import image, index, push
from tests.support.wire import plain_answer
from tests.support.witness import assert_served
from tests.switches import Respond


@pytest.fixture
def google(registry, source):
    """The source answers listings as Google's registries do."""
    source.add(GcrListing(registry), method="GET", target="tags/list")
    return source


def _trust_listing(write, source, destination, kind):
    write("registries.yaml", f"version: 1\nregistries:\n  {source.host}: {{tls: false, listing: {kind}}}\n  {destination.host}: {{tls: false}}\n")


def test_google_namespace_is_walked_and_copied(registry, second_registry, name, declare, write, imgsync, google, destination):
    """Every repository below a namespace is found by the folders that listings name, repositories that are folders too."""
    wanted = {f"{name}/one": image(1), f"{name}/one/below": image(2), f"{name}/deep/er/two": index(3)}
    for repository, content in wanted.items():
        push(registry, repository, "1", content)
    declare("[]", namespaces=f"[{name}]")
    _trust_listing(write, google, destination, "gcr")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    for repository, content in wanted.items():
        assert_served(second_registry, f"m/{repository}", "1", content)
    assert google.requests("_catalog") == []


def test_second_plan_of_a_google_source_costs_one_request_per_listing(registry, name, declare, imgsync, google, destination):
    """The listing carries digests: no manifest is asked for, and the destination is left alone."""
    for repository in ("one", "two"):
        for number in range(3):
            push(registry, f"{name}/{repository}", str(number), image((repository, number)))
    declare(f"[{name}/one, {name}/two]")
    assert imgsync("apply").code == 0
    google.forget()
    destination.forget()

    ran = imgsync("plan", "-o", "json")

    assert ran.json["summary"]["keep"] == 6
    assert sorted(google.requests()) == [f"GET /v2/{name}/one/tags/list", f"GET /v2/{name}/two/tags/list"]
    assert destination.seen == []


def test_google_s_untagged_manifests_are_no_images(registry, second_registry, name, declare, imgsync, google):
    """The children of an index are listed without tags; only tags are mirrored."""
    push(registry, f"{name}/app", "1", index(1))
    declare(f"[{name}/app]")

    ran = imgsync("plan", "-o", "json")

    assert [change["source"] for change in ran.json["changes"]] == [f"{google.host}/{name}/app:1"]


def test_moved_tag_of_a_google_source_is_updated(registry, second_registry, name, declare, imgsync, google):
    """The listing's digest tells that a tag moved."""
    push(registry, f"{name}/app", "1", image(1))
    declare(f"[{name}/app]")
    assert imgsync("apply").code == 0
    moved = push(registry, f"{name}/app", "1", image(2))

    ran = imgsync("apply", "-o", "json")

    assert [outcome["action"] for outcome in ran.json["outcomes"]] == ["update"]
    assert_served(second_registry, f"m/{name}/app", "1", moved)


@pytest.mark.parametrize("artifact_registry", [False, True], ids=["gcr", "artifact registry"])
def test_max_age_goes_by_the_listing_s_dates(artifact_registry, registry, name, declare, imgsync, source):
    """A date of the listing decides; where the time of creation is unknown ("0") that of the upload does, and never 1970."""
    push(registry, f"{name}/app", "old", image(1, created="2001-01-01T00:00:00Z"))
    push(registry, f"{name}/app", "new", image(2, created="2026-01-01T00:00:00Z"))
    source.add(GcrListing(registry, artifact_registry=artifact_registry), method="GET", target="tags/list")
    declare(f"[{name}/app]", "tags: {max_age: 7300d}")

    ran = imgsync("plan", "-o", "json")

    selected = sorted(change["source"].rpartition(":")[2] for change in ran.json["changes"])
    assert selected == (["new", "old"] if artifact_registry else ["new"])
    assert source.requests("/blobs/") == []


@pytest.mark.row("REG-22")
def test_catalog_and_tags_are_read_page_by_page(registry, name, declare, imgsync, source):
    """Links are followed to the end: what is on the second page is mirrored too."""
    for repository in ("one", "two"):
        for number in range(5):
            push(registry, f"{name}/{repository}", f"{number}", image(1))
    declare("[]", namespaces=f"[{name}]")
    source.add(_SmallPages(), method="GET", target=r"(_catalog|tags/list)")

    ran = imgsync("plan", "-o", "json")

    assert ran.json["summary"]["create"] == 10, ran.stderr
    assert len(source.requests("_catalog")) > 1
    assert source.requests("tags/list").count(f"GET /v2/{name}/one/tags/list") == 3


class _SmallPages(switches.Switch):
    """Serves listings two entries a page, whatever was asked for; the next page by `Link`, as the specification says."""

    def request(self, request):
        return dataclasses.replace(request, target=f"{request.path}?n=1000")

    def answer(self, request, answer):
        document = json.loads(b"".join(answer.body()))
        field = "tags" if "tags" in document else "repositories"
        last = parse_qs(request.target.partition("?")[2]).get("last", [""])[0]
        left = [name for name in sorted(document[field]) if name > last]
        link = {"Link": f'<{request.path}?n=2&last={left[1]}>; rel="next"'} if len(left) > 2 else {}
        return plain_answer(200, json.dumps({**document, field: left[:2]}).encode(), link)


def test_names_alone_need_no_listing(registry, name, declare, imgsync, source):
    """Exact tags of exact repositories are asked for as such."""
    push(registry, f"{name}/app", "1", image(1))
    declare(f"[{name}/app]", "tags: {names: ['1']}\nreferrers: false")

    assert imgsync("plan", "-o", "json").json["summary"]["create"] == 1
    assert source.requests("tags/list") == []


@pytest.mark.row("DOS-14")
def test_at_least_and_at_most_stop_their_mirror_alone(registry, second_registry, name, write, imgsync, source, destination):
    """A selection outside its bounds is an error of its mirror: nothing of it is applied, the others are."""
    for number in range(3):
        push(registry, f"{name}/many", str(number), image(number))
    push(registry, f"{name}/one", "1", image(1))
    head = f"source: {{registry: '{source.host}', repositories: "
    tail = f"destinations: ['{destination.host}/m']"
    write(
        "mirrors.d/a.yaml",
        "version: 1\nmirrors:\n"
        f"  - {{name: many, {head}[{name}/many]}}, tags: {{at_most: 2}}, {tail}}}\n"
        f"  - {{name: few, {head}[{name}/many]}}, tags: {{include: ['9*'], at_least: 1}}, destinations: ['{destination.host}/n']}}\n"
        f"  - {{name: good, {head}[{name}/one]}}, {tail}}}\n",
    )
    write("registries.yaml", f"version: 1\nregistries:\n  {source.host}: {{tls: false}}\n  {destination.host}: {{tls: false}}\n")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert [outcome["mirror"] for outcome in ran.json["outcomes"]] == ["good"]
    assert second_registry.tags(f"m/{name}/many") == []
    assert second_registry.tags(f"m/{name}/one") == ["1"]


def test_auto_falls_back_to_google_s_listing_and_says_so(registry, second_registry, name, declare, imgsync, google):
    """A registry that refuses its catalog but answers like Google's registries is listed that way, and the plan says so."""
    push(registry, f"{name}/one", "1", image(1))
    google.add(switches.status(404), target="_catalog")
    declare("[]", namespaces=f"[{name}]")

    ran = imgsync("plan")

    assert ran.code == 0, ran.stderr
    assert f"listed repositories of {google.host}/{name} through gcr" in ran.stdout
    assert "1 to create" in ran.stdout


def test_registry_that_no_api_lists_names_the_remedy(registry, name, declare, imgsync, source):
    """No catalog and no other listing: an error of the mirror that says to name the repositories."""
    push(registry, f"{name}/one", "1", image(1))
    source.add(switches.status(401), target="_catalog")
    declare("[]", namespaces=f"[{name}]")

    ran = imgsync("plan", "-o", "json")

    assert ran.code == 1
    assert len(ran.json["errors"]) == 1
    assert "repositories: [...]" in ran.json["errors"][0]["message"]


@pytest.mark.row("AUTH-13")
def test_catalog_names_that_are_no_paths_are_left_out_with_a_warning(registry, second_registry, name, declare, imgsync, source):
    """What would climb out of a namespace, or cannot be a repository, is never asked for."""
    push(registry, f"{name}/app", "1", image(1))
    evil = [f"{name}/app", f"{name}/../../etc/passwd", f"{name}//double", f"{name}/UPPER", f"{name}/\x1b[31mred", 5, None]
    source.add(switches.Respond(200, {"repositories": evil}), target="_catalog")
    declare("[]", namespaces=f"[{name}]")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert [outcome["source"] for outcome in ran.json["outcomes"]] == [f"{source.host}/{name}/app:1"]
    assert "5 names that are not repository paths" in ran.events("listing.incomplete")[0]["reason"]
    assert "\x1b" not in ran.stdout + ran.stderr


@pytest.mark.parametrize("body", [{"errors": []}, {}, {"name": "x"}], ids=str)
@pytest.mark.parametrize("listing", ["_catalog", "tags/list"])
def test_answer_that_is_no_listing_is_an_error_not_an_empty_mirror(listing, body, registry, name, declare, imgsync, source):
    """200 with some other document is not taken for an empty listing."""
    push(registry, f"{name}/app", "1", image(1))
    source.add(switches.Respond(200, body), target=listing)
    declare("[]", "tags: {at_least: 0}", namespaces=f"[{name}]")

    ran = imgsync("plan", "-o", "json")

    assert ran.code == 1
    assert "the response is not a listing" in ran.json["errors"][0]["message"]


def test_dates_come_from_the_image_where_the_listing_has_none(registry, name, declare, imgsync, source):
    """max_age and newest go by the config's `created`, for an index by its first image's; what has none that can be believed is too old."""
    created = {"old": "2001-01-01T00:00:00Z", "new": "2026-01-01T00:00:00Z", "newer": "2026-02-01T00:00:00.5+01:00", "reproducible": "1970-01-01T00:00:00Z"}
    for tag, moment in created.items():
        push(registry, f"{name}/app", tag, image(tag, created=moment))
    push(registry, f"{name}/app", "index", index(1, created="2026-03-01T00:00:00Z"))

    def selected(tags: str) -> list[str]:
        declare(f"[{name}/app]", f"tags: {tags}")
        return sorted(change["source"].rpartition(":")[2] for change in imgsync("plan", "-o", "json").json["changes"])

    assert selected("{max_age: 7300d}") == ["index", "new", "newer"]
    assert selected("{newest: 2}") == ["index", "newer"]
    assert selected("{newest: 1, exclude: [index]}") == ["newer"]


def test_explain_tells_what_each_step_left_and_dropped(registry, name, declare, imgsync, source):
    """One line per step that was declared, in its order."""
    for tag in ("1.0.0", "1.1.0-rc.1", "1.1.0", "2.0.0", "latest"):
        push(registry, f"{name}/app", tag, image(tag))
    declare(f"[{name}/app]", "tags: {semver: '>=1', exclude: ['2*'], newest: 1}")

    shown = imgsync("plan", "--explain").stdout

    steps = [line.split("   ")[-1] for line in shown.splitlines() if f"/{name}/app   " in line]
    assert steps == [
        "listed: 5 left",
        "semver: 3 left, 2 dropped: 1.1.0-rc.1, latest",
        "exclude: 2 left, 1 dropped: 2.0.0",
        "newest: 1 left, 1 dropped: 1.0.0",
    ]


@pytest.mark.row("AUTH-10", "AUTH-22")
def test_next_page_elsewhere_fails_the_listing(registry, name, declare_login, imgsync, source, foreign, workplace):
    """A page on another host, under another name, with a login, or at no address at all is not asked for, and what was seen is not taken for all."""
    links = [
        f"{foreign.url}/v2/x",
        f"//{foreign.host}/v2/x",
        f"https://{source.host}/v2/x",
        f"http://user:word-SECRET@{source.host}/v2/x",
        f"http://localhost:{source.port}/v2/x",
        f"http://{source.host}.evil.example/x",
        f"ftp://{source.host}/x",
        "http://[::1",
    ]
    for number, link in enumerate(links):
        push(registry, f"{name}/app{number}", "1", image(1, layers=0))
        source.add(switches.headers(Link=f'<{link}>; rel="next"'), target=f"app{number}/tags/list")
    declare_login()
    repositories = {"registry": source.host, "repositories": [f"{name}/app{number}" for number in range(len(links))]}
    workplace.mirror("a", source=repositories, destinations=["127.0.0.1:1/m"], retry={"attempts": 1})

    ran = imgsync("plan", "-o", "json")

    assert ran.code == 1
    assert len([one for one in ran.json["errors"] if "nothing was sent there" in one["message"]]) == len(links), ran.json["errors"]
    assert ran.json["changes"] == []
    assert foreign.seen == []
    assert len(source.requests()) == len(links)


@pytest.mark.row("REG-24")
def test_order_and_repetition_of_a_listing_mean_nothing(registry, name, declare, imgsync, source):
    """Tags come as they like, twice or in both cases: each that there is, once, and the same plan each time."""
    for tag in ("v1", "V1", "a", "b"):
        push(registry, f"{name}/app", tag, image(tag))
    plans = []
    for tags in (["b", "v1", "V1", "a", "b", "a"], ["V1", "a", "a", "b", "v1"]):
        source.clear()
        source.add(Respond(200, {"name": "app", "tags": tags}), target="/tags/list")
        declare(f"[{name}/app]")
        plans.append(imgsync("plan", "-o", "json").json)

    assert sorted(change["source"].rpartition(":")[2] for change in plans[0]["changes"]) == ["V1", "a", "b", "v1"]
    assert plans[0]["id"] == plans[1]["id"]
    assert plans[0]["changes"] == plans[1]["changes"]
