"""What registries do wrong, and what must hold all the same: one clear error, the others go on, nothing half there."""

from __future__ import annotations

import base64
import json
import signal
import sys
from pathlib import Path

import pytest

from tests import switches
from tests.support.canary import run_watched
from tests.support.faults import FaultProxy, Recorded
from tests.support.images import digest_of, image, pull_raw, push, request
from tests.support.run_imgsync import Result, finish
from tests.switches import Hold, Respond


def only_error(ran: Result) -> str:
    errors = [outcome["error"] for outcome in ran.json["outcomes"] if outcome["error"]]
    assert len(errors) == 1, ran.stdout
    return str(errors[0])


@pytest.mark.row("NET-08")
@pytest.mark.row("DIG-06")
def test_truncated_blob_is_resumed_with_range(registry, second_registry, name, declare, imgsync, source):
    """A cut download goes on at the byte reached."""
    big = b"0123456789" * 50000
    wanted = push(registry, f"{name}/app", "1", image(1, layers=0, shared=big))
    declare(f"[{name}/app]")
    source.add(switches.drop_body_after(200_000), method="GET", target=digest_of(big), times=1)

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    ranges = [one.headers.get("range") for one in source.seen if digest_of(big) in one.path]
    assert ranges[0] is None
    assert len(ranges) == 2
    assert 0 < int(ranges[1].removeprefix("bytes=").removesuffix("-")) <= 200_000
    assert pull_raw(second_registry, f"m/{name}/app", "1") == wanted.raw
    assert ran.json["summary"]["bytes_copied"] == sum(map(len, wanted.blobs.values()))


@pytest.mark.row("DIG-04")
@pytest.mark.parametrize("what", ["blob", "manifest"])
def test_wrong_bytes_are_never_committed(what, registry, second_registry, name, declare, imgsync, source):
    """Bytes that do not fit their digest end the image; the destination shows neither the tag nor the blob."""
    bad = push(registry, f"{name}/bad", "1", image(1, layers=1))
    push(registry, f"{name}/good", "1", image(2))
    declare(f"[{name}/bad, {name}/good]")
    layer = next(iter(bad.blobs))
    source.add(switches.corrupt_byte(), method="GET", target=layer if what == "blob" else f"{name}/bad/manifests/")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert pull_raw(second_registry, f"m/{name}/bad", "1") is None
    assert request(second_registry, "HEAD", f"/v2/m/{name}/bad/blobs/{layer}")[0] == 404
    assert pull_raw(second_registry, f"m/{name}/good", "1") is not None, "the other image goes on"


def test_longer_body_is_refused(registry, second_registry, name, declare, imgsync, source):
    """A body longer than its descriptor is not cut to size and taken."""
    wanted = push(registry, f"{name}/app", "1", image(1, layers=1))
    declare(f"[{name}/app]")
    layer = next(iter(wanted.blobs))

    source.add(switches.extra_bytes(b"more"), method="GET", target=layer)

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert "bytes, got more" in only_error(ran)
    assert pull_raw(second_registry, f"m/{name}/app", "1") is None


def test_manifest_over_four_mebibytes_is_refused(registry, name, declare, imgsync, source):
    """A manifest over 4 MiB is an error of that image."""
    push(registry, f"{name}/app", "1", image(1))
    declare(f"[{name}/app]")

    source.add(switches.huge_manifest(), method="GET", target="/manifests/")

    ran = imgsync("plan", "-o", "json")

    assert ran.code == 1
    assert "larger than 4096 KiB" in ran.json["errors"][0]["message"]


