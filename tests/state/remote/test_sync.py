"""A state in a registry, shared by runs on different machines."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
import signal
import subprocess
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from imgsync.state.jsonl import encode_lines
from imgsync.state.remote.artifact import ARTIFACT_TYPE, LAYER_TYPE
from imgsync.state.snapshot import EMPTY
from tests import switches
from tests.support.canary import secrets_in
from tests.support.faults import FaultProxy
from tests.support.images import OCI, Image, artifact, digest_of, image, pull_raw, push, request, to_json
from tests.support.registry_process import LOGIN
from tests.support.run_imgsync import Result, Workplace, finish
from tests.support.wire import plain_answer

MOMENT = "2026-01-01T00:00:00Z"


@pytest.fixture
def keeper(second_registry) -> FaultProxy:
    """A proxy before the registry that holds the state."""
    with FaultProxy(second_registry) as proxy:
        yield proxy


@pytest.fixture
def place(keeper, lab) -> str:
    return f"{keeper}/{lab.name}/state:main"


@pytest.fixture
def sites(lab, keeper) -> Callable[..., Workplace]:
    """Return a function that makes a folder with a mirror of NAME/app."""

    def make(folder: str, tags: list[str] | None = None, **settings: object) -> Workplace:
        site = Workplace(lab.folder / folder)
        site.folder.mkdir(exist_ok=True)
        # A registry that fails is asked twice, and at once: that is what its tests are about.
        site.allow_plain_http(lab.source, lab.destination, keeper)
        site.mirror(
            "a",
            source={"registry": lab.source.host, "repositories": [f"{lab.name}/app"]},
            destinations=[f"{lab.destination.host}/m"],
            tags={"names": tags or ["1", "2"]},
            retry={"attempts": 2, "interval": "0s"},
            **settings,
        )
        return site

    return make


def run(site: Workplace, *arguments: str, **options: object) -> Result:
    result = site.run(*arguments, **options)
    assert "Traceback" not in result.stderr, result.stderr
    return result


def apply(site: Workplace, place: str, *arguments: str) -> Result:
    return run(site, "apply", "--state", f"oci://{place}", *arguments)


def contents(site: Workplace) -> dict[Path, bytes]:
    """Return the files of the state, without those of SQLite's log."""
    return {path: path.read_bytes() for path in (site.folder / ".imgsync").rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm"))}


def manifest_of(place: str) -> dict[str, object] | None:
    host, _, rest = place.partition("/")
    repository, _, tag = rest.partition(":")
    raw = pull_raw(host, repository, tag)
    return None if raw is None else json.loads(raw)


def layer_of(place: str) -> bytes:
    host, _, rest = place.partition("/")
    layer = manifest_of(place)["layers"][0]["digest"]
    return request(host, "GET", f"/v2/{rest.partition(':')[0]}/blobs/{layer}")[2]


def kept_records(place: str) -> dict[str, dict[str, object]]:
    """Return the records of the state in the registry, by tag."""
    lines = [json.loads(line) for line in gzip.decompress(layer_of(place)).splitlines()]
    return {line["destination"].rpartition(":")[2]: line for line in lines if line.get("kind") == "record"}


def planted(layer: bytes, *, artifact_type: str = ARTIFACT_TYPE, layer_type: str = LAYER_TYPE, size: int | None = None, digest: str = "") -> Image:
    """Return a state artifact as an attacker might make it."""
    entry = {"mediaType": layer_type, "digest": digest or digest_of(layer), "size": len(layer) if size is None else size}
    config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest_of(b"{}"), "size": 2}
    document = {"schemaVersion": 2, "mediaType": OCI["manifest"], "artifactType": artifact_type, "config": config, "layers": [entry]}
    return Image(to_json(document), OCI["manifest"], {digest_of(layer): layer, digest_of(b"{}"): b"{}"})


def plant(place: str, content: Image) -> None:
    host, _, rest = place.partition("/")
    repository, _, tag = rest.partition(":")
    push(host, repository, tag, content)


def packed(*lines: dict[str, object], header: dict[str, object] | None = None) -> bytes:
    first = json.loads(next(encode_lines(EMPTY, created_at=MOMENT))) | {"lines": len(lines)} | (header or {})
    return gzip.compress(b"".join(json.dumps(line).encode() + b"\n" for line in (first, *lines)), mtime=0)


