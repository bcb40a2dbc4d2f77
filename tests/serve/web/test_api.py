"""The API: documents that fit their schemas, and runs on request."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from imgsync.config.schema_files import read_schema
from imgsync.documents.plan import decode_plan
from tests.support import board as boards
from tests.support.web_server import TOKEN

HEADERS = {"Host": "localhost", "Authorization": f"Bearer {TOKEN}"}
BOARDS = ["busy_board", "troubled_board", "empty_board", "starting_board", "fresh_board", "calm_board", "hostile_board"]


def fits(document: Any, name: str) -> None:
    schema = json.loads(read_schema(name))
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(document)


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize(("path", "schema"), [("status", "status"), ("mirrors", "mirrors"), ("runs", "runs")])
def test_documents_fit_their_schemas(board, path, schema, site):
    """At each time of a process's life, and with hostile names."""
    answer = site(getattr(boards, board)()).client.get(f"/api/v1/{path}", headers=HEADERS)

    assert answer.content_type == "application/json"
    fits(answer.json, schema)


def test_schemas_describe_every_field():
    """Also those of lists and objects within."""
    for name in ("status", "mirrors", "runs", "run"):

        def check(part: Any, path: str) -> None:
            for key, inner in part.get("properties", {}).items():
                assert inner.get("description"), f"{path}.{key}"
                check(inner, f"{path}.{key}")
                check(inner.get("items", {}), f"{path}.{key}[]")

        check(json.loads(read_schema(name)), name)


def test_status_has_counts_and_faults(site):
    """Each error with its place, the run with its progress."""
    document = site(boards.troubled_board()).client.get("/api/v1/status", headers=HEADERS).json

    assert document["mirrors"] == {"suspended": 1, "unchecked": 1, "failing": 1, "refused": 1, "pending": 1, "held": 0, "gone": 1, "in_step": 1}
    assert document["tags"] == {"in_step": 252, "pending": 2, "held": 1, "refused": 1, "failing": 1, "gone": 1}
    assert document["configuration"]["errors"][0] == {
        "file": "mirrors.d/kubernetes.yaml",
        "line": 14,
        "column": 7,
        "path": "mirrors[0].tags.semvr",
        "message": "unknown setting",
        "hint": "did you mean 'semver'?",
    }
    assert (document["running"]["images_done"], document["running"]["images_total"]) == (6, 12)
    assert document["lease"] == {
        "name": "imgsync/imgsync",
        "held": True,
        "holder": "imgsync-7c9f8d-x2x4v",
        "since": "2026-11-29T13:41:07Z",
        "fault": None,
    }


def test_one_mirror_has_its_tags(site):
    """All, or those in one state."""
    site = site()
    every = site.client.get("/api/v1/mirrors/kubernetes", headers=HEADERS).json
    pending = site.client.get("/api/v1/mirrors/kubernetes?state=pending", headers=HEADERS).json

    fits(every, "mirrors")
    assert (len(every["tags"]), len(pending["tags"])) == (155, 2)
    assert pending["tags"][0]["destination"] == "registry.internal:5000/kubernetes/kube-apiserver:v1.35.1"
    assert site.client.get("/api/v1/mirrors/kubernetes?state=bogus", headers=HEADERS).status_code == 400


def test_runs_are_documents(site):
    """A list, and each run."""
    site = site()
    runs = site.client.get("/api/v1/runs?mirror=vendor", headers=HEADERS).json["runs"]

    assert len(runs) == 4
    for run in runs:
        document = site.client.get(f"/api/v1/runs/{run['id']}", headers=HEADERS).json
        fits(document, "run")
        assert {name: document[name] for name in run if name in document and name not in {"error", "hint"}} == {
            name: value for name, value in run.items() if name in document and name not in {"error", "hint"}
        }


