"""
Storms: any declarations, contents, faults and ends, one run after the other; then calm.

The laws: after the faults stop one `apply` makes it so, and the next one has nothing to do; at no moment did a destination serve a tag
that was not whole, nor lose one that was needed; wrong bytes are nowhere; what the state says is true.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, example, given, seed, settings

from imgsync.oci.spec.referrers import format_fallback_tag
from imgsync.state import Record, open_state
from tests.figures import record
from tests.storms.stores import DiskStore, GullibleRegistry, Store, missing
from tests.storms.weather import CHANGES_A_TAG, IMAGES, KNOWN, REFERRERS, REPOSITORIES, Declaration, Run, Storm, storms
from tests.support.effort import NIGHTLY, effort
from tests.support.faults import FaultProxy
from tests.support.images import Image, index
from tests.support.registry_process import RegistryProcess
from tests.support.run_imgsync import Result, Workplace, finish
from tests.switches.storms import Blow, DeletesTags, Watch

_SHARDS = effort(1, 8)
# In all 25 and the known ones by day, the same each time; 2,080 at night.
_EXAMPLES = {"gullible": effort(13, 130), "real": effort(12, 130)}
# By day each shard is several tests, so that all cores share it. A part runs its storms of the shard, which are the same for any number of parts.
_PARTS = effort(3, 1)
_numbers = itertools.count(1)
# The same examples each time by day, others each night; what a night found can be had again.
SEED = int(os.environ.get("IMGSYNC_STORM_SEED") or (time.time_ns() % 10**9 if NIGHTLY else 0))
_WRITES = {"PUT", "POST", "PATCH", "DELETE"}
Value = TypeVar("Value")


class Sea:
    """The registries of one storm, their proxies, and the current declaration."""

    def __init__(self, storm: Storm, source: Store, first: Store, second: Store, *, folder: Path, ends: ExitStack) -> None:
        """Start with nothing mirrored."""
        self._storm = storm
        self.source = source
        self.destinations = {"first": first, "second": second}
        self.namespace = f"storm{next(_numbers)}"
        # Whether the state may tell of what was, and not of what is.
        self.is_older = False
        self.proxies = {side: ends.enter_context(FaultProxy(store.host)) for side, store in (("source", source), *self.destinations.items())}
        self.watches = {side: Watch(store, side=side) for side, store in self.destinations.items()}
        self.workplace = Workplace(folder)
        self.workplace.allow_plain_http(*(proxy.host for proxy in self.proxies.values()))
        self.state = folder / ".imgsync" / "state"
        self._earlier = folder / "earlier"
        self.calm()

    def calm(self) -> None:
        """Remove every fault after the run's requests ended; keep watching."""
        for side, proxy in self.proxies.items():
            proxy.settle()
            proxy.clear()
            if side == "source":
                continue
            proxy.add(self.watches[side])
            if self._storm.deletes_tags and isinstance(self.destinations[side], DiskStore):
                proxy.add(DeletesTags(self.destinations[side]))

    def declare(self, told: Declaration) -> None:
        """Write the declaration, and register what it needs with the watches."""
        hosts = (self.proxies["first"].host, self.proxies["second"].host)
        self.workplace.mirror_file(json.dumps(told.document(self.proxies["source"].host, hosts, self.namespace)))
        wanted = self.wanted(told)
        for side, watch in self.watches.items():
            watch.needed = frozenset((repository, tag) for where, repository, tag in wanted if where == side)
            watch.fixed = told.fixed

    def wanted(self, told: Declaration) -> dict[tuple[str, str, str], Image]:
        """Return what a declaration selects: by side, repository and tag."""
        by_digest = {content.digest: content for content in IMAGES.values()}
        sides = ("first", "second") if told.second else ("first",)
        return {
            (side, f"{self.namespace}/{told.path(repository)}", tag): by_digest[digest]
            for repository in told.repositories
            for tag, digest in self.source.tags(repository).items()
            if tag in told.selected
            for side in sides
        }

    def absent(self, told: Declaration) -> set[str]:
        """Return the references of exact names that the source lacks."""
        host = self.proxies["source"].host
        return {f"{host}/{one}:{name}" for one in told.repositories for name in told.names - self.source.tags(one).keys()}

    def move(self, moves: tuple[tuple[str, str, str | None], ...]) -> None:
        """Move or remove tags of the source."""
        for repository, tag, name in moves:
            if name is None:
                self.source.untag(repository, tag)
            else:
                self.source.tag(repository, tag, IMAGES[name].digest)

    def run(self, run: Run) -> None:
        """Run `apply` with the run's faults and its end."""
        self._keep_earlier()
        self.declare(run.declaration)
        blow = None
        if run.end.number is not None:
            blow = Blow(run.end.number, answered=run.end.answered)
            wanted = {"method": "PUT|DELETE", "target": CHANGES_A_TAG} if run.end.at_a_tag else {}
            self.proxies[run.end.side].add(blow, nth=run.end.nth, **wanted)
        for fault in run.faults:
            self.proxies[fault.side].add(fault.make(), method=fault.method, target=fault.target, nth=fault.nth, chance=fault.chance, seed=fault.seed)
        process = self.workplace.start("apply", "-o", "json", "--grace", "1s", *(["--refresh"] if run.refresh else []))
        if blow is not None:
            blow.at(process.pid)
        result = finish(process, timeout=60)
        self.calm()
        self._check(result, killed=blow is not None and run.end.number is signal.SIGKILL and blow.struck)
        self._spoil(run.state)

    def apply(self, *options: str) -> Result:
        """Run `apply` without faults."""
        for proxy in self.proxies.values():
            proxy.forget()
        result = self.workplace.run("apply", "-o", "json", *options)
        self._check(result, killed=False)
        return result

    def writes(self) -> list[str]:
        """Return the writing requests since the last `apply` began."""
        return [str(one) for side in self.destinations for one in self.proxies[side].seen if one.method in _WRITES]

    def records(self) -> dict[tuple[str, str, str], Record]:
        """Return the records by side, repository and tag."""
        sides = {proxy.host: side for side, proxy in self.proxies.items()}
        found = {}
        with open_state(str(self.state), thread=_ThisThread(), lock_timeout_seconds=5, on_warning=lambda _: None, read_only=True) as state:
            for one in state.iter_records():
                host, _, rest = one.destination.partition("/")
                repository, _, tag = rest.rpartition(":")
                found[sides[host], repository, tag] = one
        return found

    def tamper(self, number: int) -> None:
        """Delete one tag of the first destination."""
        store = self.destinations["first"]
        tags = sorted((f"{self.namespace}/{repository}", tag) for repository in REPOSITORIES for tag in store.tags(f"{self.namespace}/{repository}"))
        if tags:
            gone = tags[number % len(tags)]
            store.untag(*gone)
            self.watches["first"].forget(*gone)

    def _check(self, result: Result, *, killed: bool) -> None:
        """Assert that a run ended properly and did nothing wrong."""
        assert "Traceback" not in result.stderr, result.stderr
        if not killed:
            assert result.code in {0, 1, 75}, (result.code, result.stderr)
        violations = [one for watch in self.watches.values() for one in watch.violations]
        assert violations == [], (violations, result.stderr)

    def check_records(self, told: Declaration | None = None) -> None:
        """Assert that the records are true, of one declaration alone if given."""
        wanted = None if told is None else self.wanted(told)
        for (side, repository, tag), one in self.records().items():
            if not one.is_confirmed or (wanted is not None and (side, repository, tag) not in wanted):
                continue
            served = self.destinations[side].tags(repository).get(tag)
            assert served == one.digest, f"the state says that {side} {repository}:{tag} serves {one.digest}, and it serves {served}"

    def _keep_earlier(self) -> None:
        shutil.rmtree(self._earlier, ignore_errors=True)
        with suppress(FileNotFoundError):
            shutil.copytree(self.state, self._earlier)

    def _spoil(self, how: str) -> None:
        if how in {"lost", "rolled back"}:
            shutil.rmtree(self.state, ignore_errors=True)
        if how == "rolled back":
            self.is_older = True
            if self._earlier.exists():
                shutil.copytree(self._earlier, self.state)
        if how == "damaged":
            # Of a log that a kill left, SQLite takes what comes before the damage: an older state, as sound as any.
            self.is_older = self.is_older or any(path.stat().st_size for path in self.state.glob("cache.db-wal"))
            dice = random.Random(len(self.proxies["first"].seen))
            for path in sorted(self.state.glob("cache.db*")):
                content = bytearray(path.read_bytes())
                for _ in range(dice.choice((1, 3, 30)) if content else 0):
                    content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
                path.write_bytes(content)


