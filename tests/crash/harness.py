"""
A copy of everything that a copy can hold, ended at any step, and the laws that must hold then.

`World` is what is at the source, once for all; `Scene` is one folder, one place at the destinations, and the runs that make it so. `Scene.check` may be
called at any instant; it reads the registries behind the proxies, and a copy of the state.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import itertools
import json
import os
import queue
import select
import shutil
import signal
import subprocess
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import httpx

from imgsync.concurrency.native_thread import NativeThread
from imgsync.state import Record, Snapshot, StateStore, open_state
from imgsync.state.blob_note import parse_blob_note
from imgsync.state.snapshot import BLOB
from tests.support.canary import secrets_in
from tests.support.faults import FaultProxy, Recorded
from tests.support.images import ANY_MANIFEST, Image, artifact, digest_of, image, index, layer, plain_client, push, request, to_json
from tests.support.registry_process import RegistryProcess
from tests.support.run_imgsync import Result, Workplace
from tests.switches import require_authorization
from tests.switches.state import AtStep, When

ROOT = Path(__file__).parents[2]
IMAGES_AT_ONCE, BLOBS_AT_ONCE = 2, 2
_SOURCE = "crash"
_LOGIN = ("robot", "crash-SECRET")
# "new" is where one is made.
_FILES = {"lock", "cache.db", "cache.db-wal", "cache.db-shm", "new", "accepted-documents", "accepted-documents.new"}
_GONE_SECONDS = 30
_spaces = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One desired tag: registry, repository, and what was there before."""

    target: int
    repository: str
    tag: str
    image: Image
    before: Image | None = None


class World:
    """The source: shared layers, a moved tag, an index, an SBOM."""

    def __init__(self, source: RegistryProcess, targets: Sequence[RegistryProcess]) -> None:
        """Push it all to *source*; it is copied to *targets*."""
        self.source = source
        self.targets = targets
        shared = layer("crash base", 20_000)
        one, two, three = (image(("crash", number), layers=1, shared=shared) for number in range(3))
        self.moved = image(("crash", "new"), layers=1, shared=shared)
        before = image(("crash", "old"), layers=2)
        self.index = index("crash")
        both = image(("crash", "both"), layers=1, layer_bytes=200_000)
        self.sbom = artifact("crash", subject=self.index)
        self.wanted = (
            Wanted(0, "one", "1", one),
            Wanted(0, "one", "latest", self.moved, before),
            Wanted(0, "two", "1", two),
            Wanted(0, "three", "1", three),
            Wanted(0, "multi", "1", self.index),
            Wanted(0, "both", "1", both),
            Wanted(1, "both", "1", both),
        )
        for wanted in self.wanted:
            if wanted.target == 0:
                push(source, f"{_SOURCE}/{wanted.repository}", wanted.tag, wanted.image)
        push(source, f"{_SOURCE}/multi", "", self.sbom)
        self._push_fallback()
        # The number of requests of an undisturbed run, known after the first one.
        self.requests = 0

    @property
    def largest_blob_bytes(self) -> int:
        """Return the size of the largest blob."""
        return max(len(blob) for wanted in self.wanted for blob in wanted.image.all_blobs.values())

    def _push_fallback(self) -> None:
        entry = {"mediaType": self.sbom.media_type, "digest": self.sbom.digest, "size": len(self.sbom.raw)}
        media_type = "application/vnd.oci.image.index.v1+json"
        raw = to_json({"schemaVersion": 2, "mediaType": media_type, "manifests": [entry]})
        target = f"/v2/{_SOURCE}/multi/manifests/{fallback_tag(self.index)}"
        assert request(self.source, "PUT", target, headers={"Content-Type": media_type}, body=raw)[0] == 201


def fallback_tag(subject: Image) -> str:
    """Return the tag that names what refers to *subject*."""
    return subject.digest.replace(":", "-")


@dataclass(frozen=True, slots=True)
class Step:
    """A moment of a run: request *number* among those *of* a kind."""

    when: When
    number: int = 1
    of: str = ""
    delay: float = 0


