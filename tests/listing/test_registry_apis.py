"""Every listing API, in shapes recorded from real registries."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import pytest

from tests import switches
from tests.support.faults import FaultProxy
from tests.support.gcr_listing import GcrListing
from tests.support.images import Image, image, index, push
from tests.support.listing_apis import DockerHubApi, EcrApi, GhcrApi, GitLabApi, HarborApi, QuayApi
from tests.support.run_imgsync import finish
from tests.support.wire import plain_answer
from tests.support.witness import assert_served
from tests.switches import Hold

TOKEN = "listing-SECRET"


@dataclasses.dataclass(frozen=True)
class Setting:
    """A listing API: its settings, proxies and environment."""

    registry_settings: dict[str, object]
    apis: tuple[FaultProxy, ...]
    environ: dict[str, str] = dataclasses.field(default_factory=dict)


@contextmanager
def elsewhere(kind: str, api: object, **registry_settings: object) -> Iterator[Setting]:
    """Serve an API on a declared host of its own."""
    with FaultProxy(None) as proxy:
        proxy.add(api)
        yield Setting({"listing": {"kind": kind, "url": proxy.url}} | registry_settings, (proxy,))


def here(kind: str, source: FaultProxy, api: object, **registry_settings: object):
    """Serve an API on the registry's own host."""
    source.add(api)
    return nullcontext(Setting({"listing": kind} | registry_settings, ()))


@contextmanager
def amazon(held: object) -> Iterator[Setting]:
    with EcrApi(held) as api:
        keys = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": TOKEN, "AWS_DEFAULT_REGION": "eu-west-1"}
        yield Setting({"listing": {"kind": "ecr", "url": api.url}}, (), keys)


CREDENTIALS = {"username": "someone", "password": TOKEN}
DIALECTS: dict[str, Callable[[FaultProxy, dict], object]] = {
    "gcr": lambda source, held: here("gcr", source, GcrListing(source._upstream)),
    "dockerhub": lambda _, held: elsewhere("dockerhub", DockerHubApi(held)),
    "quay": lambda source, held: here("quay", source, QuayApi(held)),
    "harbor": lambda source, held: here("harbor", source, HarborApi(held)),
    "ghcr": lambda _, held: elsewhere("ghcr", GhcrApi(held, token=TOKEN), credentials=CREDENTIALS),
    "ghcr user": lambda _, held: elsewhere("ghcr", GhcrApi(held, token=TOKEN, users=frozenset({next(iter(held)).partition("/")[0]})), credentials=CREDENTIALS),
    "ecr": lambda _, held: amazon(held),
    "gitlab": lambda _, held: elsewhere("gitlab", GitLabApi(held, token=TOKEN), credentials=CREDENTIALS),
    "catalog": lambda source, held: here("catalog", source, switches.Switch()),
}
WITHOUT_DIGESTS = {"gitlab", "catalog"}
ONE_LEVEL = {"dockerhub"}


def held_by(registry: object, name: str, *, nested: bool) -> dict[str, dict[str, Image]]:
    """Push repositories with more rows than one page holds."""
    held = {
        f"{name}/app": {"1": image(1), "2": image(2), "latest": image(2), "multi": index(3), "v1.0": image(4)},
        f"{name}/tool": {"1": image(5)},
        f"{name}/{'deep/er' if nested else 'deeper'}": {"1": image(6), "2": image(7), "3": image(8)},
    }
    for path, tags in held.items():
        for tag, content in tags.items():
            push(registry, path, tag, content)
    return held


