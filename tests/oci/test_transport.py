"""Faulty registries: one clear error, other images continue, nothing is half there."""

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
def test_truncated_blob_is_resumed_with_range(lab):
    """A cut download continues at the byte reached."""
    big = b"0123456789" * 50000
    wanted = lab.push("app", "1", image(1, layers=0, shared=big))
    lab.declare("app")
    lab.source.add(switches.drop_body_after(200_000), method="GET", target=digest_of(big), times=1)

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    ranges = [one.headers.get("range") for one in lab.source.seen if digest_of(big) in one.path]
    assert ranges[0] is None
    assert len(ranges) == 2
    assert 0 < int(ranges[1].removeprefix("bytes=").removesuffix("-")) <= 200_000
    assert lab.served_manifest("app", "1") == wanted.raw
    assert ran.json["summary"]["bytes_copied"] == sum(map(len, wanted.blobs.values()))


@pytest.mark.row("DIG-04")
@pytest.mark.parametrize("what", ["blob", "manifest"])
def test_wrong_bytes_are_never_committed(what, lab):
    """The image fails; the destination shows neither tag nor blob."""
    bad = lab.push("bad", "1", image(1, layers=1))
    lab.push("good", "1", image(2))
    lab.declare("bad good")
    layer = next(iter(bad.blobs))
    lab.source.add(switches.corrupt_byte(), method="GET", target=layer if what == "blob" else f"{lab.name}/bad/manifests/")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert lab.served_manifest("bad", "1") is None
    assert request(lab.destination_registry, "HEAD", f"/v2/m/{lab.name}/bad/blobs/{layer}")[0] == 404
    assert lab.served_manifest("good", "1") is not None, "the other image goes on"


def test_longer_body_is_refused(lab):
    """A body longer than its descriptor is not truncated and taken."""
    wanted = lab.push("app", "1", image(1, layers=1))
    lab.declare("app")
    layer = next(iter(wanted.blobs))

    lab.source.add(switches.extra_bytes(b"more"), method="GET", target=layer)

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert "bytes, got more" in only_error(ran)
    assert lab.served_manifest("app", "1") is None


def test_manifest_over_four_mebibytes_is_refused(lab):
    """It is an error of that image."""
    lab.push("app", "1", image(1))
    lab.declare("app")

    lab.source.add(switches.huge_manifest(), method="GET", target="/manifests/")

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 1
    assert "larger than 4096 KiB" in ran.json["errors"][0]["message"]


@pytest.mark.row("REG-21")
@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_source_refusal_fails_one_repository(status, lab):
    """The error names operation, reference, side and the registry's words."""
    lab.push("bad", "1", image(1))
    lab.push("good", "1", image(2))
    lab.declare("bad good")
    words = json.dumps({"errors": [{"code": "DENIED", "message": "no \x1b[31m such luck"}]}).encode()
    lab.source.add(Respond(status, words), method="GET", target=f"{lab.name}/bad/tags/list")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert ran.json["summary"]["copied"] == 1
    error = lab.run("plan", "-o", "json").json["errors"][0]
    assert error["reference"] == f"{lab.source.host}/{lab.name}/bad"
    assert error["message"].partition(" (")[0] == f"list tags of {lab.source.host}/{lab.name}/bad"
    assert f"(source): {status} DENIED: no \\x1b[31m such luck" in error["message"]


def test_destination_refusal_leaves_no_tag(lab):
    """A refusal is not retried; the registry's words are the error."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    body = json.dumps({"errors": [{"code": "DENIED", "message": "quota exceeded"}]}).encode()
    lab.destination.add(Respond(403, body), method="PUT", target="/blobs/uploads/")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert "push blob" in only_error(ran)
    assert "(destination): 403 DENIED: quota exceeded" in only_error(ran)
    assert lab.served_manifest("app", "1") is None


@pytest.mark.row("NET-01")
def test_throttled_requests_wait_and_succeed(lab):
    """A 429 pauses the registry for as long as it says."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    lab.source.add(Respond(429, headers={"Retry-After": "1"}), method="GET", target="/blobs/", times=1)

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.events("registry.throttled")[0]["wait_seconds"] == 1


@pytest.mark.row("NET-07")
@pytest.mark.parametrize("side", ["source", "destination"])
def test_server_errors_are_retried(side, lab, request):
    """One 503 on any request costs a retry, not the image."""
    proxy = request.getfixturevalue(side)
    lab.push("app", "1", image(1))
    lab.declare("app")
    for method in ("GET", "HEAD", "POST", "PUT"):
        proxy.add(Respond(503), method=method, target="/v2/", times=1)

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.events("request.retried")


