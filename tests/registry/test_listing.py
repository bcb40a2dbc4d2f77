"""Listings: what each dialect costs in requests, and what it must not be trusted with."""

from __future__ import annotations

import pytest

from tests import switches
from tests.gcr_listing import GcrListing
from tests.images import image, index, push
from tests.witness import assert_served


@pytest.fixture
def google(registry, source):
    """The source answers listings as Google's registries do."""
    source.add(GcrListing(registry), method="GET", target="tags/list")
    return source


def test_google_namespace_is_walked_and_copied(registry, second_registry, name, declare, imgsync, google):
    """Every repository below a namespace is found by the folders that listings name, repositories that are folders too."""
    wanted = {f"{name}/one": image(1), f"{name}/one/below": image(2), f"{name}/deep/er/two": index(3)}
    for repository, content in wanted.items():
        push(registry, repository, "1", content)
    declare("[]", namespaces=f"[{name}]")

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
    assert google.requests() == [f"GET /v2/{name}/one/tags/list", f"GET /v2/{name}/two/tags/list"]
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


def test_catalog_and_tags_are_read_page_by_page(registry, name, declare, imgsync, source):
    """Links are followed to the end: what is on the second page is mirrored too."""
    for repository in ("one", "two"):
        for number in range(5):
            push(registry, f"{name}/{repository}", f"{number}", image(1))
    declare("[]", namespaces=f"[{name}]")
    # The registry is asked for pages of two, whatever the client asked for.
    source.add(_SmallPages(), method="GET", target=r"(_catalog|tags/list)")

    ran = imgsync("plan", "-o", "json")

    assert ran.json["summary"]["create"] == 10
    assert len(source.requests("tags/list")) > 2


class _SmallPages(switches.Switch):
    """Serves listings two entries a page, as if the registry allowed no more."""

    def request(self, request):
        import dataclasses
        import re

        target = re.sub(r"([?&])n=\d+", r"\1n=2", request.target)
        return dataclasses.replace(request, target=target if "n=2" in target else f"{target}{'&' if '?' in target else '?'}n=2")


def test_names_alone_need_no_listing(registry, name, declare, imgsync, source):
    """Exact tags of exact repositories are asked for as such."""
    push(registry, f"{name}/app", "1", image(1))
    declare(f"[{name}/app]", "tags: {names: ['1']}")

    assert imgsync("plan", "-o", "json").json["summary"]["create"] == 1
    assert source.requests("tags/list") == []


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