def test_second_folder_knows_what_the_first_pushed(sites, lab, place, keeper):
    """It sends the destination no request, and an unchanged state is not pushed again."""
    for tag in ("1", "2"):
        lab.push("app", tag, image(int(tag)))
    first = apply(sites("one"), place)
    assert first.code == 0, first.stderr
    assert [one["records"] for one in first.events("state.pulled")] == [0], "a missing artifact is a first run"
    assert [one["records"] for one in first.events("state.pushed")] == [2]
    lab.destination.forget()

    second = apply(sites("two"), place, "-o", "json")

    assert second.code == 0, second.stderr
    assert second.json["summary"]["kept"] == 2
    assert lab.destination.seen == []
    assert [(one["added"], one["newer"], one["kept"]) for one in second.events("state.merged")] == [(2, 0, 0)]
    keeper.forget()
    third = apply(sites("two"), place)
    assert third.code == 0
    assert lab.destination.seen == []
    assert keeper.requests() == [f"HEAD /v2/{lab.name}/state/manifests/main"], "unchanged here and there: one question"


def test_artifact_is_readable_by_other_tools(sites, lab, place):
    """skopeo copies it: its own type, the empty config, one gzipped layer of JSON lines."""
    lab.push("app", "1", image(1))
    assert apply(sites("one", ["1"]), place).code == 0

    subprocess.run(
        ["skopeo", "copy", "--src-tls-verify=false", f"docker://{lab.destination_registry}/{lab.name}/state:main", f"oci:{lab.folder}/layout:state"],
        check=True,
        capture_output=True,
        timeout=30,
    )
    shown = subprocess.run(["skopeo", "inspect", "--raw", f"oci:{lab.folder}/layout:state"], check=True, capture_output=True, timeout=30)

    manifest = json.loads(shown.stdout)
    assert manifest == manifest_of(place)
    assert manifest["artifactType"] == ARTIFACT_TYPE
    assert manifest["config"] == {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest_of(b"{}"), "size": 2}
    assert [layer["mediaType"] for layer in manifest["layers"]] == [LAYER_TYPE]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", manifest["annotations"]["org.opencontainers.image.created"])
    layer = (lab.folder / "layout" / "blobs" / "sha256" / manifest["layers"][0]["digest"].removeprefix("sha256:")).read_bytes()
    header, *lines = [json.loads(line) for line in gzip.decompress(layer).splitlines()]
    assert (header["format"], header["records"], header["lines"]) == ("imgsync.state/v1", 1, len(lines))
    assert lines[0]["kind"] == "record"
    assert lines[0]["digest"] == image(1).digest
    assert {line["kind"] for line in lines} <= {"record", "blob", "referrers", "seen", "left", "success", "run", "gone"}


@pytest.mark.row("GIT-09")
def test_two_runs_at_once_lose_no_record(sites, lab, place):
    """A run that finds another state at its end merges it."""
    for tag in ("1", "2"):
        lab.push("app", tag, image(int(tag)))
    slow = sites("slow", ["1"])
    held = lab.source.add(switches.Hold(), method="GET", target=f"/blobs/{next(iter(image(1).all_blobs))}")
    running = slow.start("apply", "--state", f"oci://{place}")
    held.reached()
    assert apply(sites("quick", ["2"]), place).code == 0
    held.release()

    ran = finish(running)

    assert ran.code == 0, ran.stderr
    assert kept_records(place).keys() == {"1", "2"}
    assert [one["records"] for one in ran.events("state.pushed")] == [2]


@dataclass(frozen=True)
class SharedState:
    """A state in a registry: proxy, place, place without the proxy."""

    proxy: FaultProxy
    place: str
    unwatched: str


@pytest.fixture
def shared(lab, place, keeper) -> SharedState:
    """Return the state that two runs push."""
    return SharedState(keeper, place, place.replace(keeper.host, lab.destination_registry.host))


@pytest.fixture
def other(sites, lab) -> Workplace:
    """Return another folder that mirrors another tag."""
    site = sites("other", ["2"])
    site.allow_plain_http(lab.source, lab.destination, lab.destination_registry)
    return site