def test_attempts_one_means_no_retry(lab):
    """`attempts: 1` is one attempt."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    path = lab.folder / "mirrors.d" / "a.yaml"
    path.write_text(path.read_text().replace("attempts: 2", "attempts: 1"))
    lab.source.add(Respond(503), method="GET", target="/tags/list")

    assert lab.run("apply").code == 1
    assert len(lab.source.requests("tags/list")) == 1


@pytest.mark.row("REG-16")
@pytest.mark.row("ST-15")
def test_lost_blob_is_sent_again(lab):
    """The refused manifest is the signal to send a recorded blob again, once."""
    wanted = lab.push("app", "1", image(1))
    lab.declare("app")
    body = json.dumps({"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown"}]}).encode()
    lab.destination.add(Respond(400, body), method="PUT", target="/manifests/1", times=1)

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert lab.served_manifest("app", "1") == wanted.raw


def test_unreachable_registry_is_one_clear_error(lab):
    """The error names the registry and what to check."""
    lab.write("mirrors.d/a.yaml", "version: 1\nmirrors:\n  - {name: a, source: '127.0.0.1:1/x/y', destinations: ['127.0.0.1:1/m'], retry: {attempts: 1}}\n")
    lab.write("registries.yaml", "version: 1\nregistries: {'127.0.0.1:1': {tls: false}}\n")

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 1
    assert "cannot connect" in ran.json["errors"][0]["message"]


@pytest.mark.row("AUTH-26")
def test_plain_http_is_never_guessed(lab):
    """TLS is the default; the error names the setting for plain http."""
    registry = lab.source_registry
    lab.workplace.mirror("a", source=f"{registry}/{lab.name}/y", destinations=[f"{registry}/m"], retry={"attempts": 1})

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 1
    assert "tls: false" in ran.json["errors"][0]["message"]


@pytest.mark.row("REG-21")
def test_null_tags_are_an_empty_list(lab):
    """An invalid tag name is skipped with a warning."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    lab.source.add(Respond(200, b'{"tags": null}'), method="GET", target="/tags/list", times=1)
    ran = lab.run("plan", "-o", "json")
    assert ran.code == 1
    assert "fewer than at_least: 1" in ran.json["errors"][0]["message"]

    lab.source.add(Respond(200, b'{"tags": ["1", "a/b", "sha256:00", null]}'), method="GET", target="/tags/list")
    ran = lab.run("plan", "-o", "json")

    assert ran.json["summary"]["create"] == 1
    assert "skipped: a/b, sha256:00" in ran.events("listing.incomplete")[0]["reason"]


@pytest.mark.row("NET-16")
def test_html_instead_of_a_listing_is_an_error(lab):
    """A captive portal's page is not a listing."""
    lab.declare("app")
    lab.source.add(Respond(200, b"<html>hello</html>", headers={"Content-Type": "text/html"}), method="GET", target="/tags/list")

    assert "is this a registry?" in lab.run("plan", "-o", "json").json["errors"][0]["message"]


def test_endless_pages_are_an_error(lab):
    """A Link that leads back ends the listing with an error."""
    lab.declare("app")
    page = f"/v2/{lab.name}/app/tags/list"
    lab.source.add(Respond(200, b'{"tags": ["1"]}', headers={"Link": f'<{page}>; rel="next"'}), method="GET", target="/tags/list")

    assert "never end" in lab.run("plan", "-o", "json").json["errors"][0]["message"]


@pytest.mark.row("AUTH-10")
def test_next_page_on_another_host_is_refused(lab):
    """Nothing is sent there."""
    lab.declare("app")
    lab.source.add(Respond(200, b'{"tags": ["1"]}', headers={"Link": f'<http://{lab.destination.host}/v2/x>; rel="next"'}), method="GET", target="/tags/list")

    assert "another host" in lab.run("plan", "-o", "json").json["errors"][0]["message"]
    assert lab.destination.seen == []


