"""Who may send events, and what the receiver answers."""

from __future__ import annotations

import json

import pytest

from imgsync.serve.events.model import BODY_LIMIT, Delivery
from imgsync.serve.events.proofs import Proof
from imgsync.serve.events.receiver import UNKNOWN_SENDER
from imgsync.serve.model import Hint
from tests.support.events import REGISTRY, SECRET, Receiver, pushed, sign


def test_event_becomes_a_hint_for_our_registry():
    """202; the hint has the names of repository and tag."""
    receiver = Receiver()

    reply = receiver.send(pushed(), headers={"Authorization": f"Bearer {SECRET}"})

    assert reply.status == 202
    assert receiver.inbox.take_hints() == [Hint("registry.internal:5000", "team/app", "1.0")]
    assert receiver.counts["one"].accepted == 1
    assert receiver.counts["one"].last_at == receiver.clock.now()


@pytest.mark.row("EVT-01")
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {SECRET[:-1]}"},
        {"Authorization": f"Bearer {SECRET}x"},
        {"Authorization": f"Basic {SECRET}"},
        {"Authorization": "Bearer \u00e9\u4e2d"},
        {"X-Hub-Signature-256": sign(b"{}")},
        {"X-Api-Key": SECRET},
    ],
)
def test_event_without_the_proof_of_its_type_is_refused(headers):
    """404 and no hint; the payload is not read."""
    receiver = Receiver()

    assert receiver.send(pushed(), headers=headers).status == 404
    assert receiver.hints() == []
    assert receiver.seen == []
    assert receiver.counts["one"].refused == {"unproven": 1}


@pytest.mark.row("EVT-06")
def test_unknown_name_and_wrong_secret_answer_alike():
    """So names cannot be found by trying."""
    receiver = Receiver()

    wrong = [receiver.send(body, name=name, path=path) for name in ("one", "two") for path in ("", "x") for body in (pushed(), b"", b"\0")]

    assert len(set(wrong)) == 1
    assert receiver.counts[UNKNOWN_SENDER].refused == {"unproven": 6}


@pytest.mark.row("EVT-01")
def test_secret_in_the_path_does_not_prove_a_type_with_a_header():
    """Paths are in the logs of proxies."""
    receiver = Receiver()

    assert receiver.send(pushed(), path=SECRET).status == 404


@pytest.mark.row("EVT-07")
@pytest.mark.parametrize("name", ["one", "two"])
def test_large_event_is_refused_before_anything_is_read(name):
    """413 for a byte more than 1 MiB, whoever sends it."""
    receiver = Receiver()

    assert receiver.send(b"x" * (BODY_LIMIT + 1), name=name, headers={"Authorization": SECRET}).status == 413
    assert receiver.hints() == []


@pytest.mark.row("EVT-07")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"events": {}}',
        b'{"events": 1}',
        b"{}",
        b'{"events": [], "events": []}',
        b"\xff",
        b'{"events":' + b"[" * 100_000,
        b'{"events": [' + b"0," * 60_000 + b"0]}",
        json.dumps(pushed()).encode()[:-20],
        b"payload=%7B%7D",
    ],
)
def test_body_that_is_no_event_is_refused(body):
    """400; nothing else happens."""
    receiver = Receiver()

    assert receiver.send(body, headers={"Authorization": SECRET}).status == 400
    assert receiver.hints() == []
    assert receiver.counts["one"].refused == {"malformed": 1}


def test_event_about_what_is_not_mirrored_is_no_error():
    """200, so that the sender does not repeat it."""
    receiver = Receiver(selects=False)

    assert receiver.prove(pushed()).status == 200
    assert receiver.hints() == []
    assert receiver.counts["one"].irrelevant == 1


@pytest.mark.row("EVT-03")
def test_repeated_delivery_gives_no_second_hint():
    """For five minutes; then it counts as a new one."""
    receiver = Receiver()
    assert receiver.prove(pushed()).status == 202
    assert receiver.hints() == ["team/app:1.0"]

    receiver.clock.seconds += 299
    assert receiver.prove(pushed()).status == 200
    assert receiver.hints() == []
    assert receiver.counts["one"].repeated == 1

    receiver.clock.seconds += 2
    assert receiver.prove(pushed()).status == 202