@pytest.mark.row("REG-21")
@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_source_refusal_is_one_error_and_the_others_go_on(status, registry, name, declare, imgsync, source):
    """A repository that cannot be read is one error that names operation, reference, side and the registry's words."""
    push(registry, f"{name}/bad", "1", image(1))
    push(registry, f"{name}/good", "1", image(2))
    declare(f"[{name}/bad, {name}/good]")
    words = json.dumps({"errors": [{"code": "DENIED", "message": "no \x1b[31m such luck"}]}).encode()
    source.add(Respond(status, words), method="GET", target=f"{name}/bad/tags/list")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert ran.json["summary"]["copied"] == 1
    error = imgsync("plan", "-o", "json").json["errors"][0]
    assert error["reference"] == f"{source.host}/{name}/bad"
    assert error["message"].partition(" (")[0] == f"list tags of {source.host}/{name}/bad"
    assert f"(source): {status} DENIED: no \\x1b[31m such luck" in error["message"]


def test_destination_refusal_leaves_no_tag(registry, second_registry, name, declare, imgsync, destination):
    """A destination that refuses gets no second thought; its own words are the error."""
    push(registry, f"{name}/app", "1", image(1))
    declare(f"[{name}/app]")
    body = json.dumps({"errors": [{"code": "DENIED", "message": "quota exceeded"}]}).encode()
    destination.add(Respond(403, body), method="PUT", target="/blobs/uploads/")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert "push blob" in only_error(ran)
    assert "(destination): 403 DENIED: quota exceeded" in only_error(ran)
    assert pull_raw(second_registry, f"m/{name}/app", "1") is None


@pytest.mark.row("NET-01")
def test_throttled_requests_wait_as_told_and_succeed(registry, name, declare, imgsync, source):
    """A 429 closes the registry for as long as it says, then the work goes on."""
    push(registry, f"{name}/app", "1", image(1))
    declare(f"[{name}/app]")
    source.add(Respond(429, headers={"Retry-After": "1"}), method="GET", target="/blobs/", times=1)

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.events("registry.throttled")[0]["wait_seconds"] == 1


@pytest.mark.row("NET-07")
@pytest.mark.parametrize("side", ["source", "destination"])
def test_server_errors_are_tried_again(side, registry, name, declare, imgsync, request):
    """One 503 on any request of a copy costs a retry, not the image."""
    proxy = request.getfixturevalue(side)
    push(registry, f"{name}/app", "1", image(1))
    declare(f"[{name}/app]")
    for method in ("GET", "HEAD", "POST", "PUT"):
        proxy.add(Respond(503), method=method, target="/v2/", times=1)

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.events("request.retried")


def test_attempts_one_is_one_try(registry, name, declare, imgsync, write, source, tmp_path):
    """`attempts: 1` is one try."""
    push(registry, f"{name}/app", "1", image(1))
    declare(f"[{name}/app]")
    path = tmp_path / "mirrors.d" / "a.yaml"
    path.write_text(path.read_text().replace("attempts: 2", "attempts: 1"))
    source.add(Respond(503), method="GET", target="/tags/list")

    assert imgsync("apply").code == 1
    assert len(source.requests("tags/list")) == 1


@pytest.mark.row("REG-16")
@pytest.mark.row("ST-15")
def test_lost_blob_is_sent_again(registry, second_registry, name, declare, imgsync, destination):
    """What a record believes to be at the destination may be gone: the manifest's refusal is the cue to send it, once."""
    wanted = push(registry, f"{name}/app", "1", image(1))
    declare(f"[{name}/app]")
    body = json.dumps({"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown"}]}).encode()
    destination.add(Respond(400, body), method="PUT", target="/manifests/1", times=1)

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert pull_raw(second_registry, f"m/{name}/app", "1") == wanted.raw


def test_unreachable_registry_is_one_clear_error(name, declare, imgsync, write):
    """A registry that does not answer is named, with what to check."""
    write("mirrors.d/a.yaml", "version: 1\nmirrors:\n  - {name: a, source: '127.0.0.1:1/x/y', destinations: ['127.0.0.1:1/m'], retry: {attempts: 1}}\n")
    write("registries.yaml", "version: 1\nregistries: {'127.0.0.1:1': {tls: false}}\n")

    ran = imgsync("plan", "-o", "json")

    assert ran.code == 1
    assert "cannot connect" in ran.json["errors"][0]["message"]