@pytest.mark.row("AUTH-01")
def test_redirected_read_is_followed_without_credentials(lab):
    """A read follows a redirect to another host without credentials."""
    wanted = lab.push("app", "1", image(1, layers=1))
    layer = next(iter(wanted.blobs))
    push(lab.destination_registry, f"{lab.name}/store", "1", wanted)
    lab.declare("app")
    path = lab.folder / "registries.yaml"
    path.write_text(
        path.read_text().replace(
            f"{lab.source.host}: {{tls: false}}", f"{lab.source.host}: {{tls: false, credentials: {{username: me, password: password-SECRET}}}}"
        )
    )
    lab.source.add(Respond(401, headers={"WWW-Authenticate": 'Basic realm="x"'}), method="GET", target="/tags/list", times=1)
    lab.source.add(Respond(307, b"", headers={"Location": f"http://{lab.destination.host}/v2/{lab.name}/store/blobs/{layer}"}), method="GET", target=layer)

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert [one for one in lab.source.seen if "authorization" in one.headers], "the source did get them"
    assert not [one for one in lab.destination.seen if "SECRET" in str(one.headers) or "authorization" in one.headers]


@pytest.mark.row("REG-13")
def test_redirected_write_is_refused(lab):
    """A redirected write is an error: followed, it could look like success."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    lab.destination.add(Respond(302, b"", headers={"Location": "/v2/"}), method="PUT", target="/manifests/")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert "redirects a write" in only_error(ran)


@pytest.mark.row("AUTH-08")
def test_upload_to_another_host_is_refused(lab):
    """An upload session on another host gets no byte."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    lab.destination.add(switches.headers(Location="http://localhost:9/u"), method="POST", target="/uploads/")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert "another host, localhost" in only_error(ran)


@pytest.mark.row("REG-10")
def test_mount_that_is_refused_becomes_an_upload(lab):
    """Without mounts, a plain session is started."""
    wanted = lab.push("app", "1", image(1))
    lab.declare("app")
    lab.destination.add(Respond(405), method="POST", target="mount=")

    assert lab.run("apply").code == 0
    assert lab.served_manifest("app", "1") == wanted.raw


@pytest.mark.row("REG-12")
def test_head_without_digest_falls_back_to_get(lab):
    """The manifest is read and hashed."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    assert lab.run("apply").code == 0
    lab.source.add(switches.headers(Docker_Content_Digest=None), method="HEAD", target="/manifests/")

    assert lab.run("plan", "--detailed-exitcode").code == 0


class Tokens:
    """Makes a registry require bearer tokens of its own token endpoint."""

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
def test_token_is_requested_once_per_scope(field, lab):
    """Not once per blob."""
    lab.push("app", "1", image(1, layers=5))
    lab.declare("app")
    tokens = Tokens(lab.source, field=field)

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert [one.target for one in tokens.asked] == [f"/token?service=reg%3Ax%2Cy&scope=repository%3A{lab.name}%2Fapp%3Apull"]


def test_docker_config_credentials_go_to_the_own_token_server(lab):
    """Credentials of config.json go to the registry's own host and are never shown."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    auth = base64.b64encode(b"me:password-SECRET").decode()
    lab.write("docker/config.json", json.dumps({"auths": {lab.source.host: {"auth": auth}}}))
    tokens = Tokens(lab.source)

    ran = lab.run("apply", "--log-level", "debug")

    assert ran.code == 0, ran.stderr
    assert {one.headers.get("authorization") for one in tokens.asked} == {f"Basic {auth}"}
    assert "SECRET" not in ran.stdout + ran.stderr
    assert auth not in ran.stdout + ran.stderr


