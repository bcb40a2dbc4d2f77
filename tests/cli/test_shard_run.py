"""Shards of a plan move what one process moves, and not much more."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from imgsync.config.schema_files import read_schema
from imgsync.documents.plan import decode_plan
from imgsync.partition.shard import parse_shard
from imgsync.plan.shards import Partition
from tests.plan.test_saved import sealed
from tests.support.images import Image, image, layer, push
from tests.support.lab import Lab
from tests.support.registry_process import LOGIN
from tests.support.run_imgsync import eventually, finish, stopping
from tests.switches import Hold, status

_SHARDS = 8
_IMAGES = 40


@dataclass(frozen=True)
class Cost:
    """Bytes to the destination, and manifest requests to the source."""

    sent_bytes: int
    manifests: int


@dataclass(frozen=True)
class Bench:
    """Images at the source, and a mirror of them per namespace."""

    lab: Lab
    images: dict[str, Image]

    def declare(self, namespace: str, **settings: Any) -> None:
        """Declare the mirror to *namespace*, without its state."""
        repositories = [f"{self.lab.name}/{name}" for name in self.images]
        source = {"registry": self.lab.source.host, "repositories": repositories}
        self.lab.workplace.mirror("a", source=source, destinations=[f"{self.lab.destination}/{namespace}"], retry={"attempts": 1}, **settings)
        assert self.lab.run("plan", "--out", "plan.json", "--state", "absent").code == 0
        self.forget()

    def forget(self) -> None:
        """Count from here."""
        self.lab.source.forget()
        self.lab.destination.forget()

    def shard(self, which: str, *arguments: str) -> Any:
        """Run one shard without a state; return its result."""
        name = which.replace("/", "-")
        options = ("--outcome", f"out-{name}.json", "--state", "absent", "--shared-wait", "0s")
        return self.lab.run("apply", "--plan", "plan.json", "--shard", which, *options, *arguments)

    def cost(self) -> Cost:
        """Return what was sent since `forget`."""
        sent = sum(one.bytes_up for one in self.lab.destination.recorded("(PUT|PATCH|POST) .*/blobs/"))
        return Cost(sent, len(self.lab.source.recorded("GET .*/manifests/")))

    def outcome(self, which: str) -> Any:
        """Return the outcome that a shard wrote."""
        return json.loads((self.lab.folder / f"out-{which.replace('/', '-')}.json").read_text())

    def assert_all_served(self, namespace: str) -> None:
        """Assert that every image is at the destination."""
        tags = [(f"{namespace}/{self.lab.name}/{name}", "v1") for name in self.images]
        served = self.lab.destination_registry.digests(tags)
        assert served == {key: content.digest for key, content in zip(tags, self.images.values(), strict=True)}


@pytest.fixture
def bench(lab) -> Callable[..., Bench]:
    """Return a function that pushes images on one base."""

    def made(count: int, *, base: int, base_bytes: int = 48 << 10) -> Bench:
        lab.workplace.allow_plain_http(lab.source, lab.destination)
        layers = [layer((lab.name, "base", number), base_bytes) for number in range(base)]
        images = {f"b{number:02}": image((lab.name, number), contents=[*layers, layer((lab.name, number), 2048)]) for number in range(count)}
        for name, content in images.items():
            lab.push(name, "v1", content)
        return Bench(lab, images)

    return made


def test_eight_shards_send_what_one_process_sends(bench):
    """Alone, and after the phase `shared`; manifests are read no more often."""
    work = bench(_IMAGES, base=3)
    work.declare("one")
    assert work.lab.run("apply", "--plan", "plan.json", "--state", "written").code == 0
    one = work.cost()

    work.declare("alone")
    for number in range(_SHARDS):
        assert work.shard(f"{number + 1}/{_SHARDS}").code == 0
    alone = work.cost()
    work.assert_all_served("alone")

    work.declare("after")
    assert work.shard("shared").code == 0
    assert work.cost().manifests == 0
    for number in range(_SHARDS):
        assert work.shard(f"{number + 1}/{_SHARDS}").code == 0
    after = work.cost()
    work.assert_all_served("after")

    assert one.sent_bytes == sum(len(blob) for blob in {d: b for i in work.images.values() for d, b in i.all_blobs.items()}.values())
    assert (alone.manifests, after.manifests) == (one.manifests, one.manifests)
    assert alone.sent_bytes <= 1.15 * one.sent_bytes
    assert after.sent_bytes <= 1.02 * one.sent_bytes


def test_parts_are_printed_as_what_they_are(bench):
    """With the plan's id, which is that of all shards."""
    work = bench(3, base=1)
    work.declare("m")
    plan = json.loads((work.lab.folder / "plan.json").read_text())["id"]

    shared, first, second = (work.shard(which).stdout for which in ("shared", "1/2", "2/2"))

    assert re.match(rf"Plan {plan}, phase shared with 1 blob: [\d.]+ KiB to transfer\.\nCopied 1 shared blob \([\d.]+ KiB\) in ", shared)
    created = [
        int(re.search(rf"^Plan {plan}, shard {which}: (\d) to create, 0 to update, 0 up to date\.$", text, re.MULTILINE)[1])
        for which, text in (("1/2", first), ("2/2", second))
    ]
    assert sorted(created) == [1, 2]
    # Planning was another job.
    assert "Planning took" not in first + second
    fits = Draft202012Validator(json.loads(read_schema("outcome")), format_checker=FormatChecker())
    for which in ("shared", "1/2", "2/2"):
        fits.validate(work.outcome(which))
    shown = work.lab.run("show", "out-1-2.json").stdout
    assert shown.splitlines()[-2:] == first.splitlines()[-2:]
    assert work.lab.run("show", "out-shared.json", "-o", "markdown").stdout.startswith("<!-- imgsync-report -->")