@pytest.mark.row("AUTH-26")
def test_plain_http_is_never_guessed(registry, name, write, imgsync):
    """TLS unless said otherwise; the error says how to say otherwise."""
    write("mirrors.d/a.yaml", f"version: 1\nmirrors:\n  - {{name: a, source: '{registry}/{name}/y', destinations: ['{registry}/m'], retry: {{attempts: 1}}}}\n")

    ran = imgsync("plan", "-o", "json")

    assert ran.code == 1
    assert "tls: false" in ran.json["errors"][0]["message"]


@pytest.mark.row("REG-21")
def test_null_tags_are_an_empty_list_and_what_is_no_tag_is_left_out(registry, name, declare, imgsync, source):
    """`tags: null` selects nothing, which at_least tells; a name that is no tag is a warning."""
    push(registry, f"{name}/app", "1", image(1))
    declare(f"[{name}/app]")
    source.add(Respond(200, b'{"tags": null}'), method="GET", target="/tags/list", times=1)
    ran = imgsync("plan", "-o", "json")
    assert ran.code == 1
    assert "fewer than at_least: 1" in ran.json["errors"][0]["message"]

    source.add(Respond(200, b'{"tags": ["1", "a/b", "sha256:00", null]}'), method="GET", target="/tags/list")
    ran = imgsync("plan", "-o", "json")

    assert ran.json["summary"]["create"] == 1
    assert "skipped: a/b, sha256:00" in ran.events("listing.incomplete")[0]["reason"]


@pytest.mark.row("NET-16")
def test_html_instead_of_a_listing_is_an_error(registry, name, declare, imgsync, source):
    """A captive portal's page is no listing."""
    declare(f"[{name}/app]")
    source.add(Respond(200, b"<html>hello</html>", headers={"Content-Type": "text/html"}), method="GET", target="/tags/list")

    assert "is this a registry?" in imgsync("plan", "-o", "json").json["errors"][0]["message"]


def test_endless_pages_are_an_error(registry, name, declare, imgsync, source):
    """A Link that leads back is not followed for ever, and the part seen is not taken for the whole."""
    declare(f"[{name}/app]")
    page = f"/v2/{name}/app/tags/list"
    source.add(Respond(200, b'{"tags": ["1"]}', headers={"Link": f'<{page}>; rel="next"'}), method="GET", target="/tags/list")

    assert "never end" in imgsync("plan", "-o", "json").json["errors"][0]["message"]


@pytest.mark.row("AUTH-10")
def test_next_page_on_another_host_is_not_asked(registry, name, declare, imgsync, source, destination):
    """A listing's next page on a foreign host is refused before anything is sent there."""
    declare(f"[{name}/app]")
    source.add(Respond(200, b'{"tags": ["1"]}', headers={"Link": f'<http://{destination.host}/v2/x>; rel="next"'}), method="GET", target="/tags/list")

    assert "another host" in imgsync("plan", "-o", "json").json["errors"][0]["message"]
    assert destination.seen == []


@pytest.mark.row("AUTH-01")
def test_redirected_read_is_followed_without_credentials(registry, second_registry, name, declare, imgsync, source, destination, write, tmp_path):
    """A redirect of a read to another host is followed, and no credential goes with it."""
    wanted = push(registry, f"{name}/app", "1", image(1, layers=1))
    layer = next(iter(wanted.blobs))
    push(second_registry, f"{name}/store", "1", wanted)
    declare(f"[{name}/app]")
    path = tmp_path / "registries.yaml"
    path.write_text(
        path.read_text().replace(f"{source.host}: {{tls: false}}", f"{source.host}: {{tls: false, credentials: {{username: me, password: password-SECRET}}}}")
    )
    source.add(Respond(401, headers={"WWW-Authenticate": 'Basic realm="x"'}), method="GET", target="/tags/list", times=1)
    source.add(Respond(307, b"", headers={"Location": f"http://{destination.host}/v2/{name}/store/blobs/{layer}"}), method="GET", target=layer)

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert [one for one in source.seen if "authorization" in one.headers], "the source did get them"
    assert not [one for one in destination.seen if "SECRET" in str(one.headers) or "authorization" in one.headers]