@pytest.mark.row("AUTH-03")
def test_credentials_never_go_to_another_token_server(lab):
    """The error names the setting that would allow it."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    path = lab.folder / "registries.yaml"
    path.write_text(
        path.read_text().replace(
            f"{lab.source.host}: {{tls: false}}", f"{lab.source.host}: {{tls: false, credentials: {{username: me, password: password-SECRET}}}}"
        )
    )
    Tokens(lab.source, realm_host=lab.destination.host.replace("127.0.0.1", "localhost"))

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 1
    assert "token_server" in ran.json["errors"][0]["message"]
    assert lab.destination.seen == []
    assert "SECRET" not in ran.stdout + ran.stderr


def test_wrong_password_is_one_clear_error(lab):
    """The error says where the credentials came from, not what they are."""
    lab.declare("app")
    path = lab.folder / "registries.yaml"
    path.write_text(
        path.read_text().replace(
            f"{lab.source.host}: {{tls: false}}", f"{lab.source.host}: {{tls: false, credentials: {{username: me, password: password-SECRET}}}}"
        )
    )
    lab.source.add(Respond(401, headers={"WWW-Authenticate": 'Basic realm="x"'}), method=".*", target="/v2/")

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 1
    assert "from registries.yaml were refused" in ran.json["errors"][0]["message"]
    assert "SECRET" not in ran.stdout + ran.stderr


def test_first_signal_stops_gracefully(lab):
    """SIGTERM: nothing new starts, running copies get their grace, exit 75; a second run finishes."""
    for number in range(3):
        lab.push("app", str(number), image(number))
    lab.declare("app", "concurrency: {images: 1}")
    held = Hold()
    lab.source.add(held, method="GET", target="/blobs/", times=1)
    process = lab.start("apply", "-o", "json")
    held.reached()
    process.send_signal(signal.SIGTERM)
    for line in process.stderr:
        if "run.stopping" in line:
            break
    held.release()
    stopped = finish(process)

    assert stopped.code == 75
    assert stopped.json["summary"] | {"seconds": 0} == stopped.json["summary"] | {"copied": 1, "remaining": 2, "failed": 0, "seconds": 0}
    again = lab.run("apply", "-o", "json")
    assert again.code == 0
    assert again.json["summary"]["copied"] == 2


@pytest.mark.row("GIT-08")
def test_second_signal_ends_at_once(lab):
    """Exit 130, and the tag is not there."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    held = Hold()
    lab.source.add(held, method="GET", target="/blobs/")
    process = lab.start("apply")
    held.reached()
    process.send_signal(signal.SIGINT)
    for line in process.stderr:
        if "run.stopping" in line:
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    held.release()

    assert process.returncode == 130
    assert lab.served_manifest("app", "1") is None


def test_planning_and_listing_stop_in_time(lab):
    """--run-timeout ends them with 75 and the reason."""
    lab.push("app", "1", image(1))
    lab.source.add(switches.status(503))
    lab.declare("app", retry="{attempts: 20, interval: 1s}")

    for arguments in (["plan"], ["list", f"{lab.source.host}/{lab.name}/app"]):
        ran = lab.run(*arguments, "--run-timeout", "1s")
        assert ran.code == 75
        assert "the run's time is up" in ran.stderr


@pytest.mark.row("DOS-14")
def test_more_than_max_changes_does_nothing(lab):
    """Exit 1."""
    for number in range(2):
        lab.push("app", str(number), image(number))
    lab.declare("app")

    ran = lab.run("apply", "--max-changes", "1")

    assert ran.code == 1
    assert "more than --max-changes 1" in ran.stderr
    assert lab.served_manifest("app", "0") is None


def test_two_sources_of_one_destination_are_an_error(lab):
    """A conflict that only the plan shows writes neither."""
    lab.push("a/app", "1", image(1))
    lab.push("b/app", "1", image(2))
    lab.write(
        "mirrors.d/a.yaml",
        f"version: 1\nmirrors:\n  - name: a\n    source: {{registry: '{lab.source.host}', repositories: [{lab.name}/a/app, {lab.name}/b/app]}}\n"
        f"    destinations: [{{registry: '{lab.destination.host}', namespace: {lab.name}, repository: '{{name}}'}}]\n",
    )
    lab.write("registries.yaml", f"version: 1\nregistries:\n  {lab.source.host}: {{tls: false}}\n  {lab.destination.host}: {{tls: false}}\n")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert ran.json["outcomes"] == []
    assert pull_raw(lab.destination_registry, f"{lab.name}/app", "1") is None


def test_fail_fast_starts_nothing_after_a_failure(lab):
    """With --fail-fast the first failure is the last image; exit 1."""
    for number in range(5):
        lab.push("app", str(number), image(number))
    lab.source.add(switches.status(500), target="/blobs/")
    lab.declare("app", "concurrency: {images: 1}", retry="{attempts: 1}")

    ran = lab.run("apply", "--fail-fast", "-o", "json")

    assert ran.code == 1
    assert (ran.json["summary"]["failed"], ran.json["summary"]["remaining"]) == (1, 4)


@pytest.mark.row("DOS-06")
def test_slow_image_fails_alone(lab):
    """timeouts.image ends it though bytes still arrive; the others are copied."""
    slow = lab.push("app", "1", image(1, layers=1, layer_bytes=1 << 20))
    lab.push("app", "2", image(2))
    lab.source.add(switches.trickle(1 << 10, seconds=0.1), target=_first_layer(slow))
    lab.declare("app", "timeouts: {image: 1s}")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert ran.json["summary"]["copied"] == 1
    assert "took longer than 1s" in ran.events("image.failed")[0]["error"]
    assert lab.served_tags("app") == ["2"]


