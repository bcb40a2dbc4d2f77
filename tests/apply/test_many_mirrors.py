"""Many mirrors of the same images, with random pauses wherever the program waits: nothing is done twice."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.support.effort import effort
from tests.support.images import artifact, image, index, layer, push
from tests.support.run_imgsync import finish
from tests.switches import Distance

MIRRORS = "abc"
_SHAKE = "from tests.support.shaken import shake\nshake({seed}, chance=0.8)\n"


def declare(lab) -> None:
    """Push images that share layers, and declare three mirrors of each."""
    shared = layer("base of all", 20_000)
    for number in range(2):
        part = image((number, "part"), layers=2, shared=shared)
        contents = {"1": index(number, children=[part, image((number, "arm"), platform="linux/arm64", shared=shared)]), "1-amd64": part}
        for tag, content in contents.items():
            lab.push(f"app{number}", tag, content)
        push(lab.source_registry, f"{lab.name}/app{number}", "", artifact(number, subject=part))
    lab.workplace.allow_plain_http(lab.source, lab.destination)
    repositories = {"registry": lab.source.host, "repositories": [f"{lab.name}/app{number}" for number in range(2)]}
    for name in MIRRORS:
        lab.workplace.mirror(name, source=repositories, destinations=[f"{lab.destination}/{name}"])


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(effort(2, 40)))
def test_what_mirrors_share_is_done_once(seed, lab):
    """Blobs are sent once per registry, manifests pulled once by digest, and pushed once per repository."""
    declare(lab)
    lab.destination.add(Distance(0.05), method="PUT")
    lab.source.add(Distance(0.02), target="/manifests/|/referrers/|/tags/")
    lab.source.forget()

    ran = finish(lab.workplace.start_with(_SHAKE.format(seed=seed), "apply", "-o", "json"), timeout=60)

    assert ran.code == 0, ran.stderr
    assert ran.json["summary"]["copied"] == len(MIRRORS) * 4
    sent = Counter(re.findall("sha256[:%].*", one.target)[0] for one in lab.destination.recorded("PUT .*/blobs/uploads/.*digest="))
    assert set(sent.values()) == {1}
    assert set(Counter(lab.destination.requests("PUT .*/manifests/sha256:")).values()) == {1}
    assert set(Counter(lab.destination.requests("PUT .*/manifests/1")).values()) == {1}
    assert set(Counter(lab.source.requests("GET .*/manifests/sha256:")).values()) == {1}
    assert set(Counter(lab.source.requests("GET .*/referrers/")).values()) <= {1}
    assert lab.run("plan", "-o", "json").json["summary"]["keep"] == len(MIRRORS) * 4