@pytest.mark.row("REG-13")
def test_redirected_write_is_refused(registry, name, declare, imgsync, destination):
    """A redirect of a write is an error: followed, it could look like success."""
    push(registry, f"{name}/app", "1", image(1))
    declare(f"[{name}/app]")
    destination.add(Respond(302, b"", headers={"Location": "/v2/"}), method="PUT", target="/manifests/")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert "redirects a write" in only_error(ran)


@pytest.mark.row("AUTH-08")
def test_upload_to_another_host_is_refused(registry, name, declare, imgsync, source, destination):
    """An upload session on a foreign host gets no byte."""
    push(registry, f"{name}/app", "1", image(1))
    declare(f"[{name}/app]")
    destination.add(switches.headers(Location="http://localhost:9/u"), method="POST", target="/uploads/")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert "another host, localhost" in only_error(ran)


@pytest.mark.row("REG-10")
def test_mount_that_is_refused_becomes_an_upload(registry, second_registry, name, declare, imgsync, destination):
    """A registry without mounts is asked for a plain session."""
    wanted = push(registry, f"{name}/app", "1", image(1))
    declare(f"[{name}/app]")
    destination.add(Respond(405), method="POST", target="mount=")

    assert imgsync("apply").code == 0
    assert pull_raw(second_registry, f"m/{name}/app", "1") == wanted.raw


@pytest.mark.row("REG-12")
def test_head_without_digest_falls_back_to_get(registry, name, declare, imgsync, source):
    """A registry that omits the digest of a HEAD is asked for the manifest, which is hashed."""
    push(registry, f"{name}/app", "1", image(1))
    declare(f"[{name}/app]")
    assert imgsync("apply").code == 0
    source.add(switches.headers(Docker_Content_Digest=None), method="HEAD", target="/manifests/")

    assert imgsync("plan", "--detailed-exitcode").code == 0


class Tokens:
    """A registry that wants bearer tokens of its own token endpoint, made by faults of the proxy."""

    def __init__(self, proxy: FaultProxy, *, realm_host: str = "", field: str = "token") -> None:
        self.proxy = proxy
        realm = f"http://{realm_host or proxy.host}/token"
        challenge = f'Bearer realm="{realm}",service="reg:x,y",scope="repository:a:pull"'

        proxy.add(Respond(200, json.dumps({field: "THE-SECRET", "expires_in": 300}).encode()), method="GET", target="^/token")
        proxy.add(switches.require_authorization("Bearer THE-SECRET", challenge), target="^/v2/")

    @property
    def asked(self) -> list[Recorded]:
        return [one for one in self.proxy.seen if one.path.startswith("/token")]


@pytest.mark.parametrize("field", ["token", "access_token"])
def test_token_is_asked_for_once_per_scope(field, registry, name, declare, imgsync, source):
    """A token serves every request of its scope: not one is asked for per blob."""
    push(registry, f"{name}/app", "1", image(1, layers=5))
    declare(f"[{name}/app]")
    tokens = Tokens(source, field=field)

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert [one.target for one in tokens.asked] == [f"/token?service=reg%3Ax%2Cy&scope=repository%3A{name}%2Fapp%3Apull"]


def test_docker_config_credentials_go_to_the_own_token_server(registry, name, declare, imgsync, source, write):
    """Credentials of docker's config.json are used, at the registry's own host, and shown nowhere."""
    push(registry, f"{name}/app", "1", image(1))
    declare(f"[{name}/app]")
    auth = base64.b64encode(b"me:password-SECRET").decode()
    write("docker/config.json", json.dumps({"auths": {source.host: {"auth": auth}}}))
    tokens = Tokens(source)

    ran = imgsync("apply", "--log-level", "debug")

    assert ran.code == 0, ran.stderr
    assert {one.headers.get("authorization") for one in tokens.asked} == {f"Basic {auth}"}
    assert "SECRET" not in ran.stdout + ran.stderr
    assert auth not in ran.stdout + ran.stderr