def test_shard_that_ran_before_copies_nothing_again(bench):
    """It finds its tags at the destination, and its outcome says so."""
    work = bench(4, base=2)
    work.declare("m")
    assert work.shard("1/1").code == 0
    work.forget()

    again = work.shard("1/1")

    assert again.code == 0
    assert work.cost() == Cost(0, 0)
    assert re.search(r"^Plan \w{8}, shard 1/1: 0 to create, 0 to update, 4 up to date\.$", again.stdout, re.MULTILINE)
    assert "to transfer" not in again.stdout
    assert {(one["result"], one["reason"]) for one in work.outcome("1/1")["outcomes"]} == {("kept", "applied since the plan was made")}
    assert work.lab.run("combine", "--plan", "plan.json", "out-1-1.json").code == 0
    assert work.lab.run("plan", "--detailed-exitcode").code == 0


def test_killed_shard_completes_when_it_runs_again(bench):
    """What it left says that it was killed; what it had copied is not sent again."""
    work = bench(6, base=2)
    work.declare("m")
    held = work.lab.source.add(Hold(), method="GET", target="/b05/manifests/")
    process = work.lab.start("apply", "--plan", "plan.json", "--shard", "1/1", "--outcome", "out-1-1.json", "--state", "absent")
    eventually(lambda: [one.status for one in work.lab.destination.recorded("PUT .*/manifests/v1")] == [201] * 5)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    killed = work.outcome("1/1")
    assert (killed["exit_code"], killed["stopped"], killed["outcomes"]) == (75, "the shard was killed before it ended", [])
    assert work.lab.run("combine", "--plan", "plan.json", "out-1-1.json").code == 75
    held.release()
    work.lab.source.clear()
    work.lab.destination.settle()
    work.forget()

    assert work.shard("1/1").code == 0

    work.assert_all_served("m")
    own = [len(blob) for digest, blob in work.images["b05"].all_blobs.items() if digest not in work.images["b00"].all_blobs]
    assert work.cost() == Cost(sum(own), 1)