def test_same_tag_pushed_again_is_a_new_event():
    """Its id and digest differ."""
    receiver = Receiver()
    receiver.prove(pushed(number=1))
    receiver.hints()

    assert receiver.prove(pushed(number=2)).status == 202
    assert receiver.hints() == ["team/app:1.0"]


@pytest.mark.row("EVT-03")
def test_memory_for_deliveries_is_bounded():
    """The oldest is forgotten."""
    receiver = Receiver()
    for number in range(10_001):
        receiver.prove(pushed(number=number))

    assert receiver.prove(pushed(number=10_000)).status == 200
    assert receiver.prove(pushed(number=0)).status == 202


@pytest.mark.row("EVT-08")
def test_refused_events_do_not_fill_the_log():
    """One line a minute for each sender and reason, without words of the request."""
    receiver = Receiver()
    for _ in range(100):
        receiver.send(pushed("evil\x1b[2J"), name="\x1b[2J")
    assert [event for event, _ in receiver.log.lines] == ["event.refused"]

    receiver.clock.seconds += 61
    receiver.send(pushed(), name="two")

    assert receiver.log.lines[1] == ("event.refused", {"sender": UNKNOWN_SENDER, "reason": "unproven", "status": 404, "times": 101})


def test_storm_of_accepted_events_does_not_fill_the_log():
    """Twenty lines a second; the counts have all."""
    receiver = Receiver()
    for number in range(100):
        receiver.prove(pushed(number=number))
    assert len(receiver.log.lines) == 20

    receiver.clock.seconds += 1
    receiver.prove(pushed(number=100))
    assert receiver.log.lines[20] == ("event.accepted", {"sender": "one", "registry": REGISTRY, "repository": "team/app", "tag": "1.0", "hints": 1})
    assert receiver.counts["one"].accepted == 101


def test_replica_that_stands_by_answers_what_needs_no_action():
    """A test event of a sender, or one about what is not mirrored, is not sent again."""
    assert Receiver("git", may_act=False).prove({}, X_GitHub_Event="ping").status == 200
    assert Receiver(may_act=False, selects=False).prove(pushed()).status == 200


def test_push_to_git_is_for_the_replica_that_acts():
    """It reads the declarations at once."""
    receiver = Receiver("git", may_act=False)

    assert receiver.prove({}, X_GitHub_Event="push").status == 503
    assert receiver.inbox.take_look() is False


def test_replaced_settings_count_at_once():
    """A removed sender is unknown; its figures stay."""
    receiver = Receiver()
    receiver.receiver.replace_settings({})

    assert receiver.prove(pushed()).status == 404
    assert receiver.counts["one"].accepted == 0


@pytest.mark.row("EVT-08")
def test_secret_is_shown_nowhere():
    """Neither in the log, nor in what a traceback shows."""
    receiver = Receiver("generic")
    delivery = Delivery({"authorization": SECRET}, SECRET, b"{}")
    receiver.send({"image": "team/app:1"}, path=SECRET)
    receiver.send({"image": SECRET}, path=f"{SECRET}x", headers={"Authorization": f"{SECRET}x"})

    assert SECRET not in repr((receiver.log.lines, delivery, Proof(SECRET, SECRET, delivery), receiver.receiver._settings))


@pytest.mark.row("EVT-06")
def test_unknown_name_costs_the_same_work():
    """The body is signed for every name, whatever the type."""
    signed: list[str] = []
    receiver = Receiver("distribution")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("imgsync.serve.events.receiver.sign", lambda secret, body: signed.append(secret) or "")
        receiver.send(pushed())
        receiver.send(pushed(), name="two")

    assert len(signed) == 2


def test_replica_that_stands_by_acts_on_no_event():
    """503 for an event of a known sender, and what any replica answers for the others."""
    receiver = Receiver(may_act=False)

    known, unknown = receiver.prove(pushed()), receiver.send(pushed())

    assert (known.status, unknown.status) == (503, 404)
    assert receiver.hints() == []
    assert receiver.counts["one"].refused == {"standby": 1, "unproven": 1}