@pytest.mark.parametrize("look", ["before the push", "after the push"])
def test_concurrent_push_is_merged(look, lab, sites, shared, other):
    """The tag is checked before and after the push; what another run pushed meanwhile is merged."""
    for tag in ("1", "2"):
        lab.push("app", tag, image(int(tag)))
    assert run(other, "apply").code == 0
    held = shared.proxy.add(switches.Hold(), method="HEAD", target="/manifests/main", nth=1 if look == "before the push" else 2)
    running = sites("one", ["1"]).start("apply", "--state", f"oci://{shared.place}")
    held.reached()
    # Unseen, so that ours is gone where it was there already.
    assert run(other, "state", "push", "--force", shared.unwatched).code == 0
    assert kept_records(shared.unwatched).keys() == {"2"}
    held.release()

    ran = finish(running)

    assert ran.code == 0, ran.stderr
    assert kept_records(shared.unwatched).keys() == {"1", "2"}


@pytest.mark.parametrize("target", ["/manifests/main.claim", "/manifests/main$"], ids=["claim", "push"])
def test_record_overwritten_by_a_slow_push_is_merged(target, lab, sites, shared, other):
    """Registries have no conditional push, but the slow writer sees that the claim is not its own any more."""
    for tag in ("1", "2"):
        lab.push("app", tag, image(int(tag)))
    held = shared.proxy.add(switches.Hold(), method="PUT", target=target, nth=1)
    running = sites("one", ["1"]).start("apply", "--state", f"oci://{shared.place}")
    held.reached()
    assert apply(other, shared.unwatched).code == 0
    held.release()

    assert finish(running).code == 0

    assert kept_records(shared.unwatched).keys() == {"1", "2"}


@pytest.mark.row("GIT-09")
def test_six_runs_at_once_keep_all_records(lab, sites, place):
    """Each waits for the others and ends well, and the state has the records of all."""
    tags = [str(number) for number in range(6)]
    for tag in tags:
        lab.push("app", tag, image(int(tag)))

    running = [sites(f"site{tag}", [tag]).start("apply", "--state", f"oci://{place}") for tag in tags]
    done = [finish(one, timeout=60) for one in running]

    assert [ran.code for ran in done] == [0] * 6, [ran.stderr for ran in done if ran.code]
    assert kept_records(place).keys() == set(tags)


def test_record_pruned_elsewhere_does_not_come_back(sites, lab, place):
    """A record that another run removed is dropped, unless this folder wrote it since."""
    for tag in ("1", "2", "3"):
        lab.push("app", tag, image(int(tag)))
    one = sites("one", ["1", "2"])
    assert apply(one, place).code == 0
    removed = run(sites("two"), "state", "remove", f"{lab.destination}/m/{lab.name}/app:1", "--state", f"oci://{place}")
    assert (removed.code, removed.stdout) == (0, "Removed 1 record.\n")

    ran = apply(sites("one", ["2", "3"]), place)

    assert ran.code == 0, ran.stderr
    assert [event["removed"] for event in ran.events("state.merged")] == [1]
    assert kept_records(place).keys() == {"2", "3"}


def test_plan_writes_nothing(sites, lab, place, keeper):
    """A plan reads the state in memory: only GET and HEAD, no directory."""
    lab.push("app", "1", image(1))
    assert apply(sites("one", ["1"]), place).code == 0
    keeper.forget()
    site = sites("two", ["1"])

    ran = run(site, "plan", "-o", "json", "--all", env={"IMGSYNC_STATE": f"oci://{place}"})

    assert [change["action"] for change in ran.json["changes"]] == ["keep"]
    assert {one.method for one in keeper.seen} <= {"GET", "HEAD"}
    assert not (site.folder / ".imgsync").exists()


def test_plan_does_not_push_a_kept_state(sites, lab, place, keeper):
    """A plan uses a state that an earlier run could not push, and leaves it as it is."""
    for tag in ("1", "2"):
        lab.push("app", tag, image(int(tag)))
    assert apply(sites("other", ["1"]), place).code == 0
    site = sites("one", ["1", "2"])
    keeper.add(switches.status(403), method="POST")
    assert apply(site, place).code == 1
    keeper.clear()
    keeper.forget()
    lab.destination.forget()
    before = contents(site)

    ran = run(site, "plan", "-o", "json", "--all", "--state", f"oci://{place}")

    assert [change["action"] for change in ran.json["changes"]] == ["keep", "keep"]
    assert lab.destination.seen == []
    assert {one.method for one in keeper.seen} <= {"GET", "HEAD"}
    assert contents(site) == before