class _ThisThread:
    def run(self, function: Callable[[], Value]) -> Value:
        return function()


def weather(sea: Sea, storm: Storm) -> None:
    """Run a *storm* and check the result."""
    sea.move(storm.held)
    for run in storm.runs:
        sea.move(run.moves)
        sea.run(run)
        if not sea.is_older:
            sea.check_records()
    if storm.tampered is not None:
        sea.tamper(storm.tampered)
    sea.move(storm.moves)
    sea.declare(storm.declaration)
    before = {(side, repository): dict(store.tags(repository)) for side, store in sea.destinations.items() for repository in _repositories(sea)}

    # What was done behind its back, or a state older than what it tells of, only asking can find.
    last = sea.apply(*(["--refresh"] if sea.is_older or storm.tampered is not None else []))
    check_made_so(sea, storm.declaration, before, last)

    again = sea.apply()
    # What is not declared any more was not asked about.
    sea.check_records(storm.declaration if sea.is_older or storm.tampered is not None else None)
    # A moved immutable tag is refused by who asks, and is not asked about otherwise.
    absent = sea.absent(storm.declaration)
    assert_lists_absent(again, absent)
    assert again.code in ({1} if again.json["errors"] else {0, last.code}), again.stdout
    assert (again.json["summary"]["copied"], again.json["summary"]["deleted"]) == (0, 0), again.stdout
    assert [one for one in sea.writes() if not (one.startswith("DELETE") and last.code)] == []


