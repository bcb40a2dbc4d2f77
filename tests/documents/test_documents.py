"""Documents: written and read back; anything else is refused."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.apply.report import Outcome, Report, Result
from imgsync.config.model import Config, Destination, Mirror, RegistriesConfig, Source
from imgsync.documents.envelope import parse_document
from imgsync.documents.json_stream import to_json
from imgsync.documents.plan import check_made_for, decode_plan, encode_plan
from imgsync.documents.report import decode_report, encode_report
from imgsync.documents.verification import decode_verification, encode_verification
from imgsync.errors import UsageError
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.plan.findings import Condition, Finding, Verification
from imgsync.plan.model import Change, GoneTag, Plan
from imgsync.text.redaction import Redaction
from tests.support.plans import CHANGE_FIELDS, DIGEST, GONE_FIELDS, OTHER, OUTCOME_FIELDS, PLAN_FIELDS, REPORT_FIELDS, change, of_each_action, plan, report

CONFIG = Config(tuple(Mirror(name, Source("s.io", repositories=("app",)), (Destination("r.io", "m"),)) for name in "ab"), RegistriesConfig())
# With all of Unicode, hypothesis computes for seconds which characters there are.
ascii_letters = st.characters(codec="ascii")
digests = st.sampled_from((None, DIGEST, OTHER))
repositories = st.builds(
    Repository,
    registry=st.sampled_from(("s.io", "r.io:5000", "localhost", "[::1]:5000", "single-label")),
    path=st.sampled_from(("app", "library/app", "a__b/c.d-e/f")) | st.from_regex(r"[a-z0-9]{1,9}(/[a-z0-9]{1,9}){0,3}", fullmatch=True, alphabet=ascii_letters),
)
references = st.builds(
    Reference,
    repository=repositories,
    tag=st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,9}", fullmatch=True, alphabet=ascii_letters),
    digest=st.sampled_from(("", DIGEST)),
)
readable_changes = st.builds(
    Change, **CHANGE_FIELDS | {"source": references, "destination": references, "source_digest": digests, "destination_digest": digests}
)
readable_gone = st.builds(GoneTag, **GONE_FIELDS | {"source": references, "destination": references})
readable = st.builds(
    Plan, **PLAN_FIELDS | {"changes": st.lists(readable_changes, max_size=9).map(tuple), "gone": st.lists(readable_gone, max_size=3).map(tuple)}
)


def written(some: Plan, *, indented: bool = False, **options: Any) -> bytes:
    return to_json(encode_plan(some, CONFIG, explain=True, **options), indented=indented).encode()


def read(data: bytes) -> Plan:
    document = parse_document(data, name="plan.json")
    found = decode_plan(document, name="plan.json")
    check_made_for(document, CONFIG, name="plan.json")
    return found


def canonical(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def sealed(document: dict[str, Any]) -> bytes:
    """Return *document* with a matching id and checksum."""
    document["id"] = hashlib.sha256(canonical(document["changes"])).hexdigest()[:8]
    document["check"] = hashlib.sha256(canonical({key: value for key, value in document.items() if key != "check"})).hexdigest()
    return json.dumps(document).encode()


@given(readable, st.booleans())
def test_saved_plan_is_read_back(some, indented):
    """With any content, indented or not."""
    assert read(written(some, indented=indented)) == replace(some, known_id=some.id)


@given(readable)
def test_plan_id_is_the_sha256_of_its_changes(some):
    """As printed in the document."""
    document = json.loads(written(some))

    assert document["id"] == hashlib.sha256(canonical(document["changes"])).hexdigest()[:8] == some.id


def test_plan_id_fits_a_redacted_plan():
    """A plan whose reason held a password can be applied."""
    redaction = Redaction()
    redaction.hide(["hunter2!"])
    some = plan(change(reason="size unknown: hunter2! was refused"))

    data = written(some, clean=redaction.clean_values)

    assert b"hunter2!" not in data
    assert read(data).changes == (replace(some.changes[0], reason="size unknown: *** was refused"),)


@given(st.data(), readable)
def test_random_edits_are_refused_or_change_nothing(data, some):
    """An edited plan is refused, or reads the same."""
    before = bytearray(written(some, indented=data.draw(st.booleans())))
    before[data.draw(st.integers(0, len(before) - 1))] = data.draw(st.integers(0, 255))

    try:
        found = read(bytes(before))
    except UsageError:
        return
    # Also if the drawn byte was there before.
    assert found == replace(some, known_id=some.id)


@pytest.mark.row("GIT-04")
@pytest.mark.parametrize("indented", [False, True])
def test_edit_of_any_byte_is_refused_or_changes_nothing(indented):
    """At every byte of a document."""
    before = written(of_each_action(), indented=indented)
    for position in range(len(before)):
        edited = bytearray(before)
        edited[position] ^= 1
        try:
            read(bytes(edited))
        except UsageError:
            continue
        assert json.loads(edited) == json.loads(before), position


def test_plan_id_is_checked_apart_from_the_checksum():
    """Edited changes do not fit it."""
    document = copy.deepcopy(DOCUMENT)
    document["changes"][0]["source_digest"] = OTHER
    known = document["id"]
    sealed(document)
    document["id"] = known
    document["check"] = hashlib.sha256(canonical({key: value for key, value in document.items() if key != "check"})).hexdigest()

    with pytest.raises(UsageError, match="do not match the id"):
        read(json.dumps(document).encode())


def test_truncated_plan_is_refused():
    """At any byte, except trailing white space."""
    data = written(of_each_action())

    for length in range(len(data)):
        with pytest.raises(UsageError):
            read(data[:length])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"format": 1}',
        b'{"format": "imgsync.plan/v1"}',
        b'{"format": "imgsync.plan/v2"}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"format": NaN}',
        b"9" * 10_000,
        written(of_each_action()).replace(b"plan/v1", b"plan/v2"),
        to_json(encode_report(report()), indented=False).encode(),
    ],
    ids=lambda data: repr(data[:30]),
)
def test_other_file_is_one_error(data):
    """With a hint, for any content."""
    with pytest.raises(UsageError) as caught:
        read(data)

    assert caught.value.hint


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each value inside *value*."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in items:
        yield (*path, key)
        yield from places(one, (*path, key))


def at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def has_another_kind(old: Any, new: Any) -> bool:
    # A number of seconds may be a whole one; what is unknown is null.
    return type(old) is not type(new) and not (isinstance(old, float) and type(new) is int)


MAY_BE_NULL = {"source_digest", "destination_digest", "media_type", "size_bytes", "limit", "window_seconds", "held_until"}
DOCUMENT = json.loads(written(replace(of_each_action(), requests=(("source", 9),))))


@pytest.mark.parametrize("new", [None, True, 7, 1.5, "text", [], {}, 1e400, 10**400], ids=lambda new: repr(new)[:20])
def test_field_of_another_type_is_refused(new):
    """Even with a matching id and checksum."""
    tried = 0
    for path in places(DOCUMENT):
        old, name = at(DOCUMENT, path), path[-1]
        if not has_another_kind(old, new) or (name in MAY_BE_NULL and new is None) or old is None or name in {"id", "check"}:
            continue
        document = copy.deepcopy(DOCUMENT)
        at(document, path[:-1])[name] = new
        with pytest.raises(UsageError):
            read(sealed(document))
        tried += 1
    assert tried > 40


@pytest.mark.parametrize(
    ("name", "value"),
    [("action", "explode"), ("source_digest", "sha256:abc"), ("destination_digest", "latest"), ("size_bytes", -1)],
)
def test_change_with_a_wrong_value_is_refused(name, value):
    """The right type is not enough."""
    document = copy.deepcopy(DOCUMENT)
    document["changes"][0][name] = value

    with pytest.raises(UsageError):
        read(sealed(document))


def test_missing_field_is_refused():
    """At any depth."""
    for path in places(DOCUMENT):
        is_counted = len(path) > 1 and path[0] in {"requests", "applying", "declarations"}
        if (
            isinstance(path[-1], int)
            or is_counted
            or path[0] == "pulls"
            or path[-1] in {"suspended", "notes", "steps", "remark", "later", "hint", "gone", "returned", "id", "check", "held_until", "pruning_skipped"}
        ):
            continue
        document = copy.deepcopy(DOCUMENT)
        del at(document, path[:-1])[path[-1]]
        if path == ("changes",):
            document["changes"] = None
        with pytest.raises(UsageError):
            read(sealed(document))


def test_unknown_fields_of_a_plan_are_ignored():
    """Version 1 allows additions."""
    document = copy.deepcopy(DOCUMENT)
    for path in [(), *places(DOCUMENT)]:
        if isinstance(at(document, path), dict) and path[:1] not in {("declarations",), ("requests",), ("applying",)}:
            at(document, path)["from_a_later_version"] = {"x": [1, None]}

    found = read(sealed(document))

    assert replace(found, known_id="") == replace(of_each_action(), requests=(("source", 9),))
    assert found.id == document["id"] != DOCUMENT["id"]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda document: document.update(imgsync="0.0.1"), "was made by imgsync 0.0.1"),
        (lambda document: document["declarations"].update(a="sha256:0"), "changed: a"),
        (lambda document: document["declarations"].update(c="sha256:0"), "no longer declared: c"),
        (lambda document: document["declarations"].pop("b"), "added: b"),
    ],
)
def test_plan_made_for_something_else_names_the_difference(edit: Callable[[dict[str, Any]], object], said):
    """Another version of imgsync, or a changed, removed or new mirror."""
    document = copy.deepcopy(DOCUMENT)
    edit(document)

    with pytest.raises(UsageError, match=said):
        read(sealed(document))


@given(
    st.builds(
        Report,
        **REPORT_FIELDS
        | {
            "outcomes": st.lists(st.builds(Outcome, **OUTCOME_FIELDS | {"change": readable_changes}), max_size=9).map(tuple),
            "gone": st.lists(readable_gone, max_size=3).map(tuple),
        },
    )
)
def test_saved_report_is_read_back(some):
    """With its hints, which stand behind the errors too."""
    document = json.loads(to_json(encode_report(some), indented=False))
    read_back = decode_report(document, name="report.json")

    assert read_back.errors == some.errors
    assert [(outcome.error or None, outcome.hint) for outcome in read_back.outcomes] == [(outcome.error or None, outcome.hint) for outcome in some.outcomes]

    assert json.loads(to_json(encode_report(decode_report(document, name="report.json")), indented=False)) == document


def test_hints_of_older_reports_stay_in_their_errors():
    """Such documents have no `hint`."""
    document = json.loads(to_json(encode_report(report()), indented=False))
    for entry in (*document["outcomes"], *document["errors"]):
        entry.pop("hint", None)

    read_back = decode_report(document, name="report.json")

    assert [outcome.error for outcome in read_back.outcomes if outcome.result is Result.FAILED] == ["push blob r.io/m/app (destination): 507 (free some space)"]
    assert [(error.message, error.hint) for error in read_back.errors] == [("list tags of s.io/x (source): 401 (log in)", "")]


@pytest.mark.parametrize("text", ["s.io/***:1", "***/app:1", "s.io:***/app", "s.io/app:***@***"])
def test_report_with_hidden_parts_of_references_is_read(text):
    """A password may be part of a reference: the report shows `***` there, and can still be shown."""
    document = json.loads(to_json(encode_report(report()), indented=False))
    document["outcomes"][0]["destination"] = text

    assert str(decode_report(document, name="report.json").outcomes[0].change.destination) == text


@pytest.mark.parametrize(
    "text", ["", "app", "s.io/app", "s.io/App:1", "s.io/app:", "s.io/app:1@", "s.io/../app:1", "https://s.io/app:1", f"s.io/app:1@{DIGEST}x"]
)
@pytest.mark.parametrize("field", ["source", "destination"])
def test_plan_with_malformed_reference_is_refused(text, field):
    """Nothing outside the grammar gets past the reader, however well the check fits."""
    document = copy.deepcopy(DOCUMENT)
    document["changes"][0][field] = text

    with pytest.raises(UsageError, match=r"damaged.* is not a reference"):
        read(sealed(document))


@given(st.lists(st.builds(Finding, st.sampled_from(Condition), st.text(), st.text(), st.none() | st.text(), st.text(), st.none() | st.text(), st.text())))
def test_saved_verification_is_read_back(findings):
    """Finding by finding."""
    some = Verification(tuple(findings), (), 5, "2026-11-23T09:00:00Z", 1.5)

    assert decode_verification(json.loads(to_json(encode_verification(some), indented=True)), name="verification.json") == some


def test_damaged_reports_and_verifications_are_refused():
    """A missing field or another type is an error, not a traceback."""
    finding = Finding(Condition.OK, "a", "s", None, "d", None, "r")
    for document, reader in (
        (json.loads(to_json(encode_report(report()), indented=False)), decode_report),
        (encode_verification(Verification((finding,), (), 5, "2026-11-23T09:00:00Z", 1.5)), decode_verification),
    ):
        whole = json.loads(to_json(document, indented=False))
        refused = 0
        for path in places(whole):
            for new in (None, True, [7], {"x": 1}):
                damaged = copy.deepcopy(whole)
                at(damaged, path[:-1])[path[-1]] = new
                try:
                    reader(damaged, name="file")
                except UsageError:
                    refused += 1
        assert refused > 30


def test_surrogate_in_a_file_name_is_kept():
    """A file name that is not UTF-8 still gives valid JSON."""
    some = plan(change(), mirrors=(replace(of_each_action().mirrors[0], file="mirrors.d/\udcff.yaml"),))

    assert read(written(some)) == replace(some, known_id=some.id)
    assert read(written(some, indented=True)) == replace(some, known_id=some.id)


DIGEST = "sha256:" + "a" * 64


def test_documents_are_indented_only_for_terminals():
    """Pipes get one line with the same content."""
    document = encode_plan(plan(change()), Config((), RegistriesConfig()), explain=False)

    assert "\n" not in to_json(document, indented=False)
    assert json.loads(to_json(document, indented=True)) == json.loads(to_json(document, indented=False))