@pytest.mark.parametrize("command", [("list",), ("login-check",)], ids=" ".join)
def test_commands_without_a_state_do_not_read_it(command, sites, lab, place, keeper):
    """They send the state's registry no request."""
    lab.push("app", "1", image(1))
    arguments = ("list", f"{lab.source_registry}/{lab.name}/app") if command == ("list",) else command
    site = sites("one", ["1"])
    site.allow_plain_http(lab.source_registry, *json.loads((site.folder / "registries.yaml").read_text())["registries"])

    assert run(site, *arguments, "--state", f"oci://{place}").code == 0

    assert keeper.seen == []


def test_names_of_mirrors_alone_are_not_pushed(sites, lab, place):
    """After an earlier version, which drops them, a run without news costs no push; the next one with news writes them."""
    lab.push("app", "1", image(1))
    assert apply(sites("one", ["1"]), place).code == 0
    header, *lines = [json.loads(line) for line in gzip.decompress(layer_of(place)).splitlines()]
    old = [{name: value for name, value in line.items() if name != "mirror_check" and (name, line["kind"]) != ("mirror", "record")} for line in lines]
    plant(place, planted(packed(*old, header=header)))
    two = sites("two", ["1"])
    lab.destination.forget()

    ran = apply(two, place)

    assert (ran.code, ran.events("state.pushed"), lab.destination.seen) == (0, [], [])
    assert "mirror" not in kept_records(place)["1"]
    lab.push("app", "2", image(2))
    assert apply(sites("two", ["1", "2"]), place).code == 0
    assert {tag: record["mirror"] for tag, record in kept_records(place).items()} == {"1": "a", "2": "a"}


def gzip_bomb() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    whole = gzip.decompress(packed())
    return b"".join([packer.compress(whole), *(packer.compress(bytes(1 << 20)) for _ in range(200)), packer.flush()])


def bombs() -> list[object]:
    good = packed({"kind": "seen", "repository": "s.io/app", "digest": "sha256:" + "a" * 64, "moment": MOMENT})
    return [
        pytest.param(lambda: image(1), "it is not a state of imgsync but application/vnd.oci.image.config.v1+json", id="an image"),
        pytest.param(lambda: artifact(1), "it is not a state of imgsync but application/vnd.example.sbom.v1+json", id="another artifact"),
        pytest.param(
            lambda: planted(good, artifact_type="application/vnd.imgsync.state.v2"), "unsupported type application/vnd.imgsync.state.v2", id="later artifact"
        ),
        pytest.param(lambda: planted(good, layer_type="application/x-python-pickle"), "got 0", id="foreign layer"),
        pytest.param(lambda: planted(good, size=1 << 30), "its declared size 1.0 GiB exceeds the limit of 64.0 MiB", id="1 GB declared"),
        pytest.param(lambda: planted(good, size=len(good) - 1), "expected", id="more than declared"),
        pytest.param(lambda: planted(gzip_bomb()), "is longer than 4 MiB", id="gzip bomb"),
        pytest.param(lambda: planted(good[:-12]), "the gzip data is truncated", id="truncated gzip"),
        pytest.param(lambda: planted(b"\x80\x04cos\nsystem\n"), "the gzip data is damaged", id="no gzip"),
        pytest.param(lambda: planted(packed(header={"format": "imgsync.state/v2"})), "this version reads imgsync.state/v1", id="later lines"),
        pytest.param(lambda: planted(packed(header={"lines": 5})), "was truncated or changed", id="lines missing"),
        pytest.param(lambda: planted(packed({"kind": "record", "destination": "r.io/x:1", "check": ""})), "line 2 is not a valid record", id="damaged record"),
    ]