def check_made_so(sea: Sea, told: Declaration, before: Mapping[tuple[str, str], Mapping[str, str]], last: Result) -> None:
    """Assert that each destination serves what is selected."""
    excused = {"copied", "kept", "deleted"}
    for outcome in last.json["outcomes"]:
        if outcome["result"] in excused:
            continue
        tag = outcome["destination"].rpartition(":")[2]
        alone = outcome["action"] == "delete" and outcome["result"] == "refused"
        assert (outcome["action"] == "refuse" and told.fixed(tag)) or alone, f"{outcome}\n{last.stderr}"
        excused = excused | {"refused"}
    absent = sea.absent(told)
    assert_lists_absent(last, absent)
    assert last.code == (1 if "refused" in excused or last.json["errors"] else 0), (last.stdout, last.stderr)
    for (side, repository, tag), content in sea.wanted(told).items():
        store = sea.destinations[side]
        served = store.tags(repository).get(tag)
        assert served is not None, f"{side} lacks {repository}:{tag}\n{last.stdout}"
        raw = store.manifest(repository, served) or b""
        if told.fixed(tag) and tag in before[side, repository]:
            assert served == before[side, repository][tag]
        else:
            assert told.is_served(content, raw), f"{side} {repository}:{tag} serves {served}\n{last.stdout}"
        assert list(missing(store, repository, served)) == []
        if told.referrers and raw == content.raw:
            for name, referrer in REFERRERS.items():
                assert IMAGES[name].digest != served or list(missing(store, repository, referrer.digest)) == [], f"{side} {repository}:{tag} lacks its referrer"


def assert_lists_absent(ran: Result, absent: set[str]) -> None:
    """Assert that each exact name that does not exist is an error, or gone after it was mirrored; and nothing else is an error."""
    errors = {error["reference"] for error in ran.json["errors"]}
    gone = {tag["source"] for tag in ran.json["gone"]}
    assert errors <= absent <= errors | gone, ran.stdout
    assert {error["message"].partition(" (")[0] for error in ran.json["errors"]} <= {"does not exist at the source"}, ran.stdout


