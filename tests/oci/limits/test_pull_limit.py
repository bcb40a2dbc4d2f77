"""Good manners: pull limits are read, shown and obeyed; a registry that is asked too much at once is asked less."""

from __future__ import annotations

import json
import threading

import pytest

from tests import switches
from tests.support.images import image, index, pull_raw, push
from tests.support.wire import plain_answer


class PullLimit(switches.Switch):
    """Counts GETs of manifests as pulls, as Docker Hub does: tells what is left on heads too, and refuses when nothing is."""

    def __init__(self, left: int, *, tells: bool = True) -> None:
        self.left = left
        self.tells = tells
        self.pulled = 0
        self._lock = threading.Lock()

    def request(self, request):
        if request.method != "GET":
            return request
        with self._lock:
            if self.left == 0:
                body = {"errors": [{"code": "TOOMANYREQUESTS", "message": "You have reached your pull rate limit. You may increase the limit by upgrading."}]}
                return plain_answer(429, json.dumps(body).encode())
            self.left -= 1
            self.pulled += 1
        return request

    def answer(self, request, answer):
        return answer.with_headers(ratelimit_limit="100;w=21600", ratelimit_remaining=f"{self.left};w=21600") if self.tells else answer


@pytest.fixture
def limited(source):
    """The source counts pulls; three are left."""
    return source.add(PullLimit(3), target="/manifests/")


@pytest.mark.row("NET-04")
@pytest.mark.parametrize("tells", [True, False], ids=["headers", "refusal alone"])
def test_spent_pulls_stop_their_registry_in_good_order(tells, registry, second_registry, name, write, imgsync, source, destination, limited):
    """What can be copied is, the rest waits for the next run (exit 75), other registries are not concerned; and the next run goes on."""
    limited.tells = tells
    for number in range(6):
        push(registry, f"{name}/app", str(number), image(number))
    push(registry, f"{name}/other", "1", image("other"))
    write(
        "mirrors.d/a.yaml",
        f"version: 1\nmirrors:\n  - {{name: a, source: {source.host}/{name}/app, destinations: ['{destination.host}/m']}}\n"
        f"  - {{name: b, source: {registry.host}/{name}/other, destinations: ['{destination.host}/m']}}\n",
    )
    hosts = "".join(f"  {host}: {{tls: false}}\n" for host in (source.host, destination.host, registry.host))
    write("registries.yaml", f"version: 1\nregistries:\n{hosts}")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 75, ran.stdout
    assert limited.pulled == 3
    assert ran.json["summary"] == ran.json["summary"] | {"copied": 4, "remaining": 3, "failed": 0}
    assert all(f"the pull limit of {source.host} is used up" in outcome["error"] for outcome in ran.json["outcomes"] if not outcome["digest"])
    if tells:
        assert [one for one in source.recorded("GET .*/manifests/") if one.status == 429] == []
    limited.left = 50
    again = imgsync("apply", "-o", "json")
    assert again.code == 0, again.stdout
    assert (again.json["summary"]["copied"], again.json["summary"]["kept"]) == (3, 4)


def test_plan_shows_what_applying_costs_and_what_is_left(registry, name, declare, imgsync, source, limited):
    """Every manifest of what is pending is a pull; kept tags cost none."""
    limited.left = 50
    push(registry, f"{name}/app", "1", index(1))
    push(registry, f"{name}/app", "2", image(2))
    declare(f"[{name}/app]")

    shown = imgsync("plan")
    document = imgsync("plan", "-o", "json").json

    assert f"{source.host} limits pulls: apply needs 4; 46 of 100 per 6h00m are left." in shown.stdout
    assert document["pulls"] == [{"registry": source.host, "pulls": 4, "remaining": 42, "limit": 100, "window_seconds": 21600}]
    assert imgsync("apply").code == 0
    left = limited.left
    assert "limits pulls" not in imgsync("plan").stdout
    assert limited.left == left, "an unchanged tag costs its head alone"


def test_plan_without_pulls_left_still_says_what_would_change(registry, name, declare, imgsync, source, limited):
    """Digests are free; only sizes stay unknown, and the plan says why."""
    limited.left = 0
    source.add(PullLimit(0), method="HEAD", target="/manifests/")
    push(registry, f"{name}/app", "1", image(1))
    declare(f"[{name}/app]")

    plan = imgsync("plan", "-o", "json")

    assert plan.code == 0
    assert plan.json["changes"][0]["size_bytes"] is None
    assert "size unknown: the pull limit" in plan.json["changes"][0]["reason"]


class Crowded(switches.Switch):
    """Answers 429 to whatever comes while so many requests are being answered."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.refused = 0
        self._running = 0
        self._lock = threading.Lock()

    def request(self, request):
        with self._lock:
            if self._running >= self.most:
                self.refused += 1
                return plain_answer(429, b"", {"Retry-After": "0"})
            self._running += 1
        return request

    def answer(self, request, answer):
        if answer.status != 429:
            with self._lock:
                self._running -= 1
        return answer


@pytest.mark.row("NET-01")
def test_crowded_registry_is_asked_less_at_once(registry, second_registry, name, declare, imgsync, destination):
    """Everything arrives, and most requests are answered: who asks as much as ever is told no nine times in ten."""
    crowded = destination.add(Crowded(2))
    for number in range(12):
        push(registry, f"{name}/app", str(number), image(number))
    declare(f"[{name}/app]", "concurrency: {images: 12, blobs: 3}", retry="{attempts: 8, interval: 0s}")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stdout
    assert all(pull_raw(second_registry, f"m/{name}/app", str(number)) for number in range(12))
    assert 0 < crowded.refused < len(destination.seen) * 2 / 3


def test_repository_that_is_always_refused_is_not_asked_for_ever(registry, second_registry, name, declare, imgsync, source):
    """429 to one repository alone, while others are served: it is asked some times more than tries are declared, then it fails; the others are copied."""
    content = push(registry, f"{name}/app", "1", image(1))
    source.add(switches.status(429, retry_after="0"), target=f"{name}/never/")
    # One after the other: what the registry serves is known before it refuses.
    declare(f"[{name}/app, {name}/never]", "concurrency: {queries: 1}")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert pull_raw(second_registry, f"m/{name}/app", "1") == content.raw
    assert [error["reference"].endswith(f"{name}/never") for error in ran.json["errors"]] == [True]
    assert 2 < len(source.recorded(f"GET .*{name}/never/")) <= 16 + 2