@pytest.mark.parametrize(("content", "message"), bombs())
def test_unsound_state_stops_the_run_before_copying(content, message, sites, lab, place, keeper):
    """Huge, damaged, altered or newer artifacts: exit 1 with what to do, and nothing else is requested."""
    lab.push("app", "1", image(1))
    plant(place, content())
    keeper.forget()
    site = sites("one", ["1"])

    for command in ("apply", "plan"):
        ran = run(site, command, "--state", f"oci://{place}")
        assert ran.code == 1
        assert message in ran.stderr
        hint = ran.stderr.splitlines()[-1]
        if "v2" in message or "reads" in message:
            assert "use the imgsync version" in hint
        elif "it is not a state" in message:
            assert "name another tag" in hint
            assert "delete" not in hint
        else:
            assert "delete the tag" in hint
            assert "state rebuild" in hint
    assert lab.destination.seen == []
    assert {one.method for one in keeper.seen} <= {"GET", "HEAD"}
    if "GiB" in message:
        assert keeper.requests("/blobs/") == [], "what says to be too large is not asked for"


def test_layer_with_wrong_digest_is_refused(sites, lab, place, keeper):
    """A layer that does not match its digest, or is missing, is refused."""
    lab.push("app", "1", image(1))
    assert apply(sites("one", ["1"]), place).code == 0
    keeper.add(switches.corrupt_byte(20), method="GET", target="/blobs/", nth=1)
    keeper.add(switches.status(404), method="GET", target="/blobs/", nth=2)
    clean = sites("two", ["1"])

    altered, gone, healed = (run(clean, "plan", "--state", f"oci://{place}") for _ in range(3))

    assert (altered.code, gone.code, healed.code) == (1, 1, 0)
    assert "has no usable state" in altered.stderr
    assert "expected sha256:" in altered.stderr
    assert "has no usable state" in gone.stderr