@pytest.mark.row("AUTH-03")
def test_credentials_never_go_to_a_foreign_token_server(registry, name, declare, imgsync, source, destination, tmp_path):
    """A realm elsewhere gets no credential; the error names the setting that would trust it."""
    push(registry, f"{name}/app", "1", image(1))
    declare(f"[{name}/app]")
    path = tmp_path / "registries.yaml"
    path.write_text(
        path.read_text().replace(f"{source.host}: {{tls: false}}", f"{source.host}: {{tls: false, credentials: {{username: me, password: password-SECRET}}}}")
    )
    Tokens(source, realm_host=destination.host.replace("127.0.0.1", "localhost"))

    ran = imgsync("plan", "-o", "json")

    assert ran.code == 1
    assert "token_server" in ran.json["errors"][0]["message"]
    assert destination.seen == []
    assert "SECRET" not in ran.stdout + ran.stderr


def test_wrong_password_is_one_clear_error(registry, name, declare, imgsync, source, tmp_path):
    """A refused login says where the credentials came from, not what they are."""
    declare(f"[{name}/app]")
    path = tmp_path / "registries.yaml"
    path.write_text(
        path.read_text().replace(f"{source.host}: {{tls: false}}", f"{source.host}: {{tls: false, credentials: {{username: me, password: password-SECRET}}}}")
    )
    source.add(Respond(401, headers={"WWW-Authenticate": 'Basic realm="x"'}), method=".*", target="/v2/")

    ran = imgsync("plan", "-o", "json")

    assert ran.code == 1
    assert "from registries.yaml were refused" in ran.json["errors"][0]["message"]
    assert "SECRET" not in ran.stdout + ran.stderr


def test_first_signal_stops_in_good_order(registry, second_registry, name, declare, start_imgsync, imgsync, source):
    """SIGTERM: nothing new begins, what runs gets its grace, exit 75; running again finishes."""
    for number in range(3):
        push(registry, f"{name}/app", str(number), image(number))
    declare(f"[{name}/app]", "concurrency: {images: 1}")
    held = Hold()
    source.add(held, method="GET", target="/blobs/", times=1)
    process = start_imgsync("apply", "-o", "json")
    held.reached()
    process.send_signal(signal.SIGTERM)
    for line in process.stderr:
        if "run.stopping" in line:
            break
    held.release()
    stopped = finish(process)

    assert stopped.code == 75
    assert stopped.json["summary"] | {"seconds": 0} == stopped.json["summary"] | {"copied": 1, "remaining": 2, "failed": 0, "seconds": 0}
    again = imgsync("apply", "-o", "json")
    assert again.code == 0
    assert again.json["summary"]["copied"] == 2


@pytest.mark.row("GIT-08")
def test_second_signal_cuts(registry, second_registry, name, declare, start_imgsync, source):
    """A second signal ends the process at once, exit 130, and the tag is not there."""
    push(registry, f"{name}/app", "1", image(1))
    declare(f"[{name}/app]")
    held = Hold()
    source.add(held, method="GET", target="/blobs/")
    process = start_imgsync("apply")
    held.reached()
    process.send_signal(signal.SIGINT)
    for line in process.stderr:
        if "run.stopping" in line:
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    held.release()

    assert process.returncode == 130
    assert pull_raw(second_registry, f"m/{name}/app", "1") is None


def test_planning_and_listing_stop_in_time(registry, name, declare, imgsync, source):
    """--run-timeout ends them too: exit 75, and it is said why."""
    push(registry, f"{name}/app", "1", image(1))
    source.add(switches.status(503))
    declare(f"[{name}/app]", retry="{attempts: 20, interval: 1s}")

    for arguments in (["plan"], ["list", f"{source.host}/{name}/app"]):
        ran = imgsync(*arguments, "--run-timeout", "1s")
        assert ran.code == 75
        assert "the run's time is up" in ran.stderr