@pytest.mark.parametrize(("signals", "code"), [(1, 75), (2, 130)])
def test_stopped_shard_writes_what_it_did(bench, signals, code):
    """The first signal ends it in order, the second at once."""
    work = bench(3, base=1)
    work.declare("m")
    work.lab.source.add(Hold(), method="GET", target="/b02/manifests/")
    process = work.lab.start(
        "apply", "--plan", "plan.json", "--shard", "1/1", "--outcome", "out-1-1.json", "--state", "absent", "--grace", "0s" if signals == 1 else "60s"
    )
    copied = (line for line in process.stderr if "image.copied" in line)
    assert [next(copied) for _ in range(2)]
    process.send_signal(signal.SIGTERM)
    if signals == 2:
        stopping(process)
        process.send_signal(signal.SIGTERM)

    assert finish(process).code == code

    done = work.outcome("1/1")
    assert done["exit_code"] == code
    assert "interrupted" in done["stopped"]
    assert {one["result"] for one in done["outcomes"]} <= {"copied", "remaining"}
    assert done["summary"]["copied"] == 2
    assert work.lab.run("combine", "--plan", "plan.json", "out-1-1.json").code == code


def test_stopped_shared_phase_leaves_the_rest(bench):
    """With exit 75; the shards copy what they need themselves."""
    work = bench(2, base=3)
    work.declare("m", concurrency={"images": 1, "blobs": 1})
    held = work.lab.source.add(Hold(), method="GET", target="/blobs/")
    process = work.lab.start(
        "apply", "--plan", "plan.json", "--shard", "shared", "--outcome", "out-shared.json", "--state", "absent", "--grace", "0s", "-o", "json"
    )
    held.reached()
    process.send_signal(signal.SIGTERM)

    ran = finish(process)

    assert ran.code == 75
    assert [(one["message"], one["later"]) for one in ran.json["errors"]] == [
        ("3 shared blobs left (run it again, or run the shards: they copy what they need)", True)
    ]
    assert (work.outcome("shared")["exit_code"], work.outcome("shared")["stopped"]) == (75, "interrupted")
    work.lab.source.clear()
    assert work.shard("1/1").code == 0
    assert work.lab.run("combine", "--plan", "plan.json", "out-shared.json", "out-1-1.json").code == 75
    work.assert_all_served("m")


def test_outcome_has_no_credential(lab, declare_login, password_registry, secure):
    """The canary looks for the password in all that a run prints, writes and sends."""
    declare_login(of=secure(password_registry), credentials={"username": LOGIN[0], "password": LOGIN[1]})
    push(password_registry, f"{lab.name}/app", "1", image(lab.name), client=password_registry.client())
    assert lab.run("plan", "--out", "plan.json").code == 0

    assert lab.run("apply", "--plan", "plan.json", "--shard", "1/1", "--outcome", "o.json", "--log-level", "debug").code == 0

    assert LOGIN[1] not in (lab.folder / "o.json").read_text()
    assert lab.run("combine", "--plan", "plan.json", "o.json").code == 0


@pytest.mark.row("GIT-13")
def test_source_without_the_blob_mounts_nothing(bench):
    """A home has what a plan says it has; who may take it, each source shows itself."""
    work = bench(2, base=1)
    work.declare("m")
    assert work.shard("shared").code == 0
    (blob,) = json.loads((work.lab.folder / "plan.json").read_text())["content"]["shared"]
    work.lab.source.add(status(404), method="HEAD", target=f"/blobs/{blob['digest']}")
    work.lab.source.add(status(404), method="GET", target=f"/blobs/{blob['digest']}")

    ran = work.shard("1/1")

    assert ran.code == 1
    assert work.lab.destination.recorded(rf"POST .*mount={blob['digest']}") == []


