"""Listings: their cost in requests, and untrusted content."""

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
def google(lab):
    """Make the source answer listings as Google's registries do."""
    lab.source.add(GcrListing(lab.source_registry), method="GET", target="tags/list")
    return lab.source


def _trust_listing(write, source, destination, kind):
    write("registries.yaml", f"version: 1\nregistries:\n  {source.host}: {{tls: false, listing: {kind}}}\n  {destination.host}: {{tls: false}}\n")


def test_google_namespace_is_walked_and_copied(lab, google):
    """Repositories are found by the folders in listings."""
    wanted = {f"{lab.name}/one": image(1), f"{lab.name}/one/below": image(2), f"{lab.name}/deep/er/two": index(3)}
    for repository, content in wanted.items():
        push(lab.source_registry, repository, "1", content)
    lab.declare("", namespaces=f"[{lab.name}]")
    _trust_listing(lab.write, google, lab.destination, "gcr")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    for repository, content in wanted.items():
        assert_served(lab.destination_registry, f"m/{repository}", "1", content)
    assert google.requests("_catalog") == []


def test_second_plan_of_a_google_source_costs_one_request_per_listing(lab, google):
    """The listing has digests, so no manifest is requested."""
    for repository in ("one", "two"):
        for number in range(3):
            lab.push(repository, str(number), image((repository, number)))
    lab.declare("one two")
    assert lab.run("apply").code == 0
    google.forget()
    lab.destination.forget()

    ran = lab.run("plan", "-o", "json")

    assert ran.json["summary"]["keep"] == 6
    assert sorted(google.requests()) == [f"GET /v2/{lab.name}/one/tags/list", f"GET /v2/{lab.name}/two/tags/list"]
    assert lab.destination.seen == []


def test_google_s_untagged_manifests_are_not_mirrored(lab, google):
    """Only tags are mirrored."""
    lab.push("app", "1", index(1))
    lab.declare("app")

    ran = lab.run("plan", "-o", "json")

    assert [change["source"] for change in ran.json["changes"]] == [f"{google.host}/{lab.name}/app:1"]


