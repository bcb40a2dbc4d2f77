"""A board that tests fill: mirrors, tags, runs and problems as the pages show them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from imgsync.apply.report import Outcome, Result
from imgsync.documents.envelope import encode_errors
from imgsync.documents.report import encode_outcome
from imgsync.errors import FileError
from imgsync.oci.spec.reference import parse_reference
from imgsync.plan.model import Action, Change, MirrorNotes, Plan, PlanError
from imgsync.progress.counts import Counts, RunningImage
from imgsync.serve.model import RunOrder, Trigger
from imgsync.serve.views import (
    ConfigurationView,
    EventCounts,
    LeaseView,
    MirrorState,
    MirrorTags,
    MirrorView,
    RunningView,
    RunSummary,
    RunTotals,
    TagState,
    TagView,
)
from imgsync.text.units import format_timestamp
from tests.support.plans import DIGEST, OTHER, TRAPS

NOW = datetime(2026, 11, 30, 9, 41, 7, tzinfo=UTC)
_WORST_FIRST = (MirrorState.FAILING, MirrorState.REFUSED, MirrorState.PENDING, MirrorState.HELD, MirrorState.GONE)


@dataclass
class FixedClock:
    """A clock that tests set."""

    moment: datetime = NOW
    seconds: float = 1000.0

    def now(self) -> datetime:
        """Return the time of day."""
        return self.moment

    def monotonic(self) -> float:
        """Return seconds."""
        return self.seconds

    def pass_time(self, seconds: float) -> None:
        """Go forward."""
        self.seconds += seconds
        self.moment += timedelta(seconds=seconds)


@dataclass
class ListedTags:
    """The tags of one mirror, in a list."""

    tags: Sequence[TagView]

    @property
    def counts(self) -> Mapping[TagState, int]:
        """Return their number by state."""
        return Counter(tag.state for tag in self.tags)

    def __iter__(self) -> Iterator[TagView]:
        """Yield each."""
        return iter(self.tags)


@dataclass
class TestBoard:
    """Implements `Board`; tests set what it shows."""

    __test__ = False

    mirrors: dict[str, MirrorView] = field(default_factory=dict)
    tags: dict[str, ListedTags] = field(default_factory=dict)
    runs: list[RunSummary] = field(default_factory=list)
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    plan: Plan = field(default_factory=lambda: Plan(()))
    problems: list[str] = field(default_factory=list)
    configuration: ConfigurationView = field(default_factory=lambda: ConfigurationView("mirrors.d", loaded_at=NOW, checked_at=NOW))
    running: RunningView | None = None
    lease: LeaseView | None = None
    events: dict[str, EventCounts] = field(default_factory=dict)
    only_plans: bool = False
    totals: RunTotals = field(default_factory=RunTotals)
    clock_jumps: int = 0
    waiting: int = 0
    version: int = 1
    started_at: datetime = NOW - timedelta(days=3)

    def list_mirrors(self) -> Sequence[MirrorView]:
        """Return every mirror."""
        return [*self.mirrors.values()]

    def find_mirror(self, name: str) -> MirrorView | None:
        """Return the mirror *name*."""
        return self.mirrors.get(name)

    def find_tags(self, name: str) -> MirrorTags | None:
        """Return its tags."""
        return self.tags.get(name)

    def make_plan(self) -> Plan:
        """Return the plan."""
        return self.plan

    def list_runs(self, mirror: str = "") -> Sequence[RunSummary]:
        """Return the runs, newest first."""
        return [run for run in self.runs if not mirror or mirror in run.mirrors]

    def read_run(self, run: str) -> Mapping[str, object] | None:
        """Return the document of a run."""
        return self.documents.get(run)

    def add(self, mirror: MirrorView, tags: Sequence[TagView] = ()) -> None:
        """Add a mirror with its tags; its state is that of the worst, unless it has one."""
        listed = ListedTags(tags)
        state = mirror.state
        if state is MirrorState.UNCHECKED and tags:
            found = [one for one in _WORST_FIRST if TagState(one.value) in listed.counts]
            state = found[0] if found else MirrorState.IN_STEP
        self.mirrors[mirror.name] = replace(mirror, counts=listed.counts, state=state)
        self.tags[mirror.name] = listed
        self.version += 1


def ago(**how: float) -> datetime:
    """Return a moment before NOW."""
    return NOW - timedelta(**how)


def later(**how: float) -> datetime:
    """Return a moment after NOW."""
    return NOW + timedelta(**how)


def make_mirror(name: str, source: str, **fields: Any) -> MirrorView:
    """Return a mirror that is checked every hour."""
    defaults = {
        "destinations": (f"registry.internal:5000/{name}",),
        "file": f"mirrors.d/{name}.yaml",
        "line": 4,
        "schedule": "every 1h",
        "checked_at": ago(minutes=12),
        "last_success": ago(minutes=12),
        "next_run": later(minutes=48),
        "last_run": "20261130T092900Z-1",
    }
    return MirrorView(name=name, source=source, **{**defaults, **fields})


def make_tags(source: str, destination: str, names: Sequence[str], state: TagState = TagState.IN_STEP, **fields: str) -> list[TagView]:
    """Return a tag for each name."""
    return [TagView(f"{source}:{name}", f"{destination}:{name}", state, digest=DIGEST, **fields) for name in names]


def versions(count: int) -> list[str]:
    """Return that many tags, such as v1.30.0."""
    return [f"v1.{number // 10}.{number % 10}" for number in range(count)]


def make_run(number: int, *, began: datetime, seconds: float = 42.0, **fields: Any) -> RunSummary:
    """Return a run of the history."""
    defaults: dict[str, Any] = {"trigger": Trigger.SCHEDULE, "mirrors": ("kubernetes",), "applies": True, "is_partial": False}
    return RunSummary(id=f"{began:%Y%m%dT%H%M%SZ}-{number}", began_at=began, ended_at=began + timedelta(seconds=seconds), **{**defaults, **fields})


def make_change(action: Action, mirror: str, source: str, destination: str, **fields: Any) -> Change:
    """Return one change of a plan."""
    defaults: dict[str, Any] = {
        "source_digest": DIGEST,
        "destination_digest": None,
        "media_type": None,
        "size_bytes": 48_000_000,
        "reason": "not at the destination",
    }
    return Change(action=action, mirror=mirror, source=parse_reference(source), destination=parse_reference(destination), **{**defaults, **fields})


def make_counts(*, planned: bool = True) -> Counts:
    """Return the progress of a run: half of twelve images are copied."""
    counts = Counts(lambda: 118, lambda: False)
    counts.repositories, counts.repositories_listed, counts.tags, counts.tags_looked_up = 14, 14 if planned else 9, 240, 240 if planned else 131
    if planned:
        counts.images_total, counts.images_done, counts.bytes_copied = 12, 6, 1_288_490_189
        counts._planned_bytes = 2_469_606_195
        counts.running = {
            parse_reference("registry.internal:5000/kubernetes/kube-apiserver:v1.35.1"): RunningImage("kube-apiserver:v1.35.1", 18 << 20, 31 << 20),
            parse_reference("registry.internal:5000/kubernetes/coredns:v1.13.0"): RunningImage("coredns/coredns:v1.13.0", 4 << 20, 22 << 20),
        }
    return counts


def busy_board() -> TestBoard:
    """Return a board with something of everything."""
    board = TestBoard()
    k8s, to = "registry.k8s.io", "registry.internal:5000/kubernetes"
    apiserver = make_tags(f"{k8s}/kube-apiserver", f"{to}/kube-apiserver", versions(140))
    board.add(
        make_mirror("kubernetes", f"{k8s} (14 repositories)", description="What the clusters in Hangzhou run", schedule="17 3 * * * Europe/Berlin"),
        [
            *make_tags(f"{k8s}/coredns/coredns", f"{to}/coredns/coredns", versions(12)),
            *apiserver,
            *make_tags(f"{k8s}/kube-apiserver", f"{to}/kube-apiserver", ["v1.35.1", "v1.35.2"], TagState.PENDING, reason="not at the destination"),
            *make_tags(
                f"{k8s}/pause", f"{to}/pause", ["3.10"], TagState.HELD, reason="first seen 2026-11-29, held for 3 days by min_age", since="2026-12-02T08:00:00Z"
            ),
        ],
    )
    board.add(
        make_mirror(
            "postgres",
            "docker.io/library/postgres",
            last_success=ago(days=2),
            next_run=later(minutes=3),
            failures=4,
            errors=(
                PlanError(
                    "postgres",
                    "docker.io/library/postgres",
                    "list tags docker.io/library/postgres (source): 429 TOOMANYREQUESTS: You have reached your pull rate limit",
                    hint="log in to docker.io for a higher limit, or set `rate` in registries.yaml",
                ),
            ),
            notes=("3 tags are not versions and were set aside: latest, alpine, bookworm",),
        ),
        [
            *make_tags("docker.io/library/postgres", "registry.internal:5000/postgres", ["17.5", "17.6", "18.0", "18.1"]),
            *make_tags(
                "docker.io/library/postgres",
                "registry.internal:5000/postgres",
                ["18.2"],
                TagState.FAILING,
                reason="push blob registry.internal:5000/postgres (destination): 507 no space left",
                hint="free space at the registry, then run it again",
                since="2026-11-28T10:00:00Z",
            ),
        ],
    )
    board.add(
        make_mirror("monitoring", "quay.io/prometheus (6 repositories)"),
        [
            *make_tags("quay.io/prometheus/prometheus", "registry.internal:5000/monitoring/prometheus", versions(30)),
            *make_tags(
                "quay.io/prometheus/alertmanager",
                "registry.internal:5000/monitoring/alertmanager",
                ["v0.27.0"],
                TagState.GONE,
                reason="not in the list of tags",
                since="2026-11-20T08:00:00Z",
            ),
        ],
    )
    board.add(
        make_mirror("base-images", "docker.io/library (12 repositories)", schedule="every 15m ± 10%"),
        make_tags("docker.io/library/debian", "registry.internal:5000/base-images/debian", versions(64)),
    )
    board.add(
        make_mirror("vendor", "registry.vendor.example/product", last_success=ago(hours=5)),
        [
            *make_tags("registry.vendor.example/product", "registry.internal:5000/vendor/product", ["4.1", "4.2"]),
            *make_tags(
                "registry.vendor.example/product",
                "registry.internal:5000/vendor/product",
                ["4.3"],
                TagState.REFUSED,
                reason="the tag is immutable and moved at the source",
                hint="find out why the vendor moved it; `--refresh` shows both digests",
            ),
        ],
    )
    board.add(make_mirror("archive", "quay.io/archive/tools", state=MirrorState.SUSPENDED, next_run=None, last_success=ago(days=40)))
    board.add(make_mirror("new-team", "ghcr.io/new-team (all repositories)", checked_at=None, last_success=None, last_run="", next_run=later(minutes=1)))
    _add_runs(board)
    board.plan = _make_plan()
    board.events = {
        "inside": EventCounts(accepted=1204, irrelevant=31, last_at=ago(minutes=2)),
        "hub": EventCounts(accepted=18, irrelevant=402, repeated=3, refused={"unproven": 2}, last_at=ago(hours=7)),
    }
    return board


def troubled_board() -> TestBoard:
    """Return a busy board whose configuration is broken, with a run under way and a lease."""
    board = busy_board()
    board.configuration = ConfigurationView(
        "https://git.example/platform/mirrors.git main",
        revision="4f9c1a7be02d55b6a1c0de0f4e6a8c9912345678",
        loaded_at=ago(hours=6),
        checked_at=ago(seconds=20),
        errors=(
            FileError("mirrors.d/kubernetes.yaml", 14, 7, "mirrors[0].tags.semvr", "unknown setting", "did you mean 'semver'?"),
            FileError("mirrors.d/vendor.yaml", 3, 11, "mirrors[0].name", "'kubernetes' is already declared in mirrors.d/kubernetes.yaml:4"),
        ),
        failed_revision="b81d20c4a99e0aa1b2c3d4e5f60718293a4b5c6d",
        warnings=(FileError("registries.yaml", 9, 5, "registries.docker.io.credentials", "HUB_TOKEN is not set"),),
    )
    board.problems = ["the state .imgsync/state is locked by process 4711 on build-7; wait until the other run ends, or stop it"]
    board.lease = LeaseView("imgsync/imgsync", is_held=True, holder="imgsync-7c9f8d-x2x4v", since=ago(hours=20))
    start_run(board)
    return board


def start_run(board: TestBoard, *, planned: bool = True) -> None:
    """Have a run under way."""
    order = RunOrder("20261130T094055Z-9", Trigger.EVENT, ("kubernetes",), applies=True)
    board.running = RunningView(order, ago(seconds=12), make_counts(planned=planned))
    board.version += 1


def large_board(mirrors: int = 200, tags: int = 100, *, one: int = 20_000) -> TestBoard:
    """Return many mirrors, and one with many tags."""
    board = TestBoard()
    for number in range(mirrors):
        name = f"team-{number:03}"
        states = [
            TagState.FAILING if number % 9 == 0 and tag == 7 else TagState.PENDING if number % 4 == 0 and tag < 5 else TagState.IN_STEP for tag in range(tags)
        ]
        board.add(
            make_mirror(name, f"quay.io/{name}/services (12 repositories)", description="Images of one team, for all of its clusters"),
            [TagView(f"quay.io/{name}/app:v1.{tag}.0", f"registry.internal:5000/{name}/app:v1.{tag}.0", state, DIGEST) for tag, state in enumerate(states)],
        )
    if one:
        board.add(
            make_mirror("everything", "registry.example (whole registry)"),
            [
                TagView(f"registry.example/r{tag // 50:04}/app:{tag}", f"registry.internal:5000/e/r{tag // 50:04}/app:{tag}", TagState.IN_STEP, DIGEST)
                for tag in range(one)
            ],
        )
    board.runs = [make_run(number, began=ago(hours=number)) for number in range(500)]
    return board


def empty_board() -> TestBoard:
    """Return a board without mirrors."""
    return TestBoard()


def starting_board() -> TestBoard:
    """Return a board whose first declarations are being read."""
    return TestBoard(configuration=ConfigurationView("https://git.example/platform/mirrors.git main"))


def fresh_board() -> TestBoard:
    """Return a board with mirrors that were never looked at."""
    board = TestBoard()
    for name in ("base-images", "kubernetes", "monitoring"):
        board.add(make_mirror(name, f"quay.io/{name}", checked_at=None, last_success=None, last_run="", next_run=NOW))
    return board


def calm_board() -> TestBoard:
    """Return a board where every mirror is in step."""
    board = TestBoard()
    for name in ("base-images", "kubernetes", "monitoring"):
        board.add(make_mirror(name, f"quay.io/{name}"), make_tags(f"quay.io/{name}/app", f"registry.internal:5000/{name}/app", versions(24)))
    board.runs = [make_run(1, began=ago(minutes=12), mirrors=("base-images", "kubernetes", "monitoring"), counts={"kept": 72}, seconds=1.4)]
    board.documents = {run.id: make_document(run) for run in board.runs}
    board.plan = Plan((), kept=())
    return board


def hostile_board() -> TestBoard:
    """Return a board with each trap in every field, and names of the greatest length."""
    board = TestBoard()
    long = "a-very-long-name-" * 20
    for number, text in enumerate((*TRAPS, "\"'><script>window.ran = 1</script>", "javascript:window.ran=2", "' onmouseover='window.ran=3", long)):
        state = [*TagState][number % len(TagState)]
        board.add(
            make_mirror(
                text,
                text,
                destinations=(text, text),
                file=text,
                schedule=text,
                description=text,
                errors=(PlanError(text, text, text, hint=text),),
                notes=(text,),
                last_run=text,
            ),
            [TagView(text, text, state, digest=text, reason=text, hint=text, since=text)],
        )
        board.runs.append(make_run(number, began=ago(hours=number), mirrors=(text, long), error=text, hint=text, stopped=text, counts={text: 3, "copied": 2}))
        board.events[text] = EventCounts(accepted=1, refused={text: 2})
        board.problems.append(text)
    texts = "".join(TRAPS)
    board.configuration = ConfigurationView(
        texts, texts, NOW, NOW, (FileError(texts, 1, 1, texts, texts, texts),), texts, (FileError(texts, 1, 1, texts, texts, texts),), texts
    )
    board.lease = LeaseView(texts, is_held=False, holder=texts, fault=texts)
    order = RunOrder(texts, Trigger.EVENT, (texts, long), applies=True)
    counts = make_counts()
    counts.running = {parse_reference("r.io/a:1"): RunningImage(texts, 1, 2), parse_reference("r.io/a:2"): RunningImage(long, 1, 2)}
    board.running = RunningView(order, ago(seconds=12), counts)
    board.plan = Plan(
        (), errors=tuple(PlanError(text, text, text, hint=text) for text in TRAPS), mirrors=(MirrorNotes(texts, texts, (texts,), texts, 1),), notes=(texts,)
    )
    return board


def _add_runs(board: TestBoard) -> None:
    everything = tuple(board.mirrors)
    board.runs = [
        make_run(1, began=ago(minutes=12), trigger=Trigger.EVENT, is_partial=True, counts={"copied": 1}, bytes_copied=48_200_000, seconds=3.2),
        make_run(
            2,
            began=ago(hours=1),
            mirrors=everything,
            counts={"copied": 14, "kept": 249, "failed": 1, "held": 1, "refused": 1},
            bytes_copied=3_120_000_000,
            exit_code=1,
        ),
        make_run(3, began=ago(hours=2), mirrors=("base-images", "monitoring"), counts={"kept": 94}, seconds=1.8),
        make_run(
            4,
            began=ago(hours=6),
            mirrors=everything,
            error="the state is locked by another run",
            hint="wait until the other run ends, or stop it",
            exit_code=75,
            seconds=0.2,
        ),
        make_run(5, began=ago(hours=9), trigger=Trigger.REQUEST, applies=False, mirrors=("vendor",), counts={"create": 1, "keep": 2}, exit_code=2, seconds=4.0),
        make_run(
            6,
            began=ago(days=3),
            trigger=Trigger.START,
            mirrors=everything,
            counts={"copied": 266},
            bytes_copied=48_100_000_000,
            stopped="SIGTERM",
            exit_code=75,
            seconds=3211,
        ),
    ]
    for run in board.runs:
        board.documents[run.id] = make_document(run)
    board.documents[board.runs[1].id]["outcomes"] = _list_outcomes()
    board.documents[board.runs[1].id]["errors"] = encode_errors(board.mirrors["postgres"].errors)
    board.documents[board.runs[1].id]["left_out"] = {"outcomes": 12}
    board.documents[board.runs[4].id]["changes"] = [
        make_change(Action.CREATE, "vendor", "registry.vendor.example/product:4.3", "registry.internal:5000/vendor/product:4.3").document
    ]


def make_document(run: RunSummary, **lists: Any) -> dict[str, Any]:
    """Return an imgsync.run/v1 of *run*."""
    return {
        "format": "imgsync.run/v1",
        "id": run.id,
        "trigger": run.trigger.value,
        "mirrors": [*run.mirrors],
        "only": [],
        "applies": run.applies,
        "partial": run.is_partial,
        "began_at": format_timestamp(run.began_at, milliseconds=True),
        "ended_at": format_timestamp(run.ended_at, milliseconds=True),
        "seconds": (run.ended_at - run.began_at).total_seconds(),
        "plan_id": "5f3a9c10",
        "exit_code": run.exit_code,
        "error": f"{run.error} ({run.hint})" if run.hint else run.error or None,
        **({"hint": run.hint} if run.hint else {}),
        "stopped": run.stopped or None,
        "summary": {**run.counts, "bytes_copied": run.bytes_copied},
        "errors": [],
        "outcomes": [],
        "changes": [],
        "left_out": {},
        **lists,
    }


def _list_outcomes() -> list[dict[str, Any]]:
    to = "registry.internal:5000"
    failed = Outcome(
        make_change(Action.CREATE, "postgres", "docker.io/library/postgres:18.2", f"{to}/postgres:18.2"),
        Result.FAILED,
        error="push blob registry.internal:5000/postgres (destination): 507 no space left",
        hint="free space at the registry, then run it again",
        attempts=4,
    )
    copied = [
        Outcome(
            make_change(Action.CREATE, "kubernetes", f"registry.k8s.io/kube-apiserver:{name}", f"{to}/kubernetes/kube-apiserver:{name}"),
            Result.COPIED,
            digest=DIGEST,
            bytes_copied=31_000_000 + number,
            seconds=4.2,
        )
        for number, name in enumerate(versions(14))
    ]
    return [encode_outcome(outcome) for outcome in (failed, *copied)]


def _make_plan() -> Plan:
    to = "registry.internal:5000"
    return Plan(
        (
            make_change(Action.CREATE, "kubernetes", "registry.k8s.io/kube-apiserver:v1.35.1", f"{to}/kubernetes/kube-apiserver:v1.35.1"),
            make_change(
                Action.UPDATE,
                "kubernetes",
                "registry.k8s.io/coredns/coredns:v1.13.0",
                f"{to}/kubernetes/coredns/coredns:v1.13.0",
                destination_digest=OTHER,
                reason="moved",
            ),
            make_change(
                Action.HOLD, "kubernetes", "registry.k8s.io/pause:3.10", f"{to}/kubernetes/pause:3.10", held_until="2026-12-02T08:00:00Z", reason="min_age"
            ),
            make_change(
                Action.DELETE, "monitoring", "quay.io/prometheus/node-exporter:v0.1", f"{to}/monitoring/node-exporter:v0.1", reason="no longer selected"
            ),
            make_change(
                Action.REFUSE,
                "vendor",
                "registry.vendor.example/product:4.3",
                f"{to}/vendor/product:4.3",
                destination_digest=OTHER,
                reason="the tag is immutable",
            ),
        ),
        errors=(PlanError("postgres", "docker.io/library/postgres", "list tags: 429 TOOMANYREQUESTS", hint="log in to docker.io"),),
        transfer_bytes=96_000_000,
        created_at="2026-11-30T09:29:00Z",
    )