@pytest.mark.parametrize("kind", DIALECTS)
def test_namespace_is_listed_and_copied(kind, lab):
    """Every page is read; a second plan needs only listings if they have digests."""
    held = held_by(lab.source_registry, lab.name, nested=kind not in ONE_LEVEL)
    with DIALECTS[kind](lab.source, held) as setting:
        lab.workplace.allow_plain_http(lab.source, lab.destination, settings={lab.source.host: setting.registry_settings})
        lab.workplace.mirror("a", source={"registry": lab.source.host, "namespaces": [lab.name]}, destinations=[f"{lab.destination}/m"])

        ran = lab.run("apply", "-o", "json", env=setting.environ)

        assert ran.code == 0, ran.stderr
        assert ran.json["summary"]["copied"] == 9
        for path, tags in held.items():
            for tag, content in tags.items():
                assert_served(lab.destination_registry, f"m/{path}", tag, content)
        lab.source.forget()
        lab.destination.forget()
        again = lab.run("plan", "-o", "json", env=setting.environ)
        assert again.json["summary"]["keep"] == 9, again.stdout
        assert lab.destination.seen == []
        if kind in WITHOUT_DIGESTS:
            assert len(lab.source.requests("HEAD .*/manifests/")) == 9
        else:
            assert lab.source.requests("/v2/.*/(manifests|referrers|blobs)/") == []
        assert TOKEN not in ran.stdout + ran.stderr + again.stdout + again.stderr
        assert TOKEN not in lab.source.everything()


@pytest.mark.parametrize("kind", sorted(set(DIALECTS) - WITHOUT_DIGESTS))
def test_moved_tag_is_seen_in_the_listing(kind, lab):
    """The listing's digest shows that a tag moved."""
    held = held_by(lab.source_registry, lab.name, nested=kind not in ONE_LEVEL)
    with DIALECTS[kind](lab.source, held) as setting:
        lab.workplace.allow_plain_http(lab.source, lab.destination, settings={lab.source.host: setting.registry_settings})
        lab.workplace.mirror("a", source=f"{lab.source.host}/{lab.name}/tool", destinations=[f"{lab.destination}/m"])
        assert lab.run("apply", env=setting.environ).code == 0
        moved = held[f"{lab.name}/tool"]["1"] = lab.push("tool", "1", image("moved"))

        ran = lab.run("apply", "-o", "json", env=setting.environ)

        assert [outcome["action"] for outcome in ran.json["outcomes"]] == ["update"], ran.stderr
        lab.assert_served("tool", "1", moved)


@pytest.mark.parametrize("kind", sorted(set(DIALECTS) - WITHOUT_DIGESTS - {"gcr"}))
def test_dates_come_from_the_listing(kind, lab):
    """max_age uses the listing, and no image is read."""
    held = held_by(lab.source_registry, lab.name, nested=False)
    with DIALECTS[kind](lab.source, held) as setting:
        lab.workplace.allow_plain_http(lab.source, lab.destination, settings={lab.source.host: setting.registry_settings})
        lab.workplace.mirror(
            "a", source=f"{lab.source.host}/{lab.name}/tool", destinations=[f"{lab.destination}/m"], tags={"max_age": "7300d"}, referrers=False
        )

        ran = lab.run("plan", "-o", "json", env=setting.environ)

        assert ran.json["summary"]["create"] == 1, ran.stderr
        assert lab.source.requests("blobs") == []


def test_hub_login_uses_the_registry_s_credentials(lab):
    """Once, for a bearer token; neither is shown or sent elsewhere."""
    held = held_by(lab.source_registry, lab.name, nested=False)
    with elsewhere("dockerhub", DockerHubApi(held, login=("someone", TOKEN)), credentials=CREDENTIALS) as setting:
        lab.workplace.allow_plain_http(lab.source, lab.destination, settings={lab.source.host: setting.registry_settings})
        lab.workplace.mirror("a", source={"registry": lab.source.host, "namespaces": [lab.name]}, destinations=[f"{lab.destination}/m"])
        lab.workplace.mirror("b", source={"registry": lab.source.host, "repositories": [f"{lab.name}/app"]}, destinations=[f"{lab.destination}/n"])

        ran = lab.run("plan", "-o", "json", "--log-level", "debug")

        assert ran.code == 0, ran.stderr
        assert setting.apis[0].requests("POST") == ["POST /v2/auth/token"]
        assert TOKEN not in ran.stdout + ran.stderr
        assert "hub-api-token" not in ran.stdout + ran.stderr + lab.source.everything()