def test_plan_is_a_plan_that_can_be_read_again(site):
    """As `imgsync plan --out` writes it."""
    answer = site().client.get("/api/v1/plan", headers=HEADERS)

    plan = decode_plan(answer.json, name="plan")
    assert plan.counts == {"create": 1, "update": 1, "keep": 0, "hold": 1, "refuse": 1, "delete": 1}
    assert site(get_config=lambda: None).client.get("/api/v1/plan", headers=HEADERS).status_code == 503


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        (b"", ((), True)),
        (b"{}", ((), True)),
        (b'{"mirror": null}', ((), True)),
        (b'{"mirror": "vendor"}', (("vendor",), True)),
        (b'{"mirror": "vendor", "apply": false}', (("vendor",), False)),
    ],
)
def test_reconcile_asks_for_a_run(body, asked, site):
    """Of all mirrors or one; the answer says what was accepted."""
    site = site()
    answer = site.client.post("/api/v1/reconcile", data=body, headers={**HEADERS, "Content-Type": "application/json"})

    assert answer.status_code == 202
    assert answer.json == {"accepted": True, "mirror": asked[0][0] if asked[0] else None, "apply": asked[1]}
    assert site.asked() == [asked]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"mirrors": "a"}', "application/json", 400),
        (b'{"mirror": 1}', "application/json", 400),
        (b'{"mirror": ["a"]}', "application/json", 400),
        (b'{"apply": "yes"}', "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"mirror": "nope"}', "application/json", 404),
        (b'{"mirror": "archive"}', "application/json", 409),
        (b"mirror=vendor", "application/x-www-form-urlencoded", 415),
        (b"{}", "text/plain", 415),
    ],
)
def test_reconcile_refuses_what_makes_no_sense(body, kind, status, site):
    """With the reason in JSON, and no run."""
    site = site()
    answer = site.client.post("/api/v1/reconcile", data=body, headers={**HEADERS, "Content-Type": kind})

    assert answer.status_code == status
    assert set(answer.json) == {"error"}
    assert site.asked() == []


@pytest.mark.row("SRV-04")
def test_reconcile_takes_no_cookie(site):
    """A form or a script of another site cannot send the header."""
    site = site()
    site.log_in()
    answer = site.client.post("/api/v1/reconcile", json={}, headers={"Host": "localhost", "Sec-Fetch-Site": "same-origin"})

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="imgsync"'
    assert site.asked() == []


def test_errors_of_the_api_are_json(site):
    """For paths that are not there too."""
    answer = site().client.get("/api/v1/nope", headers={**HEADERS, "Accept": "text/html"})

    assert (answer.status_code, answer.content_type) == (404, "application/json")
    assert answer.json["error"]


def test_probes_need_no_login(site):
    """And are for each host; a stale mirror is no reason to be not ready."""
    site = site(boards.troubled_board(), private=True)
    for path, text in (("/healthz", "ok\n"), ("/readyz", "ready\n")):
        answer = site.client.get(path, headers={"Host": "10.1.2.3:8080"})
        assert (answer.status_code, answer.text) == (200, text)


def test_probes_say_what_is_wrong(site):
    """With 503."""
    site = site(is_alive=lambda: False, explain_not_ready=lambda: "no configuration is loaded")

    assert [(site.get(path).status_code, site.get(path).text) for path in ("/healthz", "/readyz")] == [
        (503, "the loop does not move\n"),
        (503, "no configuration is loaded\n"),
    ]


def test_events_reach_the_receiver(site):
    """With what follows the name as the secret; without a receiver there is no such path."""
    given = site()
    assert given.client.post("/events/hub/secret", data=b"{}", headers={"Host": "any.example"}).status_code == 202
    assert given.client.post("/events/hub", data=b"{}", headers={"Host": "any.example"}).status_code == 404
    assert given.client.get("/events/hub", headers={"Host": "any.example"}).status_code == 405
    assert site(receive_event=None).client.post("/events/hub/secret", data=b"{}", headers={"Host": "localhost"}).status_code == 404


@pytest.mark.row("SRV-10")
def test_the_listener_of_events_has_nothing_else(site):
    """No page, no document, no metrics, no probe."""
    from werkzeug.test import Client

    from imgsync.serve.web.app import make_events_app

    receive = site().parts.receive_event
    assert receive is not None
    client = Client(make_events_app(receive))
    assert client.post("/events/hub/secret", data=b"{}").status_code == 202
    for path in ("/", "/api/v1/status", "/metrics", "/healthz", "/login", "/static/serve.css"):
        assert client.get(path).status_code == 404
    assert client.post("/events//hub", data=b"{}").status_code == 404
    assert "POST" in client.get("/events/hub").headers["Allow"]