def test_unknown_fields_and_kinds_are_ignored(sites, lab, place):
    """Unknown kinds of lines cause a warning; known ones count."""
    lab.push("app", "1", image(1))
    site = sites("one", ["1"])
    assert apply(site, place).code == 0
    header, *lines = [json.loads(line) for line in gzip.decompress(layer_of(place)).splitlines()]
    more = [line | {"later": ["x"]} for line in lines] + [{"kind": "hook", "run": "rm -rf /"}]
    plant(place, planted(packed(*more, header=header | {"lines": len(more), "by": "imgsync 9"})))
    lab.destination.forget()

    ran = apply(sites("two", ["1"]), place, "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.json["summary"]["kept"] == 1
    assert lab.destination.seen == []
    assert [event["reason"] for event in ran.events("state.incomplete")] == ["skipped 1 line of kinds that this version does not know"]


@pytest.mark.parametrize("status", [401, 403, 500])
def test_refused_push_keeps_the_directory(status, sites, lab, place, keeper):
    """Exit 1 names the local directory; the next run merges and pushes it."""
    lab.push("app", "1", image(1))
    site = sites("one", ["1"])
    keeper.add(switches.status(status, retry_after="0", error="DENIED"), method="PUT|POST")

    ran = apply(site, place)

    assert ran.code == 1
    assert f"cannot push the state {place}" in ran.stderr
    directory = f".imgsync/state-{hashlib.sha256(place.encode()).hexdigest()[:12]}"
    assert f"imgsync state push --state {directory} {place}" in ran.stderr
    assert run(site, "state", "list", "--state", directory).stdout == f"{lab.destination}/m/{lab.name}/app:1\n"
    assert manifest_of(place) is None
    keeper.clear()
    lab.destination.forget()
    assert apply(site, place).code == 0
    assert lab.destination.seen == [], "what was kept is known"
    assert kept_records(place).keys() == {"1"}


def test_command_of_the_hint_pushes_the_kept_directory(sites, lab, place, keeper):
    """The command in the hint works."""
    lab.push("app", "1", image(1))
    site = sites("one", ["1"])
    keeper.add(switches.status(403), method="PUT")
    ran = apply(site, place)
    command = re.search(r"imgsync (state push --state \S+ \S+)", ran.stderr)[1].split()
    keeper.clear()

    pushed = run(site, *command)

    assert (pushed.code, pushed.stdout) == (0, "Pushed 1 record.\n")
    assert kept_records(place).keys() == {"1"}
    assert run(site, *command).stdout == f"{place} has all 1 record already.\n"


@pytest.mark.parametrize("status", [401, 403, 500])
def test_unreachable_state_stops_the_run(status, sites, lab, place, keeper):
    """An unreachable state is not a first run: exit 1 before any copy."""
    lab.push("app", "1", image(1))
    keeper.add(switches.status(status, retry_after="0", error="DENIED"))

    ran = apply(sites("one", ["1"]), place)

    assert ran.code == 1
    assert f"cannot pull the state {place}" in ran.stderr
    assert "nothing was changed" in ran.stderr
    assert lab.destination.seen == []


@pytest.mark.parametrize("made", [True, False], ids=["made", "not made"])
def test_repository_of_the_state_is_created_if_allowed(made, sites, lab, place, keeper):
    """As for any push; otherwise the error names the setting."""
    lab.push("app", "1", image(1))
    missing = keeper.add(switches.MissingRepository(), target="/v2/")

    class Projects(switches.Switch):
        def request(self, request):
            if request.path != "/api/v2.0/projects":
                return request
            missing.made = True
            return plain_answer(201)

    keeper.add(Projects())
    site = sites("one", ["1"])
    site.allow_plain_http(lab.source, lab.destination, keeper, settings={keeper.host: {"create_repositories": made}})

    ran = apply(site, place)

    assert ran.code == (0 if made else 1), ran.stderr
    assert manifest_of(place) if made else "the repository does not exist, or this account cannot see it" in ran.stderr


def test_failed_run_pushes_its_records(sites, lab, place):
    """The images that were copied are in the state."""
    for tag in ("1", "2"):
        lab.push("app", tag, image(int(tag)))
    lab.source.add(switches.status(403), target=f"/blobs/{next(iter(image(2).all_blobs))}")

    failed = apply(sites("one"), place)

    assert failed.code == 1
    assert kept_records(place).keys() == {"1"}


def test_refused_plan_pushes_a_kept_state(sites, lab, place, keeper):
    """A run that ends with an error still pushes what an earlier run could not."""
    for tag in ("1", "2"):
        lab.push("app", tag, image(int(tag)))
    keeper.add(switches.status(403), method="POST")
    assert apply(sites("one", ["1"]), place).code == 1
    keeper.clear()

    refused = apply(sites("one", ["1", "2"]), place, "--max-changes", "0")

    assert refused.code == 1
    assert "more than --max-changes 0" in refused.stderr
    assert kept_records(place).keys() == {"1"}


def test_stopped_run_pushes_its_records(sites, lab, place):
    """After a first signal the state holds what was pushed; exit 75."""
    for tag in ("1", "2"):
        lab.push("app", tag, image(int(tag)))
    lab.source.add(switches.Hold(), method="GET", target=f"/blobs/{next(iter(image(2).all_blobs))}")
    running = sites("one").start("apply", "--state", f"oci://{place}", "--grace", "0s")
    assert next(line for line in running.stderr if '"image.copied"' in line)
    running.send_signal(signal.SIGTERM)

    stopped = finish(running)

    assert stopped.code == 75, stopped.stderr
    assert kept_records(place).keys() == {"1"}


def test_run_out_of_time_pushes_its_records(sites, lab, place):
    """So does a run whose time is up."""
    for tag in ("1", "2"):
        lab.push("app", tag, image(int(tag)))
    lab.source.add(switches.Hold(), method="GET", target=f"/blobs/{next(iter(image(2).all_blobs))}")

    stopped = apply(sites("one"), place, "--run-timeout", "3s", "--grace", "0s")

    assert stopped.code == 75, stopped.stderr
    assert kept_records(place).keys() == {"1"}


def test_copy_uses_a_state_in_a_registry(sites, lab, place):
    """A second `copy` from another folder only asks the destination for the tag."""
    lab.push("app", "1", image(1))
    arguments = ("copy", f"{lab.source}/{lab.name}/app:1", f"{lab.destination}/c/{lab.name}:1", "--state", f"oci://{place}")
    assert run(sites("one"), *arguments).code == 0
    lab.destination.forget()

    assert run(sites("two"), *arguments).code == 0

    assert lab.destination.requests() == [f"HEAD /v2/c/{lab.name}/manifests/1"]


def test_state_pull_and_push_move_a_directory(sites, lab, place):
    """A second push merges what another one pushed."""
    for tag in ("1", "2"):
        lab.push("app", tag, image(int(tag)))
    one, two, three = sites("one", ["1"]), sites("two", ["2"]), sites("three")
    assert run(one, "apply").code == run(two, "apply").code == 0
    nothing = run(one, "state", "pull", f"oci://{place}")
    assert (nothing.code, nothing.stdout) == (0, f"oci://{place} does not exist yet; nothing was pulled.\n")

    assert run(one, "state", "push", f"oci://{place}").stdout == "Pushed 1 record.\n"
    assert run(two, "state", "push", place).stdout == "Pushed 2 records.\n"
    assert run(one, "state", "pull", place).stdout == "Pulled 1 record: 1 new, 0 newer; 1 kept.\n"
    assert run(three, "state", "pull", place).stdout == "Pulled 2 records: 2 new, 0 newer; 0 kept.\n"
    assert run(one, "state", "remove", f"{lab.destination}/m/{lab.name}/app:1").code == 0
    assert run(one, "state", "push", place).stdout == "Pushed 1 record.\n"
    for site in (two, three):
        assert run(site, "state", "pull", place).stdout == "Pulled 0 records: 0 new, 0 newer, 1 removed; 1 kept.\n"


def test_export_and_import_move_a_state(sites, lab):
    """From a private file or stdout; a second import changes nothing."""
    lab.push("app", "1", image(1))
    one, two = sites("one", ["1"]), sites("two", ["1"])
    assert run(one, "apply").code == 0
    exported = run(one, "state", "export")

    assert run(one, "state", "export", "state.jsonl").code == 0

    file = one.folder / "state.jsonl"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [json.loads(line) for line in file.read_text().splitlines()][1:] == [json.loads(line) for line in exported.stdout.splitlines()][1:]
    assert run(two, "state", "import", str(file)).stdout == "Imported 1 record: 1 new, 0 newer; 0 kept.\n"
    assert run(two, "state", "import", "-", input=exported.stdout).stdout == "Imported 0 records: 0 new, 0 newer; 1 kept.\n"
    lab.destination.forget()
    assert run(two, "apply").code == 0
    assert lab.destination.seen == []


def test_export_replaces_no_device(sites):
    """A device, and a path in a missing folder, is an error that says how to use stdout."""
    site = sites("one")
    (site.folder / "folder").mkdir()

    for path in ("folder", "/dev/null", "missing/state.jsonl"):
        ran = run(site, "state", "export", path)
        assert ran.code == 3
        assert f"error: {path} " in ran.stderr
    assert Path("/dev/null").is_char_device()


def test_damaged_import_changes_nothing(sites, lab):
    """A truncated or missing file is an error with a hint."""
    lab.push("app", "1", image(1))
    one, two = sites("one", ["1"]), sites("two")
    assert run(one, "apply").code == 0
    lines = run(one, "state", "export").stdout.splitlines(keepends=True)
    (two.folder / "cut.jsonl").write_text("".join(lines[:-1]))

    cut, missing = run(two, "state", "import", "cut.jsonl"), run(two, "state", "import", "no.jsonl")

    assert (cut.code, missing.code) == (1, 3)
    assert "cut.jsonl cannot be imported: the header announces" in cut.stderr
    assert "export the file again" in cut.stderr
    assert "no.jsonl cannot be read: No such file or directory" in missing.stderr
    assert not (two.folder / ".imgsync").exists()


def test_rebuild_records_what_the_destinations_serve(sites, lab):
    """Matching tags are recorded, contradicted records dropped, nothing is copied."""
    for tag in ("1", "2", "3"):
        lab.push("app", tag, image(int(tag)))
    site = sites("one", ["1", "2", "3"])
    assert run(site, "apply").code == 0
    lab.destination_registry.delete(f"m/{lab.name}/app", image(3).digest)
    lab.push_to_destination("app", "2", image(9))
    wrong = run(site, "state", "rebuild")
    assert wrong.stdout == "Recorded 1 tag; 2 left for apply.\nRemoved 2 records that contradicted the destinations.\n"
    assert [one["applied_at"] == "" for one in run(site, "state", "list", "-o", "json").json] == [False], "what we pushed is still known to be ours"
    shutil.rmtree(site.folder / ".imgsync")
    lab.source.forget()
    lab.destination.forget()

    ran = run(site, "state", "rebuild")

    assert (ran.code, ran.stdout) == (0, "Recorded 1 tag; 2 left for apply.\n")
    assert {one.method for one in lab.destination.seen} == {"HEAD", "GET"}
    records = run(site, "state", "list", "-o", "json").json
    assert [(one["destination"], one["applied_at"]) for one in records] == [(f"{lab.destination}/m/{lab.name}/app:1", "")]
    lab.destination.forget()
    copied = run(site, "apply", "-o", "json")
    assert copied.json["summary"]["copied"] == 2
    assert lab.destination.requests("/manifests/1") == []


def test_rebuild_makes_a_state_in_a_registry(sites, lab, place):
    """With the tag deleted, `state rebuild` makes a new state from the destinations."""
    lab.push("app", "1", image(1))
    assert run(sites("one", ["1"]), "apply").code == 0

    ran = run(sites("two", ["1"]), "state", "rebuild", "--state", f"oci://{place}")

    assert ran.code == 0, ran.stderr
    assert kept_records(place).keys() == {"1"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("apply", "--state", "oci://nowhere"), "is not the address of a state"),
        (("apply", "--state", "oci://r.io/state"), "is not the address of a state"),
        (("apply", "--state", "oci://library/state:1"), "is not the address of a state"),
        (("apply", "--state", "oci://r.io/state@sha256:" + "a" * 64), "is not the address of a state"),
        (("apply", "--state", "oci://R.io/State:1"), "R.io"),
        (("apply", "--state", "s3://bucket/state"), "unsupported scheme s3:// for a state"),
        (("state", "list", "--state", "https://r.io/state:1"), "unsupported scheme https:// for a state"),
        (("state", "push", "state"), "is not the address of a state"),
        (("state", "pull", "r.io/state:1", "--state", "oci://r.io/state:2"), "is itself in a registry"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_invalid_places_are_usage_errors(arguments, message, sites):
    """The error says what to write instead."""
    ran = run(sites("one"), *arguments)

    assert ran.code == 3
    assert message in ran.stderr
    assert "hint:" in ran.stderr


@pytest.mark.row("ST-14")
def test_logins_are_used_and_not_stored(sites, lab, password_registry):
    """The state's registry gets its login; log, state and artifact do not show it."""
    lab.push("app", "1", image(1))
    site = sites("one", ["1"])
    place = f"{password_registry}/{lab.name}/state:main"
    credentials = {"username": LOGIN[0], "password": "${STATE_PASSWORD}"}
    site.allow_plain_http(lab.source, lab.destination, password_registry, settings={password_registry.host: {"credentials": credentials}})
    secret = {"STATE_PASSWORD": LOGIN[1]}

    ran = run(site, "apply", "--state", f"oci://{place}", "--log-level", "debug", env=secret)
    shown = run(site, "state", "export", "--state", f"oci://{place}", env=secret)

    assert ran.code == shown.code == 0, ran.stderr
    layer = password_registry.get(f"{lab.name}/state/manifests/main", accept=OCI["manifest"]).json()["layers"][0]["digest"]
    assert secrets_in(shown.stdout + gzip.decompress(password_registry.get(f"{lab.name}/state/blobs/{layer}").content).decode()) == []
    assert run(site, "apply", "--state", f"oci://{place}", env={"STATE_PASSWORD": "wrong-SECRET"}).code == 1


def test_damaged_local_directory_is_pulled_again(sites, lab, place):
    """A damaged local directory is moved aside, and the state is pulled again."""
    lab.push("app", "1", image(1))
    site = sites("one", ["1"])
    assert apply(site, place).code == 0
    (directory,) = Path(site.folder / ".imgsync").iterdir()
    (directory / "cache.db").write_bytes(b"garbage" * 1000)
    next(directory.glob("pulled-*")).write_bytes(b"garbage")
    lab.destination.forget()

    ran = apply(site, place)

    assert ran.code == 0, ran.stderr
    assert lab.destination.seen == []
    assert kept_records(place).keys() == {"1"}
