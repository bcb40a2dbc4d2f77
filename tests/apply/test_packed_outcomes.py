"""Packed outcomes: a report reads as if it held values."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.apply.packed_outcomes import OutcomesByDestination, PackedOutcomes, pack_outcomes
from imgsync.apply.report import Outcome, Report, Result
from imgsync.documents.json_stream import to_json
from imgsync.documents.report import encode_report
from imgsync.plan.model import Action
from imgsync.plan.packed_changes import PackedChanges
from imgsync.render.metrics import render_metrics
from imgsync.render.report_html import render_report_html
from imgsync.render.report_markdown import render_report_markdown
from imgsync.render.report_table import render_report_table
from imgsync.system import packed_map, packed_rows
from tests.support.plans import DIGEST, OTHER, change

texts = st.text(max_size=5)


@st.composite
def outcomes(draw) -> list[Outcome]:
    """Return outcomes of different changes, sorted by mirror as a plan is."""
    count = draw(st.integers(0, 20))
    planned = [change(draw(st.sampled_from(Action)), f"t{number}", mirror=draw(st.sampled_from("ab"))) for number in range(count)]
    return [
        Outcome(
            one,
            draw(st.sampled_from(Result)),
            digest=draw(st.sampled_from([None, DIGEST, OTHER])),
            crc32=draw(st.none() | st.just("0123abcd")),
            bytes_copied=draw(st.integers(0, 1 << 40)),
            blobs_copied=draw(st.integers(0, 3)),
            seconds=draw(st.integers(0, 99)) / 4,
            attempts=draw(st.integers(0, 3)),
            error=draw(st.none() | texts),
            hint=draw(texts),
            left_out=tuple(draw(st.lists(texts, max_size=2))),
        )
        for one in sorted(planned, key=lambda one: one.mirror)
    ]


@pytest.fixture(scope="module", autouse=True)
def small_blocks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed_rows, "BLOCK", 2)
        patch.setattr(packed_rows, "_FEW", 4)
        patch.setattr(packed_map, "_CHANGED", 3)
        yield


@given(outcomes())
def test_report_shows_no_difference_when_packed(found):
    """The same outcomes, sums, documents and pages."""
    plain = Report("abcd1234", tuple(found), created_at="2026-01-01T00:00:00Z")
    packed = Report("abcd1234", PackedOutcomes(PackedChanges(one.change for one in found), found), created_at="2026-01-01T00:00:00Z")

    assert list(packed.outcomes) == found
    assert len(packed.outcomes) == len(found)
    assert packed.sums == plain.sums
    for result in Result:
        assert packed.count(result) == plain.count(result)
        assert list(packed.select(result)) == list(plain.select(result))
    assert to_json(encode_report(packed), indented=True) == to_json(encode_report(plain), indented=True)
    for render in (render_report_table, render_report_markdown, render_report_html, _render_metrics):
        assert render(packed) == render(plain)


def _render_metrics(report: Report) -> str:
    return render_metrics(report, mirrors=("a",), requests={}, throttles={}, last_success={}, now=0.0, exit_code=0)


@given(outcomes(), st.randoms())
def test_outcomes_are_found_in_any_order(found, order):
    collected = OutcomesByDestination()
    for one in order.sample(found, len(found)):
        collected.add(one)

    assert [collected.find(one.change) for one in found] == found
    assert collected.find(change(tag="other")) is None


def test_outcome_of_a_changed_change_is_kept():
    """What a shard kept has another action and reason than the plan says."""
    planned, ended = change(), change(Action.KEEP, reason="applied since the plan was made")
    packed = PackedOutcomes(PackedChanges([planned]), [Outcome(ended, Result.KEPT, digest=DIGEST)])

    assert [(one.change.action, one.change.reason) for one in packed] == [(Action.KEEP, "applied since the plan was made")]


def test_outcomes_of_few_changes_stay_values():
    assert pack_outcomes((change(),), [Outcome(change(), Result.COPIED)]) == (Outcome(change(), Result.COPIED),)


def test_packed_outcome_takes_little_memory(monkeypatch):
    """Beside its change, which the plan has."""
    monkeypatch.setattr(packed_rows, "BLOCK", 128)
    monkeypatch.setattr(packed_rows, "_FEW", 1024)
    changes = PackedChanges(change(tag=f"1.{number}") for number in range(4096))
    tracemalloc.start()
    packed = PackedOutcomes(changes, (Outcome(one, Result.COPIED, digest=one.source_digest, crc32="00000000", bytes_copied=1) for one in changes))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert held < 100 * len(packed)