def test_ghcr_without_a_token_lists_named_repositories(lab):
    """Packages need a token, as the error says; tags come from tags/list."""
    held = held_by(lab.source_registry, lab.name, nested=False)
    with elsewhere("ghcr", GhcrApi(held, token=TOKEN)) as setting:
        lab.workplace.allow_plain_http(lab.source, lab.destination, settings={lab.source.host: setting.registry_settings})
        lab.workplace.mirror("a", source={"registry": lab.source.host, "namespaces": [lab.name]}, destinations=[f"{lab.destination}/m"])
        lab.workplace.mirror("b", source={"registry": lab.source.host, "repositories": [f"{lab.name}/tool"]}, destinations=[f"{lab.destination}/n"])

        ran = lab.run("plan", "-o", "json")

        assert ran.code == 1
        assert [error["mirror"] for error in ran.json["errors"]] == ["a"]
        assert "read:packages, or name the repositories" in ran.json["errors"][0]["message"]
        assert ran.json["summary"]["create"] == 1
        assert setting.apis[0].seen == []


def test_refusing_quay_api_falls_back_to_tags_list(lab):
    """With a note in the plan."""
    held = held_by(lab.source_registry, lab.name, nested=False)
    lab.source.add(QuayApi(held, token="an OAuth token we do not have"))
    lab.workplace.allow_plain_http(lab.source, lab.destination, settings={lab.source.host: {"listing": "quay"}})
    lab.workplace.mirror("a", source=f"{lab.source.host}/{lab.name}/app", destinations=[f"{lab.destination}/m"])

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.json["summary"]["create"] == 5
    assert "come from tags/list, without digests" in ran.events("listing.incomplete")[0]["reason"]


def test_list_tries_the_namespace_after_a_401(lab):
    """Some registries answer 401 for a missing repository."""
    lab.push("app", "1", image(1))
    lab.source.add(switches.status(401), target=f"/v2/{lab.name}/tags/list")
    lab.workplace.allow_plain_http(lab.source)

    assert lab.run("list", f"{lab.source.host}/{lab.name}").stdout.split() == [f"{lab.source.host}/{lab.name}/app"]


def test_harbor_is_recognised_by_its_challenge(lab, token_registry):
    """The plan says what `auto` chose."""
    held = held_by(lab.source_registry, lab.name, nested=True)
    with FaultProxy(lab.source_registry) as source:
        source.add(HarborApi(held))
        source.add(
            switches.Respond(401, headers={"WWW-Authenticate": f'Bearer realm="{source.url}/service/token",service="harbor-registry"'}), target="_catalog"
        )
        source.add(switches.Respond(200, {"token": "anonymous"}), target="/service/token")
        lab.workplace.allow_plain_http(source, lab.destination)
        lab.workplace.mirror("a", source={"registry": source.host, "namespaces": [lab.name]}, destinations=[f"{lab.destination}/m"])

        shown = lab.run("plan")

        assert shown.code == 0, shown.stderr
        assert f"listed repositories of {source.host}/{lab.name} through harbor" in shown.stdout
        assert "9 to create" in shown.stdout


@pytest.mark.row("AUTH-03")
def test_credentials_are_not_sent_to_an_undeclared_api(lab):
    """A realm on another host gets none unless the operator declared it."""
    lab.push("app", "1", image(1))
    lab.source.add(
        switches.Respond(401, headers={"WWW-Authenticate": f'Bearer realm="{lab.other_host.url}/jwt/auth",service="container_registry"'}), target="/v2/"
    )
    lab.workplace.allow_plain_http(lab.source, lab.destination, settings={lab.source.host: {"listing": "gitlab", "credentials": CREDENTIALS}})
    lab.workplace.mirror("a", source={"registry": lab.source.host, "namespaces": [lab.name]}, destinations=[f"{lab.destination}/m"])

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 1
    assert "127.0.0.2, which is neither its own host nor its site" in ran.json["errors"][0]["message"]
    assert lab.other_host.seen == []


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"count": 1, "next": "https://evil.example/v2/x", "results": []}, "the listing's next page is on another host, evil.example"),
        ({"count": 1, "next": "?page=2", "results": [{"name": "x"}]}, "the listing's pages never end"),
        ({"results": None}, "expected an object with a list of results"),
        ([], "expected an object with a list of results"),
    ],
    ids=["foreign", "loop", "null", "list"],
)
def test_hostile_listing_is_a_clear_error(document, says, lab):
    """Another host, endless pages or another shape never count as a whole listing."""
    lab.push("app", "1", image(1))
    api = DockerHubApi({})
    with elsewhere("dockerhub", api) as setting:
        setting.apis[0].add(_Document(api, document))
        setting.apis[0]._rules.reverse()
        lab.workplace.allow_plain_http(lab.source, lab.destination, settings={lab.source.host: setting.registry_settings})
        lab.workplace.mirror("a", source={"registry": lab.source.host, "namespaces": [lab.name]}, destinations=[f"{lab.destination}/m"])

        ran = lab.run("plan", "-o", "json")

        assert ran.code == 1
        assert says in ran.json["errors"][0]["message"]
        assert lab.source.host in ran.json["errors"][0]["message"]
        assert len(setting.apis[0].seen) <= 3