def _repositories(sea: Sea) -> set[str]:
    return {f"{sea.namespace}/{path}" for one in REPOSITORIES for path in (one, one.replace("/", "_"))}


def fill(source: Store, *, fallback: bool) -> None:
    """Push all images and referrers to the source, without tags."""
    for repository in REPOSITORIES:
        for content in (*IMAGES.values(), *REFERRERS.values()):
            source.hold(repository, content)
        for name, referrer in REFERRERS.items() if fallback else ():
            listing = index(children=(referrer,))
            source.hold(repository, listing)
            source.tag(repository, format_fallback_tag(IMAGES[name].digest), listing.digest)


@contextmanager
def on_gullible_registries(storm: Storm) -> Iterator[Sea]:
    """Return a sea whose registries accept anything."""
    with ExitStack() as ends:
        source = ends.enter_context(GullibleRegistry(has_referrers=storm.has_referrers))
        fill(source, fallback=not storm.has_referrers)
        made = [ends.enter_context(GullibleRegistry(deletes_tags=storm.deletes_tags, has_referrers=storm.has_referrers)) for _ in "ab"]
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="storm-")))
        yield Sea(storm, source, *made, folder=folder, ends=ends)


class _Filled:
    """Real registries for many storms: filled once, tags removed each time."""

    def __init__(self, source: RegistryProcess, destination: RegistryProcess) -> None:
        self._source = DiskStore(source)
        self._destination = DiskStore(destination)
        fill(self._source, fallback=True)

    @contextmanager
    def sea(self, storm: Storm) -> Iterator[Sea]:
        """Return a sea between them."""
        with ExitStack() as ends:
            second = ends.enter_context(GullibleRegistry(deletes_tags=storm.deletes_tags))
            folder = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="storm-")))
            for repository in REPOSITORIES:
                for tag in self._source.tags(repository):
                    if not tag.startswith("sha256-"):
                        self._source.untag(repository, tag)
            yield Sea(storm, self._source, self._destination, second, folder=folder, ends=ends)


@pytest.fixture(scope="module")
def filled(registry: RegistryProcess, second_registry: RegistryProcess) -> _Filled:
    """Return filled real registries."""
    return _Filled(registry, second_registry)


def many(kind: str, sea: Callable[[Storm], Any], shard: int, part: int) -> None:
    """Run many storms between registries of a *kind*, reproducible by seed."""
    # By storm: hypothesis runs one that failed again.
    places: dict[Storm, int] = {}

    @seed(SEED * 1000 + len(_EXAMPLES) * shard + list(_EXAMPLES).index(kind))
    @settings(
        max_examples=_EXAMPLES[kind],
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        # Making a failure small takes many runs of the program: time for that is at night.
        phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if NIGHTLY else [])],
    )
    @given(storms())
    def hold(storm: Storm) -> None:
        if places.setdefault(storm, len(places)) % _PARTS == part:
            with sea(storm) as made:
                weather(made, storm)

    print(f"IMGSYNC_STORM_SEED={SEED}")  # noqa: T201 - shown where a storm breaks a law
    for known in KNOWN if shard == 0 else ():
        hold = example(known)(hold)
    hold()
    record(f"storms between {kind} registries, part {shard + 1} of {_SHARDS}", len(places), unit="storms", note=f"seed {SEED}; every property held")


@pytest.mark.nightly
@pytest.mark.timeout(effort(600, 8 * 3600))
@pytest.mark.parametrize("shard", range(_SHARDS))
@pytest.mark.parametrize("part", range(_PARTS))
def test_storms_between_gullible_registries(shard: int, part: int):
    """If registries accept anything, imgsync alone keeps the laws."""
    many("gullible", on_gullible_registries, shard, part)


@pytest.mark.nightly
@pytest.mark.timeout(effort(600, 8 * 3600))
@pytest.mark.parametrize("shard", range(_SHARDS))
@pytest.mark.parametrize("part", range(_PARTS))
def test_storms_between_real_registries(shard: int, part: int, filled: _Filled):
    """The same with registries that verify."""
    many("real", filled.sea, shard, part)
