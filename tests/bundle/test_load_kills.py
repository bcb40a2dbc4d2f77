"""A killed load leaves no half image, and the next one goes on."""

from __future__ import annotations

import dataclasses
import random
import signal
from collections import Counter

import pytest

from tests import figures
from tests.support.carried import Attached, Carried, carry, expect
from tests.support.effort import effort
from tests.support.images import artifact, digest_of, image, index, layer, push, shared_base_images
from tests.support.run_imgsync import Workplace, finish
from tests.switches import slow_upload
from tests.switches.state import AtStep

_IMAGES_AT_ONCE, _BLOBS_AT_ONCE = 2, 2
_KILLS_IN_A_ROW = 4
# An upload of a large blob takes a quarter of a second at least.
_LARGE_BYTES, _PIECE_BYTES, _PAUSE_SECONDS = 3 << 20, 64 << 10, 0.005


class Load:
    """One bundle of everything that a bundle can hold, loaded into one place."""

    def __init__(self, lab) -> None:
        self.lab = lab
        left_out = layer(("left out", lab.name), 30_000)
        multi = index(lab.name)
        self.images = {
            **{f"app-{number}": one for number, one in enumerate(shared_base_images(4, seed=lab.name, layer_bytes=60_000))},
            "multi": multi,
            "more": image((lab.name, "more"), layers=1, shared=left_out),
            # Most of the time is spent in these, so that kills fall into transfers.
            **{f"large-{number}": image((lab.name, "large", number), layers=1, layer_bytes=_LARGE_BYTES) for number in range(2)},
        }
        self.sbom = artifact(lab.name, subject=multi)
        self.sizes = {digest: len(content) for one in (*self.images.values(), self.sbom) for digest, content in one.all_blobs.items()}
        push(lab.destination_registry, f"m/{lab.name}/base", "1", image((lab.name, "base"), layers=1, shared=left_out))
        items = (
            Carried(one, f"s.example/team/{name}:1", f"{lab.destination.host}/m/{lab.name}/{name}:1", "a", self._attach(name))
            for name, one in self.images.items()
        )
        held_by = "sha256:" + "1" * 64
        expects = expect(left_out, digest_of(left_out), f"m/{lab.name}/base", held_by=held_by)
        self.bundle = carry(lab.folder / "usb", *items, volume_bytes=1 << 20, expects=expects, parent=held_by)
        lab.workplace.allow_plain_http(lab.destination)
        concurrency = {"images": _IMAGES_AT_ONCE, "blobs": _BLOBS_AT_ONCE, "queries": 4}
        destination = {"registry": lab.destination.host, "namespace": f"m/{lab.name}", "repository": "{relative}"}
        source = {"registry": "s.example", "namespaces": ["team"]}
        lab.workplace.mirror("a", source=source, destinations=[destination], concurrency=concurrency, retry={"attempts": 3, "interval": "0s"})
        self.sent: Counter[str] = Counter()
        self.uploads: Counter[str] = Counter()
        self.cut_uploads = 0

    def _attach(self, name):
        return (Attached(self.sbom, self.images["multi"].digest),) if name == "multi" else ()

    def run(self, number=0, when="arrives", delay=0.0, *, of=""):
        """Load, and be killed at request *number* of those that match *of*; return the exit code."""
        self.lab.destination.settle()
        process = self.lab.start("bundle", "load", "usb", "mirrors.d", "-o", "json")
        self.lab.destination.clear()
        self.lab.destination.add(slow_upload(_PIECE_BYTES, seconds=_PAUSE_SECONDS), method="PUT", target="/blobs/uploads/")
        if number:
            self.lab.destination.add(AtStep(number, when, lambda: process.send_signal(signal.SIGKILL), of=of, delay=delay))
        result = finish(process, timeout=60)
        self.lab.destination.settle()
        for one in self.lab.destination.recorded("PUT .*/blobs/uploads/"):
            digest = one.target.rpartition("digest=")[2].replace("%3A", ":")
            self.sent[digest] += one.bytes_up
            self.uploads[digest] += bool(one.bytes_up)
            self.cut_uploads += 0 < one.bytes_up < self.sizes[digest]
        assert "Traceback" not in result.stderr, result.stderr
        self.check_no_half_image()
        requests = len(self.lab.destination.seen)
        self.lab.destination.forget()
        return result.code, requests

    def check_no_half_image(self):
        """Assert that each tag that is there serves all of its image."""
        for name, one in self.images.items():
            if self.lab.served_digest(name, "1") is not None:
                self.lab.assert_served(name, "1", one)

    @property
    def resent_bytes(self):
        """Return the bytes that were sent more than once."""
        return sum(max(0, sent - self.sizes[digest]) for digest, sent in self.sent.items())

    @property
    def resent_blobs(self):
        """Return how many uploads of blobs began again."""
        return sum(count - 1 for count in self.uploads.values() if count)

    @property
    def largest_bytes(self):
        """Return the size of the largest blob."""
        return max(self.sizes.values())


def move(lab, number):
    """Return the lab with another folder, and another place at the destination."""
    folder = lab.folder / str(number)
    folder.mkdir()
    return dataclasses.replace(lab, name=f"{lab.name}-{number}", workplace=Workplace(folder))


@pytest.mark.nightly
def test_killed_load_is_continued(lab):
    """At random instants: at most one blob per connection is sent again."""
    chooser = random.Random("load")
    wanted, kills, resent, cut = effort(4, 50), 0, 0, 0
    load = Load(lab)
    requests = 60
    while kills < wanted:
        here = 0
        for _ in range(_KILLS_IN_A_ROW):
            if chooser.random() < 0.5:
                # Within the transfer of a blob.
                code, _ = load.run(chooser.randint(1, 6), "after", chooser.uniform(0, 0.2), of="^PUT .*/blobs/uploads/")
            else:
                code, _ = load.run(chooser.randint(1, requests), chooser.choice(("arrives", "answered", "told", "after")), chooser.uniform(0, 0.02))
            assert code in {0, -signal.SIGKILL}
            here += code != 0
        code, _ = load.run()
        assert code == 0
        for name, one in load.images.items():
            load.lab.assert_served(name, "1", one)
        assert load.resent_bytes <= here * _IMAGES_AT_ONCE * _BLOBS_AT_ONCE * load.largest_bytes
        assert load.resent_blobs <= here * _IMAGES_AT_ONCE * _BLOBS_AT_ONCE
        kills, resent, cut = kills + here, resent + load.resent_bytes, cut + load.cut_uploads
        if kills < wanted:
            load = Load(move(lab, kills))
    # Of a few kills, none may be within a transfer.
    assert cut > 0 or kills < 20
    figures.record("uploads that SIGKILLs of loads cut", cut, note="of layers of 3 MiB")
    figures.record("SIGKILLs while a bundle is loaded", kills, note="after each, no tag serves half an image; the next load completes")
    figures.record("bytes sent again after a kill of a load, mean", round(resent / kills), unit="bytes", note="at most one blob per connection")


def test_end_of_a_killed_load_ends_the_interruption(lab):
    """The load after it asks for no blob."""
    load = Load(lab)
    code, _ = load.run(20)
    assert code == -signal.SIGKILL
    assert load.run()[0] == 0
    items = [Carried(image((lab.name, "next")), "s.example/team/app-0:2", f"{lab.destination.host}/m/{lab.name}/app-0:2")]
    carry(lab.folder / "next", *items)

    ran = lab.run("bundle", "load", "next", "mirrors.d", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.json["summary"]["copied"] == 1
    assert not lab.destination.requests("HEAD .*/blobs/")