def test_silent_registry_times_out(lab):
    """No byte within timeouts.request is an error that says so."""
    lab.push("app", "1", image(1))
    lab.source.add(switches.Hold(), target="/blobs/")
    lab.declare("app", "timeouts: {request: 1s}", retry="{attempts: 1}")

    ran = lab.run("apply")

    assert ran.code == 1
    assert "no byte within the time allowed" in ran.events("image.failed")[0]["error"]


def test_spent_rate_stops_gracefully(lab):
    """If the rate is used up for hours, the rest waits for the next run; exit 75."""
    for number in range(4):
        lab.push("app", str(number), image(number))
    lab.declare("app", "concurrency: {images: 1, blobs: 1, queries: 1}")
    lab.write("registries.yaml", f"version: 1\nregistries:\n  {lab.source.host}: {{tls: false, rate: 10/6h}}\n  {lab.destination.host}: {{tls: false}}\n")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 75, ran.stderr
    assert len(lab.source.seen) == 10
    assert ran.json["summary"]["copied"] >= 1
    assert ran.json["summary"]["remaining"] >= 1
    assert ran.json["summary"]["failed"] == 0


def test_rate_limit_holds_in_every_second(lab):
    """With 8 requests per second, nine are never sent within one."""
    for number in range(10):
        lab.push("app", str(number), image(number))
    lab.declare("app")
    lab.write("registries.yaml", f"version: 1\nregistries:\n  {lab.source.host}: {{tls: false, rate: 8/s}}\n  {lab.destination.host}: {{tls: false}}\n")

    assert lab.run("plan").code == 0

    began = [one.began for one in lab.source.seen]
    assert len(began) > 8
    # Measured where they arrive: a loaded machine delivers the first of the nine late.
    assert min(later - earlier for earlier, later in zip(began, began[8:], strict=False)) > 0.7e9


def _first_layer(content) -> str:
    return json.loads(content.raw)["layers"][0]["digest"]


def _passes(line: str, held: Hold) -> bool:
    # Under load a beat may come before the first byte.
    if "apply.progress" in line and '"bytes_copied": 0,' not in line:
        held.release()
    return True


def test_heartbeat_logs_progress(lab):
    """Without a terminal, each heartbeat logs images and bytes."""
    content = lab.push("app", "1", image(1, layers=1, layer_bytes=1 << 20))
    held = lab.source.add(Hold(after_bytes=1 << 16), target=_first_layer(content))
    lab.declare("app")

    process = lab.start("apply", "--heartbeat", "1s")
    held.reached()
    lines = [json.loads(line) for line in iter(process.stderr.readline, "") if _passes(line, held)]

    assert process.wait(30) == 0
    beat = next(line for line in lines if line["event"] == "apply.progress" and line["bytes_copied"])
    assert (beat["images_done"], beat["images_running"], beat["images_total"]) == (0, 1, 1)
    assert 0 < beat["bytes_copied"] < beat["bytes_total"]


@pytest.mark.row("ST-10")
def test_full_disk_under_the_state_stops_no_copy(lab):
    """Records are lost, copies are not; earlier records stay."""
    lab.push("app", "0", image(0))
    # Few at once: each is a write of its own, so that the file grows.
    lab.declare("app", "concurrency: {images: 4}")
    assert lab.run("apply").code == 0
    for number in range(1, 60):
        lab.push("app", str(number), image(1))

    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000)); from imgsync.__main__ import main; main()"
    environment = lab.workplace.environment({"PYTHONPATH": str(Path(__file__).parents[2])})
    ran = run_watched([sys.executable, "-c", limited, "apply", "-o", "json"], cwd=lab.folder, env=environment)

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["summary"]["copied"] == 59
    assert "Traceback" not in ran.stderr, ran.stderr
    assert "state.degraded" in ran.stderr
    assert len(lab.served_tags("app")) == 60
    again = lab.run("apply", "-o", "json")
    assert again.json["summary"]["kept"] == 60
    assert lab.run("state", "list").stdout.count("\n") == 60


@pytest.mark.row("ST-12")
def test_locked_state_exits_75(lab):
    """A second run does nothing and says to run again."""
    lab.push("app", "1", image(1))
    held = lab.source.add(switches.Hold(), target="/blobs/")
    lab.declare("app")
    first = lab.start("apply")
    held.reached()

    second = lab.run("apply")
    held.release()

    assert second.code == 75
    assert "another run" in second.stderr
    assert finish(first).code == 0
