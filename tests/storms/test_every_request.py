"""Every kind of fault at every request of a run."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests import switches
from tests.figures import record
from tests.images.test_referrers import SBOM, push_fallback
from tests.support.effort import NIGHTLY, effort
from tests.support.faults import FaultProxy, Recorded
from tests.support.images import ANY_MANIFEST, Image, artifact, image, index, layer, plain_client, push
from tests.support.run_imgsync import Result, Workplace
from tests.switches import Raw, Respond, Switch
from tests.switches.net import HalfAnswer, reset_unheard

KINDS: dict[str, Callable[[FaultProxy], Switch]] = {
    "503": lambda _: switches.status(503),
    "429": lambda _: switches.status(429, retry_after="0"),
    "500 after the body": lambda _: switches.status(500),
    "401 once": lambda proxy: Respond(401, headers={"WWW-Authenticate": f'Bearer realm="{proxy.url}/token",service="x"'}),
    "reset before": lambda _: reset_unheard(),
    "reset after": lambda _: switches.reset(),
    "cut answer": lambda _: HalfAnswer(),
    "cut upload": lambda _: switches.break_upload_after(1),
    "garbage": lambda _: Raw(b"\x15\x03\x01\x00\x02\x02\x16 this is no HTTP\r\n\r\n"),
}
# Beyond what the run without a fault asks: a retry, a new upload session with its cancelling, a token and the request again.
_MORE_REQUESTS = 8


@dataclass(frozen=True)
class Reference:
    """What is mirrored, and how many requests each side needs."""

    repository: str
    tags: dict[str, Image]
    referrers: tuple[Image, ...]
    requests: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """The result of one run, and the requests of each side."""

    result: Result
    seen: dict[str, list[Recorded]]


class Storm:
    """Mirrors the reference to a new namespace each time, through two proxies."""

    def __init__(self, folder: Path, source: FaultProxy, destination: FaultProxy, reference: Reference) -> None:
        self.sides = {"source": source, "destination": destination}
        self.reference = reference
        self._folder = folder
        self._numbers = itertools.count(1)
        self.namespace = ""

    def begin(self) -> Workplace:
        """Return an empty workplace with a new destination namespace."""
        source, destination = self.sides.values()
        self.namespace = f"storm-{next(self._numbers)}"
        place = Workplace(self._folder / self.namespace)
        place.folder.mkdir()
        place.allow_plain_http(source, destination)
        place.mirror(
            "a",
            source=f"{source}/{self.reference.repository}",
            destinations=[{"registry": destination.host, "namespace": self.namespace, "repository": "app"}],
            retry={"attempts": 2, "interval": "0s"},
            # One after the other, so that the n-th request is the same in each run.
            concurrency={"images": 1, "blobs": 1, "queries": 1},
        )
        return place

    def calm(self) -> None:
        """Remove every fault; every token request is granted."""
        for proxy in self.sides.values():
            proxy.clear()
            proxy.add(Respond(200, {"token": "storm-SECRET", "expires_in": 300}), target="^/token")

    def apply(self, place: Workplace) -> Run:
        """Run `apply` once."""
        for proxy in self.sides.values():
            proxy.forget()
        result = place.run("apply", "-o", "json")
        return Run(result, {side: proxy.recorded(" /v2/") for side, proxy in self.sides.items()})


@pytest.fixture(scope="module")
def storm(registry, second_registry, tmp_path_factory) -> Iterator[Storm]:
    """Mirror images with a shared layer, an index and referrers, without faults."""
    repository = "every-request/app"
    base = layer("every request")
    root = index("every request")
    tags = {"1": image("every request 1", layers=1, shared=base), "2": image("every request 2", layers=1, shared=base), "multi": root}
    for tag, content in tags.items():
        push(registry, repository, tag, content)
    sbom = push(registry, repository, "", artifact("every request", artifact_type=SBOM, subject=root))
    push_fallback(registry, repository, root, sbom)
    with FaultProxy(registry) as source, FaultProxy(second_registry) as destination:
        storm = Storm(tmp_path_factory.mktemp("storm"), source, destination, Reference(repository, tags, (sbom,)))
        storm.calm()
        undisturbed = storm.apply(storm.begin())
        assert undisturbed.result.code == 0, undisturbed.result.stderr
        storm.reference.requests.update({side: len(seen) for side, seen in undisturbed.seen.items()})
        yield storm


def assert_never_half(registry: object, storm: Storm, *, whole: bool) -> None:
    """Assert that served tags are complete; *whole*: and nothing is missing."""
    path = f"/v2/{storm.namespace}/app"
    with plain_client(registry) as http:
        answer = http.get(f"{path}/tags/list")
        served = set(answer.json()["tags"] or ()) if answer.status_code == 200 else set()
        tags = {tag: content for tag, content in storm.reference.tags.items() if tag in served}
        if whole:
            assert set(tags) == set(storm.reference.tags)
        for content in (*tags.values(), *(storm.reference.referrers if whole else ())):
            for part in content.parts:
                got = http.get(f"{path}/manifests/{part.digest}", headers={"Accept": part.media_type})
                assert (got.status_code, got.content) == (200, part.raw)
            for digest in content.all_blobs:
                got = http.get(f"{path}/blobs/{digest}")
                assert got.status_code == 200, f"{digest} is not there"
                assert f"sha256:{hashlib.sha256(got.content).hexdigest()}" == digest
        for tag, content in tags.items():
            assert http.head(f"{path}/manifests/{tag}", headers={"Accept": content.media_type}).headers["docker-content-digest"] == content.digest
        if whole:
            fallback = http.get(f"{path}/manifests/{storm.reference.tags['multi'].digest.replace(':', '-')}", headers={"Accept": ANY_MANIFEST})
            assert {one["digest"] for one in json.loads(fallback.content)["manifests"]} == {one.digest for one in storm.reference.referrers}


@pytest.mark.nightly
@pytest.mark.row("NET-07", "REG-01")
@pytest.mark.timeout(effort(120, 3600))
@pytest.mark.parametrize("kind", KINDS)
def test_fault_at_every_request(kind, storm, second_registry):
    """With two attempts the run succeeds, nothing is half there, few requests are added."""
    places = [(side, number) for side, requests in storm.reference.requests.items() for number in range(1, requests + 1)]
    chosen = places if NIGHTLY else random.Random(f"storm {kind}").sample(places, 1)
    most, total = 0, sum(storm.reference.requests.values())

    for side, number in chosen:
        proxy = storm.sides[side]
        place = storm.begin()
        proxy.add(KINDS[kind](proxy), target="^/v2/", nth=number)
        ran = storm.apply(place)
        storm.calm()
        where = f"{kind} at request {number} of the {side} ({ran.seen[side][number - 1]})\n{ran.result.stderr}"

        assert_never_half(second_registry, storm, whole=False)
        assert "Traceback" not in ran.result.stderr, where
        assert ran.result.code == 0, where
        assert_never_half(second_registry, storm, whole=True)
        asked = sum(len(seen) for seen in ran.seen.values())
        most = max(most, asked - total)
        assert asked <= total + _MORE_REQUESTS, where
        if NIGHTLY:
            # Nothing is left to do.
            assert place.run("plan", "--detailed-exitcode").code == 0, where

    record(
        f"a fault at every request: {kind}",
        len(chosen),
        unit="runs",
        note=f"all succeeded in one run; at most {most} requests more than the {total} of a run without a fault",
    )