@pytest.mark.row("GIT-13")
def test_forged_homes_are_refused(bench):
    """A home is a repository that a declared copy of the plan goes to, between two registries."""
    work = bench(3, base=1)
    work.declare("m")
    saved = json.loads((work.lab.folder / "plan.json").read_text())
    keeping = {**saved["changes"][0], "action": "keep"}
    forged = (
        {"changes": [0]},
        {"changes": [0, 0]},
        {"changes": [0, 7]},
        {"changes": [0, -1]},
        {"changes": [0, 3]},
        {"digest": "sha256:x"},
        {"size_bytes": -1},
    )
    for fields in forged:
        blob = {**saved["content"]["shared"][0], **fields}
        document = {**saved, "changes": [*saved["changes"], keeping], "content": {**saved["content"], "shared": [blob]}}
        (work.lab.folder / "plan.json").write_text(sealed(document))

        ran = work.shard("shared")

        assert ran.code == 3, fields
        assert "error: plan.json is damaged: not a complete plan (" in ran.stderr
    assert work.lab.destination.seen == []


@pytest.mark.row("GIT-13")
def test_undeclared_home_of_another_shard_is_refused(bench):
    """The whole plan must be declared, not only the shard's part."""
    work = bench(4, base=1)
    work.declare("m")
    document = json.loads((work.lab.folder / "plan.json").read_text())
    document["changes"][3]["destination"] = document["changes"][3]["destination"].replace("/m/", "/secret/")
    (work.lab.folder / "plan.json").write_text(sealed(document))

    for which in ("shared", "1/2", "2/2"):
        ran = work.shard(which)
        assert ran.code == 3
        assert "/secret/" in ran.stderr
    assert work.lab.destination.seen == []


@pytest.mark.row("GIT-13")
def test_required_images_are_checked_before_their_blobs(bench):
    """The phase `shared` leaves them out, and their copies bring them once."""
    work = bench(2, base=1)
    work.declare("m", require={"max_size": "1GiB"})
    assert work.shard("shared").code == 0
    assert work.lab.destination.seen == []

    assert work.shard("1/1").code == 0

    blobs = {digest: blob for content in work.images.values() for digest, blob in content.all_blobs.items()}
    assert work.cost().sent_bytes == sum(map(len, blobs.values()))


def test_home_that_takes_no_blobs_is_done_without(bench):
    """The images bring the blob to their own repositories."""
    work = bench(3, base=1)
    work.declare("m")
    plan = json.loads((work.lab.folder / "plan.json").read_text())
    digest = plan["content"]["shared"][0]["digest"]
    partition = Partition(decode_plan(plan, name="plan.json"), 2)
    (home,) = partition.homes
    owner = str(partition.find_shard(home.change))
    other = "1/2" if owner == "2/2" else "2/2"
    work.lab.destination.add(status(500), method="POST", target=f"/{home.repository.path}/blobs/uploads/")

    assert work.shard(other).code == 0
    work.lab.destination.clear()
    assert work.shard(owner).code == 0

    work.assert_all_served("m")
    sent = [one.path for one in work.lab.destination.recorded("PUT .*/blobs/") if digest in one.target.replace("%3A", ":") and one.status == 201]
    assert len(sent) == 2
    assert home.repository.path in sent[1]


def test_shard_waits_for_another_one(bench):
    """A blob that arrives meanwhile is mounted, not sent."""
    work = bench(2, base=1)
    work.declare("m")
    plan = json.loads((work.lab.folder / "plan.json").read_text())
    (blob,) = plan["content"]["shared"]
    owner = next(which for which in ("1/2", "2/2") if _copies_first(plan, which))
    other = "1/2" if owner == "2/2" else "2/2"
    waits = work.lab.start("apply", "--plan", "plan.json", "--shard", other, "--outcome", "o.json", "--state", "absent", "--shared-wait", "300s")
    eventually(lambda: work.lab.destination.recorded(f"HEAD .*/blobs/{blob['digest']}"))

    assert work.shard(owner).code == 0
    assert finish(waits).code == 0

    assert len([one for one in work.lab.destination.recorded("PUT .*/blobs/") if blob["digest"] in one.target.replace("%3A", ":")]) == 1
    work.assert_all_served("m")


def _copies_first(document: dict[str, Any], which: str) -> bool:
    plan = decode_plan(document, name="plan.json")
    return bool(Partition(plan, 2).list_blobs(parse_shard(which, {})))


