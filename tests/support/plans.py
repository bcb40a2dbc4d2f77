"""Plans and reports to render: small ones and generated hostile ones."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from imgsync.apply.report import Outcome, Report, Result, SharedCopies
from imgsync.apply.shard_outcome import FoundBlobs, RecordFacts, ShardOutcome, Traffic
from imgsync.errors import InvalidReferenceError
from imgsync.oci.spec.reference import Reference, Repository, parse_reference
from imgsync.partition.shard import Shard
from imgsync.plan.gone_tag import GoneTag
from imgsync.plan.model import Action, Change, FilterStep, MirrorNotes, Plan, PlanError, PullCost

DIGEST = "sha256:" + "9001185023b6" + "a" * 52
OTHER = "sha256:" + "7031c1b28338" + "b" * 52
NOTES = MirrorNotes("a", "s.io", ("r.io/m",), "mirrors.d/a.yaml", 3)
RESULTS = tuple(Result)

# What turns into something on GitHub, GitLab, in HTML or in a terminal, as a registry would write it.
TRAPS = (
    "@everyone",
    "a@b.example",
    "#12",
    "!12",
    "GH-12",
    "evil/repo#1",
    "deadbeefcafe",
    "deadbeef",
    "https://evil.example/x",
    "www.evil.example",
    "evil.example",
    "<script>alert(1)</script>",
    "<img src=https://evil.example/x>",
    "</details>",
    "-->",
    "![x](https://evil.example/x)",
    "[x](https://evil.example/x)",
    "[x]: https://evil.example",
    "<https://evil.example>",
    "`",
    "``",
    "|",
    "\\|",
    "\\",
    "\n",
    "\r\n\r\n# heading",
    "\x1b[31m",
    "\u202e",
    "&lt;b&gt;",
    "&#64;all",
    "**bold**",
    "~~gone~~",
    ":tada:",
    "$x$",
    "1. one",
    "- two",
    "> quote",
    "---",
    "\ufffe",
    "\U0001f600",
    "{{ 1 + 1 }}",
    "/close",
    "::add-mask::x",
    "\n ::set-output name=x::y",
    "##[add-mask]x",
    "##vso[task.setvariable variable=PATH]x",
    "##teamcity[buildProblem description='x']",
)
hostile = st.lists(st.sampled_from(TRAPS) | st.text(max_size=20) | st.sampled_from(("moved", "held until", " ", "")), max_size=6).map(" ".join) | st.text(
    max_size=60
)


def reference(text: str) -> Reference:
    """Return the reference *text*; invalid text is kept for display."""
    try:
        found = parse_reference(text)
    except InvalidReferenceError:
        found = None
    if found is not None and str(found) == text:
        return found
    registry, _, path = text.partition("/")
    return Reference(Repository(registry, path))


def change(action: Action = Action.CREATE, tag: str = "1", *, mirror: str = "a", reason: str = "not at the destination", **fields: object) -> Change:
    """Return a change of `app:TAG`, all else as most have it."""
    known = {
        "source": f"s.io/app:{tag}",
        "source_digest": DIGEST,
        "destination": f"r.io/m/app:{tag}",
        "destination_digest": None if action is Action.CREATE else OTHER,
        "media_type": "x/y",
        "size_bytes": 1 << 20,
    }
    values = {**known, **fields}
    references = {name: reference(values[name]) for name in ("source", "destination")}
    return Change(action, mirror, reason=reason, **{**values, **references})


def plan(*changes: Change, errors: tuple[PlanError, ...] = (), mirrors: tuple[MirrorNotes, ...] = (NOTES,), **fields: object) -> Plan:
    """Return a plan of *changes* as made on a day in November."""
    return Plan(changes, errors, mirrors, **{"transfer_bytes": 1 << 20, "created_at": "2026-11-23T09:00:00Z", "seconds": 1.8, **fields})


def of_each_action() -> Plan:
    """Return a plan with each action, an error and a suspended mirror."""
    return plan(
        change(Action.CREATE, "1"),
        change(Action.UPDATE, "2", reason="source moved 7031c1b28338 → 9001185023b6"),
        change(Action.HOLD, "3", reason="first seen 6h ago, held until 2026-11-26T09:00:00Z by min_age 3d", held_until="2026-11-26T09:00:00Z"),
        change(Action.REFUSE, "4", reason="tag is declared immutable: 7031c1b28338 → 9001185023b6"),
        change(Action.DELETE, "5", reason="no longer selected; pushed by imgsync on 2026-03-02", source_digest=None, size_bytes=None),
        change(Action.KEEP, "6", reason="same digest"),
        errors=(PlanError("a", "s.io/x", "list tags of s.io/x (source): 401", "log in"),),
        mirrors=(NOTES, MirrorNotes("b", "s.io", ("r.io/b",), "mirrors.d/b.yaml", 1, suspended=True)),
        requests=(("source", 9), ("destination", 0)),
        applying=(("source", 12), ("destination", 30)),
        pulls=(PullCost("docker.io", 58, 76, 100, 21600),),
    )


def gone_tag(tag: str = "9", since: str | None = "2026-08-28T01:00:00Z", **fields: str) -> GoneTag:
    """Return `app:TAG`, gone at the source."""
    return GoneTag(fields.get("mirror", "a"), reference(f"s.io/app:{tag}"), reference(f"r.io/m/app:{tag}"), DIGEST, since, "not in the list of tags")


references = st.builds(Reference, repository=st.builds(Repository, registry=hostile, path=hostile), tag=hostile)
CHANGE_FIELDS: dict[str, Any] = {
    "action": st.sampled_from(Action),
    "mirror": st.sampled_from(("a", "b", "@mirror")) | hostile,
    "source": references,
    "source_digest": st.none() | st.just(DIGEST) | hostile,
    "destination": references,
    "destination_digest": st.none() | st.just(OTHER) | hostile,
    "media_type": st.none() | hostile,
    "size_bytes": st.none() | st.integers(0, 1 << 50),
    "reason": hostile,
}
changes = st.builds(Change, **CHANGE_FIELDS)
_flags = {"later": st.booleans(), "planned": st.booleans()}
errors = st.builds(PlanError, mirror=st.sampled_from(("a", "b")) | hostile, reference=hostile, message=hostile, hint=hostile, **_flags)
steps = st.builds(FilterStep, repository=hostile, step=hostile, left=st.integers(0, 99), dropped=st.lists(hostile, max_size=30).map(tuple))
mirrors = st.builds(
    MirrorNotes,
    mirror=st.sampled_from(("a", "b")) | hostile,
    source=hostile,
    destinations=st.lists(hostile, max_size=5).map(tuple),
    file=hostile,
    line=st.integers(0, 99),
    suspended=st.booleans(),
    notes=st.lists(hostile, max_size=3).map(tuple),
    steps=st.lists(steps, max_size=3).map(tuple),
)
costs = st.builds(PullCost, registry=hostile, pulls=st.integers(0, 99), remaining=st.integers(0, 99), limit=st.none() | st.just(100), window_seconds=st.none())
GONE_FIELDS: dict[str, Any] = {
    "mirror": st.sampled_from(("a", "b")) | hostile,
    "source": references,
    "destination": references,
    "digest": st.just(DIGEST) | hostile,
    "since": st.none() | st.just("2026-08-28T01:00:00Z") | hostile,
    "reason": hostile,
}
gone_tags = st.builds(GoneTag, **GONE_FIELDS)
PLAN_FIELDS: dict[str, Any] = {
    "changes": st.lists(changes, max_size=25).map(tuple),
    "errors": st.lists(errors, max_size=4).map(tuple),
    "mirrors": st.lists(mirrors, max_size=3, unique_by=lambda notes: notes.mirror).map(tuple),
    "transfer_bytes": st.integers(0, 1 << 50),
    "created_at": hostile,
    "requests": st.sampled_from(((), (("source", 9),))),
    "applying": st.sampled_from(((), (("source", 12), ("destination", 30)))),
    "pulls": st.lists(costs, max_size=3).map(tuple),
    "gone": st.lists(gone_tags, max_size=3).map(tuple),
}
plans = st.builds(Plan, **PLAN_FIELDS)
OUTCOME_FIELDS: dict[str, Any] = {
    "change": changes,
    "result": st.sampled_from(RESULTS),
    "digest": st.none() | st.just(DIGEST) | hostile,
    "bytes_copied": st.integers(0, 1 << 50),
    "blobs_copied": st.integers(0, 99),
    "seconds": st.floats(0, 1e6),
    "error": st.none() | hostile,
    "hint": hostile,
}
outcomes = st.builds(Outcome, **OUTCOME_FIELDS)
REPORT_FIELDS: dict[str, Any] = {
    "plan_id": hostile,
    "outcomes": st.lists(outcomes, max_size=25).map(tuple),
    "errors": st.lists(errors, max_size=4).map(tuple),
    "seconds": st.floats(0, 1e6),
    "stopped": hostile,
    "notes": st.lists(hostile, max_size=3).map(tuple),
    "created_at": hostile,
    "gone": st.lists(gone_tags, max_size=3).map(tuple),
}
reports = st.builds(Report, **REPORT_FIELDS)


def report() -> Report:
    """Return a report that holds each result once."""
    found = (
        Outcome(change(tag="1"), Result.COPIED, digest=DIGEST, bytes_copied=5 << 20, blobs_copied=3, blobs_mounted=1, blobs_present=2, seconds=1.5),
        Outcome(change(Action.KEEP, "2"), Result.KEPT),
        Outcome(
            change(Action.HOLD, "3", reason="first seen 6h ago, held until 2026-11-26T09:00:00Z by min_age 3d", held_until="2026-11-26T09:00:00Z"), Result.HELD
        ),
        Outcome(change(Action.REFUSE, "4"), Result.REFUSED, error="tag is declared immutable"),
        Outcome(change(Action.DELETE, "5", reason="no longer selected"), Result.DELETED),
        Outcome(change(tag="6"), Result.FAILED, error="push blob r.io/m/app (destination): 507", hint="free some space", attempts=4),
        Outcome(change(tag="7"), Result.REMAINING),
    )
    errors = (PlanError("b", "s.io/x", "list tags of s.io/x (source): 401", "log in"),)
    return Report("abcd1234", found, errors, 75.4, "the run's time is up", ("s.io/app:1 moved since the plan was made",), "2026-11-23T09:00:00Z")


def shard_outcome(*done: Outcome, **fields: object) -> ShardOutcome:
    """Return what a shard did, with a record of the first of *done*."""
    values = {
        "records": {str(done[0].change.destination): RecordFacts("2026-11-23T09:00:00.123Z", confirmed=True)} if done else {},
        "shared": (SharedCopies("a", 5, 1),),
        "blobs": (FoundBlobs("r.io/m/app", {"DIGEST": 1}),),
        "traffic": (Traffic("source", "s.io", {"METHOD": 1}),),
        "throttled": {"REGISTRY": 1},
        **fields,
    }
    return ShardOutcome("abcd1234", "0" * 32, Shard(3, 8), "0.1.0", "2026-11-23T09:00:00Z", 0, outcomes=done, **values)
