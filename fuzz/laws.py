"""
Define one law for each group of parsers.

For any input, a parser must return a value with the properties checked here, or raise an error of `imgsync.errors`. Any other exception breaks the law.

`LAWS` lists the laws. A law takes bytes, returns nothing, and raises if it is broken. The test suite checks each law with the corpus and with inputs
that hypothesis derives from it (tests/test_fuzz_laws.py). `python -m fuzz.run` searches with coverage guidance.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import functools
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlsplit

from fuzz.canned import Canned
from imgsync.config.allowlist import is_allowed, parse_prefix
from imgsync.config.corrections import correct_list, correct_text
from imgsync.config.load import load_mirrors
from imgsync.config.registries import read_registries
from imgsync.config.yaml_reader import parse_documents
from imgsync.convert.conversion import ConvertOptions
from imgsync.convert.convert_files import convert_files
from imgsync.convert.format_yaml import format_mirror_files, format_registries
from imgsync.convert.formats import NAMES
from imgsync.convert.group_remarks import group_remarks
from imgsync.documents.envelope import parse_document
from imgsync.documents.plan import decode_plan
from imgsync.documents.report import decode_report, encode_report
from imgsync.documents.verification import decode_verification, encode_verification
from imgsync.errors import ConfigError, CredentialsError, ImgsyncError, InvalidReferenceError, SelectionError, StateError, UnsupportedContentError, UsageError
from imgsync.filters.ranges import parse_range
from imgsync.filters.tag_versions import parse_tag_version
from imgsync.filters.tags import TagFilter, select_tags
from imgsync.filters.versions import parse_version
from imgsync.fmt.format_text import format_text
from imgsync.listing.catalog import Catalog
from imgsync.listing.dockerhub import URL as HUB
from imgsync.listing.dockerhub import DockerHub
from imgsync.listing.gcr import Gcr
from imgsync.listing.ghcr import URL as GITHUB
from imgsync.listing.ghcr import Ghcr
from imgsync.listing.gitlab import GitLab
from imgsync.listing.harbor import Harbor
from imgsync.listing.json_fields import parse_timestamp
from imgsync.listing.model import ListingApi
from imgsync.listing.quay import Quay
from imgsync.oci.auth import auth_files
from imgsync.oci.auth import credential_helper as helper
from imgsync.oci.auth.challenge import parse_challenges
from imgsync.oci.auth.token import parse_token
from imgsync.oci.download import download
from imgsync.oci.endpoint import Credentials
from imgsync.oci.errors import Operation, make_status_error, parse_retry_after
from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.response_parser import ResponseParser
from imgsync.oci.http.url import parse_url
from imgsync.oci.limits.pull_limit import PullLimit
from imgsync.oci.referrers_api import list_referrers
from imgsync.oci.responses import read_body
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.digest import compute_digest, is_digest
from imgsync.oci.spec.manifest import Manifest, parse_manifest
from imgsync.oci.spec.platform import parse_platform
from imgsync.oci.spec.reference import Repository, is_repository_path, is_tag, parse_reference, parse_registry, parse_repository
from imgsync.oci.spec.referrers import add_referrers
from imgsync.oci.spec.select_platforms import select_platforms
from imgsync.oci.tag_names import list_tags_in_one_page
from imgsync.oci.upload import begin_upload
from imgsync.render.gitlab_widget import render_gitlab_summary
from imgsync.render.junit import render_report_junit
from imgsync.render.plan_markdown import render_plan_markdown
from imgsync.render.plan_table import PlanView, render_plan_table
from imgsync.render.report_html import render_report_html
from imgsync.render.report_markdown import render_report_markdown
from imgsync.render.report_table import render_report_table
from imgsync.render.verification_markdown import render_verification_markdown
from imgsync.render.verification_table import render_verification_table
from imgsync.state import StateStore, open_state
from imgsync.state.jsonl import decode_lines, encode_lines
from imgsync.state.record import Record
from imgsync.state.remote.artifact import pull_artifact
from imgsync.state.remote.packing import unpack
from imgsync.state.remote.reference import parse_remote
from imgsync.text.layout import PLAIN, Layout
from imgsync.text.redaction import Redaction
from imgsync.text.sanitize import sanitize_message
from imgsync.text.units import format_declared_duration, parse_duration, parse_rate, parse_size

Law = Callable[[bytes], None]

_OPERATION = Operation("ask", "r.corp.com/app", "source")
_REPOSITORY = Repository("r.corp.com", "app")
_BLOB = Descriptor("x/y", compute_digest(b"content of a blob"), 17)
_MOMENT = "2026-01-01T00:00:00Z"
_DATE = datetime(2026, 1, 1, tzinfo=UTC)
_HEAD_LIMIT = 64 << 10


def references(data: bytes) -> None:
    """
    Check references, repositories, registries, platforms, state locations and URLs.

    An accepted text, printed and parsed again, gives the same value.
    """
    text = data.decode("utf-8", "replace")
    _address(text)
    with contextlib.suppress(InvalidReferenceError):
        reference = parse_reference(text)
        assert parse_reference(str(reference)) == reference
        assert is_repository_path(reference.repository.path)
        assert not reference.tag or is_tag(reference.tag)
        assert not reference.digest or is_digest(reference.digest)
        assert str(reference).isascii()
        assert str(reference).isprintable()
    with contextlib.suppress(InvalidReferenceError):
        repository = parse_repository(text)
        assert parse_repository(str(repository)) == repository
    with contextlib.suppress(InvalidReferenceError):
        registry = parse_registry(text)
        assert parse_registry(registry) == registry
        # imgsync connects to the host that was named.
        host = registry.rpartition(":")[0]
        assert parse_url(f"https://{registry}/v2/")[0][1] in {registry, host, registry.strip("[]"), host.strip("[]")}
    with contextlib.suppress(InvalidReferenceError):
        prefix = parse_prefix(text)
        assert parse_prefix(prefix) == prefix
        # Some image is below it.
        assert is_allowed((prefix,), str(parse_repository(f"{prefix}/app/b")))
    with contextlib.suppress(InvalidReferenceError, UsageError):
        assert parse_remote(f"oci://{parse_remote(text)}") == parse_remote(text)
    with contextlib.suppress(ValueError):
        assert parse_platform(str(parse_platform(text))) == parse_platform(text)


def headers(data: bytes) -> None:
    """
    Check challenges, Retry-After, dates, rate limits, error bodies and token answers.

    Each one is read, is ignored, or raises an error of imgsync.
    """
    _token(data)
    text = data.decode("latin-1")
    lines = text.split("\n")
    for challenge in parse_challenges(lines):
        assert challenge.scheme == challenge.scheme.lower()
        assert challenge.scheme.isascii()
        assert all(name == name.lower() for name in challenge.parameters)
    for line in lines[:20]:
        seconds = parse_retry_after(line, now=1.0)
        assert seconds is None or seconds >= 0
        moment = parse_timestamp(line)
        assert moment is None or moment.tzinfo is not None
    budget = PullLimit("r.corp.com")
    budget.update({"ratelimit-remaining": lines[0], "ratelimit-limit": lines[-1]}, before=None)
    assert budget.quota is None or str(budget.quota)
    assert sanitize_message(text).isprintable()
    _redact(text)
    for status in (200, 400, 401, 403, 404, 429, 503, 999):
        error = make_status_error(_OPERATION, status, headers={"retry-after": lines[0]}, body=data)
        assert str(error).isprintable()
        assert len(str(error)) < 8000


def _redact(text: str) -> None:
    """Check that a secret is hidden in each form, and JSON keeps its structure."""
    secret = text[:60]
    redaction = Redaction()
    redaction.hide([secret])
    if len(secret) >= 4 and secret.strip("*"):
        for shown in (secret, json.dumps(secret), quote(secret, safe=""), base64.b64encode(secret.encode()).decode()):
            assert "***" in redaction.clean(f"before {shown} after")
    cleaned = json.loads(redaction.clean_bytes(json.dumps({"key": [text, 1, None]}).encode()))
    assert list(cleaned) == ["key"]
    assert cleaned["key"][1:] == [1, None]


def _address(url: str) -> None:
    """
    Check that imgsync connects to the host that other parsers find.

    The request target must be one line of ASCII.
    """
    try:
        (scheme, host, port), said, target = parse_url(url)
    except httpx.InvalidURL:
        return
    assert scheme in {"http", "https"}
    assert host
    assert 0 <= port < 1 << 16
    assert target.startswith("/")
    assert f"{said}{target}".isascii()
    assert f"{said}{target}".isprintable()
    assert " " not in target
    assert "@" not in said
    with contextlib.suppress(httpx.InvalidURL):
        # httpx, which parses URLs as browsers do, would connect to the same host.
        assert httpx.URL(f"{scheme}://{said}/").host.strip("[]") == host.strip("[]")


def exchanges(data: bytes) -> None:
    """
    Check requests for a manifest and its referrers.

    Challenges, tokens and redirects end with the bytes of the digest or with an error. No login reaches an untrusted host.
    """
    first, _, text = data.partition(b"\n")
    digest = first.decode("latin-1").strip()
    canned = Canned(text)
    reference = _REPOSITORY.with_digest(digest) if is_digest(digest) else _REPOSITORY.with_tag("1")
    with contextlib.suppress(ImgsyncError):
        resolved = canned.client.resolve(reference)
        assert resolved is None or is_digest(resolved.digest)
    with contextlib.suppress(ImgsyncError):
        manifest = canned.client.pull_manifest(reference)
        assert manifest.digest == compute_digest(manifest.raw, like=manifest.digest)
        assert not reference.digest or manifest.digest == reference.digest
    with contextlib.suppress(ImgsyncError):
        found = list_referrers(canned.client, _REPOSITORY, _BLOB.digest)
        assert all(is_digest(one.digest) for one in found or ())
    with contextlib.suppress(ImgsyncError):
        canned.client.fetch_challenge()
    with contextlib.suppress(ImgsyncError):
        canned.client.check_push(_REPOSITORY)


def _token(data: bytes) -> None:
    with contextlib.suppress(ImgsyncError):
        token = parse_token(data, ("repository:app:pull",), login=None, operation=_OPERATION)
        assert token.text
        assert token.text.isascii()
        assert token.text.isprintable()
        # imgsync limits every lifetime to one hour.
        assert token.ends <= time.monotonic() + 3600


def listings(data: bytes) -> None:
    """
    Check the lists of repositories and tags of every listing API.

    Names match the grammar, are sorted and unique, or there is an error. No login reaches an untrusted host.
    """
    first, _, text = data.partition(b"\n")
    kinds = sorted(_LISTING_APIS)
    words = first.decode("latin-1").split()
    kind = words[0] if words and words[0] in _LISTING_APIS else kinds[len(first) % len(kinds)]
    canned = Canned(text, registry={"dockerhub": "docker.io", "ghcr": "ghcr.io"}.get(kind, "r.corp.com"))
    api = _LISTING_APIS[kind](canned)
    with contextlib.suppress(ImgsyncError):
        if "tags" in words:
            found = api.tags("team/app")
            names = [tag.name for tag in found.tags]
            assert all(map(is_tag, names))
            assert names == sorted(set(names))
            assert all(tag.digest is None or is_digest(tag.digest) for tag in found.tags)
            assert all(tag.created_at is None or tag.created_at.tzinfo is not None for tag in found.tags)
            assert all(tag.size_bytes is None or tag.size_bytes >= 0 for tag in found.tags)
            assert all(map(is_repository_path, found.children))
            assert all(warning.isprintable() for warning in found.warnings)
        else:
            listed = api.repositories("team")
            paths = [one.path for one in listed.repositories]
            assert all(map(is_repository_path, paths))
            assert len(paths) == len(set(paths))
            assert all(warning.isprintable() for warning in listed.warnings)
    with contextlib.suppress(ImgsyncError):
        assert all(isinstance(tag, str) for tag in list_tags_in_one_page(canned.client, _REPOSITORY) or ())


_LISTING_APIS: Mapping[str, Callable[[Canned], ListingApi]] = {
    "catalog": lambda canned: Catalog(canned.client),
    "dockerhub": lambda canned: DockerHub(canned.api(HUB)),
    "gcr": lambda canned: Gcr(canned.client),
    "ghcr": lambda canned: Ghcr(canned.api(GITHUB), canned.client),
    "gitlab": lambda canned: GitLab(canned.api(""), canned.client),
    "harbor": lambda canned: Harbor(canned.api("")),
    "quay": lambda canned: Quay(canned.api("")),
}


def blobs(data: bytes) -> None:
    """
    Check blobs downloaded in ranges and blobs uploaded to a Location.

    Never more bytes than the blob has, and no byte to another host.
    """
    first, _, text = data.partition(b"\n")
    canned = Canned(text, origin="destination")
    start = len(first) % _BLOB.size_bytes
    if first.startswith(b"download"):
        with contextlib.suppress(ImgsyncError):
            for _ in download(canned.client, _REPOSITORY, _BLOB, start=start, end=_BLOB.size_bytes if b"part" in first else None):
                pass
        return
    if b"chunks" in first:
        canned.client.capabilities.learn_body_limit(7)
    with contextlib.suppress(ImgsyncError):
        session = begin_upload(canned.client, _REPOSITORY, _BLOB, mount_from="other" if b"mount" in first else "")
        if session is not None:
            assert urlsplit(session.location)[:2] == ("https", "r.corp.com")
            try:
                session.put([b"content of ", b"a blob"])
            finally:
                session.cancel()


def manifests(data: bytes) -> None:
    """
    Check manifests and indexes, also with fewer platforms or added referrers.

    The bytes stay unchanged, and sizes and digests are valid.
    """
    try:
        manifest = parse_manifest(data, content_type="application/vnd.oci.image.index.v1+json")
    except UnsupportedContentError:
        return
    assert manifest.raw == data
    assert manifest.digest == compute_digest(data)
    for one in (*manifest.children, *manifest.blobs, *([manifest.subject] if manifest.subject else [])):
        assert is_digest(one.digest)
        assert 0 <= one.size_bytes < 1 << 63
    platforms = [child.platform for child in manifest.children if child.platform]
    with contextlib.suppress(UnsupportedContentError):
        chosen = select_platforms(manifest, platforms[:1], read_child=_refuse_child).root
        assert {child.digest for child in chosen.children} <= {child.digest for child in manifest.children}
        assert select_platforms(chosen, platforms[:1], read_child=_refuse_child).root.raw == chosen.raw
    with contextlib.suppress(UnsupportedContentError):
        grown = add_referrers(manifest, [manifest], source=None)
        assert grown is None or manifest.digest in {child.digest for child in grown.children}
    with contextlib.suppress(UnsupportedContentError):
        add_referrers(None, [manifest], source=manifest)


def _refuse_child(_parent: Manifest, child: Descriptor) -> Manifest:
    raise UnsupportedContentError(child.digest)


def logins(data: bytes) -> None:
    """
    Check docker's config file and the output of a credential helper.

    They give logins, or an error that quotes nothing from the input.
    """
    file = auth_files._parse(data, "config.json")
    assert "SECRET" not in file.warning
    for registry in ("r.corp.com", "docker.io", "quay.io:443"):
        found = file.find_login(registry, "team/app")
        assert found is None or (isinstance(found.username, str) and isinstance(found.password, str))
        # Output may show a user name, but never a password.
        assert found is None or "SECRET" in found.username or "SECRET" not in repr(found)
        assert isinstance(file.find_helper(registry), str)
    try:
        said = helper._parse(data, "docker-credential-x")
        assert said is None or (isinstance(said, Credentials) and isinstance(said.password, str))
    except CredentialsError as error:
        assert "SECRET" not in f"{error.message}{error.hint}"


def states(data: bytes) -> None:
    """
    Check an exported state and an artifact that holds one.

    The export is plain or gzipped. What was read can be written and read again; otherwise there is an error that says where.
    """
    read = None
    with contextlib.suppress(StateError):
        read = unpack(data) if data.startswith(b"\x1f\x8b") else decode_lines([data[: len(data) // 2], data[len(data) // 2 :]])
    if read is not None:
        again = decode_lines(encode_lines(read.snapshot, created_at=_MOMENT))
        assert again.snapshot == read.snapshot
    # Random bytes are almost never valid gzip, so the input is packed here to reach the parser behind it.
    with contextlib.suppress(StateError):
        packer = zlib.compressobj(1, wbits=31)
        unpack(packer.compress(data) + packer.flush())
    with contextlib.suppress(ImgsyncError):
        artifact = pull_artifact(Canned(data).client, _REPOSITORY.with_tag("state"))
        assert artifact is None or all(map(is_digest, artifact.ancestors))


def databases(data: bytes) -> None:
    """
    Check a state directory with a damaged database.

    It is opened, or moved aside with a warning. Every record that is left is valid and can be removed.
    """
    folder = _folder() / "state"
    shutil.rmtree(folder, ignore_errors=True)
    for aside in folder.parent.glob("state.broken-*"):
        shutil.rmtree(aside)
    folder.mkdir(mode=0o700)
    (folder / "cache.db").write_bytes(_edit(_database(), data))
    (folder / "cache.db").chmod(0o600)
    with contextlib.suppress(StateError):
        with _open(folder) as state:
            records = state.snapshot().records
            assert all(record.destination == destination for destination, record in records.items())
            state.remove(records)
        with _open(folder) as state:
            assert state.snapshot().records == {}


def documents(data: bytes) -> None:
    """
    Check saved plans, reports and verifications, with correct checksums.

    They can be read and shown in every format, or there is an error.
    """
    try:
        document = parse_document(data, name="plan.json")
    except UsageError:
        return
    with contextlib.suppress(UsageError):
        plan = decode_plan(_seal(document), name="plan.json")
        for explain, layout in ((True, Layout(40, is_terminal=True)), (False, PLAIN)):
            render_plan_markdown(plan, explain=explain, show_kept=explain)
            render_plan_table(plan, PlanView(explain=explain, show_kept=explain, layout=layout))
        render_gitlab_summary(plan)
    with contextlib.suppress(UsageError):
        report = decode_report(document, name="report.json")
        for render in (render_report_markdown, render_report_table, render_report_junit):
            assert render(report)
        _check_page(render_report_html(report))
        assert decode_report(json.loads(json.dumps(encode_report(report))), name="again").outcomes == report.outcomes
    with contextlib.suppress(UsageError):
        verification = decode_verification(document, name="verification.json")
        render_verification_markdown(verification)
        render_verification_table(verification, show_ok=True, layout=Layout(40, is_terminal=True))
        assert decode_verification(json.loads(json.dumps(encode_verification(verification))), name="again").findings == verification.findings


def _check_page(page: str) -> None:
    """Check that a page has its own script and style alone, and a remedy for each problem."""
    assert page.count("<script") == page.count("<style") == 1
    for tag in re.findall(r"<[a-z][^>]*>", page):
        assert not re.search(r"\s(?:on\w+|src|srcset|href|style|action)\s*=", re.sub(r'"[^"]*"', '""', tag)), tag
    assert not re.search(r"<dt>What (?:happened|to do)</dt><dd>\s*</dd>", page)


def settings(data: bytes) -> None:
    """
    Check a file of mirrors.d or a registries.yaml.

    The result is mirrors with a declaration digest each, or registry settings that show no secret, or errors with their places.
    """
    if b"registries:" in data:
        _trust(data)
    else:
        _mirrors(data)


def _mirrors(data: bytes) -> None:
    try:
        found = load_mirrors({"mirrors.d/a.yaml": data})
    except ConfigError as error:
        assert error.errors
        for fault in error.errors:
            assert fault.line >= 1
            assert fault.column >= 1
            assert str(fault).isprintable()
        return
    for mirror in found:
        assert is_digest(mirror.declaration_digest)
    assert len({mirror.name for mirror in found}) == len(found)


def _trust(data: bytes) -> None:
    file = _folder() / "registries.yaml"
    file.write_bytes(data)
    trust, faults = read_registries(str(file), environ={"USER": "me", "PASSWORD": "env-SECRET"})
    for fault in faults:
        assert fault.line >= 1
        assert str(fault).isprintable()
        assert "env-SECRET" not in str(fault)
    for registry, trusted in trust.by_host.items():
        assert parse_registry(registry) == registry
        assert "env-SECRET" not in repr(trusted.credentials) or (trusted.credentials and trusted.credentials.username == "env-SECRET")


def conversions(data: bytes) -> None:
    """
    Check the conversion of other tools' files.

    The result is files that imgsync itself can load, within its limits, or errors. Remarks are short lines.
    """
    first, _, text = data.partition(b"\n")
    name = first.decode("latin-1").strip("# ")
    file = _folder() / "other-tool.yaml"
    file.write_bytes(text)
    variables = {"HARBOR": "harbor.corp.com", "P": "env-value", "REG": "r.corp.com"}
    options = ConvertOptions(destination="r.corp.com/mirror" if name == "skopeo-sync" else "", variables=variables)
    with contextlib.suppress(ConfigError, UsageError, InvalidReferenceError):
        found = convert_files([str(file)], source_format=name if name in NAMES else "", options=options)
        assert load_mirrors({path: text.encode() for path, text in format_mirror_files(found).items()})
        assert len(list(group_remarks(found.remarks))) <= len(found.remarks)
        format_registries(found)


def layouts(data: bytes) -> None:
    """
    Check the layout of `mirrors.d`.

    A file with the layout has the values of before, and does not change again. A file that cannot get it is an error.
    """
    with contextlib.suppress(ConfigError):
        text = format_text(data, file="a.yaml")
        assert format_text(text.encode(), file="a.yaml") == text
        before, after = (parse_documents(one, file="a.yaml")[0] for one in (data, text.encode()))
        assert [document.value for document in before] == [document.value for document in after]
        assert text.count("#") == data.decode("utf-8-sig").count("#")


def durations(data: bytes) -> None:
    """
    Check durations.

    What is read is not negative, and what is written from it is read as the same. What an error says to write is valid.
    """
    text = data.decode("utf-8", "replace")
    _corrections(text)
    with contextlib.suppress(ValueError):
        seconds = parse_duration(text)
        assert 0 <= seconds < 1e15
        assert abs(parse_duration(format_declared_duration(seconds)) - seconds) <= max(1e-9, seconds * 1e-15)


def _corrections(text: str) -> None:
    for kind, parse in (("duration", parse_duration), ("size", parse_size), ("rate", parse_rate), ("platform", parse_platform)):
        written = correct_text(kind, text, example="3d")
        if written:
            parse(written)
            assert correct_text(kind, written, example="3d") == written
    words = [word for word in re.split(r"[,\s]+", text) if word.isprintable() and word]
    assert parse_documents(f"a: {correct_list(' '.join(words))}\n".encode("utf-8", "replace"), file="a")[0][0].value == {"a": words}


def answers(data: bytes) -> None:
    """
    Check HTTP answers, cut anywhere and in any encoding.

    There is a status and a body within its limit, or an httpx error that becomes an error of imgsync.
    """
    for size in (7, len(data) or 1):
        parser = ResponseParser("GET")
        with contextlib.suppress(httpx.RemoteProtocolError):
            for begin in range(0, len(data), size):
                parser.feed(data[begin : begin + size])
        if not parser.has_head:
            continue
        assert 200 <= parser.status < 1000
        response = httpx.Response(parser.status, headers=parser.headers, stream=httpx.ByteStream(b"".join(parser.take_pieces())))
        with contextlib.suppress(ImgsyncError):
            assert len(read_body(response, _HEAD_LIMIT, operation=_OPERATION)) <= _HEAD_LIMIT


def versions(data: bytes) -> None:
    """
    Check version ranges and the order of versions.

    The first line is a range, the others are tags. A range is read or is a ValueError. The order is total, and the newest tags are some of the tags.
    """
    text, *tags = data.decode("utf-8", "replace").split("\n")
    with contextlib.suppress(ValueError):
        found = parse_range(text)
        for version in (parse_version(tag) for tag in tags):
            if version is not None:
                assert parse_version(str(version)) == version
                assert version.prerelease or found.allows(version, prereleases=True) or not found.allows(version, prereleases=False)
    keys = {tag: version.key for tag in tags if (version := parse_tag_version(tag)) is not None}
    assert len(set(keys.values())) == len(keys)
    for order in (None, "version", "semver", "date"):
        with contextlib.suppress(SelectionError):
            chosen = select_tags(tags, TagFilter(newest=2, order=order), created_at=lambda asked: dict.fromkeys(asked, _DATE), now=_DATE).tags
            assert len(chosen) <= 2
            assert set(chosen) <= set(tags)


LAWS: Mapping[str, Law] = MappingProxyType(
    {
        law.__name__: law
        for law in (
            references,
            headers,
            exchanges,
            listings,
            blobs,
            manifests,
            logins,
            states,
            databases,
            documents,
            settings,
            conversions,
            layouts,
            durations,
            answers,
            versions,
        )
    }
)


def _seal(document: dict[str, Any]) -> dict[str, Any]:
    def canonical(part: object) -> bytes:
        return json.dumps(part, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")

    document = {**document, "id": hashlib.sha256(canonical(document.get("changes"))).hexdigest()[:8]}
    return document | {"check": hashlib.sha256(canonical({key: value for key, value in document.items() if key != "check"})).hexdigest()}


@functools.cache
def _folder() -> Path:
    """
    Return a folder of this process, in memory if possible.

    It is deleted when the process ends.
    """
    shared = Path("/dev/shm")  # noqa: S108 - a folder with a unique name is created in it
    folder = tempfile.mkdtemp(prefix=f"imgsync-laws-{os.getpid()}-", dir=shared if os.access(shared, os.W_OK) else None)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _open(folder: Path) -> contextlib.AbstractContextManager[StateStore]:
    return open_state(str(folder), thread=_ThisThread(), lock_timeout_seconds=0, on_warning=lambda _: None)


class _ThisThread:
    def run(self, function: Callable[[], Any]) -> Any:
        return function()


@functools.cache
def _database() -> bytes:
    """Return the database of a state with one record and one note."""
    record = Record("r.corp.com/m/app:1", _BLOB.digest, "0123abcd", 10, "x/y", "s.io/app:1", _BLOB.digest, "platforms=all", _MOMENT)
    with tempfile.TemporaryDirectory() as folder:
        with open_state(f"{folder}/state", thread=_ThisThread(), lock_timeout_seconds=0, on_warning=lambda _: None) as state:
            state.put([record], seen=[("s.io/app", _BLOB.digest, _MOMENT)])
        return Path(folder, "state", "cache.db").read_bytes()


def _edit(content: bytes, edits: bytes) -> bytes:
    """
    Return *content* changed by *edits*.

    Each four bytes of *edits* are one change: three bytes for the place, one for the new value. One extra byte at the end cuts the content at the last place.
    """
    changed = bytearray(content)
    place = 0
    for begin in range(0, len(edits) - 3, 4):
        place = int.from_bytes(edits[begin : begin + 3], "big") % len(changed)
        changed[place] = edits[begin + 3]
    return bytes(changed[:place] if len(edits) % 4 == 1 else changed)