class Running:
    """A started run that can be signalled safely."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Hold on to *process*."""
        self._process = process
        self._handle: int | None = None
        with contextlib.suppress(ProcessLookupError):
            self._handle = os.pidfd_open(process.pid)
            # Whoever sends a signal may still be at it when the run is over.
            weakref.finalize(self, os.close, self._handle)

    def kill(self) -> None:
        """End it at once and return when it is gone."""
        self.send(signal.SIGKILL)
        if self._handle is not None:
            gone = select.poll()
            gone.register(self._handle)
            assert gone.poll(_GONE_SECONDS * 1000), "killed, and still there"

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it is still there."""
        with contextlib.suppress(ProcessLookupError):
            if self._handle is not None:
                signal.pidfd_send_signal(self._handle, number)

    def end(self, timeout: float = 120) -> Result:
        """Return what it came to."""
        try:
            out, err = self._process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            out, err = self._process.communicate()
            raise AssertionError(f"the run did not end within {timeout} s\n{out}\n{err}") from None
        assert "Traceback" not in err, err
        return Result(self._process.returncode, out, err)


class Watched(FaultProxy):
    """A proxy that counts every blob upload from the beginning."""

    def __init__(self, upstream: RegistryProcess) -> None:
        """Listen before *upstream*."""
        super().__init__(upstream)
        self._kept: list[Recorded] = []

    @property
    def uploads(self) -> list[Recorded]:
        """Return the requests that sent a blob."""
        return [*self._kept, *self.recorded("PUT /v2/.*/blobs/uploads/")]

    def forget(self) -> None:
        """Forget what was recorded, but for the uploads."""
        self._kept = self.uploads
        super().forget()


@dataclass
class Scene:
    """A folder that mirrors the world, and its history."""

    world: World
    folder: Path
    space: str
    source: Watched
    proxies: tuple[Watched, Watched]
    # What was read to its last byte already: nothing here deletes.
    _sound: set[tuple[int, str, str]] = field(default_factory=set)
    # What was said to be copied by a run, by destination.
    _told: dict[str, str] = field(default_factory=dict)
    # Whether a test disturbs the state itself, so that runs may well warn of it.
    is_disturbed: bool = False

    @property
    def workplace(self) -> Workplace:
        """Return the folder to run in."""
        return Workplace(self.folder)

    @property
    def state(self) -> Path:
        """Return the state's directory."""
        return self.folder / ".imgsync" / "state"

    @property
    def environment(self) -> dict[str, str]:
        """Return what a run is given beside the usual."""
        return {"TMPDIR": str(self.folder / "tmp")}

    def declare(self) -> None:
        """Write the mirrors and the registry settings."""
        login = {"credentials": {"username": _LOGIN[0], "password": _LOGIN[1]}}
        self.workplace.allow_plain_http(self.source, *self.proxies, settings={self.proxies[0].host: login})
        settings = {"concurrency": {"images": IMAGES_AT_ONCE, "blobs": BLOBS_AT_ONCE, "queries": 4}, "retry": {"attempts": 3, "interval": "0s"}}
        first, second = (f"{proxy}/{self.space}" for proxy in self.proxies)
        repositories = [f"{_SOURCE}/{name}" for name in ("one", "two", "three", "multi")]
        self.workplace.mirror("a", source={"registry": self.source.host, "repositories": repositories}, destinations=[first], **settings)
        self.workplace.mirror("b", source={"registry": self.source.host, "repositories": [f"{_SOURCE}/both"]}, destinations=[first, second], **settings)
        (self.folder / "tmp").mkdir()

    def prepare(self, *, remembered: bool) -> None:
        """Push what was there before; *remembered*: with records of it."""
        records = []
        for wanted in self.world.wanted:
            if wanted.before is not None:
                push(self.world.targets[wanted.target], self._path(wanted), wanted.tag, wanted.before)
                records.append(self._record(wanted, wanted.before))
        if remembered:
            with self.opened(self.state) as store:
                store.put(records)

    def start(self, *arguments: str, at: Step | None = None, act: Callable[[Running], None] = Running.kill) -> Running:
        """Start an apply; *act* is done to it at a step."""
        known = queue.SimpleQueue[Running]()
        if at is not None:
            # The first request may come before we know whose it is.
            self._watch(AtStep(at.number, at.when, lambda: act(known.get(timeout=_GONE_SECONDS)), of=at.of, delay=at.delay))
        running = Running(self.workplace.start("apply", "-o", "json", *arguments, env=self.environment))
        known.put(running)
        return running

    def count_requests(self) -> AtStep:
        """Count the requests of the next run."""
        return self._watch(AtStep(0, "arrives", lambda: None))

    def _watch(self, switch: AtStep) -> AtStep:
        for proxy in (self.source, *self.proxies):
            proxy.add_first(switch, target="")
        return switch

    def run(self, *arguments: str) -> Result:
        """Run an apply to its end, nothing in its way."""
        self.settle()
        result = self.start(*arguments).end()
        self.hear(result)
        return result

    def run_code(self, code: str, *arguments: str) -> Result:
        """Run an apply in a new process, with *code* before the program's."""
        process = self.workplace.start_with(code, "apply", "-o", "json", *arguments, env=self.environment)
        result = Running(process).end()
        self.hear(result)
        return result

    def settle(self) -> None:
        """Wait for the requests of ended runs, and remove all switches."""
        for proxy in (self.source, *self.proxies):
            proxy.clear()
            proxy.settle()
        self.proxies[0].add(require_authorization(f"Basic {base64.b64encode(':'.join(_LOGIN).encode()).decode()}", 'Basic realm="crash"'))

    def hear(self, result: Result) -> None:
        """Collect the reported copies of a run, from whole lines only."""
        assert secrets_in(result.stdout + result.stderr) == []
        for line in result.stderr.splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                said = json.loads(line)
                assert said["event"] != "state.degraded" or self.is_disturbed, said
                if said["event"] == "image.copied" and not self.is_disturbed:
                    self._told[said["destination"]] = said["digest"]

    def check(self, *, done: bool = False) -> None:
        """Assert the laws for tags, state, locks, secrets and leftovers."""
        self.settle()
        served = self._served(done=done)
        self._check_state(served)
        self._check_files(done=done)

    def converge(self) -> None:
        """Assert that one run finishes, and the next has nothing to do."""
        ran = self.run()
        assert ran.code == 0, ran.stderr
        summary = ran.json["summary"]
        assert (summary["failed"], summary["refused"], summary["remaining"]) == (0, 0, 0)
        self.check(done=True)
        for proxy in self.proxies:
            proxy.forget()
        again = self.run()
        assert again.code == 0, again.stderr
        assert (again.json["summary"]["copied"], again.json["summary"]["kept"]) == (0, len(self.world.wanted))
        assert [proxy.seen for proxy in self.proxies] == [[], []]
        self._check_files(done=True)

    def resent_bytes(self) -> int:
        """Return the bytes of blobs that were sent again."""
        return sum(upload.bytes_up for upload in self.resent())

    def resent(self) -> list[Recorded]:
        """Return the uploads beside the one that each registry needed of a blob."""
        more = []
        for proxy in self.proxies:
            finished = [upload for upload in proxy.uploads if upload.status == 201]
            names = Counter((upload.path.partition("/blobs/")[0], _digest(upload.target)) for upload in finished)
            assert [name for name, count in names.items() if count > 1] == [], "finished, and sent again"
            needed = {_digest(upload.target): id(upload) for upload in reversed(finished)}
            more += [upload for upload in proxy.uploads if id(upload) not in needed.values()]
        return more

    def records(self) -> Mapping[str, Record]:
        """Return the records on the disk."""
        return self._snapshot().records

    @contextlib.contextmanager
    def opened(self, path: Path) -> Iterator[StateStore]:
        """Open the state at *path*; a warning is a failure."""
        warnings: list[str] = []
        with open_state(str(path), thread=_thread(), lock_timeout_seconds=0, on_warning=warnings.append) as store:
            assert warnings == [], warnings
            yield store

    def _snapshot(self) -> Snapshot:
        if not self.state.exists():
            return Snapshot()
        # As a copy, so that the next run finds what the kill left.
        copy = self.folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.state, copy)
        with self.opened(copy) as store:
            return store.snapshot()

    def _check_state(self, served: Mapping[str, str]) -> None:
        lock = self.state / "lock"
        if lock.exists():
            with lock.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        snapshot = self._snapshot()
        for destination, record in snapshot.records.items():
            if record.is_confirmed:
                assert served.get(destination) == record.digest, f"the state says what is not true: {record}"
        for destination, digest in self._told.items():
            assert destination in snapshot.records, f"{destination} was told to be copied, and is not remembered"
            assert snapshot.records[destination].digest == digest
        hosts = {proxy.host: number for number, proxy in enumerate(self.proxies)}
        for about, note in snapshot.notes[BLOB].items():
            host, _, digest = about.partition(" ")
            for repository in parse_blob_note(note).repositories:
                self._check_there(hosts[host], repository, digest)

    def _check_there(self, target: int, repository: str, digest: str) -> None:
        if (target, repository, digest) in self._sound:
            return
        kinds = ("blobs", "manifests")
        found = [request(self.world.targets[target], "HEAD", f"/v2/{repository}/{kind}/{digest}", headers={"Accept": ANY_MANIFEST})[0] for kind in kinds]
        assert 200 in found, f"the state says that {repository} holds {digest}, and it does not"

    def _check_files(self, *, done: bool) -> None:
        if self.state.exists():
            left = {path.name for path in self.state.iterdir()}
            assert left <= ({"lock", "cache.db", "accepted-documents"} if done and not self.is_disturbed else _FILES), left
            assert {path.name for path in self.state.parent.iterdir()} == {"state"} or self.is_disturbed
            assert self.state.stat().st_mode & 0o777 == 0o700
        assert list((self.folder / "tmp").iterdir()) == []
        for path in [*(self.folder / ".imgsync").rglob("*"), *self.folder.glob("report*")]:
            if path.is_file():
                assert secrets_in(path.read_bytes().decode("latin-1")) == [], path

    def _served(self, *, done: bool) -> dict[str, str]:
        """Return the digest of each tag, after reading everything below it."""
        served = {}
        known = {(one.target, one.repository, one.tag): one for one in self.world.wanted}
        for target, repository in sorted({(one.target, one.repository) for one in self.world.wanted}):
            with plain_client(self.world.targets[target]) as client:
                path = f"{self.space}/{_SOURCE}/{repository}"
                answer = client.get(f"/v2/{path}/tags/list")
                for tag in (answer.json().get("tags") or []) if answer.status_code == 200 else []:
                    root = self._complete(client, target, path, tag)
                    wanted = known.pop((target, repository, tag), None)
                    if wanted is None:
                        assert (repository, tag) == ("multi", fallback_tag(self.world.index)), f"nobody wants {path}:{tag}"
                        continue
                    before = [] if wanted.before is None or done else [wanted.before.digest]
                    assert root in {wanted.image.digest, *before}, f"{path}:{tag} is neither what was nor what was planned"
                    served[f"{self.proxies[target]}/{path}:{tag}"] = root
                    if root == self.world.index.digest:
                        assert self._complete(client, target, path, fallback_tag(self.world.index)), "the tag came before what refers to it"
        assert not done or not known, f"not there: {sorted(known)}"
        return served

    def _complete(self, client: httpx.Client, target: int, path: str, reference: str) -> str:
        """Return the digest of *reference* after verifying everything below it."""
        answer = client.get(f"/v2/{path}/manifests/{reference}", headers={"Accept": ANY_MANIFEST})
        assert answer.status_code == 200, f"{path} lacks {reference}"
        digest = digest_of(answer.content)
        assert not reference.startswith("sha256:") or digest == reference
        if (target, path, digest) not in self._sound:
            document = answer.json()
            for child in document.get("manifests", ()):
                self._complete(client, target, path, child["digest"])
            for blob in (*([document["config"]] if "config" in document else []), *document.get("layers", ())):
                self._read(client, target, path, blob["digest"])
            self._sound.add((target, path, digest))
        return digest

    def _read(self, client: httpx.Client, target: int, path: str, digest: str) -> None:
        if (target, path, digest) in self._sound:
            return
        answer = client.get(f"/v2/{path}/blobs/{digest}")
        assert answer.status_code == 200, f"{path} lacks the blob {digest}"
        assert digest_of(answer.content) == digest
        self._sound.add((target, path, digest))

    def _path(self, wanted: Wanted) -> str:
        return f"{self.space}/{_SOURCE}/{wanted.repository}"

    def _record(self, wanted: Wanted, content: Image) -> Record:
        source = f"{self.source}/{_SOURCE}/{wanted.repository}:{wanted.tag}"
        destination = f"{self.proxies[wanted.target]}/{self._path(wanted)}:{wanted.tag}"
        selection = "platforms=all;referrers=all"
        return Record(
            destination, content.digest, content.crc32, content.size_bytes, content.media_type, source, content.digest, selection, "2026-01-01T00:00:00Z"
        )


@cache
def _thread() -> NativeThread:
    return NativeThread()


def _digest(target: str) -> str:
    return target.partition("digest=")[2].partition("&")[0].replace("%3A", ":")


@contextlib.contextmanager
def scene(world: World, folder: Path, *, remembered: bool = False) -> Iterator[Scene]:
    """Give a new scene below *folder*."""
    space = f"crash{next(_spaces)}"
    folder = folder / space
    folder.mkdir(parents=True)
    with Watched(world.source) as source, Watched(world.targets[0]) as first, Watched(world.targets[1]) as second:
        made = Scene(world, folder, space, source, (first, second))
        made.declare()
        made.settle()
        made.prepare(remembered=remembered)
        yield made