def test_moved_tag_of_a_google_source_is_updated(lab, google):
    """The listing's digest shows that a tag moved."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    assert lab.run("apply").code == 0
    moved = lab.push("app", "1", image(2))

    ran = lab.run("apply", "-o", "json")

    assert [outcome["action"] for outcome in ran.json["outcomes"]] == ["update"]
    lab.assert_served("app", "1", moved)


@pytest.mark.parametrize("artifact_registry", [False, True], ids=["gcr", "artifact registry"])
def test_max_age_goes_by_the_listing_s_dates(artifact_registry, lab):
    """The upload time replaces an unknown creation time ("0"), never 1970."""
    lab.push("app", "old", image(1, created="2001-01-01T00:00:00Z"))
    lab.push("app", "new", image(2, created="2026-01-01T00:00:00Z"))
    lab.source.add(GcrListing(lab.source_registry, artifact_registry=artifact_registry), method="GET", target="tags/list")
    lab.declare("app", "tags: {max_age: 7300d}")

    ran = lab.run("plan", "-o", "json")

    selected = sorted(change["source"].rpartition(":")[2] for change in ran.json["changes"])
    assert selected == (["new", "old"] if artifact_registry else ["new"])
    assert lab.source.requests("/blobs/") == []


@pytest.mark.parametrize("created", ["1970-01-01T00:00:01Z", "1980-01-01T00:00:00Z"])
def test_implausible_creation_time_of_a_google_listing_is_none(created, lab):
    """Images of reproducible builds, such as distroless, go by their upload."""
    lab.push("app", "a", image(1, created=created))
    lab.source.add(GcrListing(lab.source_registry), method="GET", target="tags/list")
    lab.declare("app", "tags: {max_age: 7300d}")

    assert lab.run("plan", "-o", "json").json["summary"]["create"] == 1


@pytest.mark.row("REG-22")
def test_catalog_and_tags_are_read_page_by_page(lab):
    """Links are followed to the last page."""
    for repository in ("one", "two"):
        for number in range(5):
            lab.push(repository, f"{number}", image(1))
    lab.declare("", namespaces=f"[{lab.name}]")
    lab.source.add(_SmallPages(), method="GET", target=r"(_catalog|tags/list)")

    ran = lab.run("plan", "-o", "json")

    assert ran.json["summary"]["create"] == 10, ran.stderr
    assert len(lab.source.requests("_catalog")) > 1
    assert lab.source.requests("tags/list").count(f"GET /v2/{lab.name}/one/tags/list") == 3


class _SmallPages(switches.Switch):
    """Serves listings two entries a page, with `Link`."""

    def request(self, request):
        return dataclasses.replace(request, target=f"{request.path}?n=1000")

    def answer(self, request, answer):
        document = json.loads(b"".join(answer.body()))
        field = "tags" if "tags" in document else "repositories"
        last = parse_qs(request.target.partition("?")[2]).get("last", [""])[0]
        left = [name for name in sorted(document[field]) if name > last]
        link = {"Link": f'<{request.path}?n=2&last={left[1]}>; rel="next"'} if len(left) > 2 else {}
        return plain_answer(200, json.dumps({**document, field: left[:2]}).encode(), link)


def test_names_alone_need_no_listing(lab):
    """Exact tags of exact repositories are requested directly."""
    lab.push("app", "1", image(1))
    lab.declare("app", "tags: {names: ['1']}\nreferrers: false")

    assert lab.run("plan", "-o", "json").json["summary"]["create"] == 1
    assert lab.source.requests("tags/list") == []


@pytest.mark.row("DOS-14")
def test_at_least_and_at_most_stop_their_mirror_alone(lab):
    """A selection outside its limits is an error of that mirror; others are applied."""
    for number in range(3):
        lab.push("many", str(number), image(number))
    lab.push("one", "1", image(1))
    head = f"source: {{registry: '{lab.source.host}', repositories: "
    tail = f"destinations: ['{lab.destination.host}/m']"
    lab.write(
        "mirrors.d/a.yaml",
        "version: 1\nmirrors:\n"
        f"  - {{name: many, {head}[{lab.name}/many]}}, tags: {{at_most: 2}}, {tail}}}\n"
        f"  - {{name: few, {head}[{lab.name}/many]}}, tags: {{include: ['9*'], at_least: 1}}, destinations: ['{lab.destination.host}/n']}}\n"
        f"  - {{name: good, {head}[{lab.name}/one]}}, {tail}}}\n",
    )
    lab.write("registries.yaml", f"version: 1\nregistries:\n  {lab.source.host}: {{tls: false}}\n  {lab.destination.host}: {{tls: false}}\n")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert [outcome["mirror"] for outcome in ran.json["outcomes"]] == ["good"]
    assert lab.served_tags("many") == []
    assert lab.served_tags("one") == ["1"]


def test_auto_falls_back_to_google_s_listing_and_says_so(lab, google):
    """A registry without a catalog that answers like Google's is listed that way."""
    lab.push("one", "1", image(1))
    google.add(switches.status(404), target="_catalog")
    lab.declare("", namespaces=f"[{lab.name}]")

    ran = lab.run("plan")

    assert ran.code == 0, ran.stderr
    assert f"listed repositories of {google.host}/{lab.name} through gcr" in ran.stdout
    assert "1 to create" in ran.stdout


def test_registry_without_a_listing_names_the_remedy(lab):
    """The error says to declare the repositories."""
    lab.push("one", "1", image(1))
    lab.source.add(switches.status(401), target="_catalog")
    lab.declare("", namespaces=f"[{lab.name}]")

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 1
    assert len(ran.json["errors"]) == 1
    assert "repositories: [...]" in ran.json["errors"][0]["message"]


@pytest.mark.row("AUTH-13")
def test_invalid_catalog_names_are_skipped_with_a_warning(lab):
    """Names outside the namespace or the grammar are never requested."""
    lab.push("app", "1", image(1))
    evil = [f"{lab.name}/app", f"{lab.name}/../../etc/passwd", f"{lab.name}//double", f"{lab.name}/UPPER", f"{lab.name}/\x1b[31mred", 5, None]
    lab.source.add(switches.Respond(200, {"repositories": evil}), target="_catalog")
    lab.declare("", namespaces=f"[{lab.name}]")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert [outcome["source"] for outcome in ran.json["outcomes"]] == [f"{lab.source.host}/{lab.name}/app:1"]
    assert "5 names that are not repository paths" in ran.events("listing.incomplete")[0]["reason"]
    assert "\x1b" not in ran.stdout + ran.stderr


