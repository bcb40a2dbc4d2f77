"""Every refusal says what to do."""

from __future__ import annotations

import pytest

from imgsync.plan.decide import Facts, decide
from imgsync.plan.model import Action
from imgsync.plan.refusal import BACK, IMMUTABLE, NO_RECORD, NOT_OURS, REQUIRED, advise_refusal
from tests.support.images import image
from tests.support.plans import DIGEST, OTHER, change

GITHUB = {"GITHUB_ACTIONS": "true", "CI": "true"}


def test_each_reason_has_its_own_remedy():
    """Also one that a document made up."""
    reasons = (f"{REQUIRED}no signature", f"{IMMUTABLE}: a → b", NOT_OURS, BACK, f"{NO_RECORD}; 401", "made up", "")

    assert len({advise_refusal(reason) for reason in reasons}) == len(reasons) - 1
    assert all(advise_refusal(reason) for reason in reasons)


@pytest.mark.parametrize("is_recorded", [True, False])
def test_immutable_tag_that_moved_says_where_to_change_it(is_recorded):
    """The reason of a refusal is one of those that are known."""
    action, reason = decide(Facts(DIGEST, OTHER, is_immutable=True, is_recorded=is_recorded))

    assert action is Action.REFUSE
    assert "`immutable`" in advise_refusal(reason)


@pytest.mark.parametrize("action", Action)
def test_only_a_refused_change_has_advice(action):
    """Also in its document, under the name that errors use."""
    some = change(action, reason=f"{REQUIRED}no signature")

    assert bool(some.advice) is (action is Action.REFUSE)
    assert some.document.get("hint", "") == some.advice


def test_refusal_has_one_wording_in_every_format(lab):
    """plan, apply and verify; text, Markdown, JSON, JUnit, HTML and annotations."""
    lab.push("app", "1", image("fixed"))
    lab.declare("app", "immutable: ['1']")
    assert lab.run("apply").code == 0
    lab.push("app", "1", image("moved"))
    advice = advise_refusal(IMMUTABLE)
    coded = advice.replace("`immutable`", "<code>immutable</code>")

    planned = lab.run("plan", "--refresh", "--out", "plan.json", env=GITHUB)
    applied = lab.run("apply", "--refresh", "-o", "json", "--junit", "junit.xml", "--report", "report.html", env=GITHUB | {"GITHUB_STEP_SUMMARY": "summary.md"})
    verified = lab.run("verify", "-o", "json", env=GITHUB | {"GITHUB_STEP_SUMMARY": "verify.md"})

    (refused,), (outcome,), (finding,) = lab.run("show", "plan.json", "-o", "json").json["changes"], applied.json["outcomes"], verified.json["findings"]
    assert {refused["hint"], outcome["hint"], finding["hint"]} == {advice}
    assert refused["reason"] == outcome["reason"] == finding["reason"]
    assert f"hint: {advice}" in " ".join(planned.stdout.split())
    texts = [lab.run("show", "plan.json", "-o", "markdown").stdout, *((lab.folder / name).read_text() for name in ("summary.md", "verify.md", "junit.xml"))]
    assert [text.count(f"hint: {advice}") for text in texts] == [1, 1, 1, 1]
    assert coded in (lab.folder / "report.html").read_text()
    for ran in (planned, applied, verified):
        (line,) = [line for line in ran.stderr.splitlines() if line.startswith("::error")]
        assert line.startswith("::error file=mirrors.d/a.yaml,line=3,title=imgsync::")
        assert line.endswith(f"app:1 refused: {refused['reason']} ({advice})")