@pytest.mark.row("DOS-14")
def test_max_changes_does_nothing_beyond_it(registry, second_registry, name, declare, imgsync):
    """More changes than --max-changes: nothing is done, exit 1."""
    for number in range(2):
        push(registry, f"{name}/app", str(number), image(number))
    declare(f"[{name}/app]")

    ran = imgsync("apply", "--max-changes", "1")

    assert ran.code == 1
    assert "more than --max-changes 1" in ran.stderr
    assert pull_raw(second_registry, f"m/{name}/app", "0") is None


def test_two_sources_of_one_destination_are_an_error(registry, second_registry, name, write, imgsync, source, destination):
    """What names alone do not show, the plan does: neither of the two is written."""
    push(registry, f"{name}/a/app", "1", image(1))
    push(registry, f"{name}/b/app", "1", image(2))
    write(
        "mirrors.d/a.yaml",
        f"version: 1\nmirrors:\n  - name: a\n    source: {{registry: '{source.host}', repositories: [{name}/a/app, {name}/b/app]}}\n"
        f"    destinations: [{{registry: '{destination.host}', namespace: {name}, repository: '{{name}}'}}]\n",
    )
    write("registries.yaml", f"version: 1\nregistries:\n  {source.host}: {{tls: false}}\n  {destination.host}: {{tls: false}}\n")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert ran.json["outcomes"] == []
    assert pull_raw(second_registry, f"{name}/app", "1") is None


def test_fail_fast_starts_nothing_after_a_failure(registry, second_registry, name, declare, imgsync, source):
    """With --fail-fast the first failure is the last image begun: exit 1, for running again would fail again."""
    for number in range(5):
        push(registry, f"{name}/app", str(number), image(number))
    source.add(switches.status(500), target="/blobs/")
    declare(f"[{name}/app]", "concurrency: {images: 1}", retry="{attempts: 1}")

    ran = imgsync("apply", "--fail-fast", "-o", "json")

    assert ran.code == 1
    assert (ran.json["summary"]["failed"], ran.json["summary"]["remaining"]) == (1, 4)


@pytest.mark.row("DOS-06")
def test_image_that_takes_too_long_fails_and_the_others_go_on(registry, second_registry, name, declare, imgsync, source):
    """timeouts.image ends one image though bytes still trickle; the next ones are copied."""
    slow = push(registry, f"{name}/app", "1", image(1, layers=1, layer_bytes=1 << 20))
    push(registry, f"{name}/app", "2", image(2))
    source.add(switches.trickle(1 << 10, seconds=0.1), target=_first_layer(slow))
    declare(f"[{name}/app]", "timeouts: {image: 1s}")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert ran.json["summary"]["copied"] == 1
    assert "took longer than 1s" in ran.events("image.failed")[0]["error"]
    assert second_registry.tags(f"m/{name}/app") == ["2"]


def test_silent_registry_is_given_up(registry, name, declare, imgsync, source):
    """No byte within timeouts.request is an error that says so; nothing waits for ever."""
    push(registry, f"{name}/app", "1", image(1))
    source.add(switches.Hold(), target="/blobs/")
    declare(f"[{name}/app]", "timeouts: {request: 1s}", retry="{attempts: 1}")

    ran = imgsync("apply")

    assert ran.code == 1
    assert "no byte within the time allowed" in ran.events("image.failed")[0]["error"]


