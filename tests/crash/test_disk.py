"""A full, read-only or damaged disk under the state costs requests only."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import figures
from tests.crash.harness import Step
from tests.state.test_store import opened
from tests.support.effort import NIGHTLY, effort

_KIB = 1024
_PAGE = 4096


@pytest.fixture
def small_disk() -> Iterator[Callable[[Path, int], bool]]:
    """Mount a small disk and return True; return False without root."""
    with contextlib.ExitStack() as stack:

        def mount(folder: Path, size_bytes: int) -> bool:
            if os.geteuid() or shutil.which("mount") is None:
                return False
            folder.mkdir(parents=True, exist_ok=True)
            if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=700", "tmpfs", folder], capture_output=True, check=False).returncode:
                return False
            stack.callback(subprocess.run, ["umount", "-l", folder], check=True)
            return True

        yield mount


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


@pytest.mark.row("ST-10")
@pytest.mark.nightly
@pytest.mark.parametrize("size", range(4, 404, 8) if NIGHTLY else (276,))
def test_full_disk_costs_only_requests(size, new_scene, small_disk):
    """Every image is copied and records are true; with space again all is as before."""
    scene = new_scene()
    scene.is_disturbed = True
    has_disk = small_disk(scene.state.parent, size * _KIB)
    limits = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size * _KIB}, {size * _KIB}))"
    ran = scene.run() if has_disk else scene.run_code(limits)

    assert ran.code == 0, ran.stderr
    assert ran.json["summary"]["copied"] == len(scene.world.wanted)
    assert ran.events("state.degraded") or size > 200
    scene.check(done=True)
    if has_disk:
        remount(scene.state.parent, "size=10m")
    scene.is_disturbed = False
    scene.converge()
    assert scene.resent() == [], ran.stderr


@pytest.mark.row("ST-10", "ST-11")
@pytest.mark.parametrize("how", ["read-only", "full"])
def test_unwritable_state_still_counts(how, new_scene, small_disk):
    """Existing records save requests; a warning says that nothing new is recorded."""
    scene = new_scene()
    has_disk = small_disk(scene.state.parent, 1 << 20)
    scene.converge()
    scene.is_disturbed = True
    if not has_disk and (how == "full" or not os.geteuid()):
        pytest.skip("takes a disk of our own")
    if how == "full":
        fill(scene.state.parent / "filling")
    elif has_disk:
        remount(scene.state.parent, "ro")
    else:
        scene.state.chmod(0o500)
    for proxy in scene.proxies:
        proxy.forget()

    ran = scene.run()

    assert ran.code == 0, ran.stderr
    assert (ran.json["summary"]["copied"], ran.json["summary"]["kept"]) == (0, len(scene.world.wanted))
    assert [proxy.seen for proxy in scene.proxies] == [[], []]
    assert "is not writable" in ran.events("state.degraded")[0]["reason"]
    if has_disk:
        remount(scene.state.parent, "rw")
    scene.state.chmod(0o700)


def fill(path: Path) -> None:
    """Fill the disk to its last byte."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(_KIB))


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def garbage(path: Path) -> None:
    path.write_bytes(random.Random("garbage").randbytes(50_000))


def zeroed(path: Path) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[: 3 * _PAGE] + bytes(_PAGE) + raw[4 * _PAGE :])


def no_header(path: Path) -> None:
    path.write_bytes(b"not SQLite at all" + path.read_bytes()[17:])


@pytest.mark.row("ST-06")
def test_damaged_state_costs_only_requests(new_scene):
    """It is moved aside with a warning; no image is copied again."""
    scene = new_scene()
    scene.converge()
    scene.is_disturbed = True
    for damage in (truncated, emptied, garbage, zeroed, no_header) if NIGHTLY else (zeroed,):
        damage(scene.state / "cache.db")

        ran = scene.run()

        assert ran.code == 0, ran.stderr
        assert (ran.json["summary"]["copied"], ran.json["summary"]["kept"]) == (0, len(scene.world.wanted))
        assert "moved it aside to state.broken-" in ran.events("state.degraded")[0]["reason"]
        scene.converge()


def believed(folder: Path) -> tuple[dict[str, object], list[str]]:
    """Return the records that are believed, and the warnings."""
    warnings: list[str] = []
    with opened(folder, warnings) as state:
        snapshot = state.snapshot()
    notes = {f"{kind} {about}": text for kind, found in snapshot.notes.items() for about, text in found.items()}
    return {**snapshot.records, **notes}, warnings


@pytest.fixture
def image_of(tmp_path) -> Callable[[Path], Path]:
    """Copy a state, to damage the copy; return its folder."""

    def copied(state: Path) -> Path:
        folder = tmp_path / "image"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(state, folder / "state")
        return folder

    return copied


@pytest.mark.row("ST-05", "ST-06")
@pytest.mark.nightly
def test_no_damaged_byte_is_ever_believed(new_scene, image_of):
    """Believed records are those that were written; others are reported."""
    scene = new_scene()
    scene.converge()
    true, _ = believed(image_of(scene.state))
    chooser = random.Random("rot")
    size = (scene.state / "cache.db").stat().st_size
    # Where what matters is written.
    raw = (scene.state / "cache.db").read_bytes()
    places = [at for at in range(size) if raw[at]]
    tries = effort(16, 3000)
    for number in range(tries):
        folder = image_of(scene.state)
        with (folder / "state" / "cache.db").open("r+b") as file:
            at = chooser.choice(places)
            if number % 8:
                file.seek(at)
                file.write(bytes([raw[at] ^ chooser.randint(1, 255)]))
            else:
                file.seek(at // _PAGE * _PAGE)
                file.write(chooser.choice([bytes(_PAGE), chooser.randbytes(_PAGE)]))
        found, warnings = believed(folder)
        assert found.items() <= true.items()
        # A note with a damaged kind looks like one of a later version, which causes no warning.
        assert len(found) >= len(true) - 1 or warnings
    figures.record("damaged states opened", tries, note="a byte flipped, a page zeroed or overwritten; damaged records used: 0")


@pytest.mark.row("ST-06", "ST-07")
@pytest.mark.nightly
def test_power_failure_leaves_a_prefix(new_scene, image_of, world):
    """The state opens without a warning and holds a prefix of what was written."""
    tried = 0
    chooser = random.Random("power")
    for _ in range(effort(1, 12)):
        scene = new_scene(remembered=True)
        step = Step("told", chooser.randint(world.requests * 2 // 3, world.requests), of="")
        scene.start(at=step).end()
        state = scene.state
        scene.check()
        log = state / "cache.db-wal"
        if not log.exists() or not log.stat().st_size:
            continue
        size = log.stat().st_size
        whole, _ = believed(image_of(state))
        last: dict[str, object] = {}
        for cut in sorted(chooser.randint(0, size) for _ in range(effort(6, 80))):
            folder = image_of(state)
            with (folder / "state" / log.name).open("r+b") as file:
                file.truncate(cut)
                file.seek(0, 2)
                # The disk may have given the rest its place, and not its content.
                file.write(chooser.choice([b"", bytes(size - cut), chooser.randbytes(size - cut)]))
            (folder / "state" / "cache.db-shm").unlink(missing_ok=True)
            found, warnings = believed(folder)
            assert warnings == []
            tried += 1
            assert last.keys() <= found.keys() <= whole.keys()
            last = found
    assert tried
    figures.record(
        "power failures replayed",
        tried,
        note="the log of a killed run cut anywhere, the rest missing, zeroed or garbage; a valid earlier state was found each time",
    )
