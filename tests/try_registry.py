"""
Try the main job with a registry that already runs; see `make try-registry`.

Everything is pushed below `imgsync-try-…`, a new name for each run. The registry speaks plain http and needs no login.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.images import DOCKER, Image, artifact, image, index, layer, plain_client, pull_raw, push
from tests.support.registry_process import RegistryProcess, running_registry
from tests.support.run_imgsync import Result, Workplace


@dataclass(frozen=True)
class Trial:
    """A source registry, the registry on trial, and a folder for imgsync."""

    source: RegistryProcess
    host: str
    prefix: str
    workplace: Workplace

    def declare(self, settings: str, *, repository: str = "app", source: str = "", destination: str = "") -> None:
        """Declare one mirror, to the registry on trial unless said otherwise."""
        folder = self.workplace.folder
        (folder / "mirrors.d").mkdir(exist_ok=True)
        (folder / "mirrors.d" / "a.yaml").write_text(
            f"version: 1\nmirrors:\n  - name: a\n    source: '{source or f'{self.source.host}/{self.prefix}/{repository}'}'\n"
            f"    destinations: ['{destination or f'{self.host}/{self.prefix}/m'}']\n    retry: {{attempts: 2, interval: 0s}}\n{settings}"
        )
        (folder / "registries.yaml").write_text(f"version: 1\nregistries:\n  {self.source.host}: {{tls: false}}\n  {self.host}: {{tls: false}}\n")

    def expect(self, code: int, *arguments: str) -> Result:
        """Run imgsync; raises AssertionError unless it exits with *code*."""
        result = self.workplace.run(*arguments)
        assert result.code == code, f"imgsync {' '.join(arguments)}: exit {result.code}\n{result.stdout[-1500:]}\n{result.stderr[-1500:]}"
        return result

    def push(self, tag: str, content: Image, repository: str = "app") -> Image:
        """Push *content* to the source."""
        return push(self.source, f"{self.prefix}/{repository}", tag, content)

    def served(self, reference: str, repository: str = "app") -> bytes | None:
        """Return the manifest that the registry on trial serves."""
        return pull_raw(self.host, f"{self.prefix}/m/{self.prefix}/{repository}", reference)

    def forget(self) -> None:
        """Move the state away, so that the next run asks the registry."""
        state = self.workplace.folder / ".imgsync"
        state.rename(state.with_name(uuid.uuid4().hex))


def copy_images(trial: Trial) -> None:
    """Copy OCI and Docker images, an index and a nested index, byte for byte."""
    pushed = {
        "oci": trial.push("oci", image(1)),
        "docker": trial.push("docker", image(2, kind=DOCKER)),
        "index": trial.push("index", index(3)),
        "list": trial.push("list", index(4, kind=DOCKER)),
        "nested": trial.push("nested", index(5, nested=True)),
    }
    trial.declare("")
    trial.expect(0, "apply")
    for tag, content in pushed.items():
        assert trial.served(tag) == content.raw, tag
    trial.expect(0, "verify", "--deep")


def keep_unchanged(trial: Trial) -> None:
    """Keep unchanged images, with the state, without it, and with --refresh."""
    for arguments in (["apply", "-o", "json"], ["apply", "--refresh", "-o", "json"]):
        assert trial.expect(0, *arguments).json["summary"]["copied"] == 0
    trial.forget()
    assert trial.expect(0, "apply", "-o", "json").json["summary"]["copied"] == 0


def follow_moved_tags(trial: Trial) -> None:
    """Update a tag that moved at the source."""
    moved = trial.push("oci", image(6))
    trial.expect(0, "apply")
    assert trial.served("oci") == moved.raw


def copy_referrers(trial: Trial) -> None:
    """Copy what refers to an image, and serve it as a referrer."""
    subject = trial.push("signed", image(7))
    referrer = artifact(7, subject=subject)
    trial.push("", referrer)
    trial.push(subject.digest.replace(":", "-"), index(children=(referrer,)))
    trial.push(f"{subject.digest.replace(':', '-')}.sig", artifact(8))
    trial.declare("    tags: {names: [signed]}\n")
    trial.expect(0, "apply")
    assert trial.served(referrer.digest) == referrer.raw
    trial.expect(0, "verify")


def mount_blobs(trial: Trial) -> None:
    """Mount a layer that another repository of the registry has."""
    base = layer("shared", 1 << 16)
    trial.push("1", image(9, shared=base), "one")
    trial.push("1", image(10, shared=base), "two")
    for repository in ("one", "two"):
        trial.declare("", repository=repository)
        summary = trial.expect(0, "apply", "-o", "json").json["summary"]
        _say(f"      {repository}: {summary['blobs_copied']} blobs copied, {summary['blobs_mounted']} mounted")


def prune_tags(trial: Trial) -> None:
    """Delete a tag that is no longer selected; keep its neighbour of the same digest."""
    content = trial.push("keep", image(11), "pruned")
    trial.push("gone", content, "pruned")
    trial.declare("", repository="pruned")
    trial.expect(0, "apply")
    trial.declare("    tags: {names: [keep]}\n    prune: true\n", repository="pruned")
    result = trial.workplace.run("apply", "-o", "json")
    assert trial.served("keep", "pruned") == content.raw
    _say(f"      exit {result.code}, deleted {result.json['summary']['deleted']}, 'gone' is {'still' if trial.served('gone', 'pruned') else 'not'} served")


def list_many_tags(trial: Trial) -> None:
    """List 1,200 tags of one repository of the registry on trial."""
    content = push(trial.host, f"{trial.prefix}/many", "t0", image(12))
    with plain_client(trial.host) as client:
        for number in range(1, 1200):
            client.put(f"/v2/{trial.prefix}/many/manifests/t{number}", content=content.raw, headers={"Content-Type": content.media_type}).raise_for_status()
    tags = trial.expect(0, "list", f"{trial.host}/{trial.prefix}/many").stdout.split()
    assert len([tag for tag in tags if tag.startswith("t")]) >= 1200, len(tags)


def serve_as_source(trial: Trial) -> None:
    """Copy from the registry on trial to the other one."""
    content = push(trial.host, f"{trial.prefix}/origin", "1", index(13))
    trial.declare("", source=f"{trial.host}/{trial.prefix}/origin", destination=f"{trial.source.host}/{trial.prefix}/back")
    trial.expect(0, "apply")
    assert pull_raw(trial.source, f"{trial.prefix}/back/{trial.prefix}/origin", "1") == content.raw


def keep_state(trial: Trial) -> None:
    """Keep the state in the registry on trial."""
    trial.declare("")
    where = f"oci://{trial.host}/{trial.prefix}/state:main"
    trial.expect(0, "apply", "--state", where)
    assert trial.expect(0, "apply", "--state", where, "-o", "json").json["summary"]["copied"] == 0


STEPS: tuple[Callable[[Trial], None], ...] = (
    copy_images,
    keep_unchanged,
    follow_moved_tags,
    copy_referrers,
    mount_blobs,
    prune_tags,
    list_many_tags,
    serve_as_source,
    keep_state,
)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextlib.contextmanager
def open_trial(host: str) -> Iterator[Trial]:
    """Yield a trial of *host* beside a fresh `docker-registry`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "work").mkdir()
        with running_registry(folder / "source") as source:
            yield Trial(source, host, f"imgsync-try-{uuid.uuid4().hex[:8]}", Workplace(folder / "work"))


def main(host: str) -> int:
    """Run every step; return 1 if one failed."""
    failed = 0
    with open_trial(host) as trial:
        for step in STEPS:
            purpose = (step.__doc__ or "").strip()
            try:
                step(trial)
            except (AssertionError, OSError) as error:
                failed += 1
                _say(f"WRONG {purpose}\n      {error}")
            else:
                _say(f"ok    {purpose}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