@pytest.mark.parametrize("body", [{"errors": []}, {}, {"name": "x"}], ids=str)
@pytest.mark.parametrize("listing", ["_catalog", "tags/list"])
def test_other_document_is_not_an_empty_listing(listing, body, lab):
    """200 with another document is an error."""
    lab.push("app", "1", image(1))
    lab.source.add(switches.Respond(200, body), target=listing)
    lab.declare("", "tags: {at_least: 0}", namespaces=f"[{lab.name}]")

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 1
    assert "the response is not a listing" in ran.json["errors"][0]["message"]


def test_dates_come_from_the_image_where_the_listing_has_none(lab):
    """The config's `created`, of an index's first image; without one the tag is too old."""
    created = {"old": "2001-01-01T00:00:00Z", "new": "2026-01-01T00:00:00Z", "newer": "2026-02-01T00:00:00.5+01:00", "reproducible": "1970-01-01T00:00:00Z"}
    for tag, moment in created.items():
        lab.push("app", tag, image(tag, created=moment))
    lab.push("app", "index", index(1, created="2026-03-01T00:00:00Z"))

    def selected(tags: str) -> list[str]:
        lab.declare("app", f"tags: {tags}")
        return sorted(change["source"].rpartition(":")[2] for change in lab.run("plan", "-o", "json").json["changes"])

    assert selected("{max_age: 7300d}") == ["index", "new", "newer"]
    assert selected("{newest: 2}") == []  # a tag without a date: an error
    assert selected("{newest: 2, order: date}") == ["index", "newer"]
    assert selected("{newest: 1, exclude: [index, reproducible]}") == ["newer"]


def test_explain_shows_each_step(lab):
    """One line per declared step, in order."""
    for tag in ("1.0.0", "1.1.0-rc.1", "1.1.0", "2.0.0", "latest"):
        lab.push("app", tag, image(tag))
    lab.declare("app", "tags: {semver: '>=1', exclude: ['2*'], newest: 1}")

    shown = lab.run("plan", "--explain").stdout

    assert (
        f"    {lab.name}/app: 5 listed → 4 semver → 3 prereleases → 2 exclude → 2 order by version → 1 newest\n"
        "      semver: 1 dropped: latest (not a semantic version: 1)\n"
        "      prereleases: 1 dropped: 1.1.0-rc.1\n"
        "      exclude: 1 dropped: 2.0.0\n"
        "      newest: 1 dropped: 1.0.0\n"
    ) in shown


@pytest.mark.row("AUTH-10", "AUTH-22")
def test_next_page_elsewhere_fails_the_listing(lab, declare_login):
    """A page on another host or with a login is not requested, and the listing fails."""
    links = [
        f"{lab.other_host.url}/v2/x",
        f"//{lab.other_host.host}/v2/x",
        f"https://{lab.source.host}/v2/x",
        f"http://user:word-SECRET@{lab.source.host}/v2/x",
        f"http://localhost:{lab.source.port}/v2/x",
        f"http://{lab.source.host}.evil.example/x",
        f"ftp://{lab.source.host}/x",
        "http://[::1",
    ]
    for number, link in enumerate(links):
        lab.push(f"app{number}", "1", image(1, layers=0))
        lab.source.add(switches.headers(Link=f'<{link}>; rel="next"'), target=f"app{number}/tags/list")
    declare_login()
    repositories = {"registry": lab.source.host, "repositories": [f"{lab.name}/app{number}" for number in range(len(links))]}
    lab.workplace.mirror("a", source=repositories, destinations=["127.0.0.1:1/m"], retry={"attempts": 1})

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 1
    assert len([one for one in ran.json["errors"] if "nothing was sent there" in one["message"]]) == len(links), ran.json["errors"]
    assert ran.json["changes"] == []
    assert lab.other_host.seen == []
    assert len(lab.source.requests()) == len(links)


@pytest.mark.row("REG-24")
def test_order_and_repetition_of_a_listing_do_not_matter(lab):
    """The plan is the same each time."""
    for tag in ("v1", "V1", "a", "b"):
        lab.push("app", tag, image(tag))
    plans = []
    for tags in (["b", "v1", "V1", "a", "b", "a"], ["V1", "a", "a", "b", "v1"]):
        lab.source.clear()
        lab.source.add(Respond(200, {"name": "app", "tags": tags}), target="/tags/list")
        lab.declare("app")
        plans.append(lab.run("plan", "-o", "json").json)

    assert sorted(change["source"].rpartition(":")[2] for change in plans[0]["changes"]) == ["V1", "a", "b", "v1"]
    assert plans[0]["id"] == plans[1]["id"]
    assert plans[0]["changes"] == plans[1]["changes"]