def test_limits_are_those_of_the_whole_plan(bench):
    """Every shard compares them, before it does anything."""
    work = bench(3, base=1)
    work.declare("m")

    for which in ("shared", "1/2", "2/2"):
        ran = work.shard(which, "--max-changes", "2")
        assert ran.code == 1
        assert "error: the plan has 3 changes, more than --max-changes 2; nothing was done" in ran.stderr
    assert work.lab.destination.seen == []
    assert work.shard("1/2", "--max-changes", "3").code == 0


def test_state_is_read_and_not_written(bench):
    """A recorded tag costs nothing; `combine` writes the rest."""
    work = bench(2, base=1)
    work.declare("m")
    assert work.lab.run("apply", "--only", f"a/{work.lab.name}/b00").code == 0
    database = work.lab.folder / ".imgsync" / "state" / "cache.db"
    before = database.read_bytes()
    work.forget()

    ran = work.lab.run("apply", "--plan", "plan.json", "--shard", "1/1", "--outcome", "out-1-1.json", "-o", "json")

    assert ran.code == 0
    assert [one["result"] for one in ran.json["outcomes"]] == ["kept", "copied"]
    assert not [one for one in work.lab.destination.seen if "/b00/manifests/" in one.target]
    assert database.read_bytes() == before


def test_deletes_follow_the_copies_of_their_repository(bench):
    """In one shard, with the state that says whose tags they are; then the record goes."""
    work = bench(2, base=1)
    work.declare("m", prune={})
    assert work.lab.run("apply").code == 0
    for name in work.images:
        work.lab.push(name, "v2", image((work.lab.name, name, "v2"), layers=1))
    work.declare("m", prune={}, tags={"names": ["v2"]})
    assert work.lab.run("plan", "--out", "plan.json").code == 0

    for number in (1, 2):
        ran = work.lab.run("apply", "--plan", "plan.json", "--shard", f"{number}/2", "--outcome", f"out-{number}.json", "-o", "json")
        assert [one["result"] for one in ran.json["outcomes"]] == ["deleted", "copied"]
    assert work.lab.run("combine", "--plan", "plan.json", "out-1.json", "out-2.json").code == 0

    assert [work.lab.destination_registry.tags(f"m/{work.lab.name}/{name}") for name in work.images] == [["v2"], ["v2"]]
    listed = work.lab.run("state", "list", "-o", "json").json
    assert [one["destination"].rpartition(":")[2] for one in listed] == ["v2", "v2"]


_USAGE = (
    (("--shard", "1/2", "--outcome", "o.json"), "--shard needs --plan: every shard must divide the same plan"),
    (("--plan", "plan.json", "--shard", "1/2"), "--shard needs --outcome: `imgsync combine` makes the report and the state from it"),
    (("--plan", "plan.json", "--outcome", "o.json"), "--outcome is what a shard writes, so it needs --shard"),
    (("--plan", "plan.json", "--shard", "1/2", "--outcome", "o.json", "--requeue", "true"), "--shard cannot be combined with --requeue"),
    (("--plan", "plan.json", "--shard", "1/2", "--outcome", "o.json", "--dry-run"), "--shard cannot be combined with --dry-run"),
    (("--plan", "plan.json", "--shard", "3/2", "--outcome", "o.json"), "3/2: there is no shard 3 of 2"),
    (("--plan", "plan.json", "--shard", "auto", "--outcome", "o.json"), "neither JOB_COMPLETION_INDEX with IMGSYNC_SHARDS nor"),
    (("--plan", "plan.json", "--shard", "1/2", "--outcome", "no/o.json"), "no/o.json cannot be written"),
)


def test_wrong_options_of_a_shard_are_usage_errors(bench):
    """With exit 3, and nothing is done."""
    work = bench(1, base=1)
    work.declare("m")

    for arguments, says in _USAGE:
        ran = work.lab.run("apply", *arguments)
        assert (ran.code, ran.stdout) == (3, "")
        assert f"error: {says}" in ran.stderr
        assert "hint: " in ran.stderr
        assert "docs/" not in ran.stderr
    assert work.lab.destination.seen == []