def test_spent_rate_stops_in_good_order(registry, name, declare, imgsync, source, write, destination):
    """A rate that is used up for hours: what is copied stays, exit 75, the rest is for the next run."""
    for number in range(4):
        push(registry, f"{name}/app", str(number), image(number))
    declare(f"[{name}/app]", "concurrency: {images: 1, blobs: 1, queries: 1}")
    write("registries.yaml", f"version: 1\nregistries:\n  {source.host}: {{tls: false, rate: 10/6h}}\n  {destination.host}: {{tls: false}}\n")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 75, ran.stderr
    assert len(source.seen) == 10
    assert ran.json["summary"]["copied"] >= 1
    assert ran.json["summary"]["remaining"] >= 1
    assert ran.json["summary"]["failed"] == 0


def test_rate_holds_in_any_stretch(registry, name, declare, imgsync, source, write, destination):
    """Of 8 requests allowed a second no nine are sent within one, the first second included."""
    for number in range(10):
        push(registry, f"{name}/app", str(number), image(number))
    declare(f"[{name}/app]")
    write("registries.yaml", f"version: 1\nregistries:\n  {source.host}: {{tls: false, rate: 8/s}}\n  {destination.host}: {{tls: false}}\n")

    assert imgsync("plan").code == 0

    began = [one.began for one in source.seen]
    assert len(began) > 8
    assert min(later - earlier for earlier, later in zip(began, began[8:], strict=False)) > 0.9e9


def _first_layer(content) -> str:
    return json.loads(content.raw)["layers"][0]["digest"]


def _passes(line: str, held: Hold) -> bool:
    # Under load a beat may come before the first byte.
    if "apply.progress" in line and '"bytes_copied": 0,' not in line:
        held.release()
    return True


def test_heartbeat_tells_how_far_an_apply_is(registry, name, declare, start_imgsync, source):
    """Without a terminal a line is logged each heartbeat, with images and bytes."""
    content = push(registry, f"{name}/app", "1", image(1, layers=1, layer_bytes=1 << 20))
    held = source.add(Hold(after_bytes=1 << 16), target=_first_layer(content))
    declare(f"[{name}/app]")

    process = start_imgsync("apply", "--heartbeat", "1s")
    held.reached()
    lines = [json.loads(line) for line in iter(process.stderr.readline, "") if _passes(line, held)]

    assert process.wait(30) == 0
    beat = next(line for line in lines if line["event"] == "apply.progress" and line["bytes_copied"])
    assert (beat["images_done"], beat["images_running"], beat["images_total"]) == (0, 1, 1)
    assert 0 < beat["bytes_copied"] < beat["bytes_total"]


@pytest.mark.row("ST-10")
def test_full_disk_under_the_state_stops_no_copy(registry, second_registry, name, declare, imgsync, workplace):
    """Records that cannot be written cost the next run requests, never this one its work; earlier records stay."""
    push(registry, f"{name}/app", "0", image(0))
    declare(f"[{name}/app]")
    assert imgsync("apply").code == 0
    for number in range(1, 60):
        push(registry, f"{name}/app", str(number), image(1))

    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000)); from imgsync.__main__ import main; main()"
    environment = workplace.environment({"PYTHONPATH": str(Path(__file__).parents[2])})
    ran = run_watched([sys.executable, "-c", limited, "apply", "-o", "json"], cwd=workplace.folder, env=environment)

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["summary"]["copied"] == 59
    assert "Traceback" not in ran.stderr, ran.stderr
    assert "state.degraded" in ran.stderr
    assert len(second_registry.tags(f"m/{name}/app")) == 60
    again = imgsync("apply", "-o", "json")
    assert again.json["summary"]["kept"] == 60
    assert imgsync("state", "list").stdout.count("\n") == 60


@pytest.mark.row("ST-12")
def test_locked_state_is_told_and_exits_75(registry, name, declare, start_imgsync, imgsync, source):
    """A second run while the first holds the state does nothing and says to run it again."""
    push(registry, f"{name}/app", "1", image(1))
    held = source.add(switches.Hold(), target="/blobs/")
    declare(f"[{name}/app]")
    first = start_imgsync("apply")
    held.reached()

    second = imgsync("apply")
    held.release()

    assert second.code == 75
    assert "another run" in second.stderr
    assert finish(first).code == 0