class _Document(switches.Switch):
    def __init__(self, api, document):
        self.answered = api.document(document)

    def request(self, request):
        return self.answered


def test_listing_that_changes_meanwhile_is_a_warning(lab):
    """Fewer rows than the API counts: a tag may be missing."""
    content = lab.push("app", "1", image(1))
    api = DockerHubApi({})
    with FaultProxy(None) as proxy:
        proxy.add(_Document(api, {"count": 3, "next": None, "results": [{"name": "1", "digest": content.digest}, {"name": "1", "digest": content.digest}]}))
        lab.workplace.allow_plain_http(lab.source, lab.destination, settings={lab.source.host: {"listing": {"kind": "dockerhub", "url": proxy.url}}})
        lab.workplace.mirror("a", source=f"{lab.source.host}/{lab.name}/app", destinations=[f"{lab.destination}/m"])

        ran = lab.run("plan", "-o", "json")

        assert ran.json["summary"]["create"] == 1, ran.stderr
        assert "changed while its tags were listed: 1 of 3 were found" in ran.events("listing.incomplete")[0]["reason"]


@pytest.mark.parametrize("kind", ["dockerhub", "harbor"])
def test_later_pages_are_prefetched(kind, lab):
    """The third page is requested while the second is slow."""
    held = {f"{lab.name}/app": {f"t{number}": image((lab.name, number)) for number in range(1, 8)}}
    lab.push("app", "t1", held[f"{lab.name}/app"]["t1"])
    slow = Hold()
    with DIALECTS[kind](lab.source, held) as setting:
        api = setting.apis[0] if setting.apis else lab.source
        api.add_first(slow, target="[?&]page=2(&|$)")
        lab.workplace.allow_plain_http(lab.source, lab.destination, settings={lab.source.host: setting.registry_settings})
        lab.workplace.mirror("a", source=f"{lab.source.host}/{lab.name}/app", tags={"exclude": ["t[2-9]"]}, destinations=[f"{lab.destination}/m"])

        running = lab.start("plan", "-o", "json", "--explain")
        slow.reached()
        ends = time.monotonic() + 30
        while not api.recorded("[?&]page=3(&|$)"):
            assert time.monotonic() < ends, "nobody asks for the third page"
        slow.release()
        ran = finish(running)

        assert ran.json["summary"]["create"] == 1, ran.stderr
        assert Counter(one.target for one in api.recorded("[?&]page=")).most_common(1)[0][1] == 1, "no page was asked for twice"


def test_html_instead_of_an_api_is_a_clear_error(lab):
    """An HTML page, as of a proxy's login."""
    with FaultProxy(None) as proxy:
        proxy.add(switches.html())
        lab.workplace.allow_plain_http(lab.source, lab.destination, settings={lab.source.host: {"listing": {"kind": "dockerhub", "url": proxy.url}}})
        lab.workplace.mirror("a", source={"registry": lab.source.host, "namespaces": [lab.name]}, destinations=[f"{lab.destination}/m"])

        ran = lab.run("plan", "-o", "json")

        assert ran.code == 1
        assert "is not JSON; is this the registry's API?" in ran.json["errors"][0]["message"]
        assert "name them: `source: {repositories: [...]}`" in ran.json["errors"][0]["message"]


