"""Pull limits of Docker Hub are read, shown and obeyed."""

from __future__ import annotations

import json
import threading

import pytest

from imgsync.errors import LimitReachedError
from imgsync.oci.limits.pull_limit import PullLimit, PullQuota
from tests import switches
from tests.support.images import image, index
from tests.support.wire import plain_answer


class LimitsPulls(switches.Switch):
    """Counts GETs of manifests as pulls, as Docker Hub does."""

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
    """Give the source a pull limit of three."""
    return source.add(LimitsPulls(3), target="/manifests/")


@pytest.mark.row("NET-04")
@pytest.mark.parametrize("tells", [True, False], ids=["headers", "refusal alone"])
def test_spent_pulls_stop_only_their_registry(tells, lab, limited):
    """The rest waits for the next run (exit 75); other registries continue."""
    limited.tells = tells
    for number in range(6):
        lab.push("app", str(number), image(number))
    lab.push("other", "1", image("other"))
    lab.write(
        "mirrors.d/a.yaml",
        f"version: 1\nmirrors:\n  - {{name: a, source: {lab.source.host}/{lab.name}/app, destinations: ['{lab.destination.host}/m']}}\n"
        f"  - {{name: b, source: {lab.source_registry.host}/{lab.name}/other, destinations: ['{lab.destination.host}/m']}}\n",
    )
    hosts = "".join(f"  {host}: {{tls: false}}\n" for host in (lab.source.host, lab.destination.host, lab.source_registry.host))
    lab.write("registries.yaml", f"version: 1\nregistries:\n{hosts}")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 75, ran.stdout
    assert limited.pulled == 3
    assert ran.json["summary"] == ran.json["summary"] | {"copied": 4, "remaining": 3, "failed": 0}
    assert all(f"the pull limit of {lab.source.host} is used up" in outcome["error"] for outcome in ran.json["outcomes"] if not outcome["digest"])
    if tells:
        assert [one for one in lab.source.recorded("GET .*/manifests/") if one.status == 429] == []
    limited.left = 50
    again = lab.run("apply", "-o", "json")
    assert again.code == 0, again.stdout
    assert (again.json["summary"]["copied"], again.json["summary"]["kept"]) == (3, 4)


def test_plan_shows_pulls_needed_and_left(lab, limited):
    """Each manifest of a pending change is a pull; kept tags cost none."""
    limited.left = 50
    lab.push("app", "1", index(1))
    lab.push("app", "2", image(2))
    lab.declare("app")

    shown = lab.run("plan")
    document = lab.run("plan", "-o", "json").json

    assert f"{lab.source.host} limits pulls: apply needs 4; 46 of 100 per 6h00m are left." in shown.stdout
    assert document["pulls"] == [{"registry": lab.source.host, "pulls": 4, "remaining": 42, "limit": 100, "window_seconds": 21600}]
    assert lab.run("apply").code == 0
    left = limited.left
    assert "limits pulls" not in lab.run("plan").stdout
    assert limited.left == left, "an unchanged tag costs its head alone"


def test_plan_without_pulls_left_lists_changes(lab, limited):
    """Digests cost no pull; sizes stay unknown, and the plan says why."""
    limited.left = 0
    lab.source.add(LimitsPulls(0), method="HEAD", target="/manifests/")
    lab.push("app", "1", image(1))
    lab.declare("app")

    plan = lab.run("plan", "-o", "json")

    assert plan.code == 0
    assert plan.json["changes"][0]["size_bytes"] is None
    assert "size unknown: the pull limit" in plan.json["changes"][0]["reason"]


def nothing() -> None:
    """Do not end the waiting."""


@pytest.mark.parametrize("headers", [{}, {"ratelimit-remaining": "junk"}, {"ratelimit-remaining": ""}, {"ratelimit-limit": "100;w=21600"}])
def test_missing_header_means_no_limit(headers):
    """Without the header pulls are unlimited."""
    budget = PullLimit("docker.io")
    budget.update(headers, before=None)

    budget.acquire(nothing)

    assert budget.quota is None


def test_pulls_in_flight_count():
    """With two left, two may start before either is answered."""
    budget = PullLimit("docker.io")
    budget.update({"ratelimit-remaining": "2;w=21600", "ratelimit-limit": "100;w=21600"}, before=None)
    budget.acquire(nothing)
    budget.acquire(nothing)

    with pytest.raises(LimitReachedError) as caught:
        budget.acquire(nothing)

    assert "the pull limit of docker.io is used up: 2 of 100 pulls left (per 6h00m)" in caught.value.message


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown when asked"])
def test_late_response_does_not_raise_the_limit(known):
    """An older, higher count is ignored unless it shows a new window."""
    budget = PullLimit("docker.io")
    if known:
        budget.update({"ratelimit-remaining": "2"}, before=None)
    before = budget.quota
    budget.update({"ratelimit-remaining": "0"}, before=before)

    budget.update({"ratelimit-remaining": "1"}, before=before)

    with pytest.raises(LimitReachedError):
        budget.acquire(nothing)
    budget.update({"ratelimit-remaining": "100"}, before=budget.quota)
    budget.acquire(nothing)
    assert budget.quota == PullQuota(100)