def test_invalid_names_are_skipped_in_every_listing(lab):
    """Only valid names are requested."""
    good = lab.push("app", "1", image(1))
    held = {f"{lab.name}/app": {"1": good, "bad tag": good, "../../x": good}, f"{lab.name}/UPPER": {}, f"{lab.name}/../up": {}}
    with elsewhere("dockerhub", DockerHubApi(held)) as setting:
        lab.workplace.allow_plain_http(lab.source, lab.destination, settings={lab.source.host: setting.registry_settings})
        lab.workplace.mirror("a", source={"registry": lab.source.host, "namespaces": [lab.name]}, destinations=[f"{lab.destination}/m"])

        ran = lab.run("apply", "-o", "json")

        assert ran.code == 0, ran.stderr
        assert [outcome["source"] for outcome in ran.json["outcomes"]] == [f"{lab.source.host}/{lab.name}/app:1"]
        assert len(ran.events("listing.incomplete")) == 2
        assert "UPPER" not in lab.source.everything()


@pytest.mark.row("REG-22")
def test_full_page_without_a_link_is_continued(lab):
    """The names after its last one are requested."""
    root = lab.push("app", "t000", image(1))
    for number in range(1, 120):
        push_tag(lab.source_registry, f"{lab.name}/app", f"t{number:03}", root)
    lab.source.add(_Cut(50), target="tags/list")
    lab.declare("app")

    ran = lab.run("plan", "-o", "json")

    assert ran.json["summary"]["create"] == 120, ran.stderr


def push_tag(registry, repository, tag, content):
    from tests.support.images import request

    headers = {"Content-Type": content.media_type}
    assert request(registry, "PUT", f"/v2/{repository}/manifests/{tag}", headers=headers, body=content.raw)[0] == 201


class _Cut(switches.Switch):
    """Serves sorted tags after `last`, without a Link."""

    def __init__(self, size):
        self.size = size

    def answer(self, request, answer):
        import json
        from urllib.parse import parse_qs

        tags = sorted(json.loads(b"".join(answer.body()))["tags"])
        last = parse_qs(request.target.partition("?")[2]).get("last", [""])[0]
        return plain_answer(200, json.dumps({"name": "x", "tags": [tag for tag in tags if tag > last][: self.size]}).encode())


def test_list_command_uses_every_api(lab):
    """`imgsync list` shows the content of a namespace."""
    held = held_by(lab.source_registry, lab.name, nested=False)
    with elsewhere("dockerhub", DockerHubApi(held)) as setting:
        lab.workplace.allow_plain_http(lab.source, settings={lab.source.host: setting.registry_settings})

        assert lab.run("list", f"{lab.source.host}/{lab.name}").stdout.split() == [f"{lab.source.host}/{path}" for path in sorted(held)]
        assert lab.run("list", f"{lab.source.host}/{lab.name}/app").stdout.split() == ["1", "2", "latest", "multi", "v1.0"]


class _Archeio(switches.Switch):
    """Acts as registry.k8s.io: redirects all but `/v2/` to another host."""

    def __init__(self, host):
        self.host = host

    def request(self, request):
        if request.path == "/v2/":
            return plain_answer(200)
        return plain_answer(307, headers={"Location": f"http://{self.host}{request.path}"})


def test_namespace_behind_cross_host_redirects(lab):
    """Redirects are followed without credentials; a second plan needs only listings."""
    held = held_by(lab.source_registry, lab.name, nested=True)
    lab.source.add(_Archeio(lab.other_host.host))
    lab.other_host.add(GcrListing(lab.source_registry), method="GET", target="tags/list")
    lab.workplace.allow_plain_http(lab.source, lab.destination, settings={lab.source.host: {"listing": "gcr", "credentials": CREDENTIALS}})
    lab.workplace.mirror("a", source={"registry": lab.source.host, "namespaces": [lab.name]}, destinations=[f"{lab.destination}/m"])

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.json["summary"]["copied"] == 9
    lab.assert_served("deep/er", "3", held[f"{lab.name}/deep/er"]["3"])
    lab.source.forget()
    assert lab.run("plan", "-o", "json").json["summary"]["keep"] == 9
    assert lab.source.requests("manifests|referrers") == []
